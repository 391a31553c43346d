"""Configs and credentials that change while calls run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.gateway.harness import CANARY, CLIENT_KEY, STABLE, Gateway, make_arm, make_config, running_gateway
from tests.gateway.upstream import Playback, Recorded, json_answer, recording_upstream, sse_answer, stream_events
from tests.waiting import HANGS, until

from claude_operator.api.gateway import Arm, dump_config

SERVER = {"type": "url", "name": "docs", "url": "https://mcp.example.com", "authorization_token": "$(DOCS)"}


def with_token() -> Arm:
    return make_arm(request={"mcp_servers": [SERVER]})


async def token_sent(gateway: Gateway) -> str:
    await gateway.post()
    token: str = gateway.upstream.last.json()["mcp_servers"][0]["authorization_token"]
    return token


async def test_a_config_that_does_not_parse_is_refused_whole(gateway: Gateway) -> None:
    for broken in (b"", b"{", b'{"generation":9}', dump_config(gateway.config).replace("10000", "9999").encode()):
        gateway.offer(broken)
        evidence = await gateway.evidence()
        assert evidence.config_generation == 1
        assert evidence.config_error.startswith("gateway config: ")
        assert (await gateway.post())[0].status == 200
    gateway.serve(generation=2)
    evidence = await gateway.evidence()
    assert (evidence.config_generation, evidence.config_error) == (2, "")


async def test_a_config_waits_for_a_token_that_is_not_there_yet(gateway: Gateway) -> None:
    control = gateway.service.control
    gateway.serve(with_token(), env=["DOCS"], generation=2)
    assert control.generation == 1
    assert "$(DOCS)" in control.error
    (gateway.files.env / "DOCS").write_text("t0ken\n")
    control.reload_credentials()
    assert (control.generation, control.error) == (2, "")
    assert await token_sent(gateway) == "t0ken"
    assert gateway.upstream.last.header("anthropic-beta") == "mcp-client-2025-11-20"


async def test_a_new_token_is_used_and_a_lost_one_kept(gateway: Gateway) -> None:
    control, file = gateway.service.control, gateway.files.env / "DOCS"
    file.write_text("old")
    gateway.serve(with_token(), env=["DOCS"], generation=2)
    file.write_text("new")

    async def is_used() -> bool:
        return await token_sent(gateway) == "new"

    await until(is_used)  # the gateway looks once a second by itself
    file.unlink()
    control.reload_credentials()
    gateway.serve(with_token(), env=["DOCS"], generation=3)  # a rollback must not hang on a Secret
    assert control.generation == 3
    assert await token_sent(gateway) == "new"


async def test_a_name_that_is_no_file_name_is_never_opened(gateway: Gateway) -> None:
    server = {**SERVER, "authorization_token": "$(DOCS)"}
    gateway.serve(make_arm(request={"mcp_servers": [server]}), env=["../upstream-key", "DOCS/../x"], generation=2)
    assert gateway.service.control.generation == 1


async def test_a_call_in_flight_keeps_the_arm_it_began_with(gateway: Gateway) -> None:
    go_on = asyncio.Event()
    start, *rest = stream_events("x")

    async def script(_: Recorded, play: Playback) -> None:
        await play.head(content_type="text/event-stream", transfer_encoding="chunked")
        await play.chunk(start)
        await go_on.wait()
        await play.chunk(b"".join(rest))
        await play.raw(b"0\r\n\r\n")

    gateway.upstream.script = script
    call = asyncio.create_task(gateway.post({"messages": [], "stream": True}))
    await asyncio.wait_for(gateway.upstream.arrived.wait(), HANGS)
    gateway.serve(make_arm(CANARY, "canary"), generation=2)
    go_on.set()
    response, body = await call
    assert response.headers["x-claude-revision"] == STABLE
    assert body == start + b"".join(rest)
    old, new = (await gateway.evidence()).generations
    assert (old.generation, old.strata[0].revision, old.strata[0].counters.outcomes) == (1, STABLE, {"ok": 1})
    assert (new.generation, new.strata) == (2, [])


async def test_swaps_under_load_lose_nothing(gateway: Gateway) -> None:
    answers = {True: sse_answer(*stream_events("a", "b"), pause=0.002), False: json_answer()}

    async def script(request: Recorded, play: Playback) -> None:
        await answers[request.json().get("stream", False)](request, play)

    gateway.upstream.script = script
    calls_each, clients = 25, 8

    async def client(number: int) -> list[int]:
        statuses = []
        for turn in range(calls_each):
            body = {"messages": [], "stream": bool((number + turn) % 2)}
            response, data = await gateway.post(body, {"x-claude-session-id": f"{number}-{turn}"})
            complete = b"message_stop" in data if body["stream"] else json.loads(data)["type"] == "message"
            statuses.append(response.status if complete else 0)
        return statuses

    async def swap() -> None:
        for generation in range(2, 1000):
            weight = generation * 37 % 10_001
            gateway.serve(make_arm(weight=10_000 - weight), make_arm(CANARY, "canary", weight), generation=generation)
            await asyncio.sleep(0.003)

    swapping = asyncio.create_task(swap())
    results = await asyncio.gather(*map(client, range(clients)))
    swapping.cancel()
    assert gateway.service.control.generation > 10
    assert [status for statuses in results for status in statuses] == [200] * calls_each * clients
    lines = await gateway.lines(calls_each * clients)
    assert {line["outcome"] for line in lines} == {"ok"}
    assert {line["arm"] for line in lines} == {"stable", "canary"}


@pytest.fixture
async def laptop(tmp_path: Path) -> AsyncIterator[Gateway]:
    (tmp_path / "laptop").mkdir()
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path / "laptop", on_a_laptop=True) as running,
    ):
        yield running


async def test_a_file_is_followed(laptop: Gateway, tmp_path: Path) -> None:
    from claude_operator.gateway.source import FileSource
    from claude_operator.log import Log

    gateway = laptop
    control, path = gateway.service.control, tmp_path / "config.json"
    following = asyncio.create_task(FileSource(path, Log(gateway.output, "json")).run(control.offer))
    try:
        await asyncio.sleep(0.15)
        for generation, write in enumerate((in_place, replaced, mounted, mounted, in_place), start=2):
            document = dump_config(make_config(gateway.upstream.url, make_arm(), generation=generation))
            write(path, document)
            await served(control, generation)
        path.unlink()
        await asyncio.sleep(0.15)
        assert control.generation == 6
        replaced(path, document.replace('"generation":6', '"generation":7'))
        await served(control, 7)
    finally:
        following.cancel()


async def served(control: Any, generation: int) -> None:
    await until(lambda: control.generation == generation)


def in_place(path: Path, document: str) -> None:
    path.write_text(document)


def replaced(path: Path, document: str) -> None:
    (path.parent / "new").write_text(document)
    (path.parent / "new").rename(path)


def mounted(path: Path, document: str) -> None:
    """As the kubelet writes a ConfigMap: a new folder, and a link swapped to it."""
    folder = path.parent / f"..{len(list(path.parent.iterdir()))}"
    folder.mkdir()
    (folder / path.name).write_text(document)
    link = path.parent / "..tmp"
    link.symlink_to(folder.name)
    link.rename(path.parent / "..data")
    if not path.is_symlink():
        path.unlink()
        path.symlink_to(f"..data/{path.name}")


async def test_probes(gateway: Gateway) -> None:
    async def status(path: str) -> int:
        async with gateway.http.get(gateway.admin + path) as response:
            return response.status

    assert await status("/-/ready") == 200
    assert await status("/-/live") == 200
    gateway.service.draining = True
    assert await status("/-/ready") == 503
    assert await status("/-/live") == 200
    response, _ = await gateway.post()
    assert response.headers["connection"] == "close"
    live, gateway.service.control.live = gateway.service.control.live, None
    gateway.service.draining = False
    assert await status("/-/ready") == 503
    assert (await gateway.post())[0].status == 503
    gateway.service.control.live = live


async def test_the_admin_port_is_another(gateway: Gateway) -> None:
    headers = {"x-api-key": CLIENT_KEY}
    async with gateway.http.post(gateway.admin + "/v1/messages", json={}, headers=headers) as response:
        assert response.status == 404
    async with aiohttp.ClientSession() as client, client.get(gateway.url + "/-/ready") as response:
        assert response.status == 404
