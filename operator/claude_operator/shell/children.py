"""Child objects as wanted: applied where they differ, mended where somebody changed them, refused where others' are."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import SIGNED_KEYS, GatewayConfig, read_config
from claude_operator.core import names, render
from claude_operator.core.reconcile import ownership
from claude_operator.core.reconcile.decision import Event
from claude_operator.core.reconcile.ownership import Claim
from claude_operator.core.reconcile.signed_config import Believed, KeyOf
from claude_operator.core.spec.validate import Problem
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import (
    BY_KIND,
    CONFIG_MAPS,
    DEPLOYMENTS,
    NETWORK_POLICIES,
    POD_DISRUPTION_BUDGETS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)
from claude_operator.shell.contest import Contest
from claude_operator.shell.derived_secrets import CLIENT, GATEWAY, GRADER, DerivedSecrets
from claude_operator.shell.family import Family, Name, describe, digest, is_gateways, look_of, name_of, type_of
from claude_operator.shell.grader_key import MOVED, GraderKeyMove
from claude_operator.shell.grader_parts import GraderParts
from claude_operator.shell.keyring import Keyring
from claude_operator.shell.scaling import Scaling
from claude_operator.shell.tasks import all_of
from claude_operator.shell.writes import Writes

__all__ = ["CHILDREN", "Children"]

CHILDREN = (
    SERVICE_ACCOUNTS,
    ROLES,
    ROLE_BINDINGS,
    CONFIG_MAPS,
    SECRETS,
    SERVICES,
    DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
    NETWORK_POLICIES,
)
"""Kinds of which a ClaudeDeployment has objects, watched by our label."""

_AGAIN = 60.0  # seconds after which what was as wanted is looked at again, whatever the watches say
_ACCOUNT = (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS)
_GATEWAY = (*_ACCOUNT, CONFIG_MAPS, SERVICES, DEPLOYMENTS, POD_DISRUPTION_BUDGETS)


class Children:
    """Remembers what it has found to be as wanted, so that a pass in which nothing changed costs no calls."""

    def __init__(
        self,
        kube: Kube,
        keyring: Keyring,
        *,
        clock: Callable[[], float] = time.monotonic,
        network_policies: bool = False,
    ) -> None:
        """`network_policies`: some are made; else there are no rights to them."""
        self._kube, self._clock = kube, clock
        self._policies = [NETWORK_POLICIES] if network_policies else []
        self._keyring, self._scaling = keyring, Scaling(kube)
        self._secrets = {recipe.name: DerivedSecrets(kube, keyring, recipe) for recipe in (CLIENT, GATEWAY, GRADER)}
        self._move = GraderKeyMove(kube, self._mine)
        self._grader = GraderParts(kube)
        self.writes = Writes()
        self._families: dict[tuple[str, str], Family] = {}
        """By the owner's namespace and name."""

    async def operator_keys(self) -> KeyOf:
        """What the operator and the gateways share; raises `KubeError`."""
        derive = await self._keyring.known()
        return lambda uid: derive(uid).operator.encode() if derive else b""

    async def signing_key(self, uid: str) -> bytes:
        """The same of the ClaudeDeployment with this UID, made where there is none yet; raises `KubeError`."""
        return (await self.operator_keys())(uid) or (await self._keyring.keys(uid)).operator.encode()

    # ------------------------------------------------------------------------------------------- whose they are

    async def taken(self, owner: Mapping[str, Any]) -> tuple[list[Problem], list[Object]]:
        """Objects of our children's names that are somebody else's, and orphans to adopt.

        Nothing is written while there is one of the first.
        """
        family, graders = self._family(owner), self._grader.parts(owner, self._policies)
        if family.free and (family.graded or not graders):
            return [], []
        name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
        wanted = [(resource, names.gateway_name(name)) for resource in (*_GATEWAY, *self._policies)]
        wanted += [(SECRETS, secret_name(name)) for secret_name in self._secrets]
        wanted += [(resource, names.eval_account(name)) for resource in (*_ACCOUNT, *self._policies)]
        wanted += graders
        wanted += [(BY_KIND[kind], child) for kind, child in sorted(family.further)]
        found = await all_of(self._kube.get(resource, child, namespace) for resource, child in wanted)
        live = [one for one in found if one is not None]
        # A policy that people made holds instead of ours.
        others = [one for one in live if not self.is_ours(owner, one) and one["kind"] != NETWORK_POLICIES.kind]
        problems = [Problem(Reason.NAME_TAKEN, ownership.refusal(one, owner)) for one in others]
        if not problems:
            family.free, family.graded = True, bool(graders)
            family.further.clear()
        return problems, [one for one in live if self._claim(owner, one) is Claim.ORPHAN]

    def is_ours(self, owner: Mapping[str, Any], live: Object) -> bool:
        """Whether it is the owner's, or an orphan that is to be adopted."""
        return self._claim(owner, live) in (Claim.OURS, Claim.ORPHAN)

    async def adopt(self, owner: Mapping[str, Any], found: Iterable[Object]) -> dict[str, Object]:
        """Make the owner the controller of the orphans among `found`; returns those that it is now, by UID.

        One that cannot be adopted is trouble, and is still read as ours.
        """
        orphans = {one["metadata"]["uid"]: one for one in found if self._claim(owner, one) is Claim.ORPHAN}
        adopted: dict[str, Object] = {}
        for uid, one in orphans.items():
            if (live := await self._merged(owner, ownership.adoption(one, owner))) is not None:
                adopted[uid] = live
        if adopted:
            what = ", ".join(f"{one['kind']} {one['metadata']['name']}" for one in adopted.values())
            note = f"Adopted {what}: it was made for {owner['metadata']['name']} and had lost its owner"
            self._family(owner).events.append(Event(Reason.CHILD_ADOPTED, note))
        return adopted

    def look_at(self, owner: Mapping[str, Any], live: Object) -> None:
        """A child was seen that may not be as wanted: the next `ensure` looks at it, and adopts it."""
        self._family(owner).doubted.add(name_of(live))

    def doubt(self, owner: Mapping[str, Any], kind: str = "", name: str = "") -> None:
        """An object was seen that this owner does not control: `taken` looks again, and at this one of another name."""
        family = self._family(owner)
        family.free = False
        if kind:
            family.further.add((kind, name))

    # ------------------------------------------------------------------------------------------------ as wanted

    def take_events(self, owner: Mapping[str, Any]) -> list[Event]:
        """Events about children since the last time."""
        family = self._family(owner)
        events, family.events = family.events, []
        return events

    @contextmanager
    def writing(self, owner: Mapping[str, Any], body: Object) -> Iterator[Callable[[Object], None]]:
        """While the gateways' ConfigMap is written: what differs later was not ours. Gets it as it was stored."""
        family = self._family(owner)
        family.config, family.writing = None, body

        def stored(live: Object) -> None:
            family.looks[name_of(body)] = look_of(live, body["kind"])

        yield stored
        family.config, family.writing = body, None

    def last_config(self, owner: Mapping[str, Any]) -> GatewayConfig | None:
        """What this process has written last, or was about to, None where it has written nothing."""
        family = self._family(owner)
        data = (family.config or family.writing or {}).get("data")
        return read_config(data) if data else None

    def lost_config(self, owner: Mapping[str, Any]) -> GatewayConfig | None:
        """The same where the ConfigMap was seen and is gone: what was never made was told to no gateway."""
        seen = (CONFIG_MAPS.kind, names.gateway_name(owner["metadata"]["name"])) in self._family(owner).uids
        return self.last_config(owner) if seen else None

    async def config_seen(
        self, owner: Mapping[str, Any], live: Object | None, believed: Believed, *, served: bool
    ) -> Object | None:
        """Tell where somebody deleted or changed the gateways' ConfigMap, and give it back its labels.

        Its data is decided and written by the pass. Returns it as it is now.
        """
        family = self._family(owner)
        known, key = family.config, (CONFIG_MAPS.kind, names.gateway_name(owner["metadata"]["name"]))
        contest = family.contests.setdefault(key, Contest())
        if live is None:
            if known is not None or (served and family.writing is None):
                family.config, family.writing = None, known or {}
                family.record_restored(key, contest, "was deleted", now=self._clock())
            return None
        family.uids[key] = live["metadata"]["uid"]
        if known is not None and not render.covers(live, known):
            family.config, family.writing = None, known
            family.record_restored(key, contest, f"was changed{describe(live, known)}", now=self._clock())
        elif believed.doubt and family.writing is None:
            family.writing = {}
            family.record_restored(key, contest, believed.doubt, now=self._clock())
        elif believed.stored and known is None and family.writing is None:
            data = {name: live["data"][name] for name in SIGNED_KEYS if name in live["data"]}
            family.config = {**type_of(live), "metadata": {"name": key[1]}, "data": data}
        labels = names.labels(owner["metadata"]["name"], "gateway")
        if not render.covers(live["metadata"].get("labels"), labels):
            fenced = {name: live["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
            live = await self._merged(owner, {**type_of(live), "metadata": {**fenced, "labels": labels}}) or live
        family.looks[key] = look_of(live, key[0])
        return live

    async def ensure(self, owner: Mapping[str, Any], wanted: Sequence[Object], *, served: bool = False) -> float | None:
        """Make the children as wanted; raises `KubeError` where one cannot be, after all others.

        `served`: the deployment has had a gateway before, so that a part that is missing was deleted. Returns the
        seconds until a child that somebody keeps changing is looked at again.
        """
        family, now = self._family(owner), self._clock()
        now_wanted = hashlib.sha256(orjson.dumps(wanted)).digest()
        whole = family.digest != now_wanted or now - family.since >= _AGAIN
        # The Secrets come first: the Deployment's pods mount them.
        secrets = [((SECRETS.kind, of(owner["metadata"]["name"])), one) for of, one in self._secrets.items()]
        if not whole and not family.doubted:
            return None
        failed: list[KubeError] = []
        waits: list[float] = []
        parts: list[tuple[Name, Object | DerivedSecrets]] = [*secrets, *((name_of(one), one) for one in wanted)]
        for key, child in parts:
            if not whole and key not in family.doubted:
                continue
            family.doubted.discard(key)
            try:
                if isinstance(child, DerivedSecrets):
                    wait = await self._secret(owner, key, child, served)
                else:
                    wait = await self._child(owner, child, served)
            except KubeError as error:
                failed.append(error)
                family.doubted.add(key)
            else:
                if wait is not None:
                    family.doubted.add(key)
                if wait:
                    waits.append(wait)
        if whole:
            try:
                await self._grader.ensure(owner)
            except KubeError as error:
                failed.append(error)
        if failed:
            first = next((error for error in failed if error.terminating), failed[0])
            self.writes.failed(family.uid, "child", first)
            raise first
        self.writes.done(family.uid, "child")
        family.digest, family.since = now_wanted, now if whole else family.since
        return min(waits, default=None)

    def changed(self, namespace: str, name: str, type_: str, kind: str, body: Mapping[str, Any]) -> bool:
        """An event about an object that may be a child of this owner; whether a pass has to look at it.

        Of `body` the metadata are read alone. One that is as it was when it was last seen to be as wanted costs one
        comparison. A Deployment's status always matters.
        """
        family, key = self._families.get((namespace, name)), (kind, str(body["metadata"]["name"]))
        if family is None:
            return True
        config = key == (CONFIG_MAPS.kind, names.gateway_name(name))
        secret = key in [(SECRETS.kind, of(name)) for of in self._secrets]
        if key not in family.wanted and not secret and not config:
            return False  # what is no longer wanted
        if type_ != "DELETED" and family.looks.get(key) == look_of(body, kind):
            return kind == DEPLOYMENTS.kind
        if not config:  # which every pass reads
            family.doubted.add(key)
        return True

    def forget(self, live: set[str]) -> None:
        """Drop what is known of owners that no longer exist; `live` are UIDs."""
        self._families = {key: family for key, family in self._families.items() if family.uid in live}
        for one in self._secrets.values():
            one.forget(live)
        self._move.forget(live)
        self._grader.forget(live)
        self.writes.forget(live)

    # ------------------------------------------------------------------------------------------------ one child

    def _family(self, owner: Mapping[str, Any]) -> Family:
        uid, name, namespace = (owner["metadata"][key] for key in ("uid", "name", "namespace"))
        family = self._families.get((namespace, name))
        if family is None or family.uid != uid:
            family = self._families[namespace, name] = Family(uid)
        return family

    def _claim(self, owner: Mapping[str, Any], live: Object) -> Claim:
        return ownership.claim(live, owner, known=self._family(owner).uids.values())

    async def _merged(self, owner: Mapping[str, Any], patch: Object) -> Object | None:
        """A child with metadata mended, None where that failed: it is still read as it is."""
        try:
            live = await self._kube.merge(BY_KIND[patch["kind"]], patch)
        except KubeError as error:  # of a conflict somebody else is the cause, and the next pass looks again
            self.writes.failed(owner["metadata"]["uid"], "child", error)
            return None
        return {**type_of(patch), **live}

    async def _child(self, owner: Mapping[str, Any], child: Object, served: bool) -> float | None:
        """Look at one child and mend it; returns the seconds to wait where somebody keeps changing it."""
        family, key, resource = self._family(owner), name_of(child), BY_KIND[child["kind"]]
        before, contest = family.wanted.get(key), family.contests.setdefault(key, Contest())
        if before == child and (wait := contest.wait(self._clock())):
            return wait
        try:
            live = await self._mine(owner, resource, key[1])
        except KubeError as error:
            if resource == NETWORK_POLICIES and error.reason == Reason.NAME_TAKEN:
                return None
            raise
        if live is not None and self._is_so(family, live, child):
            family.note(child, live)
            return None
        change = f"was changed{describe(live, child)}" if live is not None else "was deleted"
        # Earlier versions made no NetworkPolicies: one that was never seen here may never have been.
        was_there = served and is_gateways(child) and resource != NETWORK_POLICIES
        deleted = live is None and (before is not None or was_there)
        made = await self._scaling.apply(child, live, family.replicas)
        made = await self._without_excess(family, child, made)
        family.note(child, made)
        if deleted or (live is not None and before == child):
            family.record_restored(key, contest, change, now=self._clock())
        return None

    async def _mine(self, owner: Mapping[str, Any], resource: Resource, name: str) -> Object | None:
        """The live object, adopted where it was an orphan; raises `KubeError` where it is somebody else's."""
        live = await self._kube.get(resource, name, owner["metadata"]["namespace"])
        if live is None:
            return None
        if not self.is_ours(owner, live):
            if resource != NETWORK_POLICIES:
                self.doubt(owner)
            raise KubeError(409, Reason.NAME_TAKEN, ownership.refusal(live, owner))
        return (await self.adopt(owner, [live])).get(live["metadata"]["uid"], live)

    async def _without_excess(self, family: Family, child: Object, made: Object) -> Object:
        """Take out what others have added; what comes back at once is admission's, and stays."""
        patch, key = render.excess(made, child), name_of(child)
        if not patch or family.admitted.get(key) == digest(patch):
            return made
        metadata = {name: made["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
        patch["metadata"] = {**patch.get("metadata", {}), **metadata}
        after = await self._kube.merge(BY_KIND[child["kind"]], {**patch, **type_of(child)})
        left = render.excess(after, child)
        family.admitted[key] = digest(left) if left else b""
        return after

    def _is_so(self, family: Family, live: Mapping[str, Any], wanted: Object) -> bool:
        if self._scaling.is_due(wanted, live):
            return False
        patch = render.excess(live, wanted)
        if patch:
            return family.admitted.get(name_of(wanted)) == digest(patch) and not render.lacks(live, wanted)
        return render.covers(live, wanted)

    async def _secret(self, owner: Mapping[str, Any], key: Name, secrets: DerivedSecrets, served: bool) -> float | None:
        """As `_child`; 0.0 where the next pass has to look again."""
        family = self._family(owner)
        contest = family.contests.setdefault(key, Contest())
        if wait := contest.wait(self._clock()):
            return wait
        live = await self._mine(owner, SECRETS, key[1])
        # Gateways of earlier versions have no Secret of their own: one that was never seen was not deleted.
        known = key in family.uids or (served and (live is not None or secrets.recipe is CLIENT))
        labels = names.labels(owner["metadata"]["name"], "gateway")
        if live is not None and not render.covers(live["metadata"].get("labels"), labels):  # else nobody watches it
            fenced = {name: live["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
            live = await self._kube.merge(SECRETS, {**type_of(live), "metadata": {**fenced, "labels": labels}})
            family.record_restored(key, contest, "was changed (metadata.labels)", now=self._clock())
        change = "was deleted" if live is None else "was changed"
        held = await self._move.held(owner, live) if secrets.recipe is GRADER else {}
        live, note = await secrets.ensure(owner, live, held)
        if note and held:
            family.events.append(Event(Reason.GRADER_KEY_MOVED, MOVED.format(owner["metadata"]["name"])))
        elif note and known:
            family.record_restored(key, contest, change, note, now=self._clock())
        family.uids[key], family.looks[key] = live["metadata"]["uid"], look_of(live, key[0])
        return 0.0 if secrets.recipe is GRADER and self._move.is_under_way(owner) else None
