"""What is counted, shown and logged; and what is not written anywhere."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from tests.gateway.harness import CANARY, CLIENT_KEY, STABLE, UPSTREAM_KEY, Gateway, make_arm
from tests.gateway.pod import Pod
from tests.gateway.upstream import MESSAGE, json_answer, sse_answer, stream_events

from claude_operator.api.evidence import parse_evidence
from claude_operator.api.packing import unpack
from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.gateway import admin

STREAM = {"messages": [], "stream": True}


async def test_it_is_packed_for_who_asks_for_it_and_not_for_who_accepts_it(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operators of before accept gzip by a header that their HTTP client sends, and cannot unpack it."""
    gateway.http.headers["accept-encoding"] = "gzip"
    for target in ("/-/evidence?since=&units=1", "/-/evidence?since=&units=1&gzip=1"):  # small
        assert parse_evidence(await gateway.read(target))
    monkeypatch.setattr(admin, "_SMALL", 100)
    assert parse_evidence(await gateway.read("/-/evidence?since=&units=1"))
    packed = await gateway.read("/-/evidence?since=&units=1&gzip=1")
    assert parse_evidence(unpack(packed, 10_000))
    assert len(unpack(packed, 10_000)) > len(packed)


async def test_sums_over_strata_and_generations(gateway: Gateway) -> None:
    gateway.serve(surfaces=["chat"], generation=7)
    for surface in ("chat", "chat", "voice", ""):
        await gateway.post(headers={"x-claude-surface": surface})
    gateway.upstream.script = json_answer({**MESSAGE, "usage": {"input_tokens": 1, "output_tokens": 1}})
    gateway.serve(surfaces=["chat"], generation=8)
    await gateway.post(headers={"x-claude-surface": "chat"})
    gateway.upstream.script = json_answer(b"{}", "500 Oops")
    await gateway.post(headers={"x-claude-surface": "chat"})
    evidence = await gateway.evidence()
    assert (evidence.config_generation, evidence.config_error) == (8, "")
    assert [generation.generation for generation in evidence.generations] == [1, 7, 8]
    counted = {
        (generation.generation, stratum.surface, stratum.cache): stratum.counters
        for generation in evidence.generations
        for stratum in generation.strata
    }
    assert {key: counters.outcomes for key, counters in counted.items()} == {
        (7, "chat", "read"): {"ok": 2},
        (7, "other", "read"): {"ok": 2},
        (8, "chat", "none"): {"ok": 1, "error": 1},
    }
    for counters in counted.values():
        assert sum(counters.outcomes.values()) == counters.requests
        assert counters.duration.count == counters.outcomes["ok"] == counters.stop_reasons["end_turn"]
        assert sum(counters.duration.buckets.values()) == counters.duration.count
        assert counters.ttft.count == 0
    reads = counted[7, "chat", "read"]
    assert reads.tokens == {"input": 20, "output": 10, "cacheRead": 200, "cacheWrite5m": 20, "cacheWrite1h": 40}
    price = cost_usd("claude-opus-5-5", MESSAGE["usage"])
    assert price is not None
    assert reads.cost.sum == pytest.approx(2 * price)
    assert reads.cost.ln_sum == pytest.approx(2 * math.log(price))
    assert reads.cost.buckets == {str(math.floor(math.log(price) / math.log(1.25))): 2}


async def test_only_the_last_four_generations_are_kept(gateway: Gateway) -> None:
    for generation in range(2, 8):
        gateway.serve(generation=generation)
        await gateway.post()
    assert [each.generation for each in (await gateway.evidence()).generations] == [4, 5, 6, 7]


def test_a_generation_that_comes_back_goes_on_counting() -> None:
    pod = Pod()
    pod.settle()
    pod.serve(2)
    pod.serve(1)  # as on a laptop
    pod.settle()
    generations = parse_evidence(pod.store.document(1, 1.0, "")).generations
    assert [each.generation for each in generations] == [2, 1]
    assert pod.counters().requests == 2


async def test_a_stream_has_a_time_to_first_token(gateway: Gateway) -> None:
    gateway.upstream.script = sse_answer(*stream_events("a", "b"), pause=0.01)
    await gateway.post(STREAM)
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    counters = stratum.counters
    assert (stratum.revision, stratum.role, stratum.cache) == (STABLE, "stable", "read")
    assert counters.ttft.count == counters.duration.count == 1
    assert 0.02 < counters.ttft.sum < counters.duration.sum


async def test_iterations_are_summed_as_they_are_billed(gateway: Gateway) -> None:
    entry = {"type": "message", "input_tokens": 3, "output_tokens": 2, "cache_creation_input_tokens": 4}
    usage = {"input_tokens": 3, "output_tokens": 2, "iterations": [entry, {**entry, "type": "compaction"}]}
    gateway.upstream.script = json_answer({**MESSAGE, "usage": usage})
    await gateway.post()
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    assert stratum.cache == "write"
    assert stratum.counters.tokens == {
        "input": 6, "output": 4, "cacheRead": 0, "cacheWrite5m": 8, "cacheWrite1h": 0
    }  # fmt: skip
    (line,) = await gateway.lines()
    assert [each["type"] for each in line["usage"]["iterations"]] == ["message", "compaction"]


@pytest.mark.parametrize("usage", [{"input_tokens": "many", "output_tokens": -1, "iterations": [7, {}]}, {"a": None}])
async def test_usage_without_sense_harms_nothing(gateway: Gateway, usage: dict[str, Any]) -> None:
    gateway.upstream.script = json_answer({**MESSAGE, "usage": usage, "model": "claude-unknown-9"})
    response, _ = await gateway.post()
    assert response.status == 200
    assert await gateway.outcomes() == {"ok": 1}


async def test_metrics_tell_the_same(gateway: Gateway) -> None:
    gateway.upstream.script = sse_answer(*stream_events("a"))
    await gateway.post(STREAM)
    gateway.upstream.script = json_answer(b"{}", "429 Too Many")
    await gateway.post()
    await gateway.post(headers={"authorization": "Bearer wrong"})
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        page = await response.text()
    model = 'model="claude-opus-5-5"'
    labels = f'arm="stable",{model}'
    revision = f'revision="{STABLE}"'
    for line in (
        f'gen_ai_client_operation_duration_seconds_count{{{labels},outcome="ok",{revision}}} 1.0',
        f"gen_ai_client_operation_time_to_first_chunk_seconds_count{{{labels},{revision}}} 1.0",
        f'gen_ai_client_token_usage_sum{{arm="stable",gen_ai_token_type="input",{model},{revision}}} 140.0',
        f'claude_gateway_tokens_total{{arm="stable",kind="cache_write_1h",{model},{revision}}} 20.0',
        f'claude_gateway_requests_total{{{labels},outcome="overload",{revision},surface="other"}} 1.0',
        'claude_gateway_refused_total{status="401"} 1.0',
        "claude_gateway_config_generation 1.0",
        "claude_gateway_in_flight 0.0",
    ):
        assert line in page.splitlines()


async def test_the_line_of_a_call(gateway: Gateway) -> None:
    gateway.serve(make_arm(subagents={"researcher": {}}), surfaces=["chat"], generation=3)
    await gateway.post(
        headers={
            "x-claude-session-id": "s" * 999,
            "x-claude-user-id": "u1",
            "x-claude-surface": "chat",
            "x-claude-subagent": "researcher",
            "x-stainless-retry-count": "2",
        }
    )
    (line,) = await gateway.lines()
    assert {name: line[name] for name in line if name not in {"time", "latency_ms", "overhead_ms", "session_id"}} == {
        "level": "info",
        "message": "call",
        "request_id": "req_up",
        "method": "POST",
        "path": "/v1/messages",
        "status": 200,
        "outcome": "ok",
        "error": "",
        "explanation": "",
        "model": "claude-opus-5-5",
        "stop_reason": "end_turn",
        "stream": False,
        "usage": {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 100,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        },
        "ttft_ms": None,
        "user_id": "u1",
        "surface": "chat",
        "subagent": "researcher",
        "deployment": "demo/support",
        "revision": STABLE,
        "arm": "stable",
        "pinned": False,
        "moved": False,
        "turn": 0,
        "attempt": "2",
        "retry": False,
        "config_generation": 3,
    }
    assert line["session_id"] == "s" * 256
    assert 0 < line["overhead_ms"] < line["latency_ms"]


SECRET = "PROMPT-SENTINEL"


async def test_no_prompt_and_no_key_is_written_anywhere(gateway: Gateway) -> None:
    arm = make_arm(CANARY, request={"system": [{"type": "text", "text": SECRET}], "mcp_servers": [
        {"type": "url", "name": "d", "url": "https://x", "authorization_token": "$(DOCS)"}]})  # fmt: skip
    (gateway.files.env / "DOCS").write_text("token-SENTINEL")
    gateway.serve(arm, env=["DOCS"], generation=2)
    turn = {"messages": [{"role": "user", "content": SECRET}], "stream": True, "x": SECRET}
    error = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": SECRET}}).encode()
    answers = [
        json_answer({**MESSAGE, "content": [{"type": "text", "text": SECRET}]}),
        json_answer(error, "400 Bad Request"),
        json_answer(SECRET.encode()),
        sse_answer(*stream_events(SECRET)),
        sse_answer(*stream_events(SECRET)[:4], cut=True),
        sse_answer(stream_events(SECRET)[0], b"event: error\ndata: " + error + b"\n\n"),
        sse_answer(b"event: message_start\ndata: " + SECRET.encode() + b"\n\n"),
    ]
    for answer in answers:
        gateway.upstream.script = answer
        await gateway.post(turn)
        assert "token-SENTINEL" in gateway.upstream.last.body.decode()
    for body in (SECRET.encode(), b'{"messages": ["' + SECRET.encode(), json.dumps([SECRET]).encode()):
        await gateway.post(body)
    await gateway.post(turn, {"authorization": f"Bearer wrong-{SECRET}"})
    await gateway.post(turn, {"x-api-key": CLIENT_KEY}, f"/v1/messages?key={SECRET}")
    await gateway.post(SECRET.encode(), path=f"/v1/files?key={SECRET}")
    gateway.serve(arm, env=["DOCS"], generation=3, url="http://127.0.0.1:1")
    await gateway.post(turn)
    gateway.offer(json.dumps({"generation": SECRET}).encode())
    assert (await gateway.evidence()).config_error
    await gateway.lines(len(answers) + 7)
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        metrics = await response.text()
    evidence = (await gateway.read("/-/evidence")).decode()
    written = gateway.output.getvalue() + metrics + evidence
    for secret in (SECRET, CLIENT_KEY, UPSTREAM_KEY, "SENTINEL"):
        assert secret not in written
