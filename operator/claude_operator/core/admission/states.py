"""The model's id and where it stands in its life, by its ClaudeModel: the operator keeps the states in its status."""

from __future__ import annotations

from claude_operator.api.lifecycle import LifecyclePolicy
from claude_operator.core.admission.rule import AdmissionRule
from claude_operator.core.admission.words import all_of, quote, when

__all__ = ["DATED", "NAMED", "REJECTED", "RULES", "VARIABLES", "WARNED"]

NAMED = "(x == params.spec.id || (has(params.spec.aliases) && x in params.spec.aliases))"
"""Whether the policy's ClaudeModel is that of the id `x`."""
DATED = (
    f"(x.size() == params.spec.id.size() + 9 && x.startsWith(params.spec.id + '-') && x.matches({quote('-[0-9]{8}$')}))"
)
"""Whether `x` is the ClaudeModel's id with a date behind it."""

RULES: tuple[AdmissionRule, ...] = (
    AdmissionRule(
        "model-alias",
        ("model",),
        when(
            all_of("has(m.aliases)", "r.model in m.aliases", "variables.now.?lifecycle.orValue('') != 'Retired'"),
            "'model: ' + string(r.model) + ' is an alias, whose model can change under a revision: write ' + m.id",
        ),
        of_model=True,
    ),
    AdmissionRule(
        "model-dated",
        ("model",),
        when(
            all_of(
                f"[string(r.model)].exists(x, {DATED})",
                f"m.id.matches({quote(r'^claude-[a-z]+-[0-9]+(-[0-9]{1,2})?$')})",
            ),
            "'model: ' + string(r.model) + ' does not exist, from Claude 4.6 on an id has no date: write ' + m.id",
        ),
        of_model=True,
        of_dated=True,
    ),
)

_STATES = {"model-retired": "Retired", "model-deprecated": "Deprecated", "model-legacy": "Legacy"}
VARIABLES = (
    ("platform", "object.spec.?upstream.?platform.orValue('ClaudeAPI')"),
    # Of other platforms an operator of an earlier version says nothing: then nothing is known.
    (
        "state",
        "variables.now.?platforms[?variables.platform]"
        ".orValue(variables.platform == 'ClaudeAPI' ? variables.now.?lifecycle.orValue('Unknown') : 'Unknown')",
    ),
    # What serves keeps serving, and each revision that is kept can be gone back to: the operator judges new ones.
    (
        "inUse",
        "oldObject == null ? [] : [dyn(oldObject.spec.request.model)] + (has(oldObject.spec.subagents)"
        " ? oldObject.spec.subagents.map(n, oldObject.spec.subagents[n].request.?model.orValue(dyn('')))"
        " : []) + [oldObject.?status.?model.?id.orValue(dyn(''))]"
        " + oldObject.?status.?models.orValue([]).filter(e, e.?where.orValue([])"
        ".exists(w, w == 'request' || w.startsWith('subagent '))).map(e, e.?id.orValue(dyn('')))"
        " + oldObject.?status.?keptModels.orValue([])",
    ),
)
"""What the rules of states look at besides, by name."""


def _in_state(check: str, does: str, condition: str) -> AdmissionRule:
    """What is said of a model in a state for which spec.lifecycle says so."""
    state = _STATES[check]
    field = f"on{state}"
    said = (
        "'model: ' + (variables.platform == 'ClaudeAPI' && variables.now.?message.orValue('') != ''"
        f" ? variables.now.message : string(r.model) + ' is {state} on ' + variables.platform)"
        f" + ' (spec.lifecycle.{field}: {does})'"
    )
    asked = f"object.spec.?lifecycle.?{field}.orValue({quote(_DEFAULTS[field])}) == {quote(does)}"
    told = when(all_of(f"variables.state == {quote(state)}", asked, condition), said)
    return AdmissionRule(check, ("model",), told, of_model=True)


_DEFAULTS = {
    f"on{state}": str(LifecyclePolicy.model_fields[f"on_{state.lower()}"].default) for state in _STATES.values()
}
REJECTED = tuple(_in_state(check, "Reject", "!(r.model in variables.inUse)") for check in _STATES)
"""A model that is new to the object, in a state that spec.lifecycle rejects."""
WARNED = tuple(_in_state(check, "Warn", "true") for check in _STATES)
"""A model in a state that spec.lifecycle warns of."""
