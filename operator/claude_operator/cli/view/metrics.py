"""The evidence of each metric against what it takes to act on it."""

from __future__ import annotations

import math
from typing import Any

from rich.table import Table
from rich.text import Text

from claude_operator.api.status import Judgement, Measured, MetricState, Plan
from claude_operator.cli.view.paint import bar, table
from claude_operator.core.judge.effects import effect, number
from claude_operator.core.judge.judges.held import FALSE_HOLD_RATE
from claude_operator.core.judge.metrics import KINDS, Watched, watched

__all__ = ["metric_facts", "metric_table"]

Facts = dict[str, Any]


def metric_facts(judgement: Judgement, plan: Plan) -> list[Facts]:
    """One entry a metric that was compared or measured, that nearest to its threshold first."""
    watches = {one.name: one for one in watched(plan.analysis)}
    found = [_compared(state, watches.get(state.name), judgement) for state in judgement.state if state.name in KINDS]
    found.sort(key=lambda one: -one["share"])
    return found + [_measured(one) for one in judgement.measured]


def metric_table(metrics: list[Facts]) -> Table:
    """Each metric as a bar that is full where it is acted on."""
    made = table("METRIC", "EVIDENCE", "", "ACTS", "WHAT WAS SEEN")
    for one in metrics:
        if one["kind"] == "threshold":
            value = "" if one["value"] is None else f"{one['value']:g}"
            seen = "; ".join(filter(None, (f"{one['failures']} of {one['measurements']} failed", one["message"])))
            made.add_row(one["name"], one["phase"], value, "threshold", seen)
            continue
        style = "red" if one["share"] >= 1.0 else "yellow" if one["share"] >= 0.5 else "green"
        against = number(one["evidence"]) + (f" of {number(one['threshold'])}" if one["threshold"] else "")
        made.add_row(one["name"], Text(bar(one["share"]), style=style), against, one["acts"], one["seen"])
    return made


def _compared(state: MetricState, watch: Watched | None, judgement: Judgement) -> Facts:
    threshold, acts = 0.0, "reports"
    if watch is not None and watch.weight > 0.0:
        threshold, acts = judgement.threshold / watch.weight, "rolls back"
    elif watch is not None and watch.hold > 0.0:
        threshold, acts = 1.0 / (FALSE_HOLD_RATE * watch.hold), "holds"
    return {
        "kind": "compared",
        "name": state.name,
        "acts": acts,
        "evidence": state.evidence,
        "threshold": threshold,
        "share": _share(state.evidence, threshold),
        "canary": list(state.canary),
        "stable": list(state.stable),
        "seen": effect(state),
    }


def _measured(one: Measured) -> Facts:
    return {
        "kind": "threshold",
        "name": one.name,
        "acts": "threshold",
        "phase": one.phase,
        "value": one.value,
        "measurements": one.measurements,
        "failures": one.failures,
        "message": one.message,
    }


def _share(evidence: float, threshold: float) -> float:
    """How far evidence is on its way to the threshold, which is multiplied up to: by logarithms."""
    if evidence <= 1.0 or threshold <= 1.0:
        return 0.0
    return min(math.log(evidence) / math.log(threshold), 1.0)
