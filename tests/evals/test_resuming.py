"""A run that dies goes on where it was, on the real simulator: its ledger says what was paid."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.evals.servers import Body, Refusal, Text, question
from tests.evals.test_job import Scene, scene
from tests.simulator.harness import Running, running_simulator
from tests.waiting import until

from claude_operator.core.evals.kept import slot_names
from claude_operator.core.evals.report import Report, read_report

PROMPTS = {"new": "NEW", "old": "OLD"}
QUESTIONS = [f"Question {number}?" for number in range(20)]
ANSWERS = [{"question": one, "answer": f"a{number}"} for number, one in enumerate(QUESTIONS)]
EPOCHS = 3
SET = {
    "tests": [
        {"id": f"i{number}", "input": one, "assert": [{"type": "equals", "value": f"a{number}"}]}
        for number, one in enumerate(QUESTIONS)
    ],
    "gate": {"margin": 0.1, "onInconclusive": "Block"},
    "execution": {"epochs": EPOCHS},
}
ALL = len(QUESTIONS) * EPOCHS * len(PROMPTS)


def scenario(**defaults: Any) -> str:
    fast = {"latency": {"median": "0s"}, "tokensPerSecond": 1e6, **defaults}
    return yaml.safe_dump({"answers": ANSWERS, "defaults": fast})


async def payments(api: Running) -> list[dict[str, Any]]:
    async with api.http.get(api.url + "/-/ledger") as response:
        return list((await response.json())["payments"])


def stored_report(it: Scene) -> Report:
    found = it.cluster.objects["/api/v1/namespaces/demo/configmaps/new-12345678-report"]
    return read_report(base64.b64decode(found["binaryData"]["report.jsonl.gz"]), "the report")


@pytest.mark.parametrize(
    "outage",
    [{"emptyAccountRate": 1}, {"errorRate": 1}, {"streamErrorRate": 1}, {"rateLimitRate": 1}, {"overloadRate": 1}],
    ids=lambda value: next(iter(value)),
)
async def test_no_answer_is_paid_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outage: dict[str, int]) -> None:
    """An outage in the middle ends the attempt; the next one asks the rest."""
    monkeypatch.setattr("claude_operator.evals.ask._PATIENCE", 0.2)
    monkeypatch.setattr("claude_operator.evals.job._PAUSE", 0.01)
    async with running_simulator(scenario()) as api:
        async with scene(tmp_path, baselineRevision="old", upstream={"baseURL": api.url}) as it:
            it.add("claudeevalsets", "support", spec=SET)
            first = asyncio.create_task(it.go())
            await until(lambda: api.simulator.ledger.document()["payments"][30:])
            await api.steer(scenario(**outage))
            assert await first == 1
            assert (it.status["phase"], it.status["reason"]) == ("Running", "Infrastructure")
            assert 30 < it.status["asked"] < ALL
            assert it.status["paidUSD"] > 0
            paid = it.status["paidUSD"]
            await api.steer(scenario())
            assert await it.go() == 0
            assert (it.status["phase"], it.status["done"]) == ("Passed", len(QUESTIONS) * EPOCHS)
            assert it.status["asked"] + it.status["reused"] == ALL
            assert it.status["paidUSD"] > paid
        complete = Counter(one["body"] for one in await payments(api) if one["complete"])
    assert len(complete) == len(QUESTIONS) * len(PROMPTS)
    assert set(complete.values()) == {EPOCHS}


async def test_a_job_that_is_killed_loses_what_was_not_written_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a signal first, as by the kernel: its last moments are not kept, and everything before them is."""
    monkeypatch.setattr("claude_operator.evals.keeping._SOON", 0.01)
    many = set[str]()

    async def script(body: Body) -> Text:
        if len(many) >= 25:
            await asyncio.sleep(60)
        many.add(question(body))
        return Text()

    async with scene(tmp_path, script) as it:
        tests = [{"id": f"i{number}", "input": f"Q{number}"} for number in range(40)]
        it.add("claudeevalsets", "support", spec={**SET, "tests": tests, **BILLING})
        killed = asyncio.create_task(it.go())
        await until(lambda: len(many) >= 25 and it.cluster.merges > 0 and _written(it) == 25)
        it.cluster.refuse_merges = 503  # the dead write nothing more
        killed.cancel()
        await killed
        it.cluster.refuse_merges = 0
        it.upstream.script = lambda _: Text()
        it.upstream.calls.clear()
        assert await it.go() == 0
        assert len(it.upstream.calls) == 15
        assert it.status["reused"] == 25


BILLING = {
    "defaultTest": {"assert": [{"type": "equals", "value": "billing"}]},
    "gate": {"passRate": 0.5},
    "execution": {"epochs": 1},
}


def _written(it: Scene) -> int:
    from claude_operator.core.evals.kept import read_batch

    found = 0
    for slot in slot_names("support"):
        data = it.cluster.objects[f"/api/v1/namespaces/demo/secrets/{slot}"].get("data") or {}
        found += sum(len(read_batch(base64.b64decode(text))) for text in data.values())
    return found


@pytest.mark.parametrize("status", [403, 422, 500])
async def test_a_run_goes_on_where_nothing_can_be_kept(tmp_path: Path, status: int) -> None:
    async with scene(tmp_path) as it:
        it.cluster.refuse_merges = status
        assert await it.go() == 0
    assert it.status["phase"] == "Passed"
    assert "; answers are not kept: the Secret support-eval-answers-0" in it.status["message"]
    assert [one["message"] for one in it.events][-2:] == ["there is no report", "ended"]


async def test_keep_answers_false_empties_the_secrets(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        assert await it.go() == 0
        assert _written(it) == 2
        stored = it.cluster.objects["/apis/claudeops.dev/v1alpha1/namespaces/demo/claudeevalsets/support"]["spec"]
        it.add("claudeevalsets", "support", spec={**stored, "execution": {"epochs": 1, "keepAnswers": False}})
        it.run["status"] = {}
        it.upstream.calls.clear()
        assert await it.go() == 0
        assert (len(it.upstream.calls), _written(it)) == (2, 0)


@pytest.mark.parametrize("keep_text", [False, True])
async def test_the_report_has_every_answer_and_texts_only_where_the_set_says_so(
    tmp_path: Path, keep_text: bool
) -> None:
    def script(body: Body) -> Text | Refusal:
        return Text("other") if question(body).endswith("b") else Text()

    async with scene(tmp_path, script, baselineRevision="old") as it:
        stored = it.cluster.objects["/apis/claudeops.dev/v1alpha1/namespaces/demo/claudeevalsets/support"]["spec"]
        it.add("claudeevalsets", "support", spec={**stored, "execution": {"epochs": 2, "keepText": keep_text}})
        await it.go()
        report = stored_report(it)
    assert report.run.phase == it.status["phase"]
    assert (report.run.set, report.run.candidate, report.run.baseline) == ("support", "new", "old")
    assert sorted((one.id, one.arm, one.epoch, one.failed) for one in report.outcomes) == sorted(
        (name, arm, epoch, "equals: billing" if name == "b" else "")
        for name in "ab"
        for arm in ("candidate", "baseline")
        for epoch in range(2)
    )
    assert {one.text for one in report.outcomes} == ({"billing", "other"} if keep_text else {None})
    assert all(one.stop == "end_turn" and one.seconds for one in report.outcomes)
