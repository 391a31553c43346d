"""An audit for a person, as facts, and as rows of a spreadsheet."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from claude_operator.cli.view.paint import table, visible
from claude_operator.core.audit.keys import KeyUse
from claude_operator.core.audit.report import Audit, Row
from claude_operator.core.audit.uses import Use
from claude_operator.core.catalogue.lifecycle import Lifecycle, LifecycleState
from claude_operator.core.catalogue.table import as_of
from claude_operator.core.text import count, join_names
from claude_operator.core.usage.figures import dollars

__all__ = ["Facts", "Scope", "audit_facts", "audit_rows", "audit_view"]

Facts = dict[str, Any]

_COLOURS = {"Retired": "bold red", "Deprecated": "red", "Unknown": "yellow", "Legacy": "yellow", "Active": "green"}
_STATES = tuple(_COLOURS)
_WIDEST = (26, 28, 26)  # characters of the first columns
_QUIET = (Lifecycle.ACTIVE.value, Lifecycle.LEGACY.value)
_OF_MODEL = ("model", "modelID", "platform", "state", "daysLeft", "retiresAt", "notRetiredBefore", "replacement")
_OF_USE = ("kind", "namespace", "name", "where", "inUse", "calls", "lastUsed")
_OF_KEY = ("apiKey", "apiKeyID", "workspace", "usedIn", "tokens", "costUSD")


@dataclass(frozen=True, slots=True)
class Scope:
    """What was looked at, and what could not be."""

    deployments: int | None = None
    """None: no cluster was looked at."""
    eval_sets: int | None = None
    files: Sequence[str] = ()
    organizations: Sequence[str] = ()
    notes: Sequence[str] = field(default=())
    unread: Sequence[str] = field(default=())
    """What could not be read: the audit is not complete."""


def audit_facts(found: Audit, scope: Scope) -> Facts:
    """What the view shows, and what `--output json` prints."""
    return {
        "asOf": found.as_of.isoformat(),
        "catalogueAsOf": as_of().isoformat(),
        "models": found.states,
        "complete": not scope.unread,
        "deployments": scope.deployments,
        "evalSets": scope.eval_sets,
        "organizations": list(scope.organizations),
        "files": list(scope.files),
        "uses": [_model(row) | _use(row.use) for row in found.uses],
        "keys": [_model(row) | _key(row.use) for row in found.keys],
        "unread": list(scope.unread),
        "notes": list(scope.notes),
    }


def audit_view(facts: Facts) -> RenderableType:
    """The facts for a person."""
    facts = visible(facts)
    lines: list[RenderableType] = [_heading(facts)]
    hidden = sum(one["state"] in _QUIET for one in facts["keys"])
    groups: dict[str, list[Facts]] = {}
    for one in sorted((*facts["uses"], *facts["keys"]), key=lambda one: _STATES.index(one["state"])):
        if "apiKey" not in one or one["state"] not in _QUIET:
            groups.setdefault(one["message"], []).append(one)
    cells = {name: [_cells(one) for one in rows] for name, rows in groups.items()}
    every = [row for rows in cells.values() for row in rows]
    widths = [min(max(map(len, column)), most) for column, most in zip(zip(*every, strict=True), _WIDEST, strict=False)]
    for name, rows in groups.items():
        lines += [Text(), _model_line(rows[0]), _table(rows, cells[name], widths)]
    if hidden:
        lines += [Text(), Text(f"and {count(hidden, 'use')} of Legacy and Active models by API keys: see -o json")]
    beside = [*(f"not complete: {one}" for one in facts["unread"]), *facts["notes"]]
    if beside:
        lines += [Text(), *(Text(one, style="yellow") for one in beside)]
    return Group(*lines)


def audit_rows(facts: Facts) -> tuple[list[str], list[list[object]]]:
    """The facts as CSV: headings and rows, objects first. What is not known is empty."""
    headings = [*_OF_MODEL, *_OF_USE, "revisions", *_OF_KEY, "heldBy"]
    rows: list[list[object]] = []
    for one in (*facts["uses"], *facts["keys"]):
        holdings = " ".join(_holding(each) for each in one.get("revisions", ()))
        flat = one | {"revisions": holdings, "heldBy": " ".join(one.get("heldBy", ()))}
        rows.append(["" if flat.get(name) is None else flat[name] for name in headings])
    return headings, rows


# ------------------------------------------------------------------------------------------------------------ facts


def _model(row: Row[Any]) -> Facts:
    now: LifecycleState = row.state
    return {
        "model": row.use.model,
        "modelID": row.model_id,
        "platform": now.platform,
        "state": now.lifecycle.value,
        "daysLeft": now.days_left,
        "retiresAt": _day(now.retires_at),
        "notRetiredBefore": _day(now.not_retired_before),
        "replacement": now.replacement,
        "message": now.sentence(row.model_id),
    }


def _use(use: Use) -> Facts:
    measured = use.measured
    return {
        "kind": use.kind,
        "namespace": use.namespace,
        "name": use.name,
        "where": use.where,
        "inUse": use.is_in_use,
        "revisions": [{"role": one.role, "revision": one.revision or None} for one in use.holdings],
        "calls": None if measured is None else measured.calls,
        "lastUsed": None if measured is None else _day(measured.last),
    }


def _key(use: KeyUse) -> Facts:
    return {
        "source": use.source,
        "apiKey": use.key,
        "apiKeyID": use.key_id,
        "workspace": use.workspace,
        "archived": use.archived,
        "usedIn": use.where,
        "heldBy": list(use.held_by),
        "aroundGateways": use.around,
        "tokens": use.tokens,
        "costUSD": None if use.usd is None else round(use.usd, 9),
        "firstUsed": _day(use.first),
        "lastUsed": _day(use.last),
    }


def _day(day: dt.date | None) -> str | None:
    return None if day is None else day.isoformat()


# ------------------------------------------------------------------------------------------------------------- view


def _heading(facts: Facts) -> RenderableType:
    looked: list[str] = []
    if facts["deployments"] is not None:
        looked += [count(facts["deployments"], "ClaudeDeployment"), count(facts["evalSets"], "ClaudeEvalSet")]
    looked += [f"ClaudeOrganization {one}" for one in facts["organizations"]] + facts["files"]
    told = [f"{number} {state}" for state, number in facts["models"].items() if number]
    models = ", ".join(told) if told else "none in use"
    return Text(f"as of {facts['asOf']}: {', '.join(looked)}\nmodels: {models}")


def _model_line(one: Facts) -> Text:
    """What is said of a model, once for all that use it."""
    return Text(one["message"], style=_COLOURS[one["state"]])


def _table(rows: Sequence[Facts], cells: Sequence[Sequence[str]], widths: Sequence[int]) -> RenderableType:
    made = table("USED BY", "WHERE", "REVISIONS", "USE")
    for column, width in zip(made.columns, widths, strict=False):  # the same in all tables
        column.min_width = max(width, len(str(column.header)))
    for one, row in zip(rows, cells, strict=True):
        made.add_row(*row, style="" if one.get("inUse", True) else "dim")
    return Padding(made, (0, 0, 0, 2))


def _cells(one: Facts) -> tuple[str, str, str, str]:
    last = f", last {one['lastUsed']}" if one["lastUsed"] else ""
    if "apiKey" in one:
        return _named(one), _whose(one), "", f"{_amount(one)}{last}".removeprefix(", ")
    kind = "" if one["kind"] == "ClaudeDeployment" else "eval set "
    alias = "" if one["model"] == one["modelID"] else f", as {one['model']}"
    holdings = ", ".join(_holding(each) for each in one["revisions"] if each["role"] != "set")
    calls = "" if one["calls"] is None else f"{count(one['calls'], 'call')}{last}"
    return f"{kind}{one['namespace']}/{one['name']}", f"{one['where']}{alias}", holdings, calls


def _amount(one: Facts) -> str:
    tokens = [] if one["tokens"] is None else [count(one["tokens"], "token")]
    return ", ".join([*tokens, *([] if one["costUSD"] is None else [dollars(one["costUSD"])])])


def _named(one: Facts) -> str:
    workspace = f" in {one['workspace']}" if one["workspace"] else ""
    if not one["apiKey"] and not one["apiKeyID"]:
        return f"the Console{workspace}"
    archived = " (archived)" if one["archived"] else ""
    return f"key {one['apiKey'] or one['apiKeyID']}{workspace}{archived}"


def _whose(one: Facts) -> str:
    if one["usedIn"] == "outside":
        return "outside of the cluster"
    if one["usedIn"] == "unknown":
        return "unknown"
    held = join_names(one["heldBy"]) or "in the cluster"
    return f"{held}, by none of its revisions" if one["aroundGateways"] else held


def _holding(one: Facts) -> str:
    return f"{one['role']} {one['revision']}" if one["revision"] else one["role"]
