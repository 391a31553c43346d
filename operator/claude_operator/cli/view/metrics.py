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
from claude_operator.core.judge.metrics import KINDS, Quantity, Watched, watched
from claude_operator.core.judge.stats.intervals import Z

__all__ = ["metric_facts", "metric_table", "unseen"]

Facts = dict[str, Any]


def metric_facts(judgement: Judgement, plan: Plan) -> list[Facts]:
    """One entry a metric that was compared or measured, that nearest to its threshold first."""
    watches = {one.name: one for one in watched(plan.analysis)}
    found = [_compared(state, watches.get(state.name), judgement) for state in judgement.state if state.name in KINDS]
    found.sort(key=lambda one: -one["share"])
    return found + [_measured(one) for one in judgement.measured]


def metric_table(metrics: list[Facts]) -> Table:
    """Each metric that was seen as a bar that is full where it is acted on."""
    made = table("METRIC", "EVIDENCE", "", "CANARY", "STABLE", "WHEN FULL")
    for one in metrics:
        if one["kind"] == "threshold":
            value = "" if one["value"] is None else f"{one['value']:g}"
            made.add_row(one["name"], _told(one), "", value, "", f"{one['failures']} of {one['measurements']} failed")
        elif one["seen"]:
            style = "red" if one["share"] >= 1.0 else "yellow" if one["share"] >= 0.5 else "green"
            against = number(one["evidence"]) + (f" of {number(one['threshold'])}" if one["threshold"] else "")
            made.add_row(one["name"], Text(bar(one["share"]), style=style), against, *_arms(one), one["acts"])
    return made


def unseen(metrics: list[Facts]) -> list[str]:
    """Metrics that are watched and of which nothing was seen yet."""
    return [one["name"] for one in metrics if one["kind"] == "compared" and not one["seen"]]


def _told(one: Facts) -> str:
    return f"{one['phase']}: {one['message']}" if one["message"] else str(one["phase"])


def _arms(one: Facts) -> tuple[str, str]:
    """Bad ones of all; of a quantity how many times stable's it is."""
    if one["ratio"]:
        ratio, low, high = one["ratio"]
        return f"{ratio:.3g} × stable's", f"({low:.3g} to {high:.3g})"
    if not one["canary"]:
        return "", ""
    (canary, bad), (stable, stable_bad) = one["canary"], one["stable"]
    return f"{bad:,} of {canary:,}", f"{stable_bad:,} of {stable:,}"


def _compared(state: MetricState, watch: Watched | None, judgement: Judgement) -> Facts:
    threshold, acts, quantity = 0.0, "reports", isinstance(KINDS[state.name], Quantity)
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
        "ratio": list(found) if quantity and (found := _ratio(state)) else None,
        "seen": effect(state) if state.canary[0] and (not quantity or _ratio(state)) else "",
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


def _ratio(state: MetricState) -> tuple[float, float, float] | None:
    """Of a quantity: how many times stable's it is, and the 95 % interval; None where nothing was compared."""
    u, v = state.score.score, state.score.information
    if v <= 0.0:
        return None
    mean, half = u / v, Z / math.sqrt(v)
    times, low, high = (math.exp(min(one, 50.0)) for one in (mean, mean - half, mean + half))
    return times, low, high
