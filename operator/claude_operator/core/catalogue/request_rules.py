"""What the Claude API refuses whatever the model: cache breakpoints, tools, MCP servers, betas, values of fields."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from claude_operator.core.catalogue.table import Model
from claude_operator.core.request.breakpoints import LIMIT, breakpoint_ttl

__all__ = ["COMMON_RULES", "Asked", "RequestRule"]

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FIXED_NAMES = {  # beginning of the type of one of the API's tools -> its only name
    "bash_2025": "bash",
    "code_execution_": "code_execution",
    "memory_": "memory",
    "text_editor_20250728": "str_replace_based_edit_tool",
    "web_fetch_": "web_fetch",
    "web_search_": "web_search",
}
_ENUMS = {
    "inference_geo": ("us", "global"),
    "service_tier": ("auto", "standard_only"),
    "speed": ("standard", "fast"),
}
_MIN_THINKING = 1024
_MIN_TASK_BUDGET = 20_000
_MIN_COMPACT_TRIGGER = 50_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a revision or subagent, the model it names (None where nothing is known of it) and the day."""

    model: Model | None
    request: Mapping[str, Any]
    today: datetime.date

    @property
    def model_id(self) -> str:
        """The model as the request names it."""
        return str(self.request.get("model") or "")

    def part(self, name: str) -> Mapping[str, Any]:
        """A field that is an object; empty where it is none."""
        value = self.request.get(name)
        return value if isinstance(value, Mapping) else {}

    def entries(self, name: str) -> list[Mapping[str, Any]]:
        """The objects of a field that is a list."""
        value = self.request.get(name)
        return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []

    def has_beta(self, beginning: str) -> bool:
        """Whether `betas` names one that begins so."""
        value = self.request.get("betas")
        return isinstance(value, list) and any(str(beta).startswith(beginning) for beta in value)


RequestRule = Callable[[Asked], Iterator[str]]
"""Yields what is wrong, each as `<field>: <what>: <what to write instead>`."""


def few_breakpoints(asked: Asked) -> Iterator[str]:
    """At most four cache breakpoints; the automatic one takes a slot."""
    count = len(_lives(asked))
    if count > LIMIT:
        yield (
            f"cache_control: {count} breakpoints over tools, promptFrom, system and the top level, the API takes"
            f" {LIMIT}: keep those at the end of the longest prefixes that stay the same"
        )


def hours_first(asked: Asked) -> Iterator[str]:
    """Entries of an hour stand before those of five minutes."""
    lives = _lives(asked)
    if "1h" in lives and "1h" in lives[lives.index("5m") if "5m" in lives else len(lives) :]:
        yield (
            "cache_control: ttl 1h comes after 5m, in the order tools, promptFrom, system, top level: give the"
            " earlier ones 1h or the later ones 5m"
        )


def _lives(asked: Asked) -> list[str]:
    """The ttls of all breakpoints in the order of the prefix."""
    controls = [entry.get("cache_control") for name in ("tools", "system") for entry in asked.entries(name)]
    ttls = map(breakpoint_ttl, [*controls, asked.request.get("cache_control")])
    return [ttl for ttl in ttls if ttl]


def tool_names(asked: Asked) -> Iterator[str]:
    """Names are unique and well formed; the API's own tools have fixed ones."""
    names = [str(tool["name"]) for tool in asked.entries("tools") if tool.get("name") is not None]
    for name, count in Counter(names).items():
        if count > 1:
            yield f"tools: {count} tools are named {name!r}: rename or remove all but one"
        if not _TOOL_NAME.fullmatch(name):
            yield f"tools: {name!r} is not a tool name: write 1 to 64 letters, digits, _ or -"
    for tool in asked.entries("tools"):
        kind = str(tool.get("type") or "")
        fixed = next((name for start, name in _FIXED_NAMES.items() if kind.startswith(start)), None)
        if fixed and tool.get("name") != fixed:
            yield f"tools: a tool of type {kind} has one name only: write name: {fixed}"


def own_tools(asked: Asked) -> Iterator[str]:
    """A tool of one's own has a name and a schema of an object; a strict one is closed."""
    for tool in asked.entries("tools"):
        if tool.get("type") not in (None, "custom"):
            continue
        name, schema = tool.get("name"), tool.get("input_schema")
        if not name or not isinstance(schema, Mapping):
            yield f"tools: {name or 'a tool of your own'} has no name or no input_schema: write both, or a type"
            continue
        if schema.get("type") != "object":
            yield f"tools: input_schema of {name} is not the schema of an object: write type: object"
        if tool.get("strict") is True and schema.get("additionalProperties") is not False:
            yield f"tools: {name} is strict: write additionalProperties: false into its input_schema, or remove strict"


def toolsets(asked: Asked) -> Iterator[str]:
    """Every MCP server has a unique name, https, its beta and exactly one toolset; every toolset has its server."""
    servers = Counter(str(server.get("name")) for server in asked.entries("mcp_servers"))
    sets = Counter(
        str(tool.get("mcp_server_name")) for tool in asked.entries("tools") if tool.get("type") == "mcp_toolset"
    )
    for name, count in servers.items():
        if count > 1:
            yield f"mcp_servers: {count} servers are named {name!r}: rename or remove all but one"
        if sets[name] != 1:
            yield (
                f"tools: MCP server {name!r} has {sets[name]} toolsets: write"
                f" {{type: mcp_toolset, mcp_server_name: {name}}} exactly once"
            )
    for name in sets.keys() - servers.keys():
        yield f"tools: a toolset names the unknown MCP server {name!r}: add it to mcp_servers, or remove the toolset"
    for server in asked.entries("mcp_servers"):
        if not str(server.get("url")).startswith("https://"):
            yield f"mcp_servers: the url of {server.get('name')!r} does not start with https://: write one that does"
    if servers and not asked.has_beta("mcp-client-"):
        yield "betas: mcp_servers is a beta of the API: add mcp-client-2025-11-20"


def betas(asked: Asked) -> Iterator[str]:
    """Each entry is one value of the header."""
    value = asked.request.get("betas")
    for beta in value if isinstance(value, list) else ():
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", str(beta)):
            yield f"betas: {beta!r} is not a single beta: write each as an entry of its own, without spaces or commas"


def known_values(asked: Asked) -> Iterator[str]:
    """Fields of which the API takes few values."""
    for name, allowed in _ENUMS.items():
        value = asked.request.get(name)
        if value is not None and value not in allowed:
            yield f"{name}: {value!r} is not one of its values: write {' or '.join(allowed)}"


def thinking_budget(asked: Asked) -> Iterator[str]:
    """A budget goes with type enabled, from 1024 tokens to below max_tokens."""
    thinking, limit = asked.part("thinking"), asked.request.get("max_tokens")
    budget = thinking.get("budget_tokens")
    if thinking.get("type") == "between_tools" and len(thinking) > 1:
        yield "thinking: between_tools takes no other fields: remove all but type"
    if thinking.get("type") != "enabled":
        return
    if not isinstance(budget, int) or budget < _MIN_THINKING:
        yield f"thinking.budget_tokens: {budget} is too small: write {_MIN_THINKING} or more"
    # With interleaved thinking the budget is that of a whole turn.
    elif isinstance(limit, int) and budget >= limit and not asked.has_beta("interleaved-thinking-"):
        yield f"thinking.budget_tokens: {budget} is not below max_tokens {limit}: lower it or raise max_tokens"


def context_edits(asked: Asked) -> Iterator[str]:
    """Compaction and task budgets have least sizes, and one way of compaction excludes the other."""
    if asked.request.get("compaction") and asked.request.get("context_management"):
        yield "compaction: the API does not take it together with context_management: remove one of them"
    edits = asked.part("context_management").get("edits")
    for edit in edits if isinstance(edits, list) else ():
        if not isinstance(edit, Mapping) or not str(edit.get("type")).startswith("compact_"):
            continue
        trigger = edit.get("trigger")
        value = trigger.get("value") if isinstance(trigger, Mapping) else None
        if isinstance(value, int) and value < _MIN_COMPACT_TRIGGER:
            least = _MIN_COMPACT_TRIGGER
            yield f"context_management.edits: a compaction trigger of {value} is too small: write {least} or more"
    budget = asked.part("output_config").get("task_budget")
    total = budget.get("total") if isinstance(budget, Mapping) else None
    if isinstance(total, int) and total < _MIN_TASK_BUDGET:
        yield f"output_config.task_budget: a total of {total} is too small: write {_MIN_TASK_BUDGET} or more"
    if budget and not asked.has_beta("task-budgets-"):
        yield "betas: output_config.task_budget is a beta of the API: add task-budgets-2026-03-13"


def empty_answers(asked: Asked) -> Iterator[str]:
    """`max_tokens: 0` only warms the cache, and goes with nothing that shapes an answer."""
    if asked.request.get("max_tokens") != 0:
        return
    against = {
        "thinking": asked.part("thinking").get("type") == "enabled",
        "output_config.format": bool(asked.part("output_config").get("format")),
        "tool_choice": asked.part("tool_choice").get("type") in ("any", "tool"),
        "compaction": bool(asked.request.get("compaction")),
    }
    for name in (name for name, given in against.items() if given):
        yield f"max_tokens: 0 cannot be combined with {name}: write 1 or more, or remove {name}"


COMMON_RULES: tuple[RequestRule, ...] = (
    few_breakpoints,
    hours_first,
    tool_names,
    own_tools,
    toolsets,
    betas,
    known_values,
    thinking_budget,
    context_edits,
    empty_answers,
)
