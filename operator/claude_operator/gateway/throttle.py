"""Refuses what costs something while the month's budget is spent: both arms alike, before one is chosen."""

from __future__ import annotations

import datetime as dt
import math
import re
import time

from claude_operator.core.request.endpoints import Route
from claude_operator.core.request.outcomes import BUDGET_SPENT
from claude_operator.core.text import minute
from claude_operator.gateway.errors import Refused
from claude_operator.gateway.live_config import LiveConfig

__all__ = ["turn_away"]

_PAID = re.compile(r"/v1/(messages(/batches)?|sessions(/[^/]+/events)?|deployments/[^/]+/run|dreams)")
"""What begins work that the account pays for. To read, count, cancel and upload costs nothing."""


class _BudgetSpent(Refused):
    code = BUDGET_SPENT


def turn_away(live: LiveConfig, method: str, endpoint: Route) -> None:
    """Raise `Refused` for a call that would cost something while calls are throttled.

    The config says until when, so that it ends on time also where no operator runs. SDKs are told not to retry: the end
    may be weeks away.
    """
    if not live.throttled_until or method != "POST":
        return
    left = live.throttled_until - time.time()
    if left <= 0 or not _PAID.fullmatch(endpoint.target.partition("?")[0]):
        return
    until = dt.datetime.fromtimestamp(live.throttled_until, dt.UTC)
    raise _BudgetSpent(
        429,
        "rate_limit_error",
        "this application's budget of the month is spent: the gateway answers its calls again from"
        f" {minute(until)} on, or once spec.budget.monthlyUSD of its ClaudeDeployment or ClaudeOrganization"
        " is raised",
        math.ceil(left),
        retry=False,
    )
