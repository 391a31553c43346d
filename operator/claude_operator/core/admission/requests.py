"""Checks of a request whatever its model."""

from __future__ import annotations

from claude_operator.core.admission.rule import AdmissionRule
from claude_operator.core.admission.words import (
    all_of,
    binding,
    entries,
    has_beta,
    is_a,
    quote,
    shown,
    strings,
    value,
    when,
)
from claude_operator.core.catalogue.request_rules import _FIXED_NAMES as FIXED_NAMES
from claude_operator.core.request.breakpoints import LIMIT

__all__ = ["REQUEST_RULES"]

_TOOLS, _SERVERS = entries("tools"), entries("mcp_servers")
_TTL = "(has(e.cache_control.ttl) && type(e.cache_control.ttl) == string ? string(e.cache_control.ttl) : '5m')"
_LIVES = (
    f"(({_TOOLS} + {entries('system')}).filter(e, has(e.cache_control) && type(e.cache_control) == map).map(e, {_TTL})"
    f" + ({is_a('map', 'cache_control')} ? [r].map(e, {_TTL}) : []))"
)
_OWN = f"{_TOOLS}.filter(t, !has(t.type) || t.type == null || t.type == 'custom')"
_SCHEMA = "has(t.input_schema) && type(t.input_schema) == map"
_CHOICE, _CHOSEN = value("tool_choice", "type"), value("tool_choice", "name")
_CACHED = ("tools", "system", "cache_control")


def _texts(listed: str, field: str) -> str:
    """The texts of a field over a list of objects."""
    return f"{listed}.filter(e, has(e.{field}) && type(e.{field}) == string).map(e, string(e.{field}))"


_NAMES = _texts(_TOOLS, "name")
_SERVER_NAMES = _texts(_SERVERS, "name")
_SETS = _texts(f"{_TOOLS}.filter(t, has(t.type) && t.type == 'mcp_toolset')", "mcp_server_name")


def _each(listed: str, name: str, condition: str, message: str) -> str:
    """A message for each element that meets the condition."""
    return f"{listed}.filter({name}, {condition}).map({name}, {message})"


def _named_twice(field: str, of: str, names: str) -> str:
    """A message for the first name that is there more than once."""
    twice = "n.filter(x, n.indexOf(x) != n.lastIndexOf(x))"
    count = f"string(n.filter(x, x == {twice}[0]).size())"
    said = f"'{field}: ' + {count} + ' {of} are named \\'' + {twice}[0] + '\\': rename or remove all but one'"
    return binding("n", names, when(f"{twice}.size() > 0", said))


def _values(field: str, *allowed: str) -> str:
    """A message where a field has another value than these."""
    words = quote(f" is not one of its values: write {' or '.join(allowed)}")
    condition = all_of(f"has(r.{field})", f"r.{field} != null", f"!(r.{field} in {strings(allowed)})")
    return when(condition, f"'{field}: ' + {shown(f'r.{field}')} + {words}")


def _fixed_names() -> str:
    pairs = ", ".join(strings(pair) for pair in FIXED_NAMES.items())
    condition = "has(t.type) && type(t.type) == string && t.type.startsWith(f[0]) && !(has(t.name) && t.name == f[1])"
    said = "'tools: a tool of type ' + string(t.type) + ' has one name only: write name: ' + f[1]"
    return f"[{pairs}].map(f, {_TOOLS}.filter(t, {condition}).map(t, {said}).join('; ')).filter(x, x != '')"


_FEW = binding(
    "l",
    _LIVES,
    when(
        f"l.size() > {LIMIT}",
        "'cache_control: ' + string(l.size()) + "
        + quote(
            f" breakpoints over tools, promptFrom, system and the top level, the API takes {LIMIT}: keep those at the"
            " end of the longest prefixes that stay the same"
        ),
    ),
)
_HOURS_FIRST = binding(
    "l",
    _LIVES,
    when(
        "'5m' in l && '1h' in l && l.lastIndexOf('1h') > l.indexOf('5m')",
        quote(
            "cache_control: ttl 1h comes after 5m, in the order tools, promptFrom, system, top level: give the earlier"
            " ones 1h or the later ones 5m"
        ),
    ),
)
_TOOL_NAMES = " + ".join(
    (
        _named_twice("tools", "tools", _NAMES),
        _each(
            _NAMES,
            "x",
            "!x.matches('^[a-zA-Z0-9_-]{1,64}$')",
            "'tools: \\'' + x + '\\' is not a tool name: write 1 to 64 letters, digits, _ or -'",
        ),
        _fixed_names(),
    )
)
_NAME = "(has(t.name) && type(t.name) == string ? string(t.name) : 'a tool of your own')"
_IS_OBJECT = "has(t.input_schema.type) && t.input_schema.type == 'object'"
_OWN_TOOLS = " + ".join(
    (
        _each(
            _OWN,
            "t",
            f"!(has(t.name) && {_SCHEMA})",
            f"'tools: ' + {_NAME} + ' has no name or no input_schema: write both, or a type'",
        ),
        _each(
            _OWN,
            "t",
            f"has(t.name) && {_SCHEMA} && !({_IS_OBJECT})",
            f"'tools: input_schema of ' + {_NAME} + ' is not the schema of an object: write type: object'",
        ),
        _each(
            _OWN,
            "t",
            f"has(t.name) && {_SCHEMA} && has(t.strict) && t.strict == true"
            " && !(has(t.input_schema.additionalProperties) && t.input_schema.additionalProperties == false)",
            f"'tools: ' + {_NAME} + ' is strict: write additionalProperties: false into its input_schema, or remove"
            " strict'",
        ),
    )
)
_TOOLSETS = " + ".join(
    (
        _named_twice("mcp_servers", "servers", _SERVER_NAMES),
        binding(
            "sets",
            _SETS,
            _each(
                _SERVER_NAMES,
                "x",
                "!(x in sets) || sets.indexOf(x) != sets.lastIndexOf(x)",
                "'tools: MCP server \\'' + x + '\\' has ' + string(sets.filter(y, y == x).size())"
                " + ' toolsets: write {type: mcp_toolset, mcp_server_name: ' + x + '} exactly once'",
            ),
        ),
        binding(
            "servers",
            _SERVER_NAMES,
            _each(
                _SETS,
                "x",
                "!(x in servers)",
                "'tools: a toolset names the unknown MCP server \\'' + x"
                " + '\\': add it to mcp_servers, or remove the toolset'",
            ),
        ),
        _each(
            _SERVERS,
            "s",
            "!(has(s.url) && type(s.url) == string && s.url.startsWith('https://'))",
            "'mcp_servers: the url of ' + (has(s.name) ? "
            + shown("s.name")
            + " : 'a server') + ' does not start with https://: write one that does'",
        ),
        when(
            f"{_SERVERS}.size() > 0 && !{has_beta('mcp-client-')}",
            quote("betas: mcp_servers is a beta of the API: add mcp-client-2025-11-20"),
        ),
    )
)
_BETAS = _each(
    f"({is_a('list', 'betas')} ? r.betas : [])",
    "b",
    "!(type(b) == string && b.matches('^[a-z0-9][a-z0-9._-]*$'))",
    f"'betas: ' + {shown('b')} + ' is not a single beta: write each as an entry of its own, without spaces or commas'",
)
_BUDGET, _THINKS = value("thinking", "budget_tokens"), value("thinking", "type")
_THINKING = " + ".join(
    (
        when(
            all_of(f"{_THINKS} == 'between_tools'", "r.thinking.size() > 1"),
            quote("thinking: between_tools takes no other fields: remove all but type"),
        ),
        when(
            all_of(f"{_THINKS} == 'enabled'", f"!(type({_BUDGET}) == int && {_BUDGET} >= 1024)"),
            f"'thinking.budget_tokens: ' + ({_BUDGET} == null ? 'None' : {shown(_BUDGET)})"
            " + ' is too small: write 1024 or more'",
        ),
        when(
            all_of(
                f"{_THINKS} == 'enabled'",
                f"type({_BUDGET}) == int",
                f"{_BUDGET} >= 1024",
                is_a("int", "max_tokens"),
                f"{_BUDGET} >= r.max_tokens",
                f"!{has_beta('interleaved-thinking-')}",
            ),
            f"'thinking.budget_tokens: ' + string({_BUDGET}) + ' is not below max_tokens ' + string(r.max_tokens)"
            " + ': lower it or raise max_tokens'",
        ),
    )
)
_EDITS = f"({is_a('list', 'context_management', 'edits')} ? r.context_management.edits.filter(e, type(e) == map) : [])"
_TASK = value("output_config", "task_budget")
_CONTEXT = " + ".join(
    (
        when(
            all_of("has(r.compaction)", "r.compaction != null", "has(r.context_management)"),
            quote("compaction: the API does not take it together with context_management: remove one of them"),
        ),
        _each(
            _EDITS,
            "e",
            "has(e.type) && type(e.type) == string && e.type.startsWith('compact_') && has(e.trigger)"
            " && type(e.trigger) == map && has(e.trigger.value) && type(e.trigger.value) == int"
            " && e.trigger.value < 50000",
            "'context_management.edits: a compaction trigger of ' + string(e.trigger.value)"
            " + ' is too small: write 50000 or more'",
        ),
        when(
            all_of(
                is_a("map", "output_config", "task_budget"),
                "has(r.output_config.task_budget.total)",
                "type(r.output_config.task_budget.total) == int",
                "r.output_config.task_budget.total < 20000",
            ),
            "'output_config.task_budget: a total of ' + string(r.output_config.task_budget.total)"
            " + ' is too small: write 20000 or more'",
        ),
        when(
            all_of(f"{_TASK} != null", f"{_TASK} != {{}}", f"!{has_beta('task-budgets-')}"),
            quote("betas: output_config.task_budget is a beta of the API: add task-budgets-2026-03-13"),
        ),
    )
)


def _empty_answer(name: str, condition: str) -> str:
    return when(
        all_of(is_a("int", "max_tokens"), "r.max_tokens == 0", condition),
        quote(f"max_tokens: 0 cannot be combined with {name}: write 1 or more, or remove {name}"),
    )


_EMPTY = " + ".join(
    (
        _empty_answer("thinking", f"{_THINKS} == 'enabled'"),
        _empty_answer("output_config.format", f"{value('output_config', 'format')} != null"),
        _empty_answer("tool_choice", f"{_CHOICE} in ['any', 'tool']"),
        _empty_answer("compaction", "has(r.compaction) && r.compaction != null"),
    )
)

REQUEST_RULES: tuple[AdmissionRule, ...] = (
    AdmissionRule("few-breakpoints", _CACHED, _FEW),
    AdmissionRule("hours-first", _CACHED, _HOURS_FIRST),
    AdmissionRule("tool-names", ("tools",), _TOOL_NAMES),
    AdmissionRule("own-tools", ("tools",), _OWN_TOOLS),
    AdmissionRule("toolsets", ("tools", "mcp_servers", "betas"), _TOOLSETS),
    AdmissionRule("betas", ("betas",), _BETAS),
    AdmissionRule(
        "known-values",
        ("inference_geo", "service_tier", "speed"),
        " + ".join(
            (
                _values("inference_geo", "us", "global"),
                _values("service_tier", "auto", "standard_only"),
                _values("speed", "standard", "fast"),
            )
        ),
    ),
    AdmissionRule("thinking-budget", ("thinking", "max_tokens", "betas"), _THINKING),
    AdmissionRule("context-edits", ("context_management", "compaction", "output_config", "betas"), _CONTEXT),
    AdmissionRule(
        "empty-answers", ("max_tokens", "thinking", "output_config", "tool_choice", "compaction"), _EMPTY
    ),
)
"""Every check that needs no model."""
