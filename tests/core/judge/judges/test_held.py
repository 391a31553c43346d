"""What is seen besides errors: hangs, slow streams, answers of another length, overloads of the canary alone."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from tests.core.judge.arms import ANALYSIS, CANARY, STABLE, START, analysis, judge, restored, values

from claude_operator.api.analysis import Analysis
from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement, MetricState
from claude_operator.core.judge.assessment import assess, new_judgement
from claude_operator.core.judge.diagnosis import diagnose
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.units import UnitKey, UnitSample
from claude_operator.core.judge.judges import engine
from claude_operator.core.judge.judges.comparisons import Comparison, Firsts
from claude_operator.core.judge.judges.held import FALSE_HOLD_RATE, find_asked, let_pass
from claude_operator.core.judge.ledger.config_map import EARLIER, TICKS, Trial, appended
from claude_operator.core.judge.ledger.lines import Header, parse
from claude_operator.core.judge.metrics import KINDS, METRICS, declared, mode_of, watched, weight_of
from claude_operator.replay.replay import replay

SHARE = 0.1
LIVE = ((STABLE, 9000), (CANARY, 1000))
BY_UNIT = Context(weight=1000, generation=7)


@dataclass(frozen=True, slots=True)
class Arm:
    """Of single requests: how many hang, how many are answered 429, and the mean length and pace of the others."""

    hung: float = 0.0
    overloads: float = 0.0
    tokens: float = 300.0
    per_token: float = 0.02

    def sample(self, rng: np.random.Generator, begun: int) -> UnitSample:
        """Of so many conversations."""
        hung, limited = int(rng.binomial(begun, self.hung)), int(rng.binomial(begun, self.overloads))
        ok = max(begun - hung - limited, 0)
        bad = {("hung", 0): hung, ("overload", 0): limited}
        drawn = {
            "outputTokens": rng.lognormal(math.log(self.tokens), 0.8, ok),
            "timePerOutputToken": rng.lognormal(math.log(self.per_token), 0.3, ok),
        }
        found = {(name, "none"): values(one) for name, one in drawn.items() if ok}
        return UnitSample(ok, {kind: count for kind, count in bad.items() if count}, found)


def ticks(rng: np.random.Generator, canary: Arm, stable: Arm, number: int, each: int = 25) -> Iterator[Increments]:
    """So many ticks of conversations that were drawn by chance."""
    for _ in range(number):
        ours = int(rng.binomial(each, SHARE))
        units = {
            UnitKey(7, LIVE, "chat", "opening", revision): arm.sample(rng, begun)
            for revision, arm, begun in ((CANARY, canary, ours), (STABLE, stable, each - ours))
        }
        yield Increments({}, each, units=units, alone={})


def judged(canary: Arm, stable: Arm = Arm(), *, number: int = 120, plan: Analysis = ANALYSIS) -> Judgement:
    rng = np.random.default_rng(12)
    return judge(*ticks(rng, canary, stable, number), plan=plan, context=BY_UNIT)


def reasons(judgement: Judgement) -> list[Reason]:
    return [one.reason for one in diagnose(judgement) if one.asks]


# ------------------------------------------------------------------------------------------------ the plan


def test_the_default_metrics_and_their_shares() -> None:
    shares = {one.name: one.weight for one in watched(ANALYSIS) if one.period in (None, "opening")}
    holds = {one.name: one.hold for one in watched(ANALYSIS) if one.hold}
    assert shares["errors"] == pytest.approx(0.7 / 1.1)
    assert (shares["hung"], shares["overloads"], shares["outputTokens"]) == (pytest.approx(0.02 / 1.1), 0.0, 0.0)
    assert math.fsum(one.weight for one in watched(ANALYSIS)) == pytest.approx(1.0)
    assert math.fsum(holds.values()) == pytest.approx(1.0)
    assert holds == pytest.approx(
        {"overloads": 0.5, "outputTokens": 0.4, "outputTokens early": 0.05, "outputTokens late": 0.05}
    )


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("errors", "Enforce"),
        ("outputTokens", "Enforce"),
        ("overloads", "Hold"),
        ({"name": "overloads", "mode": "Enforce"}, "Enforce"),
        ({"name": "cost", "mode": "Hold"}, "Hold"),
        ({"name": "hung", "mode": "DryRun"}, "DryRun"),
    ],
)
def test_the_mode_of_a_metric(metric: Any, mode: str) -> None:
    plan = analysis(metric)
    assert mode_of(declared(plan)[0]) == mode
    assert {(one.weight > 0, one.hold > 0) for one in watched(plan)} == {(mode == "Enforce", mode == "Hold")}


def test_only_in_mode_hold_are_shorter_answers_a_change() -> None:
    shorter = Arm(tokens=60.0)
    for mode, evidence in (("Hold", 1e6), ("Enforce", 0.0), ("DryRun", 0.0)):
        found = judged(shorter, plan=analysis("errors", {"name": "outputTokens", "mode": mode}))
        state = next(one for one in found.state if one.name == "outputTokens")
        assert (state.evidence >= evidence) if evidence else (state.evidence < 1.0)
        assert bool(found.asks) is (mode == "Hold")


# ---------------------------------------------------------------------------------------------- what is found


@pytest.mark.parametrize("hung", [0.3, 0.8])
def test_a_canary_that_hangs_is_rolled_back(hung: float) -> None:
    found = judged(Arm(hung=hung))
    assert (found.verdict, found.leading, found.reason) == ("Fail", "hung", Reason.HUNG)
    assert found.message.startswith("requests that wait longer than stable's ever do in ")
    assert found.first_bad is not None


def test_a_canary_of_half_the_tokens_a_second_is_rolled_back() -> None:
    found = judged(Arm(per_token=0.04))
    assert (found.verdict, found.reason) == ("Fail", Reason.TIME_PER_OUTPUT_TOKEN_INCREASED)
    assert judged(Arm(per_token=0.022)).verdict == "Inconclusive"  # which is tolerated


@pytest.mark.parametrize(
    ("canary", "reason", "says"),
    [
        (Arm(tokens=60.0), Reason.METRIC_CHANGED, r"answers are 8\d % shorter than stable's (output tokens 0."),
        (Arm(tokens=450.0), Reason.METRIC_CHANGED, "% longer than stable's (output tokens 1."),
        (Arm(tokens=1500.0), Reason.METRIC_CHANGED, "times as long as stable's (output tokens "),
        (Arm(overloads=0.6), Reason.OVERLOADED, "answers of 429 or 529 in "),
        (Arm(overloads=0.4), Reason.OVERLOADED, "raise it before the canary gets more"),
        (Arm(overloads=0.05), Reason.OVERLOADED, "its model has a rate limit of its own"),
    ],
)
def test_a_person_is_asked(canary: Arm, reason: Reason, says: str) -> None:
    found = judged(canary)
    assert (found.verdict, reasons(found)) == ("Inconclusive", [reason])
    (asked,) = (one for one in diagnose(found) if one.asks)
    assert asked.holds
    assert asked.healthy == "Unknown"
    if says.startswith("answers are"):
        assert says.replace(r"8\d", asked.message[12:14]) in asked.message
        assert asked.message[12:14] in ("78", "79", "80", "81", "82")
    else:
        assert says in asked.message
    remedy = "promote if that is meant" if reason == Reason.METRIC_CHANGED else "before the canary gets more"
    assert asked.message.endswith(remedy)
    assert asked.message in found.message
    assert restored(found).asks == found.asks


@pytest.mark.parametrize("arm", [Arm(overloads=0.3), Arm(hung=0.1), Arm(tokens=2000.0, per_token=0.2), Arm()])
def test_what_both_arms_have_is_nothing(arm: Arm) -> None:
    found = judged(arm, arm)
    assert (found.verdict, found.asks) == ("Inconclusive", [])


def test_any_metric_may_ask_and_then_takes_nothing_back() -> None:
    plan = analysis({"name": "hung", "mode": "Hold"}, "errors")
    found = judged(Arm(hung=0.3), plan=plan)
    assert (found.verdict, found.evidence, found.asks) == ("Inconclusive", 1.0, ["hung"])
    assert reasons(found) == [Reason.METRIC_CHANGED]
    (asked,) = (one for one in diagnose(found) if one.asks)
    assert asked.message.startswith("requests that wait longer than stable's ever do in ")


def test_what_hangs_at_once_was_never_answered() -> None:
    """There are more bad conversations than such that were answered."""
    found = judged(Arm(hung=1.0))
    (state,) = (one for one in found.state if one.name == "hung")
    assert state.canary[1] > state.canary[0] == 0
    assert f"in {state.canary[1]} of {state.canary[1]} conversations" in found.message


# ------------------------------------------------------------------------------------------------- asked once


def state(name: str, evidence: float) -> MetricState:
    return MetricState(name=name, evidence=evidence, canary=[10, 5], stable=[90, 1])


@pytest.mark.parametrize(
    ("evidence", "asks", "passed", "found"),
    [
        ({}, [], [], []),
        ({"overloads": 39.0}, [], [], []),
        ({"overloads": 41.0}, [], [], ["overloads"]),
        ({"overloads": 35.0, "outputTokens": 7.0}, [], [], ["overloads"]),  # together they have enough
        ({"overloads": 90.0, "outputTokens": 90.0}, [], [], ["overloads", "outputTokens"]),
        ({"outputTokens late": 500.0}, [], [], ["outputTokens"]),
        ({"overloads": 0.1}, ["overloads"], [], ["overloads"]),  # a person was asked
        ({"overloads": 1e9}, [], ["overloads"], []),
        ({"overloads": 1e9, "outputTokens": 30.0}, [], ["overloads"], []),  # what passed lends nothing to others
        ({"overloads": 1e9, "outputTokens": 60.0}, [], ["overloads"], ["outputTokens"]),
        ({"errors": 1e9}, [], [], []),
    ],
)
def test_who_is_asked(evidence: dict[str, float], asks: list[str], passed: list[str], found: list[str]) -> None:
    watches = watched(ANALYSIS)
    states = [state(watch.name, evidence.get(watch.name, 0.0)) for watch in watches]
    before = Judgement(verdict="Inconclusive", asks=asks, let_pass=passed)
    assert find_asked(before, states, watches) == found


def test_what_a_person_has_let_pass_is_not_asked_again() -> None:
    found = judged(Arm(tokens=60.0))
    passed = let_pass(found, found)
    assert (passed.asks, passed.let_pass) == ([], ["outputTokens"])
    rng = np.random.default_rng(13)
    later = judge(*ticks(rng, Arm(tokens=60.0), Arm(), 60), previous=passed, context=BY_UNIT)
    assert (later.asks, reasons(later)) == ([], [])
    limited = judge(*ticks(rng, Arm(tokens=60.0, overloads=0.4), Arm(), 60), previous=passed, context=BY_UNIT)
    assert limited.asks == ["overloads"]


def test_what_a_person_could_not_see_is_not_let_pass() -> None:
    found = judged(Arm(tokens=60.0))
    for seen in (None, Judgement(verdict="Inconclusive"), Judgement(verdict="Inconclusive", asks=["overloads"])):
        assert let_pass(found, seen) == found


# ------------------------------------------------------------------------------------------------- the ledger


def recorded(plan: Analysis, canary: Arm) -> tuple[Judgement, str]:
    """A rollout of 60 ticks and its ledger's present page."""
    trial = Trial(deployment="support", revision=CANARY, stable=STABLE, attempt=1, analysis=plan)
    before, data = new_judgement(plan, START), None
    for number, tick in enumerate(ticks(np.random.default_rng(3), canary, Arm(), 60), 1):
        now = START + dt.timedelta(seconds=5 * number)
        after, compared = assess(before, plan, tick, stable=STABLE, canary=CANARY, now=now, context=BY_UNIT)
        data = appended(data, before=before, after=after, comparisons=compared, trial=trial)
        before = after.model_copy(update={"recorded": after.last_tick})
    assert data is not None
    return before, data[EARLIER] + data[TICKS]


@pytest.mark.parametrize("canary", [Arm(), Arm(tokens=60.0), Arm(overloads=0.3), Arm(per_token=0.024)])
def test_a_replay_comes_to_the_same_evidence(canary: Arm) -> None:
    judged, page = recorded(ANALYSIS, canary)
    *_, last = replay(page.splitlines())
    assert last["evidence"] == {one.name: one.evidence for one in judged.state}
    assert last["total"] == judged.evidence
    (header, *_) = parse(page.splitlines())
    assert isinstance(header, Header)
    named = [one.model_copy(update={"weight": weight_of(one)}) for one in declared(ANALYSIS)]
    assert header.analysis.metrics == named  # whatever the defaults are when it is read


def test_a_ledger_of_before_is_judged_as_it_was() -> None:
    """Its header names no metrics where the plan did not, and no weights: both were others by default."""
    before = "errors", "timeToFirstToken", "refusals", "maxTokens", "cost"
    head = {"ledger": 1, "byPeriod": True, "analysis": {"falseRollbackRate": 0.01}}
    line = {"t": 5, "metrics": {"errors": {"stable": [95, 0], "canary": [0, 5]}}}
    (judged,) = replay([json.dumps(head), json.dumps(line)])
    assert set(judged["evidence"]) == set(before)
    assert judged["total"] == pytest.approx(0.5 * judged["evidence"]["errors"] + 0.5)


# ---------------------------------------------------------------------------------------------- error rates


def equal_tokens(rng: np.random.Generator, name: str) -> Comparison:
    """Answers of both arms from one law, with its long tail."""
    ours = int(rng.binomial(25, SHARE))
    drawn = values(rng.lognormal(5.5, 0.8, ours)), values(rng.lognormal(5.5, 0.8, 25 - ours))
    return Comparison(name, *drawn, by_unit=True)


def equal_overloads(rng: np.random.Generator, name: str) -> Comparison:
    """Both arms share one limit, which comes in bursts."""
    bad = int(rng.poisson(8)) if rng.random() < 0.2 else 0
    ours = int(rng.binomial(bad, SHARE))
    arms = Firsts((2, 0, 0), {0: ours} if ours else {}), Firsts((22, 0, 0), {0: bad - ours} if bad > ours else {})
    return Comparison(name, *arms, SHARE)


Equal = Callable[[np.random.Generator, str], Comparison]


@pytest.mark.parametrize(
    ("metrics", "of"),
    [
        ([{"name": "outputTokens", "mode": "Hold", "maxIncrease": "0%"}], {"outputTokens": equal_tokens}),
        ([{"name": "outputTokens", "mode": "Hold"}], {"outputTokens": equal_tokens}),
        (["overloads"], {"overloads": equal_overloads}),
        (
            ["overloads", {"name": "outputTokens", "mode": "Hold", "maxIncrease": "0%"}],
            {"overloads": equal_overloads, "outputTokens": equal_tokens},
        ),
        ([{"name": "hung", "mode": "Hold"}], {"hung": equal_overloads}),
    ],
)
def test_equal_arms_hold_in_five_of_a_hundred_rollouts_at_most(metrics: list[Any], of: dict[str, Equal]) -> None:
    watches = [one for one in watched(analysis(*metrics)) if one.name in METRICS]
    rng = np.random.default_rng(1)
    rollouts, held = 200, 0
    for _ in range(rollouts):
        states = [engine.initial(watch) for watch in watches]
        before = Judgement(verdict="Inconclusive")
        for number in range(1, 61):
            pairs = [compared(rng, name) for name, compared in of.items()]
            states = engine.tick(states, watches, pairs, number=number)
            if find_asked(before, states, watches):
                held += 1
                break
    # Three standard deviations above the promise, for the simulation's own chance.
    most = FALSE_HOLD_RATE * rollouts + 3.0 * math.sqrt(FALSE_HOLD_RATE * rollouts)
    assert held <= most, f"{held} of {rollouts}"


def test_every_metric_has_words_for_a_hold() -> None:
    for name, kind in KINDS.items():
        assert kind.held in (Reason.METRIC_CHANGED, Reason.OVERLOADED)
        assert kind.remedy, name
