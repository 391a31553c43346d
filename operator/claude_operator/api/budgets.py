"""`spec.budgets`: the service levels of an application's surfaces."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from claude_operator.api.base import ApiModel

__all__ = ["Budget"]


class Budget(ApiModel):
    """A service level of one surface. A breach on both arms holds, it does not blame the canary."""

    surface: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,63}$", max_length=63)] = Field(
        description="The surface, as sent in x-claude-surface."
    )
    metric: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="What is measured: timeToFirstToken or duration."
    )
    percentile: Annotated[float, Field(gt=0, lt=100)] | None = Field(
        default=None, description="Which percentile of it, for example 95."
    )
    max: Annotated[str, StringConstraints(max_length=32)] | None = Field(
        default=None, description="The most that it may be, for example 1500ms."
    )
