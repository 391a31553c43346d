"""The gateways' admin ports: samples that they hand out, and verdicts that they count."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from claude_operator.api.evidence import Grade
from claude_operator.api.samples import SAMPLES_PATH, Samples, parse_samples
from claude_operator.core.operator_key import address, ask, is_answer
from claude_operator.kube.bodies import read_body

__all__ = ["Place", "Pods", "Sent", "find_places"]

_PATIENCE = 5.0  # seconds
_CONNECT = 2.0  # seconds
_LARGEST = 32 * 1024 * 1024  # bytes; a gateway keeps 4 MiB of samples, which escapes may make more
_GRADES_PATH = "/-/grades"

Sent = Literal["counted", "dropped", "again", "gone"]
"""What became of a verdict: `again` where it may have arrived, `gone` where nobody was there to get it."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """The admin port of a gateway pod."""

    host: str
    port: int

    @property
    def pod(self) -> str:
        """What stands for the pod in proofs."""
        return address(self.host, self.port)

    def url(self, target: str) -> URL:
        """Of a path with its query."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return URL(f"http://{host}:{self.port}{target}", encoded=True)


async def find_places(name: str) -> list[Place]:
    """The addresses behind `HOST:PORT`, none where the name leads nowhere now."""
    host, _, port = name.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, family=socket.AF_UNSPEC
        )
    except OSError:
        return []
    return sorted({Place(str(where[0]).partition("%")[0], int(port)) for *_, where in found})


class Pods:
    """Asks pods, while entered. `key` gives the graders' key as it is now.

    A pod proves its answers with that key, and gets it never: who has its address now learns nothing.
    """

    def __init__(self, key: Callable[[], bytes]) -> None:
        self._key = key
        self._cursors: dict[Place, str] = {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # A pod that went away must not hold a connection that the next one of its address gets.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100, force_close=True),
            timeout=aiohttp.ClientTimeout(total=_PATIENCE, sock_connect=_CONNECT),
            trust_env=False,
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def forget(self, living: Sequence[Place]) -> None:
        """Drop what is known of pods that are gone."""
        self._cursors = {place: cursor for place, cursor in self._cursors.items() if place in living}

    async def take(self, place: Place, canary: int, stable: int, trouble: str = "") -> Samples | None:
        """Up to so many samples of each arm, which the pod then forgets; None where it does not answer.

        `trouble`: what keeps the grader from grading, which the pod shows the operator.
        """
        if place not in self._cursors and await self._ask(place, 0, 0, trouble) is None:  # which hands nothing out
            return None
        return await self._ask(place, canary, stable, trouble)

    async def _ask(self, place: Place, canary: int, stable: int, trouble: str) -> Samples | None:
        asked = {"canary": canary, "stable": stable, "after": self._cursors.pop(place, "")}
        query = urlencode(asked | ({"trouble": trouble} if trouble else {}))
        found = await self._get(place, f"{SAMPLES_PATH}?{query}")
        if found is not None:
            self._cursors[place] = found.next
        return found

    async def report(self, place: Place, grade: Grade) -> Sent:
        """Tell a pod a verdict. The same verdict counts once there, however often it is told."""
        key = self._key()
        if not key or self._session is None:
            return "again"
        body = msgspec.json.encode(grade)
        target = f"{_GRADES_PATH}?sha256={hashlib.sha256(body).hexdigest()}"
        headers = ask(key, pod=place.pod, method="POST", target=target, nonce=secrets.token_hex(16))
        try:
            async with self._session.post(place.url(target), data=body, headers=headers, allow_redirects=False) as one:
                if one.status == 204:
                    return "counted"
                return "dropped" if one.status in (400, 404) else "again"
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):  # no byte was sent
            return "gone"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return "again"

    async def _get(self, place: Place, target: str) -> Samples | None:
        key = self._key()
        if not key or self._session is None:
            return None
        nonce = secrets.token_hex(16)
        headers = ask(key, pod=place.pod, method="GET", target=target, nonce=nonce)
        try:
            async with self._session.get(place.url(target), headers=headers, allow_redirects=False) as one:
                if one.status != 200:
                    return None
                body = await read_body(one.content, _LARGEST)
                if not is_answer(key, pod=place.pod, nonce=nonce, body=body, headers=one.headers):
                    return None
                return parse_samples(body)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None
