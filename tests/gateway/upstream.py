"""An upstream on a raw socket: keeps the exact bytes of each request and plays back the exact bytes it was given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Recorded", "RecordingUpstream", "json_answer", "recording_upstream", "sse_answer", "stream_events"]


@dataclass
class Recorded:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    def json(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.body)
        return result


class Playback:
    """What a script may do: write bytes, wait, or close."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def chunk(self, data: bytes) -> None:
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def head(self, status: str = "200 OK", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n")

    def cut(self) -> None:
        self.writer.transport.abort()


Script = Callable[[Recorded, Playback], Awaitable[None]]


@dataclass
class RecordingUpstream:
    """Requests in the order they came, and the script that answers the next ones."""

    script: Script
    url: str = ""
    requests: list[Recorded] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a connection was closed by the gateway."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a request has come."""

    @property
    def last(self) -> Recorded:
        return self.requests[-1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await _read(reader):
                self.requests.append(request)
                self.arrived.set()
                gone = asyncio.create_task(self._watch(reader))
                play = asyncio.ensure_future(self.script(request, Playback(writer)))
                try:
                    done, _ = await asyncio.wait([gone, play], return_when=asyncio.FIRST_COMPLETED)
                    if play in done:
                        play.result()
                finally:
                    gone.cancel()
                    play.cancel()
                if writer.is_closing():
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed.set()
            writer.close()

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        """Notice a close while a script still runs."""
        while not reader.at_eof():  # noqa: ASYNC110  (a reader tells of its end in no other way)
            await asyncio.sleep(0.005)
        self.closed.set()


async def _read(reader: asyncio.StreamReader) -> Recorded | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    request = Recorded(method, target, headers, b"")
    if length := request.header("content-length"):
        request.body = await reader.readexactly(int(length))
    elif request.header("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            request.body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    return request


@asynccontextmanager
async def recording_upstream(script: Script) -> AsyncIterator[RecordingUpstream]:
    upstream = RecordingUpstream(script)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, limit=1 << 26)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-5",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    },
}


def json_answer(body: bytes | dict[str, Any] = MESSAGE, status: str = "200 OK", **headers: str) -> Script:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def script(_: Recorded, play: Playback) -> None:
        await play.head(
            status,
            **{"content_type": "application/json", "request_id": "req_up", **headers},
            content_length=str(len(data)),
        )
        await play.raw(data)

    return script


def stream_events(*texts: str, stop_reason: str = "end_turn") -> list[bytes]:
    """The events of a whole answer."""

    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    start = {**MESSAGE, "content": [], "stop_reason": None, "usage": {**MESSAGE["usage"], "output_tokens": 1}}
    return [
        event("message_start", message=start),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("ping"),
        *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": stop_reason, "stop_sequence": None}, usage={"output_tokens": 7}),
        event("message_stop"),
    ]


def sse_answer(*pieces: bytes, pause: float = 0.0, cut: bool = False, **headers: str) -> Script:
    """A stream in exactly these chunks; `cut` resets the connection after them."""

    async def script(_: Recorded, play: Playback) -> None:
        await play.head(
            content_type="text/event-stream; charset=utf-8", request_id="req_up", transfer_encoding="chunked", **headers
        )
        for piece in pieces:
            await play.chunk(piece)
            await asyncio.sleep(pause)
        if cut:
            play.cut()
            return
        await play.raw(b"0\r\n\r\n")

    return script
