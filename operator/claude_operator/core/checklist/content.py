"""What the content of a revision shows by itself: its tools, its MCP servers, its cache breakpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from claude_operator.api.conditions import Reason
from claude_operator.core.catalogue.lifecycle import model_of
from claude_operator.core.checklist.case import Case, Finding, Request, requests_of
from claude_operator.core.text import join_names

__all__ = ["MANY_TOOLS", "check_caching", "check_tools"]

MANY_TOOLS = 30
"""More than so many tools that are all loaded are not few."""
_LEAST_DESCRIPTION = 20  # characters
_TYPED = ("type", "enum", "const", "$ref", "anyOf", "oneOf", "allOf")
_BYTES_A_TOKEN = 6  # at most, of a text
_LONGEST_MINIMUM = 4096  # tokens: the shortest prefix that any model caches is not longer
_LONG_CONTEXT = 100_000  # input tokens of a call


def check_tools(case: Case) -> Finding:
    """Item 4."""
    item = "tools"
    requests = requests_of(case.content)
    problems = [f"{_of(name)}{one}" for name, request in requests.items() for one in _tool_problems(request)]
    if problems:
        return Finding(item, "Failed", "; ".join(dict.fromkeys(problems[:3])))
    if not any(request.get("tools") or request.get("mcp_servers") for request in requests.values()):
        return Finding(item, "Passed", "no tools and no MCP servers are used")
    return Finding(item, "Passed", "tools are few, described and typed, and MCP servers are limited to named tools")


def check_caching(case: Case) -> Finding:
    """Item 5."""
    item = "caching"
    requests = requests_of(case.content)
    for name, request in requests.items():
        if not _breakpoints(request) and _least_tokens(request) >= _minimum(case, request):
            why = f"{_of(name)}tools and system are long enough to be cached, and no cache_control is set"
            return Finding(item, "Failed", f"{why}: set cache_control on the last system block")
    if _has_long_contexts(case) and not any(one.get("context_management") for one in requests.values()):
        why = f"calls have more than {_LONG_CONTEXT:,} input tokens on average, and context_management is not set"
        return Finding(item, "Failed", f"{why}: add the edit clear_tool_uses_20250919 or compact_20260112")
    if not any(_breakpoints(request) for request in requests.values()):
        return Finding(item, "Passed", "tools and system are too short to be cached")
    reason, message = case.cache
    if reason == Reason.COLD:
        return Finding(item, "Failed", f"too little is read from the cache: {message}")
    if reason == Reason.WARM:
        return Finding(item, "Passed", "what can be cached is read from the cache")
    if reason == Reason.NOT_CACHED and not case.serves:
        return Finding(item, "Passed", "cache_control is set, which stable lacks")
    helps = "send traffic through the gateway, and look again after ten minutes"
    return Finding(item, "Unknown", f"there are too few calls to say whether the cache is read: {helps}")


def _of(subagent: str) -> str:
    return f"subagent {subagent}: " if subagent else ""


def _tool_problems(request: Request) -> Iterator[str]:
    tools = [tool for tool in request.get("tools") or () if isinstance(tool, Mapping)]
    loaded = [tool for tool in tools if not tool.get("defer_loading")]
    if len(loaded) > MANY_TOOLS:
        yield (
            f"{len(loaded)} tools are loaded in each request, more than {MANY_TOOLS}: leave out what is not used, or"
            " set defer_loading and add a tool_search tool"
        )
    own = [tool for tool in tools if tool.get("type") in (None, "custom")]
    bare = [
        str(tool.get("name")) for tool in own if len(str(tool.get("description") or "").strip()) < _LEAST_DESCRIPTION
    ]
    if bare:
        yield f"tools without a description: {join_names(bare)}: write what each does and when to use it"
    untyped = [str(tool.get("name")) for tool in own if not _is_typed(tool.get("input_schema"))]
    if untyped:
        yield f"tools whose input is not typed: {join_names(untyped)}: give each property of input_schema a type"
    for server in request.get("mcp_servers") or ():
        if isinstance(server, Mapping) and not _is_scoped(server, tools):
            yield (
                f"MCP server {server.get('name')} may use all of its tools: set default_config: {{enabled: false}} in"
                " its mcp_toolset, and enable those that are used in configs"
            )


def _is_typed(schema: Any) -> bool:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return isinstance(schema, Mapping)
    return all(isinstance(one, Mapping) and any(key in one for key in _TYPED) for one in properties.values())


def _is_scoped(server: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether only named tools of a server may be used: by its toolset, or in the older form by the server itself."""
    older = server.get("tool_configuration")
    if isinstance(older, Mapping) and older.get("allowed_tools"):
        return True
    sets = [tool for tool in tools if tool.get("mcp_server_name") == server.get("name")]
    return bool(sets) and all(
        isinstance(one.get("default_config"), Mapping) and one["default_config"].get("enabled") is False for one in sets
    )


def _breakpoints(request: Request) -> bool:
    blocks = [*(request.get("tools") or ()), *(request.get("system") or ())]
    marked = any(isinstance(block, Mapping) and block.get("cache_control") for block in blocks)
    return marked or bool(request.get("cache_control"))


def _least_tokens(request: Request) -> int:
    """Tokens that tools and system have at least."""
    parts = [request.get("tools") or [], request.get("system") or []]
    if not any(parts):
        return 0
    return len(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")) // _BYTES_A_TOKEN


def _minimum(case: Case, request: Request) -> int:
    model = model_of(str(request.get("model")), case.models)
    return model.cache_min_tokens if model and model.cache_min_tokens else _LONGEST_MINIMUM


def _has_long_contexts(case: Case) -> bool:
    """By the calls of the last days, of all revisions together."""
    rows = [one for day in (case.usage.spend.days.values() if case.usage else ()) for one in day.values()]
    calls = sum(one.calls for one in rows)
    tokens = sum(one.input + one.cache_read + one.cache_write_5m + one.cache_write_1h for one in rows)
    return calls > 0 and tokens / calls > _LONG_CONTEXT
