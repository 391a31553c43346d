"""Lifecycles of models: on which platform, what new revisions are told of them, and what replaces a model."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints

from claude_operator.api.base import ApiModel

__all__ = [
    "MODEL_ID_PATTERN",
    "PLATFORMS",
    "PLATFORM_WORDS",
    "LifecyclePolicy",
    "Migrate",
    "ModelId",
    "Platform",
    "PlatformDates",
    "Policy",
    "Stage",
]

Policy = Literal["Ignore", "Warn", "Reject"]
Platform = Literal["ClaudeAPI", "AWS", "Foundry", "Google", "Bedrock"]
Stage = Literal["Legacy", "Deprecated", "Retired"]
PLATFORMS: tuple[Platform, ...] = get_args(Platform)
MODEL_ID_PATTERN = r"^[^\s]+$"
ModelId = Annotated[str, StringConstraints(pattern=MODEL_ID_PATTERN, max_length=128)]

PLATFORM_WORDS = (
    "ClaudeAPI: the Claude API. AWS: Claude Platform on AWS. Foundry: Microsoft Foundry. Google: Google Cloud. Bedrock:"
    " Amazon Bedrock."
)


# The two fields have no default: the API server would show it to an operator of an earlier version, too.
class Migrate(ApiModel):
    """Replaces a model that nears its end: a canary of the same spec with another model, gated and judged like any
    other. spec stays as it is; what is wanted stands in status.migration until spec names another model."""

    to: ModelId = Field(description="The model that replaces it, for example claude-sonnet-5-5.")
    when: Stage | None = Field(
        default=None,
        description="The state in which a model is replaced: Legacy, Deprecated or Retired, or a later one. Left out:"
        " Deprecated.",
    )
    only_with_evals: bool | None = Field(
        default=None,
        description="True or left out: only where spec.evals has a set, which has to pass. False: without evals, too.",
    )

    @property
    def stage(self) -> Stage:
        """The state from which on a model is replaced."""
        return self.when or "Deprecated"

    @property
    def needs_evals(self) -> bool:
        """Whether it waits for spec.evals."""
        return self.only_with_evals is not False


class LifecyclePolicy(ApiModel):
    """What happens to new revisions whose model is Legacy, Deprecated or Retired. What serves keeps serving."""

    on_legacy: Policy = Field(default="Warn", description="Ignore, Warn or Reject new revisions on a Legacy model.")
    on_deprecated: Policy = Field(default="Warn", description="Ignore, Warn or Reject those on a Deprecated model.")
    on_retired: Policy = Field(default="Reject", description="Ignore, Warn or Reject those on a Retired model.")
    migrate: Migrate | None = Field(default=None, description=f"{Migrate.__doc__} Left out: no model is replaced.")


class PlatformDates(ApiModel):
    """What is known of a model on one platform; it holds in place of the model's own fields."""

    state: str | None = Field(default=None, description="Active, Legacy, Deprecated or Retired, whatever the dates.")
    deprecated_at: str | None = Field(default=None, description="Date of deprecation there.")
    retires_at: str | None = Field(default=None, description="Date of retirement there.")
    not_retired_before: str | None = Field(
        default=None, description="The platform keeps the model at least until this date."
    )
