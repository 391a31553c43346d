"""What is wrong is classified once, and the worst is first; conditions and holds render the same finding."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.core.judge.arms import CANARY, STABLE, START, analysis, counts, tick
from tests.core.reconcile.rules.sample import NOW, drafted, judgement, trial

from claude_operator.api.conditions import Reason, Type
from claude_operator.api.status import MetricState, SampleRatio
from claude_operator.api.sums import UnitSums
from claude_operator.core.judge import assessment
from claude_operator.core.judge.diagnosis import diagnose, explain_unnamed, find, reason_of
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.measurements import Measurement
from claude_operator.core.judge.sentences import message
from claude_operator.core.reconcile.conditions import conditions
from claude_operator.core.reconcile.rules.canary import move

FEW = MetricState(name="errors", evidence=1.0, canary=[2, 0], stable=[21, 0], units=UnitSums(3, 60, 150, 0))
SIGNS: dict[Reason, dict[str, Any]] = {
    Reason.ERRORS_INCREASED: {"verdict": "Fail", "leading": "errors"},
    Reason.METRICS_UNREACHABLE: {"unreachable": ["gateway-0"]},
    Reason.NO_ANSWER: {"waiting": 12, "oldest": 18.0, "last_answer": NOW - dt.timedelta(seconds=15)},
    Reason.ACCOUNT_EXHAUSTED: {"recent": [0, 0, 0, 2, 18, 0, 0, 2, 0, 0, 18, 0]},
    Reason.OVERLOADED: {"overloaded": True},
    Reason.SHARED_INCIDENT: {"shared": "31 % of stable's requests fail"},
    Reason.SPLIT_MISMATCH: {"sample_ratio": SampleRatio(weight=1000, canary=400, stable=500, evidence=9)},
    Reason.FEW_CONVERSATIONS: {
        "requests": 400,
        "weight": 1000,
        "started_at": NOW - dt.timedelta(minutes=9),
        "state": [FEW],
    },
    Reason.METRIC_NO_DATA: {"reason": "MetricNoData", "message": "complaints has no data"},
}
"""Worst first."""
VERDICTS: dict[Reason, dict[str, Any]] = {
    Reason.METRIC_ERROR: {"verdict": "Error", "message": "complaints could not be measured"},
    Reason.NO_TRAFFIC: {"verdict": "NoData"},
}


@pytest.mark.parametrize("reason", [*SIGNS, *VERDICTS])
def test_each_finding_alone(reason: Reason) -> None:
    assert [one.reason for one in diagnose(judgement(**(SIGNS | VERDICTS)[reason]))][:1] == [reason]


def test_all_at_once_the_worst_is_first() -> None:
    everything: dict[str, Any] = {}
    for signs in reversed(SIGNS.values()):
        everything |= signs
    # The reason is of the judge's verdict: harm replaces it.
    replaced = (Reason.METRIC_NO_DATA, Reason.SPLIT_MISMATCH, Reason.FEW_CONVERSATIONS)
    wanted = [reason for reason in SIGNS if reason not in replaced]
    found = [one.reason for one in diagnose(judgement(**everything | {"reason": ""}))]
    assert found == wanted


@pytest.mark.parametrize(("requests", "unnamed", "told"), [(20, 2, "10 %"), (1000, 450, "45 %")])
def test_many_requests_without_a_name_are_told(requests: int, unnamed: int, told: str) -> None:
    healthy = SampleRatio(weight=1000, canary=40, stable=360, requests=requests, unnamed=unnamed)
    advice = (
        f"{told} of the requests do not name their conversation, so its later turns are found by the answers that they"
        " quote, which fails where answers are alike: send x-claude-session-id"
    )
    assert explain_unnamed(judgement(sample_ratio=healthy)) == advice
    assert diagnose(judgement(sample_ratio=healthy)) == ()
    assert message(judgement(sample_ratio=healthy), "no harm").endswith(f"; {advice}")
    wrong = healthy.model_copy(update={"evidence": 9.0})
    found = find(judgement(sample_ratio=wrong), Reason.SPLIT_MISMATCH)
    assert found is not None
    assert found.message.endswith(f"the arms may not have the same users; {advice}")


@pytest.mark.parametrize(
    "split", [None, SampleRatio(weight=1, requests=19, unnamed=19), SampleRatio(weight=1, requests=99, unnamed=9)]
)
def test_few_requests_without_a_name_are_not_told(split: SampleRatio | None) -> None:
    assert explain_unnamed(judgement(sample_ratio=split)) is None
    assert "name no conversation" not in message(judgement(sample_ratio=split), "no harm")


def test_nothing_wrong_is_watching() -> None:
    assert diagnose(judgement()) == ()
    assert reason_of(judgement()) == Reason.WATCHING


@pytest.mark.parametrize("first", SIGNS)
@pytest.mark.parametrize("second", [*SIGNS, *VERDICTS])
def test_the_condition_and_the_hold_name_the_same(first: Reason, second: Reason) -> None:
    """A failing metric of Prometheus beside an overloaded upstream had two names, one in each."""
    status = trial(1, judgement=judgement(**SIGNS[first] | (SIGNS | VERDICTS)[second]))
    worst = diagnose(status.judgement)[0]
    draft = drafted(status, increments=Increments())
    said = next(one for one in conditions(draft, draft.obs.config, []) if one.type == Type.CANARY_HEALTHY)
    assert (said.reason, said.message) == (worst.reason, worst.message)
    held = move(draft).hold
    if worst.holds and worst.healthy != "False":
        assert held is not None
        assert (held.reason, worst.message in held.message) == (worst.reason, True)


def test_a_metric_without_data_is_named_by_condition_and_bake() -> None:
    complaints = {"name": "complaints", "threshold": {"max": 1}, "prometheus": {"query": "sum(complaints)"}}
    plan = analysis(complaints, warmup="0s", interval="1s")
    at = START + dt.timedelta(seconds=60)
    judged, _ = assessment.assess(
        assessment.new_judgement(plan, START),
        plan,
        tick(counts(9), counts(90)),
        stable=STABLE,
        canary=CANARY,
        now=at,
        measurements=[Measurement("complaints", None, at=at)],
    )
    found = find(judged, Reason.METRIC_NO_DATA)
    assert found is not None
    assert (found.healthy, found.holds) == ("Unknown", False)
    assert found.message.startswith("complaints has no data: the query's answer is empty or not a number")
    missing = assessment.explain_missing(judged, plan, 0)
    assert missing == "waits for a metric: complaints has no data: the query's answer is empty or not a number"
