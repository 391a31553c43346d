"""Budgets as service levels: what is refused and what to write, and what gateways count against."""

from __future__ import annotations

from typing import Any

import pytest

from claude_operator.api.budgets import Budget
from claude_operator.api.gateway import Limit
from claude_operator.core.spec.budgets import budget_problems, is_judged, limits, service_levels

FIRST = {"surface": "chat", "metric": "timeToFirstToken", "max": "1500ms"}


def budget(**fields: Any) -> Budget:
    return Budget.model_validate({"surface": "chat", "metric": "timeToFirstToken", **fields})


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"max": "1500ms"}, ""),
        ({"max": "1500ms", "percentile": 99.9, "window": "24h"}, ""),
        ({"metric": "duration", "max": "30s"}, ""),
        ({"metric": "timePerOutputToken", "max": "50ms"}, ""),
        ({"metric": "throughput", "min": "1000/h"}, ""),
        (
            {"metric": "cost", "max": "1s"},
            "budgets[0].metric: 'cost' has no budget: write timeToFirstToken, duration, timePerOutputToken or"
            " throughput",
        ),
        (
            {"max": "fast"},
            "budgets[0].max: 'fast' is not a duration: write for example 1500ms",
        ),
        ({"max": "0s"}, "budgets[0].max: '0s' is not a duration: write for example 1500ms"),
        ({}, "budgets[0].max: is missing: write the most that timeToFirstToken may be, for example max: 1500ms"),
        (
            {"metric": "timePerOutputToken"},
            "budgets[0].max: is missing: write the most that timePerOutputToken may be, for example max: 50ms",
        ),
        (
            {"max": "1s", "min": "1s"},
            "budgets[0].min: only throughput has a least value: remove min, and write for example max: 1500ms",
        ),
        (
            {"metric": "throughput", "max": "1s"},
            "budgets[0].max: throughput has a least value: remove max, and write for example min: 1000/h",
        ),
        (
            {"metric": "throughput"},
            "budgets[0].min: is missing: write the least throughput, for example min: 1000/h",
        ),
        ({"metric": "throughput", "min": "1000"}, "budgets[0].min: '1000' is not a rate: write for example 1000/h"),
        ({"metric": "throughput", "min": "0/h"}, "budgets[0].min: '0/h' is not a rate: write for example 1000/h"),
        (
            {"max": "1s", "window": "soon"},
            "budgets[0].window: 'soon' is not a duration: write for example 1h",
        ),
        (
            {"max": "1s", "window": "1m"},
            "budgets[0].window: 1m is not between 5m and 168h: write for example 1h",
        ),
        (
            {"max": "1s", "window": "720h"},
            "budgets[0].window: 720h is not between 5m and 168h: write for example 1h",
        ),
    ],
)
def test_what_is_refused_says_what_to_write(fields: dict[str, Any], says: str) -> None:
    assert list(budget_problems([budget(**fields)])) == ([says] if says else [])


def test_two_budgets_of_one_percentile_contradict_each_other() -> None:
    said = list(budget_problems([budget(max="1s"), budget(max="2s", percentile=95), budget(max="9s", percentile=99)]))
    assert said == [
        "budgets[1]: timeToFirstToken of surface chat has two budgets at percentile 95: remove one, or give it another"
        " percentile"
    ]


def test_gateways_count_each_limit_once() -> None:
    found = limits(
        [
            budget(max="1500ms"),
            budget(max="1.5s", percentile=50),
            budget(metric="duration", max="30s"),
            budget(surface="jobs", metric="throughput", min="1000/h"),
            budget(surface="jobs", max="never"),
        ]
    )
    assert found == [Limit("chat", "timeToFirstToken", 1.5), Limit("chat", "duration", 30.0)]


def test_a_service_level_has_defaults() -> None:
    (found,) = service_levels([budget(max="1500ms")])
    assert (found.percentile, found.window, found.bound) == (95.0, "1h", 1.5)
    (found,) = service_levels([budget(metric="throughput", min="1000/h")])
    assert found.bound == pytest.approx(1000 / 3600)


@pytest.mark.parametrize(("percentile", "calls"), [(50, 20), (95, 20), (99, 100), (99.9, 1000), (97.5, 40)])
def test_few_calls_are_those_of_which_one_would_decide(percentile: float, calls: int) -> None:
    (found,) = service_levels([budget(max="1s", percentile=percentile)])
    assert found.least_calls == calls


def test_the_judge_compares_times_of_calls_alone() -> None:
    assert is_judged(budget(max="1500ms"))
    assert is_judged(budget(metric="timePerOutputToken", max="50ms"))
    assert not is_judged(budget(metric="throughput", min="1/s"))
    assert not is_judged(budget(max="soon"))
