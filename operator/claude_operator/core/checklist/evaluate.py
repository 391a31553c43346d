"""The checklist as a whole: each item decided by what decides it, or signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from claude_operator.api.checklist import Mode
from claude_operator.core.checklist import content, evals, live
from claude_operator.core.checklist.case import Case, Finding, Question, Sight
from claude_operator.core.checklist.items import ITEMS
from claude_operator.core.checklist.signatures import not_applicable, signed

__all__ = ["CHECKS", "DEFAULT", "evaluate", "mode_in_force", "questions"]

DEFAULT: Mode = "Warn"
_STRICTER: tuple[Mode, ...] = ("Off", "Warn", "Enforce")

CHECKS: Mapping[str, Callable[[Case], Finding]] = {
    "plumbing": live.check_plumbing,
    "model-by-eval": evals.check_model,
    "tools": content.check_tools,
    "caching": content.check_caching,
    "workloads": evals.check_workloads,
    "telemetry": live.check_telemetry,
    "latency-budgets": live.check_budgets,
    "eval-gate": evals.check_gate,
    "rollback": live.check_rollback,
    "model-pinned": live.check_models,
}
"""Of the items that no person signs."""


def mode_in_force(own: Mode | None, sight: Sight) -> Mode | None:
    """The mode: the ClaudeDeployment's own, else the strictest of the cluster's. None while that is not known."""
    if own is not None:
        return own
    if not sight.known:
        return None
    given = [rules.mode for rules in sight.rules if rules.mode is not None]
    return max(given, key=_STRICTER.index, default=DEFAULT)


def questions(sight: Sight) -> list[Question]:
    """The organisation's own items, in the order of the ClaudeChecklists' names."""
    return [
        Question(rules.name, item) for rules in sorted(sight.rules, key=lambda one: one.name) for item in rules.items
    ]


def evaluate(case: Case) -> Sequence[Finding]:
    """Every item, the fourteen first."""
    return [*(_built_in(case, item.id) for item in ITEMS), *(_own(case, one) for one in questions(case.sight))]


def _built_in(case: Case, item: str) -> Finding:
    check = CHECKS.get(item)
    if check is None:
        return signed(case, item)
    found = check(case)
    # What has passed needs nobody's word; what has not may not apply.
    return (not_applicable(case, item) or found) if found.is_open else found


def _own(case: Case, question: Question) -> Finding:
    item = question.item
    found = signed(case, item.name, item.signature.max_age)
    helps = f"; {item.help}" if item.help and found.is_open else ""
    return Finding(
        found.id, found.result, f"{found.message}{helps}", found.by, found.until, question.checklist, item.title
    )
