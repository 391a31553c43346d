"""What the API server checks of a ClaudeChecklist beyond types."""

from __future__ import annotations

from claude_operator.api.checklist import BUILT_IN
from claude_operator.api.rule import Rule

__all__ = ["CHECKLIST_RULES"]

CHECKLIST_RULES: dict[str, tuple[Rule, ...]] = {
    "OwnItem": (
        Rule(
            "[has(self.cel), has(self.prometheus), has(self.signature)].filter(x, x).size() == 1",
            "an item must have exactly one of cel, prometheus and signature: write each as an item of its own",
        ),
        Rule(
            f"!(self.name in {list(BUILT_IN)})",
            "is the name of one of the fourteen items: write another one",
            field=".name",
        ),
    ),
    "QueryCheck": (
        Rule(
            "has(self.min) || has(self.max)",
            "has no threshold: write min, max or both",
        ),
        Rule(
            "!has(self.min) || !has(self.max) || self.min <= self.max",
            "min is above max: exchange them",
            field=".min",
        ),
    ),
}
