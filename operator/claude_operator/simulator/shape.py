"""Rules about a request's fields and their types, the same for every model. Each returns the 400's message or None."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from claude_operator.simulator.request import Request

__all__ = ["SHAPE_RULES"]

_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "model": ((str,), "string"),
    "messages": ((list,), "list"),
    "max_tokens": ((int,), "integer"),
    "system": ((str, list), "string or list of text blocks"),
    "tools": ((list,), "list"),
    "tool_choice": ((dict,), "dictionary"),
    "thinking": ((dict,), "dictionary"),
    "output_config": ((dict,), "dictionary"),
    "cache_control": ((dict,), "dictionary"),
    "metadata": ((dict,), "dictionary"),
    "stop_sequences": ((list,), "list"),
    "stream": ((bool,), "boolean"),
    "service_tier": ((str,), "string"),
    "speed": ((str,), "string"),
    "inference_geo": ((str,), "string"),
    "container": ((str, dict), "string or dictionary"),
    "diagnostics": ((dict,), "dictionary"),
    "mcp_servers": ((list,), "list"),
    "context_management": ((dict,), "dictionary"),
    "compaction": ((dict,), "dictionary"),
    "fallbacks": ((list, str), "list"),
    "fallback_credit_token": ((str,), "string"),
    "thread": ((dict, str), "dictionary"),
    "billing_policy": ((dict, str), "dictionary"),
    "temperature": ((int, float), "number"),
    "top_p": ((int, float), "number"),
    "top_k": ((int,), "integer"),
}
_SAMPLING = ("temperature", "top_p", "top_k")
_BETAS = {  # field -> beginnings of the betas that bring it; any beta where it is empty
    "context_management": ("context-management-", "compact-"),
    "fallbacks": ("server-side-fallback-",),
    "fallback_credit_token": ("",),
    "thread": ("message-threads-",),
    "billing_policy": ("",),
}
_ANSWERING = ("max_tokens", "metadata", "stop_sequences", "stream", "service_tier", "container", "diagnostics")
_NOT_COUNTED = {*_ANSWERING, *_SAMPLING, "inference_geo", "fallbacks", "fallback_credit_token", "thread"}
_ROLES = ("user", "assistant", "system")


def no_extra_field(request: Request) -> str | None:
    """Only fields that the endpoint and the betas know."""
    for name in request.body:
        known = name in _TYPES and not (request.counting and name in _NOT_COUNTED)
        locked = name in _BETAS and not request.has_beta(*_BETAS[name])
        if not known or locked:
            return f"{name[:100]}: Extra inputs are not permitted"
    return None


def has_required_fields(request: Request) -> str | None:
    """`model` and `messages`, and for an answer `max_tokens`."""
    required = ("model", "messages") if request.counting else ("model", "max_tokens", "messages")
    return next((f"{name}: Field required" for name in required if name not in request.body), None)


def fields_have_their_types(request: Request) -> str | None:
    """The type of each top-level field; true is not a number."""
    for name, value in request.body.items():
        kinds, word = _TYPES[name]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            return f"{name}: Input should be a valid {word}"
    return None


def messages_are_messages(request: Request) -> str | None:
    """At least one message; each has a role and content."""
    messages = request.body["messages"]
    if not messages:
        return "messages: at least one message is required"
    if len(messages) > 100_000:
        return "messages: at most 100000 messages are allowed"
    for number, message in enumerate(messages):
        wrong = _message(message, last=number == len(messages) - 1)
        if wrong:
            return f"messages.{number}{wrong}"
    return None


def system_is_text(request: Request) -> str | None:
    """A string, or text blocks."""
    system = request.body.get("system", "")
    if isinstance(system, str):
        return None
    for number, block in enumerate(system):
        wrong = _block(block)
        if wrong or block["type"] != "text":
            return f"system.{number}{wrong or ': Input should be a text block'}"
    return None


def tools_are_tools(request: Request) -> str | None:
    """Objects with a name; an MCP toolset has its server's."""
    for number, tool in enumerate(request.body.get("tools", [])):
        wrong = _tool(tool)
        if wrong:
            return f"tools.{number}{wrong}"
    return None


def mcp_servers_are_objects(request: Request) -> str | None:
    """Objects with a name and a URL."""
    for number, server in enumerate(request.body.get("mcp_servers", [])):
        for name in ("name", "url"):
            if not isinstance(server, dict) or not isinstance(server.get(name), str):
                return f"mcp_servers.{number}.{name}: Field required"
    return None


SHAPE_RULES: tuple[Callable[[Request], str | None], ...] = (
    no_extra_field,
    has_required_fields,
    fields_have_their_types,
    messages_are_messages,
    system_is_text,
    tools_are_tools,
    mcp_servers_are_objects,
)


def _message(message: Any, *, last: bool) -> str | None:
    if not isinstance(message, dict):
        return ": Input should be a valid dictionary"
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        return ".role: Input should be 'user', 'assistant' or 'system'"
    if not isinstance(content, str | list):
        return ".content: Input should be a valid string or list of blocks"
    if not content and not (last and role == "assistant"):
        return ": all messages must have non-empty content except for the optional final assistant message"
    for number, block in enumerate(content if isinstance(content, list) else ()):
        wrong = _block(block)
        if wrong:
            return f".content.{number}{wrong}"
    return None


def _block(block: Any) -> str | None:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        return ".type: Field required"
    if block["type"] == "text":
        text = block.get("text")
        if not isinstance(text, str):
            return ".text: Field required"
    return None


def _tool(tool: Any) -> str | None:
    if not isinstance(tool, dict):
        return ": Input should be a valid dictionary"
    kind = tool.get("type") or "custom"
    if kind == "mcp_toolset":
        return None if isinstance(tool.get("mcp_server_name"), str) else ".mcp_server_name: Field required"
    if not isinstance(tool.get("name"), str) and not str(kind).endswith(("_toolset_20260801",)):
        return ".name: Field required"
    return None
