"""Reads the inputs of a ClaudeEvalRun's Job: the set, the revisions, the dataset, the key."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from claude_operator.api import gateway as wire
from claude_operator.api.evals import EvalRunSpec, EvalSetSpec
from claude_operator.api.faults import first_fault
from claude_operator.api.gateway import VOLUME_DIR
from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.evals.calibration import read_labels
from claude_operator.core.evals.contents import claim_of, config_maps, contents_of, item_keys
from claude_operator.core.evals.conversations import explain_refused
from claude_operator.core.evals.gate import RunReason
from claude_operator.core.evals.sets import Item, hash_with_files, load_items, set_hash
from claude_operator.core.spec import revision
from claude_operator.core.spec.policy import OPEN, Address, Policy, revision_addresses
from claude_operator.evals.arms import Arms, arms_of
from claude_operator.evals.beside import LARGEST_VOLUME, Beside
from claude_operator.evals.calibrating import Labels
from claude_operator.evals.files import api_key, directory
from claude_operator.kube.client import Kube
from claude_operator.kube.resources import CLAUDE_EVAL_SETS, CLAUDE_REVISIONS, CONFIG_MAPS, Resource

__all__ = ["Inputs", "JobPaths", "NotReady", "read_inputs"]


@dataclass(frozen=True, slots=True)
class JobPaths:
    """The run, and where its Job finds the key and the values of `$(NAME)`."""

    name: str
    namespace: str
    upstream_key: Path
    env: Path
    uid: str = ""
    """Of the run that the Job was made for; empty in a Job of an earlier version, which does not say."""
    policy: Policy = OPEN
    """Its hosts: nobody else gets the key or a value."""
    volume: Path = Path(VOLUME_DIR)
    """Where the volume of a set is mounted."""
    prices: Book = field(default_factory=lambda: LIST_PRICES)
    """Those that hold instead of the list's."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a run needs, read once."""

    spec: EvalRunSpec
    set: EvalSetSpec
    set_uid: str
    items: list[Item]
    labels: Labels | None
    content_hash: str
    """Of the set with what it read from a volume."""
    changed: str
    """A sentence where the volume has another content than in the run before, else empty."""
    arms: Arms
    key: str = field(repr=False)


class NotReady(Exception):  # noqa: N818  (what the run is)
    """The run cannot begin: phase Error, and another attempt later."""

    def __init__(self, reason: RunReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def read_inputs(kube: Kube, paths: JobPaths, run: Mapping[str, Any]) -> Inputs:
    """Read and check everything; raises NotReady, KubeError."""
    try:
        spec = EvalRunSpec.model_validate(run["spec"])
    except ValidationError as error:
        raise NotReady(RunReason.INVALID_RUN, f"the run's spec cannot be read: {first_fault(error)}") from error
    _check([("spec.upstream.baseURL", spec.upstream.base_url)], paths.policy)
    found = await _set(kube, paths, spec)
    revisions = [name for name in (spec.revision, spec.baseline_revision) if name]
    served = [_arm(await _read(kube, CLAUDE_REVISIONS, name, paths.namespace), spec, paths) for name in revisions]
    try:
        arms = arms_of(served, spec.mcp, directory(paths.env))
    except ValueError as error:  # MissingName as well
        raise NotReady(RunReason.INFRASTRUCTURE, str(error)) from error
    refused = explain_refused(found.items, [one.arm for one in arms.all], dt.datetime.now(dt.UTC).date())
    if refused:
        raise NotReady(RunReason.INVALID_SET, f"the ClaudeEvalSet {spec.set_ref}, {refused}")
    key = api_key(paths.upstream_key)
    if not key:
        raise NotReady(
            RunReason.INFRASTRUCTURE, "the Secret of spec.upstream.apiKeySecretRef has no key: put the API key into it"
        )
    return Inputs(spec, found.spec, found.uid, found.items, found.labels, found.hash, found.changed, arms, key)


@dataclass(frozen=True, slots=True)
class _Set:
    spec: EvalSetSpec
    uid: str
    items: list[Item]
    labels: Labels | None
    hash: str
    changed: str


async def _set(kube: Kube, paths: JobPaths, spec: EvalRunSpec) -> _Set:
    """The set and its items; raises NotReady where they have changed since the run was made."""
    namespace = paths.namespace
    eval_set = await _read(kube, CLAUDE_EVAL_SETS, spec.set_ref, namespace)
    stored = eval_set["spec"]
    try:
        set_spec = EvalSetSpec.model_validate(stored)
    except ValidationError as error:
        message = f"the ClaudeEvalSet {spec.set_ref} cannot be read: {first_fault(error)}"
        raise NotReady(RunReason.INVALID_SET, message) from error
    maps = {name: await _read(kube, CONFIG_MAPS, name, namespace) for name in config_maps(stored)}
    for name, key in item_keys(set_spec):
        if not any(key in (maps[name].get(part) or {}) for part in ("data", "binaryData")):
            raise NotReady(RunReason.NOT_FOUND, f"the ConfigMap {name} has no key {key}: put the items there")
    try:
        contents = contents_of(stored, maps)
    except ValueError as error:
        raise NotReady(RunReason.INVALID_SET, f"the ClaudeEvalSet {spec.set_ref}: {error}") from error
    now = set_hash(stored, contents)
    if spec.set_hash and spec.set_hash != now:
        message = (
            f"the ClaudeEvalSet {spec.set_ref} has changed since this run was made (now {now[:8]}, then"
            f" {spec.set_hash[:8]}): make a new ClaudeEvalRun, or restore the earlier content"
        )
        raise NotReady(RunReason.SET_CHANGED, message)
    volume = Beside(paths.volume, "on the volume", most=LARGEST_VOLUME)
    if claim_of(stored) is not None:
        contents = replace(contents, beside=volume, place=volume.what)
    try:
        items = load_items(set_spec, contents)
    except ValueError as error:
        raise NotReady(RunReason.INVALID_SET, f"the ClaudeEvalSet {spec.set_ref}, {error}") from error
    content, before = hash_with_files(now, volume.digests), (eval_set.get("status") or {}).get("setHash")
    changed = ""
    if volume.digests and before and before != content:
        changed = f"the set or its volume has changed since the run before (now {content[:8]}, then {before[:8]})"
    return _Set(set_spec, eval_set["metadata"]["uid"], items, _labels(set_spec, maps), content, changed)


def _labels(spec: EvalSetSpec, maps: Mapping[str, Mapping[str, Any]]) -> Labels | None:
    """What people say of answers, None where the set has no such labels."""
    if spec.calibration is None:
        return None
    least, reference = spec.calibration.min_kappa, spec.calibration.config_map_key_ref
    where = f"the labels in the ConfigMap {reference.name}, key {reference.key}"
    text = (maps[reference.name].get("data") or {}).get(reference.key)
    if text is None:
        return Labels(least, trouble=f"{where}, are not there: put them there")
    try:
        return Labels(least, tuple(read_labels(text.encode("utf-8", "surrogatepass"), where)))
    except ValueError as error:
        return Labels(least, trouble=str(error))


async def _read(kube: Kube, resource: Resource, name: str, namespace: str) -> dict[str, Any]:
    found = await kube.get(resource, name, namespace)
    if found is None:
        raise NotReady(RunReason.NOT_FOUND, f"the {resource.kind} {name} does not exist: create it")
    return found


def _arm(stored: Mapping[str, Any], run: EvalRunSpec, paths: JobPaths) -> wire.Arm:
    """A revision exactly as the gateway would serve it, if its content is its name's."""
    name = stored["metadata"]["name"]
    if run.deployment and not revision.is_of(stored, run.deployment):
        message = f"the ClaudeRevision {name} does not have the content that its name stands for: delete it"
        raise NotReady(RunReason.NOT_FOUND, message)
    _check(revision_addresses(stored["spec"]), paths.policy, f"ClaudeRevision {name}, ")
    return revision.arm(stored, "canary", 0)


def _check(addresses: Iterable[Address], policy: Policy, whose: str = "") -> None:
    """Raise NotReady where a URL is not one that the installer allows: the operator asks before it makes a Job."""
    found = policy.host_problems(addresses)
    if found:
        raise NotReady(RunReason.INFRASTRUCTURE, f"{whose}{found[0].message}")
