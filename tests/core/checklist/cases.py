"""A revision of which every item has passed or is signed, for tests that spoil one thing."""

from __future__ import annotations

import datetime as dt
from typing import Any

from claude_operator.api.budgets import BudgetStatus
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evals import EvalRunStatus
from claude_operator.core.catalogue.lifecycle import lifecycle_of, models_in_use
from claude_operator.core.checklist.case import Case, Finding, Rehearsal, Sight, Signature
from claude_operator.core.checklist.evaluate import evaluate
from claude_operator.core.checklist.items import ITEMS
from claude_operator.core.checklist.signatures import content_hash
from claude_operator.core.usage.amounts import Amounts, Key
from claude_operator.core.usage.latency import LatencyUsage, Series, Slot
from claude_operator.core.usage.ledger import Spend
from claude_operator.core.usage.state import Coverage, Usages, UsageState

NOW = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
REVISION = "support-0123456789"
RUN = f"{REVISION}-01234567"
SIGNED = tuple(item.id for item in ITEMS if item.decided_by == "signature")
Object = dict[str, Any]

TOOL: Object = {
    "name": "lookup_order",
    "description": "Finds an order by its number, where a customer names one.",
    "input_schema": {"type": "object", "properties": {"number": {"type": "string"}}},
}
CACHED = {"type": "ephemeral"}
LONG = "You answer questions about orders. " * 2000


def content(request: Object | None = None, **more: Any) -> Object:
    """`ClaudeRevision.spec`."""
    system = [{"type": "text", "text": LONG, "cache_control": CACHED}]
    known = {"model": "claude-opus-5-5", "max_tokens": 1024, "system": system, "tools": [TOOL]}
    return {"request": {**known, **(request or {})}, **more}


def spec(**fields: Any) -> DeploymentSpec:
    known: Object = {
        "request": {"model": "claude-opus-5-5", "max_tokens": 1024},
        "evals": {"setRef": {"name": "support-evals"}},
        "budgets": [{"surface": "chat", "metric": "timeToFirstToken", "max": "1500ms"}],
    }
    return DeploymentSpec.model_validate({**known, **fields})


def usage(calls: int = 100, tokens: int = 1000, **more: Any) -> UsageState:
    """Calls of today, read now, a few of them streamed."""
    rows = {Key(REVISION, "chat", "", "claude-opus-5-5"): Amounts(calls, input=calls * tokens)} if calls else {}
    spend = Spend(NOW - 9 * DAY, {(NOW - more.pop("age", 0) * DAY).date().isoformat(): rows})
    second = int(NOW.timestamp())
    streamed = more.pop("streamed", 1)
    slots = {Series(REVISION, "chat", "timeToFirstToken", 1.5): (Slot(second - 60, second, streamed, 0),)}
    latency = LatencyUsage(slots, unbudgeted=more.pop("unbudgeted", ()))
    known: Object = {"read_at": NOW, "coverage": Coverage(2)}
    return UsageState(Usages(spend=spend, latency=latency), **{**known, **more})


def budget(state: str = "Within") -> BudgetStatus:
    named = {"surface": "chat", "metric": "timeToFirstToken", "limit": "at most 1500ms", "target": "95 %"}
    return BudgetStatus(**named, window="1h", state=state, as_of=NOW)


def signature(given: str, **fields: Any) -> Signature:
    known: Object = {
        "name": f"support-{given}",
        "deployment": "support",
        "item": given,
        "revision": REVISION,
        "content_hash": content_hash(content()),
        "decision": "Passed",
        "reason": "looked at with the team",
        "signed_by": "alice",
        "expires_at": NOW + 90 * DAY,
        "created_at": NOW - DAY,
    }
    return Signature(**{**known, **fields})


def signatures(*more: Signature) -> Sight:
    return Sight(signatures=(*map(signature, SIGNED), *more))


def case(made_of: Object | None = None, **fields: Any) -> Case:
    """Of that content, else of one that passes."""
    made_of = made_of or content()
    ids = models_in_use(made_of["request"], made_of.get("subagents"))
    models = fields.get("models", {})
    known: Object = {
        "now": NOW,
        "namespace": "demo",
        "name": "support",
        "revision": REVISION,
        "content": made_of,
        "content_hash": content_hash(made_of),
        "spec": spec(),
        "stable": content(),
        "run_name": RUN,
        "run": EvalRunStatus(phase="Passed", rule="Paired"),
        "asked": {"": 20},
        "usage": usage(),
        "cache": (Reason.WARM, "92 % is read"),
        "budgets": (budget(),),
        "lifecycles": [(one, lifecycle_of(one, NOW.date(), models)) for one in ids],
        "rehearsals": (Rehearsal(NOW - 3 * DAY, "a drill"),),
        "sight": signatures(),
    }
    return Case(**{**known, **fields})


def found(item: str, one: Case) -> Finding:
    (finding,) = (each for each in evaluate(one) if each.id == item)
    return finding
