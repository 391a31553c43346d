"""Metrics with a threshold: when they are measured, what a measurement does, and what is refused."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.api.analysis import Analysis
from claude_operator.api.status import Judgement, Measured
from claude_operator.core.judge import metrics
from claude_operator.core.judge.assessment import unsupported
from claude_operator.core.judge.evidence.measurements import PLACEHOLDERS
from claude_operator.core.judge.judges.dispatch import judge_of
from claude_operator.core.judge.judges.metric_problems import QUANTITIES, SHARES, problem
from claude_operator.core.judge.judges.threshold import (
    Measurement,
    Outcome,
    builtin,
    due,
    measure,
    outcome,
)

SEQUENTIAL = judge_of(Analysis())
START = dt.datetime(2026, 11, 24, 10, 0, 0, 700_000, tzinfo=dt.UTC)
QUERY = 'sum(rate(complaints_total{revision="{{revision}}"}[{{ window }}]))'


def after(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def analysis(*metrics: dict[str, Any], **fields: Any) -> Analysis:
    return Analysis.model_validate({"metrics": list(metrics), **fields})


def complaints(**fields: Any) -> dict[str, Any]:
    return {"name": "complaints", "prometheus": {"query": QUERY}, "threshold": {"max": 0.05}, **fields}


def judgement(*measured: Measured) -> Judgement:
    return Judgement(verdict="Inconclusive", started_at=START, measured=list(measured))


def asked(of: Analysis, now: float, *measured: Measured, names: bool = False) -> Any:
    found = due(
        of,
        judgement(*measured),
        deployment="support",
        namespace="demo",
        stable="support-1",
        canary="support-2",
        now=after(now),
    )
    return [one.name for one in found] if names else found


class Rollout:
    """One rollout with its metrics; `values` are measured as time goes on."""

    def __init__(self, *metrics: dict[str, Any], **fields: Any) -> None:
        self.analysis = analysis(*metrics, **fields)
        self.measured: list[Measured] = []

    def tick(self, now: float, *measurements: Measurement, **ticks: tuple[float, float]) -> Outcome:
        self.measured = measure(self.analysis, self.measured, measurements, ticks, now=after(now), started_at=START)
        stored = json.dumps([one.model_dump(by_alias=True, mode="json") for one in self.measured])
        again = [Measured.model_validate(one) for one in json.loads(stored)]
        assert again == self.measured  # a restart changes nothing
        return outcome(self.analysis, self.measured)

    def answer(self, now: float, value: float | None, error: str = "", name: str = "complaints") -> Outcome:
        return self.tick(now, Measurement(name, value, error, at=after(now)))

    def __getitem__(self, name: str) -> Measured:
        return next(one for one in self.measured if one.name == name)


# ------------------------------------------------------------------------------------------------------- when


def test_the_query_is_filled_in_and_asked_for_a_whole_second() -> None:
    [query] = asked(analysis(complaints(prometheus={"query": "f({{deployment}},{{ namespace }},{{stable}})"})), 3.9)
    assert query.query == "f(support,demo,support-1)"
    [query] = asked(analysis(complaints(window="1.5m")), 3.9)
    assert (query.name, query.address) == ("complaints", None)
    assert query.query == 'sum(rate(complaints_total{revision="support-2"}[90s]))'
    assert query.at == dt.datetime(2026, 11, 24, 10, 0, 4, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("window", "promql"), [(None, "[300s]"), ("1h30m", "[5400s]"), ("1500ms", "[1500ms]"), ("0.4ms", "[1ms]")]
)
def test_a_window_is_written_as_prometheus_reads_it(window: str | None, promql: str) -> None:
    [query] = asked(analysis(complaints(window=window)), 0)
    assert promql in query.query


@pytest.mark.parametrize(
    ("measured_at", "told"),
    [(None, -1), (0, 0), (30.9, 31), (600, -1)],  # whole seconds from the start's; one of the future counts for nothing
)
def test_a_query_says_which_answers_have_been_counted(measured_at: float | None, told: float) -> None:
    last = Measured(name="complaints", measured_at=None if measured_at is None else after(measured_at))
    [query] = asked(analysis(complaints()), 120, last)
    assert query.counted == START.replace(microsecond=0) + dt.timedelta(seconds=told)


def test_an_address_of_the_metrics_own_goes_along() -> None:
    [query] = asked(analysis(complaints(prometheus={"query": "1", "address": "http://p:9090"})), 0)
    assert query.address == "http://p:9090"


def test_nothing_is_asked_before_the_judge_has_begun() -> None:
    names = {"deployment": "support", "namespace": "demo", "stable": "support-1", "canary": "support-2"}
    assert due(analysis(complaints()), None, **names, now=START) == ()
    assert due(analysis(complaints()), Judgement(verdict="Inconclusive"), **names, now=START) == ()


def test_built_in_metrics_and_those_without_a_threshold_are_not_asked_for() -> None:
    assert asked(analysis({"name": "errors", "threshold": {"max": 0.1}}, {"name": "cost"}), 100) == ()
    assert asked(Analysis(), 100) == ()


@pytest.mark.parametrize(
    ("fields", "measured_at", "phase", "now", "expected"),
    [
        ({}, None, "Pending", 0, True),
        ({"initialDelay": "2m"}, None, "Pending", 119, False),
        ({"initialDelay": "2m"}, None, "Pending", 120, True),
        ({}, 0, "Successful", 59, False),
        ({}, 0, "Successful", 60, True),
        ({}, 63, "Successful", 119, False),  # late, and the grid stays
        ({}, 63, "Successful", 120, True),
        ({}, 0, "Failed", 59, False),
        ({"interval": "5s"}, 10, "Failed", 15, True),
        ({"interval": "5s"}, 10, "Failed", 14, False),
        ({"initialDelay": "30s"}, 31, "Successful", 89, False),
        ({"initialDelay": "30s"}, 31, "Successful", 90, True),
        ({}, 0, "Error", 9, False),  # without a value it comes again sooner
        ({}, 0, "Error", 10, True),
        ({}, 0, "Inconclusive", 10, True),
        ({"interval": "3s"}, 0, "Error", 3, True),
        ({"interval": "1h"}, 90, "Successful", 60, True),  # measured in the future, by a clock that was ahead
        ({"interval": "100ms"}, 5, "Successful", 5.2, False),
        ({"interval": "0s"}, 5, "Successful", 6, True),
    ],
)
def test_a_measurement_is_due_on_a_grid_from_the_start(
    fields: dict[str, Any], measured_at: float | None, phase: Any, now: float, expected: bool
) -> None:
    last = Measured(name="complaints", phase=phase, measured_at=None if measured_at is None else after(measured_at))
    assert bool(asked(analysis(complaints(**fields)), now, last)) is expected


def test_metrics_of_one_interval_are_asked_for_the_same_moment() -> None:
    two = analysis(complaints(), complaints(name="thumbsDown"))
    assert [(one.name, one.at) for one in asked(two, 60.5)] == [
        ("complaints", dt.datetime(2026, 11, 24, 10, 1, 1, tzinfo=dt.UTC)),
        ("thumbsDown", dt.datetime(2026, 11, 24, 10, 1, 1, tzinfo=dt.UTC)),
    ]


# ------------------------------------------------------------------------------------------------- what it does


def test_failures_count_in_total_and_one_more_than_the_limit_fails() -> None:
    rollout = Rollout(complaints(failureLimit=2))
    assert rollout.answer(0, 0.12).verdict == "Inconclusive"
    assert rollout["complaints"].message == "complaints 0.12 is above 0.05 for the 1st time (2 tolerated)"
    assert rollout.answer(60, 0.01).verdict == "Pass"
    assert rollout.answer(120, 0.12).verdict == "Pass"  # tolerated
    assert rollout["complaints"].phase == "Failed"
    assert rollout.answer(180, 0.12) == Outcome(
        "Fail", "complaints", "complaints 0.12 is above 0.05 for the 3rd time (2 tolerated)"
    )
    assert rollout.answer(240, 0.01).verdict == "Fail"  # and stays so
    assert (rollout["complaints"].measurements, rollout["complaints"].failures) == (5, 3)


def test_without_a_limit_the_first_failure_fails() -> None:
    assert Rollout(complaints()).answer(0, 0.0501).verdict == "Fail"
    assert Rollout(complaints()).answer(0, 0.05).verdict == "Pass"


@pytest.mark.parametrize(
    ("threshold", "value", "said"),
    [
        ({"max": 1.0}, 1.5, "above 1 for"),
        ({"min": 0.9}, 0.8, "below 0.9 for"),
        ({"min": 0.9, "max": 1.1}, 0.8, "below 0.9 for"),
        ({"min": 0.9, "max": 1.1}, 2, "above 1.1 for"),
        ({"min": 0.9, "max": 1.1}, 1.1, ""),
        ({"min": -2.0}, -2, ""),
        ({"max": 0.0}, 1e-9, "above 0 for"),
    ],
)
def test_either_limit_may_be_broken(threshold: dict[str, float], value: float, said: str) -> None:
    found = Rollout(complaints(threshold=threshold)).answer(0, value)
    assert (found.verdict, said in found.sentence) == ("Fail" if said else "Pass", True)


def test_errors_in_a_row_hold_and_never_fail() -> None:
    rollout = Rollout(complaints())
    verdicts = [rollout.answer(10 * n, None, "cannot connect").verdict for n in range(7)]
    assert verdicts == ["Inconclusive"] * 4 + ["Error"] * 3
    assert outcome(rollout.analysis, rollout.measured).sentence == (
        "complaints could not be measured 7 times in a row (4 tolerated): cannot connect"
    )
    assert (rollout["complaints"].failures, rollout["complaints"].measurements) == (0, 0)
    assert rollout.answer(70, 0.01).verdict == "Pass"
    assert rollout["complaints"].consecutive_errors == 0
    assert rollout.answer(130, None, "cannot connect").verdict == "Pass"  # tolerated, and the last value is shown
    assert (rollout["complaints"].phase, rollout["complaints"].value) == ("Error", 0.01)


def test_a_limit_of_no_errors_is_one() -> None:
    found = Rollout(complaints(consecutiveErrorLimit=0)).answer(0, None, "bad_data: parse error")
    assert found.verdict == "Error"
    assert found.sentence == "complaints could not be measured once (0 tolerated): bad_data: parse error"


def test_a_long_error_is_cut() -> None:
    rollout = Rollout(complaints())
    rollout.answer(0, None, "x" * 5000)
    assert len(rollout["complaints"].message) == 300


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf")])
def test_no_data_holds_and_never_fails(value: float | None) -> None:
    rollout = Rollout(complaints())
    for n in range(20):
        found = rollout.answer(10 * n, value)
        assert found.verdict == "Inconclusive"
        assert "complaints has no data" in found.sentence
    assert rollout.answer(300, 0.01).verdict == "Pass"
    assert rollout.answer(360, value).verdict == "Inconclusive"  # what was once seen is not enough
    assert rollout["complaints"].value is None


def test_no_data_ends_a_row_of_errors() -> None:
    rollout = Rollout(complaints())
    for n in range(4):
        rollout.answer(n, None, "gone")
    rollout.answer(4, None)
    assert rollout.answer(5, None, "gone").verdict == "Inconclusive"


def test_nothing_passes_before_it_was_measured() -> None:
    rollout = Rollout(complaints(), complaints(name="thumbsDown"))
    assert outcome(rollout.analysis, []) == Outcome(
        "Inconclusive", "complaints", "complaints has not been measured yet"
    )
    assert rollout.answer(0, 0.01).name == "thumbsDown"
    assert rollout.answer(1, 0.01, name="thumbsDown") == Outcome("Pass")


def test_an_analysis_without_thresholds_passes() -> None:
    assert outcome(Analysis(), []) == Outcome("Pass")
    assert measure(Analysis(), [], [Measurement("errors", 1.0, at=START)], {}, now=START, started_at=START) == []


def test_the_gravest_is_heard() -> None:
    rollout = Rollout(*(complaints(name=name, consecutiveErrorLimit=0) for name in "abcd"))
    rollout.answer(0, 0.01, name="a")
    rollout.answer(0, None, name="b")
    assert outcome(rollout.analysis, rollout.measured).name == "b"
    rollout.answer(0, None, "gone", name="c")
    assert outcome(rollout.analysis, rollout.measured).name == "c"
    rollout.answer(0, 1, name="d")
    assert outcome(rollout.analysis, rollout.measured).name == "d"


def test_dry_run_reports_and_changes_nothing() -> None:
    rollout = Rollout(complaints(mode="DryRun"), complaints(name="other", mode="DryRun", consecutiveErrorLimit=0))
    assert rollout.tick(0) == Outcome("Pass")
    found = rollout.tick(
        1, Measurement("complaints", 1.0, at=after(1)), Measurement("other", None, "gone", at=after(1))
    )
    assert (found.verdict, found.name) == ("Pass", None)
    assert found.notes == (
        "complaints 1 is above 0.05 for the 1st time (0 tolerated); mode DryRun, so this changes nothing",
        "other could not be measured once (0 tolerated): gone; mode DryRun, so this changes nothing",
    )


def test_the_same_measurement_counts_once() -> None:
    rollout = Rollout(complaints(failureLimit=5))
    for _ in range(3):
        rollout.answer(60, 1.0)
    for at in (30, 60.2):  # older than the last, and of the same second
        rollout.tick(61, Measurement("complaints", 1.0, at=after(at)))
    assert rollout["complaints"].failures == 1


def test_one_of_before_the_rollout_does_not_count() -> None:
    assert Rollout(complaints()).answer(-1, 1.0).verdict == "Inconclusive"
    assert Rollout(complaints()).answer(-0.5, 1.0).verdict == "Fail"  # the same second


def test_after_a_clock_that_was_ahead_measurements_count_again() -> None:
    rollout = Rollout(complaints())
    rollout.answer(600, 0.01)
    assert rollout.answer(60, 1.0).verdict == "Fail"
    assert rollout["complaints"].measured_at == after(60).replace(microsecond=0)


def test_measurements_of_a_metric_that_is_not_there_say_nothing() -> None:
    assert Rollout(complaints()).answer(0, 1.0, name="unknown").verdict == "Inconclusive"


MEASUREMENTS = st.lists(
    st.builds(
        lambda name, value, error, at: Measurement(name, None if error else value, error, at=after(at)),
        st.sampled_from("ab"),
        st.none() | st.floats(0, 0.1) | st.just(float("nan")),
        st.sampled_from(["", "", "gone"]),
        st.integers(0, 20),
    ),
    max_size=30,
)


@given(MEASUREMENTS, st.randoms(use_true_random=False))
def test_the_order_in_which_measurements_arrive_does_not_matter(
    measurements: list[Measurement], order: random.Random
) -> None:
    of = analysis(complaints(name="a", failureLimit=1), complaints(name="b"))
    shuffled = order.sample(measurements, len(measurements)) + measurements[:3]
    results = [measure(of, [], batch, {}, now=after(20), started_at=START) for batch in (measurements, shuffled)]
    assert results[0] == results[1]
    early, late = [[one for one in measurements if (one.at > after(10)) is late] for late in (False, True)]
    first = measure(of, [], early, {}, now=after(10), started_at=START)
    assert measure(of, first, late, {}, now=after(20), started_at=START) == results[0]


@given(MEASUREMENTS)
def test_only_failures_fail_and_they_are_as_many_as_were_measured(measurements: list[Measurement]) -> None:
    of = analysis(complaints(name="a", failureLimit=2), complaints(name="b", failureLimit=2))
    measured = measure(of, [], measurements, {}, now=after(20), started_at=START)
    for one in measured:
        assert 0 <= one.failures <= one.measurements <= 21
    failed = any(one.failures > 2 for one in measured)
    assert (outcome(of, measured).verdict == "Fail") is failed


# ---------------------------------------------------------------------------------------------------- built in


def test_a_share_of_the_canarys_requests_is_measured_over_the_window() -> None:
    rollout = Rollout({"name": "errors", "threshold": {"max": 0.1}, "interval": "30s", "window": "1m"})
    assert rollout.tick(0, errors=(0, 0)).verdict == "Inconclusive"
    assert rollout["errors"].message == "errors has no data: no canary request in the last 1 min"
    assert rollout.tick(5, errors=(10, 1)).verdict == "Inconclusive"  # not due yet
    assert rollout.tick(10, errors=(10, 1)).verdict == "Pass"
    assert rollout["errors"].value == pytest.approx(0.1)
    assert rollout.tick(20, errors=(10, 10)).verdict == "Pass"  # the next is due at 30
    assert rollout.tick(30).sentence == "errors 0.4 is above 0.1 for the 1st time (0 tolerated)"


def test_what_is_older_than_the_window_is_forgotten() -> None:
    rollout = Rollout(
        {"name": "errors", "threshold": {"max": 0.1}, "interval": "10s", "window": "1m", "failureLimit": 99}
    )
    rollout.tick(0, errors=(10, 10))
    for n in range(1, 12):
        rollout.tick(10 * n, errors=(10, 0))
        if n == 3:
            assert rollout["errors"].value == pytest.approx(10 / 40)
    assert rollout["errors"].value == 0
    rollout.tick(400)
    assert (rollout["errors"].phase, rollout["errors"].series) == ("Inconclusive", [])


def test_a_mean_in_the_metrics_own_unit() -> None:
    rollout = Rollout({"name": "timeToFirstToken", "threshold": {"max": 1.5}})
    assert rollout.tick(0, timeToFirstToken=(4, 8.0)).sentence == (
        "timeToFirstToken 2 is above 1.5 for the 1st time (0 tolerated)"
    )


def test_a_window_shorter_than_a_tick_sees_the_tick() -> None:
    rollout = Rollout({"name": "errors", "threshold": {"max": 0.1}, "interval": "1s", "window": "1s"})
    assert rollout.tick(5, errors=(10, 0)).verdict == "Pass"
    assert rollout.tick(10, errors=(10, 5)).verdict == "Fail"


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 50), st.integers(0, 50)), max_size=60), st.floats(1, 600))
def test_a_window_holds_what_its_last_part_brought_and_nothing_older(
    ticks: list[tuple[float, int, int]], length: float
) -> None:
    series: list[float] = []
    value: float | None = None
    elapsed = 0.0
    seen: list[tuple[float, int, int]] = []
    for step, n, x in ticks:
        elapsed += step
        series, value = builtin(length, series, (n, x), elapsed)
        seen.append((elapsed, n, x))
    assert len(series) <= 12 * 3
    counted = sum(series[1::3])
    assert sum(n for at, n, _ in seen if at > elapsed - length * 10.99 / 12) <= counted
    assert counted <= sum(n for at, n, _ in seen if at >= elapsed - length * 1.01)
    assert value == (pytest.approx(sum(series[2::3]) / counted) if counted else None)


# ------------------------------------------------------------------------------------------------------ refused


def test_the_built_in_metrics_are_the_judges() -> None:
    of_requests = {name: one for name, one in metrics.METRICS.items() if not one.by_conversation}
    assert set(SHARES) | set(QUANTITIES) == set(of_requests)
    assert set(QUANTITIES) == {name for name, one in of_requests.items() if isinstance(one, metrics.Quantity)}


@pytest.mark.parametrize(
    "metric",
    [
        complaints(),
        complaints(
            interval="10s", window="1h30m", initialDelay="0s", failureLimit=0, consecutiveErrorLimit=0, mode="DryRun"
        ),
        complaints(prometheus={"query": "vector(1)", "address": "https://p.example.com:9090/tenant/"}),
        complaints(threshold={"min": -1, "max": 1e9}),
        {"name": "errors"},
        {"name": "errors", "weight": 3, "maxIncrease": "5%"},
        {"name": "errors", "threshold": {"max": 1}},
        {"name": "cost", "threshold": {"max": 0.5}},
        {"name": "outputTokens", "threshold": {"min": 10}},
    ],
)
def test_what_can_be_measured_is_no_problem(metric: dict[str, Any]) -> None:
    assert problem(analysis(metric).metrics[0], SEQUENTIAL) is None  # type: ignore[index]


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ({"name": "thumbs"}, "there is no metric 'thumbs': write one of errors, refusals,"),
        (
            {"name": "errors", "prometheus": {"query": "1"}, "threshold": {"max": 1}},
            "give a metric of your own another",
        ),
        ({"name": "a", "prometheus": {"query": "1"}}, "threshold of a is missing: write for example threshold: {max:"),
        (complaints(threshold={}), "write max, min or both"),
        (complaints(threshold={"min": 2, "max": 1}), "min 2 is above max 1: swap them"),
        ({"name": "errors", "threshold": {"max": 5}}, "write for example 0.05 for 5 %"),
        ({"name": "errors", "threshold": {"min": -0.1}}, "write for example 0.05 for 5 %"),
        ({"name": "duration", "threshold": {"max": -1}}, "-1 is below 0: write seconds"),
        ({"name": "errors", "failureLimit": 2}, "failureLimit of errors has no effect without a threshold: add"),
        ({"name": "errors", "interval": "1m"}, "interval of errors has no effect"),
        ({"name": "errors", "window": "1m"}, "window of errors has no effect"),
        ({"name": "errors", "initialDelay": "1m"}, "initialDelay of errors has no effect"),
        ({"name": "errors", "consecutiveErrorLimit": 0}, "consecutiveErrorLimit of errors has no effect"),
        (complaints(interval="0s"), "interval of complaints: 0s is too short: write 1s or more"),
        (complaints(window="10ms"), "window of complaints: 10ms is too short"),
        (complaints(window="99999h"), "more than a year: write 8760h or less"),
        (complaints(initialDelay="99999h"), "initialDelay of complaints: 99999h is more than a year"),
        (complaints(weight=2), "weight of complaints compares the arms, and a threshold does not: remove it"),
        (complaints(maxIncrease="5%"), "maxIncrease of complaints compares the arms"),
        (
            complaints(prometheus={"query": "a{h='{{args.hash}}'}"}),
            "{{args.hash}} is not known: write one of {{revision}}",
        ),
        (complaints(prometheus={"query": "a[{{ interval }}]"}), "{{ interval }} is not known"),
        (complaints(prometheus={"query": "a[{{}}]"}), "{{}} is not known"),
        (complaints(prometheus={"query": "1", "address": "http://"}), None),
        (complaints(prometheus={"query": "1", "address": "http://:9090"}), "has no valid host and port"),
        (complaints(prometheus={"query": "1", "address": "http://p:x"}), "has no valid host and port"),
        (complaints(prometheus={"query": "1", "address": "http://me:pw@p"}), "has a user or password: remove them"),
        (complaints(prometheus={"query": "1", "address": "http://p/?a=b"}), "has a ? or a #: remove what follows"),
    ],
)
def test_what_cannot_be_measured_is_told_with_what_to_write(metric: dict[str, Any], said: str | None) -> None:
    if said is None:
        with pytest.raises(ValueError, match="pattern"):
            analysis(metric)
        return
    found = problem(analysis(metric).metrics[0], SEQUENTIAL)  # type: ignore[index]
    assert found is not None
    assert said in found
    assert unsupported(analysis({"name": "cost"}, metric)) == f"analysis.metrics: {found}"


def test_the_judge_mann_whitney_has_a_value_an_interval() -> None:
    assert unsupported(analysis({"name": "errors", "interval": "10s"}, judge="MannWhitney")) is None
    for field, said in (("interval", "0s is too short"), ("window", "has no effect without a threshold")):
        found = unsupported(analysis({"name": "errors", field: "0s"}, judge="MannWhitney"))
        assert found is not None
        assert said in found


def test_the_example_of_the_page_can_be_measured() -> None:
    page = (Path(__file__).parents[4] / "docs/metrics-of-your-own.md").read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    found = Analysis.model_validate(yaml.safe_load(example)["strategy"]["canary"]["analysis"])
    assert unsupported(found) is None
    assert len(asked(found, 600)) == 1
    assert {f"`{name}`" for name in (*SHARES, *QUANTITIES)} <= set(re.findall(r"`\w+`", page))
    assert {f"{{{{{name}}}}}" for name in PLACEHOLDERS} <= set(re.findall(r"\{\{\w+\}\}", page))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metrics": None}, "the judge Threshold has nothing to compare: write for example [{name: errors"),
        ({"metrics": []}, "the judge Threshold has nothing to compare"),
        ({"metrics": [{"name": "errors"}]}, "threshold of errors is missing"),
        ({"metrics": [{"name": "errors", "threshold": {"max": 0.1}, "maxIncrease": "5%"}]}, "compares the arms"),
        ({"metrics": [{"name": "errors", "threshold": {"max": 0.1}}]}, ""),
    ],
)
def test_the_judge_threshold_wants_thresholds(fields: dict[str, Any], said: str) -> None:
    found = unsupported(Analysis.model_validate({"judge": "Threshold", **fields}))
    assert said in (found or "")
    assert bool(said) is (found is not None)
