"""Large bodies from one client against a real gateway process, while others have streams open.

The process and its peak, read from /proc, are the product's own; the upstream and the clients run here.
`python -m bench.gateway` shows the figures, a test holds them.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from tests.gateway.harness import make_arm, make_config
from tests.gateway.test_process import Process, gateway_process
from tests.gateway.upstream import MESSAGE, stream_events
from tests.waiting import HANGS, until

from claude_operator.api.gateway import BODY_LIMIT, MEMORY, Auth, Overrides, Timeouts, dump_config

__all__ = ["Flood", "Peak", "large_body", "measure", "resident", "spread"]

_LINE = 1 << 16


@dataclass
class Peak:
    """What a flood came to. Bytes; statuses of its calls; streams of others that ended as they should."""

    before: int = 0
    peak: int = 0
    charged: int = 0
    """What the kernel charged the process with at most, its sockets' buffers too; 0 where it cannot be told."""
    statuses: Counter[int] = field(default_factory=Counter)
    whole_streams: int = 0
    broken_streams: Counter[str] = field(default_factory=Counter)
    """By status, or by what broke."""
    longest_gap: float = 0.0
    """Seconds between two events of a stream."""


def resident(pid: int, line: str = "VmRSS") -> int:
    """Bytes of a process: `VmRSS` now, `VmHWM` at most."""
    for each in Path(f"/proc/{pid}/status").read_text().splitlines():
        if each.startswith(line + ":"):
            return int(each.split()[1]) * 1024
    raise ValueError(f"no {line} of process {pid}")


LARGE = BODY_LIMIT - 1024  # leaves room for what the revision adds


def large_body(size: int = LARGE) -> bytes:
    """A request of `size` bytes: a conversation with an image, as applications send them."""
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "X"}}]},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": [{"type": "text", "text": "?", "cache_control": {"type": "ephemeral"}}]},
    ]
    frame = json.dumps({"messages": turns, "max_tokens": 9, "model": "m"}).encode()
    return frame.replace(b'"X"', b'"' + b"A" * (size - len(frame) + 1) + b'"')


def padded(frame: str, unit: str, size: int = LARGE) -> bytes:
    """`frame` with as many of `unit` in place of its X as make up `size` bytes."""
    before, _, after = frame.partition("X")
    return (before + unit * ((size - len(frame)) // len(unit.encode())) + after).encode()


HOSTILE = {
    # What a body takes while it is read and composed, at its worst for its size.
    "wide text": padded(
        '{"messages":[{"role":"user","content":"\U0001f600\\n X"},{"role":"assistant","content":"a"}]}', "abcdefghij "
    ),
    "nested blocks": padded(
        '{"messages":[{"role":"user","content":' + '[{"cache_control":null,"content":' * 40 + '"X"' + "}]" * 40 + "}]}",
        "abcdefghij",
    ),
    "many tools": padded('{"messages":[],"tools":[X0]}', "0,"),
    "many blocks": padded('{"messages":[{"role":"user","content":[{"cache_control":{}},X{}]}]}', "{},"),
    "escapes and commas": padded(
        '{"messages":[{"role":"user","content":"X"},{"role":"assistant","content":"a"}]}', "\\n,"
    ),
    "many fields": padded('{"messages":[],X"z":0}', '"a":0,'),
    "a user's name": padded('{"messages":[],"metadata":{"user_id":"X"}}', "user "),
    "a long system prompt": padded('{"messages":[],"system":[{"type":"text","text":"X"}]}', "Be kind. "),
    "many small tools": padded('{"messages":[],"tools":[X{}]}', '{"name":"abcdefghijklmnopqrstuvwxyz"},' + " " * 60),
}
"""Bodies that cost most to read."""


@dataclass
class Unread:
    """`count` streams without end that nobody reads."""

    url: str
    count: int

    async def run(self, seconds: float, enough: Callable[[], bool]) -> None:
        """For so long, and until there was enough beside them."""
        target = urlsplit(self.url)
        body = b'{"messages":[],"stream":true,"metadata":{"user_id":"endless"}}'
        writers = []
        for _ in range(self.count):
            _, writer = await asyncio.open_connection(target.hostname, target.port)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            writers.append(writer)
        await asyncio.sleep(seconds)
        await until(enough, "nobody else was served")
        for writer in writers:
            writer.transport.abort()


@dataclass
class Flood:
    """`count` bodies at once on `url`, then wait for all."""

    url: str
    count: int = 50
    body: bytes = field(default_factory=large_body)
    chunked: bool = False

    async def run(self, peak: Peak) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            await asyncio.gather(*(self._one(http, peak) for _ in range(self.count)))

    async def _one(self, http: aiohttp.ClientSession, peak: Peak) -> None:
        try:
            async with http.post(self.url, data=self._pieces(), headers=self._headers()) as response:
                await response.read()
                peak.statuses[response.status] += 1
        except aiohttp.ClientError:
            peak.statuses[0] += 1

    def _headers(self) -> dict[str, str]:
        return {} if self.chunked else {"content-length": str(len(self.body))}

    async def _pieces(self) -> Any:
        view = memoryview(self.body)
        for start in range(0, len(view), _LINE):
            yield bytes(view[start : start + _LINE])


async def steady_stream(url: str, expected: bytes, peak: Peak, stop: asyncio.Event) -> None:
    """Streams one after the other until told to stop; each has to come whole."""
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as http:
        while not stop.is_set():
            got, last, end = bytearray(), loop.time(), ""
            try:
                async with http.post(url, json={"messages": [], "stream": True}) as response:
                    end = f"status {response.status}"
                    async for chunk in response.content.iter_any():
                        peak.longest_gap = max(peak.longest_gap, loop.time() - last)
                        last = loop.time()
                        got += chunk
            except aiohttp.ClientError as error:
                end = f"{end} {type(error).__name__}"
            if bytes(got) == expected:
                peak.whole_streams += 1
            else:
                peak.broken_streams[f"{end}: {bytes(got[:200])!r}"] += 1


LONG_EVENT = b"event: ping\ndata: " + b"x" * 20_000 + b"\n\n"
STREAM = stream_events(*"abcdefghijklmnop")


@asynccontextmanager
async def discarding_upstream(pause: float = 0.05) -> AsyncIterator[str]:
    """Reads bodies without keeping them. Large ones get a Message, small ones a stream of `STREAM` with pauses."""
    answer = json.dumps(MESSAGE).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
                left, body = length, b""
                while left:
                    body = await reader.read(min(left, 1 << 20)) or exit_early()
                    left -= len(body)
                if b"endless" in body:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
                    while True:
                        writer.write(LONG_EVENT)
                        await writer.drain()
                if length > _LINE:
                    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
                    writer.write(b"content-length: %d\r\n\r\n" % len(answer) + answer)
                    continue
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                for event in STREAM:
                    writer.write(b"%x\r\n%s\r\n" % (len(event), event))
                    await asyncio.sleep(pause)
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def exit_early() -> bytes:
    """The other end is gone."""
    raise ConnectionResetError


@asynccontextmanager
async def flooded_gateway(folder: Path, *options: str) -> AsyncIterator[tuple[str, int, Path | None]]:
    """A gateway process in front of a discarding upstream: the URL of its messages, its process id and its cgroup.

    Where the kernel lets us it is killed, as a pod is, when it takes more than the limit.
    """
    async with discarding_upstream() as upstream:
        path = folder / "config.json"
        own = {"system": [{"type": "text", "text": "s"}], "tools": [{"name": "look_up", "input_schema": {}}]}
        arm = make_arm(request=own, overrides=Overrides("Append", "Append"))
        patient = Timeouts(connect=HANGS)  # a busy machine may need longer than the default
        path.write_text(dump_config(make_config(upstream, arm, timeouts=patient, auth=Auth("None"))))
        async with (
            limited_memory(MEMORY) as group,
            gateway_process("--config", str(path), *options, ANTHROPIC_API_KEY="k") as gateway,
        ):
            if group is not None:
                (group / "cgroup.procs").write_text(str(gateway.process.pid))
            ports = await gateway.line("listening")
            await gateway.line("config applied")
            reading = asyncio.create_task(_read_on(gateway))
            try:
                yield f"http://127.0.0.1:{ports['port']}/v1/messages", gateway.process.pid, group
            finally:
                reading.cancel()
                await asyncio.wait([reading])
                assert gateway.process.returncode is None, "the gateway died"


GROUPS = Path("/sys/fs/cgroup/memory")


@asynccontextmanager
async def limited_memory(limit: int) -> AsyncIterator[Path | None]:
    """A cgroup whose processes are killed above `limit` bytes, None where none can be made here."""
    group = GROUPS / f"gateway-{secrets.token_hex(4)}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit))
    except OSError:
        yield None
        return
    try:
        yield group
    finally:
        for _ in range(100):  # the kernel takes a moment to see that its last process has ended
            try:
                group.rmdir()
                break
            except OSError:
                await asyncio.sleep(0.05)


async def _read_on(gateway: Process) -> None:
    """Keep its standard output from filling up."""
    while await gateway.process.stdout.readline():  # type: ignore[union-attr]
        pass


async def measure(folder: Path, flood: Callable[[str], Awaitable[None]], peak: Peak, *options: str) -> None:
    """A flood against a gateway while four other clients stream."""
    async with flooded_gateway(folder, *options) as (url, pid, group):
        stop = asyncio.Event()
        streams = [asyncio.create_task(steady_stream(url, b"".join(STREAM), peak, stop)) for _ in range(4)]
        await asyncio.sleep(0.5)
        peak.before = resident(pid)
        await flood(url)
        stop.set()
        await asyncio.gather(*streams)
        peak.peak = resident(pid, "VmHWM")
        if group is not None:
            peak.charged = int((group / "memory.max_usage_in_bytes").read_text())


def spread(values: list[float]) -> str:
    """Minimum, median, maximum."""
    return f"{min(values):.0f} / {statistics.median(values):.0f} / {max(values):.0f}"
