"""A run through Message Batches, on the real simulator: no pod waits, and nothing is paid twice."""

from __future__ import annotations

import datetime as dt
import io
import json
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.evals.servers import serving
from tests.evals.test_job import Scene, scene
from tests.evals.test_resuming import ALL, EPOCHS, QUESTIONS, SET, payments, scenario, stored_report
from tests.simulator.harness import Running, running_simulator

from claude_operator.api.evals import EvalExecution, EvalGate
from claude_operator.api.gateway import Arm
from claude_operator.core.evals.checks import Check
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import prepare
from claude_operator.evals.ask import Asker
from claude_operator.evals.batches import Batcher, Waiting
from claude_operator.evals.cancelling import cancel
from claude_operator.evals.keeping import Folder, Keeper
from claude_operator.evals.session import Arms, Run, evaluate
from claude_operator.log import Log

BATCHED = {**SET, "execution": {"epochs": EPOCHS, "mode": "batch"}}


async def begun(it: Scene, api: Running, spec: dict[str, Any] = BATCHED) -> None:
    it.add("claudeevalsets", "support", spec=spec)
    it.run["status"] = {}
    assert await it.go() == 75


async def test_the_job_submits_ends_and_another_one_collects(tmp_path: Path) -> None:
    async with (
        running_simulator(scenario()) as api,
        scene(tmp_path, baselineRevision="old", upstream={"baseURL": api.url}) as it,
    ):
        await begun(it, api)
        assert (it.status["phase"], it.status["reason"]) == ("Running", "BatchRunning")
        assert len(it.status["batches"]) == 1
        assert dt.datetime.fromisoformat(it.status["retryAt"]) > dt.datetime.fromisoformat(it.status["batchesAt"])
        assert await it.go() == 75, "it is not over: nothing is submitted again"
        assert len(it.status["batches"]) == 1
        assert f"under way with {ALL} questions" in it.status["message"]
        assert await payments(api) == []
        api.clock.now += 10
        assert await it.go() == 0
        assert (it.status["phase"], it.status["asked"], it.status["reused"]) == ("Passed", ALL, 0)
        assert it.status["batches"] == []
        assert "batchesAt" not in it.status
        [forgotten] = [one for one in it.cluster.writes if one.get("batches") == [] and "phase" not in one]
        assert forgotten["paidUSD"] > 0, "a Job that dies next leaves it to the cap of all attempts"
        paid = await payments(api)
        assert len(paid) == len({one["customId"] for one in paid}) == ALL
        cost = it.status["paidUSD"]
        report = stored_report(it)
        assert cost == pytest.approx(sum(one.cost_usd or 0 for one in report.outcomes), abs=1e-5)
        assert {one.seconds for one in report.outcomes} == {None}
    assert cost > 0


async def test_what_expires_or_fails_is_asked_in_real_time(tmp_path: Path) -> None:
    odd = scenario(errorRate=0.2).replace("answers:", "batches: {duration: 0s, expiredRate: 0.3}\nanswers:", 1)
    async with (
        running_simulator(odd) as api,
        scene(tmp_path, baselineRevision="old", upstream={"baseURL": api.url}) as it,
    ):
        await begun(it, api)
        await api.steer(odd.replace("errorRate: 0.2", "errorRate: 0"))
        assert await it.go() == 0
        assert it.status["phase"] == "Passed"
        paid = await payments(api)
    in_batches = [one for one in paid if one["customId"]]
    assert 0 < len(in_batches) < ALL
    assert len(paid) == ALL
    assert all(one["complete"] for one in paid)
    by_body = Counter(one["body"] for one in paid if not one["customId"])
    assert max(by_body.values()) <= EPOCHS
    assert (it.status["asked"], it.status["done"]) == (ALL, len(QUESTIONS) * EPOCHS)


@pytest.mark.parametrize("state", ["in_progress", "canceling"])
async def test_a_batch_that_has_not_ended_is_waited_for_though_nothing_of_it_is_open(state: str) -> None:
    """Its results are not there yet, and all of it would be paid again."""

    async def show(_: web.Request) -> web.Response:
        counts = {"processing": 0, "succeeded": 4, "errored": 0, "canceled": 0, "expired": 0}
        return web.json_response({"id": "one", "processing_status": state, "request_counts": counts})

    async def record(ids: Sequence[str]) -> None:
        """Nowhere."""

    app = web.Application()
    app.router.add_get("/v1/messages/batches/one", show)
    async with serving(app) as url, Asker(url, "sk-test", timeout=10, open_calls=1) as asker:
        with pytest.raises(Waiting) as caught:
            await Batcher(asker, ["one"], record).collect()
    assert caught.value.message == "Message Batches are under way with 4 questions, as of now 0 open"


async def test_a_batch_that_is_gone_is_no_loss_of_the_run(tmp_path: Path) -> None:
    async with running_simulator(scenario()) as api, scene(tmp_path, upstream={"baseURL": api.url}) as it:
        it.add("claudeevalsets", "support", spec=BATCHED)
        it.run["status"] = {"batches": ["msgbatch_gone"], "batchesAt": "2026-11-24T00:00:00Z"}
        assert await it.go() == 0
        assert it.status["phase"] == "Passed"
        assert it.status["batches"] == []


async def test_an_upstream_without_batches_says_what_to_write(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        it.add("claudeevalsets", "support", spec=BATCHED)
        assert await it.go() == 1
    assert "write execution.mode: realtime" in it.status["message"]


@pytest.mark.parametrize(("epochs", "code"), [(3, 75), (2, 0)])
async def test_auto_takes_batches_from_fifty_questions_on(tmp_path: Path, epochs: int, code: int) -> None:
    async with running_simulator(scenario()) as api, scene(tmp_path, upstream={"baseURL": api.url}) as it:
        spec = {**SET, "execution": {"epochs": epochs, "mode": "auto"}}
        it.add("claudeevalsets", "support", spec=spec)
        assert await it.go() == code


async def test_a_batch_that_is_too_dear_is_not_submitted(tmp_path: Path) -> None:
    async with running_simulator(scenario()) as api, scene(tmp_path, upstream={"baseURL": api.url}) as it:
        spec = {**SET, "execution": {"epochs": 3, "mode": "batch", "maxCostUSD": 0.000001}}
        it.add("claudeevalsets", "support", spec=spec)
        assert await it.go() == 101
    assert it.status["reason"] == "BudgetReached"


async def test_the_requests_of_batches_are_not_all_in_memory_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its arm's whole prompt: all of a large set would have the Job killed, again and again."""
    monkeypatch.setattr("claude_operator.evals.batches._MOST_BYTES", 1_000_000)
    held: list[int] = []

    async def submit(request: web.Request) -> web.Response:
        held.append(tracemalloc.get_traced_memory()[0])
        await request.read()
        return web.json_response({"id": f"msgbatch_{len(held)}"})

    async def record(ids: Sequence[str]) -> None:
        """Nowhere."""

    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/v1/messages/batches", submit)
    arm = prepare(Arm("new", "canary", 0, {"model": "claude-haiku-5-5", "max_tokens": 9, "system": "x" * 300_000}), {})
    items = [Item(f"i{number}", b"[]", (Check("equals", "good"),)) for number in range(100)]
    async with serving(app) as url, Asker(url, "sk-test", timeout=60, open_calls=1) as asker:
        run = Run(EvalExecution(epochs=1, mode="batch"), url=url, keeper=Keeper(Folder(tmp_path)))
        run.batcher = Batcher(asker, (), record)
        tracemalloc.start()
        try:
            with pytest.raises(Waiting):
                await evaluate(items, Arms(arm), asker.ask, EvalGate(), run)
        finally:
            tracemalloc.stop()
    assert len(held) == len(run.batcher.ids) > 10
    assert max(held) < 15_000_000, "all of them are 30 MB"


async def test_without_kept_answers_it_is_asked_in_real_time_and_that_is_said(tmp_path: Path) -> None:
    async with running_simulator(scenario()) as api, scene(tmp_path, upstream={"baseURL": api.url}) as it:
        spec = {**SET, "execution": {"epochs": 1, "mode": "batch", "keepAnswers": False}}
        it.add("claudeevalsets", "support", spec=spec)
        assert await it.go() == 0
    assert "it was asked in real time: Message Batches need execution.keepAnswers" in it.status["message"]


async def test_batches_of_a_run_that_is_gone_are_cancelled_and_not_paid(tmp_path: Path) -> None:
    async with (
        running_simulator(scenario()) as api,
        scene(tmp_path, baselineRevision="old", upstream={"baseURL": api.url}) as it,
    ):
        await begun(it, api)
        output = io.StringIO()
        async with Asker(api.url, "sk", timeout=5, open_calls=1, pause=0.001) as asker:
            [batch] = it.status["batches"]
            assert await cancel(asker, [batch, "msgbatch_gone"], Log(output, "json")) == 0
        told = [(line["message"], line["batch"]) for line in map(json.loads, output.getvalue().splitlines())]
        assert told == [("cancelled", batch), ("nothing to cancel", "msgbatch_gone")]
        api.clock.now += 10
        assert await payments(api) == []


async def test_a_batch_that_could_not_be_cancelled_is_told() -> None:
    output = io.StringIO()
    async with Asker("http://127.0.0.1:1", "sk", timeout=5, open_calls=1, pause=0.001, retries=0) as asker:
        assert await cancel(asker, ["msgbatch_1"], Log(output, "json")) == 1
    assert "the Message Batch is not cancelled" in output.getvalue()
