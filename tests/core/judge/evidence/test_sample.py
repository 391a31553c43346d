"""Samples: what is new of counters, and that adding up loses nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.judge.arms import counted, counts, many, measured, sampled, values

from claude_operator.api.evidence import BAD_KINDS, Counters, Histogram
from claude_operator.core.judge.evidence.sample import (
    LN_WIDTH,
    NO_VALUES,
    NOTHING,
    Counts,
    Sample,
    Values,
    counts_since,
    values_since,
)

FEW = settings(max_examples=15)


def counters(**fields: int) -> Counters:
    """Outcomes, stop reasons, `bad_...` conversations and grades by their names."""
    outcomes = {name: fields[name] for name in ("ok", "error", "overload", "refused", "canceled") if name in fields}
    stops = {name: fields[name] for name in (*BAD_KINDS[1:], "tool_use", "end_turn") if name in fields}
    bad = {name.removeprefix("bad_"): number for name, number in fields.items() if name.startswith("bad_")}
    grades = {name: fields[name] for name in ("pass", "fail") if name in fields}
    asked = sum(outcomes.values())
    return Counters(asked, outcomes, stops, conversations=asked, bad_conversations=bad, grades=grades)


def test_what_each_counter_is() -> None:
    now = counters(
        ok=50, error=4, overload=3, refused=2, canceled=1, refusal=5, max_tokens=6, model_context_window_exceeded=7,
        tool_use=8, end_turn=24, bad_error=2, bad_refusal=3, bad_max_tokens=1, bad_model_context_window_exceeded=4,
        **{"pass": 9, "fail": 11},
    )  # fmt: skip
    plain = Counts(60, 50, 4, 3, 5, 6, 7, 8, 0, 0, 60, 2, 3, 1, 4, 20, 11)
    assert counts_since(now, Counters(), "none") == plain
    assert counts_since(now, Counters(), "read") == plain._replace(cache_reads=50)
    assert counts_since(now, Counters(), "write") == plain._replace(cache_writes=50)
    assert plain.judged == 54


def test_only_what_is_new_counts_and_a_number_that_fell_is_unchanged() -> None:
    before = counters(ok=10, error=5, refusal=2, bad_error=5)
    now = counters(ok=13, error=4, refusal=2, max_tokens=1, bad_error=6)
    assert counts_since(now, before, "none") == Counts(2, ok=3, max_tokens=1, conversations=2, bad_errors=1)
    assert counts_since(before, before, "read") == NOTHING


def test_requests_stand_in_for_conversations_where_none_are_counted() -> None:
    now = counters(ok=9, error=4, refusal=3, max_tokens=2, model_context_window_exceeded=1)
    found = counts_since(now, Counters(), "none", conversations=False)
    assert found[11:15] == (4, 3, 2, 1)
    assert counts_since(now, Counters(), "none")[11:15] == (0, 0, 0, 0)


def test_values_are_sums_and_buckets_of_what_came_since() -> None:
    before = Histogram(2, 3.0, 5.0, math.log(2.0), math.log(2.0) ** 2, {"0": 1, "3": 1})
    now = Histogram(4, 7.5, 14.25, math.log(9.0), 3.0, {"-1": 1, "0": 1, "3": 2})
    found = values_since(now, before)
    assert (found.count, found.sum, found.sum_sq, found.buckets) == (2, 4.5, 9.25, {-1: 1, 3: 1})
    assert found.ln_sum == pytest.approx(math.log(4.5))
    assert values_since(before, now) == values_since(now, now) == NO_VALUES


@pytest.mark.parametrize(("value", "bucket"), [(1.0, 0), (1.2499, 0), (1.2501, 1), (0.9999, -1), (1e19, 196)])
def test_a_bucket_is_a_power_of_one_and_a_quarter(value: float, bucket: int) -> None:
    assert Values.of([value]).buckets == {bucket: 1}
    assert math.isclose(math.exp(LN_WIDTH), 1.25)


@given(st.lists(st.floats(1e-6, 1e6), max_size=8))
@FEW
def test_values_of_numbers(numbers: list[float]) -> None:
    found, expected = Values.of(numbers), values(numbers)
    assert (found.count, found.buckets) == (expected.count, expected.buckets)
    for sum_of in ("ln_sum", "ln_sum_sq", "sum", "sum_sq"):
        assert getattr(found, sum_of) == pytest.approx(getattr(expected, sum_of), rel=1e-12, abs=1e-9)


@given(st.lists(counted(50), min_size=2, max_size=2))
@FEW
def test_counts_add_up_field_by_field(pair: list[Counts]) -> None:
    one, other = pair
    assert tuple(one.plus(other)) == tuple(a + b for a, b in zip(one, other, strict=True))
    assert one.plus(NOTHING) == one


@given(sampled(9), sampled(9), sampled(9))
@FEW
def test_samples_add_up_in_any_order(one: Sample, two: Sample, three: Sample) -> None:
    left, right = one.plus(two).plus(three), three.plus(two.plus(one))
    assert left.counts == right.counts
    assert {key: (each.count, each.buckets) for key, each in left.values.items()} == {
        key: (each.count, each.buckets) for key, each in right.values.items()
    }
    for key, each in left.values.items():
        assert sum(each.buckets.values()) == each.count
        assert each.ln_sum == pytest.approx(right.values[key].ln_sum, rel=1e-9, abs=1e-6)


@given(sampled(9), sampled(9))
@FEW
def test_adding_leaves_both_as_they_are(one: Sample, two: Sample) -> None:
    kept = Sample(one.counts, {key: Values(*vars_of(each)) for key, each in one.values.items()})
    one.plus(two)
    assert one == kept


def vars_of(each: Values) -> tuple:
    return each.count, each.ln_sum, each.ln_sum_sq, each.sum, each.sum_sq, dict(each.buckets)


def test_an_empty_sample_is_false() -> None:
    assert not Sample()
    assert Sample(counts(1))
    assert Sample(NOTHING, {("cost", "none"): values([1.0])})


@given(measured(9))
@FEW
def test_quantities_are_taken_over_cache_states(each: Values) -> None:
    sample = Sample(NOTHING, {("cost", "read"): each, ("cost", "none"): each, ("duration", "read"): many(each, 3)})
    assert sample.quantity("cost", ["read", "write", "none"]).count == 2 * each.count
    assert sample.quantity("cost", ["write"]) == NO_VALUES
    assert sample.quantity("duration", ["read", "write"]).count == 3 * each.count
