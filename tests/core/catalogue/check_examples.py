"""An example of each check: a request in which it finds something, and the nearest one in which it does not.

`FINDS` is what tests of the API server, the simulator and the command line hold against the table too.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

from claude_operator.core.catalogue.checks.row import Asked
from claude_operator.core.catalogue.table import find

TODAY = dt.date(2026, 11, 24)
OPUS, OPUS_5, SONNET, OLD, NEW = (
    "claude-opus-5-5",
    "claude-opus-5",
    "claude-sonnet-5-5",
    "claude-haiku-4-5-20251001",
    "claude-opus-9",  # not in the catalogue
)
SONNET_4_6 = "claude-sonnet-4-6"


@dataclass(frozen=True)
class Example:
    """What a check finds, and what it does not. Both have `max_tokens: 2048` unless they say something else."""

    model: str
    finds: dict[str, Any]
    passes: dict[str, Any]
    message: str
    api: str | None = None
    path: tuple[str | int, ...] = ()
    known: dict[str, Any] = field(default_factory=dict)
    """What is known beside the request: fields of Asked."""
    passes_known: dict[str, Any] | None = None
    """The same for the request that passes, where it differs."""


def request(model: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The whole request of an example."""
    return {"model": model, "max_tokens": 2048, **fields}


def asked(model: str, fields: dict[str, Any], **known: Any) -> Asked:
    """An example's request as a check sees it."""
    whole = request(model, fields)
    return Asked(find(str(whole["model"])), whole, **({"today": TODAY} | known))


def block(ttl: str | None = None, text: str = "x", **fields: Any) -> dict[str, Any]:
    """A system block with a breakpoint."""
    control = {"type": "ephemeral"} | ({"ttl": ttl} if ttl else {})
    return {"type": "text", "text": text, "cache_control": control, **fields}


def tool(name: str = "book", **fields: Any) -> dict[str, Any]:
    """A tool of one's own."""
    return {"name": name, "input_schema": {"type": "object"}, **fields}


def messages(*contents: Any, first: str = "user") -> dict[str, Any]:
    """A conversation, whose roles take turns."""
    roles = ("user", "assistant") if first == "user" else ("assistant", "user")
    return {"messages": [{"role": roles[n % 2], "content": content} for n, content in enumerate(contents)]}


def compaction(value: int = 50_000) -> dict[str, Any]:
    """An edit that compacts."""
    edit = {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": value}}
    return {"context_management": {"edits": [edit]}}


SERVER = {"type": "url", "name": "docs", "url": "https://mcp.example.com"}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "docs"}
MCP = {"mcp_servers": [SERVER], "tools": [TOOLSET], "betas": ["mcp-client-2025-11-20"]}
ENABLED = {"type": "enabled", "budget_tokens": 1500}
COMPACT = {"betas": ["compact-2026-01-12"]}
TASK = {"betas": ["task-budgets-2026-03-13"]}
TASK_BUDGET = {"output_config": {"task_budget": {"type": "tokens", "total": 20_000}}}
EDITS = {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}
LONG = "Answer in the tone of the house. " * 400
SKILLS = {"container": {"skills": [{"type": "anthropic", "skill_id": "xlsx"}]}}
CODE = {"type": "code_execution_20260521", "name": "code_execution"}
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
WEB = "web_search_20260209"

FINDS: dict[str, Example] = {
    # --- the model
    "model-unknown": Example(
        "claude-opus-55",
        {},
        {"model": OPUS},
        "model: claude-opus-55 is not in the catalogue: correct it, or describe it in a ClaudeModel",
        "model: claude-opus-55",
        ("model",),
    ),
    "model-retired": Example(
        "claude-opus-4-1-20250805",
        {},
        {"model": OPUS},
        "model: claude-opus-4-1-20250805 is Retired since 2026-08-05: write claude-opus-4-8",
        "model: claude-opus-4-1-20250805",
        ("model",),
    ),
    "model-deprecated": Example(
        "claude-sonnet-4-5-20250929",
        {},
        {"model": SONNET},
        "model: claude-sonnet-4-5-20250929 is Deprecated, it retires 2026-11-30, in 6 days: write claude-sonnet-5-5",
        path=("model",),
    ),
    "model-legacy": Example(
        OPUS_5, {}, {"model": OPUS}, "model: claude-opus-5 is Legacy: write claude-opus-5-5", path=("model",)
    ),
    "model-alias": Example(
        "claude-haiku-4-5",
        {},
        {"model": OLD},
        f"model: claude-haiku-4-5 is an alias, whose model can change under a revision: write {OLD}",
        path=("model",),
    ),
    "model-dated": Example(
        "claude-opus-5-5-20260922",
        {},
        {"model": OPUS},
        "model: claude-opus-5-5-20260922 does not exist, from Claude 4.6 on an id has no date: write claude-opus-5-5",
        "model: claude-opus-5-5-20260922",
        ("model",),
    ),
    # --- how much, where, how fast
    "max-tokens": Example(
        OPUS,
        {"max_tokens": 128_001},
        {"max_tokens": 128_000},
        "max_tokens: 128001 is more than claude-opus-5-5 gives: write 128000 or less",
        "max_tokens: 128001 > 128000, which is the maximum allowed number of output tokens for claude-opus-5-5",
        ("max_tokens",),
    ),
    "max-tokens-unstreamed": Example(
        OPUS,
        {"max_tokens": 21_334, **messages("hi")},
        {"max_tokens": 21_334, "stream": True, **messages("hi")},
        "max_tokens: 21334 without streaming may take longer than ten minutes, and SDKs refuse to send it: stream, or"
        " write 21333 or less",
        path=("max_tokens",),
    ),
    "max-tokens-zero": Example(
        OPUS,
        {"max_tokens": 0, "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"max_tokens": 0},
        "max_tokens: 0 cannot be combined with output_config.format: write 1 or more, or remove output_config.format",
        "output_config.format: not supported with max_tokens: 0",
        ("max_tokens",),
    ),
    "geo-model": Example(
        OLD,
        {"inference_geo": "us"},
        {"model": OPUS, "inference_geo": "us"},
        f"inference_geo: {OLD} refuses it: remove it, or use a model from Claude 4.6 on",
        "inference_geo: not supported for this model.",
        ("inference_geo",),
    ),
    "geo-value": Example(
        OPUS,
        {"inference_geo": "mars"},
        {"inference_geo": "global"},
        "inference_geo: 'mars' is not one of its values: write us or global",
        "inference_geo: Input should be 'us' or 'global'",
        ("inference_geo",),
    ),
    "speed-value": Example(
        OPUS,
        {"speed": "warp"},
        {"speed": "fast"},
        "speed: 'warp' is not one of its values: write standard or fast",
        "speed: Input should be 'standard' or 'fast'",
        ("speed",),
    ),
    "speed-model": Example(
        SONNET,
        {"speed": "fast"},
        {"speed": "standard"},
        "speed: claude-sonnet-5-5 has no fast mode: remove it",
        "speed: fast mode is not supported for this model.",
        ("speed",),
    ),
    "speed-beta": Example(
        OPUS_5,
        {"speed": "fast"},
        {"speed": "fast", "betas": ["fast-mode-2026-02-01"]},
        "betas: speed fast is a beta on claude-opus-5: add fast-mode-2026-02-01",
        "speed: Extra inputs are not permitted",
        ("betas",),
    ),
    "service-tier": Example(
        OPUS,
        {"service_tier": "priority"},
        {"service_tier": "standard_only"},
        "service_tier: 'priority' is not one of its values: write auto or standard_only",
        "service_tier: Input should be 'auto' or 'standard_only'",
        ("service_tier",),
    ),
    "stop-sequence-blank": Example(
        SONNET_4_6,
        {"stop_sequences": ["END", "  "]},
        {"stop_sequences": ["END", " ."]},
        "stop_sequences[1]: '  ' is blank: write a text with more than white space, or remove it",
        "stop_sequences.1: each stop sequence must contain non-whitespace",
        ("stop_sequences", 1),
    ),
    # --- effort and thinking
    "effort": Example(
        "claude-opus-4-6",
        {"output_config": {"effort": "xhigh"}},
        {"output_config": {"effort": "max"}},
        "output_config.effort: claude-opus-4-6 does not take 'xhigh': write low or medium or high or max",
        "This model does not support effort level 'xhigh'.",
        ("output_config", "effort"),
    ),
    "thinking-type": Example(
        OPUS,
        {"thinking": ENABLED},
        {"thinking": {"type": "adaptive"}},
        "thinking.type: claude-opus-5-5 does not take 'enabled': write adaptive, or remove thinking",
        '"thinking.type.enabled" is not supported for this model.',
        ("thinking", "type"),
    ),
    "thinking-effort": Example(
        OPUS_5,
        {"output_config": {"effort": "xhigh"}, "thinking": {"type": "disabled"}},
        {"output_config": {"effort": "high"}, "thinking": {"type": "disabled"}},
        "thinking.type: claude-opus-5 takes 'disabled' up to effort high, not with xhigh: lower output_config.effort to"
        " high, or remove thinking",
        '"thinking.type.disabled" is not supported with effort xhigh for this model.',
        ("thinking", "type"),
    ),
    "thinking-fields": Example(
        SONNET,
        {"thinking": {"type": "between_tools", "display": "omitted"}},
        {"thinking": {"type": "between_tools"}},
        "thinking: between_tools takes no other fields: remove all but type",
        "thinking.between_tools: Extra inputs are not permitted",
        ("thinking",),
    ),
    "thinking-budget": Example(
        OLD,
        {"thinking": {"type": "enabled", "budget_tokens": 1023}},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "thinking.budget_tokens: 1023 is too small: write 1024 or more",
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ("thinking", "budget_tokens"),
    ),
    # --- sampling
    "sampling-version": Example(
        OLD,
        {"temperature": 0.5},
        {"temperature": 0.5},
        "temperature: API version 2026-10-21 refuses it for every model: remove it",
        "temperature: Extra inputs are not permitted",
        ("temperature",),
        {"version": "2026-10-21"},
        {"version": "2023-06-01"},
    ),
    "sampling-model": Example(
        OPUS,
        {"temperature": 0.5},
        {"temperature": 1},
        "temperature: claude-opus-5-5 refuses it: remove it, and steer with system or output_config.effort",
        "`temperature` is not supported for this model.",
        ("temperature",),
    ),
    "sampling-new-clients": Example(
        OLD,
        {"temperature": 0.5},
        {},
        "temperature: requests of clients that send anthropic-version 2026-10-21, as newer SDKs do, are refused with"
        " it: remove it, or keep clients on an SDK that sends 2023-06-01",
        path=("temperature",),
    ),
    "temperature-range": Example(
        OLD,
        {"temperature": 1.5},
        {"temperature": 0},
        "temperature: 1.5 is out of range: write a number from 0 to 1",
        "temperature: Input should be between 0 and 1",
        ("temperature",),
    ),
    "temperature-with-top-p": Example(
        SONNET_4_6,
        {"temperature": 0.3, "top_p": 0.9},
        {"top_p": 0.9},
        "top_p: the API does not take it together with temperature: remove one of them",
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        ("top_p",),
    ),
    "sampling-with-thinking": Example(
        SONNET_4_6,
        {"temperature": 0.2, "thinking": ENABLED},
        {"temperature": 1, "thinking": ENABLED},
        "temperature: the API does not take 0.2 together with thinking: remove temperature, or remove thinking",
        "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.",
        ("temperature",),
    ),
    # --- tools
    "tool-schema": Example(
        OPUS,
        {"tools": [tool(), {"name": "b", "input_schema": {"type": "array"}}]},
        {"tools": [tool(), {"name": "b", "input_schema": {"type": "object"}}]},
        "tools: input_schema of b is not the schema of an object: write type: object",
        "tools.1.input_schema.type: Input should be 'object'",
        ("tools", 1, "input_schema", "type"),
    ),
    "tool-name": Example(
        OPUS,
        {"tools": [tool("a b")]},
        {"tools": [tool("a_b")]},
        "tools: 'a b' is not a tool name: write 1 to 64 letters, digits, _ or -",
        "tools: tool names have to match ^[a-zA-Z0-9_-]{1,64}$",
        ("tools", 0, "name"),
    ),
    "tool-duplicate": Example(
        OPUS,
        {"tools": [tool("a"), tool("b"), tool("a")]},
        {"tools": [tool("a"), tool("b")]},
        "tools: 2 tools are named 'a': rename or remove all but one",
        "tools: Tool names must be unique.",
        ("tools", 2, "name"),
    ),
    "tool-strict": Example(
        OPUS,
        {"tools": [tool(strict=True)]},
        {"tools": [tool(strict=True) | {"input_schema": {"type": "object", "additionalProperties": False}}]},
        "tools: book is strict: write additionalProperties: false into its input_schema, or remove strict",
        "tools.0.custom: For 'object' type, 'additionalProperties' must be explicitly set to false",
        ("tools", 0, "input_schema"),
    ),
    "tool-type": Example(
        OPUS,
        {"tools": [{"type": "function", "name": "a"}]},
        {"tools": [tool(type="custom")]},
        "tools: 'function' is not a type of tool: write one with its date, such as web_search_20260318, or custom for"
        " a tool of your own",
        "tools.0: Input tag 'function' found using 'type' does not match any of the expected tags",
        ("tools", 0, "type"),
    ),
    "tool-type-unknown": Example(
        OPUS,
        {"tools": [{"type": "web_search_20260319", "name": "web_search"}]},
        {"tools": [{"type": "web_search_20260318", "name": "web_search"}]},
        "tools: type web_search_20260319 is not known here: correct it, unless the API has it",
        path=("tools", 0, "type"),
    ),
    "tool-fixed-name": Example(
        OPUS,
        {"tools": [{"type": "text_editor_20250728", "name": "editor"}]},
        {"tools": [{"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}]},
        "tools: a tool of type text_editor_20250728 has one name only: write name: str_replace_based_edit_tool",
        "tools.0.text_editor_20250728.name: Input should be 'str_replace_based_edit_tool'",
        ("tools", 0, "name"),
    ),
    "web-tool-model": Example(
        OLD,
        {"tools": [{"type": WEB, "name": "web_search"}]},
        {"model": SONNET_4_6, "tools": [{"type": WEB, "name": "web_search"}]},
        f"tools: {OLD} does not take web_search_20260209: write web_search_20250305, or use a model from Claude 4.6 on",
        "tools.0: 'web_search_20260209' is not supported for this model.",
        ("tools", 0, "type"),
    ),
    "tools-deferred": Example(
        OPUS,
        {"tools": [tool("a", defer_loading=True), tool("b", defer_loading=True)]},
        {"tools": [tool("a", defer_loading=True), tool("b")]},
        "tools: all have defer_loading, and nothing can look for them: remove it from one of them",
        "All tools have defer_loading set",
        ("tools",),
    ),
    "tool-choice-type": Example(
        OPUS_5,
        {"tools": [tool()], "tool_choice": {"type": "required"}},
        {"tools": [tool()], "tool_choice": {"type": "any"}},
        "tool_choice.type: 'required' is not one of its values: write auto or any or tool or none",
        "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'",
        ("tool_choice", "type"),
    ),
    "forced-tool-model": Example(
        SONNET,
        {"tools": [tool()], "tool_choice": {"type": "any"}},
        {"tools": [tool()], "tool_choice": {"type": "auto"}},
        "tool_choice.type: claude-sonnet-5-5 does not take 'any': write auto, and ask for the tool in system",
        'tool_choice: type "tool" and "any" are not supported for this model.',
        ("tool_choice", "type"),
    ),
    "forced-tool-without-tools": Example(
        SONNET_4_6,
        {"tool_choice": {"type": "any"}},
        {"tool_choice": {"type": "any"}, "tools": [tool()]},
        "tool_choice: 'any' forces a tool, and there are no tools: write tools, or remove tool_choice",
        "tool_choice: may only be specified while providing tools.",
        ("tool_choice",),
    ),
    "forced-tool-undeclared": Example(
        SONNET_4_6,
        {"tools": [tool("book")], "tool_choice": {"type": "tool", "name": "reserve"}},
        {"tools": [tool("book")], "tool_choice": {"type": "tool", "name": "book"}},
        "tool_choice.name: no tool is named 'reserve': write book, or add the tool",
        "tool_choice: the named tool is not in `tools`.",
        ("tool_choice", "name"),
    ),
    "forced-tool-thinking": Example(
        SONNET_4_6,
        {"tools": [tool()], "tool_choice": {"type": "tool", "name": "book"}, "thinking": ENABLED},
        {"tools": [tool()], "tool_choice": {"type": "auto"}, "thinking": ENABLED},
        "tool_choice.type: 'tool' forces a tool, which the API does not take together with thinking: write auto, or"
        " remove thinking",
        "Thinking may not be enabled when tool_choice forces tool use.",
        ("tool_choice", "type"),
    ),
    "skills-code-execution": Example(
        OPUS,
        {**SKILLS, "tools": [tool()]},
        {**SKILLS, "tools": [CODE]},
        "container.skills: skills run in code execution: add {type: code_execution_20260521, name: code_execution} to"
        " tools",
        "container: skills can only be used when a code execution tool is enabled.",
        ("container", "skills"),
    ),
    # --- MCP servers
    "mcp-url": Example(
        OPUS,
        MCP | {"mcp_servers": [SERVER | {"url": "http://mcp.example.com"}]},
        MCP,
        "mcp_servers: the url of 'docs' does not start with https://: write one that does",
        "mcp_servers.0.url: must start with https://",
        ("mcp_servers", 0, "url"),
    ),
    "mcp-duplicate": Example(
        OPUS,
        MCP | {"mcp_servers": [SERVER, SERVER]},
        MCP,
        "mcp_servers: 2 servers are named 'docs': rename or remove all but one",
        "mcp_servers: MCP server names must be unique.",
        ("mcp_servers", 1, "name"),
    ),
    "mcp-toolset": Example(
        OPUS,
        MCP | {"tools": [TOOLSET, TOOLSET]},
        MCP,
        "tools: MCP server 'docs' has 2 toolsets: write {type: mcp_toolset, mcp_server_name: docs} exactly once",
        "mcp_servers: MCP server 'docs' must be referenced by exactly one mcp_toolset in tools.",
        ("tools",),
    ),
    "mcp-server-unknown": Example(
        OPUS,
        {"tools": [TOOLSET]},
        MCP,
        "tools: a toolset names the unknown MCP server 'docs': add it to mcp_servers, or remove the toolset",
        "tools: mcp_toolset references MCP server 'docs', which is not in mcp_servers.",
        ("tools", 0, "mcp_server_name"),
    ),
    "mcp-beta": Example(
        OPUS,
        MCP | {"betas": []},
        MCP,
        "betas: mcp_servers is a beta of the API: add mcp-client-2025-11-20",
        "mcp_servers: Extra inputs are not permitted",
        ("betas",),
    ),
    # --- the cache
    "cache-control-shape": Example(
        OPUS,
        {"system": [block("2h")]},
        {"system": [block("1h")]},
        "system[0].cache_control.ttl: '2h' is not one of its values: write 5m or 1h",
        "system.0.cache_control.ttl: Input should be '5m' or '1h'",
        ("system", 0, "cache_control", "ttl"),
    ),
    "breakpoints-limit": Example(
        OPUS,
        {"system": [block()] * 4, "cache_control": {"type": "ephemeral"}},
        {"system": [block()] * 3, "cache_control": {"type": "ephemeral"}},
        "cache_control: 5 breakpoints over tools, promptFrom, system and the top level, the API takes 4: keep those at"
        " the end of the longest prefixes that stay the same",
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
        ("cache_control",),
    ),
    "breakpoints-order": Example(
        OPUS,
        {"system": [block(), block("1h")]},
        {"system": [block("1h"), block()]},
        "cache_control: ttl 1h comes after 5m, in the order tools, promptFrom, system, top level: give the earlier"
        " ones 1h or the later ones 5m",
        "system.1.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control"
        " block. Note that blocks are processed in the following order: `tools`, `system`, `messages`.",
        ("system", 1, "cache_control", "ttl"),
    ),
    "breakpoint-ttl-differs": Example(
        OPUS,
        {"cache_control": {"type": "ephemeral"}, **messages([block("1h")])},
        {"cache_control": {"type": "ephemeral"}, **messages([block("5m")])},
        "cache_control.ttl: 5m, while the last block of messages has one of 1h: write the same ttl, or remove one of"
        " them",
        "cache_control.ttl: the last block has a cache_control with another ttl; use the same ttl",
        ("cache_control", "ttl"),
    ),
    "empty-text": Example(
        SONNET_4_6,
        {"system": [block(text="")]},
        {"system": [block(text="x")]},
        "system[0].text: is empty: write the text, or remove the block",
        "system.0: cache_control cannot be set for empty text blocks",
        ("system", 0, "text"),
    ),
    "prefix-too-short": Example(
        "claude-haiku-5-5",
        {"system": [block(text="Be brief.")]},
        {"system": [block(text=LONG)]},
        "system[0].cache_control: about 3 tokens stand before it, and claude-haiku-5-5 caches from 512 on: it caches"
        " nothing: remove it, or put more of what stays the same before it",
        path=("system", 0, "cache_control"),
    ),
    "volatile-prefix": Example(
        OPUS,
        {"system": [block(text=LONG + "It is 2026-11-24T09:30 for {name}.")]},
        {"system": [block(text=LONG), {"type": "text", "text": "It is 2026-11-24T09:30 for {name}."}]},
        "system[0].text: a time, '2026-11-24T09:30', before a cache breakpoint: what changes makes the API write the"
        " whole prefix again: put it behind the last breakpoint, or into the conversation",
        path=("system", 0, "text"),
    ),
    # --- the conversation
    "first-message-role": Example(
        OPUS,
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]},
        messages("hi"),
        "messages[0]: the first message has role system: put its text into system",
        'messages: first message must use the "user" role',
        ("messages", 0, "role"),
    ),
    "prefill": Example(
        OPUS,
        messages("hi", "The answer is"),
        messages("hi", "Hello.", "go on"),
        "messages[1]: claude-opus-5-5 does not continue from an assistant's message: end with a user's",
        "This model does not support assistant message prefill. The conversation must end with a user message.",
        ("messages", 1, "role"),
    ),
    "assistant-document": Example(
        OPUS,
        messages("hi", [DOCUMENT], "go on"),
        messages([DOCUMENT], "Hello.", "go on"),
        "messages[1].content[0]: API version 2026-10-21 takes no document in an assistant's message: move it into a"
        " user's",
        "messages.1.content.0: document blocks are not permitted in assistant messages",
        ("messages", 1, "content", 0),
    ),
    "user-citations": Example(
        OPUS,
        messages([{"type": "text", "text": "hi", "citations": [{"type": "char_location"}]}]),
        messages([{"type": "text", "text": "hi", "citations": []}]),
        "messages[0].content[0].citations: API version 2026-10-21 takes none in a user's text: remove them",
        "messages.0.content.0.citations: Extra inputs are not permitted",
        ("messages", 0, "content", 0, "citations"),
    ),
    # --- betas
    "beta-malformed": Example(
        OPUS,
        {"betas": ["output-300k-2026-03-24 x"]},
        {"betas": ["output-300k-2026-03-24"]},
        "betas: 'output-300k-2026-03-24 x' is not a single beta: write each as an entry of its own, without spaces or"
        " commas",
        "Unexpected value(s) `output-300k-2026-03-24 x` for the `anthropic-beta` header.",
        ("betas", 0),
    ),
    "beta-obsolete": Example(
        OPUS,
        {"betas": ["prompt-caching-2024-07-31"]},
        {"betas": ["output-300k-2026-03-24"]},
        "betas: prompt-caching-2024-07-31 is obsolete: remove it: caching needs no beta",
        path=("betas", 0),
    ),
    "compaction-beta": Example(
        OPUS,
        compaction(),
        compaction() | COMPACT,
        "betas: compaction is a beta of the API: add compact-2026-01-12",
        "context_management: Extra inputs are not permitted",
        ("betas",),
    ),
    "context-editing-beta": Example(
        OPUS,
        EDITS,
        EDITS | {"betas": ["context-management-2025-06-27"]},
        "betas: clearing of the context is a beta of the API: add context-management-2025-06-27",
        "context_management: Extra inputs are not permitted",
        ("betas",),
    ),
    "compaction-trigger": Example(
        OPUS,
        compaction(49_999) | COMPACT,
        compaction(50_000) | COMPACT,
        "context_management.edits: a compaction trigger of 49999 is too small: write 50000 or more",
        "context_management.edits.0.trigger.value: Input should be greater than or equal to 50000",
        ("context_management", "edits", 0, "trigger", "value"),
    ),
    "compaction-model": Example(
        OLD,
        compaction() | COMPACT,
        compaction() | COMPACT | {"model": SONNET_4_6},
        f"context_management.edits: {OLD} does not compact: remove it, or use a model from Claude 4.6 on",
        "context_management.edits: compaction is not supported for this model.",
        ("context_management", "edits", 0),
    ),
    "compaction-twice": Example(
        OPUS,
        {"context_management": {"edits": []}, "compaction": {"type": "summarize"}, "betas": ["compact-2026-09-04"]},
        {"compaction": {"type": "summarize"}, "betas": ["compact-2026-09-04"]},
        "compaction: the API does not take it together with context_management: remove one of them",
        "compaction: cannot be combined with context_management",
        ("compaction",),
    ),
    "task-budget-total": Example(
        OPUS,
        {"output_config": {"task_budget": {"type": "tokens", "total": 19_999}}} | TASK,
        TASK_BUDGET | TASK,
        "output_config.task_budget: a total of 19999 is too small: write 20000 or more",
        "output_config.task_budget.total: Input should be greater than or equal to 20000",
        ("output_config", "task_budget", "total"),
    ),
    "task-budget-beta": Example(
        OPUS,
        TASK_BUDGET,
        TASK_BUDGET | TASK,
        "betas: output_config.task_budget is a beta of the API: add task-budgets-2026-03-13",
        "output_config.task_budget: Extra inputs are not permitted",
        ("betas",),
    ),
    "task-budget-model": Example(
        "claude-sonnet-5",
        TASK_BUDGET | TASK,
        TASK_BUDGET | TASK | {"model": SONNET},
        "output_config.task_budget: claude-sonnet-5 does not take it: remove it, or use a newer model",
        "This model does not support task budgets.",
        ("output_config", "task_budget"),
    ),
    # --- beside the request
    "key-kind": Example(
        OPUS,
        {},
        {},
        "upstream.apiKeySecretRef: the key is an Admin key, which the Messages API refuses: write the key of a"
        " workspace into the Secret, one that does not begin with sk-ant-admin",
        "invalid x-api-key",
        known={"key": "admin"},
        passes_known={"key": "inference"},
    ),
    "tokenizer": Example(
        OPUS,
        {},
        {},
        "model: claude-opus-5-5 makes about 30 % more tokens of the same text than claude-sonnet-4-6: compare costs"
        " instead of tokens, and set max_tokens and budgets again",
        path=("model",),
        known={"before": Asked(find(SONNET_4_6), {"model": SONNET_4_6}, TODAY)},
        passes_known={"before": Asked(find("claude-opus-4-7"), {"model": "claude-opus-4-7"}, TODAY)},
    ),
    "cold-cache": Example(
        OPUS,
        {"system": [block(text="Be brief.")]},
        {"system": [block(text="Be kind.")], "max_tokens": 10},
        "system: system differs from stable's, and so does the cached prefix: expect the canary to write what stable"
        " reads, and its hit ratio to begin at 0",
        path=("system",),
        known={"before": Asked(find(OPUS), {"model": OPUS, "system": [block(text="Be kind.")]}, TODAY)},
    ),
}
