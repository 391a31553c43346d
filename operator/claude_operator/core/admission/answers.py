"""How much is answered, how, and where: limits, effort, thinking, sampling, places and speed."""

from __future__ import annotations

from claude_operator.api.cel import SINCE_4_7
from claude_operator.core.admission.rule import AdmissionRule
from claude_operator.core.admission.words import (
    all_of,
    bind,
    given,
    has_beta,
    is_a,
    quote,
    shown,
    strings,
    value,
    when,
)
from claude_operator.core.catalogue.checks.row import LATEST_VERSION
from claude_operator.core.catalogue.checks.sampling import LEAST_TOP_P
from claude_operator.core.catalogue.checks.thinking import EFFORTS, LEAST_BUDGET

__all__ = ["RULES"]

_MODEL = "string(r.model)"
_LEVEL, _KIND = value("output_config", "effort"), value("thinking", "type")
_BUDGET, _CHOICE = value("thinking", "budget_tokens"), value("tool_choice", "type")


def _zero(name: str, condition: str) -> str:
    return when(
        all_of(is_a("int", "max_tokens"), "r.max_tokens == 0", condition),
        quote(f"max_tokens: 0 cannot be combined with {name}: write 1 or more, or remove {name}"),
    )


def _one_of(field: str, *allowed: str) -> str:
    words = quote(f" is not one of its values: write {' or '.join(allowed)}")
    condition = all_of(f"has(r.{field})", f"r.{field} != null", f"!(r.{field} in {strings(allowed)})")
    return when(condition, f"'{field}: ' + {shown(f'r.{field}')} + {words}")


_LIMIT_RULES = (
    AdmissionRule(
        "max-tokens",
        ("model", "max_tokens", "betas"),
        when(
            all_of(
                "has(m.maxOutputTokens)",
                is_a("int", "max_tokens"),
                "r.max_tokens > m.maxOutputTokens",
                f"!{has_beta('output-')}",
            ),
            f"'max_tokens: ' + string(r.max_tokens) + ' is more than ' + {_MODEL} + ' gives: write '"
            " + string(m.maxOutputTokens) + ' or less'",
        ),
        of_model=True,
    ),
    AdmissionRule(
        "max-tokens-zero",
        ("max_tokens", "thinking", "output_config", "tool_choice", "compaction"),
        " + ".join(
            (
                _zero("thinking", f"{_KIND} == 'enabled'"),
                _zero("output_config.format", given("output_config", "format")),
                _zero("tool_choice", f"{_CHOICE} in ['any', 'tool']"),
                _zero("compaction", given("compaction")),
            )
        ),
    ),
    AdmissionRule(
        "geo-model",
        ("model", "inference_geo"),
        when(
            all_of(
                "has(m.inferenceGeoOk)", "m.inferenceGeoOk == false", "has(r.inference_geo)", "r.inference_geo != null"
            ),
            f"'inference_geo: ' + {_MODEL} + ' refuses it: remove it, or use a model from Claude 4.6 on'",
        ),
        of_model=True,
    ),
    AdmissionRule("geo-value", ("inference_geo",), _one_of("inference_geo", "us", "global")),
    AdmissionRule("speed-value", ("speed",), _one_of("speed", "standard", "fast")),
    AdmissionRule("service-tier", ("service_tier",), _one_of("service_tier", "auto", "standard_only")),
    AdmissionRule(
        "stop-sequence-blank",
        ("stop_sequences",),
        bind(
            "q",
            f"({is_a('list', 'stop_sequences')} ? r.stop_sequences : [])",
            bind(
                "blank",
                "q.filter(x, type(x) != string || string(x).trim() == '')",
                when(
                    "blank.size() > 0",
                    f"'stop_sequences[' + string(q.indexOf(blank[0])) + ']: ' + {shown('blank[0]')}"
                    " + ' is blank: write a text with more than white space, or remove it'",
                ),
            ),
        ),
    ),
)

_IS_FAST = "has(r.speed) && r.speed == 'fast'"
# What a mode has come to by today stands in the ClaudeModel's status: there is no clock here.
_OVER = "m.fastMode.startsWith('beta-until-') && variables.now.?fastMode.orValue('') == 'none'"
_SPEED_RULES = (
    AdmissionRule(
        "speed-model",
        ("model", "speed"),
        # Of a model of which only the id or the dates are known, nothing is known here either.
        when(
            all_of(_IS_FAST, "!has(m.fastMode)", "has(m.inferenceGeoOk)"),
            f"'speed: ' + {_MODEL} + ' has no fast mode: remove it'",
        )
        + " + "
        + when(
            all_of(_IS_FAST, "has(m.fastMode)", _OVER),
            f"'speed: ' + {_MODEL} + ' had a fast mode until ' + m.fastMode.replace('beta-until-', '') + ': remove it'",
        ),
        of_model=True,
    ),
    AdmissionRule(
        "speed-beta",
        ("model", "speed", "betas"),
        when(
            all_of(_IS_FAST, "has(m.fastMode)", "m.fastMode != 'ga'", f"!({_OVER})", f"!{has_beta('fast-mode-')}"),
            f"'betas: speed fast is a beta on ' + {_MODEL} + ': add fast-mode-2026-02-01'",
        ),
        of_model=True,
    ),
)

# A type may have a remark, enabled(deprecated), or a highest effort, disabled<=high.
_BARE = "w.split('<=')[0].split('(')[0]"
_TYPES = f"m.thinkingTypes.map(w, {_BARE})"
_MOST = f"m.thinkingTypes.filter(w, {_BARE} == {_KIND} && w.contains('<=')).map(w, string(w.split('<=')[1]))"
_MEANT = f"({given('output_config', 'effort')} ? {_LEVEL} : m.?extra.?defaultEffort.orValue(null))"
_THINKING_RULES = (
    AdmissionRule(
        "effort",
        ("model", "output_config"),
        when(
            all_of("has(m.effortLevels)", f"{_LEVEL} != null", f"!({_LEVEL} in m.effortLevels)"),
            f"m.effortLevels.size() > 0 ? 'output_config.effort: ' + {_MODEL} + ' does not take ' + {shown(_LEVEL)}"
            f" + ': write ' + m.effortLevels.join(' or ') : 'output_config.effort: ' + {_MODEL}"
            " + ' does not take it: remove it'",
        ),
        of_model=True,
    ),
    AdmissionRule(
        "thinking-type",
        ("model", "thinking"),
        when(
            all_of("has(m.thinkingTypes)", f"{_KIND} != null", f"!({_KIND} in {_TYPES})"),
            f"'thinking.type: ' + {_MODEL} + ' does not take ' + {shown(_KIND)} + ': write '"
            f" + {_TYPES}.join(' or ') + ', or remove thinking'",
        ),
        of_model=True,
    ),
    AdmissionRule(
        "thinking-effort",
        ("model", "thinking", "output_config"),
        bind(
            "o",
            f"{{'levels': dyn({strings(EFFORTS)}), 'meant': dyn({_MEANT}), 'most': dyn("
            f"has(m.thinkingTypes) && type({_KIND}) == string ? {_MOST} : [])}}",
            when(
                all_of(
                    "o.most.size() > 0",
                    "o.most[0] in o.levels",
                    "o.meant in o.levels",
                    "o.levels.indexOf(o.meant) > o.levels.indexOf(o.most[0])",
                ),
                f"'thinking.type: ' + {_MODEL} + ' takes ' + {shown(_KIND)} + ' up to effort ' + o.most[0]"
                " + ', not with ' + o.meant + ': lower output_config.effort to ' + o.most[0] + ', or remove thinking'",
            ),
        ),
        of_model=True,
    ),
    AdmissionRule(
        "thinking-fields",
        ("thinking",),
        when(
            all_of(f"{_KIND} == 'between_tools'", "r.thinking.size() > 1"),
            quote("thinking: between_tools takes no other fields: remove all but type"),
        ),
    ),
    AdmissionRule(
        "thinking-budget",
        ("thinking", "max_tokens", "betas"),
        when(
            all_of(f"{_KIND} == 'enabled'", f"!(type({_BUDGET}) == int && {_BUDGET} >= {LEAST_BUDGET})"),
            f"'thinking.budget_tokens: ' + {shown(_BUDGET)} + ' is too small: write {LEAST_BUDGET} or more'",
        )
        + " + "
        + when(
            all_of(
                f"{_KIND} == 'enabled'",
                f"type({_BUDGET}) == int",
                f"{_BUDGET} >= {LEAST_BUDGET}",
                is_a("int", "max_tokens"),
                f"{_BUDGET} >= r.max_tokens",
                f"!{has_beta('interleaved-thinking-')}",
            ),
            f"'thinking.budget_tokens: ' + string({_BUDGET}) + ' is not below max_tokens ' + string(r.max_tokens)"
            " + ': lower it or raise max_tokens'",
        ),
    ),
)

_IS_NEW = f"string(r.model).matches({quote(SINCE_4_7)})"


def _has(name: str) -> str:
    return f"has(r.{name}) && r.{name} != null"


def _number(name: str) -> str:
    return f"(type(r.{name}) == int || type(r.{name}) == double)"


def _refused(name: str, condition: str, but: str, remedy: str) -> str:
    said = f"'{name}: ' + {_MODEL} + {quote(f' refuses it: {remedy}')}"
    return when(all_of(_has(name), condition, but), said)


def _sampling(condition: str) -> str:
    steer = "remove it, and steer with system or output_config.effort"
    return " + ".join(
        (
            _refused("temperature", condition, "r.temperature != 1.0", steer),
            _refused("top_p", condition, "true", "remove it"),
            _refused("top_k", condition, "true", "remove it"),
        )
    )


def _with_thinking(name: str, fits: str, remedy: str) -> str:
    return when(
        all_of(f"!{_IS_NEW}", f"{_KIND} in ['enabled', 'adaptive']", _has(name), f"!({fits})"),
        f"'{name}: the API does not take ' + string(r.{name}) + ' together with thinking: {remedy}, or remove"
        " thinking'",
    )


def _new_clients(name: str, condition: str) -> str:
    return when(
        all_of(_has(name), condition),
        quote(
            f"{name}: requests of clients that send anthropic-version {LATEST_VERSION}, as newer SDKs do, are refused"
            " with it: remove it, or keep clients on an SDK that sends 2023-06-01"
        ),
    )


_SAMPLING_FIELDS = ("model", "temperature", "top_p", "top_k")
_SAMPLING_RULES = (
    AdmissionRule("sampling-model", _SAMPLING_FIELDS, _sampling(_IS_NEW)),
    AdmissionRule(
        "sampling-model",
        _SAMPLING_FIELDS,
        _sampling(f"!{_IS_NEW} && has(m.samplingOn20230601) && m.samplingOn20230601 == 'default_only'"),
        of_model=True,
    ),
    AdmissionRule(
        "sampling-new-clients",
        _SAMPLING_FIELDS,
        " + ".join(
            (
                _new_clients("temperature", f"(!{_IS_NEW} || r.temperature == 1.0)"),
                _new_clients("top_p", f"!{_IS_NEW}"),
                _new_clients("top_k", f"!{_IS_NEW}"),
            )
        ),
    ),
    AdmissionRule(
        "temperature-range",
        ("model", "temperature"),
        when(
            all_of(
                f"!{_IS_NEW}",
                _has("temperature"),
                _number("temperature"),
                "(r.temperature < 0.0 || r.temperature > 1.0)",
            ),
            "'temperature: ' + string(r.temperature) + ' is out of range: write a number from 0 to 1'",
        ),
    ),
    AdmissionRule(
        "temperature-with-top-p",
        ("model", "temperature", "top_p"),
        when(
            all_of(f"!{_IS_NEW}", _has("temperature"), _has("top_p")),
            quote("top_p: the API does not take it together with temperature: remove one of them"),
        ),
    ),
    AdmissionRule(
        "sampling-with-thinking",
        (*_SAMPLING_FIELDS, "thinking"),
        " + ".join(
            (
                _with_thinking("temperature", "r.temperature == 1.0", "remove temperature"),
                _with_thinking(
                    "top_p",
                    f"{_number('top_p')} && r.top_p >= {LEAST_TOP_P}",
                    f"write {LEAST_TOP_P} or more",
                ),
                _with_thinking("top_k", "false", "remove top_k"),
            )
        ),
    ),
)

RULES: tuple[AdmissionRule, ...] = (*_LIMIT_RULES, *_SPEED_RULES, *_THINKING_RULES, *_SAMPLING_RULES)
