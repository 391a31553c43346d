"""claude-operator simulator: the options, and the loop it runs on."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from functools import partial
from pathlib import Path

from aiohttp import web

from claude_operator.log import Log
from claude_operator.simulator.profile import Compiled, compile_scenario, load
from claude_operator.simulator.scenario import ScenarioError, parse
from claude_operator.simulator.server import make_app, make_runner
from claude_operator.simulator.service import Simulator
from claude_operator.simulator.watch import ScenarioFile

__all__ = ["add_arguments", "run"]

_DRAIN_SECONDS = 10.0  # after SIGTERM, the longest wait for answers in flight


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")  # noqa: S104
    parser.add_argument("--port", type=int, default=8081, help="default: %(default)s")
    parser.add_argument(
        "--scenario", type=Path, metavar="FILE", help="how to behave, as YAML; read again when it changes"
    )
    parser.add_argument("--seed", type=int, help="seed of the random numbers, in place of the scenario's (default: 1)")
    parser.add_argument(
        "--tokens-per-second",
        type=_positive,
        metavar="RATE",
        help="speed of answers if the scenario gives none (default: 80)",
    )
    parser.add_argument("--log-format", choices=("json", "text"), default="text", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. 0 after a drain, 1 where it cannot listen, 2 for a bad scenario."""
    log = Log(sys.stdout, args.log_format)
    given = partial(load, seed=args.seed, rate=args.tokens_per_second)
    file = ScenarioFile(args.scenario, given, log) if args.scenario else None
    try:
        scenario = file.read() if file else _compile(args, b"")
    except ScenarioError as error:
        print(f"claude-operator simulator: {args.scenario}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    log.adopt(logging.getLogger())
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(args, scenario, file, log))
    except OSError as error:
        log.event("cannot start", "error", reason=str(error))
        return 1
    return 0


async def _serve(args: argparse.Namespace, scenario: Compiled, file: ScenarioFile | None, log: Log) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    simulator = Simulator(scenario)
    app = make_app(simulator, log, partial(_compile, args))
    runner = make_runner(app, _DRAIN_SECONDS)
    await runner.setup()
    follower = asyncio.create_task(file.follow(simulator.apply)) if file else None
    try:
        await web.TCPSite(runner, args.host, args.port, backlog=1024).start()
        log.event("listening", port=int(runner.addresses[0][1]), rules=len(scenario.profiles) - 1, seed=scenario.seed)
        await stop.wait()
        log.event("draining", seconds=_DRAIN_SECONDS)
    finally:
        if follower:
            follower.cancel()
        await runner.cleanup()
    log.event("stopped")


def _compile(args: argparse.Namespace, text: bytes) -> Compiled:
    """A scenario that is not in a file."""
    return compile_scenario(parse(text), None, seed=args.seed, rate=args.tokens_per_second)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not valid: it must be greater than 0; use e.g. 80")
    return value


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    """uvloop where it exists (not on Windows)."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
