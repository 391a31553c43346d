"""A ClaudeDeployment at a glance: what serves, how far the rollout is, the evidence, the last Events."""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from claude_operator.api.status import DeploymentStatus
from claude_operator.cli.deployment import paused, phase_of, status_of
from claude_operator.cli.events import Event
from claude_operator.cli.view.metrics import metric_facts, metric_table, unseen
from claude_operator.cli.view.paint import STYLES, ago, bar, fields, table, visible
from claude_operator.core.judge.effects import number
from claude_operator.core.reconcile.progress import soaking
from claude_operator.core.text import count

__all__ = ["list_facts", "list_view", "status_facts", "status_view"]

Object = Mapping[str, Any]
Facts = dict[str, Any]

_EVENTS = 8
_SHORT = 64  # characters of a message in a list


def status_facts(obj: Object, events: Sequence[Event]) -> Facts:
    """What the view shows, and what `--output json` prints."""
    status, phase = status_of(obj), phase_of(obj)
    written = status.to_dict()
    soak = soaking(status)
    judgement = soak.judgement if soak else status.judgement
    plan = status.rollout.plan if status.rollout else None
    return {
        "namespace": obj["metadata"]["namespace"],
        "name": obj["metadata"]["name"],
        "phase": phase.name,
        "message": phase.message,
        "paused": paused(obj),
        "model": ((obj.get("spec") or {}).get("request") or {}).get("model"),
        "migration": written.get("migration"),
        "ready": _condition(written, "Ready"),
        "canaryHealthy": _condition(written, "CanaryHealthy"),
        "stableRevision": status.stable_revision,
        "canaryRevision": status.canary_revision,
        "rollout": _rollout(status),
        "step": _step(status),
        "soak": {"until": written["soak"]["until"], "previous": soak.previous} if soak else None,
        "traffic": written.get("traffic", []),
        "cost": written.get("cost"),
        "cache": written.get("cache"),
        "budgets": written.get("budgets") or [],
        "checklist": _checklist(status),
        "evidence": {
            "total": judgement.evidence,
            "threshold": judgement.threshold,
            "verdict": judgement.verdict,
            "leading": judgement.leading,
            "requests": judgement.requests,
            "message": judgement.message,
            "metrics": metric_facts(judgement, plan) if plan and not soak else [],
        }
        if judgement
        else None,
        "conditions": written.get("conditions", []),
        "events": [
            {"time": one.time, "type": one.type, "reason": one.reason, "note": one.note} for one in events[-_EVENTS:]
        ],
    }


def status_view(facts: Facts, now: dt.datetime) -> RenderableType:
    """The facts for a person."""
    facts = visible(facts)
    phase = facts["phase"]
    heading = Text.assemble((f"{facts['namespace']}/{facts['name']}", "bold"), "  ", (phase, STYLES.get(phase, "bold")))
    parts: list[RenderableType] = [heading, Text(facts["message"]), Text(), _summary(facts, now)]
    if facts["traffic"]:
        parts += [Text(), _traffic(facts["traffic"])]
    if facts["evidence"] and facts["evidence"]["metrics"]:
        parts += [Text(), metric_table(facts["evidence"]["metrics"])]
        if silent := unseen(facts["evidence"]["metrics"]):
            parts += [Text(f"nothing was seen yet of {', '.join(silent)}", style="dim")]
    bad = [one for one in facts["conditions"] if _is_bad(one)]
    if bad:
        parts += [Text(), _conditions(bad)]
    if facts["events"]:
        parts += [Text(), _events(facts["events"], now)]
    return Group(*parts)


def list_facts(objects: Sequence[Object]) -> list[Facts]:
    """A line each."""
    found = []
    for obj in objects:
        facts = status_facts(obj, ())
        names = ("namespace", "name", "phase", "message", "model", "stableRevision", "canaryRevision", "ready")
        found.append({name: facts[name] for name in names} | {"weight": (facts["step"] or {}).get("weight")})
    return found


def list_view(facts: Sequence[Facts]) -> RenderableType:
    """All deployments as a table."""
    made = table("NAMESPACE", "NAME", "PHASE", "READY", "STABLE", "CANARY", "WEIGHT", "MESSAGE")
    for column in made.columns[:-1]:
        column.no_wrap = True
    for one in visible(facts):
        ready, weight = (one["ready"] or {}).get("status", "Unknown"), one["weight"]
        made.add_row(
            one["namespace"],
            one["name"],
            Text(one["phase"], style=STYLES.get(one["phase"], "")),
            Text(ready, style=STYLES.get(ready, "")),
            one["stableRevision"] or "",
            one["canaryRevision"] or "",
            "" if weight is None else f"{weight:g} %",
            textwrap.shorten(one["message"], _SHORT, placeholder=" …"),
        )
    return made


def _condition(written: Facts, type_: str) -> Facts | None:
    return next((one for one in written.get("conditions", []) if one["type"] == type_), None)


def _rollout(status: DeploymentStatus) -> Facts | None:
    rollout = status.rollout
    if rollout is None:
        return None
    fields = {"revision", "attempt", "outcome", "reason", "message", "started_at"}
    written: Facts = rollout.model_dump(by_alias=True, exclude_none=True, mode="json", include=fields)
    return written | {"steps": len(rollout.plan.steps)}


def _checklist(status: DeploymentStatus) -> Facts | None:
    known = status.checklist
    if known is None or not known.items:
        return None
    return {"mode": known.mode, "open": known.open, "items": len(known.items)}


def _open(facts: Facts) -> RenderableType | None:
    """How much of the rollout checklist is open; `kubectl claude checklist` says how to fulfil it."""
    known = facts["checklist"]
    if known is None:
        return None
    if not known["open"]:
        return f"all {known['items']} items have passed or are signed"
    text = f"{known['open']} of {known['items']} items are open ({known['mode']})"
    return Text(text, style="yellow" if known["mode"] == "Enforce" else "")


def _step(status: DeploymentStatus) -> Facts | None:
    return status.step.model_dump(by_alias=True, mode="json") if status.step else None


def _summary(facts: Facts, now: dt.datetime) -> Table:
    rollout, step, evidence, ready = facts["rollout"], facts["step"], facts["evidence"], facts["ready"]
    under_way = rollout and not rollout.get("outcome")
    state = (ready or {}).get("status", "Unknown")
    serves = (ready or {}).get("message") or "the operator has not said whether it serves"
    rows: dict[str, RenderableType | None] = {
        "Ready": Text.assemble((state, STYLES.get(state, "")), f"  {serves}"),
        "Model": facts["model"],
        "Migration": _migration(facts["migration"]),
        "Stable": facts["stableRevision"],
        "Canary": facts["canaryRevision"],
    }
    if under_way:
        rows["Attempt"] = f"{rollout['attempt']}, since {ago(rollout.get('startedAt'), now)}"
    rows |= {"Cost": _cost(facts["cost"]), "Cache": _cache(facts["cache"], facts["conditions"])}
    rows["Latency"] = _latency(facts["budgets"])
    rows["Checklist"] = _open(facts)
    if step:
        place = f"{step['index']} of {rollout['steps'] if rollout else '?'}"
        rows["Step"] = f"{place}: {step['action']} at {step['weight']:g} %, since {ago(step['startedAt'], now)}"
        rows["Weight"] = Text(f"{bar(step['weight'] / 100)}  {step['weight']:g} %")
    if facts["paused"]:
        rows["Paused"] = Text("spec.paused holds the rollout", style="yellow")
    if facts["soak"]:
        rows["Soak"] = f"until {facts['soak']['until']}, with {facts['soak']['previous']} to go back to"
    if evidence and (step or facts["soak"]):
        against = f"evidence {number(evidence['total'])}, traffic goes back at {number(evidence['threshold'])}"
        rows["Harm"] = f"{against}; {evidence['requests']:,} canary requests judged"
        health = facts["canaryHealthy"] or {}
        rows["Health"] = f"{health.get('reason', 'Unknown')}: {health.get('message', '')}"
    rows["Next"] = _next(facts)
    return fields(rows)


def _migration(migration: Facts | None) -> RenderableType | None:
    """What replaces a model, as spec.lifecycle.migrate asks."""
    if migration is None:
        return None
    style = "yellow" if migration["state"] in ("Stopped", "Failed") else ""
    what = f"{', '.join(migration['from'])} to {migration['to']}"
    said = f": {migration['message']}" if migration.get("message") else ""
    return Text.assemble(f"{what}, ", (migration["state"], style), said)


def _cost(cost: Facts | None) -> str | None:
    if cost is None:
        return None
    forecast = f" (forecast {cost['forecast']})" if "forecast" in cost else ""
    unpriced = f"; {count(cost['unpriced'], 'call')} without a known price" if cost.get("unpriced") else ""
    return f"{cost['today']} today, {cost['month']} this month{forecast}{unpriced}"


def _cache(cache: Facts | None, conditions: Sequence[Facts]) -> RenderableType | None:
    """How much is read from the prompt cache; why it is too little stands among the conditions."""
    if cache is None or "hitRatio" not in cache:
        return None
    effective = next((one["status"] for one in conditions if one["type"] == "CacheEffective"), "Unknown")
    lost = f", {cache['lost']} lost" if "lost" in cache else ""
    return Text(
        f"{cache['hitRatio']} of input tokens read from the cache{lost}", style="yellow" if effective == "False" else ""
    )


def _latency(budgets: Sequence[Facts]) -> RenderableType | None:
    """The budget that stands worst; all of them stand in the status, and the condition WithinBudget."""
    order = ("Over", "Recovering", "FewCalls", "Within")
    known = [one for one in budgets if one["state"] in order]
    if not known:
        return None
    one = min(known, key=lambda each: order.index(each["state"]))
    kept = f"{one['attainment']} of {one['calls']:,} calls in {one['window']} kept to {one['limit']}"
    style = "yellow" if one["state"] in ("Over", "Recovering") else ""
    return Text(f"{one['surface']} {one['metric']} {one['state']}: {kept}, where {one['target']} have to", style=style)


def _next(facts: Facts) -> str | None:
    """The commands that a person may want now."""
    words = {
        "Paused": ("promote",) if not facts["paused"] else ("resume", "abort"),
        "InProgress": ("promote", "abort") if facts["step"] else (),
        "RolledBack": ("why", "retry", "undo"),
        "Aborted": ("retry", "undo"),
        "EvalFailed": ("undo",),
    }.get(facts["phase"], ())
    return "\n".join(f"kubectl claude {one} {facts['name']} -n {facts['namespace']}" for one in words) or None


def _traffic(traffic: Sequence[Facts]) -> Table:
    made = table("ROLE", "REVISION", "SHOULD GET", "GOT", "REQUESTS")
    for one in traffic:
        got, seen = one.get("conversations"), one.get("requestsSeen")
        percents = ["" if value is None else f"{value:.3g} %" for value in (one["percent"], got)]
        made.add_row(one.get("role", ""), one["revision"], *percents, "" if seen is None else f"{seen:,}")
    return made


def _is_bad(condition: Facts) -> bool:
    """Whether a condition says what is missing or wrong, and nothing else of the view does."""
    if condition["type"] == "CacheEffective" and condition["reason"] == "NoTraffic":
        return False
    return condition["status"] != "True" and condition["type"] not in ("Promoted", "Ready", "ChecklistPassed")


def _conditions(conditions: Sequence[Facts]) -> Table:
    made = table("CONDITION", "STATUS", "REASON", "MESSAGE")
    for one in conditions:
        state = Text(one["status"], style=STYLES.get(one["status"], ""))
        made.add_row(one["type"], state, one["reason"], one.get("message", ""))
    return made


def _events(events: Sequence[Facts], now: dt.datetime) -> Table:
    made = table("AGE", "EVENT", "NOTE")
    for one in events:
        reason = Text(one["reason"], style="yellow" if one["type"] == "Warning" else "")
        made.add_row(ago(one["time"], now), reason, one["note"])
    return made
