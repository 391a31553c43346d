"""The other kinds: ClaudeRevision and ClaudeModel."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from claude_operator.api.base import ApiModel, StatusModel
from claude_operator.api.deployment import Overrides, Subagent
from claude_operator.api.lifecycle import PlatformDates
from claude_operator.api.request import Request


class RevisionSpec(ApiModel):
    """Everything that shapes a request, as it was when the revision was made. Immutable."""

    request: Request = Field(description="Messages API fields, with the texts of promptFrom in system.")
    subagents: dict[str, Subagent] | None = Field(default=None, description="Overlays by subagent name.")
    overrides: Overrides | None = Field(default=None, description=Overrides.__doc__)


class RevisionStatus(StatusModel):
    """What became of the revision."""

    state: str = Field(default="Candidate", description="Candidate, Canary, Stable, Failed, Superseded or Old.")
    eval: str = Field(default="", description="Phase of its eval run.")


class ModelPrices(ApiModel):
    """US dollars per million tokens, list price."""

    input: float = Field(description="Uncached input.")
    output: float = Field(description="Output.")
    cache_write5m: float | None = Field(default=None, description="Cache write with a TTL of 5 minutes.")
    cache_write1h: float | None = Field(default=None, description="Cache write with a TTL of 1 hour.")
    cache_read: float | None = Field(default=None, description="Cache read.")


class ModelSpec(ApiModel):
    """What is known of a model; from the shipped catalogue."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=128)] = Field(description="Model id, as in requests.")
    aliases: list[str] | None = Field(default=None, description="Other ids that mean the same.")
    line: str | None = Field(default=None, description="haiku, sonnet, opus, fable or mythos.")
    generation: str | None = Field(default=None, description="For example 5.5.")
    state: str | None = Field(
        default=None, description="State that the documentation gives, if it overrides the dates."
    )
    released_at: str | None = Field(default=None, description="Date of release.")
    legacy_at: str | None = Field(default=None, description="Date since which a newer generation exists.")
    deprecated_at: str | None = Field(default=None, description="Date of deprecation.")
    retires_at: str | None = Field(default=None, description="Date of retirement.")
    not_retired_before: str | None = Field(
        default=None, description="The provider keeps the model at least until this date."
    )
    platforms: dict[str, PlatformDates] | None = Field(
        default=None,
        description="Where a platform differs: by ClaudeAPI, AWS, Foundry, Google or Bedrock. The fields above are of"
        " the Claude API, and AWS and Foundry follow it; of Google and Bedrock only what stands here is known.",
        json_schema_extra={"maxProperties": 5, "x-ruled-as": "Platforms"},
    )
    replacement: str | None = Field(default=None, description="What to use instead.")
    prices_usd_per_m_tok: ModelPrices | None = Field(
        default=None, alias="pricesUSDPerMTok", description=ModelPrices.__doc__
    )
    context_tokens: int | None = Field(default=None, description="Size of the context window.")
    max_output_tokens: int | None = Field(default=None, description="Largest max_tokens.")
    cache_min_tokens: int | None = Field(default=None, description="Shortest prefix that is cached.")
    effort_levels: list[str] | None = Field(default=None, description="Accepted output_config.effort.")
    thinking_types: list[str] | None = Field(default=None, description="Accepted thinking.type.")
    forced_tool_choice_ok: bool | None = Field(
        default=None, description="Whether tool_choice any and tool are accepted."
    )
    prefill_ok: bool | None = Field(default=None, description="Whether the last message may be the assistant's.")
    sampling_on20230601: str | None = Field(
        default=None, alias="samplingOn20230601", description="Sampling parameters accepted on that API version."
    )
    inference_geo_ok: bool | None = Field(default=None, description="Whether inference_geo is accepted.")
    fast_mode: str | None = Field(default=None, description="Availability of speed: fast.")
    extra: dict[str, Any] | None = Field(default=None, description="Further catalogue fields.")


class ModelObjectStatus(StatusModel):
    """Where the model is in its life today."""

    lifecycle: str = Field(default="Unknown", description="Active, Legacy, Deprecated, Retired or Unknown.")
    platforms: dict[str, str] = Field(
        default={}, description="The state on each platform: ClaudeAPI, AWS, Foundry, Google and Bedrock."
    )
    days_left: int | None = Field(default=None, description="Days until retirement.")
    replacement: str | None = Field(default=None, description="What to use instead.")
    message: str = Field(default="", description="The same as a sentence.")
    fast_mode: str | None = Field(
        default=None, description="Whether it has a fast mode today: ga, beta or none. Left out: not known."
    )
