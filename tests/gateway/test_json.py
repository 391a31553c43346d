"""Calls answered in one piece: bytes at both ends, headers, errors."""

from __future__ import annotations

import json

import pytest
from tests.gateway.harness import CLIENT_KEY, STABLE, UPSTREAM_KEY, Gateway, make_arm
from tests.gateway.upstream import MESSAGE, json_answer

from claude_operator.api.gateway import Overrides

ODD_MESSAGES = (
    b'[ {"role":"user",  "content":"\\u00e9\\/ \\ud83d\\ude00 caf\xc3\xa9\\t","role":"user"},\n'
    b'\t{"big":123456789012345678901234567890,"minus":-0,"float":1.0,"exp":1e-400,"a":1,"a":2} ]'
)


async def test_request_bytes_go_through_unchanged(gateway: Gateway) -> None:
    body = (
        b'{ "model":"x", "from_the_future" : {"a": 1.10, "b":[ ]}, "messages": ' + ODD_MESSAGES + b' ,"max_tokens":1}'
    )
    response, _ = await gateway.post(body)
    assert response.status == 200
    assert ODD_MESSAGES in gateway.upstream.last.body
    assert b'"from_the_future":{"a": 1.10, "b":[ ]}' in gateway.upstream.last.body
    assert gateway.upstream.last.json()["model"] == "claude-opus-5-5"


async def test_response_bytes_and_headers_come_back_unchanged(gateway: Gateway) -> None:
    answer = b'{ "type" : "message", "odd": 1.10, "caf\xc3\xa9": "\\u00e9", "usage": {"input_tokens": 3} }\n'
    gateway.upstream.script = json_answer(
        answer, anthropic_ratelimit_requests_remaining="7", retry_after="3", x_odd="y", connection="x-hop", x_hop="1"
    )
    response, body = await gateway.post()
    assert body == answer
    assert response.headers["request-id"] == "req_up"
    assert response.headers["anthropic-ratelimit-requests-remaining"] == "7"
    assert response.headers["x-odd"] == "y"
    assert "x-hop" not in response.headers
    assert response.headers["x-claude-revision"] == STABLE
    assert response.headers["x-claude-arm"] == "stable"
    assert response.headers["x-claude-overridden"] == "max_tokens,model"


@pytest.mark.parametrize("large", [100_000, 3_000_000])
async def test_large_bodies_go_through(gateway: Gateway, large: int) -> None:
    messages = [{"role": "user", "content": "é" * large}]
    gateway.upstream.script = json_answer({**MESSAGE, "content": [{"type": "text", "text": "x" * large}]})
    response, body = await gateway.post({"messages": messages})
    assert response.status == 200
    assert gateway.upstream.last.json()["messages"] == messages
    assert len(json.loads(body)["content"][0]["text"]) == large


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "429 Too Many Requests", "500 X", "529 "])
async def test_errors_of_the_api_come_back_unchanged(gateway: Gateway, status: str) -> None:
    error = b'{"type":"error", "error":{"type":"some_error","message":"m","details":{"error_code":"c"}}}'
    gateway.upstream.script = json_answer(error, status, retry_after="9")
    response, body = await gateway.post()
    assert (response.status, body) == (int(status[:3]), error)
    assert response.headers["retry-after"] == "9"
    assert response.headers["request-id"] == "req_up"
    (line,) = await gateway.lines()
    assert line["outcome"] == ("overload" if status[:3] in {"429", "529"} else "error")
    assert line["error"] == "some_error"


async def test_request_headers(gateway: Gateway) -> None:
    gateway.serve(make_arm(betas=["ours-2026-01-01", "both-2026-01-01"]))
    await gateway.post(
        headers={
            "anthropic-beta": "theirs-2026-01-01,both-2026-01-01",
            "anthropic-version": "2023-06-01",
            "x-claude-session-id": "s",
            "x-claude-user-id": "u",
            "x-claude-subagent": "a",
            "x-claude-surface": "chat",
            "x-claude-revision": "r",
            "x-claude-code": "kept",
            "connection": "keep-alive, x-hop",
            "x-hop": "1",
            "user-agent": "test/1",
            "accept-encoding": "gzip",
        },
        path="/v1/messages?beta=true",
    )
    seen = gateway.upstream.last
    assert seen.target == "/v1/messages?beta=true"
    assert seen.all("anthropic-beta") == ["theirs-2026-01-01,both-2026-01-01,ours-2026-01-01"]
    assert seen.all("anthropic-version") == ["2023-06-01"]
    assert seen.all("x-api-key") == [UPSTREAM_KEY]
    assert seen.all("accept-encoding") == ["identity"]
    assert seen.all("user-agent") == ["test/1"]
    assert [name for name, _ in seen.headers if name.lower().startswith("x-claude")] == ["x-claude-code"]
    assert seen.header("authorization") is None
    assert seen.header("x-hop") is None
    assert seen.all("host") == [gateway.upstream.url.removeprefix("http://")]


async def test_another_version_of_a_beta_gives_way_and_is_told(gateway: Gateway) -> None:
    servers = [{"type": "url", "name": "docs", "url": "https://mcp.example.com"}]
    gateway.serve(make_arm(request={"mcp_servers": servers}), generation=2)
    sent = "claude-code-20250219,  interleaved-thinking-2025-05-14 ,, mcp-client-2025-04-04"
    response, _ = await gateway.post(headers={"anthropic-beta": sent})
    expected = "claude-code-20250219,interleaved-thinking-2025-05-14,mcp-client-2025-11-20"
    assert gateway.upstream.last.all("anthropic-beta") == [expected]
    assert "anthropic-beta" in response.headers["x-claude-overridden"].split(",")


async def test_what_the_model_refuses_is_left_out_and_told(gateway: Gateway) -> None:
    gateway.serve(make_arm(overrides=Overrides(unsupported="Drop")), generation=2)
    hello = {"role": "user", "content": "Hi"}
    body = {"temperature": 0.2, "messages": [hello, {"role": "assistant", "content": "{"}]}
    response, _ = await gateway.post(body)
    assert gateway.upstream.last.json() == {"model": "claude-opus-5-5", "max_tokens": 64, "messages": [hello]}
    assert response.headers["x-claude-overridden"] == "temperature,messages[1]"


async def test_warming_the_cache_counts_as_no_answer_that_was_cut_off(gateway: Gateway) -> None:
    gateway.serve(make_arm(request={"max_tokens": 2048}), generation=2)
    warmed = {**MESSAGE, "content": [], "stop_reason": "max_tokens", "usage": {"input_tokens": 3, "output_tokens": 0}}
    gateway.upstream.script = json_answer(warmed)
    await gateway.post({"max_tokens": 0, "messages": [{"role": "user", "content": "warm"}]})
    assert gateway.upstream.last.json()["max_tokens"] == 0
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    counters = stratum.counters
    assert (counters.outcomes, counters.stop_reasons, counters.bad_conversations) == ({"ok": 1}, {}, {})


async def test_the_newest_version_stands_in_for_none(gateway: Gateway) -> None:
    await gateway.post()
    assert gateway.upstream.last.all("anthropic-version") == ["2026-10-21"]
    assert gateway.upstream.last.header("anthropic-beta") is None


async def test_count_tokens_is_composed_and_is_no_evidence(gateway: Gateway) -> None:
    gateway.serve(make_arm(request={"system": [{"type": "text", "text": "s"}], "service_tier": "auto"}))
    gateway.upstream.script = json_answer(b'{"input_tokens": 7}')
    response, body = await gateway.post({"messages": [], "model": "m"}, path="/v1/messages/count_tokens")
    assert (response.status, body) == (200, b'{"input_tokens": 7}')
    assert set(gateway.upstream.last.json()) == {"messages", "model", "system"}
    assert await gateway.outcomes() == {}


async def test_the_other_endpoints_pass_through_unchanged(gateway: Gateway) -> None:
    odd = b' { "model": "kept" } \x00\xff'
    gateway.upstream.script = json_answer(b"anything", "202 Accepted", content_type="x/y")
    response, body = await gateway.post(
        odd, {"anthropic-beta": "b", "content-type": "a/b"}, "/v1/skills/caf%C3%A9@2%20x/versions?a=%2F&b[]=1"
    )
    assert (response.status, body, response.headers["content-type"]) == (202, b"anything", "x/y")
    seen = gateway.upstream.last
    assert (seen.method, seen.target, seen.body) == ("POST", "/v1/skills/caf%C3%A9@2%20x/versions?a=%2F&b[]=1", odd)
    assert (seen.header("content-type"), seen.header("anthropic-beta")) == ("a/b", "b")
    assert seen.all("x-api-key") == [UPSTREAM_KEY]
    assert "x-claude-revision" not in response.headers


async def test_models_are_listed_by_get(gateway: Gateway) -> None:
    gateway.upstream.script = json_answer(b'{"data":[]}')
    url = f"{gateway.url}/v1/models?limit=3"
    async with gateway.http.get(url, headers={"x-api-key": CLIENT_KEY}) as response:
        assert (response.status, await response.read()) == (200, b'{"data":[]}')
    assert (gateway.upstream.last.method, gateway.upstream.last.target) == ("GET", "/v1/models?limit=3")
    assert gateway.upstream.last.header("transfer-encoding") is None


async def test_a_base_url_may_have_a_path(gateway: Gateway) -> None:
    gateway.serve(url=gateway.upstream.url + "/proxy/")
    await gateway.post()
    assert gateway.upstream.last.target == "/proxy/v1/messages"


async def test_connections_to_the_upstream_are_reused(gateway: Gateway) -> None:
    for _ in range(3):
        await gateway.post()
    assert len(gateway.upstream.requests) == 3
    assert not gateway.upstream.closed.is_set()


async def test_cookies_of_one_client_never_reach_another(gateway: Gateway) -> None:
    gateway.upstream.script = json_answer(set_cookie="session=secret; Path=/")
    await gateway.post()
    await gateway.post()
    assert gateway.upstream.last.header("cookie") is None
