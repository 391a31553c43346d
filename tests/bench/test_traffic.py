"""The simulated traffic has the rates, times and costs that it claims."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from bench.judge import traffic
from bench.judge.scenarios import POLICY, SCENARIOS, Scenario, find
from bench.judge.ticks import Arm, Tick
from bench.judge.traffic import Rollout

from claude_operator.gateway.conversations import Conversations

BY_NAME = {one.name: one for one in (*SCENARIOS, *POLICY)}


def rollouts(scenario: Scenario | str, count: int = 3) -> list[Tick]:
    """Ticks of 15 s, whatever the scenario's are."""
    scenario = BY_NAME[scenario] if isinstance(scenario, str) else scenario
    drawn = [Rollout(scenario, seed=5, number=number, tick_seconds=15.0) for number in range(count)]
    return [tick for rollout in drawn for tick in rollout.fixed()]


def total(ticks: list[Tick], arm: str, what: Callable[[Arm], float]) -> float:
    return sum(what(getattr(tick, arm)) for tick in ticks)


def share(ticks: list[Tick], arm: str, what: Callable[[Arm], float]) -> float:
    return total(ticks, arm, what) / total(ticks, arm, lambda one: one.requests)


def within(found: float, expected: float, spread: float) -> bool:
    """Five standard deviations: a test with a fixed seed that fails has found something."""
    return abs(found - expected) < 5 * spread


def test_ticks_follow_each_other_and_steps_end() -> None:
    ticks = rollouts("null", 1)
    assert [tick.start for tick in ticks] == [15.0 * index for index in range(120)]
    assert [tick.index for tick in ticks if tick.last_of_step] == [39, 79, 119]
    assert [ticks[index].weight for index in (0, 39, 40, 80)] == [0.01, 0.01, 0.10, 0.50]
    assert [ticks[index].step for index in (39, 40, 119)] == [0, 1, 2]


def test_requests_are_split_by_weight() -> None:
    ticks = rollouts("null")
    for weight in (0.01, 0.10, 0.50):
        here = [tick for tick in ticks if tick.weight == weight]
        for arm, part in (("canary", weight), ("stable", 1 - weight)):
            expected = 3 * 600 * 50 * part
            assert within(total(here, arm, lambda one: one.requests), expected, math.sqrt(expected))


@pytest.mark.parametrize(
    ("what", "expected"),
    [("errors", 0.005), ("bad_conversations", 0.005), ("overloads", 0.001), ("refusals", 0.003), ("max_tokens", 0.01)],
)
def test_both_arms_have_the_rates_of_the_null(what: str, expected: float) -> None:
    ticks = rollouts("null")
    for arm in ("canary", "stable"):
        requests = total(ticks, arm, lambda one: one.requests)
        assert within(share(ticks, arm, lambda one: getattr(one, what)), expected, math.sqrt(expected / requests))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("errors+0.25", 0.0075), ("errors+2", 0.025), ("errors+20", 0.205), ("broken", 1.0), ("quiet-errors+2", 0.025)],
)
def test_the_canary_alone_has_the_excess(name: str, expected: float) -> None:
    ticks = rollouts(name)
    requests = total(ticks, "canary", lambda one: one.requests)
    spread = math.sqrt(expected * (1 - expected) / requests) + 1e-9
    assert within(share(ticks, "canary", lambda one: one.errors), expected, spread)
    assert share(ticks, "stable", lambda one: one.errors) == pytest.approx(0.005, abs=0.001)
    assert sum(tick.excess for tick in ticks) == pytest.approx((expected - 0.005) * requests)


def test_everything_counted_fits_together() -> None:
    for tick in rollouts("cold-cache", 1)[::10]:
        for arm in (tick.canary, tick.stable):
            assert arm.ok == arm.requests - arm.errors - arm.overloads
            for strata in (arm.ttft, arm.cost):
                assert sum(sums.count for sums in strata.values()) == arm.ok
            for sums in (*arm.ttft.values(), *arm.cost.values()):
                assert sums.count == sums.histogram.sum() == sum(sums.buckets.values())
                assert sums.ln_sum**2 <= sums.count * sums.ln_sum_sq * (1 + 1e-9)
                lowest, highest = (1.25**edge for edge in (min(sums.buckets), max(sums.buckets) + 1))
                assert lowest * sums.count <= sums.sum <= highest * sums.count
            assert arm.normalized_cost.count == arm.ok


def quantile95(ticks: list[Tick], arm: str) -> float:
    found = sum(sums.histogram for tick in ticks for sums in getattr(tick, arm).ttft.values())
    place = int(np.cumsum(found).searchsorted(0.95 * found.sum()))
    return 1.25 ** (place - 70)


def test_time_to_first_token_has_its_95th_percentile() -> None:
    # The bucket around 2.15 s begins at 1.91 s.
    assert quantile95(rollouts("null", 1), "stable") == pytest.approx(1.25**3)


def mean_ln(ticks: list[Tick], arm: str, quantity: str) -> float:
    found = [sums for tick in ticks for sums in getattr(getattr(tick, arm), quantity).values()]
    return sum(sums.ln_sum for sums in found) / sum(sums.count for sums in found)


@pytest.mark.parametrize(
    ("name", "quantity", "factor"),
    [("null", "ttft", 1.0), ("ttft-1.3", "ttft", 1.3), ("ttft-2", "ttft", 2.0), ("cost-2", "cost", 2.0)],
)
def test_the_canary_is_slower_or_dearer_by_the_factor(name: str, quantity: str, factor: float) -> None:
    ticks = rollouts(name, 1)
    found = mean_ln(ticks, "canary", quantity) - mean_ln(ticks, "stable", quantity)
    assert within(found, math.log(factor), 1.6 / math.sqrt(total(ticks, "canary", lambda one: one.ok)))


def test_a_slow_tail_is_one_request_in_twenty() -> None:
    ticks = rollouts("slow-tail", 1)
    late = sum(
        count
        for tick in ticks
        for sums in tick.canary.ttft.values()
        for place, count in sums.buckets.items()
        if place > 9
    )
    ok = total(ticks, "canary", lambda one: one.ok)
    assert within(late / ok, 0.05, math.sqrt(0.05 / ok))


def test_an_incident_strikes_both_arms_for_three_minutes() -> None:
    ticks = rollouts("incident", 1)
    struck = [tick for tick in ticks if tick.stable.errors > 0.2 * tick.stable.requests]
    assert len(struck) == 12
    assert struck[-1].index - struck[0].index == 11
    assert share(struck, "canary", lambda one: one.errors) == pytest.approx(0.305, abs=0.15)


def test_a_drift_ends_where_it_says() -> None:
    ticks = rollouts("drift")
    for arm in ("canary", "stable"):
        assert share([tick for tick in ticks if tick.step == 2], arm, lambda one: one.errors) == pytest.approx(
            0.017, abs=0.002
        )
    first, last = ([tick for tick in ticks if tick.index % 120 == index] for index in (0, 119))
    assert mean_ln(last, "stable", "ttft") - mean_ln(first, "stable", "ttft") == pytest.approx(math.log(1.5), abs=0.1)


def test_a_shared_slowdown_strikes_both_arms_at_once() -> None:
    ticks = rollouts("slowdown", 1)
    assert mean_ln(ticks[-20:], "stable", "ttft") - mean_ln(ticks[:20], "stable", "ttft") == pytest.approx(
        math.log(2), abs=0.05
    )
    assert mean_ln(ticks[-20:], "canary", "ttft") == pytest.approx(mean_ln(ticks[-20:], "stable", "ttft"), abs=0.05)


@pytest.mark.parametrize(("pods", "reached"), [(1, 1.0), (2, 1.67), (10, 3.57)])
def test_bursts_keep_the_error_rate_and_count_a_conversation_once(pods: int, reached: float) -> None:
    """`reached`: expected number of distinct pods that a geometric number of failures of mean 5 reaches.

    One conversation in eleven fails for more than a minute, and counts again.
    """
    scenario = replace(BY_NAME["bursty-2"], pods=pods)
    ticks = rollouts(scenario, 12)
    assert share(ticks, "stable", lambda one: one.errors) == pytest.approx(0.005, rel=0.15)
    bursts = total(ticks, "stable", lambda one: one.errors) / 5
    assert total(ticks, "stable", lambda one: one.bad_conversations) / bursts == pytest.approx(1.09, rel=0.06)
    by_pod = total(ticks, "stable", lambda one: one.bad_conversations_by_pod) / bursts
    assert 0.97 * reached < by_pod < 1.12 * reached


@pytest.mark.parametrize("pods", [1, 3])
def test_conversations_count_anew_as_the_gateways_have_it(pods: int) -> None:
    random = np.random.default_rng(4)
    group = random.integers(0, 12 * pods, 2000)
    elapsed = random.exponential(400.0, 2000)
    conversations = [Conversations() for _ in range(pods)]
    expected = []
    for place in np.argsort(elapsed).tolist():
        pod, number = divmod(int(group[place]), 12)
        where = (f"{number}", "app-canary", "other")
        conversations[pod].is_first(*where)
        if conversations[pod].counts_as_bad("error", *where, float(elapsed[place])):
            expected.append(place)
    assert sorted(traffic._anew(group, elapsed).tolist()) == sorted(expected)
    assert len(expected) > 2 * 12 * pods
    assert traffic._anew(np.empty(0, dtype=np.int64), np.empty(0)).size == 0


def test_bursts_are_overdispersed() -> None:
    errors = np.array([tick.stable.errors for tick in rollouts("bursty-2") if tick.step == 0])
    assert errors.var() > 2 * errors.mean()


def test_units_are_wholly_on_one_arm_and_stay_on_the_canary() -> None:
    rollout = Rollout(BY_NAME["units"], seed=5, number=0)
    ticks = list(rollout.fixed())
    assert rollout.pre_period is not None
    before: set[int] = set()
    for tick in ticks[::40]:
        assert tick.canary.units is not None
        assert tick.stable.units is not None
        ids = set(tick.canary.units.ids.tolist())
        assert before <= ids == set(np.flatnonzero(rollout.pre_period.on_canary(tick.weight)).tolist())
        assert ids | set(tick.stable.units.ids.tolist()) == set(range(200))
        assert not ids & set(tick.stable.units.ids.tolist())
        assert tick.canary.units.requests.sum() == tick.canary.requests
        assert tick.stable.units.errors.sum() == tick.stable.errors
        before = ids
    assert 60 < len(before) < 140


def test_the_hour_before_tells_of_each_unit() -> None:
    rollout = Rollout(BY_NAME["units"], seed=5, number=1)
    ticks = list(rollout.fixed())
    before = rollout.pre_period
    assert before is not None
    assert before.requests.sum() == pytest.approx(50 * 3600, rel=0.02)
    rates = before.errors / before.requests
    assert rates.std() / rates.mean() == pytest.approx(2.0, rel=0.4)
    during = np.zeros((200, 2))
    for tick in ticks:
        for units in (tick.canary.units, tick.stable.units):
            assert units is not None
            during[units.ids] += np.stack([units.requests, units.errors], axis=1)
    assert np.corrcoef(rates, during[:, 1] / during[:, 0])[0, 1] > 0.9
    means = before.ttft_ln_sum / before.ttft_count
    assert means.std() == pytest.approx(0.3, rel=0.2)
    spread = before.ttft_ln_sum_sq / before.ttft_count - means**2
    assert spread.mean() == pytest.approx(0.36, rel=0.05)
    # The canary's units are as much slower during the rollout as they were in the hour before.
    canary = before.on_canary(0.5)
    expected = before.ttft_ln_sum[canary].sum() / before.ttft_count[canary].sum()
    expected -= before.ttft_ln_sum[~canary].sum() / before.ttft_count[~canary].sum()
    last = [tick for tick in ticks if tick.step == 2]
    assert mean_ln(last, "canary", "ttft") - mean_ln(last, "stable", "ttft") == pytest.approx(expected, abs=0.03)


def test_only_the_cold_cache_is_about_the_prompt_cache() -> None:
    for one in SCENARIOS:
        caches = {"read", "write"} if "cold-cache" in one.name else {"none"}
        tick = next(iter(Rollout(one, seed=5, number=0).fixed()))
        assert set(tick.stable.ttft) == set(tick.stable.cost) == caches, one.name
        if caches == {"none"}:
            assert tick.stable.normalized_cost.ln_sum == tick.stable.cost["none"].ln_sum


def hits(ticks: list[Tick], arm: str) -> float:
    read = total(ticks, arm, lambda one: one.ttft["read"].count if "read" in one.ttft else 0)
    return read / total(ticks, arm, lambda one: one.ok)


def test_a_cold_cache_warms_up_to_what_the_traffic_keeps_warm() -> None:
    ticks = rollouts("cold-cache")
    at = {index: [tick for tick in ticks if tick.index % 120 in range(index, index + 8)] for index in (0, 30, 70, 110)}
    assert hits(at[0], "canary") < 0.08
    # 1000 prefixes share 0.5 requests/s for 300 s: 1 - exp(-0.15)
    assert hits(at[30], "canary") == pytest.approx(0.97 * 0.139, abs=0.06)
    assert hits(at[70], "canary") == pytest.approx(0.97 * 0.777, abs=0.04)
    assert hits(at[110], "canary") == pytest.approx(0.97, abs=0.02)
    assert hits(ticks, "stable") == pytest.approx(0.97, abs=0.005)


def test_a_cold_cache_makes_answers_dear_and_slow_but_not_at_the_same_hit_ratio() -> None:
    ticks = [tick for tick in rollouts("cold-cache") if tick.step == 0]

    def ratio(what: Callable[[Arm], float]) -> float:
        means = [total(ticks, arm, what) / total(ticks, arm, lambda one: one.ok) for arm in ("canary", "stable")]
        return math.exp(means[0] - means[1])

    assert ratio(lambda one: sum(sums.ln_sum for sums in one.cost.values())) == pytest.approx(3.3, rel=0.2)
    assert ratio(lambda one: sum(sums.ln_sum for sums in one.ttft.values())) == pytest.approx(1.87, rel=0.1)
    assert ratio(lambda one: one.normalized_cost.ln_sum) == pytest.approx(1.0, abs=0.25)


def test_normalized_cost_is_the_mean_cost_where_the_cache_is_warm() -> None:
    ticks = rollouts("cold-cache")
    raw = total(ticks, "stable", lambda one: sum(sums.sum for sums in one.cost.values()))
    assert total(ticks, "stable", lambda one: one.normalized_cost.sum) == pytest.approx(raw, rel=0.03)


def test_the_same_seed_and_number_give_the_same_traffic() -> None:
    def counted(seed: int, number: int) -> list[tuple[int, float]]:
        ticks = Rollout(BY_NAME["null"], seed=seed, number=number).fixed()
        return [(tick.stable.requests, tick.stable.normalized_cost.ln_sum) for tick in ticks]

    assert counted(1, 0) == counted(1, 0)
    assert counted(1, 0) != counted(1, 1)
    assert counted(1, 0) != counted(2, 0)


def test_a_part_is_the_traffic_of_its_step() -> None:
    rollout = Rollout(BY_NAME["adaptive+2"], seed=1, number=0, tick_seconds=15.0)
    ticks = rollout.part(1, 30, 20, np.full(30, 0.01))
    assert [(tick.index, tick.step, tick.weight) for tick in ticks] == [(30 + i, 1, 0.10) for i in range(20)]
    assert ticks[0].start == 450.0
    again = Rollout(BY_NAME["adaptive+2"], seed=1, number=0, tick_seconds=15.0).part(1, 30, 20, np.full(30, 0.01))
    assert [tick.canary.errors for tick in again] == [tick.canary.errors for tick in ticks]


def test_ticks_must_divide_a_minute() -> None:
    with pytest.raises(ValueError, match="does not divide a minute; write 5"):
        Rollout(BY_NAME["null"], seed=1, number=0, tick_seconds=25.0)
    assert len(list(Rollout(BY_NAME["null"], seed=1, number=0, tick_seconds=5.0).fixed())) == 360
    assert len(list(Rollout(BY_NAME["quiet-null"], seed=1, number=0).fixed())) == 360


def test_unknown_scenarios_are_named() -> None:
    with pytest.raises(ValueError, match=r"no scenario nul; there are: null null-1\.2"):
        find(["nul", "null"])
    assert [one.name for one in find(["drift", "null"])] == ["null", "drift"]
    assert find([]) == (*SCENARIOS, *POLICY)
    assert len({one.name for one in find([])}) == len(find([]))
