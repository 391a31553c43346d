"""The API over HTTP: answers, streams, errors, models."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.simulator.harness import HEADERS, Running, events, message, running_simulator

SLOW = "{defaults: {latency: {median: 0s}, tokensPerSecond: 20}}"


async def test_a_message(api: Running) -> None:
    status, answer = await api.ask()
    assert status == 200
    assert answer["id"].startswith("msg_")
    assert (answer["type"], answer["role"], answer["model"]) == ("message", "assistant", "claude-haiku-5-5")
    assert answer["stop_reason"] == "end_turn"
    assert answer["content"][0]["text"].startswith("This is the simulator")
    assert set(answer["usage"]) >= {
        "input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation",
        "service_tier",
    }  # fmt: skip
    assert abs(answer["usage"]["output_tokens"] - 40) <= 1


async def test_the_answer_names_the_model_of_an_alias(api: Running) -> None:
    _, answer = await api.ask(message(model="claude-haiku-4-5"))
    assert answer["model"] == "claude-haiku-4-5-20251001"


async def test_an_answer_ends_at_max_tokens_and_at_a_stop_sequence(api: Running) -> None:
    _, answer = await api.ask(message(max_tokens=3))
    assert (answer["stop_reason"], answer["usage"]["output_tokens"]) == ("max_tokens", 3)
    _, answer = await api.ask(message(stop_sequences=["simulator"]))
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("stop_sequence", "simulator")
    assert answer["content"][0]["text"] == "This is the "
    _, answer = await api.ask(message(max_tokens=0))
    assert (answer["stop_reason"], answer["content"]) == ("max_tokens", [])


async def test_a_stream_has_the_apis_order_and_usage(api: Running) -> None:
    _, whole = await api.ask()
    async with api.http.post(api.url + "/v1/messages", json=message(stream=True), headers=HEADERS) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["request-id"].startswith("req_")
        found = events(await response.read())
    names = [name for name, _ in found]
    deltas = names.count("content_block_delta")
    assert names == [
        "message_start", "content_block_start", "ping", *["content_block_delta"] * deltas, "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    assert all(data["type"] == name for name, data in found)
    data = dict(found)
    assert data["message_start"]["message"]["usage"]["input_tokens"] == whole["usage"]["input_tokens"]
    assert data["message_start"]["message"]["content"] == []
    text = "".join(event["delta"]["text"] for name, event in found if name == "content_block_delta")
    assert text == whole["content"][0]["text"]
    assert data["message_delta"]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert data["message_delta"]["usage"] == whole["usage"]


async def test_a_stream_keeps_its_rate() -> None:
    async with running_simulator(SLOW) as api:
        loop = asyncio.get_running_loop()
        began = loop.time()
        body = message(stream=True, max_tokens=12)
        async with api.http.post(api.url + "/v1/messages", json=body, headers=HEADERS) as response:
            first = await response.content.readany()
            rest = await response.read()
        assert (b"message_stop" in first, b"message_stop" in rest) == (False, True)
        assert loop.time() - began > 0.55  # 12 tokens at 20 a second


@pytest.mark.parametrize("stream", [True, False])
async def test_the_last_words_of_a_stream_take_no_longer_than_their_tokens(
    monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    waited, sleep = list[float](), asyncio.sleep

    async def shortened(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    async with running_simulator(SLOW) as api:
        monkeypatch.setattr(asyncio, "sleep", shortened)
        body = message(stream=stream, max_tokens=4)
        async with api.http.post(api.url + "/v1/messages", json=body, headers=HEADERS) as response:
            assert response.status == 200
            await response.read()
    assert sum(waited) == pytest.approx(4 / 20)  # one delta of 3 tokens, and one


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "x-api-key header is required"),
        ({"x-api-key": " "}, "x-api-key header is required"),
        ({"authorization": "Basic abc"}, "x-api-key header is required"),
        ({"x-api-key": "invalid"}, "invalid x-api-key"),
        ({"authorization": "Bearer invalid"}, "invalid x-api-key"),
        ({"authorization": "Bearer invalid", "x-api-key": "invalid"}, "invalid x-api-key"),
    ],
)
async def test_without_a_key_nobody_is_answered(api: Running, headers: dict[str, str], said: str) -> None:
    async with api.http.get(api.url + "/v1/models", headers=headers) as response:
        document = await response.json()
        assert response.status == 401
        assert response.headers["request-id"] == document["request_id"]
        assert response.headers["x-should-retry"] == "false"
    assert document["type"] == "error"
    assert document["error"] == {"type": "authentication_error", "message": said}


async def test_bearer_is_a_key(api: Running) -> None:
    async with api.http.get(api.url + "/v1/models", headers={"authorization": "Bearer k"}) as response:
        assert response.status == 200


@pytest.mark.parametrize(("bearer", "other"), [("k", "invalid"), ("invalid", "k"), ("k", " ")])
async def test_either_key_will_do(api: Running, bearer: str, other: str) -> None:
    headers = {"authorization": f"Bearer {bearer}", "x-api-key": other}
    async with api.http.get(api.url + "/v1/models", headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/", 200),
        ("HEAD", "/api/hello", 200),
        ("GET", "/api/hello", 200),
        ("POST", "/api/event_logging/v2/batch", 200),
        ("GET", "/api/claude_code/settings", 404),
        ("GET", "/", 404),
    ],
)
async def test_what_claude_code_asks_beside_the_api(api: Running, method: str, path: str, status: int) -> None:
    async with api.http.request(method, api.url + path) as response:
        assert response.status == status
    (line,) = api.lines()
    assert line["level"] == "info"
    assert (await api.stats())["invalid"] == {}


async def test_no_email_is_logged(api: Running) -> None:
    async with api.http.get(api.url + "/v1/files/anna@example.com", headers=HEADERS) as response:
        assert response.status == 404
    assert "example" not in api.output.getvalue()


async def test_rate_limit_headers_count(api: Running) -> None:
    left = []
    for _ in range(2):
        async with api.http.post(api.url + "/v1/messages", json=message(), headers=HEADERS) as response:
            left.append(int(response.headers["anthropic-ratelimit-requests-remaining"]))
            assert int(response.headers["anthropic-ratelimit-requests-limit"]) > left[-1]
            assert response.headers["anthropic-ratelimit-tokens-reset"].endswith("Z")
    assert left[0] - left[1] == 1


@pytest.mark.parametrize(
    ("behaviour", "status", "kind"),
    [
        ("errorRate", 500, "api_error"),
        ("overloadRate", 529, "overloaded_error"),
        ("rateLimitRate", 429, "rate_limit_error"),
    ],
)
async def test_failures(api: Running, behaviour: str, status: int, kind: str) -> None:
    await api.steer(f"{{defaults: {{{behaviour}: 1, latency: {{median: 0s}}}}}}")
    async with api.http.post(api.url + "/v1/messages", json=message(stream=True), headers=HEADERS) as response:
        document = await response.json()
        assert response.status == status
        assert document["error"]["type"] == kind
        assert ("retry-after" in response.headers) == (status == 429)
    found = await api.stats()
    assert found["total"] == {
        "requests": 1, "errors": 1, "refusals": 0, "brokenStreams": 0, "right": 0, "wrong": 0,
    }  # fmt: skip
    assert found["rules"][0]["errorsByType"] == {kind: 1}


async def test_a_refusal_is_an_answer(api: Running) -> None:
    await api.steer("{defaults: {refusalRate: 1, latency: {median: 0s}}}")
    status, answer = await api.ask()
    assert (status, answer["stop_reason"], answer["content"]) == (200, "refusal", [])
    assert answer["stop_details"]["type"] == "refusal"
    async with api.http.post(api.url + "/v1/messages", json=message(stream=True), headers=HEADERS) as response:
        found = events(await response.read())
    assert [name for name, _ in found] == ["message_start", "ping", "message_delta", "message_stop"]
    assert dict(found)["message_delta"]["delta"]["stop_reason"] == "refusal"
    assert (await api.stats())["total"]["refusals"] == 2


async def test_a_stream_breaks_off(api: Running) -> None:
    await api.steer("{defaults: {breakStreamRate: 1, latency: {median: 0s}, tokensPerSecond: 1000}}")
    async with api.http.post(
        api.url + "/v1/messages", json=message(stream=True, max_tokens=500), headers=HEADERS
    ) as response:
        assert response.status == 200
        read = b""
        with pytest.raises(aiohttp.ClientError):
            while piece := await response.content.readany():
                read += piece
    assert b"message_start" in read
    assert b"message_stop" not in read
    assert (await api.stats())["total"]["brokenStreams"] == 1
    status, _ = await api.ask()
    assert status == 200  # what is not streamed cannot break off


async def test_a_forced_tool_is_used(api: Running) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "kind": {"enum": ["a", "b"]}}}
    body = message(tools=[{"name": "look", "input_schema": schema}], tool_choice={"type": "tool", "name": "look"})
    _, answer = await api.ask(body)
    assert answer["stop_reason"] == "tool_use"
    assert (answer["content"][0]["name"], answer["content"][0]["input"]) == ("look", {"n": 1, "kind": "a"})
    async with api.http.post(api.url + "/v1/messages", json=body | {"stream": True}, headers=HEADERS) as response:
        found = events(await response.read())
    pieces = [data["delta"]["partial_json"] for name, data in found if name == "content_block_delta"]
    assert json.loads("".join(pieces)) == {"n": 1, "kind": "a"}


async def test_a_scenario_calls_a_tool_once(api: Running) -> None:
    await api.steer("{rules: [{match: {questionContains: clock}, toolUse: {name: look, input: {at: clock}}}]}")
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    _, called = await api.ask(message("Look at the clock", tools=tools))
    assert called["stop_reason"] == "tool_use"
    assert called["content"][0]["input"] == {"at": "clock"}
    result = {"type": "tool_result", "tool_use_id": called["content"][0]["id"], "content": "noon"}
    turns = [
        {"role": "user", "content": "Look at the clock"},
        {"role": "assistant", "content": called["content"]},
        {"role": "user", "content": [result, {"type": "text", "text": "The clock was looked at."}]},
    ]
    for body in (
        message(messages=turns, tools=tools),
        message("Look at the clock", tools=tools, tool_choice={"type": "none"}),
        message("Look at the clock", tools=[{"name": "other", "input_schema": {"type": "object"}}]),
        message("Look at the clock"),
    ):
        _, answer = await api.ask(body)
        assert answer["stop_reason"] == "end_turn"


async def test_a_format_is_kept(api: Running) -> None:
    schema = {"type": "object", "properties": {"label": {"type": "string", "enum": ["yes", "no"]}}}
    _, answer = await api.ask(message(output_config={"format": {"type": "json_schema", "schema": schema}}))
    assert json.loads(answer["content"][0]["text"]) == {"label": "yes"}


@pytest.mark.parametrize("declared", [True, False])
async def test_too_large_is_413(api: Running, declared: bool) -> None:
    data = io.BytesIO(b"x" * ((32 << 20) + 1))
    body = data if declared else aiohttp.AsyncIterablePayload(_pieces(data))
    async with api.http.post(api.url + "/v1/messages", data=body, headers=HEADERS) as response:
        assert response.status == 413
        assert (await response.json())["error"]["type"] == "request_too_large"


async def _pieces(data: io.BytesIO) -> AsyncIterator[bytes]:
    while piece := data.read(1 << 20):
        yield piece


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/nothing"), ("GET", "/"), ("POST", "/v1/models")])
async def test_other_paths_are_not_found(api: Running, method: str, path: str) -> None:
    async with api.http.request(method, api.url + path, headers=HEADERS) as response:
        assert response.status == 404
        assert (await response.json())["error"]["type"] == "not_found_error"


async def test_what_breaks_a_rule_is_no_request_of_a_profile(api: Running) -> None:
    status, document = await api.ask(message(foo=1))
    assert (status, document["error"]["message"]) == (400, "foo: Extra inputs are not permitted")
    status, document = await api.ask(message(model="gpt-9"))
    assert (status, document["error"]["type"]) == (404, "not_found_error")
    found = await api.stats()
    assert found["invalid"] == {"invalid_request_error": 1, "not_found_error": 1}
    assert found["total"]["requests"] == 0


async def test_absurd_nesting_is_refused(api: Running) -> None:
    deep: object = "x"
    for _ in range(400):
        deep = [deep]
    tools = [{"name": "look", "input_schema": {"type": "object", "x": deep}}]
    status, document = await api.ask(message(tools=tools))
    assert (status, document["error"]["type"]) == (400, "invalid_request_error")


async def test_models_are_listed_by_page_and_lifecycle(api: Running) -> None:
    seen: list[str] = []
    query = "?limit=7"
    while True:
        async with api.http.get(f"{api.url}/v1/models{query}", headers=HEADERS) as response:
            page = await response.json()
        seen += [model["id"] for model in page["data"]]
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])
        if not page["has_more"]:
            break
        query = f"?limit=7&after_id={page['last_id']}"
    assert len(seen) == len(set(seen)) == 19
    assert "claude-3-haiku-20240307" not in seen
    async with api.http.get(f"{api.url}/v1/models?before_id={seen[3]}&limit=2", headers=HEADERS) as response:
        page = await response.json()
        assert ([model["id"] for model in page["data"]], page["has_more"]) == (seen[1:3], True)
    async with api.http.get(f"{api.url}/v1/models?lifecycle%5B%5D=deprecated", headers=HEADERS) as response:
        found = {model["id"] for model in (await response.json())["data"]}
    assert found == {"claude-mythos-preview", "claude-sonnet-4-5-20250929"}
    for wrong in ("limit=0", "limit=x", "lifecycle[]=legacy", "after_id=nope"):
        async with api.http.get(f"{api.url}/v1/models?{wrong}", headers=HEADERS) as response:
            assert response.status == 400


async def test_a_model_ages_with_the_scenarios_day(api: Running) -> None:
    async def lifecycle() -> tuple[str, str]:
        async with api.http.get(api.url + "/v1/models/claude-sonnet-4-5", headers=HEADERS) as response:
            model = await response.json()
            return model["lifecycle"], model["retires_at"]

    assert await lifecycle() == ("deprecated", "2026-11-30T00:00:00Z")
    await api.steer("{today: 2026-12-01, defaults: {latency: {median: 0s}}}")
    assert await lifecycle() == ("retired", "2026-11-30T00:00:00Z")
    status, document = await api.ask(message(model="claude-sonnet-4-5"))
    assert (status, document["error"]["message"]) == (404, "model: claude-sonnet-4-5")


LIVES = """
defaults: {latency: {median: 0s}, tokensPerSecond: 1000000}
lifecycle:
- {model: claude-test-1, like: claude-haiku-5-5, state: Active}
- {model: claude-test-1, state: Deprecated, after: 60s, deprecatedAt: 2026-11-24, retiresAt: 2027-01-30}
- {model: claude-test-1, state: Retired, at: "2026-11-25T00:00:00Z", retiresAt: 2027-01-30}
- {model: claude-opus-4-5, state: Retired, after: 60s}
"""


@pytest.mark.parametrize(
    ("seconds", "lifecycle", "retires", "answers", "other"),
    [
        (0, "active", None, 200, 200),
        (59, "active", None, 200, 200),
        (60, "deprecated", "2027-01-30T00:00:00Z", 200, 404),
        (86_400, "retired", "2027-01-30T00:00:00Z", 404, 404),
        (-3_600, "active", None, 200, 200),
    ],
)
async def test_a_model_passes_through_its_life_while_it_answers(
    api: Running, seconds: int, lifecycle: str, retires: str | None, answers: int, other: int
) -> None:
    assert (await api.steer(LIVES))[0] == 200
    api.clock.now += seconds
    async with api.http.get(api.url + "/v1/models/claude-test-1", headers=HEADERS) as response:
        model = await response.json()
    assert (model["lifecycle"], model["retires_at"], model["line"]) == (lifecycle, retires, "haiku")
    async with api.http.get(api.url + "/v1/models?limit=1000", headers=HEADERS) as response:
        listed = {one["id"] for one in (await response.json())["data"]}
    assert ("claude-test-1" in listed) is (lifecycle != "retired")
    status, document = await api.ask(message(model="claude-test-1"))
    assert status == answers
    assert status == 404 or document["model"] == "claude-test-1"
    assert (await api.ask(message(model="claude-opus-4-5-20251101")))[0] == other


async def test_a_life_begins_anew_with_each_scenario_and_ends_with_it(api: Running) -> None:
    await api.steer(LIVES)
    api.clock.now += 60
    assert (await api.ask(message(model="claude-opus-4-5-20251101")))[0] == 404
    await api.steer(LIVES)
    assert (await api.ask(message(model="claude-opus-4-5-20251101")))[0] == 200
    await api.steer("{}")
    assert (await api.ask(message(model="claude-test-1")))[0] == 404


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("{model: claude-x, state: Retired}", "lifecycle[0].model: claude-x is not in the catalogue"),
        ("{model: claude-x, like: claude-y, state: Retired}", "lifecycle[0].like: claude-y is not in the catalogue"),
        ("{model: claude-opus-5, state: Legacy}", "lifecycle[0].state"),
        ('{model: claude-opus-5, state: Retired, at: "2026-12-01T00:00:00Z", after: 1s}', "at and after exclude"),
        ('{model: claude-opus-5, state: Retired, at: "2026-12-01T00:00:00"}', "lifecycle[0].at"),
        ("{model: claude-opus-5, state: Retired, retiresAt: soon}", "lifecycle[0].retiresAt"),
    ],
)
async def test_a_life_that_cannot_be_is_refused(api: Running, change: str, says: str) -> None:
    status, document = await api.steer(f"lifecycle: [{change}]")
    assert status == 400
    assert says in document["error"]["message"]


async def test_the_log_has_no_prompt_and_no_key(api: Running) -> None:
    await api.ask(message("SECRET question", system="SECRET prompt"), x_api_key="sk-SECRET")
    await api.ask(message("SECRET question", SECRET=1))
    lines = api.lines()
    assert "SECRET" not in api.output.getvalue()
    assert [line["status"] for line in lines] == [200, 400]
    assert lines[0]["rule"] == "defaults"
    assert lines[0]["usage"]["output_tokens"] > 0
