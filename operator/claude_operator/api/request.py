"""`spec.request`: the Messages API's fields, typed where the schema or CEL has something to say about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from pydantic.config import JsonDict

from claude_operator.api.base import WireModel

# Limits of the schema alone: the operator serves what was stored before there were any.
_WORD: JsonDict = {"maxLength": 256}


class PromptCacheControl(WireModel):
    """A cache breakpoint: everything up to here is cached. At most four, those of 1h before those of 5m."""

    type: Literal["ephemeral"] = Field(description="Always ephemeral.")
    ttl: Literal["5m", "1h"] | None = Field(
        default=None, description="How long the entry lives after its last use; the API's default is 5m."
    )


class SystemBlock(WireModel):
    """A block of the system prompt."""

    type: Literal["text"] = Field(description="Always text.")
    text: Annotated[str, StringConstraints(min_length=1)] = Field(
        description="The text, sent as it is.", json_schema_extra={"maxLength": 1_000_000}
    )
    cache_control: PromptCacheControl | None = Field(default=None, description=PromptCacheControl.__doc__)


class Tool(WireModel):
    """A tool: of your own (name, description, input_schema), of the API's (type, name), or an MCP toolset."""

    type: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None,
        description="Left out or custom for a tool of your own; mcp_toolset for the tools of an MCP server; else the"
        " type of one of the API's own tools, for example web_search_20260318.",
    )
    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$", max_length=64)] | None = Field(
        default=None, description="Unique among the tools: letters, digits, _ and -, at most 64."
    )
    description: str | None = Field(
        default=None,
        description="What the tool does and when to use it.",
        json_schema_extra={"maxLength": 200_000},
    )
    input_schema: dict[str, Any] | None = Field(
        default=None,
        description="JSON Schema of the input; its type is object.",
        json_schema_extra={
            "required": ["type"],
            "properties": {"type": {"const": "object", "type": "string", "description": "Always object."}},
        },
    )
    mcp_server_name: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None, description="For type mcp_toolset: the server in mcp_servers whose tools these are."
    )
    cache_control: PromptCacheControl | None = Field(default=None, description=PromptCacheControl.__doc__)


class McpServer(WireModel):
    """A remote MCP server that the API connects to."""

    type: Literal["url"] = Field(description="Always url.")
    name: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description="Unique; a tool of type mcp_toolset names it in mcp_server_name."
    )
    url: Annotated[str, StringConstraints(max_length=2048)] = Field(
        description="Where the server is; starts with https://."
    )
    authorization_token: Annotated[str, StringConstraints(max_length=256)] | None = Field(
        default=None, description="Always $(NAME), with NAME in spec.env: a token must not be in the spec."
    )


class Request(WireModel):
    """Messages API fields; those that are not listed here are kept and sent as they are."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description="Model id, pinned: claude-opus-5-5, or with its date where the id has one."
    )
    max_tokens: Annotated[int, Field(ge=0)] = Field(
        description="Most output tokens of one response; a longer answer ends with stop_reason max_tokens."
    )
    system: list[SystemBlock] | None = Field(
        default=None,
        description="The system prompt, always as a list of text blocks: [{type: text, text: ...}].",
        json_schema_extra={"maxItems": 64},
    )
    tools: list[Tool] | None = Field(
        default=None, description="The tools that the model may use.", json_schema_extra={"maxItems": 128}
    )
    tool_choice: dict[str, Any] | None = Field(
        default=None, description="How the model chooses among the tools: {type: auto}, any, tool or none."
    )
    mcp_servers: list[McpServer] | None = Field(
        default=None,
        description="Remote MCP servers; each has exactly one tool of type mcp_toolset, and betas names mcp-client-...",
        json_schema_extra={"maxItems": 20},
    )
    betas: list[Annotated[str, StringConstraints(min_length=1, max_length=128)]] | None = Field(
        default=None,
        description="Values of the header anthropic-beta, united with the client's; not a field of the request body.",
        json_schema_extra={"maxItems": 32},
    )
    cache_control: PromptCacheControl | None = Field(
        default=None,
        description="Automatic caching: the API sets a breakpoint after the last message that can be cached.",
    )
    thinking: dict[str, Any] | None = Field(
        default=None, description="Extended thinking, for example {type: adaptive}; models differ in what they accept."
    )
    output_config: dict[str, Any] | None = Field(
        default=None, description="effort (low, medium, high, xhigh, max) and format, a JSON schema of the answer."
    )
    context_management: dict[str, Any] | None = Field(
        default=None, description="Edits of a long context, such as clearing old tool uses; needs its beta."
    )
    metadata: dict[str, Any] | None = Field(
        default=None, description="Sent with every request. metadata.user_id is the client's to set."
    )
    temperature: float | None = Field(
        default=None,
        description="Refused by Claude 4.7 and later, and by API version 2026-10-21 for every model: leave it out.",
    )
    top_p: float | None = Field(
        default=None,
        description="Refused by Claude 4.7 and later, and by API version 2026-10-21 for every model: leave it out.",
    )
    top_k: int | None = Field(
        default=None,
        description="Refused by Claude 4.7 and later, and by API version 2026-10-21 for every model: leave it out.",
    )
    stop_sequences: list[Annotated[str, Field(json_schema_extra={"maxLength": 4096})]] | None = Field(
        default=None, description="Texts that end the answer.", json_schema_extra={"maxItems": 1024}
    )
    service_tier: str | None = Field(default=None, description="auto or standard_only.", json_schema_extra=_WORD)
    inference_geo: str | None = Field(
        default=None, description="Where inference runs: us or global.", json_schema_extra=_WORD
    )
    speed: str | None = Field(
        default=None, description="standard or fast, on models that have a fast mode.", json_schema_extra=_WORD
    )
