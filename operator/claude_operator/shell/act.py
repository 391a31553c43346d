"""A decision into writes, in the order that makes a crash between any two of them harmless."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import with_drill
from claude_operator.api.status import DeploymentStatus
from claude_operator.core import names, render
from claude_operator.core.reconcile import ownership
from claude_operator.core.reconcile.conditions import refused
from claude_operator.core.reconcile.decision import Decision, Event
from claude_operator.core.reconcile.events import transitions
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.service_levels import standings
from claude_operator.core.spec.definitions import APPLY_CRDS
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import BY_KIND, CLAUDE_DEPLOYMENTS, CLAUDE_EVAL_SETS, CLAUDE_REVISIONS, CONFIG_MAPS
from claude_operator.log import fields
from claude_operator.shell.children import Children
from claude_operator.shell.events import Recorder
from claude_operator.shell.gather import Seen
from claude_operator.shell.keys import DEPLOYMENT, key_of
from claude_operator.shell.ledgers import Ledgers
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.writes import What

__all__ = ["Actor"]

_log = logging.getLogger(__name__)

_RETRY = 5.0  # seconds until what could not be written besides status and config is tried again


class Actor:
    """Writes what was decided."""

    def __init__(self, kube: Kube, children: Children, recorder: Recorder, ledgers: Ledgers, metrics: Metrics) -> None:
        self._kube, self._children, self._recorder = kube, children, recorder
        self._ledgers, self._metrics = ledgers, metrics

    async def clear_status(self, owner: Object) -> None:
        """Take a status out that cannot be read: stable comes from the config then.

        From the API server too, since an apply does not take out what others wrote.
        """
        name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
        await self._kube.patch_status(CLAUDE_DEPLOYMENTS, name, namespace, dict.fromkeys(owner["status"]))

    async def repair(self, seen: Seen) -> Seen:
        """Ahead of the decision, what needs none: orphans, the ConfigMap's labels, an eval set's status.

        What fails of it is reported and prevents nothing from being decided. Returns what is to be decided on.
        """
        owner, repairs = seen.observation.owner, seen.repairs
        if repairs.eval_set is not None:
            await self._write_set(owner["metadata"]["namespace"], *repairs.eval_set)
        if not repairs.free:
            return seen
        adopted = await self._children.adopt(owner, repairs.orphans)
        config = adopted.get(repairs.config["metadata"]["uid"], repairs.config) if repairs.config else None
        served = seen.observation.status.gateway is not None
        config = await self._children.config_seen(owner, config, repairs.believed, served=served)
        refused = self._children.writes.refused(owner["metadata"]["uid"])
        version = config["metadata"]["resourceVersion"] if config else None
        return replace(seen, observation=replace(seen.observation, refused=refused), config_version=version)

    async def _write_set(self, namespace: str, name: str, status: Mapping[str, Any]) -> None:
        try:
            await self._kube.patch_status(CLAUDE_EVAL_SETS, name, namespace, status)
        except KubeError as error:
            if error.not_found:  # deleted meanwhile
                return
            where = fields(namespace=namespace, name=name, error=str(error))
            _log.warning("the status of a ClaudeEvalSet was not written", extra=where)

    async def act(self, seen: Seen, decision: Decision) -> float | None:
        """Do all of it; returns the seconds until the next pass.

        Raises `KubeError` where the status or the config was not written; with `conflict` somebody else wrote
        meanwhile, and the pass is void. What fails besides is logged and tried again. What is refused is reported.
        """
        owner = seen.observation.owner
        if decision.backward:
            await self._config(seen, decision)
            await self._ledger(owner, decision)
            await self._status(seen.observation, decision.status)
            made = True
        else:
            made = all([await self._make(seen, decision, body) for body in decision.creations])
            await self._ledger(owner, decision)
            await self._status(seen.observation, decision.status)
            await self._config(seen, decision)
        events = [one for one in decision.events if made or one.reason != Reason.REVISION_CREATED]
        self._count(owner, decision)
        where = owner["metadata"]["namespace"], owner["metadata"]["name"]
        self._metrics.usage.show_budgets(*where, standings(seen.observation))
        try:
            again = await self._besides(seen, decision)
        except KubeError:  # the namespace is being deleted
            raise
        except BaseException:
            self._log(owner, events)
            raise
        await self._emit_all(owner, [*events, *self._children.take_events(owner)])
        if not decision.error:
            self._children.writes.done(owner["metadata"]["uid"], "pass")
        else:
            await self.failed(owner, RuntimeError(decision.error))
            raise RuntimeError(f"traffic was taken back, the rest of the pass failed: {decision.error}")
        refused_no_more = seen.observation.refused.keys() - self._children.writes.refused(owner["metadata"]["uid"])
        known = [delay for delay in (again, decision.requeue, 0.0 if refused_no_more else None) if delay is not None]
        return min(known) if known else None

    async def failed(self, owner: Mapping[str, Any], error: Exception) -> None:
        """Tell, once until a pass succeeds, that nothing could be decided: conditions cannot say so."""
        message = f"{type(error).__name__}: {error}".partition("\n")[0]
        if self._failed(owner, "pass", KubeError(422, "PassFailed", message)):
            note = f"a pass failed, so nothing changes and conditions are out of date; gateways keep serving: {message}"
            await self._emit(owner, Event(Reason.PASS_FAILED, note, "Warning"))

    async def _ledger(self, owner: Mapping[str, Any], decision: Decision) -> None:
        """Before the status that has its tick: a record too many is dropped later, one too few would be missing."""
        if decision.ledger is not None:
            await self._ledgers.write(owner, decision.ledger)

    async def _make(self, seen: Seen, decision: Decision, body: Mapping[str, Any]) -> bool:
        """Create what the rest of the pass rests on."""
        what: What = "revision" if body["kind"] == CLAUDE_REVISIONS.kind else "evalRun"
        try:
            made = await self._create(seen.observation.owner, body)
        except KubeError as error:
            await self._refused(seen, decision, what, error)
            raise
        self._children.writes.done(seen.observation.owner["metadata"]["uid"], what)
        return made

    async def _create(self, owner: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
        """Create what never changes; False where it is there: as wanted, if it is ours or an orphan."""
        resource, metadata = BY_KIND[body["kind"]], body["metadata"]
        if dropped := self._children.writes.definitions.dropped(body):
            message = f"{resource.kind} {metadata['name']} would lose {', '.join(dropped)}: apply the operator's CRDs"
            raise KubeError(422, Reason.CRD_OUTDATED, f"{message}: {APPLY_CRDS}")
        try:
            await self._kube.create(resource, dict(body))
            return True
        except KubeError as error:
            if not error.conflict:
                raise
        live = await self._kube.get(resource, metadata["name"], metadata["namespace"])
        if live is None:
            return False
        if not self._children.is_ours(owner, live):
            # No conflict that another look would end: what a person made, or what is still being deleted.
            # The next pass finds it among what is taken, and says so in a condition.
            self._children.doubt(owner, resource.kind, metadata["name"])
        elif not await self._children.adopt(owner, [live]) and not ownership.is_marked(live, owner["metadata"]["name"]):
            await self._kube.merge(resource, ownership.adoption(live, owner))  # by its labels it is found
        return False

    async def _status(self, obs: Observation, after: DeploymentStatus) -> None:
        """Apply the status where it differs, fenced by the resourceVersion that was read."""
        wanted, owner = after.to_dict(), obs.owner
        if wanted == obs.status.to_dict():
            return
        metadata = {key: owner["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        body = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "metadata": metadata, "status": wanted}
        uid, writes = owner["metadata"]["uid"], self._children.writes
        try:
            stored = await self._kube.apply(
                CLAUDE_DEPLOYMENTS, body, field_manager=names.FIELD_MANAGER, subresource="status"
            )
        except KubeError as error:
            news = self._failed(owner, "status", error)
            why = writes.refused(uid).get("status", "")
            if news:
                note = f"the API server refuses the status, so conditions are out of date: {why}"
                await self._emit(owner, Event(Reason.WRITE_REFUSED, note, "Warning"))
            if why:
                await self._conditions(obs, refused(obs.status, after, "status", why, obs.now))
            raise
        writes.own(uid, stored)
        writes.done(uid, "status")

    async def _conditions(self, obs: Observation, after: DeploymentStatus) -> None:
        """Write the conditions alone: their form never changes, so that an older definition has room for them."""
        if after.conditions == obs.status.conditions:
            return
        owner, metadata = obs.owner, obs.owner["metadata"]
        wanted = {"conditions": after.to_dict()["conditions"]}
        with contextlib.suppress(KubeError):  # an Event has reported it
            stored = await self._kube.patch_status(CLAUDE_DEPLOYMENTS, metadata["name"], metadata["namespace"], wanted)
            self._children.writes.own(owner["metadata"]["uid"], stored)

    async def _config(self, seen: Seen, decision: Decision) -> None:
        """Apply the config where it differs; a document that was changed meanwhile is not written over."""
        config, owner = decision.config, seen.observation.owner
        as_is = seen.repairs.believed.stored or not seen.repairs.free
        if config is None or (config == seen.observation.config and as_is):
            self._children.writes.done(owner["metadata"]["uid"], "config")
            return
        if seen.config_version is None:  # an apply does not take out what was created
            config = with_drill(config, msgspec.UNSET)
        try:
            body = render.config_map(owner, config, await self._children.signing_key(owner["metadata"]["uid"]))
            with self._children.writing(owner, body) as stored:
                if seen.config_version is None:
                    await self._create_config(owner, body, stored)
                else:
                    fenced = {**body, "metadata": {**body["metadata"], "resourceVersion": seen.config_version}}
                    stored(await self._kube.apply(CONFIG_MAPS, fenced, field_manager=names.FIELD_MANAGER))
        except KubeError as error:
            await self._refused(seen, decision, "config", error)
            raise
        self._children.writes.done(owner["metadata"]["uid"], "config")

    def _failed(self, owner: Mapping[str, Any], what: What, error: KubeError) -> bool:
        """Count a write that failed; True where it is to be reported now."""
        if not error.conflict and not error.not_found and not error.terminating:
            self._metrics.write_failures.labels(what).inc()
        return self._children.writes.failed(owner["metadata"]["uid"], what, error)

    async def _refused(self, seen: Seen, decision: Decision, what: What, error: KubeError) -> None:
        """Say in the status that something was not written; once the status is written first, the next pass does."""
        obs = seen.observation
        self._failed(obs.owner, what, error)
        why = self._children.writes.refused(obs.owner["metadata"]["uid"]).get(what)
        if why is None:
            return
        if what == "config" and not decision.backward:
            await asyncio.gather(
                *(self._emit(obs.owner, one) for one in decision.events if one.reason == Reason.WRITE_REFUSED)
            )
            return
        after = refused(obs.status, decision.status, what, why, obs.now)
        with contextlib.suppress(KubeError):  # reported by an Event of its own
            await self._status(obs, after)
            await asyncio.gather(*(self._emit(obs.owner, event) for event in transitions(obs, after)))

    async def _create_config(self, owner: Mapping[str, Any], body: Object, stored: Callable[[Object], None]) -> None:
        """Create it. Where it is there by now the pass is void, unless it is somebody else's: then nothing is done."""
        try:
            stored(await self._kube.create(CONFIG_MAPS, body))
        except KubeError as error:
            metadata = body["metadata"]
            live = (
                await self._kube.get(CONFIG_MAPS, metadata["name"], metadata["namespace"]) if error.conflict else None
            )
            if live is None or self._children.is_ours(owner, live):
                raise
            self._children.doubt(owner)  # the next pass says whose name it is

    async def _emit_all(self, owner: Mapping[str, Any], events: Sequence[Event]) -> None:
        """Events, and a line of the log for each; no line where the namespace is being deleted, which is raised."""
        results = await asyncio.gather(*(self._emit(owner, event) for event in events), return_exceptions=True)
        for error in results:
            if error is not None:
                raise error
        self._log(owner, events)

    @staticmethod
    def _log(owner: Mapping[str, Any], events: Sequence[Event]) -> None:
        where = {"namespace": owner["metadata"]["namespace"], "deployment": owner["metadata"]["name"]}
        for event in events:
            level = logging.WARNING if event.type == "Warning" else logging.INFO
            _log.log(level, event.note, extra=fields(reason=event.reason, **where))

    def _count(self, owner: Mapping[str, Any], decision: Decision) -> None:
        self._metrics.usage.show_budget(key_of(DEPLOYMENT, owner), decision.status.spending)
        for ended in decision.ended:
            self._metrics.rollouts.labels(ended.outcome).inc()
            if ended.latency is not None:
                self._metrics.rollback_latency.observe(ended.latency)

    async def _besides(self, seen: Seen, decision: Decision) -> float | None:
        """Children, the history and the revisions' own status: none of it may keep traffic from being taken back."""
        owner, served = seen.observation.owner, seen.observation.status.gateway is not None
        namespace = owner["metadata"]["namespace"]
        jobs: list[Coroutine[Any, Any, Any]] = [self._delete(body) for body in decision.deletions]
        jobs += [self._create(owner, body) for body in decision.creations if decision.backward]
        jobs += [self._revision_status(namespace, one.name, one.state, one.eval) for one in decision.revision_states]
        children = self._children.ensure(owner, decision.children, served=served) if decision.children else _nothing()
        wait, *results = await asyncio.gather(children, *jobs, return_exceptions=True)
        failed = [result for result in (wait, *results) if isinstance(result, BaseException)]
        for error in failed:
            if not isinstance(error, KubeError) or error.terminating:
                raise error
        for error in failed:
            where = fields(namespace=namespace, deployment=owner["metadata"]["name"], error=str(error))
            # What somebody deleted or wrote meanwhile is read again.
            passing = isinstance(error, KubeError) and (error.conflict or error.not_found)
            _log.log(logging.INFO if passing else logging.WARNING, "a child was not written", extra=where)
        if isinstance(wait, KubeError):
            self._metrics.write_failures.labels("child").inc()
        return _RETRY if failed or isinstance(wait, BaseException) else wait

    async def _revision_status(self, namespace: str, name: str, state: str, phase: str) -> None:
        try:
            await self._kube.patch_status(CLAUDE_REVISIONS, name, namespace, {"state": state, "eval": phase})
        except KubeError as error:
            if error.status != 404:
                raise

    async def _delete(self, body: Mapping[str, Any]) -> None:
        metadata = body["metadata"]
        await self._kube.delete(BY_KIND[body["kind"]], metadata["name"], metadata["namespace"], uid=metadata.get("uid"))

    async def _emit(self, owner: Mapping[str, Any], event: Event) -> None:
        await self._recorder.emit(owner, type=event.type, reason=event.reason, note=event.note, action=event.reason)


async def _nothing() -> None:
    return None
