"""Settles a call when it ends: evidence, metrics and its log line."""

from __future__ import annotations

from claude_operator.gateway.call import Call
from claude_operator.gateway.log import Log
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.usage import cache_state, list_price, token_counts

__all__ = ["Recorder"]


class Recorder:
    """Where ended calls go. A call counts under the config generation and the arm that it began with."""

    def __init__(self, metrics: Metrics, log: Log) -> None:
        self.metrics = metrics
        self.log = log

    def settle(self, call: Call) -> None:
        """Take in an ended call."""
        if call.counted and call.plan is not None and call.choice is not None:
            self._count(call)
        if call.outcome == "refused":
            self.metrics.refused.labels(str(call.status)).inc()
        self.log.call(call)

    def _count(self, call: Call) -> None:
        plan, role = call.plan, call.role
        if plan is None or role is None:
            return
        tokens = token_counts(call.facts.usage)
        cost = list_price(call.facts.model or call.model, call.facts.usage)
        plan.evidence.cell(call.revision, role, call.stratum, cache_state(tokens)).add(
            call.outcome,
            stop_reason=call.facts.stop_reason,
            tokens=tokens,
            ttft=call.ttft,
            duration=call.duration,
            cost=cost,
        )
        self.metrics.record(call, tokens, cost)
