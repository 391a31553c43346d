"""While the month's budget is spent a gateway refuses what costs something, both arms alike, and nothing else."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from dataclasses import replace

import anthropic
import pytest
from tests.gateway.harness import CANARY, CLIENT_KEY, Gateway, make_arm, make_config, written
from tests.gateway.upstream import Playback, Recorded, sse_answer, stream_events

from claude_operator.api.evidence import Recent, parse_serving
from claude_operator.api.gateway import Throttle, dump_config, dump_throttle

HOUR = dt.timedelta(hours=1)
BATCH = {"requests": [{"custom_id": "a", "params": {"model": "m", "max_tokens": 1, "messages": []}}]}
ARMS = make_arm(weight=5000), make_arm(CANARY, "canary", 5000)


def spent(left: dt.timedelta = HOUR) -> Throttle:
    return Throttle(dt.datetime.now(dt.UTC) + left, "2000")


async def metric(gateway: Gateway, name: str) -> float:
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        lines = (await response.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_is_refused_in_the_api_s_envelope(gateway: Gateway, stream: bool) -> None:
    gateway.serve(*ARMS, generation=2, throttle=spent())
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "model": "m", "stream": stream}
    for number in range(8):  # whatever arm the conversation has
        response, text = await gateway.post(body, {"x-claude-code-session-id": f"s{number}"})
        error = json.loads(text)["error"]
        assert (response.status, error["type"]) == (429, "rate_limit_error")
        assert error["details"] == {"error_code": "monthly_budget_spent"}
        assert error["message"].startswith("this application's budget of the month is spent: the gateway answers its")
        assert "spec.budget.monthlyUSD" in error["message"]
        assert 3000 < int(response.headers["retry-after"]) <= 3600
        assert response.headers["x-should-retry"] == "false"
        assert "x-claude-revision" not in response.headers
    assert gateway.upstream.requests == []


async def test_the_judge_sees_nothing_of_it(gateway: Gateway) -> None:
    gateway.serve(*ARMS, generation=2, throttle=spent())
    for _ in range(5):
        await gateway.post()
    evidence = await gateway.evidence()
    assert [stratum for one in evidence.generations for stratum in one.strata] == []
    assert parse_serving(await gateway.read("/-/recent")).recent == Recent()  # nor Ready anything that fails
    assert await metric(gateway, "claude_gateway_throttled_total") == 5
    assert await metric(gateway, 'claude_gateway_refused_total{status="429"}') == 5
    assert await metric(gateway, "claude_gateway_requests_total{") == 0
    assert {line["outcome"] for line in await gateway.lines(5)} == {"refused"}


@pytest.mark.parametrize(
    ("method", "path", "refused"),
    [
        ("POST", "/v1/messages", True),
        ("POST", "//v1/v1/messages", True),
        ("POST", "/v1/messages?beta=true", True),
        ("POST", "/v1/messages/batches", True),
        ("POST", "/v1/messages/batches?beta=true", True),
        ("POST", "/v1/sessions", True),
        ("POST", "/v1/sessions/s1/events", True),
        ("POST", "/v1/deployments/d1/run", True),
        ("POST", "/v1/dreams", True),
        ("POST", "/v1/messages/count_tokens", False),
        ("POST", "/v1/messages/batches/b1/cancel", False),
        ("GET", "/v1/messages/batches/b1/results", False),
        ("GET", "/v1/messages/batches", False),
        ("GET", "/v1/models", False),
        ("POST", "/v1/files", False),
        ("POST", "/v1/sessions/s1/archive", False),
    ],
)
async def test_only_what_costs_something_is_refused(gateway: Gateway, method: str, path: str, refused: bool) -> None:
    gateway.serve(generation=2, throttle=spent())
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]})
    sent = {"authorization": f"Bearer {CLIENT_KEY}", "content-type": "application/json"}
    async with gateway.http.request(method, gateway.url + path, data=body, headers=sent) as response:
        await response.read()
    assert (response.status, len(gateway.upstream.requests)) == ((429, 0) if refused else (200, 1))


async def test_who_may_not_ask_hears_nothing_of_the_budget(gateway: Gateway) -> None:
    gateway.serve(generation=2, throttle=spent())
    response, _ = await gateway.post(headers={"authorization": "Bearer wrong"})
    assert response.status == 401


async def test_it_ends_by_itself_and_by_a_new_config(gateway: Gateway) -> None:
    gateway.serve(generation=2, throttle=spent(-dt.timedelta(seconds=1)))  # the month has ended, and no operator ran
    assert (await gateway.post())[0].status == 200
    gateway.serve(generation=3, throttle=spent())
    assert (await gateway.post())[0].status == 429
    gateway.serve(generation=4)
    assert (await gateway.post())[0].status == 200
    assert await gateway.outcomes() == {"ok": 2}


async def test_a_stream_that_runs_ends_as_it_would(gateway: Gateway) -> None:
    began, go_on = asyncio.Event(), asyncio.Event()
    events = stream_events("Hel", "lo")

    async def script(request: Recorded, play: Playback) -> None:
        await play.head(content_type="text/event-stream", request_id="req_up", transfer_encoding="chunked")
        await play.chunk(b"".join(events[:4]))
        began.set()
        await go_on.wait()
        await play.chunk(b"".join(events[4:]))
        await play.raw(b"0\r\n\r\n")

    gateway.upstream.script = script
    call = asyncio.create_task(gateway.post({"model": "m", "max_tokens": 9, "messages": [], "stream": True}))
    await began.wait()
    gateway.serve(generation=2, throttle=spent())
    assert (await gateway.post())[0].status == 429
    go_on.set()
    response, text = await call
    assert response.status == 200
    assert text == b"".join(events)
    assert await gateway.outcomes() == {"ok": 1}


async def test_sdks_do_not_wait_for_the_next_month(gateway: Gateway) -> None:
    gateway.serve(generation=2, throttle=spent())
    gateway.upstream.script = sse_answer(*stream_events("Hello"))
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=CLIENT_KEY, max_retries=3) as client:
        with pytest.raises(anthropic.RateLimitError, match="budget of the month is spent"):
            await client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}])
        with pytest.raises(anthropic.RateLimitError, match="budget of the month is spent"):
            async with client.messages.stream(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "Hello"}]
            ) as stream:
                await stream.until_done()
    assert len(await gateway.lines(2)) == 2


@pytest.mark.parametrize("how", ["ended early", "begun", "another key", "an older one"])
async def test_nobody_but_the_operator_throttles(gateway: Gateway, how: str) -> None:
    config = make_config(gateway.upstream.url, make_arm(), generation=3, throttle=spent())
    document, throttle = dump_config(config).encode(), dump_throttle(config)
    right, free = written(document, throttle=throttle), written(document)
    older = written(dump_config(make_config(gateway.upstream.url, make_arm(), generation=2)).encode())
    first, wrong = {
        "ended early": (right, replace(right, throttle="{}")),
        "begun": (free, replace(free, throttle=throttle)),
        "another key": (free, replace(right, throttle_signature=written(document, key="x").throttle_signature)),
        "an older one": (right, replace(right, throttle="{}", throttle_signature=older.throttle_signature)),
    }[how]
    gateway.service.control.offer(first)
    gateway.service.control.offer(wrong)
    assert "throttle.json is not signed by the operator" in gateway.service.control.error
    assert (await gateway.post())[0].status == (429 if first is right else 200)


@pytest.mark.parametrize("odd", ["", '{"until":"2999-01-01T00:00:00Z","monthlyUSD":"1","share":0.5}'])
async def test_what_is_not_known_refuses_nothing(gateway: Gateway, odd: str) -> None:
    """Of an operator before it, or after it: the config is served, whatever it says beside."""
    document = dump_config(make_config(gateway.upstream.url, make_arm(), generation=3)).encode()
    whole = written(document, throttle=odd)
    gateway.service.control.offer(whole if odd else replace(whole, throttle_signature=""))
    assert (gateway.service.control.error, gateway.service.control.generation) == ("", 3)
    assert (await gateway.post())[0].status == 200
