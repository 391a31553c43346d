"""Settles a call when it ends: evidence, metrics and its log line."""

from __future__ import annotations

from collections.abc import Mapping

from claude_operator.api.evidence import PINNED
from claude_operator.api.gateway import Role
from claude_operator.core.request.assignment import cohort
from claude_operator.gateway.call import Call
from claude_operator.gateway.conversations import bad_kind
from claude_operator.gateway.evidence import Ledger
from claude_operator.gateway.log import call_fields
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.plan import Plan
from claude_operator.gateway.pricing import steady_price
from claude_operator.gateway.threads import THREAD
from claude_operator.gateway.usage import cache_state, list_price, token_counts
from claude_operator.log import Log

__all__ = ["Recorder"]


class Recorder:
    """Where ended calls go. A call counts under the config generation and the arm that it began with."""

    def __init__(self, ledger: Ledger, metrics: Metrics, log: Log) -> None:
        self.metrics = metrics
        self.log = log
        self._ledger = ledger

    def sent(self, call: Call) -> None:
        """A call goes upstream."""
        self._ledger.running.add(call)

    def settle(self, call: Call) -> None:
        """Take in an ended call."""
        self._ledger.running.drop(call)
        if call.counted:
            self._ledger.recent_calls.add(call)
            self._ledger.failures.add(call)
        if call.counted and call.plan is not None and call.choice is not None:
            self._count(call)
        if call.outcome == "refused":
            self.metrics.refused.labels(str(call.status)).inc()
        self.log.write("call", call_fields(call))

    def _count(self, call: Call) -> None:
        plan, role = call.plan, call.role
        if plan is None or role is None:
            return
        tokens = token_counts(call.facts.usage)
        cost = list_price(call.answering_model, call.facts.usage)
        if call.is_retry:
            plan.evidence.counters(call.revision, role, call.stratum, cache_state(tokens)).retries += 1
        else:
            self._add(call, plan, role, tokens, cost)
        self.metrics.record(call, tokens, cost)

    def _add(self, call: Call, plan: Plan, role: Role, tokens: Mapping[str, int], cost: float | None) -> None:
        """Count a logical request, and what it says of its conversation and, on the stable arm, of its cohort."""
        outcome, ttft = call.outcome, call.ttft
        # A request that only warms the cache always stops at its max_tokens, which are none.
        stop_reason = "" if call.warms_cache else call.facts.stop_reason
        revision, surface, key = call.revision, call.stratum, call.conversation
        hit_ratio = self._ledger.hits.value
        steady = (
            steady_price(call.answering_model, call.facts.usage, tokens, cost, hit_ratio) if outcome == "ok" else None
        )
        counters = plan.evidence.counters(revision, role, surface, cache_state(tokens))
        counters.add(
            outcome,
            stop_reason=stop_reason,
            tokens=tokens,
            ttft=ttft,
            duration=call.duration,
            cost=cost,
            normalised_cost=steady,
        )
        counters.unnamed += not call.is_named
        conversations, now = plan.evidence.conversations, self._ledger.clock()
        if conversations.is_first(key, revision, surface):
            counters.conversations += 1
        kind = bad_kind(outcome, stop_reason)
        if kind and conversations.is_bad_anew(kind, key, revision, surface, now):
            counters.bad_conversations[kind] += 1
            if key is not None and surface != PINNED:
                uid, generation = plan.config.deployment.uid, plan.evidence.number
                self._ledger.bad.add(uid, generation, revision, surface, kind, key, now)
        if role == "stable":
            self._ledger.hits.add(tokens)
            # A key of a thread says nothing of a cohort: its conversation was drawn.
            drawn = key is None or key.startswith(THREAD)
            if key is not None and not drawn and surface != PINNED and outcome in ("ok", "error"):
                self._ledger.history.add(cohort(plan.config.deployment.uid, key), outcome, ttft, steady, now)
