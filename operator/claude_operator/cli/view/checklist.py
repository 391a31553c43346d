"""The rollout checklist of a ClaudeDeployment: each item, and how to fulfil what is open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from claude_operator.cli.deployment import status_of
from claude_operator.cli.view.paint import table, visible
from claude_operator.core.checklist.items import BY_ID

__all__ = ["checklist_facts", "checklist_view"]

Object = Mapping[str, Any]
Facts = dict[str, Any]

_STYLES = {"Passed": "green", "Signed": "green", "NotApplicable": "dim", "Failed": "red", "Unknown": "yellow"}


def checklist_facts(obj: Object) -> Facts:
    """What the view shows, and what `--output json` prints. `passed` is False where nobody knows."""
    status, generation = status_of(obj), int(obj["metadata"].get("generation") or 0)
    known = status.checklist
    condition = next((one for one in status.conditions if one.type == "ChecklistPassed"), None)
    is_new = condition is not None and condition.observed_generation == generation
    unseen = "the operator has not looked at the newest spec yet"
    return {
        "namespace": obj["metadata"]["namespace"],
        "name": obj["metadata"]["name"],
        "mode": known.mode if known else None,
        "revision": known.revision if known else None,
        "passed": is_new and condition is not None and condition.status == "True",
        "isCurrent": is_new,
        "message": condition.message if is_new and condition is not None else unseen,
        "items": [
            {
                "number": BY_ID[one.id].number if one.id in BY_ID else None,
                "title": BY_ID[one.id].title if one.id in BY_ID else one.title,
                **one.model_dump(by_alias=True, exclude_none=True, mode="json", exclude={"title"}),
            }
            for one in (known.items if known else ())
        ],
    }


def checklist_view(facts: Facts) -> RenderableType:
    """The facts for a person."""
    facts = visible(facts)
    word, style = ("passed", "green") if facts["passed"] else ("not passed", "red")
    heading = Text.assemble(
        (f"{facts['namespace']}/{facts['name']}", "bold"), f"  {facts['revision'] or 'no revision'}"
    )
    about = Text.assemble("checklist ", (word, style), f", mode {facts['mode'] or 'not known'}")
    if not facts["items"]:
        return Group(heading, about, Text(facts["message"]))
    made = table("", "ITEM", "RESULT", "WHAT AND HOW")
    made.columns[1].no_wrap = True
    for one in facts["items"]:
        result = Text(one["result"], style=_STYLES.get(one["result"], ""))
        until = f" (until {one['until'][:10]})" if one.get("until") else ""
        said = Text(f"{one['title']}\n{one['message']}{until}")
        made.add_row(str(one["number"] or ""), one["id"], result, said)
    notes = [] if facts["isCurrent"] else [Text(facts["message"], style="yellow")]
    return Group(heading, about, *notes, Text(), made)
