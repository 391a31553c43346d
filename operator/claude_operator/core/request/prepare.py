"""An arm made ready: everything encoded that does not depend on the client."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from claude_operator.api.gateway import Arm, Merge
from claude_operator.core.request.breakpoints import Breakpoint, breakpoint_ttl, keep_breakpoints, longest_ttl
from claude_operator.core.request.prefix import LISTS, Part, Prompt, prompt_of
from claude_operator.core.request.unsupported import Takes

__all__ = [
    "LISTS",
    "MissingName",
    "Part",
    "PreparedArm",
    "Variant",
    "joined",
    "list_breakpoints",
    "names_in",
    "prepare",
    "raw_body",
]

_CLIENTS_OWN = ("messages", "stream")
_COUNTED = frozenset(  # what POST /v1/messages/count_tokens takes besides messages and the lists
    (
        "billing_policy",
        "cache_control",
        "compaction",
        "context_management",
        "mcp_servers",
        "model",
        "output_config",
        "speed",
        "thinking",
        "tool_choice",
    )
)
_NAME = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_encode = msgspec.json.encode


class MissingName(ValueError):  # noqa: N818  (what happened, as the message says it)
    """An `authorization_token` refers to a `$(NAME)` that has no value."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The revision's request, or one subagent's."""

    fields: Mapping[str, msgspec.Raw]
    """Everything but the lists; `counted` are those that count_tokens takes."""
    counted: Mapping[str, msgspec.Raw]
    lists: Mapping[str, tuple[Part, ...]]
    whole: Mapping[str, msgspec.Raw]
    """The lists as JSON, as they are where the client has no part and no breakpoint in the request."""
    automatic: str | None
    """The ttl of the top-level `cache_control`."""
    dropped: tuple[Breakpoint, ...]
    """Breakpoints that the revision cannot have whatever the client sends."""
    kept: tuple[Breakpoint, ...]
    """Those that it keeps where the client has none."""
    cache_ttl: str
    """The longest ttl of them, 5m without any."""
    prompts: tuple[Prompt, Prompt]
    """Tools and system where the client has no part in them: without a breakpoint in messages, and with one."""
    betas: tuple[str, ...]
    takes: Takes
    """What its model takes of a client; everything where it is not known, or nothing is to be dropped."""


@dataclass(frozen=True, slots=True)
class PreparedArm:
    """An arm and its variants by subagent; the empty name is the request itself."""

    arm: Arm
    variants: Mapping[str, Variant]
    modes: Mapping[str, Merge]
    withheld: tuple[str, ...] = ()
    """Names of MCP servers whose token has a value that they may not get, and so is left out."""


def prepare(
    arm: Arm,
    env: Mapping[str, str],
    takes: Callable[[str], Takes] = lambda _: Takes(),
    *,
    trusts: Callable[[str], bool] = lambda _: True,
) -> PreparedArm:
    """Encode an arm's fields, `$(NAME)` in an MCP server's authorization_token replaced from `env`.

    `takes` tells what a model takes, `trusts` whether the server at a URL may get values: one that may not gets no
    token that names one.

    Raises MissingName for a name without a value, ValueError for a field that is the client's alone.
    """
    requests = {"": arm.request} | {name: {**arm.request, **over} for name, over in arm.subagents.items()}
    tokens = _Tokens(arm.revision, env, trusts)
    drops = arm.overrides.unsupported == "Drop"
    variants = {
        name: replace(
            _variant(arm, fields, arm.subagents.get(name, {}).get("betas"), tokens),
            takes=takes(str(fields.get("model") or "")) if drops else Takes(),
        )
        for name, fields in requests.items()
    }
    modes = {"tools": arm.overrides.tools, "system": arm.overrides.system}
    return PreparedArm(arm, variants, modes, tuple(dict.fromkeys(tokens.withheld)))


def names_in(arm: Arm) -> set[str]:
    """The NAMEs that `$(NAME)` in an arm's tokens refer to."""
    servers = [
        server for fields in (arm.request, *arm.subagents.values()) for server in fields.get("mcp_servers") or ()
    ]
    tokens = [server.get("authorization_token") for server in servers if isinstance(server, dict)]
    return {name for token in tokens if isinstance(token, str) for name in _NAME.findall(token)}


def raw_body(fields: Mapping[str, Any]) -> dict[str, msgspec.Raw]:
    """A request given as plain data, in the form that `compose` takes."""
    return {name: msgspec.Raw(_encode(value)) for name, value in fields.items()}


def _variant(arm: Arm, request: Mapping[str, Any], own: Sequence[str] | None, tokens: _Tokens) -> Variant:
    """A request as a variant; `own` betas of a subagent stand in place of the revision's."""
    for name in _CLIENTS_OWN:
        if name in request:
            raise ValueError(f"arm {arm.revision}: {name} comes from the client; remove it from the request")
    fields = {name: value for name, value in request.items() if name not in (*LISTS, "betas") and value is not None}
    if fields.get("mcp_servers"):
        fields["mcp_servers"] = [tokens.put_into(server) for server in fields["mcp_servers"]]
    lists = {name: _our_parts(request[name]) for name in LISTS if request.get(name) is not None}
    automatic = breakpoint_ttl(fields.get("cache_control"))
    points = list_breakpoints(lists) + ([Breakpoint("cache_control", 0, automatic, True)] if automatic else [])
    kept = keep_breakpoints(points)
    dropped = tuple(point for point in points if point not in kept)
    prompt = prompt_of(lists, kept, ())
    encoded = raw_body(fields)
    betas = own if own is not None else [*arm.betas, *(request.get("betas") or ())]
    return Variant(
        fields=encoded,
        counted={name: raw for name, raw in encoded.items() if name in _COUNTED},
        lists=lists,
        whole={name: joined(name, parts, dropped) for name, parts in lists.items()},
        automatic=automatic,
        dropped=dropped,
        kept=tuple(kept),
        cache_ttl=longest_ttl(kept),
        prompts=(replace(prompt, in_messages=False), replace(prompt, in_messages=True)),
        betas=tuple(dict.fromkeys([*betas, *_implied(fields, betas)])),
        takes=Takes(),
    )


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The values that a revision's MCP servers may get."""

    revision: str
    env: Mapping[str, str]
    trusts: Callable[[str], bool]
    withheld: list[str] = field(default_factory=list)

    def put_into(self, server: Any) -> Any:
        """An MCP server with the names in its token replaced; anything else in it is text."""
        token = server.get("authorization_token") if isinstance(server, dict) else None
        if not isinstance(token, str) or not _NAME.search(token):
            return server
        url = server.get("url")
        if not self.trusts(url if isinstance(url, str) else ""):
            self.withheld.append(str(server.get("name") or ""))
            return {field: value for field, value in server.items() if field != "authorization_token"}
        return {**server, "authorization_token": _NAME.sub(lambda match: self._value(match[1], server), token)}

    def _value(self, name: str, server: Mapping[str, Any]) -> str:
        if name in self.env:
            return self.env[name]
        raise MissingName(
            f"arm {self.revision}: the token of mcp_servers {server.get('name')!r} refers to $({name}), "
            f"which has no value yet; name it in spec.env and create its Secret key"
        )


def _our_parts(value: Any) -> tuple[Part, ...]:
    """The parts of a declared list; a string is a system prompt of one block."""
    return tuple(map(_our_part, [{"type": "text", "text": value}] if isinstance(value, str) else value))


def _our_part(block: Any) -> Part:
    if not isinstance(block, dict):
        return Part(_encode(block), _encode(block))
    plain = _encode({name: value for name, value in block.items() if name != "cache_control"})
    ttl = breakpoint_ttl(block.get("cache_control"))
    return Part(_encode(block), plain, ttl, block.get("name"))


def _implied(fields: Mapping[str, Any], betas: Sequence[str]) -> list[str]:
    """Betas without which the API refuses what the revision declares, unless it names a version of its own."""
    wanted = ["mcp-client-2025-11-20"] if fields.get("mcp_servers") else []
    edits = (fields.get("context_management") or {}).get("edits") or ()
    kinds = [str(edit.get("type")) for edit in edits if isinstance(edit, dict)]
    if any(kind.startswith("clear_") for kind in kinds):
        wanted.append("context-management-2025-06-27")
    if any(kind.startswith("compact_") for kind in kinds):
        wanted.append("compact-2026-01-12")
    return [beta for beta in wanted if not any(named.startswith(beta[:-10]) for named in betas)]


def list_breakpoints(lists: Mapping[str, Sequence[Part]]) -> list[Breakpoint]:
    """The breakpoints of tools and system, a revision's numbered as in its own list."""
    points = []
    for name in LISTS:
        number = {True: -1, False: -1}
        for part in lists.get(name, ()):
            number[part.ours] += 1
            if part.ttl:
                points.append(Breakpoint(name, number[part.ours], part.ttl, part.ours))
    return points


def joined(name: str, parts: Sequence[Part], dropped: Sequence[Breakpoint]) -> msgspec.Raw:
    """The JSON list of parts, without the dropped breakpoints."""
    gone = {point.place for point in dropped if point.where == name}
    number = -1
    pieces = []
    for part in parts:
        number += part.ours
        pieces.append(part.plain if part.ours and number in gone else part.raw)
    return msgspec.Raw(b"[" + b",".join(pieces) + b"]")
