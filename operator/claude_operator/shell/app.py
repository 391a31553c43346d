"""The operator's process: wait for the Lease, work until it is lost, wait for it again, until it is asked to end.

What must not outlive a leadership is made again for each: queue, watches, memories, connections to gateways.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from claude_operator.core import render
from claude_operator.core.spec.definitions import Definitions
from claude_operator.core.spec.networks import AddressRules, parse_network, rules_in_pod
from claude_operator.core.spec.policy import OPEN, Policy
from claude_operator.core.usage.reading import READ_EVERY
from claude_operator.kube.client import Kube, KubeError
from claude_operator.log import fields
from claude_operator.shell.act import Actor
from claude_operator.shell.aside import Aside
from claude_operator.shell.checklists import Checklists
from claude_operator.shell.children import Children
from claude_operator.shell.clock import SYSTEM_CLOCK, Clock
from claude_operator.shell.control_plane import ApiServerAddresses
from claude_operator.shell.definitions import DefinitionsReader
from claude_operator.shell.endings import Endings
from claude_operator.shell.events import Recorder
from claude_operator.shell.gateway_view import GatewayReader
from claude_operator.shell.gather import Gatherer, Sources
from claude_operator.shell.keyring import Keyring
from claude_operator.shell.keys import Key
from claude_operator.shell.lease import Lease, LeaseLost
from claude_operator.shell.ledgers import Ledgers
from claude_operator.shell.lookout import CannotSee, Lookout
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.models import ModelBook
from claude_operator.shell.name_reader import NameReader
from claude_operator.shell.organisation import Organizations, Place
from claude_operator.shell.organisation_holders import Holders
from claude_operator.shell.organisation_parts import HistoryParts
from claude_operator.shell.organisation_reader import HistoryReader
from claude_operator.shell.patrol import Patrol
from claude_operator.shell.permits import Permits
from claude_operator.shell.prices import PriceBook
from claude_operator.shell.prometheus import PrometheusReader
from claude_operator.shell.queue import WorkQueue
from claude_operator.shell.reconcile import DeploymentLoop, Reconciler, RunLoop
from claude_operator.shell.references import ReferenceReader
from claude_operator.shell.scope import Scope, ScopeChanged, view
from claude_operator.shell.scrape import AdminPorts, Scraper
from claude_operator.shell.server import HealthServer
from claude_operator.shell.supervise import STUCK, LoopWatch, Supervisor
from claude_operator.shell.usage import UsageKeeper
from claude_operator.shell.usage_store import UsageStore

__all__ = ["App", "Settings"]

_log = logging.getLogger(__name__)

_RETRY = 0.5  # seconds until the models are written again
_MODELS = 3600.0  # seconds between two looks at the calendar
_MODELS_WAIT = 3.0  # seconds that the first pass waits for them


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and as whom it runs."""

    site: render.Site
    namespace: str
    identity: str
    lease_name: str = "claude-operator"
    health_port: int = 8081
    workers: int = 16
    prometheus_address: str | None = None
    """Where the queries of metrics go that name no address."""
    policy: Policy = OPEN
    namespaces: tuple[str, ...] = ()
    """Those that are worked on, with rights in them alone; none for all."""
    audited: bool = False
    """An admission policy holds people who promote, abort, retry or drill to their names."""
    authors_held: bool = False
    """An admission policy holds people who sign an item of the checklist to their names."""
    prices: Path | None = None
    """The file with prices that hold instead of the list's."""
    usage_interval: float = READ_EVERY
    """Seconds between two readings of what gateways have used, while calls come."""


def _address_rules(site: render.Site) -> AddressRules:
    """Where the operator connects for a user: as its pods do; outside of a cluster only what is denied is refused."""
    allowed, denied = (tuple(map(parse_network, one)) for one in (site.allowed_addresses, site.denied_addresses))
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return rules_in_pod(allowed, denied, os.environ)
    return AddressRules(allowed, denied, special=False)


class App:
    """Wires the parts. `run` returns when `stop` was called, and raises when a part fails."""

    def __init__(self, settings: Settings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings, self._clock = settings, clock
        self._metrics = Metrics()
        self._supervisor, self._loop_watch = Supervisor(), LoopWatch(self._metrics, clock)
        self._queue: WorkQueue[Key] | None = None
        self._lookout: Lookout | None = None
        self._lease: Lease | None = None
        self._started = False
        self._away: str | None = None
        """Why the kinds that are watched cannot be listed."""
        self._models_changed = asyncio.Event()
        self._models_read = asyncio.Event()

    def stop(self) -> None:
        """End now; passes are cut wherever they are, which their order of writes allows."""
        self._supervisor.stop()

    async def run(self) -> None:
        """Serve probes, wait for the Lease, work."""
        server = HealthServer(
            check=self._stuck, unready=self._unready, page=self._metrics.page, port=self._settings.health_port
        )
        watchdog = asyncio.create_task(self._loop_watch.run())
        try:
            async with Aside("lease") as aside, contextlib.AsyncExitStack() as there:
                await aside.run(server.__aenter__())
                there.push_async_callback(lambda: aside.run(server.__aexit__(None, None, None)))
                candidate = await aside.run(Kube.from_environment(tries=1))  # the Lease tries again by itself
                there.push_async_callback(lambda: aside.run(candidate.__aexit__(None, None, None)))
                lease = self._lease = Lease(
                    candidate,
                    name=self._settings.lease_name,
                    namespace=self._settings.namespace,
                    identity=self._settings.identity,
                )
                retried = self._metrics.api_retries.inc
                async with await Kube.from_environment(permit=lease.check, on_retry=retried) as kube:
                    policies = self._settings.site.network is not None
                    wanted = view(self._settings.namespaces, network_policies=policies)
                    scope = Scope(kube, wanted, self._metrics.namespaces_away.set)
                    definitions, addresses = DefinitionsReader(kube), ApiServerAddresses(kube)
                    while await self._candidate(aside, scope, lease, definitions, addresses):
                        pass
        finally:
            watchdog.cancel()

    async def _candidate(
        self, aside: Aside, scope: Scope, lease: Lease, definitions: DefinitionsReader, addresses: ApiServerAddresses
    ) -> bool:
        """Wait for the Lease and lead; False once the process is asked to end."""
        if not await self._supervisor.unless_stopped(scope.until_served(self._tell_away)):
            return False
        for looking in (definitions.look, addresses.wait):
            if not await self._supervisor.unless_stopped(looking()):
                return False
        self._started = True
        try:
            if not await self._supervisor.unless_stopped(aside.run(lease.acquire())):
                return False
            self._metrics.leader.set(1)
            await addresses.refresh()
            await self._lead(aside, scope, lease, definitions, addresses)
            return not self._supervisor.stopped
        except (LeaseLost, CannotSee) as error:
            reason = "lease" if isinstance(error, LeaseLost) else "blind"
            self._metrics.leaderships_lost.labels(reason).inc()
            _log.error("no longer leads: %s", error)
            return True
        except ScopeChanged as error:
            _log.info("starts to lead again: %s", error)
            return True
        finally:
            self._metrics.leader.set(0)
            await aside.run(lease.release())  # even where we never led: a write that was cut short may have taken it

    def _tell_away(self, why: str | None) -> None:
        self._away = why

    async def _lead(
        self, aside: Aside, scope: Scope, lease: Lease, definitions: DefinitionsReader, addresses: ApiServerAddresses
    ) -> None:
        kube = scope.kube
        self._models_read.clear()
        self._metrics.longest_hold.set(0.0)
        models = ModelBook(kube, self._clock)
        name, clock = f"{self._settings.lease_name}-client-keys", self._clock.monotonic
        keyring = Keyring(kube, self._settings.namespace, name, clock=clock)
        policies = self._settings.site.network is not None
        children = Children(kube, keyring, clock=clock, network_policies=policies)
        children.writes.definitions = definitions.found
        policy = self._policy(addresses)
        address, hosts = self._settings.prometheus_address, policy.allowed_hosts
        reader = PrometheusReader(address, rules=policy.rules, hosts=hosts)
        async with (
            AdminPorts() as ports,
            reader as prometheus,
            NameReader(clock, policy.rules) as looked_up,
            HistoryReader() as history,
        ):
            scraper, ledgers = Scraper(self._metrics, ports.fetch), Ledgers(kube)
            gateways = GatewayReader(kube, scraper, children, self._clock)
            references = ReferenceReader(kube, policy, looked_up)
            prices = PriceBook(models.models, self._settings.prices)
            checklists = Checklists(kube, self._settings.namespaces, authors_held=self._settings.authors_held)
            sources = Sources(
                gateways,
                references,
                prometheus,
                ledgers,
                prices.models,
                self._settings.audited,
                price_fault=lambda: prices.fault,
                usage=lambda uid: usage.state(uid),
                organization=lambda uid: None if self._settings.namespaces else organizations.limits.of(uid),
                checklist=checklists.sight,
            )
            gatherer = Gatherer(kube, children, sources, self._clock)
            actor = Actor(kube, children, self._recorder(kube), ledgers, self._metrics)
            endings = Endings(clock)
            permits = Permits(kube, policy, looked_up)
            site = addresses.denied_on(self._settings.site)
            runs = RunLoop(kube, site, self._clock, endings, permits, prices.own_prices)
            holders, shown = Holders(kube, clock), self._metrics.deployments
            deployments = DeploymentLoop(gatherer, actor, self._settings.site, endings, shown, note=holders.note)
            reconciler = Reconciler(deployments, runs, self._metrics)
            queue = WorkQueue(
                reconciler,
                workers=self._settings.workers,
                on_depth=self._metrics.queue_depth.set,
                tenant=lambda key: key.namespace,
            )

            looked_up.wake = queue.add
            usage = UsageKeeper(
                UsageStore(kube, children),
                scraper,
                gateways.fleets,
                self._clock,
                queue.add,
                self._metrics.usage,
                interval=self._settings.usage_interval,
            )

            def child_changed(key: Key, type_: str, kind: str, body: Mapping[str, Any]) -> None:
                if children.changed(key.namespace, key.name, type_, kind, body):
                    queue.add(key)

            def forget(live: set[str]) -> None:
                gatherer.forget(live)
                children.forget(live)
                holders.forget(live)
                usage.forget(live)

            def definitions_changed(found: Definitions) -> None:
                children.writes.definitions = found
                lookout.add_all()

            def addresses_changed() -> None:
                references.policy = permits.policy = policy = self._policy(addresses)
                prometheus.rules = looked_up.rules = policy.rules
                runs.site = addresses.denied_on(self._settings.site)
                lookout.add_all()

            lookout = Lookout(
                kube,
                queue,
                self._metrics,
                child_changed=child_changed,
                is_own=children.writes.is_own,
                models_changed=self._models_changed.set,
                forget=forget,
                where=scope.view,
            )
            organizations = Organizations(
                kube,
                HistoryParts(kube, keyring, self._settings.namespace),
                history.read,
                holders.of,
                place=lambda: Place(self._settings.namespace, runs.site, permits.policy),
                models=prices.models,
                clock=self._clock,
                metrics=self._metrics.organizations,
                recorder=self._recorder(kube),
            )
            organizations.wake = lookout.add_all
            checklists.wake = lookout.add_namespaces
            self._queue, self._lookout = queue, lookout
            self._metrics.blind.set_function(lookout.blind_seconds)
            try:
                await self._supervisor.run(
                    aside.run(lease.hold()),
                    self._reconcile(queue),
                    lookout.watch(),
                    lookout.relist(),
                    scope.keep(),
                    self._keep_models(models, lookout),
                    definitions.keep(definitions_changed),
                    addresses.keep(addresses_changed),
                    Patrol(scraper, gatherer.resting, queue.add).run(),
                    self._keep_organizations(organizations),
                    checklists.run(),
                    usage.run(),
                )
            except CannotSee as error:
                self._away = str(error)
                raise
            finally:
                self._queue = self._lookout = None
                self._metrics.blind.set_function(lambda: 0.0)
                self._metrics.deployments.clear()
                self._metrics.usage.clear()

    def _policy(self, addresses: ApiServerAddresses) -> Policy:
        """What the installer allows, with the API server's addresses as of now."""
        rules = _address_rules(addresses.denied_on(self._settings.site))
        return replace(self._settings.policy, rules=rules, control_plane=addresses.found)

    def _recorder(self, kube: Kube) -> Recorder:
        return Recorder(
            kube,
            instance=self._settings.identity,
            clock=self._clock,
            on_emit=lambda reason: self._metrics.events.labels(reason).inc(),
        )

    async def _reconcile(self, queue: WorkQueue[Key]) -> None:
        """Work once the models are known, since what is on its way out may not be let in; but do not wait forever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MODELS_WAIT):
                await self._models_read.wait()
        await queue.run()

    async def _keep_organizations(self, organizations: Organizations) -> None:
        """Look at the ClaudeOrganizations. They belong to the cluster, as the ClaudeModels do."""
        if self._settings.namespaces:
            _log.info("ClaudeOrganizations are left alone, because --watch-namespace is set")
            await asyncio.Event().wait()
        await organizations.run()

    async def _keep_models(self, models: ModelBook, lookout: Lookout) -> None:
        """Keep the ClaudeModels as of today; a change of them concerns every ClaudeDeployment.

        They belong to the cluster: with rights in some namespaces alone, the table that is shipped holds.
        """
        if self._settings.namespaces:
            _log.info(
                "ClaudeModels are not read, because --watch-namespace is set: the operator uses the models it knows"
            )
            self._models_read.set()
            await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        in_time, problem = loop.time() + _MODELS_WAIT, ""
        while True:
            self._models_changed.clear()
            pause, before = _MODELS, models.models()
            try:
                await models.refresh()
                problem = ""
            except KubeError as error:
                if str(error) != problem:
                    _log.warning("ClaudeModels could not be written", extra=fields(error=str(error)))
                problem, pause = str(error), _RETRY * 4
            waited_for = not self._models_read.is_set() and loop.time() < in_time
            self._models_read.set()
            if models.models() != before and not waited_for:
                lookout.add_all()
            try:
                async with asyncio.timeout(pause):
                    await self._models_changed.wait()
                await asyncio.sleep(1.0)  # changes come in bunches
            except TimeoutError:
                pass

    def _stuck(self) -> str | None:
        """What the liveness probe says where nothing moves. Asked in another thread."""
        if (still := self._loop_watch.stuck()) is not None:
            return still
        queue = self._queue
        if queue is not None and queue.heartbeat() > STUCK:
            return f"the queue has not run for {queue.heartbeat():.0f} s"
        return None

    def _unready(self) -> str | None:
        """What keeps us from our work, whether we lead or stand by. Asked in another thread."""
        away = self._away
        if not self._started:
            return f"starting: {away}" if away else "starting"
        if away is not None:
            return f"cannot lead, the kinds that are watched cannot be listed: {away}"
        lookout = self._lookout
        blind = lookout.blind() if lookout is not None else None
        if blind is not None:
            return f"blind: {blind}"
        lease = self._lease
        return f"cannot lead: {lease.complaint}" if lease is not None and lease.complaint else None
