"""Which judge is one hop away: what every judge notes, what only one does, and who knows their names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from tests.core.judge.arms import analysis, counts, judge, tick

from claude_operator.api.analysis import Analysis
from claude_operator.core.judge.judges.dispatch import judge_of
from claude_operator.core.judge.judges.protocol import watches_of

JUDGES = get_args(Analysis.model_fields["judge"].annotation)
LIMIT = {"name": "errors", "threshold": {"max": 0.5}}
SOURCES = Path(__file__).parents[4] / "operator/claude_operator"
OBSERVED = (
    "last_tick",
    "last_traffic",
    "seen_since",
    "last_answer",
    "recent",
    "incident",
    "requests",
    "weight",
    "offsets",
    "sample_ratio",
)


@pytest.mark.parametrize("name", JUDGES)
def test_every_name_of_the_api_has_its_judge(name: str) -> None:
    assert type(judge_of(Analysis(judge=name))).__name__ == f"{name}Judge"


@pytest.mark.parametrize("name", JUDGES)
def test_what_is_observed_is_the_same_under_every_judge(name: str) -> None:
    ticks = [tick(counts(18, 2), counts(180)), tick(counts(20), counts(150, 30))]
    seen = judge(*ticks, plan=analysis(LIMIT, judge=name))
    usual = judge(*ticks, plan=analysis(LIMIT))
    assert {field: getattr(seen, field) for field in OBSERVED} == {field: getattr(usual, field) for field in OBSERVED}
    assert seen.recent.canary.answered > 0.0
    assert seen.requests == 40


def test_only_sequential_weighs_evidence_and_only_threshold_compares_nothing() -> None:
    harmful = [tick(counts(10, 4), counts(180))] * 2
    found = {name: judge(*harmful, plan=analysis(LIMIT, judge=name)) for name in JUDGES}
    assert found["Sequential"].evidence > 1.0
    assert (found["MannWhitney"].evidence, found["Threshold"].evidence) == (1.0, 1.0)
    assert [bool(found[name].state) for name in ("Sequential", "MannWhitney", "Threshold")] == [True, True, False]
    assert [bool(found[name].series) for name in ("Sequential", "MannWhitney", "Threshold")] == [False, True, False]
    assert found["Threshold"].open == []
    assert watches_of(judge_of(Analysis(judge="Threshold")), Analysis(judge="Threshold")) == ()


@pytest.mark.parametrize(
    ("names", "known_to"),
    [
        (JUDGES, {"api/analysis.py", "core/judge/judges/dispatch.py"}),
        (("latencyBudget", "toolUse"), {"api/analysis.py", "core/judge/metrics.py"}),
    ],
)
def test_nothing_else_asks_for_a_name(names: tuple[str, ...], known_to: set[str]) -> None:
    """What is special to a judge is its class, what is special to a metric a field of its row."""
    quoted = re.compile("|".join(f"(?<![{{\\w])[\"']{name}[\"']" for name in names))
    found = {str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.py") if quoted.search(path.read_text("utf-8"))}
    assert found <= known_to
