"""A decision into writes, in the order that makes a crash between any two of them harmless."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from claude_operator.api.status import DeploymentStatus
from claude_operator.core import names, render
from claude_operator.core.actions import Decision
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import BY_KIND, CLAUDE_DEPLOYMENTS, CLAUDE_REVISIONS, CONFIG_MAPS
from claude_operator.shell.children import Children
from claude_operator.shell.events import Recorder
from claude_operator.shell.gather import Seen
from claude_operator.shell.ledgers import Ledgers
from claude_operator.shell.log import fields
from claude_operator.shell.metrics import Metrics

__all__ = ["Actor"]

_log = logging.getLogger(__name__)

_RETRY = 5.0  # seconds until what could not be written besides status and config is tried again


class Actor:
    """Writes what was decided."""

    def __init__(self, kube: Kube, children: Children, recorder: Recorder, ledgers: Ledgers, metrics: Metrics) -> None:
        self._kube, self._children, self._recorder = kube, children, recorder
        self._ledgers, self._metrics = ledgers, metrics

    async def act(self, seen: Seen, decision: Decision) -> float | None:
        """Do all of it; returns the seconds until the next pass.

        Raises `KubeError` where the status or the config was not written; with `conflict` somebody else wrote
        meanwhile, and the pass is void. What fails besides is logged and tried again.
        """
        owner = seen.observation.owner
        if decision.backward:
            await self._config(seen, decision)
            await self._ledger(owner, decision)
            await self._status(owner, seen.observation.status, decision.status)
        else:
            for body in decision.creations:
                await self._create(owner, body)
            await self._ledger(owner, decision)
            await self._status(owner, seen.observation.status, decision.status)
            await self._config(seen, decision)
        self._told(owner, decision)
        again = await self._besides(owner, decision)
        await asyncio.gather(*(self._emit(owner, event) for event in decision.events))
        if decision.error:
            raise RuntimeError(f"traffic was taken back, the rest of the pass failed: {decision.error}")
        known = [delay for delay in (again, decision.requeue) if delay is not None]
        return min(known) if known else None

    async def _ledger(self, owner: Mapping[str, Any], decision: Decision) -> None:
        """Before the status that has its tick: a record too many is dropped later, one too few would be missing."""
        if decision.ledger is not None:
            await self._ledgers.write(owner, decision.ledger)

    async def _create(self, owner: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Create what never changes; where it is there and ours, it is as wanted."""
        resource, metadata = BY_KIND[body["kind"]], body["metadata"]
        try:
            await self._kube.create(resource, dict(body))
            return
        except KubeError as error:
            if not error.conflict:
                raise
        live = await self._kube.get(resource, metadata["name"], metadata["namespace"])
        if live is not None and not names.is_controlled_by(live, owner["metadata"]["uid"]):
            # No conflict that another look would end: what an owner of the same name left, or a person made.
            # The next pass finds it among what is taken, and says so in a condition.
            self._children.doubt(owner, resource, metadata["name"])

    async def _status(self, owner: Mapping[str, Any], before: DeploymentStatus, after: DeploymentStatus) -> None:
        """Apply the status where it differs, fenced by the resourceVersion that was read."""
        wanted = after.to_dict()
        if wanted == before.to_dict():
            return
        metadata = {key: owner["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        body = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "metadata": metadata, "status": wanted}
        await self._kube.apply(CLAUDE_DEPLOYMENTS, body, field_manager=names.FIELD_MANAGER, subresource="status")

    async def _config(self, seen: Seen, decision: Decision) -> None:
        """Apply the config where it differs; a document that was changed meanwhile is not written over."""
        config = decision.config
        if config is None or config == seen.observation.config:
            return
        body = render.config_map(seen.observation.owner, config)
        if seen.config_version is None:
            await self._create_config(seen.observation.owner, body)
            return
        fenced = {**body, "metadata": {**body["metadata"], "resourceVersion": seen.config_version}}
        await self._kube.apply(CONFIG_MAPS, fenced, field_manager=names.FIELD_MANAGER)

    async def _create_config(self, owner: Mapping[str, Any], body: Object) -> None:
        """Create it. Where it is there by now the pass is void, unless it is somebody else's: then nothing is done."""
        try:
            await self._kube.create(CONFIG_MAPS, body)
        except KubeError as error:
            metadata = body["metadata"]
            live = (
                await self._kube.get(CONFIG_MAPS, metadata["name"], metadata["namespace"]) if error.conflict else None
            )
            if live is None or names.is_controlled_by(live, owner["metadata"]["uid"]):
                raise
            self._children.doubt(owner)  # the next pass says whose name it is

    def _told(self, owner: Mapping[str, Any], decision: Decision) -> None:
        where = {"namespace": owner["metadata"]["namespace"], "deployment": owner["metadata"]["name"]}
        for event in decision.events:
            level = logging.WARNING if event.type == "Warning" else logging.INFO
            _log.log(level, event.note, extra=fields(reason=event.reason, **where))
        for ended in decision.ended:
            self._metrics.rollouts.labels(ended.outcome).inc()
            if ended.latency is not None:
                self._metrics.rollback_latency.observe(ended.latency)

    async def _besides(self, owner: Mapping[str, Any], decision: Decision) -> float | None:
        """Children, the history and the revisions' own status: none of it may keep traffic from being taken back."""
        namespace = owner["metadata"]["namespace"]
        jobs = [self._create(owner, body) for body in decision.creations if decision.backward]
        jobs += [self._children.ensure(owner, decision.children)] if decision.children else []
        jobs += [self._revision_status(namespace, one.name, one.state, one.eval) for one in decision.revision_states]
        jobs += [self._delete(body) for body in decision.deletions]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        for error in failed:
            if not isinstance(error, KubeError):
                raise error
            name = owner["metadata"]["name"]
            _log.warning(
                "a child was not written", extra=fields(namespace=namespace, deployment=name, error=str(error))
            )
        return _RETRY if failed else None

    async def _revision_status(self, namespace: str, name: str, state: str, phase: str) -> None:
        try:
            await self._kube.patch_status(CLAUDE_REVISIONS, name, namespace, {"state": state, "eval": phase})
        except KubeError as error:
            if error.status != 404:
                raise

    async def _delete(self, body: Mapping[str, Any]) -> None:
        await self._kube.delete(BY_KIND[body["kind"]], body["metadata"]["name"], body["metadata"]["namespace"])

    async def _emit(self, owner: Mapping[str, Any], event: Any) -> None:
        await self._recorder.emit(owner, type=event.type, reason=event.reason, note=event.note, action=event.reason)
