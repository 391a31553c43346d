"""Parts of `ClaudeDeployment.status` that only report what is served, and how."""

from __future__ import annotations

from pydantic import Field

from claude_operator.api.base import StatusModel


class Traffic(StatusModel):
    """What one revision should get, and what it has got since it has this weight, as far as it was read."""

    revision: str = Field(description="The revision.")
    role: str = Field(default="", description="stable, canary or former.")
    percent: float = Field(description="Percent of new conversations that it should get.")
    conversations: float | None = Field(
        default=None, description="Percent of new conversations of stable and canary that it got."
    )
    requests: float | None = Field(default=None, description="Percent of all requests that it got.")
    requests_seen: int | None = Field(default=None, description="Its requests.")
    moved: int | None = Field(
        default=None,
        description="Conversations on it that changed arm, or may have: each counts once a period of its turns.",
    )


class ModelStatus(StatusModel):
    """The model of the newest revision and where it is in its life."""

    id: str = Field(description="Model id.")
    lifecycle: str = Field(description="Active, Legacy, Deprecated, Retired or Unknown.")
    retires_at: str | None = Field(default=None, description="Date of retirement, if announced.")
    replacement: str | None = Field(default=None, description="What to use instead.")


class ModelInUse(StatusModel):
    """A model that is in use, by the newest spec, by what serves, or to grade."""

    id: str = Field(description="Model id.")
    lifecycle: str = Field(description="Active, Legacy, Deprecated, Retired or Unknown, on upstream.platform.")
    days_left: int | None = Field(default=None, description="Days until retirement; below 0 where that is overdue.")
    retires_at: str | None = Field(default=None, description="Date of retirement, if announced.")
    replacement: str | None = Field(default=None, description="What to use instead.")
    where: list[str] = Field(
        default=[],
        description="Who uses it: request, subagent <name>, judge <name> of the eval set, grader <name> of live"
        " grading.",
    )


class RetirementTold(StatusModel):
    """What has been said of a model's retirement: an Event at 60, 30, 14, 7, 3 and 1 days, each once."""

    model: str = Field(description="Model id.")
    retires_at: str = Field(description="The date that was said. With another one it begins again.")
    days: int = Field(description="The last of these numbers that was said; 0 once the model is Retired.")


class GatewayStatus(StatusModel):
    """How applications reach it."""

    url: str = Field(description="Base URL for any Anthropic SDK.")
    client_secret: str = Field(description="Secret with ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY.")
    ready: int = Field(default=0, description="Ready gateway pods.")
    config_generation: int = Field(default=0, description="Generation of the config that pods should serve.")
    weights_generation: int = Field(
        default=0, description="Generation of the config in which the weights last changed; 0 where that is not known."
    )
