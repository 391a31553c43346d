"""The judge MannWhitney: intervals, looks, and what they say."""

from __future__ import annotations

import datetime as dt
import random

import pytest
from tests.core.judge.arms import START, analysis

from claude_operator.api.analysis import Analysis
from claude_operator.api.status import Series
from claude_operator.core.judge.judges.mann_whitney import LOOK, advanced, passed, sentence, watches, worse
from claude_operator.core.judge.judges.totals import Total

PLAN = analysis("errors", judge="MannWhitney")
Pair = tuple[Total, Total]


def run(*ticks: Pair, plan: Analysis = PLAN, every: float = 60.0, name: str = "errors") -> list[Series]:
    """Ticks of (canary, stable), the first at the start."""
    known: list[Series] = []
    for number, (ours, theirs) in enumerate(ticks):
        now = START + dt.timedelta(seconds=every * number)
        known = advanced(plan, known, {name: ours}, {name: theirs}, now=now, started_at=START)
    return known


def shares(rate: float, number: int, seed: int = 1) -> list[Total]:
    rng = random.Random(seed)
    return [(100.0, float(sum(rng.random() < rate for _ in range(100)))) for _ in range(number)]


def test_only_built_in_metrics_are_series() -> None:
    plan = analysis("errors", {"name": "cost", "threshold": {"max": 1}}, "latency", judge="MannWhitney")
    assert [metric.name for metric in watches(plan)] == ["errors", "cost"]
    assert len(watches(Analysis(judge="MannWhitney"))) == 5


def test_an_interval_is_closed_by_the_first_tick_after_it() -> None:
    ticks = [((10, 1), (90, 2)), ((5, 0), (60, 1)), ((7, 7), (50, 0))]
    (open_still,) = run(*ticks[:2], every=30.0)
    assert (open_still.canary, open_still.open, open_still.taken) == ([], [0, 15, 1, 150, 3], 0)
    (closed,) = run(*ticks, every=30.0)
    assert (closed.canary, closed.stable, closed.taken) == ([round(1 / 15, 6)], [0.02], 1)
    assert closed.open == [1, 7, 7, 50, 0]


def test_an_interval_without_one_arm_gives_no_value() -> None:
    (series,) = run(((0, 0), (50, 1)), ((5, 0), (0, 0)), ((5, 1), (50, 1)), ((1, 1), (1, 1)))
    assert (series.canary, series.stable, series.taken) == ([0.2], [0.02], 1)


def test_silence_leaves_no_value_behind() -> None:
    """Nobody asked for an hour: the interval before it is closed once."""
    known = run(((10, 1), (90, 2)))
    later = START + dt.timedelta(hours=1)
    (series,) = advanced(PLAN, known, {}, {}, now=later, started_at=START)
    assert (series.taken, series.open) == (1, [60, 0, 0, 0, 0])


def test_a_clock_that_goes_back_loses_nothing() -> None:
    known = run(((10, 1), (90, 2)), ((10, 1), (90, 2)))
    earlier = START - dt.timedelta(minutes=5)
    (series,) = advanced(PLAN, known, {"errors": (3, 0)}, {}, now=earlier, started_at=START)
    assert (series.taken, series.open) == (1, [1, 13, 1, 90, 2])


def test_the_metrics_own_interval_counts() -> None:
    plan = analysis({"name": "errors", "interval": "10s"}, judge="MannWhitney")
    (series,) = run(*[((10, 1), (90, 2))] * 4, plan=plan, every=10.0)
    assert series.taken == 3


@pytest.mark.parametrize(("rate", "classification"), [(0.30, "High"), (0.05, "Pass")])
def test_it_looks_after_every_tenth_interval(rate: float, classification: str) -> None:
    pairs = list(zip(shares(rate, LOOK + 1), shares(0.05, LOOK + 1, seed=2), strict=True))
    (before,) = run(*pairs[:LOOK])
    assert (before.classification, passed(PLAN, [before])) == ("", False)
    (after,) = run(*pairs)
    assert after.classification == classification
    found = worse(PLAN, [after])
    assert (found is None, passed(PLAN, [after])) == (classification == "Pass",) * 2


def test_between_two_looks_nothing_changes() -> None:
    """Harm that begins after the first look is clear from the 31st interval on, and waits for the 40th."""
    pairs = list(zip(shares(0.05, LOOK), shares(0.05, LOOK, seed=2), strict=True))
    worse_now = [((100.0, 90.0), (100.0, 5.0))] * (3 * LOOK)
    (between,) = run(*pairs, *worse_now)
    assert (between.taken, between.classification) == (4 * LOOK - 1, "Pass")
    (looked,) = run(*pairs, *worse_now, worse_now[0])
    assert (looked.taken, looked.classification) == (4 * LOOK, "High")


def test_a_dry_run_never_acts() -> None:
    plan = analysis({"name": "errors", "mode": "DryRun"}, judge="MannWhitney")
    (high,) = run(*zip(shares(0.9, LOOK + 1), shares(0.05, LOOK + 1), strict=True), plan=plan)
    assert (high.classification, worse(plan, [high]), passed(plan, [high])) == ("High", None, True)


def test_it_keeps_sixty_values() -> None:
    (series,) = run(*zip(shares(0.1, 75), shares(0.1, 75, seed=2), strict=True))
    assert (len(series.canary), len(series.stable), series.taken) == (60, 60, 74)


def test_the_sentence_is_for_people() -> None:
    assert sentence(Series(name="errors", canary=[0.25, 0.3] * 5, stable=[0.04, 0.06] * 5)) == (
        "errors higher than stable's by the Mann-Whitney test over 10 intervals (mean 0.275 against 0.05)"
    )
