"""Rules and dashboards name series, labels and reasons that exist, and leave none out without a reason."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.monitoring.live import own_labels, shown
from tests.monitoring.promql import labels_of_legend, named
from tests.monitoring.promtool import recorded, rules

from claude_operator.api.conditions import Reason, Type
from claude_operator.api.gateway import Role

ROOT = Path(__file__).parents[2]
LABELS_OF_RULES = {"alertname", "severity"}
ON_NO_DASHBOARD = {
    "claude_grader_conversations_total": "as the next two: of use where live grading itself is examined",
    "claude_grader_kept_samples": "",
    "claude_grader_repeated_total": "",
    "claude_grader_reports_total": "what became of verdicts: examined in the grader's log",
    "claude_grader_silent_pods_total": "the operator counts the same for itself",
    "claude_grader_grades_total": "gateways count the verdicts that count: claude_gateway_grades_total",
}


@pytest.fixture(scope="module")
def hack() -> ModuleType:
    """hack/dashboards.py, which is in no package."""
    sys.path.insert(0, str(ROOT / "hack"))
    try:
        return importlib.import_module("dashboards")
    finally:
        sys.path.remove(str(ROOT / "hack"))


def queries(hack: ModuleType) -> Iterator[tuple[str, str, str]]:
    """(where, expression, legend) of each panel."""
    for dashboard in hack.DASHBOARDS:
        for panel in dashboard.panels:
            for expr, legend in getattr(panel, "queries", ()):
                yield f"{dashboard.slug}: {panel.title}", expr, legend


def known() -> dict[str, set[str]]:
    """What Prometheus has: live series and recorded ones, these with the labels that they are grouped by."""
    return shown() | {name: named(expr).grouped for name, expr in recorded().items()}


def test_the_dashboards_are_those_of_the_generator(hack: ModuleType) -> None:
    assert hack.files() == {path.name: path.read_text() for path in hack.FOLDER.glob("*.json")}


def test_queries_name_what_exists(hack: ModuleType) -> None:
    series, wrong = known(), []
    for where, expr, legend in [*queries(hack), *((rule.get("alert", ""), rule["expr"], "") for rule in rules())]:
        found = named(expr)
        assert found.metrics, where
        all_labels: set[str] = set()
        for metric, labels in found.metrics.items():
            if metric not in series:
                wrong.append(f"{where}: nothing shows {metric}")
            else:
                wrong += [f"{where}: {metric} has no label {label}" for label in labels - series[metric]]
                all_labels |= series[metric]
        wrong += [f"{where}: no series here has the label {label}" for label in found.grouped - all_labels]
        left = found.grouped if " by (" in expr else all_labels
        wrong += [f"{where}: the legend shows {label}" for label in labels_of_legend(legend) - left]
    assert wrong == []


def test_queries_ask_for_values_that_exist(hack: ModuleType) -> None:
    """A reason that is renamed would silence an alert."""
    known_values = {
        "type": {*Type},
        "reason": {*Reason, "no_price", "priority_tier"},
        "status": {"True", "False", "Unknown"},
        "arm": set(Role.__args__),
        "outcome": {"ok", "error", "overload", "account", "refused", "canceled", "Promoted", "RolledBack"},
        "kind": {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h"},
        "window": {"day", "month", "forecast"},
        "within": {"true", "false"},
        "result": {"ok", "error", "conflict"},
        "gen_ai_token_type": {"input", "output"},
    }
    for where, expr in [
        *((where, expr) for where, expr, _ in queries(hack)),
        *((r["expr"], r["expr"]) for r in rules()),
    ]:
        for label, value in named(expr).values:
            assert value in known_values[label], f"{where}: {label} is never {value}"


def test_each_series_is_on_a_dashboard(hack: ModuleType) -> None:
    used = {metric for _, expr, _ in queries(hack) for metric in named(expr).metrics}
    used |= {metric for rule in rules() for metric in named(rule["expr"]).metrics}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in used}
    live = {re.sub(r"_(bucket|count|sum)$", "", name) for name in shown() if not name.startswith("process_")}
    assert live - families == set(ON_NO_DASHBOARD)


def test_panels_say_what_they_show(hack: ModuleType) -> None:
    for dashboard in hack.DASHBOARDS:
        titles = [(getattr(panel, "queries", None) is None, panel.title) for panel in dashboard.panels]
        assert len(titles) == len(set(titles))
        for panel in dashboard.panels:
            if hasattr(panel, "queries"):
                assert panel.about.endswith("."), panel.title


def test_the_documents_name_each_series_with_its_labels() -> None:
    documents = "".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    documented: dict[str, set[str]] = {}
    for name, labels in re.findall(r"`(claude_(?:operator|grader)_\w+)(?:\{([\w, ]*)\})?`", documents):
        documented.setdefault(name, set()).update(label.strip() for label in labels.split(",") if label)
    for name, labels in own_labels().items():
        if name.startswith(("claude_operator", "claude_grader")):
            assert documented[name] - {"namespace", "name"} == labels - {"namespace", "name"}, name
