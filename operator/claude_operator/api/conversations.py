"""What gateway processes of one deployment tell one another of conversations, as it travels in JSON.

`Conversations` is the body of `POST /-/conversations` on a gateway's admin port and the answer to it, and the answer to
a `GET` of it. The operator says who the others are: `&peers=` in the query of what it reads.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated, NamedTuple

import msgspec

from claude_operator.api.faults import decode
from claude_operator.api.gateway import Count, Text, Wire

MOST = 5000
"""Conversations in one document."""


class KnownConversation(Wire, frozen=True, array_like=True):
    """What is known of one conversation, as an array. What several processes know of it is united, in any order."""

    digest: Text
    """32 hex digits that stand for it: the same in every process, and nothing of its name."""
    revision: Text
    """The arm that it is on."""
    era: Count = 0
    """The config generation whose weights it was drawn with, 0 where it began before there was a canary."""
    canary: Text = ""
    """The canary's revision then."""
    weight: Count = 0
    """The canary's weight then, in basis points."""
    moved: bool = False
    """Whether it changed arm. One that did stays so."""
    bad: Annotated[list[Text], msgspec.Meta(max_length=16)] = []
    """Kinds of which its first bad event has been counted."""
    quotes: Annotated[list[Text], msgspec.Meta(max_length=256)] = []
    """16 hex digits each: digests of answers by which its later requests are found, where it has no name."""
    counted: Count = 0
    """What was counted of it: bit 6·p + q is for the q-th counter of `UnitCounters` without `first_bad` (entries, ttft,
    duration, cost, output_tokens, time_per_output_token) in the p-th period (opening, early, late), and 18 bits higher
    after it moved; bit 36 + p is for its `budget` in the p-th period."""
    step: Count = 0
    """How often it changed arm or was well again after failures. The higher one holds for `revision` and `failed`."""
    failed: Annotated[list[Text], msgspec.Meta(max_length=16)] = []
    """Its failures in a row, each by a random number in hex."""


class Conversations(Wire, frozen=True, omit_defaults=True):
    """Conversations that a process knows: the new ones, or all where it was asked for them."""

    boot_id: Text
    known: Annotated[list[KnownConversation], msgspec.Meta(max_length=MOST)] = []
    complete: bool = False
    """Whether the process has known all conversations since the canary's first weight."""
    more: bool = False
    """Whether there is more than fits into one document: ask again with `after`, the last digest."""
    draining: bool = False
    """Whether the process is about to end."""


def parse_conversations(data: bytes) -> Conversations:
    """Read such a document; raises `ValueError`."""
    return decode(data, Conversations, "conversations")


class PeerAddress(NamedTuple):
    """Where a gateway pod's admin port is."""

    pod: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """As a URL has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.pod}@{self.authority}"


_PEER = re.compile(r"([a-z0-9][a-z0-9.-]{0,252})@(?:\[([0-9a-f:.]+)\]|([0-9.]+)):([0-9]{1,5})")


def name_peers(peers: Iterable[PeerAddress]) -> str:
    """Them as the query has them: `<pod>@<address>:<port>`, with a comma between two."""
    return ",".join(map(str, peers))


def parse_peers(text: str) -> list[PeerAddress]:
    """Read what `name_peers` writes; raises `ValueError`. Addresses are never names: nothing is looked up."""
    return [_parse_peer(one) for one in text.split(",")] if text else []


def _parse_peer(text: str) -> PeerAddress:
    found = _PEER.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:300]!r} is no peer; write <pod>@<address>:<port>")
    pod, six, four, port = found.groups()
    address = PeerAddress(pod, str(ipaddress.ip_address(six or four)), int(port))
    if not 0 < address.port < 2**16:
        raise ValueError(f"{text[:300]!r} has no port from 1 to 65535")
    return address
