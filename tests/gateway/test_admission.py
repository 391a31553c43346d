"""Who is let in, and what the gateway itself turns away."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.gateway.harness import CANARY, CLIENT_KEY, STABLE, UPSTREAM_KEY, Gateway, make_arm, running_gateway
from tests.gateway.upstream import Playback, Recorded, json_answer, recording_upstream
from tests.waiting import HANGS

from claude_operator.api.gateway import Assigning, Auth, Timeouts


def refusal(body: bytes, response: Any) -> tuple[int, str, str]:
    """Status, type and message of an error in the API's envelope, which names its request."""
    data = json.loads(body)
    assert set(data) == {"type", "error", "request_id"}
    assert data["type"] == "error"
    assert data["request_id"] == response.headers["request-id"]
    assert data["request_id"].startswith("req_")
    assert response.headers["content-type"] == "application/json"
    return response.status, data["error"]["type"], data["error"]["message"]


# ----------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": f"Bearer {CLIENT_KEY}"}, 200),
        ({"authorization": f"bearer  {CLIENT_KEY}"}, 200),
        ({"authorization": "", "x-api-key": CLIENT_KEY}, 200),
        ({"x-api-key": "stale"}, 200),
        ({"authorization": "Bearer stale", "x-api-key": CLIENT_KEY}, 200),
        ({"authorization": "Basic dTpw", "x-api-key": f" {CLIENT_KEY}"}, 200),
        ({"authorization": "Bearer stale", "x-api-key": "stale"}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Bearer {CLIENT_KEY}x"}, 401),
        ({"authorization": "", "x-api-key": "wrong"}, 401),
        ({"authorization": f"Basic {CLIENT_KEY}"}, 401),
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer é"}, 401),
    ],
)
async def test_the_client_key_in_either_header(gateway: Gateway, headers: dict[str, str], status: int) -> None:
    response, body = await gateway.post(headers=headers)
    assert response.status == status
    if status == 401:
        assert refusal(body, response)[1] == "authentication_error"
        assert "ANTHROPIC_API_KEY" in refusal(body, response)[2]
        assert response.headers["x-should-retry"] == "false"
        assert gateway.upstream.requests == []
        assert (await gateway.lines())[0]["outcome"] == "refused"
    else:
        assert gateway.upstream.last.all("x-api-key") == [UPSTREAM_KEY]
        assert gateway.upstream.last.header("authorization") is None


async def test_everything_under_v1_needs_the_key(gateway: Gateway) -> None:
    response, _ = await gateway.post(headers={"authorization": "Bearer wrong"}, path="/v1/messages/batches")
    assert response.status == 401
    assert gateway.upstream.requests == []


async def test_both_keys_are_good_while_one_is_rotated(gateway: Gateway) -> None:
    client, control = gateway.files.client, gateway.service.control
    (client / "ANTHROPIC_API_KEY").write_text("new-key\n")
    (client / "ANTHROPIC_API_KEY_PREVIOUS").write_text(CLIENT_KEY)
    control.reload_credentials()
    for key in ("new-key", CLIENT_KEY):
        assert (await gateway.post(headers={"x-api-key": key, "authorization": ""}))[0].status == 200
    (client / "ANTHROPIC_API_KEY_PREVIOUS").unlink()
    control.reload_credentials()
    assert (await gateway.post())[0].status == 401
    assert (await gateway.post(headers={"authorization": "Bearer new-key"}))[0].status == 200


@pytest.mark.parametrize("content", ["", "\n", None])
async def test_a_key_that_was_withdrawn_is_refused_also_if_it_was_the_last(
    gateway: Gateway, content: str | None
) -> None:
    file, control = gateway.files.client / "ANTHROPIC_API_KEY", gateway.service.control
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    control.reload_credentials()
    response, body = await gateway.post()
    assert response.status == 401
    assert "the gateway has no client keys, so it accepts no key" in body.decode()
    file.write_text("another")
    control.reload_credentials()
    assert (await gateway.post(headers={"authorization": "Bearer another"}))[0].status == 200


async def test_the_previous_key_alone_is_good_while_the_current_one_is_empty(gateway: Gateway) -> None:
    client, control = gateway.files.client, gateway.service.control
    (client / "ANTHROPIC_API_KEY_PREVIOUS").write_text(CLIENT_KEY)
    (client / "ANTHROPIC_API_KEY").write_text("")
    control.reload_credentials()
    assert (await gateway.post())[0].status == 200


async def test_a_moment_of_a_mount_that_cannot_be_read_refuses_nobody(gateway: Gateway) -> None:
    file, control = gateway.files.client / "ANTHROPIC_API_KEY", gateway.service.control
    file.unlink()
    file.symlink_to(file)  # whoever reads it gets an error of the file system
    control.reload_credentials()
    assert (await gateway.post())[0].status == 200


async def test_passthrough_sends_the_clients_own_key(gateway: Gateway) -> None:
    gateway.serve(auth=Auth("Passthrough"), generation=2)
    await gateway.post(headers={"authorization": "Bearer sk-ant-own"})
    assert gateway.upstream.last.all("authorization") == ["Bearer sk-ant-own"]
    assert gateway.upstream.last.header("x-api-key") is None
    await gateway.post(headers={"authorization": "", "x-api-key": "sk-ant-own"})
    assert gateway.upstream.last.all("x-api-key") == ["sk-ant-own"]
    response, _ = await gateway.post(headers={"authorization": ""})
    assert response.status == 401


async def test_without_auth_anybody_is_served(gateway: Gateway) -> None:
    gateway.serve(auth=Auth("None"), generation=2)
    response, _ = await gateway.post(headers={"authorization": "Bearer whatever"})
    assert response.status == 200
    assert gateway.upstream.last.all("x-api-key") == [UPSTREAM_KEY]
    assert gateway.upstream.last.header("authorization") is None


async def test_a_new_upstream_key_is_taken_up_and_a_lost_one_kept(gateway: Gateway) -> None:
    gateway.files.upstream_key.write_text("sk-ant-new")
    gateway.service.control.reload_credentials()
    await gateway.post()
    assert gateway.upstream.last.all("x-api-key") == ["sk-ant-new"]
    gateway.files.upstream_key.unlink()
    gateway.service.control.reload_credentials()
    await gateway.post()
    assert gateway.upstream.last.all("x-api-key") == ["sk-ant-new"]


@pytest.mark.parametrize(
    ("on_a_laptop", "remedy", "key_remedy"),
    [
        (True, ("ANTHROPIC_API_KEY", "--upstream-key-file"), "--client-dir"),
        (False, ("spec.upstream.apiKeySecretRef",), "Secret <name>-client"),
    ],
)
async def test_a_key_that_is_missing_is_named_and_not_waited_for(
    tmp_path: Path, on_a_laptop: bool, remedy: tuple[str, ...], key_remedy: str
) -> None:
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path, on_a_laptop=on_a_laptop) as gateway,
    ):
        gateway.files.upstream_key.unlink()
        gateway.serve()
        response, body = await gateway.post()
        assert refusal(body, response)[:2] == (500, "api_error")
        assert response.headers["x-should-retry"] == "false"
        assert all(word in refusal(body, response)[2] for word in remedy)
        warning = next(line for line in map(json.loads, gateway.output.getvalue().splitlines()) if "remedy" in line)
        assert warning["level"] == "warning"
        assert all(word in warning["remedy"] for word in remedy)
        response, body = await gateway.post(headers={"authorization": "Bearer wrong"})
        assert response.headers["x-should-retry"] == "false"
        assert key_remedy in refusal(body, response)[2]


# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("path", ["/", "/health", "/v2/messages", "/v1", "/-/evidence", "/metrics"])
async def test_other_paths_are_not_found(gateway: Gateway, path: str) -> None:
    response, body = await gateway.post(path=path)
    assert refusal(body, response)[:2] == (404, "not_found_error")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"messages": }', b"\xff", b"null"])
async def test_what_is_no_json_object_is_refused(gateway: Gateway, body: bytes) -> None:
    response, answer = await gateway.post(body)
    assert refusal(answer, response)[:2] == (400, "invalid_request_error")
    assert gateway.upstream.requests == []
    assert await gateway.outcomes() == {}


async def test_an_encoded_body_is_refused(gateway: Gateway) -> None:
    response, answer = await gateway.post(b"\x1f\x8b", {"content-encoding": "gzip"})
    assert refusal(answer, response)[:2] == (400, "invalid_request_error")


@pytest.mark.parametrize("chunked", [True, False])
async def test_more_than_32_mb_is_too_large(gateway: Gateway, chunked: bool) -> None:
    size = 32 * 1024 * 1024 + 1

    async def pieces() -> Any:
        for _ in range(33):
            yield b"x" * (1 << 20)

    headers = {"x-api-key": CLIENT_KEY} | ({} if chunked else {"content-length": str(size)})
    if chunked:
        async with gateway.http.post(gateway.url + "/v1/messages", data=pieces(), headers=headers) as response:
            body = await response.read()
        assert refusal(body, response)[:2] == (413, "request_too_large")
        return
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.service.port)
    writer.write(f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {CLIENT_KEY}\r\n".encode())
    writer.write(f"content-length: {size}\r\n\r\n".encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")  # before a byte of it was sent
    writer.close()


async def test_expect_continue_is_answered(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.service.port)
    writer.write(f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {CLIENT_KEY}\r\n".encode())
    writer.write(b"expect: 100-continue\r\ncontent-length: 15\r\n\r\n")
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANGS) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b'{"messages":[]}')
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    assert gateway.upstream.last.header("expect") is None
    writer.close()


@pytest.mark.parametrize(
    "junk", [b"\x16\x03\x01\x02\r\n\r\n", b"POST /v1/messages HTTP/1.1\r\nx-api-key SECRET\r\n\r\n"]
)
async def test_what_is_not_http_is_refused_and_not_quoted(gateway: Gateway, junk: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.service.port)
    writer.write(junk)
    head, _, body = (await asyncio.wait_for(reader.read(), HANGS)).partition(b"\r\n\r\n")
    writer.close()
    assert head.split(b" ")[1] == b"400"
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert b"SECRET" not in body


async def test_without_a_revision_it_says_so(gateway: Gateway) -> None:
    gateway.offer(
        b'{"generation":2,"deployment":{"name":"n","namespace":"n","uid":"u"},"arms":[]}',
    )
    response, body = await gateway.post()
    assert refusal(body, response) == (503, "api_error", "no revision serves yet: try again later")
    assert await gateway.outcomes() == {}


# ---------------------------------------------------------------------------------- upstream failures


async def test_a_refused_connection_is_a_bad_gateway(gateway: Gateway) -> None:
    gateway.serve(url="http://127.0.0.1:1", generation=2)
    response, body = await gateway.post()
    assert refusal(body, response)[:2] == (502, "api_error")
    assert response.headers["x-claude-revision"] == STABLE
    assert await gateway.outcomes() == {"error": 1}


async def test_a_connection_cut_before_the_answer_is_a_bad_gateway(gateway: Gateway) -> None:
    async def script(_: Recorded, play: Playback) -> None:
        play.cut()

    gateway.upstream.script = script
    response, body = await gateway.post()
    assert refusal(body, response)[:2] == (502, "api_error")


async def test_a_json_answer_that_breaks_off_is_a_bad_gateway(gateway: Gateway) -> None:
    async def script(_: Recorded, play: Playback) -> None:
        await play.head(content_type="application/json", content_length="100")
        await play.raw(b'{"type"')
        play.cut()

    gateway.upstream.script = script
    response, body = await gateway.post()
    assert refusal(body, response)[:2] == (502, "api_error")
    assert await gateway.outcomes() == {"error": 1}


@pytest.mark.parametrize("timeouts", [Timeouts(total=0.2), Timeouts(idle=0.2)])
async def test_silence_is_a_gateway_timeout(gateway: Gateway, timeouts: Timeouts) -> None:
    gateway.serve(timeouts=timeouts, generation=2)

    async def script(_: Recorded, play: Playback) -> None:
        await asyncio.sleep(30)

    gateway.upstream.script = script
    response, body = await gateway.post({"messages": [], "stream": True})
    assert refusal(body, response)[:2] == (504, "timeout_error")
    assert await gateway.outcomes() == {"error": 1}


async def test_a_long_answer_in_one_piece_is_not_taken_for_silence(gateway: Gateway) -> None:
    gateway.serve(timeouts=Timeouts(idle=0.1), generation=2)
    answer = json_answer()

    async def script(request: Recorded, play: Playback) -> None:
        await asyncio.sleep(0.4)
        await answer(request, play)

    gateway.upstream.script = script
    assert (await gateway.post())[0].status == 200


async def test_a_passed_through_answer_that_breaks_off_is_cut(gateway: Gateway) -> None:
    async def script(_: Recorded, play: Playback) -> None:
        await play.head(content_type="application/x-jsonl", transfer_encoding="chunked")
        await play.chunk(b"{}\n")
        await asyncio.sleep(0.05)
        play.cut()

    gateway.upstream.script = script
    with pytest.raises(aiohttp.ClientPayloadError):
        await gateway.post(path="/v1/files")
    assert (await gateway.lines())[0]["outcome"] == "error"


# ------------------------------------------------------------------------------------------- choosing


def both(weight: int) -> list[Any]:
    return [make_arm(STABLE, "stable", 10_000 - weight), make_arm(CANARY, "canary", weight)]


async def arms_of(gateway: Gateway, headers: list[dict[str, str]], body: Any = None) -> list[str]:
    answers = [await gateway.post(body, each) for each in headers]
    return [response.headers["x-claude-arm"] for response, _ in answers]


async def test_sessions_split_by_weight_and_stay(gateway: Gateway) -> None:
    sessions = [{"x-claude-session-id": f"s{number}"} for number in range(400)]
    gateway.serve(*both(1000), generation=2)
    first = await arms_of(gateway, sessions)
    assert await arms_of(gateway, sessions[:50]) == first[:50]
    share = first.count("canary") / len(first)
    assert abs(share - 0.1) < 3.3 * math.sqrt(0.1 * 0.9 / len(first))
    gateway.serve(*both(5000), generation=3)
    second = await arms_of(gateway, sessions)
    assert all(new == "canary" for old, new in zip(first, second, strict=True) if old == "canary")
    gateway.serve(*both(0), generation=4)
    assert set(await arms_of(gateway, sessions[:50])) == {"stable"}


async def test_where_users_are_assigned_a_user_stays_on_an_arm(gateway: Gateway) -> None:
    gateway.serve(*both(5000), generation=2, assignment=Assigning(unit="User"))
    for number in range(10):
        body = {"messages": [], "metadata": {"user_id": f"u{number}"}}
        assert len(set(await arms_of(gateway, [{}] * 3, body))) == 1
    assert (await gateway.lines(30))[0]["user_id"] == "u0"


async def test_first_turns_without_a_name_are_drawn(gateway: Gateway) -> None:
    gateway.serve(*both(5000), generation=2)
    assert set(await arms_of(gateway, [{}] * 40)) == {"stable", "canary"}


async def test_a_pin_is_honoured_while_its_revision_serves(gateway: Gateway) -> None:
    gateway.serve(*both(100), generation=2)
    pin = [{"x-claude-revision": CANARY}] * 5
    assert await arms_of(gateway, pin) == ["canary"] * 5
    assert await arms_of(gateway, [{"x-claude-revision": STABLE}] * 5) == ["stable"] * 5
    (stratum, *_) = (await gateway.evidence()).generations[-1].strata
    assert (stratum.surface, stratum.counters.requests) == ("pinned", 5)
    gateway.serve(*both(0), generation=3)
    assert await arms_of(gateway, pin) == ["stable"] * 5
    response, _ = await gateway.post(headers=pin[0])
    assert response.headers["x-claude-overridden"].startswith("x-claude-revision,")
    assert {stratum.surface for stratum in (await gateway.evidence()).generations[-1].strata} == {"other"}


async def test_a_subagent_has_its_own_request(gateway: Gateway) -> None:
    gateway.serve(make_arm(subagents={"researcher": {"model": "claude-haiku-5-5"}}), generation=2)
    await gateway.post(headers={"x-claude-subagent": "researcher"})
    assert gateway.upstream.last.json()["model"] == "claude-haiku-5-5"
    response, _ = await gateway.post(headers={"x-claude-subagent": "nobody"})
    assert gateway.upstream.last.json()["model"] == "claude-opus-5-5"
    assert "x-claude-subagent" in response.headers["x-claude-overridden"].split(",")
