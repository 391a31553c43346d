"""One metric through a tick: by definition, from history, and what its parts are worth."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.judge.arms import EVERYTHING, analysis, many, values

from claude_operator.api.status import MetricState, Offsets
from claude_operator.api.sums import Moments, Score
from claude_operator.core.judge.evidence.sample import NO_VALUES, Values
from claude_operator.core.judge.judges import engine
from claude_operator.core.judge.judges.comparisons import Comparison, Firsts
from claude_operator.core.judge.judges.engine import combined, initial, leading, tick
from claude_operator.core.judge.metrics import KINDS, Watched, watched
from claude_operator.core.judge.stats import continuous, eprocess

FEW = settings(max_examples=15)
WATCHES = {one.name: one for one in watched(EVERYTHING)}
ERRORS, TTFT, COST, TOOLS = (WATCHES[name] for name in ("errors", "timeToFirstToken", "cost", "toolUse"))


def lognormal(number: int, *, ratio: float = 1.0, sigma: float = 0.5, seed: int = 1) -> Values:
    rng = random.Random(seed)
    return values([ratio * rng.lognormvariate(0.0, sigma) for _ in range(number)])


HISTORY = lognormal(2000)


def run(watch: Watched, *ticks: list[tuple], state: MetricState | None = None, **more: object) -> MetricState:
    """One metric through ticks of (canary, stable) strata."""
    state = state or initial(watch, HISTORY)
    for number, strata in enumerate(ticks, 1):
        compared = [Comparison(watch.name, *pair) for pair in strata]
        (state,) = tick([state], [watch], compared, number=number, **more)  # type: ignore[arg-type]
    return state


def test_the_start_says_nothing() -> None:
    for watch in WATCHES.values():
        state = initial(watch)
        assert (state.evidence, state.canary, state.stable, state.edges) == (1.0, [0, 0], [0, 0], [])
        assert len(state.logs) == getattr(watch.kind, "grid", eprocess.Grid()).size
    informed = initial(TTFT, HISTORY)
    assert informed.edges == continuous.choose_edges(HISTORY.buckets)
    assert informed.logs == [0.0] * len(informed.edges) * eprocess.EDGES.size
    assert informed.moments[2] == 1999
    assert initial(ERRORS, HISTORY) == initial(ERRORS)


def test_a_binary_metric_is_the_exact_test_of_each_stratum() -> None:
    strata = [((10, 2), (90, 1)), ((3, 0), (50, 4)), ((0, 0), (70, 9)), ((5, 1), (0, 0))]
    logs = eprocess.updated(eprocess.RISE.start, (10, 2), (90, 1))
    logs = eprocess.updated(logs, (3, 0), (50, 4))
    state = run(ERRORS, strata, exact=True)
    assert state.logs == list(logs)
    assert (state.canary, state.stable) == ([18, 3], [140, 5])  # of strata that the canary was in
    assert state.evidence == eprocess.value(logs)
    assert run(ERRORS, strata).logs == eprocess.stored(logs, 1)


def test_the_floor_follows_the_number_of_the_tick() -> None:
    (state,) = tick([initial(ERRORS)], [ERRORS], [Comparison("errors", (10**6, 0), (10**6, 10**6))], number=7)
    assert state.logs == eprocess.stored([math.log(6e-3 / 49)] * 10)


def test_margins_and_former_luck_are_taken_into_account() -> None:
    pair = [((100, 4), (900, 9))]
    plan = analysis({"name": "errors", "maxIncrease": "50%"})
    (lenient,) = watched(plan)
    expected = eprocess.updated(eprocess.RISE.start, *pair[0], margin=1.5)
    assert run(lenient, pair, exact=True).logs == pytest.approx(list(expected))
    unlucky = Offsets(weight=1, errors=3.0)
    expected = eprocess.updated(eprocess.RISE.start, *pair[0], exposure=3.0)
    assert run(ERRORS, pair, exact=True, offsets=unlucky).logs == pytest.approx(list(expected))
    refusals = WATCHES["refusals"]  # cohorts are known by their errors only
    assert run(refusals, pair, offsets=unlucky).logs == run(refusals, pair).logs


def test_the_past_of_users_does_not_weigh_a_draw() -> None:
    """A client that failed in a loop in the hour before has no part in how the canary's users were drawn."""
    pair = [Comparison("errors", Firsts((4, 0, 0), {0: 2}), Firsts((36, 0, 0), {0: 3}), 0.1)]
    looped = Offsets(weight=1, errors=0.05)
    (plain,) = tick([initial(ERRORS)], [ERRORS], pair, number=1)
    (found,) = tick([initial(ERRORS)], [ERRORS], pair, number=1, offsets=looped)
    assert found.logs == plain.logs
    assert found.evidence > 1.0


def test_what_calls_tools_more_or_less_often_has_changed() -> None:
    same = run(TOOLS, [((200, 100), (800, 400))])
    less, more = (run(TOOLS, [((200, x), (800, 400))]) for x in (40, 180))
    assert same.evidence < 1.0
    assert min(less.evidence, more.evidence) > 1000.0


def test_a_quantity_without_history_gets_edges_that_hold_from_the_next_tick_on() -> None:
    few, many_more = lognormal(90, seed=2), lognormal(400, seed=3)
    state = run(TTFT, [(few, few)], state=initial(TTFT))
    assert state.edges == []
    state = run(TTFT, [(lognormal(40, ratio=3.0), many_more)], state=state)
    assert state.edges == continuous.choose_edges(many_more.buckets)
    assert set(state.logs) == {0.0}
    after = run(TTFT, [(lognormal(40, ratio=3.0), many_more)], state=state)
    assert after.edges == state.edges
    assert max(after.logs) > 5.0


def test_history_is_taken_when_it_comes() -> None:
    state = run(TTFT, [], state=initial(TTFT), history={"timeToFirstToken": HISTORY})
    assert state.edges == initial(TTFT, HISTORY).edges
    assert run(TTFT, [], state=initial(TTFT), history={"cost": HISTORY}).edges == []


def test_what_is_known_of_stable_is_not_replaced_by_history() -> None:
    """Its values are in the history too, and would count twice."""
    seen = run(TTFT, [(NO_VALUES, lognormal(50, seed=2))], state=initial(TTFT))
    informed = run(TTFT, [], state=seen, history={"timeToFirstToken": HISTORY})
    assert informed.edges
    assert informed.moments == seen.moments


def test_a_quantity_is_half_the_mixture_and_half_the_edges() -> None:
    ours, theirs = lognormal(60, ratio=1.4, seed=4), lognormal(600, seed=5)
    state = run(TTFT, [(ours, theirs)], exact=True)
    u, v, prior, *_ = state.score
    mixture = continuous.mixture(u, v, prior, math.log(1.1))
    assert state.evidence == pytest.approx((mixture + eprocess.value(state.logs)) / 2.0)
    assert (state.canary, state.stable) == ([60, 0], [600, 0])
    known = continuous.moments(Moments(), HISTORY)
    assert state.score == pytest.approx(tuple(continuous.scored(Score(), known, ours, theirs, judged=0)), rel=1e-6)
    assert state.moments == pytest.approx(continuous.moments(known, theirs), rel=1e-6)
    assert run(TTFT, [(ours, theirs)]).evidence == pytest.approx(state.evidence, rel=1e-3)


def test_a_tenth_of_the_evidence_of_cost_is_of_raw_values() -> None:
    ours, theirs = many(lognormal(60, ratio=1.3, seed=4), 20), many(lognormal(600, seed=5), 4)
    state = run(COST, [(ours, theirs)], [(ours, theirs)], exact=True)
    of_ln = continuous.mixture(*state.score[:3], math.log(1.25))
    of_raw = continuous.mixture(*state.score[3:], 0.25 * state.moments[4])
    rest = (of_ln + eprocess.value(state.logs)) / 2.0
    assert state.score[4] > 0.0
    assert state.evidence == pytest.approx(0.9 * rest + 0.1 * of_raw, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "offsets"), [("timeToFirstToken", {"time_to_first_token": 0.6}), ("cost", {"cost": 0.6})]
)
def test_users_who_were_so_much_slower_before_are_no_harm(name: str, offsets: dict[str, float]) -> None:
    ratio = math.exp(0.6)
    ticks = [[(lognormal(40, ratio=ratio, seed=seed), lognormal(200, seed=-seed))] for seed in range(1, 13)]
    assert run(WATCHES[name], *ticks).evidence > 1e3
    assert run(WATCHES[name], *ticks, offsets=Offsets(weight=1, **offsets)).evidence < 1.0


def test_strata_that_the_canary_was_not_in_still_teach_what_stable_is_like() -> None:
    state = run(TTFT, [(NO_VALUES, lognormal(300, seed=6))])
    assert (state.canary, state.stable) == ([0, 0], [0, 0])
    assert state.moments[2] == 1999 + 299
    assert state.evidence == 1.0


@pytest.mark.parametrize("name", ["timeToFirstToken", "duration", "cost", "outputTokens"])
def test_twice_as_much_is_found_and_a_tenth_more_is_not(name: str) -> None:
    def after(ratio: float) -> float:
        ticks = [[(lognormal(8, ratio=ratio, seed=seed), lognormal(80, seed=-seed))] for seed in range(1, 16)]
        return run(WATCHES[name], *ticks).evidence

    assert after(2.0) > 1e4
    assert after(1.1) < 20.0
    assert after(1.0) < 1.0


def test_a_new_tail_is_found_though_the_middle_stays() -> None:
    rng = random.Random(3)
    ticks = []
    for seed in range(1, 31):
        ours = [rng.lognormvariate(0.0, 0.5) * (30.0 if rng.random() < 0.08 else 1.0) for _ in range(10)]
        ticks.append([(values(ours), lognormal(100, seed=-seed))])
    state = run(TTFT, *ticks)
    assert continuous.mixture(*state.score[:3], math.log(1.1)) < eprocess.value(state.logs)
    assert state.evidence > 100.0


# ------------------------------------------------------------------------------------------ all metrics


def test_the_combination_is_the_weighted_mean_and_names_the_leading_metric() -> None:
    plan = analysis(
        {"name": "errors", "weight": 3}, {"name": "refusals", "weight": 1}, {"name": "cost", "mode": "DryRun"}
    )
    watches = watched(plan)[:3]
    states = [
        initial(watch).model_copy(update={"evidence": e}) for watch, e in zip(watches, (2.0, 9.0, 1e9), strict=True)
    ]
    assert combined(states, watches) == 0.75 * 2.0 + 0.25 * 9.0
    assert leading(states, watches) == "refusals"
    calm = [state.model_copy(update={"evidence": 0.9}) for state in states]
    assert leading(calm, watches) is None
    assert combined([], ()) == combined(states[2:], watches[2:]) == 1.0
    worst = [state.model_copy(update={"evidence": eprocess.CAP}) for state in states]
    assert combined(worst, watches) == eprocess.CAP


def test_weights_of_enforced_metrics_add_up_to_one() -> None:
    for plan in (EVERYTHING, analysis(), analysis({"name": "errors", "weight": 7}, {"name": "cost", "mode": "DryRun"})):
        assert math.fsum(watch.weight for watch in watched(plan)) == pytest.approx(1.0, abs=1e-15)
    assert combined([initial(watch) for watch in watched(analysis())], watched(analysis())) == 1.0
    assert set(WATCHES) == set(KINDS)


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50), st.integers(1, 500), st.integers(0, 500)), max_size=5),
    st.randoms(),
)
@FEW
def test_the_order_of_strata_changes_nothing(strata: list[tuple[int, int, int, int]], shuffle: random.Random) -> None:
    pairs = [((n, min(x, n)), (m, min(y, m))) for n, x, m, y in strata]
    mixed = list(pairs)
    shuffle.shuffle(mixed)
    left, right = run(ERRORS, pairs, exact=True), run(ERRORS, mixed, exact=True)
    assert left.logs == pytest.approx(right.logs, abs=1e-9)
    assert (left.canary, left.stable) == (right.canary, right.stable)
    sized = [(lognormal(n, seed=x), lognormal(m, seed=y)) for n, x, m, y in strata]
    mixed_values = list(sized)
    shuffle.shuffle(mixed_values)
    one, other = run(TTFT, sized, exact=True), run(TTFT, mixed_values, exact=True)
    assert one.logs == pytest.approx(other.logs, abs=1e-9)
    # The variance that a stratum is weighed with is that of all before it.
    assert one.score[:2] == pytest.approx(other.score[:2], rel=0.25, abs=20.0)


def test_rounding_leans_to_neither_side_over_a_long_rollout() -> None:
    rng = random.Random(12)
    rounded, exact = initial(ERRORS), initial(ERRORS)
    for number in range(1, 401):
        pair = [Comparison("errors", (5, rng.random() < 0.04), (245, int(rng.random() < 0.8)))]
        (rounded,) = tick([rounded], [ERRORS], pair, number=number)
        (exact,) = tick([exact], [ERRORS], pair, number=number, exact=True)
    assert rounded.evidence == pytest.approx(exact.evidence, rel=1e-3)


def test_a_state_of_another_grid_goes_on_with_its_evidence() -> None:
    old = initial(ERRORS).model_copy(update={"logs": [2.0, 2.0], "evidence": math.exp(2.0)})
    state = run(ERRORS, [((10, 0), (90, 0))], state=old)
    assert state.evidence == pytest.approx(math.exp(2.0), rel=1e-4)
    assert Offsets(weight=0) == engine.NO_OFFSETS
