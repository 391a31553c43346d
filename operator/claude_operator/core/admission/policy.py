"""ValidatingAdmissionPolicies of the rules: what they are about, and how the texts of all rules become one answer.

A policy acts where the request, a subagent or promptFrom changed, and lets in what it cannot judge: the operator judges
the same again, in the condition Accepted. So an object that was accepted can always be annotated, paused, scaled and
deleted, also while a definition or a ClaudeModel is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from claude_operator.api.base import API_VERSION, GROUP
from claude_operator.core.admission.rule import AdmissionRule
from claude_operator.core.admission.states import DATED, NAMED, VARIABLES
from claude_operator.core.admission.words import strings

__all__ = ["Policy"]

Object = dict[str, Any]
Action = Literal["Deny", "Warn"]
_REQUEST = "object.spec.request"
CHANGED = " || ".join(
    (
        "oldObject == null",
        "object.spec.request != oldObject.spec.request",
        "object.spec.?subagents != oldObject.spec.?subagents",
        "object.spec.?promptFrom != oldObject.spec.?promptFrom",
    )
)
"""Whether what makes a revision is new."""
_MODELS = (
    f"([{_REQUEST}.model] + (has(object.spec.subagents) ? object.spec.subagents"
    f".map(n, object.spec.subagents[n].request.?model.orValue({_REQUEST}.model)) : []))"
)
_CONCERNS = f"{_MODELS}.exists(x, {NAMED} || {DATED})"
"""Whether a served request names the policy's ClaudeModel."""
_LONGEST = 1000  # characters of an answer, which may have 5 KiB
_SYSTEM = (
    "has(object.spec.promptFrom) ? optional.of(dyn(object.spec.promptFrom.map(p, {'type': dyn('text'),"
    " 'text': dyn('...'), ?'cache_control': p.?cache_control})"
    f" + {_REQUEST}.?system.orValue([]))) : {_REQUEST}.?system"
)


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy and its binding. `suffix` ends its name; `message` is said where the rules' own texts cannot be."""

    suffix: str
    about: str
    action: Action
    rules: tuple[AdmissionRule, ...]
    message: str
    per_model: bool = False

    def manifest(self, name: str) -> tuple[Object, Object]:
        """The policy and its binding, without labels, under a name."""
        kinds = (
            ("ValidatingAdmissionPolicy", self.policy_spec()),
            ("ValidatingAdmissionPolicyBinding", self.binding_spec(name)),
        )
        return tuple(
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
            for kind, spec in kinds
        )  # type: ignore[return-value]

    def policy_spec(self) -> Object:
        """The spec of the policy."""
        params = {"paramKind": {"apiVersion": API_VERSION, "kind": "ClaudeModel"}} if self.per_model else {}
        # The API server evaluates every condition, and this for each ClaudeModel: the cheap half comes first.
        changed = f"{_CONCERNS} && ({CHANGED})" if self.per_model else CHANGED
        return {
            "failurePolicy": "Ignore",
            **params,
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [GROUP],
                        "apiVersions": ["*"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["claudedeployments"],
                    }
                ]
            },
            "matchConditions": [{"name": "changed", "expression": changed}],
            "variables": [{"name": name, "expression": expression} for name, expression in self._variables()],
            "validations": [
                {
                    "expression": "variables.problems.size() == 0",
                    "message": self.message,
                    "messageExpression": _ANSWER,
                    "reason": "Invalid",
                }
            ],
        }

    def binding_spec(self, name: str) -> Object:
        """The spec of the binding: each ClaudeModel is asked in turn."""
        params = {"paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"}} if self.per_model else {}
        return {"policyName": name, **params, "validationActions": [self.action]}

    def _variables(self) -> Iterable[tuple[str, str]]:
        fields = sorted({name for rule in self.rules for name in rule.reads})
        yield "request", _merged(fields)
        yield "subagents", _subagents(fields)
        if self.per_model:
            yield "m", "params.spec"
            yield "now", "dyn(has(params.status) ? params.status : {})"
            yield from VARIABLES
        yield "clientTools", "object.spec.?overrides.?tools.orValue('Replace') != 'Replace'"
        names = []
        for rule in self.rules:
            names.append(rule.check.replace("-", "_"))
            yield names[-1], self._answers(rule)
        yield "problems", f"[{', '.join(f'string(variables.{name})' for name in names)}].filter(t, t != '')"

    def _answers(self, rule: AdmissionRule) -> str:
        """What a rule finds in the request and in those of subagents that the request does not have too, as a text."""
        problems = self._asked(rule)
        return (
            f"[variables.request].map(r, {problems}).map(known, (known.map(p, 'spec.request.' + p)"
            f" + variables.subagents.filter(s, {strings(rule.reads)}.exists(f, f in s.own))"
            f".map(s, [s.r].map(r, {problems})[0].filter(p, !(p in known)).map(p, s.at + p).join('; '))"
            ".filter(t, t != '')).join('; '))[0]"
        )

    def _asked(self, rule: AdmissionRule) -> str:
        if not self.per_model:
            return f"({rule.problems})"
        condition = f"[string(r.model)].exists(x, {NAMED}{f' || {DATED}' if rule.of_dated else ''})"
        return f"({condition} ? [variables.m].map(m, {rule.problems})[0] : [])"


_ANSWER = (
    "[variables.problems.join('; ')].map(t, t.matches('[[:cntrl:]]') ? '' : t.size() > "
    f"{_LONGEST} ? t.substring(0, {_LONGEST}) + '...' : t)[0]"
)


def _merged(fields: Iterable[str]) -> str:
    """spec.request with the blocks of promptFrom: only fields that are looked at."""
    pairs = [f"?'{name}': {_SYSTEM if name == 'system' else f'{_REQUEST}.?{name}'}" for name in fields]
    return "{" + ", ".join(pairs) + "}"


def _subagents(fields: Iterable[str]) -> str:
    """Of each subagent where it is, its own fields, and its request as it is served."""
    own = "object.spec.subagents[n].request"
    pairs = ", ".join(f"?'{name}': {own}.?{name}.or(variables.request.?{name})" for name in fields)
    entry = f"{{'at': dyn('spec.subagents.' + n + '.request.'), 'own': dyn({own}), 'r': dyn({{{pairs}}})}}"
    return f"has(object.spec.subagents) ? object.spec.subagents.map(n, {entry}) : []"
