"""`spec.evals.live`: answers of live traffic are sampled and graded, for the judge's metric `judgeFail`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from claude_operator.api.base import ApiModel, list_map
from claude_operator.api.graders import Asserts, Grader

__all__ = ["MOST_KEPT", "RUBRIC_LIMIT", "SHARE_PATTERN", "LiveGrading"]

SHARE_PATTERN = r"^(0\.[0-9]*[1-9][0-9]*|1(\.0+)?)$"
MOST_KEPT = 200
"""Failed samples."""
RUBRIC_LIMIT = 32
"""Criteria of a rubric."""

Share = Annotated[str, StringConstraints(pattern=SHARE_PATTERN, max_length=16)]
Criterion = Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class LiveGrading(ApiModel):
    """Grade a sample of live answers of both arms during a rollout, for the judge's metric judgeFail."""

    sample_rate: Share = Field(
        default="0.01",
        description='Share of the conversations that are graded, as text: "0.01" is one in a hundred.',
    )
    min_per_minute: Annotated[int, Field(ge=0, le=600)] = Field(
        default=6,
        description="Answers a minute that each arm has graded at least while it has so many, whatever its weight.",
    )
    max_per_minute: Annotated[int, Field(ge=1, le=6000)] = Field(
        default=60, description="Answers a minute that are graded at most, of both arms together."
    )
    max_cost_usd_per_day: Annotated[float, Field(gt=0, le=1_000_000)] = Field(
        default=10.0,
        alias="maxCostUSDPerDay",
        description="Most that the graders may cost a day. Then nothing is graded until the next day"
        " (UTC), and the rollout holds.",
    )
    rubric: Annotated[list[Criterion], Field(min_length=1, max_length=RUBRIC_LIMIT)] | None = Field(
        default=None,
        description="What must be true of an answer; a model decides each. With neither rubric nor assert: the"
        " asserts of defaultTest of the set in setRef.",
    )
    asserts: Asserts | None = Field(
        default=None,
        alias="assert",
        description="Further checks, as in a ClaudeEvalSet, but none that needs a target or a measurement: no"
        " factuality, select-best, latency or cost.",
        json_schema_extra={"maxItems": 64},
    )
    graders: list[Grader] | None = Field(
        default=None,
        description="Models that grade answers. Left out: those of the set in setRef.",
        json_schema_extra={"maxItems": 16, **list_map("name")},
    )
    keep_failed: Annotated[int, Field(ge=0, le=MOST_KEPT)] = Field(
        default=0,
        description="How many of the newest failed samples are kept, with question and answer, in the Secret"
        " <name>-failed-samples. 0: none.",
    )

    @property
    def rate(self) -> float:
        """`sampleRate` as a number."""
        return float(self.sample_rate)
