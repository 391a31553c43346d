"""Everything that one pass over a ClaudeDeployment has to know, read from the API server and the gateways.

Nothing is written here. Where a read fails the others are cancelled, and the pass has left nothing behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.status import DeploymentStatus
from claude_operator.core import names
from claude_operator.core.catalogue.table import Model
from claude_operator.core.checklist.case import UNSEEN, Sight
from claude_operator.core.checklist.signatures import content_hash
from claude_operator.core.judge.evidence.increments import Memory, history
from claude_operator.core.judge.evidence.measurements import Measurement
from claude_operator.core.judge.evidence.sample import Values
from claude_operator.core.judge.judges import threshold
from claude_operator.core.judge.metrics import valued
from claude_operator.core.organisation.budget import OrganizationLimit
from claude_operator.core.reconcile.grading import latest_note
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.progress import active
from claude_operator.core.reconcile.signed_config import Believed, KeyOf, Known, believe_config, least_generation
from claude_operator.core.reconcile.trust import forged
from claude_operator.core.spec import revision
from claude_operator.core.spec.validate import Problem
from claude_operator.core.usage.state import UsageState
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import CLAUDE_DEPLOYMENTS, CLAUDE_EVAL_RUNS, CLAUDE_REVISIONS, CONFIG_MAPS
from claude_operator.log import fields
from claude_operator.shell.children import Children
from claude_operator.shell.clock import Clock
from claude_operator.shell.evidence_memory import EvidenceMemory, Expected
from claude_operator.shell.gateway_view import GatewayReader, Gateways
from claude_operator.shell.keys import Key
from claude_operator.shell.ledgers import Ledgers
from claude_operator.shell.patrol import Resting
from claude_operator.shell.prometheus import PrometheusReader
from claude_operator.shell.references import ReferenceReader, References, unwritten
from claude_operator.shell.stored_objects import read_run_status, read_spec, read_status
from claude_operator.shell.tasks import Group

__all__ = ["Gatherer", "NoMasterKey", "Repairs", "Seen", "Sources"]

_log = logging.getLogger(__name__)


class NoMasterKey(KubeError):  # noqa: N818  # a state, not an error of the pass
    """The installation's master key cannot be used: nobody knows what the operator has signed."""

    def __init__(self, owner: Object, error: KubeError) -> None:
        super().__init__(error.status, error.reason, error.message)
        self.owner = owner


@dataclass(frozen=True, slots=True)
class Sources:
    """What is read besides our own objects; `models` are the cluster's, `price_fault` why they lack own prices."""

    gateways: GatewayReader
    references: ReferenceReader
    prometheus: PrometheusReader
    ledgers: Ledgers
    models: Callable[[], Mapping[str, Model]]
    audited: bool = False
    """Admission holds people to their names."""
    price_fault: Callable[[], str] = str
    usage: Callable[[str], UsageState | None] = lambda _: None
    """What is known of the usage of the ClaudeDeployment with a UID."""
    organization: Callable[[str], OrganizationLimit | None] = lambda _: None
    """The budget of the organisation that it belongs to, by UID."""
    checklist: Callable[[str], Sight] = lambda namespace: UNSEEN
    """Signatures and ClaudeChecklists, by namespace."""


_NOTHING = Believed(None)


@dataclass(frozen=True, slots=True)
class Repairs:
    """What was found wanting beside what is decided, for the Actor to repair ahead of the decision."""

    orphans: tuple[Object, ...] = ()
    """Objects among which some may have lost their owner."""
    config: Object | None = None
    """The gateways' ConfigMap, where it is ours."""
    free: bool = True
    """No name is taken by somebody else: else nothing is written."""
    believed: Believed = _NOTHING
    """What is believed of it."""
    eval_set: tuple[str, Mapping[str, Any]] | None = None
    """The eval set whose status is not as it should be, and what it lacks."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation, what its writes are fenced by, and the memory of evidence once they have been done."""

    observation: Observation
    config_version: str | None
    """resourceVersion of the live ConfigMap."""
    memory: Memory
    at: float
    """When it was, by the monotonic clock."""
    gateways: Gateways
    repairs: Repairs = Repairs()


@dataclass(frozen=True, slots=True)
class _Reads:
    """What one pass has read, side by side."""

    references: References
    revisions: list[Object]
    runs: list[Object]
    config: Object | None
    gateways: Gateways
    taken: list[Problem]
    lost: list[Object]
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class _Looked:
    """What was seen of a revision, whose spec never changes: whether its content is its name's, and its bytes."""

    genuine: bool
    size: int
    hash: str


@dataclass(frozen=True, slots=True)
class _Revisions:
    genuine: dict[str, Object]
    sizes: dict[str, int]
    hashes: dict[str, str]
    forged: list[Object]


class Gatherer:
    """Reads; keeps what goes with each status that it saw written, which `remember` moves on."""

    def __init__(self, kube: Kube, children: Children, sources: Sources, clock: Clock) -> None:
        self._kube, self._children, self._sources = kube, children, sources
        self._evidence = EvidenceMemory(clock)
        self._revisions_seen: dict[str, dict[tuple[str, int | None], _Looked]] = {}
        """By UID of the owner, and by UID and generation of the revision."""

    async def gather(self, key: Key) -> Seen | None:
        """The observation of now, None where there is no such ClaudeDeployment, or it is being deleted.

        Raises `KubeError`, `UnreadableStatus` among them.
        """
        owner = await self._kube.get(CLAUDE_DEPLOYMENTS, key.name, key.namespace)
        if owner is None or owner["metadata"].get("deletionTimestamp"):
            self._sources.gateways.drop(key)
            return None
        uid, stored, (spec, invalid) = owner["metadata"]["uid"], read_status(owner), read_spec(owner)
        expected = self._evidence.expected(uid, stored)
        try:
            key_of = await self._children.operator_keys()
        except KubeError as error:
            if error.status != 422:
                raise
            raise NoMasterKey(owner, error) from error
        reads = await self._read(key, owner, spec, expected, key_of)
        ours = reads.config is not None and self._children.is_ours(owner, reads.config)
        config = reads.config if ours else None
        taken, lost = reads.taken, reads.lost
        if reads.config is not None and not ours and not taken:
            self._children.doubt(owner)
            taken, lost = await self._children.taken(owner)
        if reads.config is None:
            believed = self._remembered(owner, reads.gateways, stored)
        else:
            config, believed = await self._believed(owner, config, reads.gateways, stored, key_of)
        look, at = self._evidence.look(expected, reads.gateways.readings)
        due = look.increments is not None
        ledger = None
        revisions = await self._sorted(owner, self._by_name(owner, reads.revisions))
        runs = self._by_name(owner, [run for run in reads.runs if not run["metadata"].get("deletionTimestamp")])
        if due or active(expected.status) is None:
            ledger = await self._sources.ledgers.read(uid, key.namespace, expected.status)
        not_made_by_us = [forged(one["metadata"]["name"], key.namespace) for one in revisions.forged]
        observation = Observation(
            now=look.now,
            owner=owner,
            spec=spec,
            status=stored,
            problems=(
                *taken,
                *not_made_by_us,
                *invalid,
                *reads.references.problems,
            ),
            prompts=reads.references.prompts,
            revisions=revisions.genuine,
            revision_sizes=revisions.sizes,
            revision_hashes=revisions.hashes,
            forged=frozenset(one["metadata"]["name"] for one in revisions.forged),
            eval_set=reads.references.eval_set,
            eval_runs={name: read_run_status(run) for name, run in runs.items()},
            run_objects=runs,
            config=believed.config,
            gateway=reads.gateways.view,
            refused=self._children.writes.refused(uid),
            outdated=self._outdated(),
            increments=look.increments,
            undecided=look.undecided,
            grader=latest_note(reads.gateways.readings),
            readings=look.memory.readings,
            history=_history(expected.status, look.memory) if due else {},
            cohorts=reads.gateways.cohorts,
            ledger=ledger,
            measurements=reads.measurements,
            policy=self._sources.references.policy,
            resolved=reads.references.resolved,
            models=self._sources.models(),
            price_fault=self._sources.price_fault(),
            audited=self._sources.audited,
            usage=self._sources.usage(uid),
            organization=self._sources.organization(uid),
            checklist=self._sources.checklist(key.namespace),
        )
        orphans = (*lost, *reads.revisions, *reads.runs, *([reads.config] if reads.config else []))
        repairs = Repairs(orphans, config, not taken, believed, unwritten(reads.references, observation))
        version = config["metadata"]["resourceVersion"] if config else None
        return Seen(observation, version, look.memory, at, reads.gateways, repairs)

    def _remembered(self, owner: Object, gateways: Gateways, status: DeploymentStatus) -> Believed:
        """What is believed where the ConfigMap is gone: what this process wrote last, unless another has since."""
        last = self._children.lost_config(owner)
        return Believed(last) if last and last.generation >= least_generation(status, gateways.view) else _NOTHING

    async def _believed(
        self, owner: Object, config: Object | None, gateways: Gateways, status: DeploymentStatus, key_of: KeyOf
    ) -> tuple[Object | None, Believed]:
        """The gateways' ConfigMap, and what is believed of it."""
        if config is None:
            return None, _NOTHING
        known = Known(
            owner["metadata"]["uid"],
            lambda: self._children.last_config(owner),
            least_generation(status, gateways.view),
            unsigned=gateways.unsigned,
            # Once this life has had a config served, none of an earlier one is its own.
            orphan=status.gateway is None and not names.is_controlled_by(config, owner["metadata"]["uid"]),
        )
        believed = believe_config(config, key_of, known)
        if believed.old:  # another leader may have written between the look at it and that at the pods
            name, namespace = config["metadata"]["name"], config["metadata"]["namespace"]
            config = await self._kube.get(CONFIG_MAPS, name, namespace) or config
            believed = believe_config(config, key_of, known)
        if believed.doubt:
            where = {key: owner["metadata"][key] for key in ("namespace", "name")}
            _log.warning("the gateways' config is written again", extra=fields(**where, reason=believed.doubt))
        return config, believed

    async def _read(
        self, key: Key, owner: Object, spec: DeploymentSpec | None, expected: Expected, key_of: KeyOf
    ) -> _Reads:
        selector = {"label_selector": f"{names.LABEL_DEPLOYMENT}={key.name}"}
        async with Group() as group:
            measuring = group.create_task(self._measurements(key, owner, expected))
            references = group.create_task(self._references(key, spec))
            revisions = group.create_task(self._kube.list(CLAUDE_REVISIONS, key.namespace, **selector))
            runs = group.create_task(self._kube.list(CLAUDE_EVAL_RUNS, key.namespace, **selector))
            config = group.create_task(self._kube.get(CONFIG_MAPS, names.gateway_name(key.name), key.namespace))
            gateways = group.create_task(self._sources.gateways.read(key, owner, expected, key_of))
            taken = group.create_task(self._children.taken(owner))
        return _Reads(
            references.result(),
            revisions.result(),
            runs.result(),
            config.result(),
            gateways.result(),
            *taken.result(),
            measuring.result(),
        )

    def announce(self, seen: Seen, status: DeploymentStatus) -> None:
        """Before the writes: `status` has the increments of this pass, should it be stored whatever else fails."""
        uid, now = seen.observation.owner["metadata"]["uid"], seen.observation.now
        self._evidence.announce(uid, status, memory=seen.memory, now=now, at=seen.at)

    def remember(self, seen: Seen) -> None:
        """The writes of this pass are done: its increments count as reported."""
        uid = seen.observation.owner["metadata"]["uid"]
        self._evidence.remember(uid)
        self._sources.gateways.remember(uid, seen.gateways)

    def forget(self, live: set[str]) -> None:
        """Drop the memory of ClaudeDeployments that no longer exist; `live` are UIDs."""
        for one in (self._evidence, self._sources.gateways, self._sources.prometheus, self._sources.ledgers):
            one.forget(live)
        self._revisions_seen = {uid: known for uid, known in self._revisions_seen.items() if uid in live}

    def resting(self) -> list[Resting]:
        """Those of which no readings are made, as their last pass saw them."""
        return self._sources.gateways.resting()

    async def _references(self, key: Key, spec: DeploymentSpec | None) -> References:
        return await self._sources.references.read(key, spec) if spec else References()

    async def _measurements(self, key: Key, owner: Object, expected: Expected) -> tuple[Measurement, ...]:
        """Answers of Prometheus, where a tick is due that can take them in; this takes a tenth of a second at most."""
        uid, status = owner["metadata"]["uid"], expected.status
        rollout = active(status)
        if rollout is None or expected.wait is None or status.stable_revision is None:
            return await self._sources.prometheus.collect(uid, (), tenant=key.namespace)
        if expected.wait > 0:
            return ()
        queries = threshold.due(
            rollout.plan.analysis,
            status.judgement,
            deployment=key.name,
            namespace=key.namespace,
            stable=status.stable_revision,
            canary=rollout.revision,
            now=expected.now,
        )
        return await self._sources.prometheus.collect(uid, queries, tenant=key.namespace)

    def _outdated(self) -> str:
        definitions = self._children.writes.definitions
        return definitions.sentence() if definitions else ""

    async def _sorted(self, owner: Object, found: dict[str, Object]) -> _Revisions:
        """The revisions that have the content that their names stand for, and the others.

        A spec never changes, so each is hashed once.
        """
        uid, deployment = owner["metadata"]["uid"], owner["metadata"]["name"]
        before, known = self._revisions_seen.get(uid, {}), {}
        for one in found.values():
            metadata = one["metadata"]
            version = metadata["uid"], metadata.get("generation")
            if version not in before:
                await asyncio.sleep(0)  # each may be a megabyte
            known[version] = before.get(version) or _Looked(
                revision.is_of(one, deployment), len(orjson.dumps(one["spec"])), content_hash(one["spec"])
            )
        self._revisions_seen[uid] = known
        looked = {name: known[one["metadata"]["uid"], one["metadata"].get("generation")] for name, one in found.items()}
        return _Revisions(
            {name: one for name, one in found.items() if looked[name].genuine},
            {name: one.size for name, one in looked.items()},
            {name: one.hash for name, one in looked.items()},
            [one for name, one in found.items() if not looked[name].genuine],
        )

    def _by_name(self, owner: Object, found: list[Object]) -> dict[str, Object]:
        return {one["metadata"]["name"]: one for one in found if self._children.is_ours(owner, one)}


def _history(status: DeploymentStatus, memory: Memory) -> dict[str, Values]:
    """Stable's values up to now, of quantities that the judge has no edges for."""
    rollout = active(status)
    if rollout is None or status.stable_revision is None:
        return {}
    known = {state.name for state in (status.judgement.state if status.judgement else ()) if state.edges}
    return {
        name: history(memory, status.stable_revision, quantity, period)
        for name, (quantity, period) in valued(rollout.plan.analysis).items()
        if name not in known
    }
