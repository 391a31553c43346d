"""Advice for a ClaudeDeployment, with its arithmetic, for people and as YAML patches."""

from __future__ import annotations

from typing import Any

import yaml
from rich.console import Group, RenderableType
from rich.text import Text

from claude_operator.cli.failure import Failure
from claude_operator.cli.view.paint import fields, visible
from claude_operator.core.advice.advice import Advice, Found
from claude_operator.core.advice.bills import MONTH
from claude_operator.core.advice.case import LEAST_DAYS, Case
from claude_operator.core.text import count
from claude_operator.core.usage.figures import dollars

__all__ = ["advise_facts", "advise_view", "patch_of", "patch_text"]

Facts = dict[str, Any]


def advise_facts(namespace: str, name: str, case: Case, found: Found) -> Facts:
    """What the view shows, and what `--output json` prints."""
    measured, days = case.measured, case.days
    whole_days = days >= LEAST_DAYS  # a few minutes say nothing of what a day costs
    return {
        "namespace": namespace,
        "name": name,
        "model": case.spec.request.model,
        "days": round(days, 2),
        "span": case.span,
        "calls": measured.calls,
        "costPerDayUSD": round(measured.usd / days, 6) if whole_days else None,
        "advice": [_written(number, one) for number, one in enumerate(found.advice, 1)],
        "missing": list(found.missing),
    }


def advise_view(facts: Facts) -> RenderableType:
    """The facts for a person."""
    facts = visible(facts)
    cost = facts["costPerDayUSD"]
    paid = f", {dollars(cost)} a day" if cost is not None else ""
    head = f"{facts['namespace']}/{facts['name']}  {facts['model']}"
    lines: list[RenderableType] = [
        Text(head, style="bold"),
        Text(f"{count(facts['calls'], 'call')} in {facts['span']}{paid}"),
    ]
    for one in facts["advice"]:
        lines += [Text(), Text(f"{one['number']}  {one['title']}", style="bold"), _body(one)]
    if not facts["advice"]:
        lines += [Text(), Text("no advice")]
    else:
        where = f"{facts['name']} -n {facts['namespace']}"
        lines += [
            Text(),
            Text("Each is reckoned by itself: what two of them save together is less than the sum."),
            Text(f"kubectl claude advise {where} --patch 1 > patch.yaml"),
            Text(f"kubectl patch cld {where} --type merge --patch-file patch.yaml"),
        ]
    if facts["missing"]:
        lines += [Text(), *(Text(one, style="yellow") for one in facts["missing"])]
    return Group(*lines)


def patch_of(facts: Facts, number: int) -> Facts:
    """One of the patches; raises `Failure` where there is none."""
    found = [one for one in facts["advice"] if one["number"] == number]
    if not found:
        known = f"1 to {len(facts['advice'])}" if facts["advice"] else "none: there is no advice"
        raise Failure(f"there is no advice {number}; known are {known}")
    patch: Facts = found[0]["patch"]
    return patch


def patch_text(patch: Facts) -> str:
    """As `kubectl patch --type merge --patch-file` reads it."""
    return yaml.safe_dump(patch, sort_keys=False, allow_unicode=visible(patch) == patch, width=120)


def _written(number: int, one: Advice) -> Facts:
    return {
        "number": number,
        "lever": one.lever,
        "title": one.title,
        "savesUSDPerDay": None if one.saves is None else round(one.saves, 6),
        "savesUSDPerMonth": None if one.saves is None else round(one.saves * MONTH, 6),
        "arithmetic": list(one.arithmetic),
        "confidence": one.confidence.level,
        "measured": one.confidence.why,
        "assumes": list(one.assumes),
        "risk": one.risk,
        "newRevision": one.is_gated,
        "patch": _plain(one.patch),
    }


def _body(one: Facts) -> RenderableType:
    saves = one["savesUSDPerDay"]
    told = None if saves is None else f"{dollars(saves)} a day, {dollars(one['savesUSDPerMonth'])} in {MONTH} days"
    return fields(
        {
            "   saves": told,
            "   because": "\n".join(one["arithmetic"]),
            "   confidence": f"{one['confidence']}: {one['measured']}",
            "   assumes": "\n".join(one["assumes"]),
            "   risk": one["risk"],
        }
    )


def _plain(value: Any) -> Any:
    """Without types that are not of JSON."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
