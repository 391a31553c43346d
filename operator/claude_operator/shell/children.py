"""Child objects as wanted: applied where they differ, mended where somebody changed them, refused where others' are."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from claude_operator.api.conditions import Reason
from claude_operator.core import names, render
from claude_operator.core.reconcile import ownership
from claude_operator.core.reconcile.decision import Event
from claude_operator.core.reconcile.ownership import Claim
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
from claude_operator.shell.clientsecret import ClientSecrets
from claude_operator.shell.contest import Contest
from claude_operator.shell.family import Family, Name
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
_COUNTED = (DEPLOYMENTS.kind, POD_DISRUPTION_BUDGETS.kind)  # whose status is written often
_NAMED = 3  # fields named in a sentence
_ACCOUNT = (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS)
_GATEWAY = (*_ACCOUNT, CONFIG_MAPS, SERVICES, DEPLOYMENTS, POD_DISRUPTION_BUDGETS)


class Children:
    """Remembers what it has found to be as wanted, so that a pass in which nothing changed costs no calls."""

    def __init__(self, kube: Kube, keyring: Keyring, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube, self._clock = kube, clock
        self._secrets, self._scaling = ClientSecrets(kube, keyring), Scaling(kube)
        self.writes = Writes()
        self._families: dict[tuple[str, str], Family] = {}
        """By the owner's namespace and name."""

    # ------------------------------------------------------------------------------------------- whose they are

    async def taken(self, owner: Mapping[str, Any]) -> tuple[list[Problem], list[Object]]:
        """Objects of our children's names that are somebody else's, and orphans to adopt.

        Nothing is written while there is one of the first.
        """
        family = self._family(owner)
        if family.free:
            return [], []
        name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
        wanted = [(resource, names.gateway_name(name)) for resource in _GATEWAY]
        wanted += [(SECRETS, names.client_secret(name))]
        wanted += [(resource, names.eval_account(name)) for resource in _ACCOUNT]
        wanted += [(BY_KIND[kind], child) for kind, child in sorted(family.further)]
        found = await all_of(self._kube.get(resource, child, namespace) for resource, child in wanted)
        live = [one for one in found if one is not None]
        others = [one for one in live if not self.is_ours(owner, one)]
        problems = [Problem(Reason.NAME_TAKEN, ownership.refusal(one, owner)) for one in others]
        if not problems:
            family.free = True
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
        self._family(owner).doubted.add(_name_of(live))

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
            family.looks[_name_of(body)] = _look(live, body["kind"])

        yield stored
        family.config, family.writing = body, None

    async def config_seen(self, owner: Mapping[str, Any], live: Object | None, *, served: bool) -> Object | None:
        """Tell where somebody deleted or changed the gateways' ConfigMap, and give it back its labels.

        Its data is decided and written by the pass. Returns it as it is now.
        """
        family = self._family(owner)
        known, key = family.config, (CONFIG_MAPS.kind, names.gateway_name(owner["metadata"]["name"]))
        contest = family.contests.setdefault(key, Contest())
        if live is None:
            if known is not None or (served and family.writing is None):
                family.config, family.writing = None, known or {}
                self._record_restored(family, key, contest, "was deleted")
            return None
        family.uids[key] = live["metadata"]["uid"]
        if known is not None and not render.covers(live, known):
            family.config, family.writing = None, known
            self._record_restored(family, key, contest, f"was changed{_what(live, known)}")
        labels = names.labels(owner["metadata"]["name"], "gateway")
        if not render.covers(live["metadata"].get("labels"), labels):
            fenced = {name: live["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
            live = await self._merged(owner, {**_type_of(live), "metadata": {**fenced, "labels": labels}}) or live
        family.looks[key] = _look(live, key[0])
        return live

    async def ensure(self, owner: Mapping[str, Any], wanted: Sequence[Object], *, served: bool = False) -> float | None:
        """Make the children as wanted; raises `KubeError` where one cannot be, after all others.

        `served`: the deployment has had a gateway before, so that a part that is missing was deleted. Returns the
        seconds until a child that somebody keeps changing is looked at again.
        """
        family, now = self._family(owner), self._clock()
        digest = hashlib.sha256(orjson.dumps(wanted)).digest()
        whole = family.digest != digest or now - family.since >= _AGAIN
        secret = (SECRETS.kind, names.client_secret(owner["metadata"]["name"]))
        if not whole and not family.doubted:
            return None
        failed: list[KubeError] = []
        waits: list[float] = []
        for key, child in [(secret, None), *((_name_of(one), one) for one in wanted)]:
            if not whole and key not in family.doubted:
                continue
            family.doubted.discard(key)
            try:
                # The Secret comes first: the Deployment's pods mount it.
                wait = await (self._child(owner, child, served) if child else self._client_secret(owner, key, served))
            except KubeError as error:
                failed.append(error)
                family.doubted.add(key)
            else:
                if wait:
                    waits.append(wait)
                    family.doubted.add(key)
        if failed:
            first = next((error for error in failed if error.terminating), failed[0])
            self.writes.failed(family.uid, "child", first)
            raise first
        self.writes.done(family.uid, "child")
        family.digest, family.since = digest, now if whole else family.since
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
        if key not in family.wanted and key != (SECRETS.kind, names.client_secret(name)) and not config:
            return False  # what is no longer wanted
        if type_ != "DELETED" and family.looks.get(key) == _look(body, kind):
            return kind == DEPLOYMENTS.kind
        if not config:  # which every pass reads
            family.doubted.add(key)
        return True

    def forget(self, live: set[str]) -> None:
        """Drop what is known of owners that no longer exist; `live` are UIDs."""
        self._families = {key: family for key, family in self._families.items() if family.uid in live}
        self._secrets.forget(live)
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
        return {**_type_of(patch), **live}

    async def _child(self, owner: Mapping[str, Any], child: Object, served: bool) -> float | None:
        """Look at one child and mend it; returns the seconds to wait where somebody keeps changing it."""
        family, key, resource = self._family(owner), _name_of(child), BY_KIND[child["kind"]]
        before, contest = family.wanted.get(key), family.contests.setdefault(key, Contest())
        if before == child and (wait := contest.wait(self._clock())):
            return wait
        try:
            live = await self._mine(owner, resource, key[1])
        except KubeError as error:
            if resource == NETWORK_POLICIES and error.reason == Reason.NAME_TAKEN:
                return None  # people made one of their own before we made any: theirs holds
            raise
        if live is not None and self._is_so(family, live, child):
            self._note(family, child, live)
            return None
        change = f"was changed{_what(live, child)}" if live is not None else "was deleted"
        deleted = live is None and (before is not None or (served and _is_gateways(child)))
        made = await self._scaling.apply(child, live, family.replicas)
        made = await self._without_excess(family, child, made)
        self._note(family, child, made)
        if deleted or (live is not None and before == child):
            self._record_restored(family, key, contest, change)
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
        patch, key = render.excess(made, child), _name_of(child)
        if not patch or family.admitted.get(key) == _digest(patch):
            return made
        metadata = {name: made["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
        patch["metadata"] = {**patch.get("metadata", {}), **metadata}
        after = await self._kube.merge(BY_KIND[child["kind"]], {**patch, **_type_of(child)})
        left = render.excess(after, child)
        family.admitted[key] = _digest(left) if left else b""
        return after

    def _is_so(self, family: Family, live: Mapping[str, Any], wanted: Object) -> bool:
        if self._scaling.is_due(wanted, live):
            return False
        patch = render.excess(live, wanted)
        if patch:
            return family.admitted.get(_name_of(wanted)) == _digest(patch) and not render.lacks(live, wanted)
        return render.covers(live, wanted)

    def _note(self, family: Family, child: Object, live: Object) -> None:
        key = _name_of(child)
        family.wanted[key], family.uids[key] = child, live["metadata"]["uid"]
        family.looks[key] = _look(live, key[0])
        if key[0] == DEPLOYMENTS.kind:
            family.replicas = live["spec"].get("replicas")

    def _record_restored(self, family: Family, key: Name, contest: Contest, change: str) -> None:
        if not contest.put_back(self._clock()):
            return
        if contest.begun:
            note = f"{' '.join(key)} {change} for the {contest.count}th time; it is put back less often from now on"
            family.events.append(Event(Reason.CHILD_CONTESTED, note, "Warning"))
        else:
            note = f"{' '.join(key)} {change} and is as wanted again"
            family.events.append(Event(Reason.CHILD_RESTORED, note, "Warning"))

    async def _client_secret(self, owner: Mapping[str, Any], key: Name, served: bool) -> float | None:
        family = self._family(owner)
        live = await self._mine(owner, SECRETS, key[1])
        known = key in family.uids or served
        labels = names.labels(owner["metadata"]["name"], "gateway")
        if live is not None and not render.covers(live["metadata"].get("labels"), labels):  # else nobody watches it
            fenced = {name: live["metadata"][name] for name in ("name", "namespace", "resourceVersion")}
            live = await self._kube.merge(SECRETS, {**_type_of(live), "metadata": {**fenced, "labels": labels}})
            contest = family.contests.setdefault(key, Contest())
            self._record_restored(family, key, contest, "was changed (metadata.labels)")
        live, change = await self._secrets.ensure(owner, live)
        if change and known:
            family.events.append(Event(Reason.CHILD_RESTORED, change, "Warning"))
        family.uids[key], family.looks[key] = live["metadata"]["uid"], _look(live, key[0])
        return None


def _name_of(body: Mapping[str, Any]) -> Name:
    return str(body["kind"]), str(body["metadata"]["name"])


def _look(body: Mapping[str, Any], kind: str) -> object:
    """What a change of it by anybody changes: its generation where Kubernetes counts one, else its version."""
    metadata = body["metadata"]
    counted = metadata.get("generation") if kind in _COUNTED else metadata.get("resourceVersion")
    labels, owners = metadata.get("labels") or {}, metadata.get("ownerReferences") or []
    return metadata.get("uid"), counted, sorted(labels.items()), orjson.dumps(owners, option=orjson.OPT_SORT_KEYS)


def _type_of(body: Object) -> Object:
    return {"apiVersion": body["apiVersion"], "kind": body["kind"]}


def _is_gateways(child: Object) -> bool:
    return bool(child["metadata"]["labels"].get(names.LABEL_COMPONENT) == "gateway")


def _digest(patch: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(orjson.dumps(patch, option=orjson.OPT_SORT_KEYS)).digest()


def _what(live: Object, wanted: Object) -> str:
    """Which fields, and by whom."""
    found = render.differences(live, wanted)
    fields = f" ({', '.join(found[:_NAMED])}{', …' if len(found) > _NAMED else ''})" if found else ""
    who = ownership.written_by(live)
    return f"{fields}{f' by {who}' if who else ''}"
