"""What a process remembers of the children of one ClaudeDeployment, and how it tells them from what they were."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from claude_operator.api.conditions import Reason
from claude_operator.core import names, render
from claude_operator.core.reconcile import ownership
from claude_operator.core.reconcile.decision import Event
from claude_operator.kube.client import Object
from claude_operator.kube.resources import DEPLOYMENTS, POD_DISRUPTION_BUDGETS
from claude_operator.shell.contest import Contest

__all__ = ["Family", "Name", "describe", "digest", "is_gateways", "look_of", "name_of", "type_of"]

_COUNTED = (DEPLOYMENTS.kind, POD_DISRUPTION_BUDGETS.kind)  # whose status is written often
_NAMED = 3  # fields named in a sentence

Name = tuple[str, str]
"""Kind and name of a child."""


@dataclass(slots=True)
class Family:
    """What is known of the children of one ClaudeDeployment."""

    uid: str
    free: bool = False
    """None of their names is taken."""
    graded: bool = False
    """The names around the grader of live answers are among them."""
    further: set[Name] = field(default_factory=set)
    """Other names that turned out to be taken."""
    digest: bytes = b""
    """Of what was wanted when all of it was found to be so, and when that was."""
    since: float = 0.0
    wanted: dict[Name, Object] = field(default_factory=dict)
    """As last ensured."""
    uids: dict[Name, str] = field(default_factory=dict)
    looks: dict[Name, object] = field(default_factory=dict)
    """What an event has to look like to be no news."""
    doubted: set[Name] = field(default_factory=set)
    """To be looked at in the next pass."""
    admitted: dict[Name, bytes] = field(default_factory=dict)
    """What admission puts into a child each time it is taken out."""
    contests: dict[Name, Contest] = field(default_factory=dict)
    replicas: int | None = None
    """Gateway pods as last seen: where the Deployment is deleted, it comes back with as many."""
    config: Object | None = None
    """The gateways' ConfigMap as it was last written, None where that is not known."""
    writing: Object | None = None
    """As it is being written."""
    events: list[Event] = field(default_factory=list)
    """Not reported yet."""

    def note(self, child: Object, live: Object) -> None:
        """A child is as wanted."""
        key = name_of(child)
        self.wanted[key], self.uids[key] = child, live["metadata"]["uid"]
        self.looks[key] = look_of(live, key[0])
        if key[0] == DEPLOYMENTS.kind and is_gateways(child):
            self.replicas = live["spec"].get("replicas")

    def record_restored(self, key: Name, contest: Contest, change: str, note: str = "", *, now: float) -> None:
        """Tell that a child was put back; `note` says it in other words."""
        if not contest.put_back(now):
            return
        if contest.begun:
            note = f"{' '.join(key)} {change} for the {contest.count}th time; it is put back less often from now on"
            self.events.append(Event(Reason.CHILD_CONTESTED, note, "Warning"))
        else:
            note = note or f"{' '.join(key)} {change} and is as wanted again"
            self.events.append(Event(Reason.CHILD_RESTORED, note, "Warning"))


def name_of(body: Mapping[str, Any]) -> Name:
    return str(body["kind"]), str(body["metadata"]["name"])


def look_of(body: Mapping[str, Any], kind: str) -> object:
    """What a change of it by anybody changes: its generation where Kubernetes counts one, else its version."""
    metadata = body["metadata"]
    counted = metadata.get("generation") if kind in _COUNTED else metadata.get("resourceVersion")
    labels, owners = metadata.get("labels") or {}, metadata.get("ownerReferences") or []
    return metadata.get("uid"), counted, sorted(labels.items()), orjson.dumps(owners, option=orjson.OPT_SORT_KEYS)


def type_of(body: Object) -> Object:
    return {"apiVersion": body["apiVersion"], "kind": body["kind"]}


def is_gateways(child: Object) -> bool:
    return bool(child["metadata"]["labels"].get(names.LABEL_COMPONENT) == "gateway")


def digest(patch: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(orjson.dumps(patch, option=orjson.OPT_SORT_KEYS)).digest()


def describe(live: Object, wanted: Object) -> str:
    """Which fields, and by whom."""
    found = render.differences(live, wanted)
    fields = f" ({', '.join(found[:_NAMED])}{', …' if len(found) > _NAMED else ''})" if found else ""
    who = ownership.written_by(live)
    return f"{fields}{f' by {who}' if who else ''}"
