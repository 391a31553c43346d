"""Every rule of admission, and the policies that they make."""

from __future__ import annotations

from claude_operator.core.admission import answers, context, states, tools
from claude_operator.core.admission.policy import Policy
from claude_operator.core.admission.rule import AdmissionRule
from claude_operator.core.catalogue.checks.check import CHECKS, Severity

__all__ = ["BY_DEFINITION", "ELSEWHERE", "POLICIES", "RULES"]

RULES: tuple[AdmissionRule, ...] = (*states.RULES, *answers.RULES, *tools.RULES, *context.RULES)

BY_DEFINITION = {
    "cache-control-shape": "the definition allows type ephemeral and ttl 5m and 1h alone",
    "empty-text": "the definition wants a text of one character or more",
    "mcp-url": "a rule of the definition, of each server",
    "tool-name": "a rule of the definition, of each tool",
    "tool-schema": "a rule of the definition, of each tool",
}
"""Errors that the CustomResourceDefinition refuses, which admission comes after."""

ELSEWHERE = {
    "messages": "the eval set's items and each client's request, which the API answers",
    "version": "a client's header, which the API answers",
    "key": "the Secret: the gateway that reads it",
    "lifecycle": "spec.lifecycle, by rules of their own",
}
"""Where an error is found that no request in a spec shows, by the `where` of its row."""

_SEVERITY = {check.id: check.severity for check in CHECKS}


def _rules(severity: Severity, *, of_model: bool) -> tuple[AdmissionRule, ...]:
    return tuple(rule for rule in RULES if _SEVERITY[rule.check] is severity and rule.of_model is of_model)


_LINT = "`kubectl claude lint` says what to change"


POLICIES = (
    Policy(
        "requests",
        "What the Claude API refuses whatever the model.",
        "Deny",
        _rules(Severity.ERROR, of_model=False),
        f"the Claude API refuses this request: {_LINT}",
    ),
    Policy(
        "models",
        "What a model does not take, and models whose state spec.lifecycle rejects, by the ClaudeModel objects.",
        "Deny",
        (*_rules(Severity.ERROR, of_model=True), *states.REJECTED),
        f"the model does not take this request, or spec.lifecycle rejects its state: {_LINT}",
        per_model=True,
    ),
    Policy(
        "request-warnings",
        "What the Claude API takes and what costs or is going to fail, whatever the model.",
        "Warn",
        _rules(Severity.WARNING, of_model=False),
        f"the Claude API takes this request, and it costs or is going to fail: {_LINT}",
    ),
    Policy(
        "model-warnings",
        "The same for its model, by the ClaudeModel objects.",
        "Warn",
        (*_rules(Severity.WARNING, of_model=True), *states.WARNED),
        f"the Claude API takes this request, and it costs or is going to fail: {_LINT}",
        per_model=True,
    ),
)
