"""MCP servers and their toolsets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from claude_operator.core.catalogue.checks.row import Asked, Check, Fault, Severity

__all__ = ["ROWS"]


def _toolsets(asked: Asked) -> list[tuple[int, str]]:
    """The place of each toolset among the tools, and the server that it names."""
    return [
        (place, str(tool.get("mcp_server_name")))
        for place, tool in asked.places("tools")
        if tool.get("type") == "mcp_toolset"
    ]


def _servers(asked: Asked) -> Counter[str]:
    return Counter(str(server.get("name")) for server in asked.entries("mcp_servers"))


def unique_names(asked: Asked) -> Iterator[Fault]:
    """No two servers of one name."""
    for name, count in _servers(asked).items():
        if count > 1:
            places = [place for place, server in asked.places("mcp_servers") if str(server.get("name")) == name]
            yield Fault(
                ("mcp_servers", places[1], "name"),
                f"mcp_servers: {count} servers are named {name!r}: rename or remove all but one",
                "mcp_servers: MCP server names must be unique.",
            )


def one_toolset(asked: Asked) -> Iterator[Fault]:
    """Every server has exactly one toolset."""
    sets = Counter(name for _, name in _toolsets(asked))
    for name in _servers(asked):
        if sets[name] != 1:
            yield Fault(
                ("tools",),
                f"tools: MCP server {name!r} has {sets[name]} toolsets: write"
                f" {{type: mcp_toolset, mcp_server_name: {name}}} exactly once",
                f"mcp_servers: MCP server '{name[:64]}' must be referenced by exactly one mcp_toolset in tools.",
            )


def known_server(asked: Asked) -> Iterator[Fault]:
    """Every toolset has its server."""
    servers = _servers(asked)
    seen: set[str] = set()
    for place, name in _toolsets(asked):
        if name not in servers and name not in seen:
            seen.add(name)
            yield Fault(
                ("tools", place, "mcp_server_name"),
                f"tools: a toolset names the unknown MCP server {name!r}: add it to mcp_servers, or remove the toolset",
                f"tools: mcp_toolset references MCP server '{name[:64]}', which is not in mcp_servers.",
            )


def https(asked: Asked) -> Iterator[Fault]:
    """The API connects only so."""
    for place, server in asked.places("mcp_servers"):
        if not str(server.get("url")).startswith("https://"):
            yield Fault(
                ("mcp_servers", place, "url"),
                f"mcp_servers: the url of {server.get('name')!r} does not start with https://: write one that does",
                f"mcp_servers.{place}.url: must start with https://",
            )


def beta(asked: Asked) -> Iterator[Fault]:
    """MCP servers are a beta."""
    if asked.entries("mcp_servers") and not asked.has_beta("mcp-client-"):
        yield Fault(
            ("betas",),
            "betas: mcp_servers is a beta of the API: add mcp-client-2025-11-20",
            "mcp_servers: Extra inputs are not permitted",
        )


ROWS = (
    Check("mcp-url", 19, Severity.ERROR, https),
    Check("mcp-duplicate", 19, Severity.ERROR, unique_names),
    Check("mcp-toolset", 19, Severity.ERROR, one_toolset),
    Check("mcp-server-unknown", 19, Severity.ERROR, known_server),
    Check("mcp-beta", 19, Severity.ERROR, beta),
)
