"""Every kind of broken value in every field that the gateway reads: the client's fault, and nobody else's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.harness import Gateway, make_arm, running_gateway
from tests.gateway.upstream import json_answer, recording_upstream
from tests.waiting import HANGS

from claude_operator.api.gateway import Overrides

# JSON that cannot be: refused wherever it stands.
BROKEN = (
    b'"caf\xe9"',
    b'"\xed\xa0\x80"',
    b'{"\xff":1}',
    b'"\\ud83d"',
    b'["\\udc00"]',
    b"1e400",
    b"-1E+999",
    b"9" * 4301,
    b"NaN",
    b"-Infinity",
    b"01",
    b"\xef\xbb\xbf1",
    b"[" * 3000 + b"]" * 3000,
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
)
# JSON that is odd in its place: refused, or left for the API to judge.
ODD = (
    *(b"null", b"true", b"{}", b"[]", b"[null]", b'""', b"-1", b"1.5", b"-0", b"1e-400", b"9" * 30, b"9" * 4000),
    *(
        b'"\\u0000"',
        b'"\\ud83d\\ude00"',
        b'"' + b"x" * 5000 + b'"',
        b'[[[{"cache_control":[]}]]]',
        b"[" * 400 + b"]" * 400,
    ),
    *(
        b'{"type":"ephemeral","ttl":7}',
        b'{"type":{},"name":[]}',
        b'[{"name":1}]',
        b'[{"role":"user"}]',
        b'{"user_id":{}}',
    ),
    *(b'{"user_id":"{\\"session_id\\":\\"s\\"}"}', b'{"user_id":"{"}', b'{"user_id":"\\u0000"}'),
)
FIELDS = (
    *("model", "max_tokens", "stream", "system", "tools", "messages", "metadata", "cache_control", "thinking"),
    *("tool_choice", "mcp_servers", "context_management", "output_config", "stop_sequences", "temperature", "thread"),
    *("service_tier", "container", "fallbacks", "unknown"),
)
PLACES: tuple[Callable[[bytes], bytes], ...] = (
    lambda value: value,
    lambda value: b"[" + value + b"]",
    lambda value: b'{"user_id":' + value + b"}",
    lambda value: b'{"session_id":' + value + b"}",
    lambda value: b'[{"type":"text","text":"a","cache_control":' + value + b"}]",
    lambda value: b'[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":' + value + b"}}]",
    lambda value: b'[{"name":' + value + b',"input_schema":{}}]',
    lambda value: b'[{"role":' + value + b',"content":"a"}]',
    lambda value: b'[{"role":"user","content":' + value + b'},{"role":"assistant","content":"b"}]',
    lambda value: b'[{"role":"user","content":"a"},{"role":"assistant","content":' + value + b"}]",
    lambda value: b'[{"role":"user","content":[{"type":"document","source":{"content":' + value + b"}}]}]",
    lambda value: b'[{"role":"user","content":[{"content":[{"cache_control":' + value + b"}]}]}]",
)


def with_field(name: str, value: bytes) -> bytes:
    """A body with a breakpoint in its messages and one field of its own."""
    fields = {"model": b'"m"', "max_tokens": b"1", "messages": b'[{"role":"user","content":[{"cache_control":null}]}]'}
    fields[name] = value
    return b"{" + b",".join(json.dumps(key).encode() + b":" + raw for key, raw in fields.items()) + b"}"


@pytest.fixture
def served(tmp_path: Path) -> object:
    """A gateway whose revision meets every field that can be met, and the loop that it runs on."""
    arm = make_arm(
        request={
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            "tools": [{"name": "t", "input_schema": {"type": "object"}, "cache_control": {"type": "ephemeral"}}],
            "cache_control": {"type": "ephemeral"},
            "tool_choice": {"type": "auto"},
            "thinking": {"type": "adaptive"},
        },
        overrides=Overrides(system="Append", tools="Prepend"),
        subagents={"reader": {}},
    )

    async def start(stack: AsyncExitStack) -> Gateway:
        upstream = await stack.enter_async_context(recording_upstream(json_answer()))
        gateway = await stack.enter_async_context(running_gateway(upstream, tmp_path))
        gateway.serve(arm)
        return gateway

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner, runner.run(start(stack))
        runner.run(stack.aclose())


async def check(gateway: Gateway, body: bytes, path: str, *, broken: bool) -> None:
    """Send a body; nothing but the API's answer or a 400 comes back, and nothing but `ok` is evidence."""
    before = len(gateway.upstream.requests)
    response, answer = await gateway.post(body, path=path)
    sent = len(gateway.upstream.requests) - before
    if response.status == 400:
        error = json.loads(answer)["error"]
        assert error["type"] == "invalid_request_error"
        assert "byte" in error["message"] or "deeply" in error["message"]
    else:
        assert response.status == 200, answer
        assert not broken
        json.loads(gateway.upstream.last.body)
    assert sent == (response.status == 200)
    assert set(await gateway.outcomes()) <= {"ok"}
    assert '"bug"' not in gateway.output.getvalue()


ENDPOINTS = st.sampled_from(["/v1/messages", "/v1/messages/count_tokens"])
VALUES = st.sampled_from([*((value, True) for value in BROKEN), *((value, False) for value in ODD)])


def test_any_broken_value_in_any_field(served: tuple[asyncio.Runner, Gateway]) -> None:
    runner, gateway = served

    @settings(max_examples=400, deadline=None)
    @given(st.sampled_from(FIELDS), st.lists(st.sampled_from(PLACES), min_size=1, max_size=3), VALUES, ENDPOINTS)
    def send(name: str, places: list[Callable[[bytes], bytes]], value: tuple[bytes, bool], path: str) -> None:
        body, broken = value
        for place in places:
            body = place(body)
        runner.run(check(gateway, with_field(name, body), path, broken=broken))

    send()


def test_any_bytes_in_any_header(served: tuple[asyncio.Runner, Gateway]) -> None:
    runner, gateway = served
    names = (
        *("x-claude-session-id", "x-claude-user-id", "x-claude-subagent", "x-claude-surface", "x-claude-revision"),
        *("anthropic-beta", "anthropic-version", "x-stainless-retry-count", "content-encoding", "content-type"),
        *("connection", "expect", "accept-encoding", "user-agent", "cookie", "te", "x-anything"),
    )
    values = st.binary(min_size=1, max_size=24).map(
        lambda data: bytes(byte for byte in data if byte >= 32 and byte != 127).strip()
    )

    async def post(name: str, value: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.service.port)
        body = b'{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}'
        writer.write(
            b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: client-key-SENTINEL\r\n"
        )
        writer.write(name.encode() + b": " + value + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        answer = await asyncio.wait_for(reader.read(), HANGS)
        writer.close()
        return answer

    @settings(max_examples=200, deadline=None)
    @given(st.sampled_from(names), values)
    def send(name: str, value: bytes) -> None:
        status = int(runner.run(post(name, value)).split(b" ")[1])
        assert status in (200, 400, 417)
        assert set(runner.run(gateway.outcomes())) <= {"ok"}
        assert '"bug"' not in gateway.output.getvalue()

    send()
