"""What a spec refers to: read by name on each pass, and a sentence for each thing that is missing."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.faults import first_fault
from claude_operator.api.gateway import TLS_CERTIFICATE, TLS_KEY
from claude_operator.core.evals.contents import claim_of, config_maps, contents_of, item_keys
from claude_operator.core.evals.live import shared_part
from claude_operator.core.evals.outside import epochs_at_most
from claude_operator.core.evals.set_status import set_status
from claude_operator.core.evals.sets import iter_items, set_hash
from claude_operator.core.reconcile.gateway_config import LIMIT
from claude_operator.core.reconcile.observation import EvalSetView, Observation
from claude_operator.core.spec.policy import OPEN, Policy, Resolved, SecretUse, addresses, secret_uses
from claude_operator.core.spec.revision import prompt_keys
from claude_operator.core.spec.validate import Problem, impossible_names
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import CLAIMS, CLAUDE_EVAL_SETS, CONFIG_MAPS, SECRETS, Resource
from claude_operator.shell.keys import Key
from claude_operator.shell.name_reader import NameReader
from claude_operator.shell.tasks import Group, all_of

__all__ = ["ReferenceReader", "References", "claim_problem", "read_secrets", "unwritten"]

_KNOWN = 256  # eval sets whose items are remembered
_SLICE = 100  # items between two breaths
_BREATH = 0.01  # seconds of reading, after which others have the loop, however few the items


@dataclass(frozen=True, slots=True)
class References:
    """What was found. `problems` in the order in which a person would mend them."""

    prompts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    eval_set: EvalSetView | None = None
    problems: tuple[Problem, ...] = ()
    stored_set: Object | None = None
    """The eval set as stored."""
    resolved: Resolved = field(default_factory=dict)
    """What the names of servers lead to that are connected to."""


class ReferenceReader:
    """Reads what specs refer to; a set whose content is as it was is not parsed again."""

    def __init__(self, kube: Kube, policy: Policy = OPEN, names: NameReader | None = None) -> None:
        self._kube, self.policy, self._names = kube, policy, names
        self._sets: dict[tuple[str, int, str], EvalSetView | Problem] = {}
        """By UID and generation of the set, and resourceVersions of its ConfigMaps."""

    async def read(self, key: Key, spec: DeploymentSpec) -> References:
        """Read Secrets (for their keys alone), ConfigMaps, the eval set, and what names lead to."""
        namespace = key.namespace
        impossible = list(impossible_names(spec))
        if impossible:  # such a name would lead to another path
            return References(problems=tuple(Problem(Reason.INVALID_SPEC, f"spec.{text}") for text in impossible))
        async with Group() as group:
            reading = group.create_task(read_secrets(self._kube, self.policy, namespace, secret_uses(spec)))
            texts = group.create_task(_prompts(self._kube, namespace, spec))
            choosing = group.create_task(self._eval_set(namespace, spec))
            resolving = group.create_task(self._resolved(key, spec))
        (prompts, missing), (chosen, stored_set) = texts.result(), choosing.result()
        problems = [*reading.result(), *missing, *([chosen] if isinstance(chosen, Problem) else [])]
        view = chosen if isinstance(chosen, EvalSetView) else None
        return References(prompts, view, tuple(problems), stored_set, resolving.result())

    async def _resolved(self, key: Key, spec: DeploymentSpec) -> Resolved:
        wanted = self.policy.names(addresses(spec), key.namespace) if self._names else {}
        return await self._names.read(key, wanted) if self._names and wanted else {}

    async def _eval_set(
        self, namespace: str, spec: DeploymentSpec
    ) -> tuple[EvalSetView | Problem | None, Object | None]:
        """The set that is the gate, or what is wrong with it; and the set as stored."""
        if spec.evals is None:
            return None, None
        name = spec.evals.set_ref.name
        found = await _get(self._kube, CLAUDE_EVAL_SETS, name, namespace)
        if isinstance(found, str):
            return Problem(Reason.EVAL_SET_NOT_FOUND, f"spec.evals.setRef: {found}"), None
        if found is None:
            message = (
                f"spec.evals.setRef: there is no ClaudeEvalSet {name} in {namespace}; create it, or correct the name"
            )
            return Problem(Reason.EVAL_SET_NOT_FOUND, message), None
        if lack := await claim_problem(self._kube, self.policy, namespace, claim_of(found["spec"])):
            return Problem(Reason.EVAL_SET_NOT_FOUND, f"ClaudeEvalSet {name}, spec.dataset.volume: {lack}"), found
        return await self._content(found), found

    async def _content(self, found: Object) -> EvalSetView | Problem:
        """What a set holds. Its ConfigMaps, of megabytes, are read where their versions are not those of before."""
        namespace, names = found["metadata"]["namespace"], sorted(config_maps(found["spec"]))
        versions = await all_of(_version(self._kube, name, namespace) for name in names)
        view = self._sets.get(_known(found, dict(zip(names, versions, strict=True))))
        if view is not None:
            return view
        data = await _all(self._kube, CONFIG_MAPS, namespace, set(names))
        if lack := _lacks(found["spec"], data):
            return Problem(Reason.EVAL_SET_NOT_FOUND, f"ClaudeEvalSet {found['metadata']['name']}, {lack}")
        live = {one: value for one, value in data.items() if isinstance(value, dict)}
        known = _known(found, {one: value["metadata"]["resourceVersion"] for one, value in live.items()})
        view = self._sets[known] = await _view(found, live)
        for old in list(self._sets)[:-_KNOWN]:
            del self._sets[old]
        return view


def _known(found: Object, versions: Mapping[str, str | None]) -> tuple[str, int, str]:
    """What a set is remembered by: its spec, without notes and status. What is missing has no version: it is not."""
    maps = ",".join(f"{name}={version}" for name, version in versions.items())
    return found["metadata"]["uid"], found["metadata"]["generation"], maps


async def _version(kube: Kube, name: str, namespace: str) -> str | None:
    """Of a ConfigMap, None where there is none or it cannot be read: why is told when it is read whole."""
    try:
        return await kube.version_of(CONFIG_MAPS, name, namespace)
    except (KubeError, ValueError):
        return None


def _lacks(stored: Mapping[str, Any], data: Mapping[str, Object | str | None]) -> str:
    """What is missing of what a set refers to, empty where nothing is."""
    try:
        keys = item_keys(EvalSetSpec.model_validate(stored))
    except ValidationError:  # told when the set is read
        keys = []
    for name, key in keys:
        live = data[name]
        if not isinstance(live, dict) or key not in (live.get("binaryData") or {}):  # what is not UTF-8 is there
            lack = _lack(live, "ConfigMap", name, key)
            if lack:
                return f"spec.dataset: {lack}; create it, with the items of the set"
    for name, live in data.items():
        if not isinstance(live, dict):
            files = name in config_maps({"files": stored.get("files")})
            where = "spec.files" if files else "spec.calibration"
            return f"{where}: {_lack(live, 'ConfigMap', name, None)}; create it, or leave it out"
    return ""


async def _view(found: Object, live: Mapping[str, Object]) -> EvalSetView | Problem:
    """Read a set, of up to some megabytes, a few items at a time: others want the loop."""
    name, items, asked = found["metadata"]["name"], 0, Counter[str]()
    try:
        parsed = EvalSetSpec.model_validate(found["spec"])
    except ValidationError as error:
        return Problem(Reason.INVALID_EVAL_SET, f"ClaudeEvalSet {name}, {first_fault(error, 'spec')}")
    try:
        contents = contents_of(found["spec"], live)
        if claim_of(found["spec"]) is not None:  # only the Job sees what is on it
            shared = shared_part(parsed, contents)
            return EvalSetView(name, set_hash(found["spec"], contents), None, tuple(live), shared)
        clock = asyncio.get_running_loop().time
        began = clock()
        for number, item in enumerate(iter_items(parsed, contents), 1):
            items += item is not None
            if item is not None:
                asked[item.subagent or ""] += item.max_turns
            if number % _SLICE == 0 or clock() - began > _BREATH:
                await asyncio.sleep(0)
                began = clock()
        shared = shared_part(parsed, contents)
    except ValueError as error:
        return Problem(Reason.INVALID_EVAL_SET, f"ClaudeEvalSet {name}: {error}")
    times = epochs_at_most(parsed)
    most = {subagent: times * requests for subagent, requests in asked.items()}
    return EvalSetView(name, set_hash(found["spec"], contents), items, tuple(live), shared, most)


def unwritten(references: References, seen: Observation) -> tuple[str, Mapping[str, Any]] | None:
    """What the status of the eval set lacks, None where that is nothing."""
    stored, view = references.stored_set, references.eval_set
    if stored is None or view is None:
        return None
    wanted = set_status(stored, view.items, ((seen.run_objects[name], one) for name, one in seen.eval_runs.items()))
    return (view.name, wanted) if wanted else None


async def claim_problem(kube: Kube, policy: Policy, namespace: str, claim: str | None) -> str:
    """Why the PersistentVolumeClaim of a set cannot be mounted; empty where it can, or there is none."""
    if claim is None:
        return ""
    found = await _get(kube, CLAIMS, claim, namespace)
    if found is None:
        return f"there is no PersistentVolumeClaim {claim}; create it, with the items of the set"
    return found if isinstance(found, str) else policy.claim_problem(claim, namespace, found["metadata"].get("labels"))


def _text(secret: Object, key: str) -> str:
    """The value of a key, empty where it is not text."""
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "", validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


async def read_secrets(kube: Kube, policy: Policy, namespace: str, wanted: Sequence[SecretUse]) -> list[Problem]:
    """What is wrong with the Secrets that a spec uses: they are missing, or are not for that."""
    found = await _all(kube, SECRETS, namespace, {one.name for one in wanted})
    problems = []
    for one in wanted:
        live, name = found[one.name], one.name
        keys = (TLS_CERTIFICATE, TLS_KEY) if one.key is None else (one.key,)
        lack, key = next(((lack, key) for key in keys if (lack := _lack(live, "Secret", name, key))), ("", keys[0]))
        kind = "generic {} --from-literal={}=..." if one.key else "tls {} --cert=tls.crt --key=tls.key"
        remedy = f"create it: kubectl -n {namespace} create secret {kind.format(name, key)}"
        if isinstance(live, dict):
            remedy = f"""add it: kubectl -n {namespace} patch secret {name} -p '{{"stringData": {{"{key}": "..."}}}}'"""
        if lack:
            problems.append(Problem(Reason.SECRET_NOT_FOUND, f"{one.where}: {lack}; {remedy}"))
        elif isinstance(live, dict):
            refusal = policy.secret_problem(one, namespace, live["metadata"].get("labels"))
            refusal = refusal or policy.key_problem(one, _text(live, key))
            problems += [refusal] if refusal else []
    return problems


async def _prompts(
    kube: Kube, namespace: str, spec: DeploymentSpec
) -> tuple[dict[tuple[str, str], str], list[Problem]]:
    keys = prompt_keys(spec)
    found = await _all(kube, CONFIG_MAPS, namespace, {name for name, _ in keys})
    texts, problems = {}, []
    for name, key in keys:
        live = found[name]
        data = (live.get("data") or {}) if isinstance(live, dict) else {}
        if not data.get(key):
            lack = _lack(live, "ConfigMap", name, key)
            remedy = f"create it: kubectl -n {namespace} create configmap {name} --from-file={key}"
            if isinstance(live, dict):
                remedy = f"write it: kubectl -n {namespace} edit configmap {name}"
            message = lack or f"key {key} of ConfigMap {name} is empty"
            problems.append(Problem(Reason.CONFIG_MAP_NOT_FOUND, f"spec.promptFrom: {message}; {remedy}"))
        else:
            texts[name, key] = data[key]
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts.values())
    if size > LIMIT:
        message = f"spec.promptFrom: the texts have {size:,} bytes together, more than {LIMIT:,}: shorten them"
        return {}, [*problems, Problem(Reason.CONFIG_TOO_LARGE, message)]
    return texts, problems


async def _all(kube: Kube, resource: Resource, namespace: str, names: set[str]) -> dict[str, Object | str | None]:
    ordered = sorted(names)
    found = await all_of(_get(kube, resource, name, namespace) for name in ordered)
    return dict(zip(ordered, found, strict=True))


async def _get(kube: Kube, resource: Resource, name: str, namespace: str) -> Object | str | None:
    """The object, None where there is none, or why this one object may not be read."""
    try:
        return await kube.get(resource, name, namespace)
    except KubeError as error:
        if error.status != 403:
            raise
        return f"{resource.kind} {name} cannot be read: {error}"
    except ValueError as error:
        return f"{resource.kind} {name} cannot be read: {error}"


def _lack(found: Mapping[str, Any] | str | None, kind: str, name: str, key: str | None) -> str:
    """What is missing of a referenced key, as words, empty where nothing is; None where any key will do."""
    if isinstance(found, str):
        return found
    if found is None:
        return f"there is no {kind} {name}"
    if key is not None and key not in (found.get("data") or {}):
        return f"{kind} {name} has no key {key}"
    return ""
