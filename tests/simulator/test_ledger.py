"""What was paid is entered, and what was not is not."""

from __future__ import annotations

import hashlib
from typing import Any

import aiohttp
import orjson
import pytest
from tests.simulator.harness import HEADERS, Running, message

from claude_operator.core.catalogue.table import find
from claude_operator.core.request.outcomes import of_error, read_error
from claude_operator.simulator.answers import Reply
from claude_operator.simulator.ledger import Ledger
from claude_operator.simulator.stream import Message


async def ledger(api: Running) -> dict[str, Any]:
    async with api.http.get(api.url + "/-/ledger") as response:
        document: dict[str, Any] = await response.json()
        return document


async def post(api: Running, body: dict[str, Any]) -> tuple[int, bytes]:
    async with api.http.post(api.url + "/v1/messages", data=orjson.dumps(body), headers=HEADERS) as response:
        return response.status, await response.read()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_paid(api: Running, stream: bool) -> None:
    body = message("Where?", stream=stream)
    await post(api, body)
    await post(api, body)
    (first, second) = (await ledger(api))["payments"]
    assert first == second
    assert first["body"] == hashlib.sha256(orjson.dumps(body)).hexdigest()
    assert (first["model"], first["complete"], first["customId"]) == ("claude-haiku-5-5", True, None)
    assert min(first["inputTokens"], first["outputTokens"]) > 0
    # Haiku 5.5, a prompt below 100,000 tokens without breakpoints: input 0.1, output 0.5 a million.
    assert first["costUSD"] == pytest.approx(first["inputTokens"] * 0.1e-6 + first["outputTokens"] * 0.5e-6)
    async with api.http.delete(api.url + "/-/ledger") as response:
        assert response.status == 204
    assert await ledger(api) == {"dropped": 0, "payments": []}


@pytest.mark.parametrize("rate", ["errorRate", "overloadRate", "rateLimitRate", "emptyAccountRate"])
async def test_an_error_is_not_paid(api: Running, rate: str) -> None:
    await api.steer(f"{{defaults: {{{rate}: 1, latency: {{median: 0s}}}}}}")
    await post(api, message())
    await post(api, message(max_tokens=-1))
    assert (await ledger(api))["payments"] == []


@pytest.mark.parametrize("rate", ["streamErrorRate", "breakStreamRate"])
async def test_an_answer_that_ends_early_is_paid_and_not_complete(api: Running, rate: str) -> None:
    await api.steer(f"{{defaults: {{{rate}: 1, latency: {{median: 0s}}, tokensPerSecond: 1000}}}}")
    try:
        _, read = await post(api, message(stream=True))
    except aiohttp.ClientError:
        assert rate == "breakStreamRate"
    else:
        assert b'"type":"api_error","message":"Overloaded"' in read
        assert b"message_stop" not in read
    (paid,) = (await ledger(api))["payments"]
    assert paid["complete"] is False


async def test_an_empty_account_is_told_as_400(api: Running) -> None:
    await api.steer("{defaults: {emptyAccountRate: 1}}")
    status, answer = await api.ask()
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert answer["error"]["message"].startswith("Your credit balance is too low")


def test_the_oldest_payments_go_first() -> None:
    model = find("claude-haiku-5-5")
    assert model is not None
    usage = {"input_tokens": 1, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 3}
    book = Ledger(most=2)
    for body in (b"a", b"b", b"c"):
        book.add(body, Message("msg", model, Reply("x", "end_turn", 4), usage))
    document = book.document()
    assert document["dropped"] == 1
    assert [one["body"] for one in document["payments"]] == [hashlib.sha256(body).hexdigest() for body in (b"b", b"c")]
    assert (document["payments"][0]["inputTokens"], document["payments"][0]["outputTokens"]) == (6, 4)
    # Input 1 x 0.1, written for 5 minutes 2 x 0.125, read 3 x 0.01, output 4 x 0.5, all a million.
    assert document["payments"][0]["costUSD"] == pytest.approx((0.1 + 0.25 + 0.03 + 2.0) / 1e6)


@pytest.mark.parametrize(
    ("limit", "status", "kind", "says", "code"),
    [
        ("Credits", 400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", None),
        ("Organization", 400, "invalid_request_error", "You have reached your specified API usage limits. You", None),
        ("Workspace", 400, "invalid_request_error", "You have reached your specified workspace API usage limits", None),
        ("Tier", 429, "rate_limit_error", "You have reached your API usage limits: ", "enforced_spend_limit_reached"),
    ],
)
async def test_an_account_ends_when_it_is_spent(
    api: Running, limit: str, status: int, kind: str, says: str, code: str | None
) -> None:
    """The answer with which it is spent is given whole; from the next on all are refused, batches too."""
    fast = "defaults: {latency: {median: 0s}, tokensPerSecond: 1000000}"
    await api.steer(f"{{{fast}, account: {{usd: 0.000001, limit: {limit}}}}}")
    assert (await api.ask())[0] == 200
    batch = {"requests": [{"custom_id": "a", "params": message()}]}
    for path, body in (("", message()), ("/batches", batch)):
        async with api.http.post(api.url + "/v1/messages" + path, json=body, headers=HEADERS) as response:
            error = (await response.json())["error"]
            assert (response.status, error["type"]) == (status, kind)
            assert "retry-after" not in response.headers
        assert error["message"].startswith(says)
        assert error.get("details") == (code and {"error_code": code})
        assert ("regain access on 2026-12-01 at 00:00 UTC." in error["message"]) == (limit != "Credits")
        assert of_error(status, read_error(error)) == "account"
    total = (await api.stats())["total"]
    assert (total["requests"], total["errors"]) == (2, 1)
    assert len((await ledger(api))["payments"]) == 1
    async with api.http.delete(api.url + "/-/ledger"):  # somebody pays, or the month turns
        pass
    assert (await api.ask())[0] == 200
