"""The gateways' own word: one look at the evidence of each pod, over its admin port."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from claude_operator.api.conversations import PeerAddress, name_peers
from claude_operator.api.evidence import Cohorts, Serving, parse_cohorts, parse_evidence, parse_serving
from claude_operator.api.gateway import ADMIN_PORT
from claude_operator.api.packing import PACKED, unpack
from claude_operator.api.status import Reading
from claude_operator.api.usage import USAGE_PATH, parse_usage
from claude_operator.core.judge.evidence.increments import PodReading
from claude_operator.core.operator_key import ask, is_answer
from claude_operator.core.usage.reading import PodUsage
from claude_operator.kube.bodies import read_body
from claude_operator.shell.metrics import Metrics

__all__ = ["AdminPorts", "Fetch", "Peer", "Scraper", "is_ready"]

T = TypeVar("T")

Headers = Mapping[str, str]
Fetch = Callable[[str, str, Headers], Awaitable[tuple[bytes, Headers] | None]]
"""A document of an admin port and its headers, by the pod's address, path with query, and headers to send; None where
it does not answer with one."""

_PATIENCE = 1.0  # seconds; a pod that takes longer counts as silent in this pass
_LARGEST = 16 * 1024 * 1024  # bytes of a document, unpacked: 32 surfaces, all strata and an earlier reading fit in


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway pod to ask. `key` is None for one of a version that proves nothing, and empty while there is none."""

    name: str
    address: str | None
    ready: bool
    key: bytes | None = field(repr=False)

    @classmethod
    def of(cls, pod: Mapping[str, Any], key: bytes | None) -> Peer:
        """Of a pod as the API server lists it; the address of one that has ended may be another pod's by now."""
        status = pod.get("status") or {}
        address = None if status.get("phase") in ("Succeeded", "Failed") else status.get("podIP")
        return cls(pod["metadata"]["name"], address, is_ready(pod), key)


class AdminPorts:
    """Fetches over HTTP while entered."""

    def __init__(self, *, patience: float = _PATIENCE) -> None:
        self._timeout = aiohttp.ClientTimeout(total=patience)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # A pod that went away must not hold a connection that the next one of its address gets.
        connector = aiohttp.TCPConnector(limit=100, force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, trust_env=False, auto_decompress=False
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, address: str, target: str, headers: Headers) -> tuple[bytes, Headers] | None:
        """As `Fetch` has it."""
        if self._session is None:
            raise RuntimeError("the admin ports are not entered")
        host = f"[{address}]" if ":" in address else address
        try:
            url = URL(f"http://{host}:{ADMIN_PORT}{target}", encoded=True)
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                if response.status != 200:
                    return None
                return await read_body(response.content, _LARGEST), response.headers
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None


class Scraper:
    """Reads evidence. A pod that does not answer is a reading without evidence, never an error."""

    def __init__(self, metrics: Metrics, fetch: Fetch) -> None:
        self._metrics, self._fetch = metrics, fetch

    async def read(
        self, peers: Sequence[Peer], *, since: Sequence[Reading] = (), keep: bool = False
    ) -> list[PodReading]:
        """One reading for each pod, in order. Each is told of all the others, ready or not.

        `since`: earlier readings to continue from, by pod. `keep`: the gateways are to remember this one.
        """
        last = {reading.pod: f"{reading.boot_id}.{reading.reading}" for reading in since}
        known = sorted(PeerAddress(one.name, one.address, ADMIN_PORT) for one in peers if one.address and one.key)
        return await asyncio.gather(*(self._pod(peer, last.get(peer.name, ""), keep, known) for peer in peers))

    async def read_serving(self, peers: Sequence[Peer]) -> list[Serving]:
        """What each pod that answers serves, and what its clients got recently."""
        found = await asyncio.gather(*(self._get(peer, "/-/recent", parse_serving) for peer in peers))
        return [one for one in found if one is not None]

    async def read_cohorts(self, peers: Sequence[Peer]) -> list[Cohorts]:
        """What each pod that answers knows of the users of stable."""
        found = await asyncio.gather(*(self._get(peer, "/-/evidence/cohorts", parse_cohorts) for peer in peers))
        return [one for one in found if one is not None]

    async def read_usage(self, peers: Sequence[Peer]) -> list[PodUsage]:
        """What each pod that answers has seen used and paid."""
        found = await asyncio.gather(*(self._get(peer, f"{USAGE_PATH}?gzip=1", parse_usage) for peer in peers))
        return [PodUsage(peer.name, usage) for peer, usage in zip(peers, found, strict=True) if usage is not None]

    async def _pod(self, peer: Peer, since: str, keep: bool, known: Sequence[PeerAddress]) -> PodReading:
        query = {"since": since, "callers": "1", "units": "1", "grading": "1", "drill": "1", "budgets": "1"} | (
            {"keep": "1"} if keep else {}
        )
        if peer.key:
            query |= {"gzip": "1", "peers": name_peers(one for one in known if one.pod != peer.name)}
        evidence = await self._get(peer, f"/-/evidence?{urlencode(query, safe=',:@[]')}", parse_evidence)
        if evidence is None and peer.ready:
            self._metrics.gateway_read_failures.inc()
        return PodReading(peer.name, peer.ready, evidence)

    async def _get(self, peer: Peer, target: str, parse: Callable[[bytes], T]) -> T | None:
        """A document that this pod has given to this question; nothing of another is parsed."""
        if not peer.address or peer.key == b"":
            return None
        nonce, key = secrets.token_hex(16), peer.key
        sent = ask(key, pod=peer.name, method="GET", target=target, nonce=nonce) if key else {}
        found = await self._fetch(peer.address, target, sent)
        if found is None:
            return None
        document, headers = found
        if key and not is_answer(key, pod=peer.name, nonce=nonce, body=document, headers=headers):
            return None
        try:
            if key and headers.get("content-encoding") == PACKED:
                document = unpack(document, _LARGEST)
            return parse(document)
        except ValueError:
            return None


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod gets traffic: ready, and not on its way out."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")
