"""Each rival does what its source says, on series made by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

import numpy as np
import pytest
from bench.judge.rivals import RIVALS, TITLES, confidence, sequential, thresholds
from bench.judge.rivals.confidence import GuardedRollout, SafeRollout
from bench.judge.rivals.kayenta import Kayenta, error_percent, interval, is_high
from bench.judge.rivals.sequential import GroupSequential, MixtureSprt, RepeatedZTest, boundaries, spent
from bench.judge.rivals.thresholds import ConsecutiveFailures, FailedChecks, FailureLimit, error_rate, p95, p95_ratio
from bench.judge.rules import Context, Rule
from bench.judge.ticks import BUCKETS, LOWEST, Arm, Sums, Tick

WEIGHTS = (0.01, 0.10, 0.50)
EMPTY = Sums(0, 0.0, 0.0, 0.0, 0.0, np.zeros(BUCKETS, dtype=np.int64))


def context(step_seconds: float = 600.0) -> Context:
    return Context(WEIGHTS, step_seconds, 60.0)


def sums(values: Iterable[float]) -> Sums:
    found = np.array(list(values))
    places = np.floor(np.log(found) / math.log(1.25)).astype(int) - LOWEST
    ln = np.log(found)
    totals = (float(each.sum()) for each in (found, found**2, ln, ln**2))
    return Sums(len(found), *totals, np.bincount(places, minlength=BUCKETS))


def arm(requests: int, errors: int, times: Iterable[float] = ()) -> Arm:
    ttft = {"read": sums(times)} if times else {}
    return Arm(requests, errors, 0, 0, 0, errors, errors, ttft, {}, EMPTY, None)


def minute(index: int, canary: Arm, stable: Arm, *, last: bool = False, weight: float = 0.01) -> Tick:
    return Tick(index, 60.0 * index, 60.0, 0, weight, last, canary, stable, 0.0)


def first(rule: Rule, minutes: Iterable[tuple[tuple[int, int], tuple[int, int]]]) -> int | None:
    """The minute, from 1 on, after which traffic goes back."""
    for index, (canary, stable) in enumerate(minutes):
        if rule.step(minute(index, arm(*canary), arm(*stable), last=index % 10 == 9)):
            return index + 1
    return None


def shares(*errors: int | None) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Minutes with so many errors of 100 canary requests, None for no requests."""
    return [((0, 0) if count is None else (100, count), (1000, 5)) for count in errors]


# ------------------------------------------------------------------------------------------ fixed limits


@pytest.mark.parametrize(
    ("errors", "back"),
    [
        ((2, 2, 2), 3),
        ((2, 2, 1, 2, 2, 2), 6),  # exactly 1 % is not above it
        ((2, 2, 0, 2, 2, 0, 2, 2), None),
        ((2, 2, None, 2), None),
    ],
)
def test_three_minutes_in_a_row(errors: tuple[int | None, ...], back: int | None) -> None:
    assert first(ConsecutiveFailures(context(), error_rate, 0.01), shares(*errors)) == back


@pytest.mark.parametrize(
    ("errors", "back"),
    [
        ((2, 2, 2), None),
        ((2, 2, 2, 2), 4),  # failed (4) > failureLimit (3)
        ((2, 0, 2, 0, 2, 0, 0, 0, 2), 9),  # in total, not in a row
        ((1, 1, 1, 1, 1, 1), None),
        ((2, 2, 2, None, None), None),
    ],
)
def test_argo_counts_all_failures(errors: tuple[int | None, ...], back: int | None) -> None:
    assert first(FailureLimit(context(), error_rate, 0.01), shares(*errors)) == back


@pytest.mark.parametrize(
    ("errors", "back"),
    [
        ((2, 2, 2, 2, 2), None),
        ((2, 2, 2, 2, 2, 0), 6),  # the count is looked at before the next check
        ((2, 0, 2, 0, 2, 0, 2, 0, 2, 0), 10),
        ((None, None, None, None, None, 0), 6),  # no values: a failed check
    ],
)
def test_flagger_never_forgets_a_failed_check(errors: tuple[int | None, ...], back: int | None) -> None:
    assert first(FailedChecks(context(), error_rate, 0.01), shares(*errors)) == back


def test_a_minute_is_all_its_ticks() -> None:
    """1.5 % over a minute of four ticks is above 1 %, whatever the single ticks are."""
    rule = ConsecutiveFailures(Context(WEIGHTS, 600.0, 15.0), error_rate, 0.01, times=1)
    errors = (0, 0, 6, 0)
    found = [
        rule.step(Tick(i, 15.0 * i, 15.0, 0, 0.01, False, arm(100, errors[i]), arm(1000, 5), 0.0)) for i in range(4)
    ]
    assert found == [False, False, False, True]


def test_rules_share_the_minutes_of_a_rollout() -> None:
    shared = Context(WEIGHTS, 600.0, 15.0)
    rules = [ConsecutiveFailures(shared, error_rate, 0.01, times=1) for _ in range(2)]
    for i in range(4):
        tick = Tick(i, 15.0 * i, 15.0, 0, 0.01, False, arm(100, 3), arm(1000, 5), 0.0)
        assert [rule.step(tick) for rule in rules] == [i == 3, i == 3]


def test_quantiles_are_interpolated_within_a_bucket() -> None:
    # 90 values in bucket 0 (1 to 1.25), 10 in bucket 3 (1.95 to 2.44): the 95th of 100 is half way through the second.
    times = [1.1] * 90 + [2.0] * 10
    at = context().minute(minute(0, arm(100, 0, times), arm(100, 0, [1.1] * 100)))
    assert at is not None
    assert thresholds.quantile(at, "canary", "ttft") == pytest.approx(1.25**3 * 1.125)
    assert p95("ttft")(at) == thresholds.quantile(at, "canary", "ttft")
    assert p95_ratio("ttft")(at) == pytest.approx(1.25**3 * 1.125 / (1 + 0.25 * 0.95))


def test_quantiles_of_nothing() -> None:
    at = context().minute(minute(0, arm(0, 0), arm(100, 0, [1.0] * 100)))
    assert at is not None
    assert p95("ttft")(at) is None
    assert p95_ratio("ttft")(at) is None
    assert not ConsecutiveFailures(context(), p95("ttft"), 0.1, times=1).look(at)


# ----------------------------------------------------------------------------------------------- Kayenta


def test_interval_of_kayentas_own_example() -> None:
    assert interval(np.array([10.0, 20.0, 30.0, 40.0]), np.array([1.0, 2.0, 3.0, 4.0]), 0.95) == pytest.approx(
        (6.0, 39.0, 22.5)
    )


def test_the_estimate_is_hodges_and_lehmanns() -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(12.0, 2.0, 25), random.normal(10.0, 2.0, 31)
    lower, upper, estimate = interval(x, y)
    assert estimate == pytest.approx(np.median(np.subtract.outer(x, y)), abs=0.02)
    assert lower < estimate < upper
    # The interval holds the shifts that a two-sided test of level 2 % does not refuse.
    for shift, refused in ((lower - 0.02, True), (lower + 0.02, False), (upper - 0.02, False), (upper + 0.02, True)):
        assert (mann_whitney_p(x - shift, y) < 0.02) is refused


def mann_whitney_p(x: np.ndarray, y: np.ndarray) -> float:
    """Two-sided p-value by the normal approximation with continuity correction, without ties."""
    n, m = len(x), len(y)
    wins = float((x[:, None] > y[None, :]).sum())
    z = (abs(wins - n * m / 2) - 0.5) / math.sqrt(n * m * (n + m + 1) / 12)
    return 2 * NormalDist().cdf(-z)


@pytest.mark.parametrize(
    ("canary", "stable", "high"),
    [
        ([1.0] * 5 + [2.0] * 5, [2.0] * 5 + [1.0] * 5, False),  # the same values
        ([3.0, 3.1, 3.2, 3.3, 3.4], [1.0, 1.1, 1.2, 1.3, 1.4], True),
        ([3.0, 3.1, 3.2, 3.3], [1.0, 1.1, 1.2, 1.3], False),  # too few for 98 %
        ([1.0, 1.1, 1.2, 1.3, 1.4], [3.0, 3.1, 3.2, 3.3, 3.4], False),  # better
        ([2.0] * 6, [1.0] * 6, True),  # degenerate: noise is added
        ([0.0] * 6, [0.0] * 6, False),
    ],
)
def test_kayenta_classifies(canary: list[float], stable: list[float], high: bool) -> None:
    assert is_high(np.array(canary), np.array(stable)) is high


def test_kayenta_wants_more_than_a_quarter_of_the_estimate() -> None:
    """Significant at 98 %, but the interval's lower end is below a quarter of the estimate."""
    random = np.random.default_rng(1)
    stable = random.normal(10.0, 1.0, 30)
    wide = stable + 0.55
    lower, _, estimate = interval(wide, stable)
    assert 0 < lower < 0.25 * estimate
    assert not is_high(wide, stable)
    assert is_high(stable + 2.0, stable)


def test_kayenta_looks_each_minute_or_at_the_end_of_a_step() -> None:
    minutes = [((100, 20 + i % 3), (1000, 5 + i % 2)) for i in range(20)]
    assert first(Kayenta(context(), error_percent, each_minute=True), minutes) == 5
    assert first(Kayenta(context(), error_percent, each_minute=False), minutes) == 10


def test_kayenta_takes_missing_values_as_zero() -> None:
    minutes = [((0, 0), (1000, 500 + i)) for i in range(12)]
    assert first(Kayenta(context(), error_percent, each_minute=True), minutes) is None


# ------------------------------------------------------------------------------------ tests on counts


def test_the_z_test_is_the_usual_one_on_pooled_counts() -> None:
    # 4 of 200 against 10 of 2000: z = 2.53; 2 of 100 against 5 of 1000: z = 1.79; 1 of 100: z = 0.64
    assert first(RepeatedZTest(context()), [((100, 2), (1000, 5))]) == 1
    assert first(RepeatedZTest(context(), alpha=0.03), [((100, 2), (1000, 5))] * 2) == 2
    assert first(RepeatedZTest(context()), [((100, 1), (1000, 5))]) is None
    assert first(RepeatedZTest(context()), [((100, 0), (1000, 50))]) is None
    assert first(RepeatedZTest(context()), [((0, 0), (1000, 50)), ((10, 0), (10, 0))]) is None


def test_the_mixture_sprt_is_johari_and_others_formula() -> None:
    canary, stable, tau = (500, 15), (5000, 25), 0.01
    p, q = 15 / 500, 25 / 5000
    variance = p * (1 - p) / 500 + q * (1 - q) / 5000
    z = NormalDist(0, math.sqrt(variance))
    mixed = NormalDist(0, math.sqrt(variance + tau**2))
    ratio = mixed.pdf(p - q) / z.pdf(p - q)  # the mixture over N(0, tau) of shifted normal densities
    assert first(MixtureSprt(context(), alpha=1.001 / ratio), [(canary, stable)]) == 1
    assert first(MixtureSprt(context(), alpha=0.999 / ratio), [(canary, stable)]) is None
    assert first(MixtureSprt(context(), alpha=0.9), [((500, 0), (5000, 2500))]) is None


def test_confidence_sequences_are_those_of_the_paper() -> None:
    # -2 ln 0.05 = 5.991465, ln 6.991465 = 1.944690, together 7.936155 for 5,000 units.
    assert confidence.tuned(0.05, 5000) * 5000 == pytest.approx(7.936155, abs=1e-6)
    # 2 * 8.936155 / (5000 * 7.936155) * ln(2.989340 / 0.05) = 4.504023e-4 * 4.090784
    assert confidence.two_sided(1.0, 5000) == pytest.approx(0.0429243, abs=1e-7)
    # 4.605170 + ln 5.605170 = 6.328859; 2 * 7.328859 / (5000 * 6.328859) * ln(1 + 2.707186 / 0.1)
    assert confidence.one_sided(1.0, 5000) == pytest.approx(0.0393023, abs=1e-7)
    ratios = [confidence.two_sided(1.0, units) * math.sqrt(units) for units in (500, 5000, 50000)]
    assert ratios[1] == min(ratios)


@pytest.mark.parametrize(
    ("rule", "needed", "below"),
    [
        # With 50 of 200 bad against 150 of 3,000 the difference is 0.2 and the deviation of a unit
        # sqrt(3200 * (0.25 * 0.75 / 200 + 0.05 * 0.95 / 3000)) = 1.7466158.
        (SafeRollout, 0.2, 1.7466158 * 0.0495921),
        (GuardedRollout, 0.2, 1.7466158 * 0.0540003),
    ],
)
def test_a_platform_goes_back_when_its_interval_excludes_zero(
    rule: type[SafeRollout | GuardedRollout], needed: float, below: float
) -> None:
    width = confidence.one_sided if rule is SafeRollout else confidence.two_sided
    deviation = math.sqrt(3200 * (0.25 * 0.75 / 200 + 0.05 * 0.95 / 3000))
    assert deviation == pytest.approx(1.7466158, abs=1e-6)
    assert width(deviation, 3200) == pytest.approx(below, rel=1e-5)
    assert needed > below
    assert first(rule(context()), [((200, 50), (3000, 150))]) == 1
    assert first(rule(context()), [((200, 18), (3000, 150))]) is None


def test_platforms_wait_for_their_minimum() -> None:
    assert first(SafeRollout(context()), [((400, 149), (3000, 0))]) is None
    assert first(SafeRollout(context()), [((400, 150), (3000, 0))]) == 1
    assert first(GuardedRollout(context()), [((99, 99), (3000, 0)), ((1, 1), (3000, 0))]) == 2


def test_pooled_tests_are_misled_by_a_shared_incident() -> None:
    """1 % of the canary's requests and 0.1 % of stable's come in the incident: the same rates, minute by minute."""
    calm, incident = ((100, 1), (9900, 99)), ((5000, 1500), (5000, 1500))
    minutes = [calm] * 10 + [incident] * 3
    assert first(MixtureSprt(context()), minutes) == 11
    assert first(RepeatedZTest(context()), minutes) == 11
    assert first(GroupSequential(context()), minutes) is None


def test_spending_is_obrien_flemings() -> None:
    assert spent(1.0, 0.05) == pytest.approx(0.05)
    assert spent(0.5, 0.05) == pytest.approx(2 * (1 - NormalDist().cdf(NormalDist().inv_cdf(0.975) / math.sqrt(0.5))))


def test_boundaries_of_five_looks_are_the_published_ones() -> None:
    """Lan-DeMets spending like O'Brien-Fleming, one-sided 2.5 %, as in textbooks and common software."""
    found = boundaries((0.2, 0.4, 0.6, 0.8, 1.0), 0.025)
    assert found == pytest.approx((4.877, 3.357, 2.680, 2.290, 2.031), abs=0.002)


def test_boundaries_spend_what_they_may() -> None:
    fractions = sequential._fractions(WEIGHTS, 10)
    assert len(fractions) == 30
    assert fractions[9] == pytest.approx(0.028, abs=0.001)
    bounds = np.array(boundaries(fractions, 0.05))
    assert bounds[0] == 8.0
    random = np.random.default_rng(7)
    steps = np.sqrt(np.diff(fractions, prepend=0.0))
    paths = np.cumsum(random.standard_normal((40_000, 30)) * steps, axis=1) / np.sqrt(fractions)
    assert (paths > bounds).any(axis=1).mean() == pytest.approx(0.05, abs=0.005)


def test_the_group_sequential_score_is_cochran_mantel_haenszels() -> None:
    rule = GroupSequential(context())
    first(rule, [((100, 3), (900, 7)), ((50, 1), (950, 19))])
    score = 3 - 10 * 0.1 + 1 - 20 * 0.05
    variance = 10 * 990 * 100 * 900 / (1000**2 * 999) + 20 * 980 * 50 * 950 / (1000**2 * 999)
    assert (rule._score, rule._variance) == pytest.approx((score, variance))


# -------------------------------------------------------------------------------------------------- all


@pytest.mark.parametrize(("family", "name"), [(family, name) for family in RIVALS for name in RIVALS[family]])
def test_no_rival_minds_two_arms_that_are_alike(family: str, name: str) -> None:
    rule = RIVALS[family][name](context())
    times = np.exp(np.random.default_rng(2).normal(-4.5, 0.1, 200)).tolist()
    for index in range(30):
        like = Arm(1000, 5, 0, 0, 0, 5, 5, {"read": sums(times)}, {"read": sums(times)}, EMPTY, None)
        assert not rule.step(minute(index, like, like, last=index % 10 == 9))
    assert TITLES[name]


@pytest.mark.parametrize(("family", "name"), [(family, name) for family in RIVALS for name in RIVALS[family]])
def test_every_rival_sees_the_worst_canary(family: str, name: str) -> None:
    rule = RIVALS[family][name](context())
    random = np.random.default_rng(2)
    for index in range(30):
        slow, fast = (np.exp(random.normal(mean, 0.3, 200)).tolist() for mean in (2.0, -4.0))
        canary = Arm(1000, 900 + index, 0, 0, 0, 9, 9, {"read": sums(slow)}, {"read": sums(slow)}, EMPTY, None)
        stable = Arm(1000, 5 + index % 3, 0, 0, 0, 5, 5, {"read": sums(fast)}, {"read": sums(fast)}, EMPTY, None)
        if rule.step(minute(index, canary, stable, last=index % 10 == 9)):
            return
    pytest.fail(f"{name} has not rolled back")
