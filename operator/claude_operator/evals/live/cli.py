"""claude-operator grade: the options, and the process that grades answers of live traffic."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from aiohttp import web, web_response

from claude_operator.api.gateway import ADMIN_PORT, GRADER_KEY, UPSTREAM_KEY_FILE
from claude_operator.api.grading import GRADER_DIR, PLAN_DIR, PLAN_KEY
from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm
from claude_operator.core.spec.networks import ANYWHERE, AddressRules, rules_in_pod
from claude_operator.core.spec.policy import Policy
from claude_operator.core.spec.site_options import add_host_option, add_network_options
from claude_operator.evals.ask import Asker
from claude_operator.evals.files import api_key
from claude_operator.evals.live.failed import kept
from claude_operator.evals.live.judging import Judge
from claude_operator.evals.live.metrics import Metrics, make_admin
from claude_operator.evals.live.plan import InvalidPlan, Plan, read_plan
from claude_operator.evals.live.pods import Place, Pods, find_places
from claude_operator.evals.live.service import Memory, Service, Timing
from claude_operator.evals.live.spending import Spending
from claude_operator.evals.live.store import FileStore, NoStore, SecretStore, Store
from claude_operator.evals.patterns import InvalidPattern, Patterns
from claude_operator.evals.stopping import stoppable
from claude_operator.kube.errors import KubeError
from claude_operator.log import Log

__all__ = ["add_arguments", "run"]

_AGAIN = 2.0  # seconds until what is missing is looked for again
_OPEN_CALLS = 8
_TIMEOUT = 120.0  # seconds for one answer of a grader

web_response.SERVER_SOFTWARE = "claude-operator"  # type: ignore[attr-defined]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--gateways",
        action="append",
        required=True,
        metavar="HOST:PORT",
        help="admin ports of the gateways; a name stands for all addresses that it leads to; can be repeated",
    )
    parser.add_argument(
        "--plan", type=Path, default=Path(PLAN_DIR) / PLAN_KEY, metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument("--plan-hash", metavar="HASH", help="wait until the plan is the one with this hash")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--secret", metavar="NAME", help="the Secret to remember in; needs --namespace")
    where.add_argument("--state", type=Path, metavar="FILE", help="the file to remember in, on a laptop")
    parser.add_argument("--namespace", help="of the Secret")
    parser.add_argument("--upstream-key-file", type=Path, default=Path(UPSTREAM_KEY_FILE), help="default: %(default)s")
    parser.add_argument(
        "--grader-key-file", type=Path, default=Path(GRADER_DIR) / GRADER_KEY, help="default: %(default)s"
    )
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")  # noqa: S104
    parser.add_argument(
        "--admin-port", type=int, default=ADMIN_PORT, help="for probes and metrics (default: %(default)s)"
    )
    parser.add_argument(
        "--poll-seconds", type=float, default=Timing().poll, help="between two looks at the gateways (%(default)s)"
    )
    parser.add_argument(
        "--batch-seconds",
        type=float,
        default=Timing().batch,
        help="that a verdict waits for others before it is told (%(default)s)",
    )
    parser.add_argument("--log-format", choices=("json", "text"), default="text", help="default: %(default)s")
    add_network_options(parser, used="questions to graders in a pod (with --state they may go anywhere)")
    add_host_option(parser, used="the upstream")
    parser.set_defaults(parser=parser)


def run(args: argparse.Namespace) -> int:
    """Grade until SIGTERM or SIGINT."""
    logging.getLogger().setLevel(logging.WARNING)  # libraries log each request on lower levels
    if args.secret and not args.namespace:
        args.parser.error("--secret needs --namespace: the namespace of the Secret")
    log = Log(sys.stdout, args.log_format)
    with contextlib.suppress(asyncio.CancelledError):
        try:
            asyncio.run(stoppable(_Process(args, log).run()))
        except (KubeError, OSError) as error:
            log.event("cannot run", "error", reason=str(error))
            return 1
    return 0


@dataclass(slots=True)
class _Process:
    args: argparse.Namespace
    log: Log
    trouble: str = "it is starting"
    service: Service | None = None

    async def run(self) -> None:
        """Serve probes, read what to do, and do it."""
        metrics = Metrics()
        async with self._serving(make_admin(metrics, self._trouble)):
            plan = await self._plan()
            async with self._store(plan) as store:
                memory = await self._memory(store, plan)
                await self._grade(plan, memory, metrics)

    async def _grade(self, plan: Plan, memory: Memory, metrics: Metrics) -> None:
        async with Patterns() as patterns, Pods(self._key) as pods, await self._asker(plan) as asker:
            spending = Spending(memory.state, plan.live.max_cost_usd_per_day)

            async def ask(arm: PreparedArm, item: Item) -> Answer:
                if key := api_key(self.args.upstream_key_file):  # somebody may give another in the middle of a rollout
                    asker.use(key)
                return await asker.ask(arm, item)

            judge = Judge(plan.checks, ask, patterns, spending, memory.state.snapshots, prices=plan.prices)
            try:
                await judge.prepare()
            except InvalidPattern as error:
                await self._give_up(str(error))
            self.service = Service(
                live=plan.live,
                find=self._find,
                pods=pods,
                judge=judge,
                spending=spending,
                memory=memory,
                metrics=metrics,
                log=self.log,
                timing=Timing(poll=self.args.poll_seconds, batch=self.args.batch_seconds),
            )
            await self.service.run()

    async def _plan(self) -> Plan:
        """The plan that it was started for: the kubelet may bring it a moment later."""
        policy = Policy(allowed_hosts=tuple(self.args.allowed_hosts))
        while True:
            try:
                plan = read_plan(self.args.plan, policy)
            except InvalidPlan as error:
                await self._wait(str(error))
                continue
            if self.args.plan_hash in (None, plan.hash):
                return plan
            await self._wait("the plan that is mounted is not the newest yet")

    async def _memory(self, store: Store, plan: Plan) -> Memory:
        """What it remembers: nothing is graded before that is known. Another plan begins with no snapshots."""
        while True:
            try:
                state, samples = await store.read()
                break
            except NoStore as error:
                await self._wait(str(error))
        if state.plan != plan.hash:
            state.plan, state.snapshots = plan.hash, {}
        return Memory(store, state, kept(samples, plan.live.keep_failed, time.time()), changed=True)

    @asynccontextmanager
    async def _store(self, plan: Plan) -> AsyncIterator[Store]:
        if self.args.state:
            yield FileStore(self.args.state)
            return
        from claude_operator.kube.client import Kube  # it takes long to import, and a laptop has no use for it

        async with await Kube.from_environment() as kube:
            yield SecretStore(kube, self.args.namespace, self.args.secret, plan.source.deployment.uid)

    async def _asker(self, plan: Plan) -> Asker:
        while not (key := api_key(self.args.upstream_key_file)):
            await self._wait("the Secret of spec.upstream.apiKeySecretRef has no key: put the API key into it")
        return Asker(plan.source.base_url, key, timeout=_TIMEOUT, open_calls=_OPEN_CALLS, rules=self._rules())

    async def _wait(self, trouble: str) -> None:
        """Say once what is missing, and look again a little later."""
        if trouble != self.trouble:
            self.trouble = trouble
            self.log.event("not grading", "warning", reason=trouble)
        await asyncio.sleep(_AGAIN)

    async def _give_up(self, trouble: str) -> NoReturn:
        """Nothing but another plan mends it, and that is another process."""
        while True:
            await self._wait(trouble)

    def _trouble(self) -> str:
        return self.service.trouble if self.service else self.trouble

    def _rules(self) -> AddressRules:
        if self.args.state:
            return ANYWHERE
        return rules_in_pod(self.args.allowed_addresses, self.args.denied_addresses, os.environ)

    def _key(self) -> bytes:
        """The graders' key, read anew: somebody may give another."""
        return (api_key(self.args.grader_key_file) or "").encode()

    async def _find(self) -> list[Place]:
        found = [await find_places(name) for name in self.args.gateways]
        return sorted({place for places in found for place in places})

    @asynccontextmanager
    async def _serving(self, app: web.Application) -> AsyncIterator[None]:
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.args.host, self.args.admin_port).start()
            self.log.event("listening", admin_port=runner.addresses[0][1])
            yield
        finally:
            await runner.cleanup()
