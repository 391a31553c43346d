"""What a ClaudeDeployment costs, as its status says it."""

from __future__ import annotations

from pydantic import Field

from claude_operator.api.base import StatusModel
from claude_operator.api.moments import Moment

__all__ = ["CostStatus"]


class CostStatus(StatusModel):
    """What its calls cost by the gateways' own measure, rounded, as of a few minutes ago."""

    today: str = Field(description="Since midnight UTC, such as $12.34.")
    month: str = Field(description="Since the first of the month, UTC.")
    forecast: str | None = Field(
        default=None,
        description="The whole month, its rest at the mean of the last seven days. Left out until a day is known.",
    )
    unpriced: int = Field(
        default=0, description="Calls of this month whose cost is not known: the dollars leave them out."
    )
    gateways: str = Field(description="Gateways that were read, such as 3 of 3. What others count is not known yet.")
    note: str | None = Field(
        default=None,
        description="What is wrong with the usage record: it had to begin again, or is not written. Left out:"
        " all is well.",
    )
    since: Moment = Field(description="When the usage record began.")
    at: Moment = Field(description="When the gateways were read.")
