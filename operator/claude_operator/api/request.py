"""`spec.request`: the Messages API's fields, typed where the schema or CEL has something to say about them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from pydantic.config import JsonDict

from claude_operator.api.base import WireModel

_ANY: JsonDict = {"x-kubernetes-preserve-unknown-fields": True}


class PromptCacheControl(WireModel):
    """A cache breakpoint: everything before it is cached."""

    type: Literal["ephemeral"] = Field(description="Always ephemeral.")
    ttl: Literal["5m", "1h"] | None = Field(
        default=None, description="How long the entry lives; the API's default is 5m."
    )


class SystemBlock(WireModel):
    """A block of the system prompt."""

    type: Literal["text"] = Field(description="Always text.")
    text: Annotated[str, StringConstraints(min_length=1)] = Field(description="The text.")
    cache_control: PromptCacheControl | None = Field(default=None, description=PromptCacheControl.__doc__)


class Tool(WireModel):
    """A tool: of your own (name, description, input_schema), of the API's (type, name), or an MCP toolset."""

    type: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        default=None, description="Left out or custom for a tool of your own; mcp_toolset; else a server tool's type."
    )
    name: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,64}$", max_length=64)] | None = Field(
        default=None, description="Unique among the tools."
    )
    description: str | None = Field(default=None, description="What it does and when to use it.")
    input_schema: dict[str, Any] | None = Field(
        default=None, description="JSON Schema of the input; its type is object.", json_schema_extra=_ANY
    )
    mcp_server_name: Annotated[str, StringConstraints(max_length=128)] | None = Field(
        default=None, description="For type mcp_toolset: the server in mcp_servers whose tools these are."
    )
    cache_control: PromptCacheControl | None = Field(default=None, description=PromptCacheControl.__doc__)


class McpServer(WireModel):
    """A remote MCP server that the API connects to."""

    type: Literal["url"] = Field(description="Always url.")
    name: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(
        description="Unique; a toolset names it."
    )
    url: Annotated[str, StringConstraints(max_length=2048)] = Field(description="Starts with https://.")
    authorization_token: Annotated[str, StringConstraints(max_length=256)] | None = Field(
        default=None, description="Always $(NAME), a name of spec.env: a token never stands in the spec."
    )


class Request(WireModel):
    """Messages API fields; those that are not listed here are kept and sent as they are."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(description="Model id, pinned.")
    max_tokens: Annotated[int, Field(ge=0)] = Field(description="Most output tokens of one response.")
    system: list[SystemBlock] | None = Field(
        default=None, description="The system prompt, as a list of text blocks.", json_schema_extra={"maxItems": 64}
    )
    tools: list[Tool] | None = Field(default=None, description="The tools.", json_schema_extra={"maxItems": 128})
    tool_choice: dict[str, Any] | None = Field(
        default=None, description="As in the Messages API.", json_schema_extra=_ANY
    )
    mcp_servers: list[McpServer] | None = Field(
        default=None,
        description="MCP servers; each is named by exactly one toolset.",
        json_schema_extra={"maxItems": 20},
    )
    betas: list[Annotated[str, StringConstraints(min_length=1, max_length=128)]] | None = Field(
        default=None,
        description="Values of the header anthropic-beta, united with the client's.",
        json_schema_extra={"maxItems": 32},
    )
    cache_control: PromptCacheControl | None = Field(default=None, description="Automatic caching of the whole prefix.")
    thinking: dict[str, Any] | None = Field(default=None, description="As in the Messages API.", json_schema_extra=_ANY)
    output_config: dict[str, Any] | None = Field(
        default=None, description="As in the Messages API.", json_schema_extra=_ANY
    )
    context_management: dict[str, Any] | None = Field(
        default=None, description="As in the Messages API.", json_schema_extra=_ANY
    )
    metadata: dict[str, Any] | None = Field(default=None, description="As in the Messages API.", json_schema_extra=_ANY)
    temperature: float | None = Field(default=None, description="Older models on API version 2023-06-01 only.")
    top_p: float | None = Field(default=None, description="Older models on API version 2023-06-01 only.")
    top_k: int | None = Field(default=None, description="Older models on API version 2023-06-01 only.")
    stop_sequences: list[str] | None = Field(default=None, description="As in the Messages API.")
    service_tier: str | None = Field(default=None, description="As in the Messages API.")
    inference_geo: str | None = Field(default=None, description="As in the Messages API.")
    speed: str | None = Field(default=None, description="As in the Messages API.")
