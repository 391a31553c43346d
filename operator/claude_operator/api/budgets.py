"""`spec.budgets`: the service levels of an application's surfaces, and how `status.budgets` shows them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from claude_operator.api.base import ApiModel, StatusModel
from claude_operator.api.moments import Moment

__all__ = ["Budget", "BudgetStatus"]


class Budget(ApiModel):
    """A service level of one surface. A breach on both arms holds, it does not blame the canary."""

    surface: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,63}$", max_length=63)] = Field(
        description="The surface, as sent in x-claude-surface. other: all calls whose surface no budget names."
    )
    metric: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="What is measured: timeToFirstToken, duration or timePerOutputToken of calls, or throughput of"
        " batches."
    )
    percentile: Annotated[float, Field(gt=0, lt=100)] | None = Field(
        default=None,
        description="Percent of the calls that have to keep to max; for throughput, of the requests whose batches have"
        " to keep to min. Left out: 95.",
    )
    max: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        default=None, description="The most that a call may take, for example 1500ms."
    )
    # No defaults: an operator of an earlier version, which does not know them, would see them too.
    min: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        default=None, description="The least throughput of a batch, for example 1000/h, 20/m or 2/s."
    )
    window: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        default=None, description="The calls of this last span of time count, 5m to 168h. Left out: 1h."
    )


class BudgetStatus(StatusModel):
    """How one latency budget stands."""

    surface: str = Field(description="The surface.")
    metric: str = Field(description="What is measured.")
    limit: str = Field(description="Its max or min, for example at most 1500ms.")
    target: str = Field(description="Percent of the calls that have to keep to it.")
    window: str = Field(description="The time that counts.")
    state: str = Field(
        description="Within, Over, Recovering (over in the window, but no longer now), FewCalls or NoTraffic."
    )
    attainment: str = Field(default="", description="Percent of the calls that kept to it. Empty: there were none.")
    burn_rate: str = Field(
        default="", description="Share of calls over the limit, as a multiple of the share that is allowed."
    )
    calls: int = Field(default=0, description="Calls in the window; of throughput requests of batches.")
    as_of: Moment = Field(description="When these figures were made; they are renewed every five minutes at most.")
