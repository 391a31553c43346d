"""Tools, MCP servers, and the choice among tools."""

from __future__ import annotations

from claude_operator.core.admission.generations import BEFORE_4_6
from claude_operator.core.admission.rule import AdmissionRule
from claude_operator.core.admission.words import (
    all_of,
    any_of,
    bind,
    each,
    entries,
    given,
    missing_beta,
    named_twice,
    quoted,
    shown,
    strings,
    text_of,
    texts,
    value,
    when,
)
from claude_operator.core.catalogue.checks.tools import FIXED_NAMES, FORCED, NEW_WEB, TYPES

__all__ = ["RULES"]

_TOOLS, _SERVERS = entries("tools"), entries("mcp_servers")
_IS_OWN = "(!has(t.type) || t.type == null || t.type == 'custom')"
_HAS_SCHEMA = "has(t.input_schema) && type(t.input_schema) == map"
_NAME = "(has(t.name) && type(t.name) == string ? string(t.name) : 'a tool of your own')"
_NAMES = texts(_TOOLS, "name")
_SERVER_NAMES = texts(_SERVERS, "name")
_SETS = texts(f"{_TOOLS}.filter(t, has(t.type) && t.type == 'mcp_toolset')", "mcp_server_name")
_CLIENT = "variables.clientTools"
_KIND, _CHOSEN = value("tool_choice", "type"), value("tool_choice", "name")
_IS_FORCED = f"{_KIND} in {strings(FORCED)}"
_DATED = "type(t.type) == string && t.type.matches('^[a-z][a-z0-9_]*_[0-9]{8}$')"
_KNOWN = [f"{name}_{date}" for name, dates in sorted(TYPES.items()) for date in dates]
_OLDER = "(t.type.startsWith('web_search_') ? 'web_search_20250305' : 'web_fetch_20250910')"


def _fixed_names() -> str:
    pairs = ", ".join(strings(pair) for pair in FIXED_NAMES.items())
    condition = "has(t.type) && type(t.type) == string && t.type.startsWith(f[0]) && !(has(t.name) && t.name == f[1])"
    said = "'tools: a tool of type ' + string(t.type) + ' has one name only: write name: ' + f[1]"
    return f"[{pairs}].map(f, {each(_TOOLS, 't', condition, said)}.join('; ')).filter(x, x != '')"


_NEW_WEB_TOOLS = each(
    _TOOLS,
    "t",
    "has(t.type) && type(t.type) == string && t.type.matches('^web_(search|fetch)_[0-9]{8}$')"
    f" && t.type.substring(t.type.size() - 8) >= '{NEW_WEB}'",
    f"'tools: ' + string(r.model) + ' does not take ' + string(t.type) + ': write ' + {_OLDER}"
    " + ', or use a model from Claude 4.6 on'",
)
_UNDECLARED = bind(
    "d",
    _NAMES,
    when(
        all_of(
            f"{_KIND} == 'tool'",
            f"{_TOOLS}.size() > 0",
            f"!{_CLIENT}",
            f"!{_TOOLS}.exists(t, has(t.type) && type(t.type) == string && t.type.contains('toolset'))",
            f"!({_CHOSEN} in d)",
        ),
        f"'tool_choice.name: no tool is named ' + {shown(_CHOSEN)} + ': write '"
        " + (d.size() == 0 ? 'the name of a tool' : d.filter(x, d.indexOf(x) < 5).join(' or '))"
        " + ', or add the tool'",
    ),
)

_TOOL_RULES = (
    AdmissionRule("tool-duplicate", ("tools",), named_twice("tools", "tools", _NAMES)),
    AdmissionRule(
        "tool-strict",
        ("tools",),
        each(
            _TOOLS,
            "t",
            f"{_IS_OWN} && {_HAS_SCHEMA} && has(t.strict) && t.strict == true"
            " && !(has(t.input_schema.additionalProperties) && t.input_schema.additionalProperties == false)",
            f"'tools: ' + {_NAME} + ' is strict: write additionalProperties: false into its input_schema, or remove"
            " strict'",
        ),
    ),
    AdmissionRule(
        "tool-type",
        ("tools",),
        each(
            _TOOLS,
            "t",
            f"!{_IS_OWN} && t.type != 'mcp_toolset' && !({_DATED})",
            f"'tools: ' + {shown('t.type')} + ' is not a type of tool: write one with its date, such as"
            " web_search_20260318, or custom for a tool of your own'",
        ),
    ),
    AdmissionRule(
        "tool-type-unknown",
        ("tools",),
        each(
            _TOOLS,
            "t",
            f"has(t.type) && {_DATED} && !(t.type in {strings(_KNOWN)})",
            "'tools: type ' + string(t.type) + ' is not known here: correct it, unless the API has it'",
        ),
    ),
    AdmissionRule("tool-fixed-name", ("tools",), _fixed_names()),
    AdmissionRule(
        "web-tool-model",
        ("model", "tools"),
        f"({BEFORE_4_6} ? {_NEW_WEB_TOOLS} : [])",
        of_model=True,
    ),
    AdmissionRule(
        "tools-deferred",
        ("tools",),
        when(
            all_of(
                f"{_TOOLS}.size() > 0",
                f"!{_CLIENT}",
                f"{_TOOLS}.all(t, has(t.defer_loading) && t.defer_loading == true)",
            ),
            "'tools: all have defer_loading, and nothing can look for them: remove it from one of them'",
        ),
    ),
)

_CHOICE_RULES = (
    AdmissionRule(
        "tool-choice-type",
        ("tool_choice",),
        when(
            all_of(given("tool_choice"), f"!({_KIND} in ['auto', 'any', 'tool', 'none'])"),
            f"'tool_choice.type: ' + {shown(_KIND)} + ' is not one of its values: write auto or any or tool or none'",
        ),
    ),
    AdmissionRule(
        "forced-tool-model",
        ("model", "tool_choice"),
        when(
            all_of("has(m.forcedToolChoiceOk)", "m.forcedToolChoiceOk == false", _IS_FORCED),
            f"'tool_choice.type: ' + string(r.model) + ' does not take ' + {shown(_KIND)}"
            " + ': write auto, and ask for the tool in system'",
        ),
        of_model=True,
    ),
    AdmissionRule(
        "forced-tool-without-tools",
        ("tools", "tool_choice"),
        when(
            all_of(_IS_FORCED, f"!{given('tools')}", f"!{_CLIENT}"),
            f"'tool_choice: ' + {shown(_KIND)} + ' forces a tool, and there are no tools: write tools, or remove"
            " tool_choice'",
        ),
    ),
    AdmissionRule("forced-tool-undeclared", ("tools", "tool_choice"), _UNDECLARED),
    AdmissionRule(
        "forced-tool-thinking",
        ("thinking", "tool_choice"),
        when(
            all_of(_IS_FORCED, f"{value('thinking', 'type')} in ['enabled', 'adaptive']"),
            f"'tool_choice.type: ' + {shown(_KIND)} + ' forces a tool, which the API does not take together with"
            " thinking: write auto, or remove thinking'",
        ),
    ),
    AdmissionRule(
        "skills-code-execution",
        ("tools", "container"),
        when(
            all_of(
                given("container", "skills"),
                f"!{_CLIENT}",
                f"!{_TOOLS}.exists(t, {text_of('type', 'code_execution_')})",
            ),
            "'container.skills: skills run in code execution: add {type: code_execution_20260521, name:"
            " code_execution} to tools'",
        ),
    ),
)

_MCP_RULES = (
    AdmissionRule("mcp-duplicate", ("mcp_servers",), named_twice("mcp_servers", "servers", _SERVER_NAMES)),
    AdmissionRule(
        "mcp-toolset",
        ("tools", "mcp_servers"),
        bind(
            "sets",
            _SETS,
            bind(
                "n",
                _SERVER_NAMES,
                each(
                    "n",
                    "x",
                    any_of("!(x in sets)", "sets.indexOf(x) != sets.lastIndexOf(x)"),
                    f"'tools: MCP server ' + {quoted('x')} + ' has ' + string(sets.filter(y, y == x).size())"
                    " + ' toolsets: write {type: mcp_toolset, mcp_server_name: ' + x + '} exactly once'",
                ),
            ),
        ),
    ),
    AdmissionRule(
        "mcp-server-unknown",
        ("tools", "mcp_servers"),
        bind(
            "servers",
            _SERVER_NAMES,
            each(
                _SETS,
                "x",
                "!(x in servers)",
                f"'tools: a toolset names the unknown MCP server ' + {quoted('x')}"
                " + ': add it to mcp_servers, or remove the toolset'",
            ),
        ),
    ),
    AdmissionRule(
        "mcp-beta",
        ("mcp_servers", "betas"),
        missing_beta(
            f"{_SERVERS}.size() > 0",
            "mcp-client-",
            "betas: mcp_servers is a beta of the API: add mcp-client-2025-11-20",
        ),
    ),
)

RULES: tuple[AdmissionRule, ...] = (*_TOOL_RULES, *_CHOICE_RULES, *_MCP_RULES)
