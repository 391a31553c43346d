"""Whatever a client sends, the answer is one of the API's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.simulator.harness import HEADERS, Running, message
from tests.waiting import until

from claude_operator.simulator.errors import ApiError
from claude_operator.simulator.profile import compile_scenario
from claude_operator.simulator.request import OLD_VERSION, VERSION, read
from claude_operator.simulator.scenario import ScenarioError, parse
from claude_operator.simulator.service import Simulator
from claude_operator.simulator.shape import _TYPES

WORDS = st.sampled_from(
    ["type", "text", "role", "user", "assistant", "content", "name", "tool", "any", "enabled", "effort", "format",
     "schema", "ephemeral", "ttl", "1h", "cache_control", "input_schema", "object", "mcp_toolset", "mcp_server_name",
     "url", "https://a", "source", "base64", "image", "document", "budget_tokens", "properties", "json_schema", ""]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), WORDS
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=12,
)
BLOCKS = st.fixed_dictionaries({"type": WORDS}, optional={"text": WORDS, "cache_control": VALUES, "source": VALUES})
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "user", "assistant", "system"]), "content": WORDS | st.lists(BLOCKS) | VALUES}
    ),
    min_size=1,
    max_size=3,
)
TOOLS = st.lists(st.fixed_dictionaries({"name": WORDS, "input_schema": st.just({"type": "object"}) | VALUES}))
OF_TYPE = {
    str: WORDS,
    int: st.integers(0, 2000),
    bool: st.booleans(),
    float: st.floats(0, 1),
    list: st.lists(VALUES, max_size=3),
    dict: st.dictionaries(WORDS, VALUES, max_size=4),
}
LIKELY = {
    name: st.one_of(*(OF_TYPE[kind] for kind in kinds)) if name != "model" else st.just("claude-haiku-4-5")
    for name, (kinds, _) in _TYPES.items()
} | {"messages": MESSAGES, "tools": TOOLS, "system": st.lists(BLOCKS, max_size=3) | WORDS}
FIELDS = st.lists(
    st.sampled_from(sorted(LIKELY)).flatmap(lambda name: st.tuples(st.just(name), LIKELY[name] | VALUES)), max_size=3
).map(dict)


@settings(max_examples=150)
@given(FIELDS, st.sampled_from([VERSION, OLD_VERSION]))
def test_any_body_is_answered_or_refused(fields: dict[str, Any], version: str) -> None:
    simulator = Simulator(compile_scenario(parse("{}"), None), clock=lambda: 1_795_500_000.0)
    body = json.dumps(message() | fields).encode()
    betas = ["mcp-client-2025-11-20", "context-management-2025-06-27", "compact-2026-01-12"]
    try:
        turn = simulator.begin(read(body, version, betas))
        answer = simulator.answer(turn, simulator.look_up_prompt(turn.request, turn.model, 0.0))
    except ApiError as error:
        assert error.status in (400, 404)
        assert "\n" not in error.message
    else:
        assert json.loads(answer.json())["usage"]["output_tokens"] <= turn.request.body["max_tokens"]
        assert answer.head().count(b"event: ") <= 3


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner), max_leaves=9))
def test_any_scenario_is_taken_or_refused(value: Any) -> None:
    for document in (value, {"rules": value}, {"defaults": value}, {"answers": value}, {"today": value}):
        try:
            compile_scenario(parse(json.dumps(document)), None)
        except ScenarioError as error:
            assert str(error)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_is_logged_and_no_trouble(api: Running, stream: bool) -> None:
    await api.steer("{defaults: {latency: {median: 20ms}, tokensPerSecond: 2}}")
    async with aiohttp.ClientSession() as http:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                async with http.post(api.url + "/v1/messages", json=message(stream=stream), headers=HEADERS) as answer:
                    await answer.read()
    await until(lambda: len(api.lines()) >= 2)
    assert [line["status"] for line in api.lines()] == [200, 499]
    await api.steer("{defaults: {latency: {median: 0s}, tokensPerSecond: 1e6}}")
    assert (await api.ask())[0] == 200


BROKEN = (
    *(
        b'"caf\xe9"',
        b'"\\ud83d"',
        b"1e400",
        b"9" * 4301,
        b"NaN",
        b"[" * 3000 + b"]" * 3000,
        b'{"a":' * 300 + b"1" + b"}" * 300,
    ),
)
ODD = (
    b"9" * 30,
    b"9" * 4000,
    b"-0",
    b"1e-400",
    b'"\\u0000"',
    b"[" * 150 + b"]" * 150,
    b'{"enum":[' + b"9" * 30 + b"]}",
)
FORMS: tuple[bytes, ...] = (
    b'{"model":"claude-haiku-5-5","max_tokens":8,"messages":[{"role":"user","content":%s}]}',
    b'{"model":"claude-haiku-5-5","max_tokens":8,"messages":[{"role":"user","content":[{"type":"text","text":%s}]}]}',
    b'{"model":"claude-haiku-5-5","max_tokens":8,"messages":[{"role":"user","content":[{"type":"x","y":%s}]}]}',
    b'{"model":"claude-haiku-5-5","max_tokens":%s,"messages":[{"role":"user","content":"a"}]}',
    b'{"model":%s,"max_tokens":8,"messages":[{"role":"user","content":"a"}]}',
    b'{"model":"claude-haiku-5-5","max_tokens":8,"system":%s,"messages":[{"role":"user","content":"a"}]}',
    b'{"model":"claude-haiku-5-5","max_tokens":8,"metadata":{"user_id":%s},"messages":[{"role":"user","content":"a"}]}',
    b'{"model":"claude-haiku-5-5","max_tokens":8,"thinking":{"type":%s},"messages":[{"role":"user","content":"a"}]}',
    b'{"model":"claude-haiku-5-5","max_tokens":8,"output_config":{"format":{"schema":%s}},'
    b'"messages":[{"role":"user","content":"a"}]}',
    b'{"model":"claude-haiku-4-5","max_tokens":8,"tools":[{"name":"t","input_schema":{"type":"object","properties":{"a":%s}}}],'
    b'"tool_choice":{"type":"any"},"messages":[{"role":"user","content":"a"}]}',
    b'{"model":"claude-haiku-5-5","max_tokens":8,"unknown":%s,"messages":[{"role":"user","content":"a"}]}',
)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("form", range(len(FORMS)))
async def test_bad_bytes_are_the_clients_fault(api: Running, path: str, form: int) -> None:
    for value in (*BROKEN, *ODD):
        body = FORMS[form].replace(b"%s", value)
        if path.endswith("count_tokens"):
            body = body.replace(b'"max_tokens":8,', b"")
        async with api.http.post(api.url + path, data=body, headers=HEADERS) as response:
            document = await response.json()
        if response.status != 200 or value in BROKEN:
            assert (response.status, document["error"]["type"]) in (
                (400, "invalid_request_error"),
                (404, "not_found_error"),
            )
        if value in BROKEN:
            assert response.status == 400
            said = document["error"]["message"]
            assert "byte" in said or "nested too deeply" in said
    assert not [line for line in api.lines() if "exception" in line]


async def test_a_bug_is_answered_in_the_apis_form(api: Running) -> None:
    del api.simulator.cache  # whatever could go wrong
    status, document = await api.ask()
    assert (status, document["error"]["type"]) == (500, "api_error")
    assert api.lines()[-1]["exception"] == "AttributeError"


async def test_a_body_that_is_no_gzip_is_refused(api: Running) -> None:
    headers = HEADERS | {"content-encoding": "gzip"}
    async with api.http.post(api.url + "/v1/messages", data=b"no gzip", headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["error"]["type"] == "invalid_request_error"
