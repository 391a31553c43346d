"""Rules about parts of the prompt that have to fit together, whatever the model. Each returns the 400's message."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from claude_operator.core.request.breakpoints import LIMIT
from claude_operator.simulator.request import VERSION, Request, blocks_of, cacheable_blocks

__all__ = ["PROMPT_RULES"]

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def cache_breakpoints_are_ephemeral(request: Request) -> str | None:
    """Type `ephemeral`, and a ttl of 5m or 1h."""
    for place, block in [*cacheable_blocks(request), ("", request.body)]:
        control = block.get("cache_control")
        if control is None:
            continue
        where = f"{place}.cache_control".lstrip(".")
        if not isinstance(control, dict) or control.get("type") != "ephemeral":
            return f"{where}.type: Input should be 'ephemeral'"
        if control.get("ttl", "5m") not in ("5m", "1h"):
            return f"{where}.ttl: Input should be '5m' or '1h'"
    return None


def cache_breakpoints_are_few(request: Request) -> str | None:
    """At most four `cache_control`, the automatic one counted."""
    count = sum(block.get("cache_control") is not None for _, block in [*cacheable_blocks(request), ("", request.body)])
    if count > LIMIT:
        return f"A maximum of {LIMIT} blocks with cache_control may be provided. Found {count}."
    return None


def cached_hours_come_first(request: Request) -> str | None:
    """No breakpoint of an hour after one of five minutes, in the order tools, system, messages."""
    short = False
    for place, block in [*cacheable_blocks(request), ("", request.body)]:
        control = block.get("cache_control")
        if control and control.get("ttl", "5m") == "1h" and short:
            return (
                f"{place}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. Note that blocks are processed in the following order: "
                "`tools`, `system`, `messages`."
            ).lstrip(".")
        short = short or bool(control and control.get("ttl", "5m") == "5m")
    return None


def automatic_breakpoint_agrees(request: Request) -> str | None:
    """A top-level `cache_control` has the ttl of the last block's own."""
    automatic = request.body.get("cache_control")
    blocks = blocks_of(request.body["messages"][-1]["content"])
    own = blocks[-1].get("cache_control") if blocks else None
    if automatic and own and automatic.get("ttl", "5m") != own.get("ttl", "5m"):
        return "cache_control.ttl: the last block has a cache_control with another ttl; use the same ttl"
    return None


def tool_names_are_names(request: Request) -> str | None:
    """Of letters, digits, `_` and `-`, at most 64, each once."""
    names = [tool["name"] for tool in request.body.get("tools", []) if isinstance(tool.get("name"), str)]
    for name in names:
        if not _TOOL_NAME.fullmatch(name):
            return "tools: tool names have to match ^[a-zA-Z0-9_-]{1,64}$"
    return "tools: Tool names must be unique." if len(set(names)) < len(names) else None


def some_tool_is_loaded(request: Request) -> str | None:
    """Not every tool is deferred."""
    tools = request.body.get("tools", [])
    return "All tools have defer_loading set" if tools and all(tool.get("defer_loading") for tool in tools) else None


def mcp_servers_have_a_toolset(request: Request) -> str | None:
    """https, names of their own, one toolset for each server and one server for each toolset."""
    servers = request.body.get("mcp_servers", [])
    names = [server["name"] for server in servers]
    used = Counter(
        tool["mcp_server_name"] for tool in request.body.get("tools", []) if tool.get("type") == "mcp_toolset"
    )
    for number, server in enumerate(servers):
        if not server["url"].startswith("https://"):
            return f"mcp_servers.{number}.url: must start with https://"
    if len(set(names)) < len(names):
        return "mcp_servers: MCP server names must be unique."
    for name in names:
        if used[name] != 1:
            return f"mcp_servers: MCP server '{name[:64]}' must be referenced by exactly one mcp_toolset in tools."
    for name in used:
        if name not in names:
            return f"tools: mcp_toolset references MCP server '{name[:64]}', which is not in mcp_servers."
    return None


def documents_are_the_users(request: Request) -> str | None:
    """From 2026-10-21 on, no document in an assistant's message and no citations in a user's."""
    if request.version != VERSION:
        return None
    for number, message in enumerate(request.body["messages"]):
        for place, block in enumerate(blocks_of(message["content"])):
            where = f"messages.{number}.content.{place}"
            if message["role"] == "assistant" and block["type"] == "document":
                return f"{where}: document blocks are not permitted in assistant messages"
            if message["role"] == "user" and block["type"] == "text" and block.get("citations"):
                return f"{where}.citations: Extra inputs are not permitted"
    return None


PROMPT_RULES: tuple[Callable[[Request], str | None], ...] = (
    cache_breakpoints_are_ephemeral,
    cache_breakpoints_are_few,
    cached_hours_come_first,
    automatic_breakpoint_agrees,
    tool_names_are_names,
    some_tool_is_loaded,
    mcp_servers_have_a_toolset,
    documents_are_the_users,
)
