"""Rules that compare tools, MCP servers and toolsets, as a real API server decides them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.apiserver.client import ApiError, Client
from tests.apiserver.objects import SPEC, deployment

Object = dict[str, Any]
BETA = ["mcp-client-2025-11-20"]
UNIQUE_TOOLS = "tool names must be unique"
UNIQUE_SERVERS = "MCP server names must be unique"
ONE_TOOLSET = "every MCP server needs exactly one toolset"
UNKNOWN_SERVER = "a toolset names an unknown MCP server"


def own(name: str) -> Object:
    """A tool of one's own."""
    return {"name": name, "input_schema": {"type": "object"}}


def toolset(server: str) -> Object:
    """The tools of a server."""
    return {"type": "mcp_toolset", "mcp_server_name": server}


def server(name: str) -> Object:
    """An MCP server."""
    return {"type": "url", "name": name, "url": "https://example.com"}


@pytest.mark.parametrize(
    ("tools", "servers", "said"),
    [
        (None, None, ()),
        ([], [], ()),
        ([own("a"), own("b")], None, ()),
        ([own("a"), toolset("x"), toolset("y")], [server("x"), server("y")], ()),
        ([own("a"), {"type": "bash_20250124", "name": "bash"}, toolset("x")], [server("x")], ()),
        ([{**own("a"), "mcp_server_name": "of no meaning"}], None, ()),
        ([own("a"), own("b"), own("a")], None, (UNIQUE_TOOLS,)),
        ([own("bash"), {"type": "bash_20250124", "name": "bash"}], None, (UNIQUE_TOOLS,)),
        ([toolset("x")], [server("x"), server("x")], (UNIQUE_SERVERS,)),
        (None, [server("x")], (ONE_TOOLSET,)),
        ([own("x")], [server("x")], (ONE_TOOLSET,)),
        ([toolset("x")], [server("x"), server("y")], (ONE_TOOLSET,)),
        ([toolset("x"), toolset("x")], [server("x")], (ONE_TOOLSET,)),
        ([toolset("x")], None, (UNKNOWN_SERVER,)),
        ([toolset("x")], [], (UNKNOWN_SERVER,)),
        ([toolset("x"), toolset("z")], [server("x")], (UNKNOWN_SERVER,)),
        ([toolset("z"), own("a"), own("a")], [server("x")], (UNIQUE_TOOLS, ONE_TOOLSET, UNKNOWN_SERVER)),
    ],
)
def test_tools_servers_and_toolsets_belong_together(
    tools: list[Object] | None, servers: list[Object] | None, said: tuple[str, ...], admin: Client, namespace: str
) -> None:
    fields = {"tools": tools, "mcp_servers": servers, "betas": BETA if servers else None}
    request = SPEC["request"] | {name: value for name, value in fields.items() if value is not None}
    try:
        admin.create(deployment(request=request), namespace)
        found = ""
    except ApiError as error:
        found = str(error)
    every = (UNIQUE_TOOLS, UNIQUE_SERVERS, ONE_TOOLSET, UNKNOWN_SERVER)
    assert tuple(one for one in every if one in found) == said, found
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("amount", "fault"),
    [
        ("2000", ""),
        ("0.50", ""),
        ("0", "is not an amount"),
        ("-5", "is not an amount"),
        ("2,000", "is not an amount"),
        (2000, "must be of type string"),
    ],
)
def test_a_budget_is_an_amount_above_zero(amount: str | int, fault: str, admin: Client, namespace: str) -> None:
    try:
        stored = admin.create(deployment(budget={"monthlyUSD": amount}), namespace)
        found = ""
        assert stored["spec"]["budget"] == {"monthlyUSD": amount, "action": "Warn"}
    except ApiError as error:
        found = str(error)
    assert fault in found
    assert bool(fault) == bool(found), found
