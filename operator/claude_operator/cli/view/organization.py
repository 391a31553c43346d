"""A ClaudeOrganization: what its month costs, whose that is, and whether the gateways measured the same."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from rich.console import Group, RenderableType
from rich.text import Text

from claude_operator.api.organisation import OrganizationStatus
from claude_operator.cli.failure import Failure
from claude_operator.cli.view.paint import STYLES, table, visible
from claude_operator.core.text import count

__all__ = ["organization_facts", "organization_view"]

Facts = dict[str, Any]

_UNKNOWN = "unknown"


def organization_facts(stored: Facts) -> Facts:
    """What the view shows, and what `--output json` prints: its name and status."""
    name = stored["metadata"]["name"]
    try:
        status = OrganizationStatus.model_validate(stored.get("status") or {})
    except ValidationError:
        raise Failure(f"the status of ClaudeOrganization {name} cannot be read: use a newer kubectl-claude") from None
    return {"name": name, **status.model_dump(by_alias=True, exclude_none=True, mode="json")}


def organization_view(facts: Facts) -> RenderableType:
    """The facts for a person."""
    facts = visible(facts)
    if not facts["conditions"]:
        return Text(f"{facts['name']}: the operator has not looked at it yet", style="yellow")
    lines: list[RenderableType] = [_sums(facts)]
    if facts["month"]:
        lines += [Text(), _whose(facts)]
    if facts["notListed"]:
        lines.append(Text(f"and {facts['notListed']:,} tokens of others, which are not listed"))
    lines.append(Text())
    for one in facts["conditions"]:
        told = f"{one['type']}: {one['reason']}: {one['message']}"
        lines.append(Text(told, style=STYLES.get(one["status"], "")))
    return Group(*lines)


def _sums(facts: Facts) -> RenderableType:
    until = (facts.get("history") or {}).get("usageUntil")
    known = f"usage up to {until[:16].replace('T', ' ')} UTC" if until else "usage is not known yet"
    if not facts["month"]:
        return Text(f"{facts['name']}: {known}")
    cost = f"{facts['cost'] or _UNKNOWN} so far, forecast {facts['forecast'] or _UNKNOWN}"
    return Text(f"{facts['name']}, {facts['month']}: {cost}, {facts['tokens']:,} tokens; {known}")


def _whose(facts: Facts) -> RenderableType:
    made = table("WHOSE", "KEY", "TOKENS", "COST")
    for column in made.columns[2:]:
        column.justify = "right"
        column.no_wrap = True
    for one in facts["deployments"]:
        others = f", shared with {count(one['sharedWith'], 'other')}" if one["sharedWith"] else ""
        key = f"{one['apiKeyID']}{others}"
        made.add_row(f"{one['namespace']}/{one['name']}", key, f"{one['tokens']:,}", one["cost"] or _UNKNOWN)
    for one in facts["otherKeys"]:
        nameless = "(no name)" if one["apiKeyID"] else "(no key)"
        whose = "around the gateways" if one["held"] else one["name"] or nameless
        made.add_row(Text(whose, style="yellow"), one["apiKeyID"], f"{one['tokens']:,}", one["cost"] or _UNKNOWN)
    return made
