"""Accounts for a call: evidence, metrics and its log line."""

from __future__ import annotations

from collections.abc import Mapping

from claude_operator.api.evidence import PINNED
from claude_operator.api.gateway import Role
from claude_operator.core.request.assignment import cohort
from claude_operator.gateway.call import Call
from claude_operator.gateway.conversations import bad_kind
from claude_operator.gateway.evidence import EvidenceStore
from claude_operator.gateway.live_config import LiveConfig
from claude_operator.gateway.log import call_fields
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.pricing import steady_price
from claude_operator.gateway.threads import THREAD
from claude_operator.gateway.usage import cache_state, list_price, token_counts
from claude_operator.log import Log

__all__ = ["Accounting"]


class Accounting:
    """Where ended calls go. A call counts under the config generation and the arm that it began with."""

    def __init__(self, store: EvidenceStore, metrics: Metrics, log: Log) -> None:
        self.metrics = metrics
        self.log = log
        self._store = store

    def start(self, call: Call) -> None:
        """Take in a call that goes upstream."""
        self._store.in_flight.add(call)

    def finish(self, call: Call) -> None:
        """Take in an ended call."""
        self._store.in_flight.drop(call)
        if call.counted:
            self._store.recent_calls.add(call)
            self._store.failures.add(call)
        if call.counted and call.live is not None and call.choice is not None:
            self._count(call)
        if call.outcome == "refused":
            self.metrics.refused.labels(str(call.status)).inc()
        self.log.write("call", call_fields(call))

    def _count(self, call: Call) -> None:
        live, role = call.live, call.role
        if live is None or role is None:
            return
        tokens = token_counts(call.summary.usage)
        cost = list_price(call.answering_model, call.summary.usage)
        if call.is_retry:
            live.evidence.counters(call.revision, role, call.stratum, cache_state(tokens)).retries += 1
        else:
            self._add(call, live, role, tokens, cost)
        self.metrics.record(call, tokens, cost)

    def _add(self, call: Call, live: LiveConfig, role: Role, tokens: Mapping[str, int], cost: float | None) -> None:
        """Count a logical request: for its conversation and, on the stable arm, for its cohort."""
        outcome, ttft = call.outcome, call.ttft
        # A request that only warms the cache always stops at its max_tokens, which are none.
        stop_reason = "" if call.warms_cache else call.summary.stop_reason
        revision, surface, key = call.revision, call.stratum, call.conversation
        hit_ratio = self._store.hits.value
        steady = (
            steady_price(call.answering_model, call.summary.usage, tokens, cost, hit_ratio) if outcome == "ok" else None
        )
        counters = live.evidence.counters(revision, role, surface, cache_state(tokens))
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
        conversations, now = live.evidence.conversations, self._store.clock()
        if conversations.is_first(key, revision, surface):
            counters.conversations += 1
        kind = bad_kind(outcome, stop_reason)
        if kind and conversations.counts_as_bad(kind, key, revision, surface, now):
            counters.bad_conversations[kind] += 1
            if key is not None and surface != PINNED:
                uid, generation = live.config.deployment.uid, live.evidence.number
                self._store.bad.add(uid, generation, revision, surface, kind, key, now)
        if role == "stable":
            self._store.hits.add(tokens)
            # A thread's key has no cohort: its conversation was assigned at random.
            drawn = key is None or key.startswith(THREAD)
            if key is not None and not drawn and surface != PINNED and outcome in ("ok", "error"):
                self._store.history.add(cohort(live.config.deployment.uid, key), outcome, ttft, steady, now)
