"""Shared incidents: found soon, gone soon, and never made of noise or drift."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.api.sums import IncidentSums, RecentRequests, flat
from claude_operator.core.judge.evidence.incident import explain, update

QUIET = RecentRequests()
SPREAD = 0.8  # standard deviation of ln of the time to first token


def poisson(draw: random.Random, mean: float) -> int:
    if mean > 50:
        return max(round(draw.gauss(mean, math.sqrt(mean))), 0)
    limit, number, product = math.exp(-mean), 0, draw.random()
    while product > limit:
        number, product = number + 1, product * draw.random()
    return number


def watch(
    seed: int,
    minutes: float,
    *,
    rps: float = 50.0,
    tick: float = 15.0,
    rate: Callable[[float], float] = lambda _: 0.005,
    slowdown: Callable[[float], float] = lambda _: 1.0,
) -> Iterator[tuple[float, str]]:
    """Seconds and what is said of stable, tick by tick; `rate` and `slowdown` by seconds."""
    draw, state = random.Random(seed), IncidentSums()
    for number in range(1, int(minutes * 60 / tick) + 1):
        now = number * tick
        requests = poisson(draw, rps * tick)
        mean = requests * math.log(slowdown(now)) + draw.gauss(0, SPREAD) * math.sqrt(requests)
        state = update(
            state,
            seconds=tick,
            requests=requests,
            errors=min(poisson(draw, requests * rate(now)), requests),
            times=requests,
            ln_sum=mean,
        )
        yield now, explain(state, QUIET)


def between(start: float, end: float, inside: float, outside: float) -> Callable[[float], float]:
    return lambda now: inside if start < now <= end else outside


def span(seen: Iterator[tuple[float, str]]) -> tuple[float, float, int]:
    """First and last second that something was said, and how often it began."""
    said = list(seen)
    times = [now for now, text in said if text]
    begins = sum(1 for (_, one), (_, other) in itertools.pairwise(said) if other and not one)
    return min(times), max(times), begins


@pytest.mark.parametrize(("rps", "tick"), [(50.0, 15.0), (50.0, 5.0), (5.0, 15.0), (0.5, 15.0)])
def test_noise_is_no_incident(rps: float, tick: float) -> None:
    for seed in range(8):
        assert all(not text for _, text in watch(seed, 60, rps=rps, tick=tick))


@pytest.mark.parametrize("tick", [5.0, 15.0])
def test_thirty_points_of_errors(tick: float) -> None:
    for seed in range(5):
        first, last, begins = span(watch(seed, 15, tick=tick, rate=between(300, 480, 0.305, 0.005)))
        assert 300 < first <= 315
        assert 480 <= last <= 540
        assert begins == 1


@pytest.mark.parametrize("tick", [5.0, 15.0])
def test_twice_as_slow(tick: float) -> None:
    for seed in range(5):
        first, last, begins = span(watch(seed, 15, tick=tick, slowdown=between(300, 480, 2.0, 1.0)))
        assert 300 < first <= 330
        assert 475 <= last <= 520
        assert begins == 1


def test_at_five_requests_a_second() -> None:
    for seed in range(5):
        first, last, _ = span(watch(seed, 15, rps=5, rate=between(300, 480, 0.305, 0.005)))
        assert (first <= 330, last <= 570) == (True, True)
        first, last, _ = span(watch(seed, 15, rps=5, slowdown=between(300, 600, 2.0, 1.0)))
        assert (first <= 390, last <= 660) == (True, True)


def test_an_incident_of_an_hour_lasts_an_hour() -> None:
    for kind in ({"rate": between(600, 4200, 0.305, 0.005)}, {"slowdown": between(600, 4200, 2.0, 1.0)}):
        first, last, begins = span(watch(1, 80, **kind))
        assert first <= 630
        assert 4185 <= last <= 4260
        assert begins == 1


def test_drift_is_no_incident() -> None:
    assert all(not text for _, text in watch(2, 60, rate=lambda now: 0.005 + 0.02 * now / 3600))
    assert all(not text for _, text in watch(2, 60, slowdown=lambda now: 1.0 + now / 3600))


def test_what_is_said() -> None:
    said = [text for _, text in watch(3, 8, rate=between(300, 480, 0.305, 0.005)) if text]
    assert said[-1].startswith("30 % of stable") or said[-1].startswith("31 % of stable")
    assert re.fullmatch(r"\d\d % of stable's requests fail \(0\.[4-6] % before\)", said[0])
    said = [text for _, text in watch(3, 8, slowdown=between(300, 480, 2.1, 1.0)) if text]
    assert "stable's time to first token is 2.1 times what it was" in said


@pytest.mark.parametrize("tick", [1.0, 5.0])
def test_an_outage_is_not_part_of_its_own_past(tick: float) -> None:
    """Before it there was no error at all; what a minute of it adds, at a fiftieth of the pace, is a trifle."""
    for start in (120.0, 123.0, 131.0, 300.0):
        outage = between(start, start + 60.0, 1.0, 0.0)
        said = [text for _, text in watch(3, 8, tick=tick, rate=outage) if text]
        before = [float(found[1]) for text in said if (found := re.search(r"\(([0-9.]+) % before", text))]
        assert before[0] <= 0.2, said
        assert max(before) <= 2.0, said


def test_nothing_is_said_within_the_first_minute() -> None:
    state = IncidentSums()
    for errors in (0, 0, 400):
        state = update(state, seconds=15, requests=750, errors=errors, times=0, ln_sum=0.0)
        assert explain(state, QUIET) == ""
    assert explain(IncidentSums(), QUIET) == ""
    assert update(IncidentSums(), seconds=15, requests=0, errors=0, times=0, ln_sum=0.0) == IncidentSums()


def test_silence_ends_an_incident_and_keeps_the_past() -> None:
    state = IncidentSums()
    for errors in (4, 3, 5, 4, 3, 4, 300):
        state = update(state, seconds=15, requests=750, errors=errors, times=0, ln_sum=0.0)
    assert explain(state, QUIET)
    past = state.past
    for _ in range(10):
        state = update(state, seconds=15, requests=0, errors=0, times=0, ln_sum=0.0)
    assert explain(state, QUIET) == ""
    assert state.past == past


@given(
    st.lists(
        st.tuples(st.floats(0, 1e5), st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1), st.floats(-12, 8)),
        max_size=20,
    )
)
def test_state_is_rounded_numbers(looks: list[tuple[float, int, float, float, float]]) -> None:
    state = IncidentSums()
    for seconds, requests, bad, streamed, mean in looks:
        count = int(requests * streamed)
        state = update(
            state,
            seconds=seconds,
            requests=requests,
            errors=int(requests * bad),
            times=count,
            ln_sum=count * mean,
        )
        assert "nan" not in explain(state, QUIET)
        assert all(math.isfinite(number) and number == round(number, 5) for number in flat(state))
