"""What gateway processes of one deployment tell one another of conversations, as it travels in JSON.

`Conversations` is the body of `POST /-/conversations` on a gateway's admin port, and the answer to a `GET` of it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from claude_operator.api.evidence import Count, Text
from claude_operator.api.faults import decode
from claude_operator.api.gateway import Wire

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
    after it moved."""
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


def parse_conversations(data: bytes) -> Conversations:
    """Read such a document; raises `ValueError`."""
    return decode(data, Conversations, "conversations")
