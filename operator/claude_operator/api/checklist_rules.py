"""What the API server checks of a ClaudeChecklist beyond types."""

from __future__ import annotations

from claude_operator.api.checklist import BUILT_IN
from claude_operator.api.rule import Rule

__all__ = ["CHECKLIST_RULES"]

CHECKLIST_RULES: dict[str, tuple[Rule, ...]] = {
    "OwnItem": (
        Rule(
            f"!(self.name in {list(BUILT_IN)})",
            "is the name of one of the fourteen items: write another one",
            field=".name",
        ),
    ),
}
