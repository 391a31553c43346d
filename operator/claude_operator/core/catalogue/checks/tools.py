"""Tools, and the choice among them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from claude_operator.core.catalogue.checks.row import Asked, Check, Fault, Severity

__all__ = ["FIXED_NAMES", "FORCED", "NEW_WEB", "ROWS", "TYPES"]

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_DATED_TYPE = re.compile(r"[a-z][a-z0-9_]*_(\d{8})")
FIXED_NAMES = {  # beginning of the type of one of the API's tools -> its only name
    "bash_2025": "bash",
    "code_execution_": "code_execution",
    "memory_": "memory",
    "text_editor_20250728": "str_replace_based_edit_tool",
    "web_fetch_": "web_fetch",
    "web_search_": "web_search",
}
TYPES = {  # beginning of the type of one of the API's tools -> its dates
    "advisor": ("20260301",),
    "bash": ("20241022", "20250124"),
    "browser_toolset": ("20260801",),
    "code_execution": ("20250522", "20250825", "20260120", "20260521"),
    "computer": ("20241022", "20250124", "20251124"),
    "computer_toolset": ("20260801",),
    "memory": ("20250818",),
    "text_editor": ("20241022", "20250124", "20250429", "20250728"),
    "tool_search_tool_bm25": ("20251119",),
    "tool_search_tool_regex": ("20251119",),
    "web_fetch": ("20250910", "20260209", "20260309", "20260318"),
    "web_search": ("20250305", "20260209", "20260318"),
}
NEW_WEB = "20260209"  # the first of the web tools that filter with code
_SINCE_WEB = (4, 6)
FORCED = ("any", "tool")
_OWN = (None, "custom")


def names(asked: Asked) -> Iterator[Fault]:
    """Letters, digits, _ and -, at most 64."""
    for place, tool in asked.places("tools"):
        name = tool.get("name")
        if name is not None and not _TOOL_NAME.fullmatch(str(name)):
            yield Fault(
                ("tools", place, "name"),
                f"tools: {str(name)!r} is not a tool name: write 1 to 64 letters, digits, _ or -",
                "tools: tool names have to match ^[a-zA-Z0-9_-]{1,64}$",
            )


def unique_names(asked: Asked) -> Iterator[Fault]:
    """No two tools of one name."""
    named = [(place, str(tool["name"])) for place, tool in asked.places("tools") if tool.get("name") is not None]
    for name, count in Counter(name for _, name in named).items():
        if count > 1:
            place = [place for place, other in named if other == name][1]
            yield Fault(
                ("tools", place, "name"),
                f"tools: {count} tools are named {name!r}: rename or remove all but one",
                "tools: Tool names must be unique.",
            )


def own_tools(asked: Asked) -> Iterator[Fault]:
    """A tool of one's own has a name and the schema of an object."""
    for place, tool in asked.places("tools"):
        if tool.get("type") not in _OWN:
            continue
        name, schema = tool.get("name"), tool.get("input_schema")
        missing = "name" if not name else "input_schema"
        if not name or not isinstance(schema, Mapping):
            yield Fault(
                ("tools", place),
                f"tools: {name or 'a tool of your own'} has no name or no input_schema: write both, or a type",
                f"tools.{place}.{missing}: Field required",
            )
        elif schema.get("type") != "object":
            yield Fault(
                ("tools", place, "input_schema", "type"),
                f"tools: input_schema of {name} is not the schema of an object: write type: object",
                f"tools.{place}.input_schema.type: Input should be 'object'",
            )


def strict(asked: Asked) -> Iterator[Fault]:
    """The schema of a strict tool is closed."""
    for place, tool in asked.places("tools"):
        name, schema = tool.get("name"), tool.get("input_schema")
        if tool.get("type") not in _OWN or tool.get("strict") is not True or not isinstance(schema, Mapping):
            continue
        if schema.get("additionalProperties") is not False:
            yield Fault(
                ("tools", place, "input_schema"),
                f"tools: {name} is strict: write additionalProperties: false into its input_schema, or remove strict",
                f"tools.{place}.custom: For 'object' type, 'additionalProperties' must be explicitly set to false",
            )


def types(asked: Asked) -> Iterator[Fault]:
    """The type of one of the API's own tools ends in its date."""
    for place, tool in asked.places("tools"):
        kind = tool.get("type")
        if kind in (*_OWN, "mcp_toolset") or (isinstance(kind, str) and _DATED_TYPE.fullmatch(kind)):
            continue
        yield Fault(
            ("tools", place, "type"),
            f"tools: {kind!r} is not a type of tool: write one with its date, such as web_search_20260318, or"
            " custom for a tool of your own",
            f"tools.{place}: Input tag '{str(kind)[:64]}' found using 'type' does not match any of the expected tags",
        )


def known_types(asked: Asked) -> Iterator[Fault]:
    """A type that this release does not know may be a typing error, or newer."""
    for place, tool in asked.places("tools"):
        kind = str(tool.get("type") or "")
        name, _, date = kind.rpartition("_")
        if _DATED_TYPE.fullmatch(kind) and date not in TYPES.get(name, ()):
            yield Fault(
                ("tools", place, "type"),
                f"tools: type {kind} is not known here: correct it, unless the API has it",
            )


def fixed_names(asked: Asked) -> Iterator[Fault]:
    """The API's own tools have one name each."""
    for place, tool in asked.places("tools"):
        kind = str(tool.get("type") or "")
        fixed = next((name for start, name in FIXED_NAMES.items() if kind.startswith(start)), None)
        if fixed and tool.get("name") != fixed:
            yield Fault(
                ("tools", place, "name"),
                f"tools: a tool of type {kind} has one name only: write name: {fixed}",
                f"tools.{place}.{kind}.name: Input should be '{fixed}'",
            )


def web_tools(asked: Asked) -> Iterator[Fault]:
    """Those that filter with code need Claude 4.6."""
    version = asked.model.version if asked.model else None
    if not version or not (0,) < version < _SINCE_WEB:
        return
    for place, tool in asked.places("tools"):
        kind = str(tool.get("type") or "")
        dated = _DATED_TYPE.fullmatch(kind)
        if dated and kind.startswith(("web_search_", "web_fetch_")) and dated[1] >= NEW_WEB:
            older = "web_search_20250305" if kind.startswith("web_search_") else "web_fetch_20250910"
            yield Fault(
                ("tools", place, "type"),
                f"tools: {asked.model_id} does not take {kind}: write {older}, or use a model from Claude 4.6 on",
                f"tools.{place}: '{kind}' is not supported for this model.",
            )


def some_loaded(asked: Asked) -> Iterator[Fault]:
    """Not every tool is deferred."""
    tools = asked.entries("tools")
    if tools and "tools" not in asked.client and all(tool.get("defer_loading") for tool in tools):
        yield Fault(
            ("tools",),
            "tools: all have defer_loading, and nothing can look for them: remove it from one of them",
            "All tools have defer_loading set",
        )


def forced(asked: Asked) -> Iterator[Fault]:
    """Some models cannot be forced to call a tool."""
    kind = asked.part("tool_choice").get("type")
    if kind in FORCED and asked.model and asked.model.forced_tool_choice_ok is False:
        yield Fault(
            ("tool_choice", "type"),
            f"tool_choice.type: {asked.model_id} does not take {kind!r}: write auto, and ask for the tool in system",
            'tool_choice: type "tool" and "any" are not supported for this model.',
        )


def choice_type(asked: Asked) -> Iterator[Fault]:
    """One of four."""
    choice = asked.request.get("tool_choice")
    if isinstance(choice, Mapping) and choice and choice.get("type") not in ("auto", "any", "tool", "none"):
        yield Fault(
            ("tool_choice", "type"),
            f"tool_choice.type: {choice.get('type')!r} is not one of its values: write auto or any or tool or none",
            "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'",
        )


def forced_without_tools(asked: Asked) -> Iterator[Fault]:
    """Nothing to choose from."""
    kind = asked.part("tool_choice").get("type")
    if kind in FORCED and not asked.request.get("tools") and "tools" not in asked.client:
        yield Fault(
            ("tool_choice",),
            f"tool_choice: {kind!r} forces a tool, and there are no tools: write tools, or remove tool_choice",
            "tool_choice: may only be specified while providing tools.",
        )


def forced_undeclared(asked: Asked) -> Iterator[Fault]:
    """The named tool is one of the tools."""
    choice, tools = asked.part("tool_choice"), asked.entries("tools")
    if choice.get("type") != "tool" or not tools or "tools" in asked.client:
        return
    if any("toolset" in str(tool.get("type") or "") for tool in tools):
        return  # the names of its tools are not known
    declared = [str(tool["name"]) for tool in tools if tool.get("name") is not None]
    if choice.get("name") not in declared:
        yield Fault(
            ("tool_choice", "name"),
            f"tool_choice.name: no tool is named {choice.get('name')!r}: write {either_of(declared)}, or add the tool",
            "tool_choice: the named tool is not in `tools`.",
        )


def either_of(declared: list[str]) -> str:
    """A few of the names that may be written."""
    return " or ".join(declared[:5]) or "the name of a tool"


def forced_while_thinking(asked: Asked) -> Iterator[Fault]:
    """A model that thinks chooses itself."""
    kind, thinking = asked.part("tool_choice").get("type"), asked.part("thinking").get("type")
    if kind in FORCED and thinking in ("enabled", "adaptive"):
        yield Fault(
            ("tool_choice", "type"),
            f"tool_choice.type: {kind!r} forces a tool, which the API does not take together with thinking: write"
            " auto, or remove thinking",
            "Thinking may not be enabled when tool_choice forces tool use.",
        )


def skills(asked: Asked) -> Iterator[Fault]:
    """Skills run in the container of the code execution tool."""
    if not asked.part("container").get("skills") or "tools" in asked.client:
        return
    if not any(str(tool.get("type") or "").startswith("code_execution_") for tool in asked.entries("tools")):
        yield Fault(
            ("container", "skills"),
            "container.skills: skills run in code execution: add {type: code_execution_20260521, name:"
            " code_execution} to tools",
            "container: skills can only be used when a code execution tool is enabled.",
        )


ROWS = (
    Check("tool-schema", 13, Severity.ERROR, own_tools),
    Check("tool-name", 13, Severity.ERROR, names),
    Check("tool-duplicate", 13, Severity.ERROR, unique_names),
    Check("tool-strict", 13, Severity.ERROR, strict),
    Check("tool-type", 14, Severity.ERROR, types),
    Check("tool-type-unknown", 14, Severity.WARNING, known_types),
    Check("tool-fixed-name", 14, Severity.ERROR, fixed_names),
    Check("web-tool-model", 15, Severity.ERROR, web_tools),
    Check("tools-deferred", 16, Severity.ERROR, some_loaded),
    Check("tool-choice-type", None, Severity.ERROR, choice_type),
    Check("forced-tool-model", 17, Severity.ERROR, forced),
    Check("forced-tool-without-tools", 18, Severity.ERROR, forced_without_tools),
    Check("forced-tool-undeclared", 18, Severity.ERROR, forced_undeclared),
    Check("forced-tool-thinking", None, Severity.ERROR, forced_while_thinking),
    Check("skills-code-execution", 30, Severity.ERROR, skills),
)
