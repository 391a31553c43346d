"""Every verdict and what it says to somebody who is woken by it."""

from __future__ import annotations

import datetime as dt
import math
import random
from typing import Any

import pytest
from tests.core.judge.arms import (
    ANALYSIS,
    CANARY,
    STABLE,
    START,
    analysis,
    arm,
    counts,
    evidence,
    judge,
    many,
    restored,
    states,
    tick,
    values,
)

from claude_operator.api.analysis import Analysis
from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement, Offsets
from claude_operator.core.judge.assessment import assess, explain_missing
from claude_operator.core.judge.diagnosis import find, is_suspicious, reason_of
from claude_operator.core.judge.evidence.context import Bake, Context
from claude_operator.core.judge.evidence.increments import Increments, Naming
from claude_operator.core.judge.evidence.sample import BUDGET, QUANTITIES, Counts, Sample, Values, flags_since
from claude_operator.core.judge.evidence.units import UnitKey, UnitSample
from claude_operator.core.judge.judges.promotion import advanced, new_promotion
from claude_operator.core.judge.metrics import METRICS, PERIODS
from claude_operator.core.judge.sentences import effect, number
from claude_operator.core.judge.stats.detectable import requests_needed


def drawn(number: int, ratio: float = 1.0, seed: int = 3) -> Values:
    rng = random.Random(seed)
    return values([ratio * rng.lognormvariate(0.0, 0.5) for _ in range(number)])


HISTORY = {name: drawn(2000) for name in QUANTITIES}
KNOWN = Context(history=HISTORY)


def slower(name: str, ratio: float, ticks: int = 12, cache: str = "none") -> list[Increments]:
    """Ten canary requests a tick against ninety of stable."""
    return [
        tick(
            arm(counts(10), cache=cache, **{name: drawn(10, ratio, seed)}),
            arm(counts(90), cache=cache, **{name: drawn(90, 1.0, -seed)}),
        )
        for seed in range(1, ticks + 1)
    ]


# ------------------------------------------------------------------------------------------------- reasons

EVENTS: dict[str, tuple[dict[str, int], dict[str, int], str]] = {
    # metric: canary's of 100, stable's of 900, the sentence
    "errors": ({"errors": 9, "bad_errors": 9}, {}, "errors 9 of 109 against 0 of 900 (+8.26 points, "),
    "refusals": ({"refusals": 9, "bad_refusals": 9}, {}, "refusals 9 of 100 against 0 of 900 (+9 points, "),
    "maxTokens": (
        {"max_tokens": 9, "bad_max_tokens": 9},
        {},
        "answers cut off at max_tokens 9 of 100 against 0 of 900 (+9 points, ",
    ),
    "contextWindow": (
        {"context_window": 9, "bad_context_window": 9},
        {},
        "answers cut off at the context window 9 of 100 against 0 of 900 (+9 points, ",
    ),
    "toolUse": (
        {"tool_use": 5},
        {"tool_use": 450},
        "answers that call a tool 5 of 100 against 450 of 900 (-45 points, ",
    ),
    "judgeFail": (
        {"grades": 20, "bad_grades": 18},
        {"grades": 200, "bad_grades": 2},
        "answers that live grading fails 18 of 20 against 2 of 200 (+89 points, ",
    ),
    "cacheMiss": (
        {"cache_reads": 10, "cache_writes": 50},
        {"cache_reads": 800, "cache_writes": 90},
        "cache misses 50 of 60 against 90 of 890 (+73.2 points, ",
    ),
}


@pytest.mark.parametrize("name", EVENTS)
def test_each_kind_of_bad_event_has_its_reason_and_its_sentence(name: str) -> None:
    ours, theirs, words = EVENTS[name]
    plan = analysis(name, warmup="0s")
    judgement = judge(tick(counts(100)._replace(**ours), counts(900)._replace(**theirs)), plan=plan)
    if name == "errors":
        judgement = judge(tick(counts(100, 9), counts(900)), plan=plan)
    assert (judgement.verdict, reason_of(judgement), judgement.leading) == ("Fail", METRICS[name].reason, name)
    assert judgement.reason == METRICS[name].reason
    assert judgement.message.startswith(words)
    assert judgement.message.endswith(f", evidence {number(judgement.evidence)} ≥ 100")
    assert judge(tick(counts(100), counts(900)), plan=plan).verdict == "Inconclusive"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("timeToFirstToken", "time to first token 2."),
        ("cost", "cost 2."),
        ("duration", "duration 2."),
        ("outputTokens", "output tokens 2."),
    ],
)
def test_each_quantity_has_its_reason_and_its_sentence(name: str, words: str) -> None:
    judgement = judge(*slower(name, 2.5), plan=analysis(name), context=KNOWN)
    assert (judgement.verdict, reason_of(judgement), judgement.leading) == ("Fail", METRICS[name].reason, name)
    assert judgement.message.startswith(words)
    assert " times stable's (95 % interval " in judgement.message
    assert f") over {judgement.requests} canary requests, evidence " in judgement.message
    assert judge(*slower(name, 1.05), plan=analysis(name), context=KNOWN).verdict == "Inconclusive"


def late(number: int, over: int, cache: str = "none") -> Sample:
    """Requests with budgets, and how many were over one."""
    return Sample(counts(number), {(BUDGET, cache): flags_since({"within": number - over, "over": over}, {})})


def test_requests_over_the_budgets_of_their_surface_are_events() -> None:
    plan = analysis("latencyBudget")
    judgement = judge(tick(late(30, 14), late(270, 9)), plan=plan)
    assert (judgement.verdict, reason_of(judgement)) == ("Fail", Reason.OVER_BUDGET)
    assert judgement.message.startswith("requests over budget 14 of 30 against 9 of 270 (")
    assert judge(tick(counts(30), counts(270)), plan=plan).evidence == 1.0  # nothing says how it kept to one


def test_a_budget_may_have_a_threshold_too() -> None:
    plan = analysis({"name": "latencyBudget", "threshold": {"max": 0.3}, "interval": "5s"}, judge="Threshold")
    judgement = judge(tick(late(30, 14), late(270, 9)), plan=plan)
    assert (judgement.verdict, reason_of(judgement)) == ("Fail", Reason.THRESHOLD_EXCEEDED)
    assert judgement.measured[0].value == 14 / 30
    assert judge(tick(counts(30), counts(270)), plan=plan).measured[0].phase == "Inconclusive"


@pytest.mark.parametrize("period", ["opening", "early", "late"])
def test_conversations_over_their_budgets_are_compared_in_each_period(period: str) -> None:
    """By one request of a conversation and period, so that one of many slow turns weighs no more than another."""
    plan = analysis("latencyBudget")
    live = ((STABLE, 5000), (CANARY, 5000))
    units = {
        UnitKey(7, live, "chat", period, name): UnitSample(40, {}, late(40, over).values)
        for name, over in ((CANARY, 25), (STABLE, 2))
    }
    increments = Increments({}, 80, units=units, eras=frozenset({(7, live)}), alone={})
    judgement = None
    for looked in range(3):
        now = START + dt.timedelta(seconds=5 * looked)
        judgement, _ = assess(judgement, plan, increments, stable=STABLE, canary=CANARY, now=now)
    assert judgement is not None
    assert (judgement.verdict, reason_of(judgement)) == ("Fail", Reason.OVER_BUDGET)
    assert judgement.leading == f"latencyBudget{PERIODS[period][0]}"  # type: ignore[index]


def test_what_was_worst_leads() -> None:
    judgement = judge(tick(counts(100, 4, refusals=40), counts(900, 9, refusals=9)))
    assert (judgement.leading, reason_of(judgement)) == ("refusals", Reason.REFUSALS_INCREASED)


def test_overloads_no_data_and_silent_pods_have_theirs() -> None:
    assert reason_of(judge(tick(counts(1, overloads=9), counts(90)))) == Reason.OVERLOADED
    assert reason_of(judge(tick(), every=60.0)) == Reason.NO_TRAFFIC
    assert reason_of(judge(tick(unreachable=("pod-a",)))) == Reason.METRICS_UNREACHABLE
    assert reason_of(judge(tick(counts(9), counts(90)), plan=analysis("latency"))) == Reason.METRIC_ERROR
    assert reason_of(judge(tick(counts(9), counts(90)))) == Reason.WATCHING


# ------------------------------------------------------------------------------------------------- warm-up


@pytest.mark.parametrize("name", ["timeToFirstToken", "duration", "cost", "outputTokens"])
@pytest.mark.parametrize("cache", ["read", "write"])
def test_a_cold_cache_says_nothing_before_the_end_of_the_warmup(name: str, cache: str) -> None:
    ticks = slower(name, 3.0, cache=cache)
    cold = judge(*ticks, plan=analysis(name), context=KNOWN)
    assert (cold.verdict, cold.evidence) == ("Inconclusive", 1.0)
    assert states(cold)[name][1] == [0, 0]
    assert judge(*ticks, plan=analysis(name, warmup="0s"), context=KNOWN).verdict == "Fail"
    # The tick that ends the fifth minute is the first that counts.
    at_last = judge(tick(), previous=cold, every=295.0 - 60.0, plan=analysis(name))
    assert judge(*ticks[:1], previous=at_last, plan=analysis(name)).state[0].canary == [10, 0]
    assert judge(*ticks[:1], previous=at_last, plan=analysis(name), every=4.9).state[0].canary == [0, 0]


def test_requests_without_cache_and_errors_count_at_once() -> None:
    assert judge(*slower("timeToFirstToken", 3.0), context=KNOWN).verdict == "Fail"
    assert judge(tick(counts(10, 10), counts(900))).verdict == "Fail"


def test_cache_misses_are_no_news_while_the_cache_is_cold() -> None:
    one = tick(counts(60)._replace(cache_writes=60), counts(900)._replace(cache_reads=900))
    assert judge(one, plan=analysis("cacheMiss")).evidence == 1.0
    assert judge(one, plan=analysis("cacheMiss"), every=300.0).verdict == "Fail"


def test_a_cold_cache_breaks_no_budget_before_the_end_of_the_warmup() -> None:
    one = tick(late(60, 50, "write"), late(900, 9, "write"))
    assert judge(one, plan=analysis("latencyBudget")).evidence == 1.0
    assert judge(one, plan=analysis("latencyBudget"), every=300.0).verdict == "Fail"
    assert judge(tick(late(60, 50), late(900, 9)), plan=analysis("latencyBudget")).verdict == "Fail"


def test_answers_from_the_cache_are_compared_with_their_like() -> None:
    """The canary has more cold requests; within each state both arms are the same."""
    fast, slow = drawn(30), drawn(30, 4.0)
    ours = Sample(counts(60), {("timeToFirstToken", "read"): fast, ("timeToFirstToken", "write"): many(slow, 3)})
    theirs = Sample(counts(900), {("timeToFirstToken", "read"): many(fast, 9), ("timeToFirstToken", "write"): slow})
    plan = analysis("timeToFirstToken", warmup="0s")
    assert judge(*[tick(ours, theirs)] * 10, plan=plan, context=KNOWN).evidence <= 1.0


def test_values_of_few_requests_wait_with_them() -> None:
    """Two requests a tick: latency is compared when five ticks are together."""
    few = [tick(arm(counts(1), cost=drawn(1, 1.0, n)), arm(counts(1), cost=drawn(1, 1.0, -n))) for n in range(1, 6)]
    waiting = judge(*few[:4], context=KNOWN)
    assert [sum(one.sums[0] for one in each.values) for each in waiting.open] == [8.0]
    assert states(waiting)["cost"][1:] == ([0, 0], [0, 0])
    compared = judge(few[4], previous=restored(waiting), context=KNOWN)
    assert (compared.open, states(compared)["cost"][1:]) == ([], ([5, 0], [5, 0]))
    whole = judge(
        tick(
            arm(counts(5), cost=values([math.exp(drawn(1, 1.0, n).ln_sum) for n in range(1, 6)])),
            arm(counts(5), cost=values([math.exp(drawn(1, 1.0, -n).ln_sum) for n in range(1, 6)])),
        ),
        previous=judge(*[tick()] * 4, context=KNOWN),
        context=KNOWN,
    )
    assert whole.state[4].score == pytest.approx(compared.state[4].score, rel=1e-6)
    assert whole.state[4].logs == pytest.approx(compared.state[4].logs, abs=1e-4)


# -------------------------------------------------------------------------------------- what is no blame


def test_an_incident_of_both_arms_is_named_and_blames_nobody() -> None:
    good, bad = [tick(counts(5), counts(95))] * 30, [tick(counts(3, 2), counts(57, 38))] * 4
    judgement = judge(*good, *bad)
    assert (judgement.verdict, reason_of(judgement)) == ("Inconclusive", Reason.SHARED_INCIDENT)
    assert judgement.message == (
        "170 canary requests, no evidence of harm (evidence 0.45, traffic goes back at 100);"
        " 29 % of stable's requests fail (0.1 % before);"
        " both arms may be affected, so the canary is neither blamed nor cleared"
    )
    over = judge(*good[:20], previous=judgement)
    assert (reason_of(over), over.shared) == (Reason.WATCHING, "")


def test_a_bad_canary_in_an_incident_still_loses_its_traffic() -> None:
    good, bad = [tick(counts(5), counts(95))] * 30, [tick(counts(0, 5), counts(66, 29))] * 8
    judgement = judge(*good, *bad)
    assert (judgement.verdict, reason_of(judgement)) == ("Fail", Reason.ERRORS_INCREASED)
    assert judgement.shared


def test_a_wrong_split_is_named() -> None:
    half = tick(counts(50, conversations=50), counts(50, conversations=50))
    right = judge(*[half] * 9, context=Context(weight=5000, generation=7))
    assert find(right, Reason.SPLIT_MISMATCH) is None
    wrong = judge(*[half] * 3, context=Context(weight=100, generation=7))
    assert "the canary gets 50 % of the conversations at a weight of 1 %," in find(wrong, Reason.SPLIT_MISMATCH).message
    assert (wrong.verdict, wrong.evidence) == ("Inconclusive", 1.0)
    # A conversation is counted once in each of two pods.
    twice = judge(tick(counts(9, conversations=8), counts(90, conversations=70), pods=2), context=FIVE)
    assert (twice.sample_ratio.canary, twice.sample_ratio.stable) == (4.0, 35.0)
    # Conversations of the config before, and those before a change of weight, are no sign of it.
    assert judge(*[half] * 3, context=Context(weight=100, generation=8)).sample_ratio.canary == 0.0
    again = judge(half, previous=restored(wrong), context=Context(weight=5000, generation=7))
    assert find(again, Reason.SPLIT_MISMATCH) is None
    assert judge(*[half] * 3, context=Context(weight=100)).sample_ratio is None


def test_requests_without_a_name_are_counted_since_the_weight_was_brought() -> None:
    some = tick(counts(5), counts(95), naming=Naming(100, 40))
    found = judge(*[some] * 3, context=FIVE)
    assert (found.sample_ratio.requests, found.sample_ratio.unnamed) == (300, 120)
    assert "; 40 % of the requests do not name their conversation" in found.message
    again = judge(tick(counts(5), counts(95), naming=Naming(100, 0)), previous=restored(found), context=FIVE)
    assert (again.sample_ratio.requests, again.sample_ratio.unnamed) == (400, 120)
    anew = judge(some, previous=restored(found), context=Context(weight=5000, generation=7))
    assert (anew.sample_ratio.requests, anew.sample_ratio.unnamed) == (100, 40)


def test_what_could_be_seen_by_now_is_said() -> None:
    assert judge(tick(counts(1), counts(9))).detectable == "nothing yet"
    for ticks in (20, 200):
        words = judge(*[tick(counts(5), counts(495, 5))] * ticks).detectable
        excess = float(words.removeprefix("+").removesuffix(" points errors")) / 100.0
        # Errors have half of the false rollback rate of 1 in 100; the excess is rounded to two digits.
        assert requests_needed(0.01, excess, 0.01, 200.0) == pytest.approx(5 * ticks, rel=0.1)
    assert judge(tick(counts(50), counts(950)), plan=analysis("refusals")).detectable == ""


def test_a_dearer_model_was_chosen_and_is_no_harm() -> None:
    ticks = slower("cost", 5.0)
    plain = judge(*ticks, plan=analysis("cost"), context=KNOWN)
    assert (plain.verdict, reason_of(plain)) == ("Fail", Reason.COST_INCREASED)
    known = judge(*ticks, plan=analysis("cost"), context=Context(history=HISTORY, price_ratio=5.0))
    assert (known.verdict, known.leading) == ("Inconclusive", None)
    wordy = judge(*slower("cost", 12.5), plan=analysis("cost"), context=Context(history=HISTORY, price_ratio=5.0))
    assert wordy.verdict == "Fail"
    latency = judge(*slower("timeToFirstToken", 5.0), context=Context(history=HISTORY, price_ratio=5.0))
    assert latency.leading == "timeToFirstToken"


def test_users_who_failed_more_before_are_known_by_their_weight() -> None:
    offsets = [Offsets(weight=100, errors=8.0), Offsets(weight=500)]
    one = tick(counts(40, 10), counts(920, 30))
    assert judge(one).verdict == "Fail"
    known = judge(one, context=Context(weight=100, offsets=offsets))
    assert (known.verdict, known.offsets) == ("Inconclusive", offsets)
    assert judge(one, context=Context(weight=500, offsets=offsets)).verdict == "Fail"
    # They were read once, and stay.
    later = judge(one, previous=restored(judge(tick(), context=Context(offsets=offsets))), context=Context(weight=100))
    assert later.verdict == "Inconclusive"


def test_a_dry_run_of_any_metric_reports_and_never_acts() -> None:
    dry = [{"name": name, "mode": "DryRun"} for name in METRICS]
    plan = analysis(*dry, warmup="0s")
    ours = Sample(
        Counts(100, 50, 50, 0, 40, 40, 40, 40, 1, 49, 9, 50, 40, 40, 40, 50, 50),
        {(name, "none"): drawn(50, 9.0) for name in QUANTITIES} | late(50, 40).values,
    )
    theirs = Sample(
        counts(900)._replace(cache_reads=800, grades=100),
        {(name, "none"): drawn(900) for name in QUANTITIES} | late(900, 9).values,
    )
    context = Context(history=HISTORY)
    judgement = judge(*[tick(ours, theirs)] * 3, plan=plan, context=context)
    # What only conversations have, requests say nothing of.
    found = {name: state[0] for name, state in states(judgement).items() if not METRICS[name].by_conversation}
    assert all(evidence > 100.0 for evidence in found.values()), found
    assert (judgement.verdict, judgement.evidence, judgement.leading, judgement.detectable) == (
        "Inconclusive",
        1.0,
        None,
        "",
    )
    enforced = judge(tick(ours, theirs), plan=analysis(*dry[1:], "errors"), context=context)
    assert (enforced.verdict, enforced.leading) == ("Fail", "errors")


# ---------------------------------------------------------------------------------------------------- unit


def test_one_conversation_that_fails_again_and_again_is_one_event() -> None:
    burst = tick(counts(10, 20, bad_errors=1), counts(270, 3))
    by_conversation = judge(burst)
    assert (by_conversation.verdict, states(by_conversation)["errors"][1]) == ("Inconclusive", [30, 1])
    many_of_them = tick(counts(10, 20), counts(270, 3))
    assert judge(many_of_them).verdict == "Fail"


@pytest.mark.parametrize("name", ["refusals", "max_tokens", "context_window"])
def test_the_same_holds_for_what_the_model_does(name: str) -> None:
    metric = {"refusals": "refusals", "max_tokens": "maxTokens", "context_window": "contextWindow"}[name]
    burst = tick(counts(30)._replace(**{name: 20, f"bad_{name}": 1}), counts(270))
    assert judge(burst, plan=analysis(metric)).state[0].canary == [30, 1]


# ----------------------------------------------------------------------------------------------- promotion

FIVE = Context(weight=500, generation=7, bakes=[Bake(1, 0.05), Bake(3, 0.01)])


def test_what_a_bake_still_waits_for_is_said() -> None:
    good = tick(counts(5), counts(95))
    early = judge(*[good] * 3, context=FIVE)
    missing = explain_missing(early, ANALYSIS, 1, pace=1.0)
    assert missing is not None
    assert missing.startswith("has not yet ruled out that the canary has 5 points more errors than stable (evidence 1.")
    assert " more canary requests, 1 min " in missing
    late = judge(*[good] * 30, context=FIVE)
    assert explain_missing(late, ANALYSIS, 1) is None
    next_one = explain_missing(late, ANALYSIS, 3)
    assert next_one is not None
    assert "1 point more errors" in next_one
    assert explain_missing(late, ANALYSIS, 5) is None  # no bake of that number is waited for


def test_evidence_of_harm_that_is_not_yet_clear_is_waited_for() -> None:
    unclear = judge(tick(counts(4, 1), counts(490)), plan=analysis("errors"), context=FIVE)
    assert (unclear.verdict, is_suspicious(unclear)) == ("Inconclusive", True)
    waits = explain_missing(unclear, ANALYSIS, 1)
    assert waits is not None
    assert waits.startswith("waits for the evidence of harm to become clear: errors 1 of 5 against 0 of 490 (")


def test_a_canary_that_costs_too_much_is_not_cleared() -> None:
    plan = analysis("refusals")  # nobody watches its errors
    judgement = judge(*[tick(counts(92, 8), counts(900))] * 40, plan=plan, context=FIVE)
    missing = explain_missing(judgement, plan, 1)
    assert missing is not None
    assert "5 points more errors than stable (evidence 0.00 of 20)" in missing


def test_surfaces_prove_it_together_each_after_the_others() -> None:
    """What stable's rate is known from is all that came before."""
    arms = {"batch": ((40, 2), (360, 30)), "chat": ((10, 1), (90, 1))}
    cells = {
        (7, surface, revision): Sample(counts(n - x, x))
        for surface, pair in arms.items()
        for revision, (n, x) in zip((CANARY, STABLE), pair, strict=True)
    }
    judgement = judge(*[Increments(cells, 500)] * 2, context=FIVE)
    for found in judgement.promotions:
        expected, requests, bad = new_promotion(found.step, found.margin, 0.05), 0, 0
        for canary, stable in [*arms.values()] * 2:
            expected = advanced(expected, canary, stable, (requests, bad))
            requests, bad = requests + stable[0], bad + stable[1]
        assert found == expected
    assert judgement.stable_requests == [900, 62]


def test_what_needs_no_proof_passes() -> None:
    free = Context(weight=500, bakes=[Bake(1, 1.0)])
    assert explain_missing(judge(tick(counts(5), counts(95)), context=free), ANALYSIS, 1) is None


# -------------------------------------------------------------------------------------------- other judges


def test_mann_whitney_decides_by_its_own_rule() -> None:
    plan = analysis("errors", judge="MannWhitney")
    ticks = [tick(counts(20, 20 + index), counts(95, index % 3)) for index in range(12)]
    early = judge(*ticks[:5], plan=plan, every=60.0)
    assert (early.verdict, early.evidence) == ("Inconclusive", 1.0)
    assert explain_missing(early, plan, 1) == "waits for 10 intervals of every metric on both arms"
    late = judge(*ticks, plan=plan, every=60.0)
    assert (late.verdict, reason_of(late), late.leading) == ("Fail", Reason.METRIC_WORSENED, "errors")
    assert late.message.startswith("errors higher than stable's by the Mann-Whitney test over 10 intervals (mean 0.")
    same = judge(*[tick(counts(20, index % 3), counts(95, index % 3)) for index in range(12)], plan=plan, every=60.0)
    assert (same.verdict, explain_missing(same, plan, 1)) == ("Inconclusive", None)


@pytest.mark.parametrize("metrics", [(), ("errors",)])
def test_mann_whitney_needs_no_list_of_metrics(metrics: tuple[str, ...]) -> None:
    plan: Analysis = analysis(*metrics, judge="MannWhitney")
    judgement = judge(tick(counts(9), counts(90)), tick(counts(9), counts(90)), plan=plan, every=60.0)
    assert len(judgement.series) == (len(metrics) or 5)


def test_a_threshold_decides_alone_under_its_judge_and_besides_the_others() -> None:
    metric: dict[str, Any] = {"name": "errors", "threshold": {"max": 0.05}}
    for judge_name in ("Threshold", "Sequential"):
        plan = analysis(metric, judge=judge_name)
        ticks = [tick(counts(18, 2), counts(90, 10))] * 4
        judgement = judge(*ticks, plan=plan, every=60.0)
        assert (judgement.verdict, reason_of(judgement), judgement.leading) == (
            "Fail",
            Reason.THRESHOLD_EXCEEDED,
            "errors",
        )
        assert judgement.message == "errors 0.1 is above 0.05 for the 1st time (0 tolerated)"
    plan = analysis(metric, judge="Threshold")
    fine = judge(*[tick(counts(20), counts(90, 90))] * 3, plan=plan, every=60.0)
    assert (fine.verdict, explain_missing(fine, plan, 1)) == ("Inconclusive", None)


# ------------------------------------------------------------------------------------------------ sentences


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0.00"),
        (0.004, "0.00"),
        (0.0123, "0.012"),
        (1.0, "1"),
        (9.96, "10"),
        (99.95, "100"),
        (930.2, "930"),
        (1.23e17, "1.2e+17"),
    ],
)
def test_numbers_are_short(value: float, words: str) -> None:
    assert number(value) == words


def test_effects_at_the_edges_of_what_was_seen() -> None:
    judgement = judge(tick(counts(0, 10), counts(100)))
    errors = judgement.state[0]
    assert effect(errors) == "errors 10 of 10 against 0 of 100 (+100 points, 95 % interval +72 to +100)"
    none = errors.model_copy(update={"canary": [0, 0]})
    assert effect(none) == "errors 0 of 0 against 0 of 100"
    early = judge(tick(arm(counts(1), cost=drawn(1)), arm(counts(20), cost=drawn(20))))
    assert effect(early.state[4]) == "cost above stable's over 1 canary request"


def test_a_judgement_of_an_unknown_reason_still_has_one() -> None:
    failed = Judgement(verdict="Fail", leading="gone", reason="Whatever")
    assert reason_of(failed) == Reason.ERRORS_INCREASED
    assert evidence(judge(), "errors") == 1.0
