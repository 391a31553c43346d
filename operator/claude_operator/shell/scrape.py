"""The gateways' own word: one look at the evidence of each pod, over its admin port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from claude_operator.api.evidence import Cohorts, Serving, parse_cohorts, parse_evidence, parse_serving
from claude_operator.api.gateway import ADMIN_PORT
from claude_operator.api.status import Reading
from claude_operator.core.judge.evidence.increments import PodReading
from claude_operator.shell.bodies import read_body
from claude_operator.shell.metrics import Metrics

__all__ = ["AdminPorts", "Fetch", "Scraper", "is_ready"]

T = TypeVar("T")

Fetch = Callable[[str, str, Mapping[str, str]], Awaitable[bytes | None]]
"""A document of an admin port, by the pod's address, path and query; None where it does not answer with one."""

_PATIENCE = 1.0  # seconds; a pod that takes longer counts as silent in this pass
_LARGEST = 16 * 1024 * 1024  # bytes of a document


class AdminPorts:
    """Fetches over HTTP while entered."""

    def __init__(self, *, patience: float = _PATIENCE) -> None:
        self._timeout = aiohttp.ClientTimeout(total=patience)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # A pod that went away must not hold a connection that the next one of its address gets.
        connector = aiohttp.TCPConnector(limit=100, force_close=True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, address: str, path: str, query: Mapping[str, str]) -> bytes | None:
        """As `Fetch` has it."""
        if self._session is None:
            raise RuntimeError("the admin ports are not entered")
        host = f"[{address}]" if ":" in address else address
        try:
            url = f"http://{host}:{ADMIN_PORT}{path}"
            async with self._session.get(url, params=query, allow_redirects=False) as response:
                return await read_body(response.content, _LARGEST) if response.status == 200 else None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None


class Scraper:
    """Reads evidence. A pod that does not answer is a reading without evidence, never an error."""

    def __init__(self, metrics: Metrics, fetch: Fetch) -> None:
        self._metrics, self._fetch = metrics, fetch

    async def read(
        self, pods: Sequence[Mapping[str, Any]], *, since: Sequence[Reading] = (), keep: bool = False
    ) -> list[PodReading]:
        """One reading for each pod, as the API server lists them, in order.

        `since`: earlier readings to continue from, by pod. `keep`: the gateways are to remember this one.
        """
        last = {reading.pod: f"{reading.boot_id}.{reading.reading}" for reading in since}
        return await asyncio.gather(*(self._pod(pod, last.get(pod["metadata"]["name"], ""), keep) for pod in pods))

    async def read_serving(self, pods: Sequence[Mapping[str, Any]]) -> list[Serving]:
        """What each pod that answers serves, and what its clients got recently."""
        addresses = [address for pod in pods if (address := _address(pod))]
        found = await asyncio.gather(*(self._get(address, "/-/recent", {}, parse_serving) for address in addresses))
        return [one for one in found if one is not None]

    async def read_cohorts(self, pods: Sequence[Mapping[str, Any]]) -> list[Cohorts]:
        """What each pod that answers knows of the users of stable."""
        addresses = [address for pod in pods if (address := _address(pod))]
        found = await asyncio.gather(
            *(self._get(address, "/-/evidence/cohorts", {}, parse_cohorts) for address in addresses)
        )
        return [one for one in found if one is not None]

    async def _pod(self, pod: Mapping[str, Any], since: str, keep: bool) -> PodReading:
        address = _address(pod)
        ready = is_ready(pod)
        query = {"since": since, "callers": "1"} | ({"keep": "1"} if keep else {})
        evidence = await self._get(address, "/-/evidence", query, parse_evidence) if address else None
        if evidence is None and ready:
            self._metrics.gateway_read_failures.inc()
        return PodReading(pod["metadata"]["name"], ready, evidence)

    async def _get(self, address: str, path: str, query: Mapping[str, str], parse: Callable[[bytes], T]) -> T | None:
        document = await self._fetch(address, path, query)
        try:
            return parse(document) if document is not None else None
        except ValueError:
            return None


def _address(pod: Mapping[str, Any]) -> str | None:
    """Where its admin port is; one of a pod that has ended may be another pod's by now."""
    status = pod.get("status") or {}
    return None if status.get("phase") in ("Succeeded", "Failed") else status.get("podIP")


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod gets traffic: ready, and not on its way out."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")
