"""How well prompts are cached, as the status of a ClaudeDeployment says it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from claude_operator.api.base import StatusModel
from claude_operator.api.moments import Moment

__all__ = ["CachePrefix", "CacheStatus", "CacheSurface"]


class CacheSurface(StatusModel):
    """One surface of the stable revision, over the last 24 hours."""

    surface: str = Field(description="The surface.")
    hit_ratio: str = Field(description="Share of all input tokens that were read from the cache, such as 92 %.")
    calls: int = Field(description="Calls.")
    input_tokens: int = Field(description="Tokens of their prompts, the cache's included.")
    state: Literal["Warm", "Cold", "NotCached", "NoTraffic"] = Field(
        description="The reason that CacheEffective has for this surface alone."
    )
    cause: str | None = Field(default=None, description="Why too little is read, as one word such as VolatileText.")
    lost: str | None = Field(default=None, description="What that costs, such as $1.20/h.")


class CachePrefix(StatusModel):
    """One prefix of the stable revision: tools and system up to the last breakpoint in them."""

    prefix: str = Field(
        description="Its hash. other: prefixes that are seldom used or come after the first ten; none: neither tools"
        " nor system."
    )
    surface: str = Field(description="The surface.")
    hit_ratio: str = Field(description="Share of all input tokens that were read from the cache.")
    calls: int = Field(description="Calls.")
    input_tokens: int = Field(description="Tokens of their prompts, the cache's included.")


class CacheStatus(StatusModel):
    """How much is read from the prompt cache by the gateways' own measure, as of a few minutes ago."""

    revision: str = Field(description="The stable revision, which this is about.")
    hit_ratio: str | None = Field(
        default=None,
        description="Share of all input tokens of the last 24 hours that were read from the cache, such as 92 %. Left"
        " out while there are none.",
    )
    lost: str | None = Field(default=None, description="What a cold cache costs, such as $1.20/h.")
    surfaces: list[CacheSurface] = Field(default=[], description="How each surface stands.")
    prefixes: list[CachePrefix] = Field(default=[], description="The ten largest, by input tokens.")
    at: Moment = Field(description="When the gateways were read.")
