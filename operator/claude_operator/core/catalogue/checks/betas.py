"""Betas, and what is one: compaction, context editing, task budgets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from claude_operator.core.catalogue.checks.row import Asked, Check, Fault, Severity

__all__ = ["LEAST_TASK_BUDGET", "LEAST_TRIGGER", "OBSOLETE", "ROWS"]

LEAST_TASK_BUDGET = 20_000
LEAST_TRIGGER = 50_000
_BETA = re.compile(r"[a-z0-9][a-z0-9._-]*")
OBSOLETE = {  # value -> what to do instead
    "prompt-caching-2024-07-31": "remove it: caching needs no beta",
    "extended-cache-ttl-2025-04-11": "remove it: ttl 1h needs no beta",
    "token-counting-2024-11-01": "remove it: counting tokens needs no beta",
    "message-batches-2024-09-24": "remove it: batches need no beta",
    "pdfs-2024-09-25": "remove it: PDFs need no beta",
    "cache-diagnosis-2026-04-07": "remove it: diagnostics need no beta",
    "mcp-client-2025-04-04": "write mcp-client-2025-11-20",
}
_SINCE = (4, 6)  # compaction


def well_formed(asked: Asked) -> Iterator[Fault]:
    """Each entry is one value of the header."""
    value = asked.request.get("betas")
    for place, beta in enumerate(value if isinstance(value, list) else ()):
        if not _BETA.fullmatch(str(beta)):
            yield Fault(
                ("betas", place),
                f"betas: {beta!r} is not a single beta: write each as an entry of its own, without spaces or commas",
                f"Unexpected value(s) `{str(beta)[:100]}` for the `anthropic-beta` header.",
            )


def obsolete(asked: Asked) -> Iterator[Fault]:
    """Betas that became part of the API, or have a successor."""
    value = asked.request.get("betas")
    for place, beta in enumerate(value if isinstance(value, list) else ()):
        remedy = OBSOLETE.get(str(beta))
        if remedy:
            yield Fault(("betas", place), f"betas: {beta} is obsolete: {remedy}")


def _edits(asked: Asked, beginning: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The edits whose type begins so, each with its place."""
    edits = asked.part("context_management").get("edits")
    return [
        (place, edit)
        for place, edit in enumerate(edits if isinstance(edits, list) else ())
        if isinstance(edit, Mapping) and str(edit.get("type")).startswith(beginning)
    ]


def compaction_beta(asked: Asked) -> Iterator[Fault]:
    """Compaction is a beta, as an edit and as a field."""
    if asked.has_beta("compact-"):
        return
    if _edits(asked, "compact_"):
        yield Fault(
            ("betas",),
            "betas: compaction is a beta of the API: add compact-2026-01-12",
            "context_management: Extra inputs are not permitted",
        )
    elif asked.request.get("compaction"):
        yield Fault(
            ("betas",),
            "betas: compaction is a beta of the API: add compact-2026-09-04",
            "compaction: Extra inputs are not permitted",
        )


def editing_beta(asked: Asked) -> Iterator[Fault]:
    """Editing of the context is a beta."""
    if _edits(asked, "clear_") and not asked.has_beta("context-management-"):
        yield Fault(
            ("betas",),
            "betas: clearing of the context is a beta of the API: add context-management-2025-06-27",
            "context_management: Extra inputs are not permitted",
        )


def compaction_trigger(asked: Asked) -> Iterator[Fault]:
    """Compaction begins at 50,000 tokens at the earliest."""
    for place, edit in _edits(asked, "compact_"):
        trigger = edit.get("trigger")
        value = trigger.get("value") if isinstance(trigger, Mapping) else None
        if isinstance(value, int) and value < LEAST_TRIGGER:
            yield Fault(
                ("context_management", "edits", place, "trigger", "value"),
                f"context_management.edits: a compaction trigger of {value} is too small: write {LEAST_TRIGGER}"
                " or more",
                f"context_management.edits.{place}.trigger.value: Input should be greater than or equal to"
                f" {LEAST_TRIGGER}",
            )


def compaction_model(asked: Asked) -> Iterator[Fault]:
    """Models before Claude 4.6 do not compact."""
    version = asked.model.version if asked.model else None
    if not version or not (0,) < version < _SINCE:
        return
    edits = _edits(asked, "compact_")
    if edits or asked.request.get("compaction"):
        name = "context_management.edits" if edits else "compaction"
        yield Fault(
            ("context_management", "edits", edits[0][0]) if edits else ("compaction",),
            f"{name}: {asked.model_id} does not compact: remove it, or use a model from Claude 4.6 on",
            f"{name}: compaction is not supported for this model.",
        )


def one_compaction(asked: Asked) -> Iterator[Fault]:
    """One way of compaction excludes the other."""
    if asked.request.get("compaction") and asked.request.get("context_management"):
        yield Fault(
            ("compaction",),
            "compaction: the API does not take it together with context_management: remove one of them",
            "compaction: cannot be combined with context_management",
        )


def _task_budget(asked: Asked) -> Any:
    return asked.part("output_config").get("task_budget")


def task_budget_total(asked: Asked) -> Iterator[Fault]:
    """A task has 20,000 tokens at least."""
    budget = _task_budget(asked)
    total = budget.get("total") if isinstance(budget, Mapping) else None
    if isinstance(total, int) and total < LEAST_TASK_BUDGET:
        yield Fault(
            ("output_config", "task_budget", "total"),
            f"output_config.task_budget: a total of {total} is too small: write {LEAST_TASK_BUDGET} or more",
            f"output_config.task_budget.total: Input should be greater than or equal to {LEAST_TASK_BUDGET}",
        )


def task_budget_beta(asked: Asked) -> Iterator[Fault]:
    """A task budget is a beta."""
    if _task_budget(asked) and not asked.has_beta("task-budgets-"):
        yield Fault(
            ("betas",),
            "betas: output_config.task_budget is a beta of the API: add task-budgets-2026-03-13",
            "output_config.task_budget: Extra inputs are not permitted",
        )


def task_budget_model(asked: Asked) -> Iterator[Fault]:
    """Sonnet 5, Haiku 4.5 and all models up to 4.6 have none."""
    version = asked.model.version if asked.model else None
    if not _task_budget(asked) or asked.model is None or not version or version == (0,):
        return
    if version <= (4, 6) or (asked.model.line, version) == ("sonnet", (5,)):
        yield Fault(
            ("output_config", "task_budget"),
            f"output_config.task_budget: {asked.model_id} does not take it: remove it, or use a newer model",
            "This model does not support task budgets.",
        )


ROWS = (
    Check("beta-malformed", 31, Severity.ERROR, well_formed),
    Check("beta-obsolete", 31, Severity.WARNING, obsolete),
    Check("compaction-beta", 28, Severity.ERROR, compaction_beta),
    Check("context-editing-beta", 28, Severity.ERROR, editing_beta),
    Check("compaction-trigger", 28, Severity.ERROR, compaction_trigger),
    Check("compaction-model", 28, Severity.ERROR, compaction_model),
    Check("compaction-twice", 28, Severity.ERROR, one_compaction),
    Check("task-budget-total", 29, Severity.ERROR, task_budget_total),
    Check("task-budget-beta", 29, Severity.ERROR, task_budget_beta),
    Check("task-budget-model", 29, Severity.ERROR, task_budget_model),
)
