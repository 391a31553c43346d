"""Accounts for a call: evidence, metrics and its log line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ParamSpec

from claude_operator.api.evidence import BAD_KINDS, OTHER, PINNED
from claude_operator.api.gateway import Role
from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.request.assignment import cohort
from claude_operator.core.request.compose import Composed
from claude_operator.core.request.outcomes import BUDGET_SPENT
from claude_operator.core.request.usage import split_writes
from claude_operator.gateway.budgets import kept_budgets
from claude_operator.gateway.call import Call
from claude_operator.gateway.conversations import bad_kind
from claude_operator.gateway.evidence import EvidenceStore
from claude_operator.gateway.live_config import LiveConfig
from claude_operator.gateway.log import call_fields
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.outcome import raised_at
from claude_operator.gateway.pricing import steady_price
from claude_operator.gateway.threads import THREAD
from claude_operator.gateway.units import budget_key
from claude_operator.gateway.unstreamed import Unstreamed
from claude_operator.gateway.usage import cache_state, token_counts
from claude_operator.log import Log

__all__ = ["Accounting"]

P = ParamSpec("P")

_NO_KEY = "authentication_error"
_BAD_REQUEST = 400
_STOPS = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", *BAD_KINDS[1:])
_MOST_STOPS, _LONGEST_STOP = 32, 64  # stop reasons that are counted by name, and their characters


class Accounting:
    """Where ended calls go. A call counts under the config generation and the arm that it began with."""

    def __init__(self, store: EvidenceStore, metrics: Metrics, log: Log) -> None:
        self.metrics = metrics
        self.log = log
        self._store = store
        self._stops = set(_STOPS)
        self._units = store.units
        self._unstreamed = Unstreamed(log)

    def start(self, call: Call, composed: Composed | None = None) -> None:
        """Take in a call that goes upstream. Whether it is evidence is decided now, before anything is known of it."""
        self._store.in_flight.add(call)
        if not call.counted or call.live is None:
            return
        self.measure(self._unstreamed.note, call)
        if composed is not None and composed.prompt is not None:
            self.measure(self._store.usage.prefixes.begin, call, composed.prompt, composed.size)
        call.earlier_attempts = self._store.attempts.claim(call)
        if call.callers and not call.is_retry and call.stratum != PINNED:
            call.is_evidence = self._admit(call, live=call.live)

    def finish(self, call: Call) -> None:
        """Take in an ended call."""
        self._store.in_flight.drop(call)
        if call.counted:
            self._know_caller(call)
            self._units.keep(call)
            if call.outcome == "error" and call.status == _BAD_REQUEST and call.moved:
                call.outcome = "refused"  # it brings what another model has signed, and no revision is to blame
            if not call.drill:  # it says nothing of how the upstream fares
                self._store.recent_calls.add(call)
            self._store.failures.add(call)
            if call.choice is not None and call.outcome != "ok":
                self._store.attempts.add(call)
            call.summary.stop_reason = self._named_stop(call.summary.stop_reason)
        if call.counted and call.live is not None and call.choice is not None:
            try:
                self._count(call)
                self._units.settle(call)
            finally:
                self.measure(self._store.sampler.finish, call)
        if call.outcome == "refused":
            self.metrics.refused.labels(str(call.status)).inc()
            if call.error_code == BUDGET_SPENT:
                self.metrics.throttled.inc()
        self.log.write("call", call_fields(call))

    def _count(self, call: Call) -> None:
        live, role = call.live, call.role
        if live is None or role is None:
            return
        split_writes(call.summary.usage, call.cache_ttl)
        tokens = token_counts(call.summary.usage)
        cost = cost_usd(call.answering_model, call.summary.usage, live.prices)
        if call.is_retry:
            live.evidence.counters(call.revision, role, call.stratum, cache_state(tokens)).retries += 1
        elif call.is_evidence:
            self._add(call, live, role, tokens, cost)
        else:
            live.evidence.callers.of(call.revision, call.caller).left_out += 1
        self.metrics.record(call, tokens, cost)
        if not call.drill:
            self.measure(self._store.usage.record, call, tokens, cost)

    def measure(self, work: Callable[P, None], *args: P.args, **more: P.kwargs) -> None:
        """Do what stands in no call's way: a fault of it is logged, and the call goes on."""
        try:
            work(*args, **more)
        except Exception as error:
            self.log_bug(error)

    def log_bug(self, error: Exception) -> None:
        """Where it was raised, and of which kind; its text may quote the exchange."""
        self.log.event("bug", "error", where=raised_at(error), exception=type(error).__name__)

    def _admit(self, call: Call, live: LiveConfig) -> bool:
        """Whether a call of a caller with a key of its own is evidence."""
        callers = self._store.callers
        caller = call.caller = callers.identify(call.callers)
        counts = live.evidence.conversations.admit(
            call.conversation, call.revision, call.stratum, lambda: callers.admit_conversation(caller)
        )
        return counts and callers.admit_request(caller, call.revision)

    def _named_stop(self, reason: str) -> str:
        """A stop reason to count by; an upstream that makes up ever new ones gets one name for them."""
        if reason and len(self._stops) < _MOST_STOPS and len(reason) <= _LONGEST_STOP:
            self._stops.add(reason)
        return reason if not reason or reason in self._stops else OTHER

    def _know_caller(self, call: Call) -> None:
        """Learn whose key the upstream accepts. That it refuses a key that it never accepted is no revision's fault."""
        if not call.callers:
            return
        if call.outcome == "ok":
            call.caller = self._store.callers.accept(call.callers)
        elif call.outcome == "error" and call.summary.error == _NO_KEY and not call.caller:
            call.outcome = "refused"

    def _add(self, call: Call, live: LiveConfig, role: Role, tokens: Mapping[str, int], cost: float | None) -> None:
        """Count a logical request: for its conversation and, on the stable arm, for its cohort."""
        outcome, ttft = call.outcome, call.ttft
        # A request that only warms the cache always stops at its max_tokens, which are none.
        stop_reason = "" if call.warms_cache else call.summary.stop_reason
        revision, surface, key = call.revision, call.stratum, call.conversation
        hit_ratio = self._store.hits.value
        steady = None
        if outcome == "ok":
            steady = steady_price(
                call.answering_model, call.summary.usage, tokens, cost, hit_ratio=hit_ratio, book=live.prices
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
        kept = kept_budgets(call, tokens)
        if kept is not None:
            counters.budget[budget_key(kept)] += 1
        conversations, now = live.evidence.conversations, self._store.clock()
        first = conversations.is_first(key, revision, surface)
        counters.conversations += first
        kind = bad_kind(outcome, stop_reason)
        bad = bool(kind) and conversations.counts_as_bad(kind, key, revision, surface, now)
        if call.callers and surface != PINNED:
            share = live.evidence.callers.of(revision, call.caller)
            share.add(outcome, first=first, bad=bad and kind == "error")
        if bad:
            counters.bad_conversations[kind] += 1
            # No other process can count the first turn of a conversation without a name.
            if key is not None and surface != PINNED and (call.is_named or call.turn):
                uid, generation = live.config.deployment.uid, live.evidence.number
                self._store.bad.add(uid, generation, revision, surface, kind, key, now)
        self._units.count(call, kind, tokens, steady, kept)
        if role == "stable":
            self._store.hits.add(tokens)
            # A thread's key has no cohort: its conversation was assigned at random.
            drawn = key is None or key.startswith(THREAD)
            by_user = live.split is not None and live.split.unit == "User"
            if by_user and key is not None and not drawn and surface != PINNED and outcome in ("ok", "error"):
                history = self._store.history_of(live.assignment.mark)
                if history is not None:
                    history.add(cohort(live.config.deployment.uid, key), outcome, ttft, steady, now)
