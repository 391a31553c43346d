"""Where whole users are drawn and a few of them are most of the traffic."""

from __future__ import annotations

import math

from claude_operator.api.status import Rollout
from claude_operator.core.judge.metrics import MAIN_SHARE
from claude_operator.core.text import percent, share

__all__ = ["BUSIEST", "explain_few_users"]

BUSIEST = 3
"""Users that are few."""

_MOST = 0.5  # share of the requests that is most of them


def explain_few_users(rollout: Rollout, weight: float) -> str | None:
    """What cannot be seen at a weight in percent, and the remedy; None where users are many or are not drawn.

    All that a user does can multiply the evidence of harm by 1 / weight at most: it was drawn once.
    """
    if rollout.plan.unit != "User" or rollout.busiest is None or rollout.busiest <= _MOST:
        return None
    had = f"{BUSIEST} users had {share(rollout.busiest)} of the requests in the hour before the rollout"
    remedy = "set spec.assignment.unit: Conversation for the next rollout"
    if not 0.0 < weight < 100.0:
        return f"{had}: {remedy}"
    threshold = 1.0 / (rollout.plan.analysis.false_rollback_rate * MAIN_SHARE)
    floor = math.ceil(math.log(threshold) / math.log(100.0 / weight) - 1e-9)
    sees = f"at {percent(weight)} harm shows only once {floor} or more users have failed on the canary"
    return f"{had}, and {sees}: {remedy}"
