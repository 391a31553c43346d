"""What `GET /metrics` shows: OpenTelemetry's GenAI names where one exists, `claude_gateway_*` elsewhere."""

from __future__ import annotations

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from claude_operator.core.catalogue.cost import PRIORITY
from claude_operator.gateway.call import Call
from claude_operator.gateway.live_config import LiveConfig

__all__ = ["MOST_REVISIONS", "Metrics"]

MOST_REVISIONS = 32
"""Revisions that have series; more where more are served."""
_ARM = ("revision", "arm", "model")
_DURATION = tuple(0.01 * 2**power for power in range(17))  # OpenTelemetry's, on to 655 s: agents think for long
_FIRST_CHUNK = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0),
)
_TOKENS = tuple(4.0**power for power in range(14))
_OVERHEAD = (5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25)
_KINDS = {
    "input": "input",
    "output": "output",
    "cacheRead": "cache_read",
    "cacheWrite5m": "cache_write_5m",
    "cacheWrite1h": "cache_write_1h",
}


class Metrics:
    """The gateway's instruments. `model` is the one that the revision declares, so clients add no series."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # CPU seconds and memory, under their usual names
        self.duration = Histogram(
            "gen_ai_client_operation_duration_seconds",
            "Seconds from the request's arrival to its last byte.",
            (*_ARM, "outcome"),
            buckets=_DURATION,
            registry=registry,
        )
        self.first_chunk = Histogram(
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "Seconds to the first content of a streamed answer.",
            _ARM,
            buckets=_FIRST_CHUNK,
            registry=registry,
        )
        self.token_usage = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a call; input includes what was read from and written to the cache.",
            (*_ARM, "gen_ai_token_type"),
            buckets=_TOKENS,
            registry=registry,
        )
        self.requests = self._counter("requests", "Calls of POST /v1/messages.", *_ARM, "surface", "outcome")
        self.retries = self._counter("retries", "Calls that were a retry.", *_ARM, "surface")
        self.unnamed = self._counter("unnamed", "Calls that do not name their conversation.", *_ARM, "surface")
        self.stop_reasons = self._counter("stop_reasons", "Complete answers by stop_reason.", *_ARM, "stop_reason")
        self.tokens = self._counter("tokens", "Tokens by kind; input excludes the cache.", *_ARM, "kind")
        self.cost = self._counter("cost_usd", "US dollars, of answers whose price is known.", *_ARM)
        self.unpriced = self._counter("unpriced", "Answers that cost_usd leaves out.", *_ARM, "reason")
        self.refused = self._counter("refused", "Calls that the gateway itself refused.", "status")
        self.throttled = self._counter("throttled", "Calls refused since the month's budget is spent.")
        self.grades = self._counter("grades", "Verdicts on sampled answers.", "revision", "arm", "result")
        self.config_errors = self._counter("config_errors", "Configs that were refused.")
        self.overhead = Histogram(
            "claude_gateway_overhead_seconds",
            "Seconds from a request's last byte until it is sent to the upstream.",
            ("revision", "arm"),
            buckets=_OVERHEAD,
            registry=registry,
        )
        self.in_flight = Gauge("claude_gateway_in_flight", "Calls being answered.", registry=registry)
        self.body_bytes = Gauge("claude_gateway_body_bytes", "Bytes reserved for bodies now.", registry=registry)
        self.generation = Gauge(
            "claude_gateway_config_generation", "Generation of the config being served.", registry=registry
        )

        self.known_conversations = self._gauge("known_conversations", "Conversations that are known.")
        self.complete_since = self._gauge(
            "conversations_complete_timestamp_seconds", "Since when all conversations are known; 0 while they are not."
        )
        self.peers = self._gauge("peers", "Other gateway pods that the operator has named.")
        self.silent_peers = self._gauge("silent_peers", "Those that did not answer the last request.")

        self._revisions: dict[str, None] = {}
        """Those with series, the one that has not been served for longest first."""
        self._by_revision = (
            *(self.duration, self.first_chunk, self.token_usage, self.requests, self.retries, self.unnamed),
            *(self.stop_reasons, self.tokens, self.cost, self.unpriced, self.grades, self.overhead),
        )

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(f"claude_gateway_{name}", help_text, registry=self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"claude_gateway_{name}", help_text, labels, registry=self.registry)

    def record(self, call: Call, tokens: dict[str, int], cost: float | None) -> None:
        """Take in an ended `POST /v1/messages` that an arm answered."""
        if call.revision not in self._revisions:
            self._begin(call.revision, call.live.arms if call.live else ())
        labels = (call.revision, call.role or "", call.model_label)
        self.duration.labels(*labels, call.outcome).observe(call.duration)
        self.requests.labels(*labels, call.stratum, call.outcome).inc()
        if call.is_retry:
            self.retries.labels(*labels, call.stratum).inc()
        if not call.is_named:
            self.unnamed.labels(*labels, call.stratum).inc()
        if call.ttft:
            self.first_chunk.labels(*labels).observe(call.ttft)
        if call.outcome == "ok" and call.summary.stop_reason:
            self.stop_reasons.labels(*labels, call.summary.stop_reason).inc()
        if call.summary.usage:
            written = tokens["cacheWrite5m"] + tokens["cacheWrite1h"]
            self.token_usage.labels(*labels, "input").observe(tokens["input"] + tokens["cacheRead"] + written)
            self.token_usage.labels(*labels, "output").observe(tokens["output"])
            for kind, name in _KINDS.items():
                if tokens[kind]:
                    self.tokens.labels(*labels, name).inc(tokens[kind])
        if cost:
            self.cost.labels(*labels).inc(cost)
        elif cost is None and call.summary.usage:
            covered = call.summary.usage.get("service_tier") == PRIORITY
            self.unpriced.labels(*labels, "priority_tier" if covered else "no_price").inc()
        if call.overhead:
            self.overhead.labels(*labels[:2]).observe(call.overhead)

    def record_grade(self, live: LiveConfig, revision: str, result: str) -> None:
        """Take in a verdict on an answer of a revision that is served."""
        if revision not in self._revisions:
            self._begin(revision, live.arms)
        self.grades.labels(revision, live.arms[revision].arm.role, result).inc()

    def _begin(self, revision: str, served: Collection[str]) -> None:
        """Make room for the series of a new revision."""
        known = self._revisions
        for one in served:
            if one in known:
                known[one] = known.pop(one)
        old = next((one for one in known if one not in served), None)
        if old is not None and len(known) >= MOST_REVISIONS:
            del known[old]
            for family in self._by_revision:
                family.remove_by_labels({"revision": old})
        known[revision] = None

    def page(self) -> bytes:
        """The page in Prometheus' text format."""
        return generate_latest(self.registry)
