"""What `GET /metrics` of the grader shows, and its probes."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

__all__ = ["Metrics", "make_admin"]


class Metrics:
    """The grader's instruments. No label has a client's word."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.samples = self._counter("samples", "Answers taken from gateways.", "arm")
        self.conversations = self._counter("conversations", "Conversations that could have been sampled.", "arm")
        self.repeated = self._counter("repeated", "Answers of conversations that were graded before.", "arm")
        self.dropped = self._counter("dropped", "Samples that gateways have dropped.", "arm")
        self.grades = self._counter("grades", "Verdicts: pass, fail or unknown.", "arm", "result")
        self.reports = self._counter("reports", "Verdicts told to gateways, by what became of them.", "result")
        self.silent = self._counter("silent_pods", "Gateway pods that did not answer when they were asked.")
        self.cost = self._gauge("cost_today_usd", "US dollars that graders have cost today (UTC).")
        self.open = self._gauge("open_samples", "Answers that are being graded.")
        self.kept = self._gauge("kept_samples", "Failed answers that are kept.")

    def page(self) -> bytes:
        """The page."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"claude_grader_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"claude_grader_{name}", text, registry=self.registry)


def make_admin(metrics: Metrics, trouble: Callable[[], str]) -> web.Application:
    """The application of the grader's port. `trouble` says why it does not grade, empty where it does."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    async def ready(_: web.Request) -> web.Response:
        why = trouble()
        return web.Response(status=503 if why else 200, text=f"{why or 'grading'}\n")

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    app = web.Application()
    app.router.add_get("/metrics", page)
    app.router.add_get("/-/ready", ready)
    app.router.add_get("/-/live", live)
    return app
