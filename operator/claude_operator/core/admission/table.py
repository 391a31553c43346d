"""Every policy of admission."""

from __future__ import annotations

from claude_operator.core.admission.models import MODEL_RULES
from claude_operator.core.admission.policy import Policy
from claude_operator.core.admission.requests import REQUEST_RULES

__all__ = ["POLICIES"]

POLICIES = (
    Policy(
        "requests",
        "What the Claude API refuses whatever the model.",
        "Deny",
        REQUEST_RULES,
        "the Claude API refuses this request: `kubectl claude lint` says what to change",
    ),
    Policy(
        "models",
        "What the Claude API refuses of a request for its model, by the ClaudeModel objects.",
        "Deny",
        MODEL_RULES,
        "the model does not take this request: `kubectl claude lint` says what to change",
        per_model=True,
    ),
)
