"""A simulator on loopback, and the requests to it."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from claude_operator.log import Log
from claude_operator.simulator.profile import compile_scenario
from claude_operator.simulator.scenario import parse
from claude_operator.simulator.server import make_app, make_runner
from claude_operator.simulator.service import Simulator

HEADERS = {"x-api-key": "sk-test", "anthropic-version": "2026-10-21"}
FAST = "{defaults: {latency: {median: 0s}, tokensPerSecond: 1000000}}"
NOW = 1_795_500_000.0  # 2026-11-24


@dataclass
class Clock:
    """Seconds since the epoch, as far as a test wants them."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Running:
    """A simulator, a client of it, its clock and its log."""

    simulator: Simulator
    http: aiohttp.ClientSession
    url: str
    clock: Clock
    output: io.StringIO = field(default_factory=io.StringIO)

    async def ask(self, body: dict[str, Any] | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
        """Status and document of a POST /v1/messages."""
        async with self.http.post(
            self.url + "/v1/messages", json=body or message(), headers=HEADERS | _dashed(headers)
        ) as response:
            return response.status, await response.json()

    async def steer(self, scenario: str) -> tuple[int, dict[str, Any]]:
        """PUT a scenario."""
        async with self.http.put(self.url + "/-/scenario", data=scenario) as response:
            return response.status, await response.json()

    async def stats(self) -> dict[str, Any]:
        async with self.http.get(self.url + "/-/stats") as response:
            document: dict[str, Any] = await response.json()
            return document

    def lines(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [json.loads(line) for line in self.output.getvalue().splitlines()]


@asynccontextmanager
async def running_simulator(scenario: str = FAST) -> AsyncIterator[Running]:
    clock, output = Clock(), io.StringIO()
    simulator = Simulator(compile_scenario(parse(scenario), None), clock=clock)
    app = make_app(simulator, Log(output, "json"), lambda text: compile_scenario(parse(text), None))
    runner = make_runner(app, 1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as http:
            yield Running(simulator, http, f"http://127.0.0.1:{runner.addresses[0][1]}", clock, output)
    finally:
        await runner.cleanup()


def message(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """A request body; a field of None is left out."""
    body = {"model": "claude-haiku-5-5", "max_tokens": 64, "messages": [{"role": "user", "content": text}]} | fields
    return {name: value for name, value in body.items() if value is not None}


def events(stream: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Name and data of each server-sent event."""
    found = []
    for part in stream.decode().split("\n\n"):
        if part:
            name, data = part.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
