"""The operator's process on a world: the real loop, wired as `shell.app` does, but for what waits and listens."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from typing import Any, TypeVar

from tests.shell.fakes import FakeKube, VirtualLoop

from claude_operator.core import render
from claude_operator.core.catalogue.table import Model
from claude_operator.core.reconcile.decision import Decision
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.usage.state import UsageState
from claude_operator.shell.act import Actor
from claude_operator.shell.children import Children
from claude_operator.shell.clock import Clock
from claude_operator.shell.endings import Endings
from claude_operator.shell.events import Recorder
from claude_operator.shell.gateway_view import GatewayReader
from claude_operator.shell.gather import Gatherer, Seen, Sources
from claude_operator.shell.keyring import Keyring
from claude_operator.shell.ledgers import Ledgers
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.prometheus import PrometheusReader
from claude_operator.shell.reconcile import DeploymentLoop, Reconciler, RunLoop
from claude_operator.shell.references import ReferenceReader
from claude_operator.shell.scrape import Fetch, Scraper

T = TypeVar("T")

SITE = render.Site(image="registry.example.com/claude-operator:1.2.3", pull_policy="IfNotPresent")
NAMESPACE = "claude-system"
METRICS = Metrics()
"""Of all processes of all worlds: nothing is decided by them."""


class WatchedActor(Actor):
    """The Actor, and who looks at what it is given and at what it has done."""

    def __init__(
        self,
        kube: Any,
        children: Children,
        recorder: Recorder,
        ledgers: Ledgers,
        decided: Callable[[Observation, Decision], None],
        done: Callable[[Observation, Decision], None],
    ) -> None:
        super().__init__(kube, children, recorder, ledgers, METRICS)
        self._decided, self._done = decided, done

    async def act(self, seen: Seen, decision: Decision) -> float | None:
        """As the Actor does."""
        self._decided(seen.observation, decision)
        after = await super().act(seen, decision)
        self._done(seen.observation, decision)
        return after


class Process:
    """What it remembers ends with it."""

    def __init__(
        self,
        kube: FakeKube,
        clock: Clock,
        fetch: Fetch,
        models: Callable[[], Mapping[str, Model]],
        decided: Callable[[Observation, Decision], None],
        done: Callable[[Observation, Decision], None],
        usage: Callable[[str], UsageState | None],
    ) -> None:
        api: Any = kube
        keyring = Keyring(api, NAMESPACE, clock=clock.monotonic)
        self.children = Children(api, keyring, clock=clock.monotonic)
        ledgers = Ledgers(api)
        gateways = GatewayReader(api, Scraper(METRICS, fetch), self.children, clock)
        sources = Sources(gateways, ReferenceReader(api), PrometheusReader(), ledgers, models, usage=usage)
        self.gatherer = Gatherer(api, self.children, sources, clock)
        recorder = Recorder(api, instance="one", clock=clock)
        actor = WatchedActor(api, self.children, recorder, ledgers, decided, done)
        endings = Endings(clock.monotonic)
        loop = DeploymentLoop(self.gatherer, actor, SITE, endings, METRICS.deployments)
        self.reconciler = Reconciler(loop, RunLoop(api, SITE, clock, endings), METRICS)

    def unchanging(self) -> list[object]:
        """What it remembers and never changes: two worlds may share it."""
        checkpoints = [one for known in self.gatherer._evidence._checkpoints.values() for one in known]
        wanted = [one for family in self.children._families.values() for one in family.wanted.values()]
        return [METRICS, SITE, *checkpoints, *wanted]


@cache
def _loop() -> VirtualLoop:
    loop = VirtualLoop()
    atexit.register(loop.close)
    return loop


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end; nothing of it is left, whether it succeeds or not."""
    loop = _loop()
    try:
        found = loop.run_until_complete(work)
    except BaseException:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        raise
    assert not asyncio.all_tasks(loop), "a pass leaves a task behind"
    return found
