"""Message Batches: submitted, running, ended; results by custom_id in another order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from tests.simulator.harness import HEADERS, Running, message

SCENARIO = """{answers: [{question: "Q0", answer: a0}], batches: {duration: 60s, expiredRate: %s},
  defaults: {latency: {median: 0s}, tokensPerSecond: 1e6%s}}"""


def asked(count: int) -> list[dict[str, Any]]:
    return [{"custom_id": f"i{number}", "params": message(f"Q{number}")} for number in range(count)]


async def post(api: Running, requests: object) -> tuple[int, dict[str, Any]]:
    url = api.url + "/v1/messages/batches"
    async with api.http.post(url, json={"requests": requests}, headers=HEADERS) as response:
        return response.status, await response.json()


async def get(api: Running, path: str) -> tuple[int, str]:
    async with api.http.get(f"{api.url}/v1/messages/batches/{path}", headers=HEADERS) as response:
        return response.status, await response.text()


async def test_a_batch_runs_ends_and_is_paid_once(api: Running) -> None:
    await api.steer(SCENARIO % (0, ""))
    status, batch = await post(api, asked(20))
    assert (status, batch["processing_status"], batch["results_url"]) == (200, "in_progress", None)
    assert batch["request_counts"] == {"processing": 20, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    api.clock.now += 59
    assert json.loads((await get(api, batch["id"]))[1])["processing_status"] == "in_progress"
    assert (await get(api, f"{batch['id']}/results"))[0] == 400
    assert api.simulator.ledger.document()["payments"] == []
    api.clock.now += 1
    for _ in range(2):
        ended = json.loads((await get(api, batch["id"]))[1])
        assert (ended["processing_status"], ended["request_counts"]["succeeded"]) == ("ended", 20)
        lines = [json.loads(line) for line in (await get(api, f"{batch['id']}/results"))[1].splitlines()]
    names = [line["custom_id"] for line in lines]
    assert sorted(names) == sorted(one["custom_id"] for one in asked(20))
    assert names != [one["custom_id"] for one in asked(20)]
    (known,) = (line["result"]["message"] for line in lines if line["custom_id"] == "i0")
    assert (known["content"][0]["text"], known["usage"]["service_tier"]) == ("a0", "batch")
    paid = api.simulator.ledger.document()["payments"]
    assert sorted(one["customId"] for one in paid) == sorted(names)
    assert all(one["complete"] for one in paid)


async def test_some_expire_and_some_are_errored(api: Running) -> None:
    await api.steer(SCENARIO % (0.3, ", errorRate: 0.3"))
    wrong = {"custom_id": "wrong", "params": message(max_tokens=-1)}
    _, batch = await post(api, [*asked(200), wrong])
    api.clock.now += 60
    counts = json.loads((await get(api, batch["id"]))[1])["request_counts"]
    assert sum(counts.values()) == 201
    assert min(counts[name] for name in ("succeeded", "errored", "expired")) > 20
    assert len(api.simulator.ledger.document()["payments"]) == counts["succeeded"]
    lines = (await get(api, f"{batch['id']}/results"))[1].splitlines()
    (found,) = (one["result"] for one in map(json.loads, lines) if one["custom_id"] == "wrong")
    assert found["type"] == "expired" or found["error"]["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "requests",
    [[], [{"custom_id": "a"}], [{"custom_id": "a b", "params": {}}], asked(1) * 2, "no"],
    ids=["empty", "no params", "a bad id", "twice", "no list"],
)
async def test_what_is_no_batch_is_refused(api: Running, requests: object) -> None:
    status, answer = await post(api, requests)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


async def test_an_unknown_batch(api: Running) -> None:
    assert (await get(api, "msgbatch_none"))[0] == 404


async def test_the_sdk_reads_them(api: Running) -> None:
    await api.steer("{batches: {duration: 0s}}")
    async with AsyncAnthropic(api_key="k", base_url=api.url, max_retries=0) as client:
        batch = await client.messages.batches.create(requests=asked(3))  # type: ignore[arg-type]
        assert (await client.messages.batches.retrieve(batch.id)).processing_status == "ended"
        found = [one async for one in await client.messages.batches.results(batch.id)]
    assert {one.custom_id: one.result.type for one in found} == dict.fromkeys(("i0", "i1", "i2"), "succeeded")


async def test_a_batch_that_is_cancelled_is_not_paid(api: Running) -> None:
    await api.steer(SCENARIO % (0, ""))
    _, batch = await post(api, asked(3))
    url = f"{api.url}/v1/messages/batches/{batch['id']}/cancel"
    async with api.http.post(url, headers=HEADERS) as response:
        assert (await response.json())["request_counts"]["canceled"] == 3
    lines = (await get(api, f"{batch['id']}/results"))[1].splitlines()
    assert [json.loads(line)["result"]["type"] for line in lines] == ["canceled"] * 3
    assert api.simulator.ledger.document()["payments"] == []
    async with api.http.post(url, headers=HEADERS) as response:
        assert response.status == 400, "it has ended"
