"""What the gateways of a ClaudeDeployment measured, as attribution and reconciliation need it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

from claude_operator.core.organisation.attribution import Holder, Tokens
from claude_operator.core.usage.amounts import total
from claude_operator.core.usage.state import UsageState

__all__ = ["holder_of"]

_DAY = dt.timedelta(days=1)


def holder_of(namespace: str, name: str, key: str, usage: UsageState | None) -> Holder:
    """With the sums of its ledger by day and model; without them where the ledger is not known, or lacks a gateway.

    What is known to be spent stays known where a gateway is silent: a budget that is over does not become less so.
    """
    if usage is None or usage.spend.began is None:
        return Holder(namespace, name, key)
    spent: dict[dt.date, float] = {}
    measured: dict[tuple[dt.date, str], Tokens] = defaultdict(Tokens)
    for day, rows in usage.spend.days.items():
        date = dt.date.fromisoformat(day)
        spent[date] = total(rows.values()).usd
        for row, one in rows.items():
            counted = Tokens(one.input, one.output, one.cache_read, one.cache_write_5m, one.cache_write_1h)
            measured[date, row.model] = measured[date, row.model].plus(counted)
    if usage.coverage.silent:
        return Holder(namespace, name, key, spent=spent)
    return Holder(namespace, name, key, measured, usage.spend.began.astimezone(dt.UTC).date() + _DAY, spent)
