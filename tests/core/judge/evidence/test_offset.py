"""The pre-period offset: neutral where users are alike, near the truth where they are not, and what it saves."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from claude_operator.api.evidence import Cohorts
from claude_operator.core.judge.evidence.offset import CAUTION, NEUTRAL, CohortHistory, Imbalance, estimate, owned_by
from claude_operator.core.judge.stats import eprocess
from claude_operator.core.request.assignment import in_canary, rank

UNITS = 200
RATE = 0.005
STEPS = (0.01, 0.1, 0.5)


def measured(history: CohortHistory, owned: Callable[[int], bool], caution: float = 0.0) -> Imbalance:
    return estimate(history, owned, ttft_within=0.64, cost_within=2.25, caution=caution)


def even(cohort: int) -> bool:
    return cohort % 2 == 0


@dataclass(frozen=True)
class Table:
    cohort: Sequence[int]
    requests: Sequence[int]
    errors: Sequence[int]
    ttft_count: Sequence[int]
    ttft_ln_sum: Sequence[float]
    cost_count: Sequence[int]
    cost_ln_sum: Sequence[float]
    assignment: str = ""


def test_pods_add_up() -> None:
    one = Cohorts(
        boot_id="a",
        window=60.0,
        cohort=[3, 7],
        requests=[10, 20],
        errors=[1, 2],
        ttft_count=[9, 18],
        ttft_ln_sum=[-1.5, 2.0],
        cost_count=[8, 16],
        cost_ln_sum=[-40.0, -80.0],
    )
    other = Table([7, 9], [5, 6], [0, 1], [5, 5], [0.5, 0.25], [4, 5], [-20.0, -25.0])
    merged = CohortHistory.merged([one, other])
    assert merged.rows == {
        3: (10, 1, 9, -1.5, 8, -40.0),
        7: (25, 2, 23, 2.5, 20, -100.0),
        9: (6, 1, 5, 0.25, 5, -25.0),
    }


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one value a cohort in every column"):
        CohortHistory.merged([Table([1, 2], [1], [0], [1], [0.0], [1], [0.0])])


def test_owned_cohorts_are_those_of_the_gateway() -> None:
    owned = owned_by("support-7f9c", 1000)
    assert sum(owned(cohort) for cohort in range(10_000)) == 1000
    assert [owned(cohort) for cohort in range(50)] == [rank("support-7f9c")[cohort] < 1000 for cohort in range(50)]
    assert in_canary("uid", "session:x", "support-7f9c", 10_000)


@pytest.mark.parametrize("caution", [0.0, CAUTION, -CAUTION])
def test_neutral_without_history(caution: float) -> None:
    row = (900.0, 45.0, 900.0, 100.0, 900.0, -4000.0)
    assert measured(CohortHistory({}), even, caution) == NEUTRAL
    assert measured(CohortHistory({1: row, 3: row}), even, caution) == NEUTRAL
    assert measured(CohortHistory({2: row, 4: row}), even, caution) == NEUTRAL
    assert measured(CohortHistory({1: (0.0,) * 6, 2: (0.0,) * 6}), even, caution) == NEUTRAL


def test_neutral_where_there_never_was_an_error() -> None:
    rows = dict.fromkeys(range(20), (900.0, 0.0, 900.0, 100.0, 900.0, -4000.0))
    assert measured(CohortHistory(rows), even) == NEUTRAL


def test_chance_is_not_taken_for_people() -> None:
    """All users alike: in most histories every offset is neutral exactly, in the rest nearly so."""
    draw = random.Random(1)
    found = [measured(history(draw, [1.0] * UNITS, [0.0] * UNITS, 50.0), even, CAUTION) for _ in range(30)]
    assert sum(one.errors == 1.0 for one in found) >= 20
    assert sum(one.time_to_first_token == 0.0 for one in found) >= 20
    assert all(0.85 < one.errors < 1.25 for one in found)
    assert all(abs(one.time_to_first_token) < 0.02 for one in found)


def test_a_long_history_tells_the_truth() -> None:
    """Half of the users fail twice as often and wait 1.5 times as long: with much history the offset says just that."""
    slow = math.log(1.5)
    rows = {
        cohort: (1e6, 2e4 if even(cohort) else 1e4, 1e6, 1e6 * slow if even(cohort) else 0.0, 1e6, 0.0)
        for cohort in range(40)
    }
    found = measured(CohortHistory(rows), even)
    assert found.errors == pytest.approx(2.0, rel=0.01)
    assert found.time_to_first_token == pytest.approx(slow, rel=0.01)
    assert found.cost == 0.0


def test_little_history_is_shrunk() -> None:
    """One bad cohort among many, seen rarely: less is believed than was seen, and more with caution."""
    rows = {cohort: (100.0, 1.0, 100.0, 20.0 if cohort % 4 == 1 else -20.0, 100.0, 0.0) for cohort in range(1, 200, 2)}
    rows |= {101: (100.0, 20.0, 100.0, 80.0, 100.0, 0.0), 2: (100.0, 12.0, 100.0, 50.0, 100.0, 0.0)}
    rows |= {4: (100.0, 1.0, 100.0, 0.0, 100.0, 0.0)}
    expected, high, low = (measured(CohortHistory(rows), even, caution) for caution in (0.0, CAUTION, -CAUTION))
    seen = 6.5 / (120 / 100)
    assert 1.5 < expected.errors < seen
    assert 0.0 < expected.time_to_first_token < 0.25
    assert low.errors < expected.errors < high.errors
    assert low.time_to_first_token < expected.time_to_first_token < high.time_to_first_token


@pytest.mark.parametrize("loop", [2, 101])
def test_one_client_of_many_turns_no_latency_and_no_cost(loop: int) -> None:
    """A loop or a giant with nine tenths of the requests, on either arm, that is fast and cheap or slow and dear."""
    draw = random.Random(4)
    rows = {cohort: (100.0, 1.0, 100.0, draw.gauss(0.0, 30.0), 100.0, draw.gauss(0.0, 50.0)) for cohort in range(200)}
    usual = measured(CohortHistory(rows), even, CAUTION)
    for far in (-3.0, 3.0):
        giant = (2e5, 1e5, 2e5, 2e5 * far, 2e5, 2e5 * far)
        found = measured(CohortHistory(rows | {loop: giant}), even, CAUTION)
        assert found.time_to_first_token == pytest.approx(usual.time_to_first_token, abs=0.1)
        assert found.cost == pytest.approx(usual.cost, abs=0.2)


# ------------------------------------------------------------------------------------- seeded simulation


def poisson(draw: random.Random, mean: float) -> int:
    if mean > 30:
        return max(round(draw.gauss(mean, math.sqrt(mean))), 0)
    limit, number, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        number, product = number + 1, product * draw.random()
    return number


def history(draw: random.Random, bad: Sequence[float], slow: Sequence[float], rps: float) -> CohortHistory:
    """An hour of users with equal traffic; `bad`: rates over 0.5 %, `slow`: means of ln, sd 0.8 within."""
    rows = {}
    for unit in range(len(bad)):
        requests = poisson(draw, rps * 3600 / len(bad))
        total = requests * slow[unit] + draw.gauss(0, 0.8) * math.sqrt(requests)
        rows[unit] = (requests, poisson(draw, requests * RATE * bad[unit]), requests, total, requests, -4.0 * requests)
    return CohortHistory(rows)


def rolled_back(draw: random.Random, cv: float, rps: float, harm: float = 0.0) -> tuple[bool, bool]:
    """An hour each at 1, 10 and 50 % with ticks of a minute: does it fire without and with the offset?"""
    shape = cv**-2 if cv else 0.0
    bad = [draw.gammavariate(shape, 1 / shape) if cv else 1.0 for _ in range(UNITS)]
    place = [draw.random() for _ in range(UNITS)]
    seen = history(draw, bad, [0.0] * UNITS, rps)
    plain, offset = eprocess.RISE.start, eprocess.RISE.start
    fired = [False, False]
    for weight in STEPS:
        owned = [at < weight for at in place]
        exposure = measured(seen, owned.__getitem__, CAUTION).errors
        ours = [value for value, mine in zip(bad, owned, strict=True) if mine]
        theirs = [value for value, mine in zip(bad, owned, strict=True) if not mine]
        if not ours:
            continue
        share, rate, other = len(ours) / UNITS, sum(ours) / len(ours), sum(theirs) / len(theirs)
        for _ in range(60):
            n_c, n_s = poisson(draw, rps * 60 * share), poisson(draw, rps * 60 * (1 - share))
            canary = n_c, min(poisson(draw, n_c * (RATE * rate + harm)), n_c)
            stable = n_s, poisson(draw, n_s * RATE * other)
            plain = eprocess.updated(plain, canary, stable)
            offset = eprocess.updated(offset, canary, stable, exposure=exposure)
            fired[0] = fired[0] or eprocess.value(plain) >= 100
            fired[1] = fired[1] or eprocess.value(offset) >= 100
    return fired[0], fired[1]


@pytest.mark.slow
@pytest.mark.parametrize(("rps", "plainly"), [(50.0, 0.2), (5.0, 0.03)])
def test_sticky_users_are_no_reason_to_roll_back(rps: float, plainly: float) -> None:
    """200 users whose error rates differ (CV 2), the canary as good as stable: 34 % and 7 % without offsets."""
    draw = random.Random(17)
    runs = [rolled_back(draw, 2.0, rps) for _ in range(150)]
    assert sum(plain for plain, _ in runs) >= plainly * 150
    assert sum(offset for _, offset in runs) <= 2


@pytest.mark.slow
def test_where_users_are_alike_nothing_gets_worse() -> None:
    draw = random.Random(18)
    runs = [rolled_back(draw, 0.0, 50.0) for _ in range(100)]
    assert sum(offset for _, offset in runs) <= sum(plain for plain, _ in runs) + 1
    runs = [rolled_back(draw, 0.0, 5.0, harm=0.02) for _ in range(40)]
    assert all(offset for _, offset in runs)


@pytest.mark.slow
@pytest.mark.parametrize("rps", [50.0, 5.0])
def test_a_broken_canary_is_still_found_among_sticky_users(rps: float) -> None:
    draw = random.Random(19)
    runs = [rolled_back(draw, 2.0, rps, harm=0.02) for _ in range(40)]
    assert sum(offset for _, offset in runs) >= 39


@pytest.mark.parametrize("weight", STEPS)
def test_waiting_times_are_predicted_within_what_caution_allows(weight: float) -> None:
    """Users whose mean ln differs by sd 0.3: what is left of the difference is mostly below the cautious offset."""
    draw, above, size = random.Random(20), 0, []
    for _ in range(60):
        slow = [draw.gauss(0, 0.3) for _ in range(UNITS)]
        owned = [draw.random() < weight for _ in range(UNITS)]
        if not any(owned):
            continue
        seen = history(draw, [1.0] * UNITS, slow, 50.0)
        ours = [value for value, mine in zip(slow, owned, strict=True) if mine]
        theirs = [value for value, mine in zip(slow, owned, strict=True) if not mine]
        truth = sum(ours) / len(ours) - sum(theirs) / len(theirs)
        found = measured(seen, owned.__getitem__).time_to_first_token
        size.append(abs(truth - found))
        above += truth > measured(seen, owned.__getitem__, CAUTION).time_to_first_token
    assert above <= 4
    assert sum(size) / len(size) < 0.03
