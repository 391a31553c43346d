"""Reads the inputs of a ClaudeEvalRun's Job: the set, the revisions, the dataset, the key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from claude_operator.api.evals import EvalRunSpec, EvalSetSpec
from claude_operator.api.faults import first_fault
from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.catalogue.rules import takes
from claude_operator.core.evals.contents import config_maps, contents_of, item_keys
from claude_operator.core.evals.gate import RunReason
from claude_operator.core.evals.sets import Item, load_items, set_hash
from claude_operator.core.request.compose import PreparedArm, prepare
from claude_operator.core.spec import revision
from claude_operator.core.spec.policy import OPEN, Address, Policy, revision_addresses
from claude_operator.evals.files import api_key, directory
from claude_operator.evals.session import Arms
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
    prices: Book = field(default_factory=lambda: LIST_PRICES)
    """Those that hold instead of the list's."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a run needs, read once."""

    spec: EvalRunSpec
    set: EvalSetSpec
    set_uid: str
    items: list[Item]
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
    set_spec, set_uid, items = await _items(kube, paths.namespace, spec)
    candidate = _arm(await _read(kube, CLAUDE_REVISIONS, spec.revision, paths.namespace), spec, paths)
    baseline = None
    if spec.baseline_revision:
        baseline = _arm(await _read(kube, CLAUDE_REVISIONS, spec.baseline_revision, paths.namespace), spec, paths)
    key = api_key(paths.upstream_key)
    if not key:
        raise NotReady(
            RunReason.INFRASTRUCTURE, "the Secret of spec.upstream.apiKeySecretRef has no key: put the API key into it"
        )
    return Inputs(spec, set_spec, set_uid, items, Arms(candidate, baseline), key)


async def _items(kube: Kube, namespace: str, spec: EvalRunSpec) -> tuple[EvalSetSpec, str, list[Item]]:
    """The set, its UID and its items; raises NotReady where they have changed since the run was made."""
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
    if spec.set_hash and spec.set_hash != (now := set_hash(stored, contents)):
        message = (
            f"the ClaudeEvalSet {spec.set_ref} has changed since this run was made (now {now[:8]}, then"
            f" {spec.set_hash[:8]}): make a new ClaudeEvalRun, or restore the earlier content"
        )
        raise NotReady(RunReason.SET_CHANGED, message)
    try:
        return set_spec, eval_set["metadata"]["uid"], load_items(set_spec, contents)
    except ValueError as error:
        raise NotReady(RunReason.INVALID_SET, f"the ClaudeEvalSet {spec.set_ref}, {error}") from error


async def _read(kube: Kube, resource: Resource, name: str, namespace: str) -> dict[str, Any]:
    found = await kube.get(resource, name, namespace)
    if found is None:
        raise NotReady(RunReason.NOT_FOUND, f"the {resource.kind} {name} does not exist: create it")
    return found


def _arm(stored: Mapping[str, Any], run: EvalRunSpec, paths: JobPaths) -> PreparedArm:
    """A revision exactly as the gateway would serve it, if its content is its name's."""
    name = stored["metadata"]["name"]
    if run.deployment and not revision.is_of(stored, run.deployment):
        message = f"the ClaudeRevision {name} does not have the content that its name stands for: delete it"
        raise NotReady(RunReason.NOT_FOUND, message)
    _check(revision_addresses(stored["spec"]), paths.policy, f"ClaudeRevision {name}, ")
    try:
        return prepare(revision.arm(stored, "canary", 0), directory(paths.env), takes)
    except ValueError as error:  # MissingName as well
        raise NotReady(RunReason.INFRASTRUCTURE, str(error)) from error


def _check(addresses: Iterable[Address], policy: Policy, whose: str = "") -> None:
    """Raise NotReady where a URL is not one that the installer allows: the operator asks before it makes a Job."""
    found = policy.host_problems(addresses)
    if found:
        raise NotReady(RunReason.INFRASTRUCTURE, f"{whose}{found[0].message}")
