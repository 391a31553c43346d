"""What a spec refers to: read by name on each pass, and a sentence for each thing that is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec, KeyRef
from claude_operator.api.resources import EvalSetSpec
from claude_operator.core.evalset import load_items, set_hash
from claude_operator.core.observe import EvalSetView
from claude_operator.core.revision import prompt_keys
from claude_operator.core.validate import Problem
from claude_operator.kube.client import Kube, Object
from claude_operator.kube.resources import CLAUDE_EVAL_SETS, CONFIG_MAPS, SECRETS, Resource

__all__ = ["References", "read_references"]


@dataclass(frozen=True, slots=True)
class References:
    """What was found. `problems` in the order in which a person would mend them."""

    prompts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    eval_set: EvalSetView | None = None
    problems: tuple[Problem, ...] = ()


async def read_references(kube: Kube, namespace: str, spec: DeploymentSpec) -> References:
    """Read Secrets (for their keys alone), ConfigMaps and the eval set."""
    secrets, (prompts, missing), (chosen, unread) = await asyncio.gather(
        _secrets(kube, namespace, spec), _prompts(kube, namespace, spec), _eval_set(kube, namespace, spec)
    )
    problems = [*secrets, *missing, *([unread] if unread else [])]
    return References(prompts, chosen, tuple(problems))


async def _secrets(kube: Kube, namespace: str, spec: DeploymentSpec) -> list[Problem]:
    wanted: list[tuple[str, KeyRef]] = []
    if spec.upstream.api_key_secret_ref and (spec.gateway.auth.type != "Passthrough" or spec.evals):
        wanted.append(("spec.upstream.apiKeySecretRef", spec.upstream.api_key_secret_ref))
    wanted += [(f"spec.env {one.name}", one.value_from.secret_key_ref) for one in spec.env or ()]
    found = await _all(kube, SECRETS, namespace, {reference.name for _, reference in wanted})
    problems = []
    for where, reference in wanted:
        name, key = reference.name, reference.key
        remedy = f"create it: kubectl -n {namespace} create secret generic {name} --from-literal={key}=..."
        if found[name] is not None:
            remedy = f"""add it: kubectl -n {namespace} patch secret {name} -p '{{"stringData": {{"{key}": "..."}}}}'"""
        lack = _lack(found[name], "Secret", reference)
        if lack:
            problems.append(Problem(Reason.SECRET_NOT_FOUND, f"{where}: {lack}; {remedy}"))
    return problems


async def _prompts(
    kube: Kube, namespace: str, spec: DeploymentSpec
) -> tuple[dict[tuple[str, str], str], list[Problem]]:
    keys = prompt_keys(spec)
    found = await _all(kube, CONFIG_MAPS, namespace, {name for name, _ in keys})
    texts, problems = {}, []
    for name, key in keys:
        data = (found[name] or {}).get("data") or {}
        if not data.get(key):
            lack = _lack(found[name], "ConfigMap", KeyRef(name=name, key=key))
            remedy = f"create it: kubectl -n {namespace} create configmap {name} --from-file={key}"
            if found[name] is not None:
                remedy = f"write it: kubectl -n {namespace} edit configmap {name}"
            said = lack or f"key {key} of ConfigMap {name} is empty"
            problems.append(Problem(Reason.CONFIG_MAP_NOT_FOUND, f"spec.promptFrom: {said}; {remedy}"))
        else:
            texts[name, key] = data[key]
    return texts, problems


async def _eval_set(kube: Kube, namespace: str, spec: DeploymentSpec) -> tuple[EvalSetView | None, Problem | None]:
    if spec.evals is None:
        return None, None
    name = spec.evals.set_ref.name
    found = await kube.get(CLAUDE_EVAL_SETS, name, namespace)
    if found is None:
        said = f"spec.evals.setRef: there is no ClaudeEvalSet {name} in {namespace}; create it, or correct the name"
        return None, Problem(Reason.EVAL_SET_NOT_FOUND, said)
    try:
        parsed = EvalSetSpec.model_validate(found["spec"])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        return None, Problem(Reason.INVALID_EVAL_SET, f"ClaudeEvalSet {name}, spec.{place}: {first['msg']}")
    text, source = None, None
    if parsed.dataset is not None:
        reference = parsed.dataset.config_map_key_ref
        source = reference.name
        data = await kube.get(CONFIG_MAPS, reference.name, namespace)
        lack = _lack(data, "ConfigMap", reference)
        if lack:
            said = f"ClaudeEvalSet {name}, spec.dataset: {lack}; create it, one item a line as JSON"
            return None, Problem(Reason.EVAL_SET_NOT_FOUND, said)
        text = (data or {})["data"][reference.key]
    try:
        items = load_items(parsed, text)
    except ValueError as error:
        return None, Problem(Reason.INVALID_EVAL_SET, f"ClaudeEvalSet {name}: {error}")
    return EvalSetView(name, set_hash(found["spec"], text), len(items), source), None


async def _all(kube: Kube, resource: Resource, namespace: str, names: set[str]) -> dict[str, Object | None]:
    ordered = sorted(names)
    found = await asyncio.gather(*(kube.get(resource, name, namespace) for name in ordered))
    return dict(zip(ordered, found, strict=True))


def _lack(found: Mapping[str, Any] | None, kind: str, reference: KeyRef) -> str:
    """What is missing of a referenced key, as words, empty where nothing is."""
    if found is None:
        return f"there is no {kind} {reference.name}"
    if reference.key not in (found.get("data") or {}):
        return f"{kind} {reference.name} has no key {reference.key}"
    return ""
