"""The table of all checks, and a request held against it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from claude_operator.core.catalogue.checks import (
    beside,
    betas,
    caching,
    limits,
    mcp,
    messages,
    sampling,
    states,
    thinking,
    tools,
)
from claude_operator.core.catalogue.checks.row import Asked, Check, Finding, Severity
from claude_operator.core.catalogue.table import Model, find
from claude_operator.core.request.unsupported import Takes

__all__ = [
    "CHECKS",
    "Check",
    "Finding",
    "Severity",
    "check_asked",
    "check_request",
    "request_problems",
    "takes",
]

CHECKS: tuple[Check, ...] = (
    *states.ROWS,
    *limits.ROWS,
    *thinking.ROWS,
    *sampling.ROWS,
    *tools.ROWS,
    *mcp.ROWS,
    *caching.ROWS,
    *messages.ROWS,
    *betas.ROWS,
    *beside.ROWS,
)
"""Every check. The API refuses for the first that finds something."""


def check_request(model: Model | None, request: Mapping[str, Any], *, today: datetime.date) -> list[Finding]:
    """Everything that is wrong with a request, errors and warnings, in the order of the table.

    `request` has the Messages API's fields and `betas`, of an eval item or a client also `messages`; `model` is the one
    that it names, None where nothing is known of it: then only what holds for every model is checked.
    """
    return check_asked(Asked(model, request, today))


def check_asked(asked: Asked, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """The same of a request with what is known beside it, by some of the checks."""
    return [
        Finding(check.id, check.severity, fault.path, fault.message, fault.api)
        for check in checks
        for fault in check.find(asked)
    ]


REFUSING = tuple(check for check in CHECKS if check.severity is Severity.ERROR and check.where != "lifecycle")
"""Those whose finding refuses a spec: errors, but not those that spec.lifecycle decides about."""


def request_problems(model: Model | None, request: Mapping[str, Any], *, today: datetime.date) -> list[str]:
    """What the API would refuse of a whole request, each as `<field>: <what>: <what to write instead>`.

    Whether the model still exists is the lifecycle's matter.
    """
    return [finding.message for finding in check_asked(Asked(model, request, today), REFUSING)]


def takes(model_id: str) -> Takes:
    """What a model is known to take of a client."""
    model = find(model_id)
    types = model.thinking_types if model else None
    return Takes(
        sampling=sampling.takes_sampling(model, model_id),
        thinking=None if types is None else frozenset(thinking.accepted_types(types)),
        prefill=model is None or model.prefill_ok is not False,
    )
