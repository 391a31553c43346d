"""What `GET /metrics` of the history process shows."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

__all__ = ["Metrics"]


class Metrics:
    """Its instruments. No label has a word of others."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._polls = Counter(
            "claude_organization_polls",
            "Requests to the API about the organisation, by what was asked and what came of it.",
            ("feed", "result"),
            registry=self.registry,
        )
        self.last_poll = self._gauge("last_poll", "When the API last gave an answer, in seconds since the epoch.")
        self.complete_to = self._gauge("complete_to", "The end of the newest hour that is known, likewise.")

    def count(self, feed: str, result: str) -> None:
        """Count a request."""
        self._polls.labels(feed, result).inc()

    def page(self) -> bytes:
        """The page."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"claude_organization_history_{name}_timestamp_seconds", text, registry=self.registry)
