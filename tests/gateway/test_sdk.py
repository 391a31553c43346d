"""The anthropic SDK through the gateway, with `base_url` and a key alone."""

from __future__ import annotations

import anthropic
import pytest
from tests.gateway.harness import CLIENT_KEY, STABLE, UPSTREAM_KEY, Gateway, make_arm
from tests.gateway.upstream import json_answer, sse_answer, stream_events

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def client(gateway: Gateway) -> anthropic.AsyncAnthropic:
    gateway.serve(make_arm(request={"system": [{"type": "text", "text": "Be brief."}]}), generation=2)
    return anthropic.AsyncAnthropic(base_url=gateway.url, api_key=CLIENT_KEY, max_retries=0)


async def test_a_message(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    async with client:
        raw = await client.messages.with_raw_response.create(model="claude-haiku-5-5", max_tokens=9, messages=HELLO)
        message = await raw.parse()
    assert message.content[0].text == "Hello"
    assert message._request_id == "req_up"
    assert raw.headers["x-claude-revision"] == STABLE
    seen = gateway.upstream.last
    assert seen.json()["model"] == "claude-opus-5-5"
    assert seen.json()["system"] == [{"type": "text", "text": "Be brief."}]
    assert seen.all("anthropic-version") == ["2026-10-21"]
    assert seen.all("x-api-key") == [UPSTREAM_KEY]
    assert seen.header("authorization") is None


async def test_a_stream(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    gateway.upstream.script = sse_answer(*stream_events("Hel", "lo"))
    async with client, client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        message = await stream.get_final_message()
        assert stream.request_id == "req_up"
    assert text == "Hello"
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 7)


async def test_a_broken_stream_is_an_error_of_the_api(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    events = stream_events("Hello")
    gateway.upstream.script = sse_answer(b"".join(events[:3]) + events[3][:30], cut=True, pause=0.02)
    async with client:
        with pytest.raises(anthropic.APIStatusError, match="closed the connection") as caught:
            async with client.messages.stream(model="m", max_tokens=9, messages=HELLO) as stream:
                await stream.until_done()
    assert caught.value.type == "api_error"


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        ("429 Too Many Requests", "rate_limit_error", anthropic.RateLimitError),
        ("529 ", "overloaded_error", anthropic.InternalServerError),
        ("400 Bad Request", "invalid_request_error", anthropic.BadRequestError),
    ],
)
async def test_errors(
    gateway: Gateway, client: anthropic.AsyncAnthropic, status: str, kind: str, expected: type[Exception]
) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req_up"}
    gateway.upstream.script = json_answer(error, status, retry_after="7")
    async with client:
        with pytest.raises(expected) as caught:
            await client.messages.create(model="m", max_tokens=9, messages=HELLO)
    assert isinstance(caught.value, anthropic.APIStatusError)
    assert (caught.value.type, caught.value.request_id) == (kind, "req_up")
    assert caught.value.response.headers["retry-after"] == "7"


async def test_a_wrong_key_is_an_authentication_error(gateway: Gateway) -> None:
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="wrong", max_retries=0) as client:
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(model="m", max_tokens=9, messages=HELLO)


async def test_retries_are_counted_in_the_log(gateway: Gateway) -> None:
    gateway.upstream.script = json_answer(b"{}", "500 Oops", retry_after="0")
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=CLIENT_KEY, max_retries=1) as client:
        with pytest.raises(anthropic.InternalServerError):
            await client.messages.create(model="m", max_tokens=9, messages=HELLO)
    assert [line["attempt"] for line in await gateway.lines(2)] == ["0", "1"]


async def test_tokens_are_counted(gateway: Gateway, client: anthropic.AsyncAnthropic) -> None:
    gateway.upstream.script = json_answer(b'{"input_tokens": 12}')
    async with client:
        counted = await client.messages.count_tokens(model="m", messages=HELLO)
    assert counted.input_tokens == 12
    assert set(gateway.upstream.last.json()) == {"model", "messages", "system"}
