"""Effort and thinking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from claude_operator.core.catalogue.checks.row import Asked, Check, Fault, Severity, either

__all__ = ["EFFORTS", "LEAST_BUDGET", "ROWS", "accepted_types"]

EFFORTS = ("low", "medium", "high", "xhigh", "max")
LEAST_BUDGET = 1024


def accepted_types(words: Iterable[str]) -> dict[str, str]:
    """Thinking types and the highest effort of each, from adaptive, enabled(deprecated), disabled<=high."""
    pairs = (word.partition("<=") for word in words)
    return {kind.partition("(")[0]: limit for kind, _, limit in pairs}


def effort(asked: Asked) -> Iterator[Fault]:
    """The levels that the model knows."""
    levels = asked.model.effort_levels if asked.model else None
    level = asked.part("output_config").get("effort")
    if level is None or levels is None or level in levels:
        return
    path = ("output_config", "effort")
    if not levels:
        yield Fault(
            path,
            f"output_config.effort: {asked.model_id} does not take it: remove it",
            "This model does not support the effort parameter.",
        )
        return
    expected = "output_config.effort: Input should be " + ", ".join(f"'{one}'" for one in levels)
    yield Fault(
        path,
        f"output_config.effort: {asked.model_id} does not take {level!r}: write {either(levels)}",
        f"This model does not support effort level '{level}'." if level in EFFORTS else expected,
    )


def _unknown_type(asked: Asked) -> bool:
    """Whether there is nothing to compare the type of thinking with, or nothing to compare."""
    return asked.part("thinking").get("type") is None or asked.model is None or asked.model.thinking_types is None


def kind(asked: Asked) -> Iterator[Fault]:
    """The types that the model accepts."""
    given = asked.part("thinking").get("type")
    if _unknown_type(asked) or asked.model is None:
        return
    accepted = accepted_types(asked.model.thinking_types or ())
    if not isinstance(given, str) or given not in accepted:
        yield Fault(
            ("thinking", "type"),
            f"thinking.type: {asked.model_id} does not take {given!r}: write {either(accepted)}, or remove thinking",
            f'"thinking.type.{str(given)[:32]}" is not supported for this model.',
        )


def kind_at_effort(asked: Asked) -> Iterator[Fault]:
    """Some types go only up to an effort."""
    given = asked.part("thinking").get("type")
    if _unknown_type(asked) or asked.model is None or not isinstance(given, str):
        return
    limit = accepted_types(asked.model.thinking_types or ()).get(given)
    level = asked.part("output_config").get("effort") or asked.model.default_effort
    if limit in EFFORTS and level in EFFORTS and EFFORTS.index(level) > EFFORTS.index(limit):
        yield Fault(
            ("thinking", "type"),
            f"thinking.type: {asked.model_id} takes {given!r} up to effort {limit}, not with {level}: lower"
            f" output_config.effort to {limit}, or remove thinking",
            f'"thinking.type.{given}" is not supported with effort {level} for this model.',
        )


def other_fields(asked: Asked) -> Iterator[Fault]:
    """`between_tools` stands alone."""
    thinking = asked.part("thinking")
    if thinking.get("type") == "between_tools" and len(thinking) > 1:
        yield Fault(
            ("thinking",),
            "thinking: between_tools takes no other fields: remove all but type",
            "thinking.between_tools: Extra inputs are not permitted",
        )


def budget(asked: Asked) -> Iterator[Fault]:
    """A budget goes with type enabled, from 1024 tokens to below max_tokens."""
    thinking, limit = asked.part("thinking"), asked.request.get("max_tokens")
    tokens = thinking.get("budget_tokens")
    path = ("thinking", "budget_tokens")
    if thinking.get("type") != "enabled":
        return
    if not isinstance(tokens, int) or tokens < LEAST_BUDGET:
        yield Fault(
            path,
            f"thinking.budget_tokens: {tokens} is too small: write {LEAST_BUDGET} or more",
            f"thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET}",
        )
    # With interleaved thinking the budget is that of a whole turn.
    elif isinstance(limit, int) and tokens >= limit and not asked.has_beta("interleaved-thinking-"):
        yield Fault(
            path,
            f"thinking.budget_tokens: {tokens} is not below max_tokens {limit}: lower it or raise max_tokens",
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
        )


ROWS = (
    Check("thinking-type", 21, Severity.ERROR, kind),
    Check("thinking-effort", 21, Severity.ERROR, kind_at_effort),
    Check("thinking-fields", 21, Severity.ERROR, other_fields),
    Check("thinking-budget", 21, Severity.ERROR, budget),
    Check("effort", 20, Severity.ERROR, effort),
)
