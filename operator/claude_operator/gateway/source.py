"""Where configs come from: a file, or one ConfigMap watched through the API server."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import msgspec

from claude_operator.api.gateway import CONFIG_KEY, FURTHER_KEYS
from claude_operator.gateway.document import Document
from claude_operator.log import Log

__all__ = ["ApiServer", "ConfigMapSource", "FileSource", "Source"]

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_FILE_INTERVAL = 0.1  # seconds between two looks
_WATCH_SECONDS = 60  # after which a watch ends and the list is read again, in case an event was lost
_SILENCE = 75.0  # seconds without a byte after which a watch is given up
_BACKOFF = (0.2, 5.0)  # seconds: first and longest

Offer = Callable[[Document], None]


class Source(Protocol):
    """Reads configs."""

    async def run(self, offer: Offer) -> None:
        """Hand each document that is read to `offer`; never returns."""


class FileSource:
    """A file, followed through atomic replacement and swapped symlinks.

    `signed`: the signature and what goes with it are files beside it.
    """

    def __init__(self, path: Path, log: Log, *, signed: bool = False) -> None:
        self._path = path
        self._signed = signed
        self._log = log
        self._seen: tuple[int, ...] | None = None

    async def run(self, offer: Offer) -> None:
        """Look ten times a second; read the document when the file was replaced or written to."""
        missing = False
        while True:
            try:
                self.poll(offer)
                missing = False
            except OSError as error:
                if not missing:
                    self._log.event(
                        "the config file cannot be read", "warning", path=str(self._path), reason=error.strerror
                    )
                missing = True
            await asyncio.sleep(_FILE_INTERVAL)

    def poll(self, offer: Offer) -> None:
        """Read the file if it changed; raises OSError."""
        path = self._path.resolve(strict=True)  # a mounted ConfigMap's keys are read from one version of it
        found = path.stat()
        look = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
        if look != self._seen:
            document = Document.of(path.read_bytes(), self._further(path))
            self._seen = look
            offer(document)

    def _further(self, path: Path) -> dict[str, str]:
        files = [path.with_name(key) for key in FURTHER_KEYS] if self._signed else []
        return {file.name: file.read_text("utf-8", "replace") for file in files if file.exists()}


@dataclass(frozen=True, slots=True)
class ApiServer:
    """How a pod reaches its API server. The token is read again for each request, since it is renewed."""

    url: str
    token: Path
    ca: Path | None

    @classmethod
    def of_pod(cls) -> ApiServer:
        """From what the kubelet gives every pod; raises RuntimeError outside of one."""
        host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
        if not host:
            raise RuntimeError("--configmap works only in a pod (no KUBERNETES_SERVICE_HOST): use --config FILE here")
        return cls(
            url=f"https://{f'[{host}]' if ':' in host else host}:{port}",
            token=SERVICE_ACCOUNT / "token",
            ca=SERVICE_ACCOUNT / "ca.crt",
        )

    def namespace(self) -> str:
        """The pod's own."""
        return self.token.with_name("namespace").read_text().strip()

    def session(self) -> aiohttp.ClientSession:
        """A client whose connections notice within half a minute that the other end has gone."""
        tls = ssl.create_default_context(cafile=str(self.ca)) if self.ca else True
        connector = aiohttp.TCPConnector(ssl=tls, socket_factory=_keepalive_socket)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=_SILENCE)
        return aiohttp.ClientSession(self.url, connector=connector, timeout=timeout)

    def headers(self) -> dict[str, str]:
        """Authorization with the token of now."""
        try:
            return {"Authorization": f"Bearer {self.token.read_text().strip()}", "Accept": "application/json"}
        except OSError:
            return {"Accept": "application/json"}


class ConfigMapSource:
    """One ConfigMap, listed and watched by name. `mounted` is the same as a file, used until the first list."""

    def __init__(self, namespace: str, name: str, server: ApiServer, mounted: Path, log: Log) -> None:
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self._query = {"fieldSelector": f"metadata.name={name}"}
        self._server = server
        self._mounted = FileSource(mounted, log, signed=True)
        self._log = log
        self._listed = asyncio.Event()

    async def run(self, offer: Offer) -> None:
        """List and watch in a loop; after a failure it pauses before the next try."""
        mounted = asyncio.create_task(self._until_listed(offer))
        pause = _BACKOFF[0]
        try:
            async with self._server.session() as session:
                while True:
                    try:
                        await self._watch(session, await self._list(session, offer), offer)
                        pause = _BACKOFF[0]
                    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, msgspec.MsgspecError) as error:
                        self._log.event("watch broke off", "warning", reason=_reason(error), again_in=round(pause, 1))
                        await asyncio.sleep(pause * random.uniform(0.75, 1.25))
                        pause = min(2 * pause, _BACKOFF[1])
        finally:
            mounted.cancel()

    async def _until_listed(self, offer: Offer) -> None:
        """Follow the mounted file, which lags behind the watch, until the first list."""
        following = asyncio.create_task(self._mounted.run(offer))
        try:
            await self._listed.wait()
        finally:
            following.cancel()

    async def _list(self, session: aiohttp.ClientSession, offer: Offer) -> str:
        """Offer the ConfigMap as it is; returns the version to watch from. A missing one changes nothing."""
        async with session.get(self._path, params=self._query, headers=self._server.headers()) as response:
            response.raise_for_status()
            listed = msgspec.json.decode(await response.read(), type=_List)
        self._listed.set()
        for item in listed.items:
            self._offer(item, offer)
        if not listed.items:
            self._log.event("the ConfigMap does not exist", "warning", keeps="the config being served")
        return listed.metadata.resource_version

    async def _watch(self, session: aiohttp.ClientSession, version: str, offer: Offer) -> None:
        """Follow changes until the server ends the watch; raises ValueError when it cannot go on from here."""
        query = {**self._query, "watch": "true", "resourceVersion": version, "timeoutSeconds": str(_WATCH_SECONDS)}
        async with session.get(self._path, params=query, headers=self._server.headers()) as response:
            response.raise_for_status()
            async for line in _lines(response.content):
                event = msgspec.json.decode(line, type=_WatchEvent)
                match event.type:
                    case "ADDED" | "MODIFIED":
                        self._offer(msgspec.json.decode(event.object, type=_ConfigMap), offer)
                    case "DELETED":
                        self._log.event("the ConfigMap was deleted", "warning", keeps="the config being served")
                    case "ERROR":
                        raise ValueError("the resourceVersion of the watch is too old")

    def _offer(self, item: _ConfigMap, offer: Offer) -> None:
        data = item.data or {}
        document = data.get(CONFIG_KEY)
        if document is None:
            self._log.event(f"the ConfigMap has no key {CONFIG_KEY}", "warning")
        else:
            offer(Document.of(document.encode(), data))


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] | None = None


class _List(msgspec.Struct):
    metadata: _Metadata
    items: list[_ConfigMap] = []


class _WatchEvent(msgspec.Struct):
    type: str
    object: msgspec.Raw = msgspec.Raw(b"null")


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length."""
    tail = b""
    async for chunk in content.iter_any():
        *lines, tail = (tail + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                yield line


def _keepalive_socket(address: Any) -> socket.socket:
    """A TCP socket that closes a silent connection after 25 seconds, for example after the loss of a node."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
    return made


def _reason(error: Exception) -> str:
    """The HTTP status where there is one, else the kind of error."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"HTTP {error.status}"
    return type(error).__name__
