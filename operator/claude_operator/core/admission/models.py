"""Checks of a request against what is known of its model: `m` is the spec of a ClaudeModel."""

from __future__ import annotations

from claude_operator.api.cel import SINCE_4_7
from claude_operator.core.admission.rule import AdmissionRule
from claude_operator.core.admission.words import all_of, has_beta, is_a, quote, shown, strings, value, when

__all__ = ["DATED", "MODEL_RULES", "NAMED", "names_model"]

NAMED = "(x == params.spec.id || (has(params.spec.aliases) && x in params.spec.aliases))"
"""Whether a ClaudeModel is of the id `x`."""
DATED = (
    "(x.startsWith(params.spec.id + '-') && x.size() == params.spec.id.size() + 9"
    f" && x.matches({quote('-[0-9]{8}$')}))"
)
"""Whether `x` is the ClaudeModel's id with a date."""
_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def names_model(expression: str) -> str:
    """Whether the model that the expression gives is that of the policy's ClaudeModel."""
    return f"[string({expression})].exists(x, {NAMED})"


_MODEL = "string(r.model)"
_LEVEL = value("output_config", "effort")
_KIND = value("thinking", "type")
_CHOICE = value("tool_choice", "type")
# A type may have a remark, enabled(deprecated), or a highest effort, disabled<=high.
_TYPES = "m.thinkingTypes.map(w, w.split('<=')[0].split('(')[0])"
_SAMPLING = (
    "(has(m.samplingOn20230601) ? m.samplingOn20230601 == 'default_only'"
    f" : r.model.matches({quote(SINCE_4_7)}))"
)
_SPEED_OF = "(has(m.fastMode) ? m.fastMode : '')"

_OUTPUT = when(
    all_of(
        "has(m.maxOutputTokens)",
        is_a("int", "max_tokens"),
        "r.max_tokens > m.maxOutputTokens",
        f"!{has_beta('output-')}",
    ),
    f"'max_tokens: ' + string(r.max_tokens) + ' is more than ' + {_MODEL} + ' gives: write '"
    " + string(m.maxOutputTokens) + ' or less'",
)
_EFFORT = when(
    all_of("has(m.effortLevels)", f"{_LEVEL} != null", f"!({_LEVEL} in m.effortLevels)"),
    f"m.effortLevels.size() > 0 ? 'output_config.effort: ' + {_MODEL} + ' does not take ' + {shown(_LEVEL)}"
    f" + ': write ' + m.effortLevels.join(' or ') : 'output_config.effort: ' + {_MODEL}"
    " + ' does not take it: remove it'",
)
_LIMIT = "m.thinkingTypes.filter(w, w.split('<=')[0].split('(')[0] == r.thinking.type && w.contains('<='))"
_MEANT = f"({_LEVEL} != null ? {_LEVEL} : has(m.extra) && has(m.extra.defaultEffort) ? m.extra.defaultEffort : '')"
_THINKING = " + ".join(
    (
        when(
            all_of("has(m.thinkingTypes)", f"{_KIND} != null", f"!({_KIND} in {_TYPES})"),
            f"'thinking.type: ' + {_MODEL} + ' does not take ' + {shown(_KIND)} + ': write '"
            f" + {_TYPES}.join(' or ') + ', or remove thinking'",
        ),
        when(
            all_of(
                "has(m.thinkingTypes)",
                f"type({_KIND}) == string",
                f"{_LIMIT}.size() > 0",
                f"{_MEANT} in {strings(_EFFORTS)}",
                f"{strings(_EFFORTS)}.indexOf({_MEANT}) > {strings(_EFFORTS)}.indexOf({_LIMIT}[0].split('<=')[1])",
                f"{_LIMIT}[0].split('<=')[1] in {strings(_EFFORTS)}",
            ),
            f"'thinking.type: ' + {_MODEL} + ' takes ' + {shown(_KIND)} + ' up to effort ' + {_LIMIT}[0].split('<=')[1]"
            f" + ', not with ' + string({_MEANT}) + ': lower output_config.effort to ' + {_LIMIT}[0].split('<=')[1]"
            " + ', or remove thinking'",
        ),
    )
)
_FORCED = when(
    all_of("has(m.forcedToolChoiceOk)", "!m.forcedToolChoiceOk", f"{_CHOICE} in ['any', 'tool']"),
    f"'tool_choice.type: ' + {_MODEL} + ' does not take ' + {shown(_CHOICE)}"
    " + ': write auto, and ask for the tool in system'",
)


def _refused(name: str, condition: str, remedy: str) -> str:
    return when(
        all_of(f"has(r.{name})", f"r.{name} != null", condition, _SAMPLING),
        f"'{name}: ' + {_MODEL} + {quote(f' refuses it: {remedy}')}",
    )


_SAMPLED = " + ".join(
    (
        _refused(
            "temperature", "r.temperature != 1.0", "remove it, and steer with system or output_config.effort"
        ),
        _refused("top_p", "true", "remove it"),
        _refused("top_k", "true", "remove it"),
    )
)
_GEO = when(
    all_of("has(m.inferenceGeoOk)", "!m.inferenceGeoOk", "has(r.inference_geo)", "r.inference_geo != null"),
    f"'inference_geo: ' + {_MODEL} + ' refuses it: remove it, or use a model from Claude 4.6 on'",
)
_IS_FAST = "has(r.speed) && r.speed == 'fast'"
_FAST = " + ".join(
    (
        # Of a model of which only the id or the dates are known, nothing is known here either.
        when(
            all_of(_IS_FAST, "!has(m.fastMode)", "has(m.inferenceGeoOk)"),
            f"'speed: ' + {_MODEL} + ' has no fast mode: remove it'",
        ),
        when(
            all_of(_IS_FAST, "has(m.fastMode)", "m.fastMode.startsWith('beta')", f"!{has_beta('fast-mode-')}"),
            f"'betas: speed fast is a beta on ' + {_MODEL} + ': add fast-mode-2026-02-01'",
        ),
    )
)
_PINNED = " + ".join(
    (
        when(
            all_of("has(m.aliases)", "r.model in m.aliases", "variables.now.?lifecycle.orValue('') != 'Retired'"),
            f"'model: ' + {_MODEL} + ' is an alias, whose model can change under a revision: write ' + m.id",
        ),
        when(
            all_of(
                f"[{_MODEL}].exists(x, {DATED})",
                f"m.id.matches({quote(r'^claude-[a-z]+-[0-9]+(-[0-9]{1,2})?$')})",
            ),
            f"'model: ' + {_MODEL} + ' does not exist, from Claude 4.6 on an id has no date: write ' + m.id",
        ),
    )
)

MODEL_RULES: tuple[AdmissionRule, ...] = (
    AdmissionRule("pinned-id", ("model",), _PINNED, of_dated=True),
    AdmissionRule("output-limit", ("model", "max_tokens", "betas"), _OUTPUT),
    AdmissionRule("effort", ("model", "output_config"), _EFFORT),
    AdmissionRule("thinking-type", ("model", "thinking", "output_config"), _THINKING),
    AdmissionRule("forced-tools", ("model", "tool_choice"), _FORCED),
    AdmissionRule("sampling", ("model", "temperature", "top_p", "top_k"), _SAMPLED),
    AdmissionRule("inference-geo", ("model", "inference_geo"), _GEO),
    AdmissionRule("fast", ("model", "speed", "betas"), _FAST),
)
"""Every check that a ClaudeModel decides."""
