"""What is wrong with a request, in the API's words. Beside its shape, the rules are those of the operator's checks."""

from __future__ import annotations

import datetime

from claude_operator.core.catalogue.checks.check import CHECKS
from claude_operator.core.catalogue.checks.row import Asked, Severity
from claude_operator.core.catalogue.table import Model
from claude_operator.simulator.request import Request
from claude_operator.simulator.shape import SHAPE_RULES
from claude_operator.simulator.thinking import first_foreign_block

__all__ = ["shape_violation", "violation"]

# Whether the model exists is answered with 404, and whose key was sent with 401.
_REFUSING = tuple(
    check for check in CHECKS if check.severity is Severity.ERROR and check.where not in ("lifecycle", "key", "rollout")
)


def shape_violation(request: Request) -> str | None:
    """The 400's message for the first field of a wrong name or type, None where every field is right."""
    return next((wrong for rule in SHAPE_RULES if (wrong := rule(request))), None)


def violation(request: Request, model: Model, today: datetime.date) -> str | None:
    """The 400's message for what the model, or the API whatever the model, refuses of a request of the right shape."""
    asked = Asked(model, {**request.body, "betas": list(request.betas)}, today, version=request.version)
    found = (fault.api for check in _REFUSING for fault in check.find(asked) if fault.api)
    return next(found, None) or first_foreign_block(request, model)
