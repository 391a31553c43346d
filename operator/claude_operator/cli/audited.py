"""What an audit reads of a cluster; what may not be read is told, and the rest is audited."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from claude_operator.api.organisation import OrganizationStatus
from claude_operator.cli.cluster import CES, CLD, CLM, CLR, COR, Cluster
from claude_operator.cli.kubectl import KubectlError, Object
from claude_operator.cli.usage import Used
from claude_operator.core.audit.console import Export, in_days, merge
from claude_operator.core.audit.keys import KeyUse, holders_of, organization_keys, placed
from claude_operator.core.audit.names import id_finder
from claude_operator.core.audit.uses import Use, set_uses, uses
from claude_operator.core.catalogue.objects import models_by_name
from claude_operator.core.catalogue.table import Model
from claude_operator.core.text import count

__all__ = ["DAYS", "Organization", "Read", "keys_of", "notes_of", "read", "uses_of"]

DAYS = 30
"""Days that count where nobody says since when."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Organization:
    """What is known of one."""

    name: str
    status: OrganizationStatus


@dataclass(slots=True)
class Read:
    """Objects of a cluster. `unread`: what could not be read, as sentences; `notes`: what is missing besides."""

    deployments: Sequence[Object] = ()
    revisions: Sequence[Object] = ()
    eval_sets: Sequence[Object] = ()
    used: Mapping[str, Used] = field(default_factory=dict)
    """By the UID of the ClaudeDeployment."""
    models: Mapping[str, Model] = field(default_factory=dict)
    organizations: Sequence[Organization] = ()
    everywhere: bool = False
    """Whether these are all ClaudeDeployments of the cluster."""
    unread: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, what: str, reading: Callable[[], list[T]]) -> list[T]:
        """What a call reads; nothing, and a sentence of it, where it may not or cannot."""
        try:
            return reading()
        except KubectlError as error:
            self.unread.append(f"{what} cannot be read: {error}")
            return []


def read(cluster: Cluster, *where: str) -> Read:
    """With these flags of `kubectl get`; raises `KubectlError` where not even ClaudeDeployments can be read."""
    kubectl, found = cluster.kubectl, Read()
    found.deployments = kubectl.list(CLD, *where)
    namespaces = [flag for flag in where if flag == "--all-namespaces"]
    found.revisions = found.take("ClaudeRevisions", lambda: kubectl.list(CLR, *namespaces))
    sets = found.take("ClaudeEvalSets", lambda: kubectl.list(CES, *namespaces))
    found.eval_sets = [one for one in sets if _is_meant(one, found.deployments, where)]
    used = found.take("usage records", lambda: cluster.usages_of(found.deployments, *where))
    found.used = {one["metadata"]["uid"]: known for one, known in zip(found.deployments, used, strict=False)}
    specs = [one.get("spec") or {} for one in found.take("ClaudeModels", lambda: kubectl.list(CLM))]
    found.models = models_by_name(specs)
    found.organizations = _organizations(cluster, found)
    found.everywhere = list(where) == namespaces == ["--all-namespaces"]
    return found


def uses_of(found: Read, since: dt.date) -> list[Use]:
    """Uses of all objects that were read, with calls since a day."""
    find_id = id_finder(found.models)
    by_namespace: dict[str, list[Object]] = {}
    for revision in found.revisions:
        by_namespace.setdefault(revision["metadata"]["namespace"], []).append(revision)
    made = [use for one in found.eval_sets for use in set_uses(one)]
    for one in found.deployments:
        metadata = one["metadata"]
        used = found.used.get(metadata["uid"])
        spend = used.kept.spend if used and used.kept else None
        made += uses(one, by_namespace.get(metadata["namespace"], ()), spend, since, find_id)
    return made


def keys_of(
    found: Read, of_objects: Sequence[Use], exports: Sequence[Export], since: dt.date | None, ours: Sequence[str]
) -> list[KeyUse]:
    """What API keys used, by ClaudeOrganizations and by these files, and where each key is used.

    `of_objects`: uses of all revisions. `since`: left out, the last thirty days that a source knows.
    """
    find_id = id_finder(found.models)
    statuses = [one.status for one in found.organizations]
    told = [use for one in statuses for use in organization_keys(one)]
    told = [use for use in told if since is None or use.last is None or use.last >= since]
    in_files = merge(exports, find_id, since or in_days(exports, DAYS))
    everywhere = found.everywhere and not found.unread
    holders = holders_of(found.deployments, statuses, of_objects, find_id, ours=ours, everywhere=everywhere)
    return placed([*told, *in_files], holders)


def notes_of(found: Read) -> list[str]:
    """What the audit does not see, beside what could not be read."""
    notes = list(found.notes)
    for one in found.organizations:
        status = one.status
        if not status.conditions:
            notes.append(f"ClaudeOrganization {one.name}: the operator has not looked at it yet")
        if status.models_not_listed:
            more = count(status.models_not_listed, "more use")
            notes.append(f"ClaudeOrganization {one.name}: {more} by API keys, which its status has no room for")
        if status.keys_unknown:
            whose = count(status.keys_unknown, "ClaudeDeployment")
            remedy = "write its id in spec.upstream.apiKeyID"
            notes.append(f"ClaudeOrganization {one.name}: the API key of {whose} is not known: {remedy}")
    blind = [one for one in found.used.values() if one.kept is None]
    return notes + [f"{one.namespace}/{one.name}: calls are unknown, not zero: {one.blind}" for one in blind]


def _organizations(cluster: Cluster, found: Read) -> list[Organization]:
    try:
        stored = cluster.kubectl.list(COR)
    except KubectlError as error:
        if error.reason != "NotFound":
            text = f"ClaudeOrganizations cannot be read, so keys are only those of --usage-csv: {error}"
            found.notes.append(text)
        return []
    made = []
    for one in stored:
        name = str(one["metadata"]["name"])
        try:
            made.append(Organization(name, OrganizationStatus.model_validate(one.get("status") or {})))
        except ValidationError:
            found.unread.append(f"the status of ClaudeOrganization {name} cannot be read: use a newer kubectl-claude")
    return made


def _is_meant(eval_set: Object, deployments: Sequence[Object], where: Sequence[str]) -> bool:
    """With a selector only the sets of the ClaudeDeployments that it chose; a set has no labels of theirs."""
    if not any(flag.startswith("--selector=") for flag in where):
        return True
    place = eval_set["metadata"]["namespace"], eval_set["metadata"]["name"]
    return any(place == (one["metadata"]["namespace"], _set_of(one)) for one in deployments)


def _set_of(deployment: Object) -> object:
    evals = (deployment.get("spec") or {}).get("evals") or {}
    return (evals.get("setRef") or {}).get("name")
