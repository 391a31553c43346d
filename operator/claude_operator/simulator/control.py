"""The paths under `/-/`: control of the simulator, and its statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from aiohttp import web

from claude_operator.simulator.errors import of_status
from claude_operator.simulator.profile import Compiled
from claude_operator.simulator.scenario import Scenario, ScenarioError
from claude_operator.simulator.service import Simulator
from claude_operator.simulator.wire import Exchange, body, json_response

__all__ = ["Compile", "Control"]

_MAX_SCENARIO = 1 << 20  # bytes of a scenario

Compile = Callable[[bytes], Compiled]


class Control:
    """Handlers; `compile_text` raises ScenarioError."""

    def __init__(self, simulator: Simulator, compile_text: Compile) -> None:
        self.simulator = simulator
        self.compile_text = compile_text

    async def show_scenario(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /-/scenario: as it was written, as YAML, or as JSON for a client that accepts only that."""
        document = _plain(self.simulator.scenario.source)
        if http.headers.get("accept", "").startswith("application/json"):
            return json_response(exchange, document)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        return web.Response(text=text, content_type="application/yaml")

    async def put_scenario(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """PUT /-/scenario."""
        text = await body(http, _MAX_SCENARIO)
        try:
            scenario = self.compile_text(text)
        except ScenarioError as error:
            raise of_status(400, f"scenario: {error}") from error
        self.simulator.apply(scenario)
        return json_response(exchange, {"rules": len(scenario.profiles) - 1, "answers": len(scenario.answers)})

    async def show_stats(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /-/stats."""
        return json_response(exchange, self.simulator.stats.document())

    async def reset_stats(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """DELETE /-/stats."""
        self.simulator.stats.reset()
        exchange.status = 204
        return web.Response(status=204)

    async def show_ledger(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /-/ledger."""
        return json_response(exchange, self.simulator.ledger.document())

    async def reset_ledger(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """DELETE /-/ledger."""
        self.simulator.ledger.reset()
        exchange.status = 204
        return web.Response(status=204)

    async def ready(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /-/ready."""
        return web.Response(text="ok\n")


def _plain(scenario: Scenario) -> dict[str, Any]:
    document: dict[str, Any] = scenario.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return document
