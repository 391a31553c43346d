"""`claude-operator gateway` as a process: start, serve, SIGTERM with streams open."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.gateway.harness import make_arm, make_config
from tests.gateway.upstream import Playback, Recorded, RecordingUpstream, recording_upstream, stream_events
from tests.waiting import HANGS

from claude_operator.api.gateway import Auth, dump_config

pytestmark = pytest.mark.slow  # each starts an interpreter

FIRST, *REST = stream_events("x")
STREAM = {"messages": [], "stream": True}


@dataclass
class Process:
    """The process, its ports, and what it has logged."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]] = field(default_factory=list)

    async def line(self, message: str) -> dict[str, Any]:
        """The next line with this message."""
        assert self.process.stdout is not None
        while True:
            read = await asyncio.wait_for(self.process.stdout.readline(), HANGS)
            assert read, f"the process ended: {self.lines}"
            self.lines.append(json.loads(read))
            if self.lines[-1]["message"] == message:
                return self.lines[-1]


@asynccontextmanager
async def gateway_process(*arguments: str, files: int | None = None, **environment: str) -> AsyncIterator[Process]:
    """A gateway; `files` is how many it may open."""
    limit = () if files is None else ("sh", "-c", f'ulimit -n {files}; exec "$@"', "sh")
    process = await asyncio.create_subprocess_exec(
        *limit, sys.executable, "-m", "claude_operator", "gateway", "--log-format", "json", "--host", "127.0.0.1",
        "--port", "0", "--admin-port", "0", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, **environment},
    )  # fmt: skip
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@dataclass
class Held:
    """An upstream whose streams stop after the first event until they are let go."""

    upstream: RecordingUpstream
    go_on: asyncio.Event


@pytest.fixture
async def held() -> AsyncIterator[Held]:
    go_on = asyncio.Event()

    async def script(_: Recorded, play: Playback) -> None:
        await play.head(content_type="text/event-stream", transfer_encoding="chunked")
        await play.chunk(FIRST)
        await go_on.wait()
        await play.chunk(b"".join(REST))
        await play.raw(b"0\r\n\r\n")

    async with recording_upstream(script) as upstream:
        yield Held(upstream, go_on)


@pytest.fixture
def config(tmp_path: Path, held: Held) -> Path:
    path = tmp_path / "config.json"
    path.write_text(dump_config(make_config(held.upstream.url, make_arm())).replace('"ApiKey"', '"None"'))
    return path


async def test_sigterm_finishes_open_streams(held: Held, config: Path) -> None:
    options = ("--config", str(config), "--settle-seconds", "8", "--drain-seconds", str(HANGS))
    async with gateway_process(*options, ANTHROPIC_API_KEY="sk-ant-env") as gateway, aiohttp.ClientSession() as http:
        ports = await gateway.line("listening")
        await gateway.line("config applied")
        url, admin = f"http://127.0.0.1:{ports['port']}/v1/messages", f"http://127.0.0.1:{ports['admin_port']}"
        streams = [await http.post(url, json=STREAM) for _ in range(5)]
        for stream in streams:
            assert await stream.content.readany() == FIRST
        gateway.process.send_signal(signal.SIGTERM)
        assert (await gateway.line("draining"))["in_flight"] == 5
        async with http.get(admin + "/-/ready") as response:
            assert response.status == 503
        late = await http.post(url, json=STREAM)  # Endpoints have not followed yet
        assert late.headers["connection"] == "close"
        await refused(ports["port"])
        assert gateway.process.returncode is None
        held.go_on.set()
        for stream in streams:
            assert await stream.read() == b"".join(REST)
        assert await late.read() == FIRST + b"".join(REST)
        await gateway.line("stopped")
        assert await gateway.process.wait() == 0
        calls = [line for line in gateway.lines if line["message"] == "call"]
        assert [line["outcome"] for line in calls] == ["ok"] * 6
        assert held.upstream.last.header("x-api-key") == "sk-ant-env"


async def refused(port: int) -> None:
    """Wait until nobody listens there."""
    async with asyncio.timeout(HANGS):
        with suppress(ConnectionRefusedError):
            while True:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await asyncio.sleep(0.05)


async def test_what_outlives_the_drain_ends_with_an_error_event(held: Held, config: Path) -> None:
    options = ("--config", str(config), "--settle-seconds", "0", "--drain-seconds", "0.3")
    async with gateway_process(*options, ANTHROPIC_API_KEY="k") as gateway, aiohttp.ClientSession() as http:
        ports = await gateway.line("listening")
        await gateway.line("config applied")
        stream = await http.post(f"http://127.0.0.1:{ports['port']}/v1/messages", json=STREAM)
        assert await stream.content.readany() == FIRST
        gateway.process.send_signal(signal.SIGTERM)
        end = await stream.read()
        assert end.startswith(b"event: error\ndata: ")
        assert json.loads(end.partition(b"data: ")[2])["error"]["type"] == "api_error"
        assert await gateway.process.wait() == 0
        assert not held.go_on.is_set()


async def test_it_waits_for_a_config_that_is_not_there_yet(tmp_path: Path, held: Held, config: Path) -> None:
    late = tmp_path / "late.json"
    async with gateway_process("--config", str(late)) as gateway, aiohttp.ClientSession() as http:
        ports = await gateway.line("listening")
        await gateway.line("the config file cannot be read")
        async with http.get(f"http://127.0.0.1:{ports['admin_port']}/-/ready") as response:
            assert response.status == 503
        os.replace(config, late)  # noqa: PTH105
        await gateway.line("config applied")
        async with http.get(f"http://127.0.0.1:{ports['admin_port']}/-/ready") as response:
            assert response.status == 200


async def test_outside_a_pod_a_configmap_is_a_clear_error() -> None:
    async with gateway_process("--configmap", "support-gateway", KUBERNETES_SERVICE_HOST="") as gateway:
        line = await gateway.line("cannot start")
        assert "--config FILE" in line["reason"]
        assert await gateway.process.wait() == 1


async def test_a_laptop_without_a_key_is_told_the_flag_and_the_variable(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(dump_config(make_config("http://127.0.0.1:1", make_arm(), auth=Auth("None"))))
    async with gateway_process("--config", str(config), ANTHROPIC_API_KEY="") as process:
        port = (await process.line("listening"))["port"]
        await process.line("no upstream API key")
        url = f"http://127.0.0.1:{port}/v1/messages"
        async with aiohttp.ClientSession() as http, http.post(url, json={"messages": []}) as response:
            assert response.status == 500
            message = (await response.json())["error"]["message"]
        assert "ANTHROPIC_API_KEY" in message
        assert "--upstream-key-file" in message
