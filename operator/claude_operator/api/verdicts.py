"""What status remembers of live grading in a rollout."""

from __future__ import annotations

from pydantic import Field

from claude_operator.api.base import StatusModel
from claude_operator.api.moments import Moment

__all__ = ["ArmGrades", "Grading"]


class ArmGrades(StatusModel):
    """Verdicts on one arm's answers."""

    verdicts: int = Field(default=0, description="Answers that passed or failed in the present step.")
    lately: list[float] = Field(
        default=[0.0, 0.0], description="Verdicts and undecided answers among about the last 60."
    )
    since: Moment | None = Field(default=None, description="Since when it has answered without a verdict on anything.")


class Grading(StatusModel):
    """Live grading in the present step."""

    step: int = Field(default=0, description="Index of the step.")
    canary: ArmGrades = Field(default=ArmGrades(), description="Of the canary.")
    stable: ArmGrades = Field(default=ArmGrades(), description="Of stable.")
