"""Conversations through the whole judge: what they do is judged once, whatever they are like."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from tests.core.judge.arms import (
    ANALYSIS,
    CANARY,
    STABLE,
    START,
    analysis,
    counts,
    evidence,
    judge,
    states,
    tick,
    values,
)
from tests.core.judge.conversations import (
    Rates,
    Rollout,
    Traffic,
    first_turns,
    halves,
    plain,
    their_own,
    toxic,
)

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement, Offsets
from claude_operator.core.judge import assessment, soak
from claude_operator.core.judge.diagnosis import diagnose, find
from claude_operator.core.judge.evidence.context import Bake, Context
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.sample import Counts, Sample, Values
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.evidence.units import UnitKey, UnitSample
from claude_operator.core.judge.judges import engine

ROLLOUTS = 200
NULLS: Mapping[str, Traffic] = {
    "5 % fail half their requests": Traffic(halves),
    "first requests fail more": Traffic(first_turns),
    "single calls that fail beside sessions that do not": Traffic(
        lambda rng, n: np.full((n, 80), 0.01), per_second=4.0, single=0.9
    ),
    "each has its own rate": Traffic(their_own),
    "2 % go bad at some turn": Traffic(toxic),
}


@pytest.mark.parametrize("name", NULLS)
def test_nothing_is_wrong_and_nothing_is_found(name: str) -> None:
    """At most one in a hundred: six of 200 have a chance of one in a hundred."""
    found = sum(math.isfinite(Rollout.of(NULLS[name], seed).found_after()) for seed in range(ROLLOUTS))
    assert found <= 5


@pytest.mark.parametrize(
    ("rates", "gap", "excess", "requests", "failures"),
    [
        (plain(0.005), 4.0, 0.2, 110, 22),
        (plain(0.005), 20.0, 0.2, 40, 9),
        (plain(0.005), 4.0, 0.02, 650, 22),
        (toxic, 20.0, 0.2, 40, 9),
    ],
)
def test_harm_in_long_conversations_is_always_found(
    rates: Rates, gap: float, excess: float, requests: float, failures: float
) -> None:
    """Canary requests in the median and failed ones in the mean, until it is found."""
    rollouts = [Rollout.of(Traffic(rates, gap=gap, excess=excess), seed) for seed in range(40)]
    times = [rollout.found_after() for rollout in rollouts]
    assert all(map(math.isfinite, times))
    asked, failed = (
        [np.searchsorted(getattr(one, of), time) for one, time in zip(rollouts, times, strict=True)]
        for of in ("requests", "failures")
    )
    assert np.median(asked) <= requests
    assert np.mean(failed) <= failures


# ------------------------------------------------------------------------------------------------- the whole judge

LIVE = tuple(sorted({STABLE: 9000, CANARY: 1000}.items()))
WEIGHT = Context(weight=1000, generation=7)
Arms = Mapping[str, UnitSample]


def units(period: str = "opening", *, live: Any = LIVE, surface: str = "chat", **arms: UnitSample) -> Increments:
    """What a gateway that counts conversations brings; requests are as many, and all well but for first errors."""
    names = {"canary": CANARY, "stable": STABLE}
    found = {UnitKey(7, live, surface, period, names[arm]): one for arm, one in arms.items()}
    cells = {
        (7, surface, names[arm]): Sample(counts(max(one.entries - one.bad("error"), 0), one.bad("error")))
        for arm, one in arms.items()
    }
    return Increments(cells, traffic=1, units=found, alone={})


def entered(entries: int, *, errors: int = 0, turn: int = 0, **quantities: Values) -> UnitSample:
    bad = {("error", turn): errors} if errors else {}
    return UnitSample(entries, bad, {(name, "none"): one for name, one in quantities.items()})


def spread(count: int, times: float = 1.0) -> Values:
    """Log-normal at even quantiles."""
    return values(times * math.exp(0.5 * math.sin(7.0 * n)) for n in range(count))


def test_conversations_are_counted_and_said_so() -> None:
    judged = judge(units(canary=entered(10), stable=entered(90, errors=1)), context=WEIGHT)
    assert judged.message == (
        "10 canary requests in 10 conversations, no evidence of harm (evidence 0.72, traffic goes back at 100)"
    )
    judged = judge(
        *[units(canary=entered(10, errors=4), stable=entered(90, errors=1))] * 3,
        context=WEIGHT,
        plan=analysis("errors"),
    )
    assert judged.verdict == "Fail"
    assert judged.message.startswith("errors in 4 of 10 conversations against 1 of 90 (+38.9 points")
    assert judged.detectable.endswith(" points errors a conversation")


def test_the_request_counts_of_such_gateways_are_not_judged_again() -> None:
    """Ten requests of one conversation fail: a first event and nine more that say nothing."""
    failing = units(canary=entered(1, errors=1), stable=entered(90))
    again = Increments(dict(failing.samples) | {(7, "chat", CANARY): Sample(counts(0, 10))}, traffic=1, alone={})
    first = judge(failing, context=WEIGHT, plan=analysis("errors"))
    later = judge(failing, *[again] * 20, context=WEIGHT, plan=analysis("errors"))
    assert evidence(later, "errors") == pytest.approx(evidence(first, "errors"))
    assert evidence(first, "errors") < 10.0


def test_values_are_compared_with_those_of_like_age() -> None:
    """Late turns are slower for everybody, and the canary has few of them: that is no evidence of anything."""
    plan = analysis({"name": "timeToFirstToken", "maxIncrease": "0%"})
    young = units(canary=entered(10, timeToFirstToken=spread(10)), stable=entered(90, timeToFirstToken=spread(90)))
    old = units("late", stable=entered(90, timeToFirstToken=spread(90, 8.0)), canary=entered(1))
    judged = judge(*[young, old] * 30, plan=plan, context=WEIGHT)
    assert judged.verdict == "Inconclusive"
    assert judged.evidence < 1.0
    names = [one.name for one in judged.state]
    assert names == ["timeToFirstToken", "timeToFirstToken late"]
    slow = units(
        "late",
        canary=entered(10, timeToFirstToken=spread(10, 24.0)),
        stable=entered(90, timeToFirstToken=spread(90, 8.0)),
    )
    judged = judge(*[young, slow] * 30, plan=plan, context=WEIGHT)
    assert (judged.verdict, judged.leading) == ("Fail", "timeToFirstToken late")
    assert judged.reason == Reason.TIME_TO_FIRST_TOKEN_INCREASED
    assert judged.message.startswith("time to first token of later turns 3 times stable's (95 % interval ")
    assert "canary conversations" in judged.message


def test_moments_of_requests_do_not_mix_with_those_of_conversations() -> None:
    """A gateway of an older version counted requests, slow ones; a soak holds openings against what is known."""
    plan = analysis("timeToFirstToken")
    requests = tick(
        Sample(counts(20), {("timeToFirstToken", "none"): spread(20, 9.0)}),
        Sample(counts(180), {("timeToFirstToken", "none"): spread(180, 9.0)}),
    )
    openings = units(canary=entered(10, timeToFirstToken=spread(10)), stable=entered(90, timeToFirstToken=spread(90)))
    judged = judge(*[requests] * 5, *[openings] * 2, plan=plan, context=WEIGHT)
    (state,) = judged.state
    assert state.moments.values == 180
    assert abs(state.moments.mean) < 0.1


@pytest.mark.parametrize(("unit", "errors"), [("User", 3.0), ("Conversation", 1.0), ("Request", 1.0)])
def test_only_users_have_a_past_to_correct_for(unit: Any, errors: float) -> None:
    context = Context(weight=1000, generation=7, unit=unit, offsets=[Offsets(weight=1000, errors=3.0)])
    judged = judge(units(canary=entered(10), stable=entered(90)), context=context)
    assert [one.errors for one in judged.offsets] == [errors]
    older = judge(tick(counts(10), counts(90)), context=context)
    assert [one.errors for one in older.offsets] == [3.0]


def test_the_split_counts_conversations_that_were_drawn_at_this_weight_over_all_pods() -> None:
    at_one = tuple(sorted({STABLE: 9900, CANARY: 100}.items()))
    both = units(canary=entered(10), stable=entered(90))
    others = units(live=at_one, canary=entered(1), stable=entered(50))
    late = units("late", canary=entered(30), stable=entered(1))
    judged = judge(both, others, late, context=WEIGHT)
    assert judged.sample_ratio is not None
    assert (judged.sample_ratio.canary, judged.sample_ratio.stable) == (10.0, 90.0)


def test_a_bake_is_proved_by_conversations() -> None:
    """Their later periods are trials too; a conversation that goes bad again and again is one bad trial."""
    context = Context(weight=1000, generation=7, bakes=[Bake(1, 0.05)])
    one = units(canary=entered(10), stable=entered(90, errors=1))
    other = units("early", canary=entered(10), stable=entered(90))
    judged = judge(*[one, other] * 10, context=context)
    assert judged.promotions[0].shown
    assert judged.stable_requests == [1800, 10]
    waits = judge(one, context=context)
    assert waits.promotions[0].logs != [0.0] * 7


def test_what_a_bake_still_needs_is_said_in_conversations() -> None:
    """Each gives two trials here, and comes with two requests."""
    context = Context(weight=1000, generation=7, bakes=[Bake(1, 0.01)])
    new = [
        units(canary=entered(10), stable=entered(90, errors=1)),
        units("early", canary=entered(10), stable=entered(90)),
    ]
    judged = judge(*new * 3, context=context)
    missing = assessment.explain_missing(judged, ANALYSIS, 1, pace=4.0)
    assert missing is not None
    assert missing.startswith("has not yet ruled out that the canary has 1 point more errors than stable (evidence ")
    more, _, time = missing.partition("; about ")[2].partition(" more canary conversations, ")
    assert 50 < int(more.replace(",", "")) < 1000
    assert time.endswith(" at this traffic")


@pytest.mark.parametrize("incident", [False, True])
def test_errors_of_before_conversations_were_counted_are_not_theirs(*, incident: bool) -> None:
    """Gateways are upgraded in mid-rollout: the 600 bad requests of before are not those of 150 conversations."""
    old = tick(counts(990, 10), counts(990, 10))
    live = tuple(sorted({STABLE: 5000, CANARY: 5000}.items()))
    new = units(live=live, canary=entered(50, errors=1), stable=entered(50, errors=1))
    both = dataclasses.replace(new, alone=old.samples)  # one pod of two
    before = judge(*[old] * 60)
    if incident:
        before = before.model_copy(update={"calm": [engine.known_of_stable(one) for one in before.state]})
    judged = judge(new, both, both, previous=before)
    assert states(judged)["errors"][1:] == ([150, 3], [150, 3])
    assert "errors" in judged.detectable
    known = {one.name: one.stable for one in soak.history(judged, ANALYSIS)}
    assert known["errors"] == [150, 3]
    assert judged.stable_requests == [150, 3]


WHOLE = ((CANARY, 10_000),)
BAKES = Context(weight=10_000, generation=7, bakes=[Bake(1, 0.01)])


@pytest.mark.parametrize("live", [WHOLE, tuple(sorted({STABLE: 0, CANARY: 10_000}.items()))])
def test_a_canary_that_has_all_of_the_weight_is_held_against_the_margin(live: Any) -> None:
    """No other arm is left, as in a plan of one step of 100 % and a bake."""
    good, bad = (units(live=live, canary=entered(1000, errors=errors)) for errors in (0, 10))
    (shown,) = judge(*[good] * 2, context=BAKES).promotions
    assert (shown.shown, shown.evidence > 20.0) == (True, True)
    (fails,) = judge(*[bad] * 30, context=BAKES).promotions
    assert (fails.shown, fails.evidence < 1.0) == (False, True)
    late = Increments({}, units={UnitKey(7, live, "chat", "late", CANARY): entered(0, errors=1, turn=8)}, alone={})
    (worse,) = judge(late, context=BAKES, previous=judge(good, context=BAKES)).promotions
    assert worse.evidence < judge(good, context=BAKES).promotions[0].evidence


def test_conversations_of_lower_weights_go_on_counting_at_the_whole() -> None:
    eras = frozenset({(7, LIVE), (8, WHOLE)})
    found = Tick.of(
        dataclasses.replace(units("early", canary=entered(10), stable=entered(90)), eras=eras),
        stable=STABLE,
        canary=CANARY,
        now=START,
    )
    assert [at.share for at in found.units] == [0.1]


# ------------------------------------------------------------------------------------------ everything fails


def failing(
    conversations: int, requests: int, *, stable: Counts | None = None, rescued: int = 0, turn: int = 0
) -> Increments:
    """The canary answers nothing well; `conversations` fail for the first time."""
    theirs = counts(50) if stable is None else stable
    found = {UnitKey(7, LIVE, "chat", "opening", CANARY): entered(conversations, errors=conversations, turn=turn)}
    if rescued:
        found[UnitKey(7, LIVE, "moved", "early", STABLE)] = UnitSample(rescued)
    cells = {(7, "chat", CANARY): Sample(counts(0, requests)), (7, "chat", STABLE): Sample(theirs)}
    return Increments(cells, traffic=1, units=found, alone={})


WELL = [units(stable=entered(50))] * 40
SERVING: Callable[[], Judgement] = lambda: judge(*WELL, context=Context(weight=5000))  # noqa: E731


def test_a_canary_that_answers_nothing_well_is_taken_back_where_the_test_has_too_few_conversations() -> None:
    context = Context(weight=5000, generation=7)
    judged = judge(*[failing(1, 3)] * 2, *[failing(0, 1)] * 6, context=context, previous=SERVING())
    assert (judged.verdict, judged.reason, judged.leading) == ("Fail", Reason.EVERYTHING_FAILS, "errors")
    assert judged.evidence < judged.threshold
    assert judged.message == (
        "the canary answered nothing well for 30 s: 11 requests of 2 conversations failed; stable failed 0 of 350"
        " requests meanwhile"
    )
    assert diagnose(judged)[0].healthy == "False"


@pytest.mark.parametrize(
    "ticks",
    [
        [failing(1, 3)] + [failing(0, 5)] * 50,  # one conversation, a client in a loop
        [
            failing(1, 3),
            failing(1, 3),
            units(canary=entered(1), stable=entered(9)),
            *[failing(0, 2)] * 5,
        ],  # one is well
        [failing(1, 2, stable=counts(10, 5))] * 12,  # stable fails too
        [failing(1, 2, stable=counts())] * 12,  # nobody knows how stable is
        [failing(1, 1)] * 4,  # a few seconds
    ],
)
def test_what_may_be_the_clients_own_fault_takes_nothing_back(ticks: list[Increments]) -> None:
    judged = judge(*ticks, context=Context(weight=9000), plan=analysis("errors"), previous=None)
    assert judged.reason != Reason.EVERYTHING_FAILS


def test_a_conversation_that_is_well_on_stable_since_says_enough_alone() -> None:
    row = [failing(1, 3), failing(0, 0, rescued=1), *[failing(0, 0)] * 6]
    judged = judge(*row, context=Context(weight=5000), previous=SERVING())
    assert (judged.verdict, judged.reason) == ("Fail", Reason.EVERYTHING_FAILS)
    assert "3 requests of 1 conversation failed; it is well on stable; stable failed 0 of" in judged.message
    loop = [failing(1, 3), failing(0, 0, rescued=1), *[failing(0, 0, stable=counts(50, 1))] * 6]
    assert judge(*loop, context=Context(weight=5000), previous=SERVING()).verdict == "Inconclusive"


@pytest.mark.parametrize(
    ("turn", "rescued"),
    [
        (32, 1),  # it was well on the canary before, until its context was too long
        (0, 40),  # gateways have restarted: it is not known whether it is one of these
    ],
)
def test_a_conversation_that_may_have_been_well_on_the_canary_says_little_alone(turn: int, rescued: int) -> None:
    row = [failing(1, 3, turn=turn), failing(0, 0, rescued=rescued), *[failing(0, 0)] * 6]
    assert judge(*row, context=Context(weight=5000), previous=SERVING()).verdict == "Inconclusive"


def test_where_stable_fails_often_it_takes_more_conversations() -> None:
    often = judge(*[units(stable=entered(50, errors=15))] * 40, context=Context(weight=5000))
    ticks = [failing(1, 3)] * 7 + [failing(0, 1)] * 6
    assert judge(*ticks, context=Context(weight=5000), previous=often).verdict == "Inconclusive"
    more = [failing(1, 3)] * 8 + [failing(0, 1)] * 6
    assert judge(*more, context=Context(weight=5000), previous=often).reason == Reason.EVERYTHING_FAILS


def test_errors_that_only_report_take_nothing_back() -> None:
    plan = analysis({"name": "errors", "mode": "DryRun"}, "cost")
    ticks = [failing(1, 3)] * 9
    assert judge(*ticks, context=Context(weight=5000), plan=plan).verdict == "Inconclusive"


# ---------------------------------------------------------------------------------------------- few conversations


def test_few_conversations_are_said_with_what_they_can_show() -> None:
    one = units(canary=entered(1), stable=entered(9))
    busy = Increments(dict(one.samples) | {(7, "chat", CANARY): Sample(counts(40))}, traffic=1, alone={})
    judged = judge(one, *[busy] * 3, context=WEIGHT)
    found = find(judged, Reason.FEW_CONVERSATIONS)
    assert found is not None
    assert (found.healthy, found.holds) == ("Unknown", False)
    assert found.message == (
        "1 conversation of the canary has begun in 20 s; the test can find nothing before there are 3 at this weight;"
        " where each request can be judged for itself, set spec.assignment.unit: Request"
    )
    assert find(judge(one, one, one, *[busy] * 3, context=WEIGHT), Reason.FEW_CONVERSATIONS) is None


def test_a_canary_that_no_conversation_begins_on_is_said_so() -> None:
    quiet = Increments({(7, "chat", STABLE): Sample(counts(40))}, traffic=40, alone={})
    judged = judge(*[quiet] * 61, context=WEIGHT)
    found = find(judged, Reason.FEW_CONVERSATIONS)
    assert found is not None
    assert found.message.startswith("no conversation has begun in 5 min 5 s; ")
    assert found.message.endswith("; conversations that began before the canary stay on stable")
    assert find(judge(*[quiet] * 20, context=WEIGHT), Reason.FEW_CONVERSATIONS) is None
