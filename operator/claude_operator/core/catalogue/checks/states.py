"""The model's id and where it stands in its life. What happens for a state is decided by spec.lifecycle."""

from __future__ import annotations

import re
from collections.abc import Iterator

from claude_operator.core.catalogue.checks.row import Asked, Check, Fault, Severity
from claude_operator.core.catalogue.lifecycle import Lifecycle, LifecycleState, state
from claude_operator.core.catalogue.table import find

__all__ = ["ROWS"]

_DATED = re.compile(r"(claude-[a-z]+-\d+(?:-\d{1,2})?)-\d{8}")
_PATH = ("model",)


def _state(asked: Asked) -> LifecycleState | None:
    """The model's state, None where nothing is known of it or it is not named."""
    now = state(asked.model, asked.today)
    return None if not asked.model or now.lifecycle is Lifecycle.UNKNOWN else now


def unknown(asked: Asked) -> Iterator[Fault]:
    """An id that no catalogue has may be a typing error."""
    if asked.model_id and asked.model is None and not list(dated(asked)):
        yield Fault(
            _PATH,
            f"model: {asked.model_id} is not in the catalogue: correct it, or describe it in a ClaudeModel",
            f"model: {asked.model_id}",
        )


def retired(asked: Asked) -> Iterator[Fault]:
    """Requests fail."""
    now = _state(asked)
    if now and now.lifecycle is Lifecycle.RETIRED:
        since = f" since {now.retires_at}" if now.retires_at else ""
        yield Fault(_PATH, f"model: {asked.model_id} is Retired{since}: {_instead(now)}", f"model: {asked.model_id}")


def deprecated(asked: Asked) -> Iterator[Fault]:
    """Requests are going to fail."""
    now = _state(asked)
    if now is None or now.lifecycle is not Lifecycle.DEPRECATED:
        return
    if now.retires_at is None:
        when = "no date is set for its retirement"
    elif now.overdue:
        when = f"its retirement was due {now.retires_at}"
    else:
        when = f"it retires {now.retires_at}, in {now.days_left} day{'' if now.days_left == 1 else 's'}"
    yield Fault(_PATH, f"model: {asked.model_id} is Deprecated, {when}: {_instead(now)}")


def legacy(asked: Asked) -> Iterator[Fault]:
    """A newer generation of the line exists."""
    now = _state(asked)
    if now and now.lifecycle is Lifecycle.LEGACY:
        yield Fault(_PATH, f"model: {asked.model_id} is Legacy: {_instead(now)}")


def _instead(now: LifecycleState) -> str:
    return f"write {now.replacement}" if now.replacement else "write a model that is Active"


def alias(asked: Asked) -> Iterator[Fault]:
    """An alias moves under a revision that should never change."""
    model, name = asked.model, asked.model_id
    if model and name in model.aliases and state(model, asked.today).lifecycle is not Lifecycle.RETIRED:
        yield Fault(_PATH, f"model: {name} is an alias, whose model can change under a revision: write {model.id}")


def dated(asked: Asked) -> Iterator[Fault]:
    """From Claude 4.6 on the id without a date is the pinned one."""
    name = asked.model_id
    match = _DATED.fullmatch(name)
    if asked.model is None and match and (known := find(match[1])) and known.id == match[1]:
        yield Fault(
            _PATH,
            f"model: {name} does not exist, from Claude 4.6 on an id has no date: write {match[1]}",
            f"model: {name}",
        )


ROWS = (
    Check("model-unknown", 1, Severity.WARNING, unknown, "lifecycle"),
    Check("model-retired", 2, Severity.ERROR, retired, "lifecycle"),
    Check("model-deprecated", 3, Severity.WARNING, deprecated, "lifecycle"),
    Check("model-legacy", 4, Severity.WARNING, legacy, "lifecycle"),
    Check("model-alias", 5, Severity.WARNING, alias),
    Check("model-dated", 5, Severity.ERROR, dated),
)
