"""`status.cost`: what a ClaudeDeployment costs, for people."""

from __future__ import annotations

from claude_operator.api.cost import CostStatus
from claude_operator.api.moments import to_millisecond
from claude_operator.core.usage.figures import are_fresh, dollars, figures
from claude_operator.core.usage.ledger import day_of
from claude_operator.core.usage.state import UsageState

__all__ = ["cost_status"]


def cost_status(usage: UsageState | None, before: CostStatus | None, *, changes: bool) -> CostStatus | None:
    """The figures; where status is written for nothing else (`changes`), new ones every five minutes at most.

    What is not known (`usage` is None, as after a change of the leader) stays as it was said, with its time.
    """
    if usage is None or usage.spend.began is None:
        return before
    found = figures(usage.spend, usage.read_at)
    coverage = usage.coverage
    after = CostStatus(
        today=dollars(found.today.usd),
        month=dollars(found.month.usd),
        forecast=None if found.forecast is None else dollars(found.forecast),
        unpriced=found.month.unpriced,
        gateways=f"{coverage.read} of {coverage.pods}",
        note=usage.fault or None,
        since=to_millisecond(usage.spend.began),
        at=to_millisecond(usage.read_at),
    )
    if before is None or changes or after.note != before.note:
        return after
    if after.model_copy(update={"at": before.at, "forecast": before.forecast}) == before:
        return before
    stays = are_fresh(before.at, usage.read_at) and day_of(before.at) == day_of(usage.read_at)
    return before if stays else after
