"""`spec.budget`: what an application may cost in a month, and what the operator remembers of the month."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from claude_operator.api.base import MONEY_PATTERN, ApiModel, StatusModel
from claude_operator.api.moments import Moment

__all__ = ["Action", "Level", "MonthlyBudget", "Spending"]

Action = Literal["Warn", "HoldRollouts", "Throttle"]
Level = Literal["Within", "Near", "Over", "Unknown"]


class MonthlyBudget(ApiModel):
    """What calls may cost in a calendar month (UTC), by the gateways' own measure, and what happens at 100 %. At 80 %
    there is a warning. Not part of the revision."""

    monthly_usd: Annotated[str, StringConstraints(pattern=MONEY_PATTERN, max_length=12)] = Field(
        alias="monthlyUSD", description='US dollars a month, for example "2000" or "0.50".'
    )
    action: Action = Field(
        default="Warn",
        description="Warn: an Event, and the condition WithinCost is False. HoldRollouts: also, no canary begins or"
        " gets more traffic. Throttle: also, gateways answer every new call with 429 until the month (UTC) ends or the"
        " budget is raised.",
    )


class Spending(StatusModel):
    """How far the monthly budget (spec.budget) is spent."""

    month: str = Field(description="The month (UTC), for example 2026-11.")
    monthly_usd: str = Field(alias="monthlyUSD", description="The budget, in US dollars.")
    spent_usd: str = Field(
        default="", alias="spentUSD", description="US dollars that are known to be spent; a few minutes old."
    )
    used: str = Field(default="", description="The part of the budget that this is, for example 85 %.")
    level: Level = Field(default="Unknown", description="Within, Near (80 %), Over (100 %) or Unknown.")
    missing: str = Field(default="", description="Why more may be spent; empty where all is known.")
    told: Level | None = Field(default=None, description="The last of Near and Over that an Event has reported.")
    at: Moment | None = Field(default=None, description="When the figures were taken.")
