"""A revision: an immutable snapshot of everything that shapes a request, named by a hash of it."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from claude_operator.api import gateway as wire
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.core.names import revision_name

__all__ = ["arm", "content", "is_made_of", "is_of", "name", "origin", "prompt_keys", "revision_spec", "spec_of"]

_VERSION = b"v1"
_DIGITS = 10
_MOST_PROMPTS = 16  # entries of promptFrom

Prompts = Mapping[tuple[str, str], str]
"""Texts by (name, key) of their ConfigMap."""


def prompt_keys(spec: DeploymentSpec) -> list[tuple[str, str]]:
    """The (name, key) of every ConfigMap key that promptFrom reads."""
    return [(source.config_map_key_ref.name, source.config_map_key_ref.key) for source in spec.prompt_from or ()]


def content(raw: Mapping[str, Any], prompts: Prompts) -> dict[str, Any]:
    """What the name is hashed from: fields of `spec` as the API server stores them, promptFrom as its blocks."""
    parts = {
        "request": raw.get("request"),
        "subagents": raw.get("subagents"),
        "promptFrom": _blocks(raw.get("promptFrom") or (), prompts) or None,
        "overrides": raw.get("overrides"),
    }
    return {key: value for key, value in parts.items() if value is not None}


def name(deployment: str, parts: Mapping[str, Any]) -> str:
    """`<deployment>-` and the first ten hex digits of sha256 over `v1` and the content's canonical JSON.

    This never changes: another name would make every upgrade of the operator a rollout.
    """
    digest = hashlib.sha256(_VERSION + _canonical(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return revision_name(deployment, digest[:_DIGITS])


def revision_spec(parts: Mapping[str, Any]) -> dict[str, Any]:
    """`ClaudeRevision.spec`: the content with the blocks of promptFrom put before those of request.system."""
    request = dict(parts["request"])
    if parts.get("promptFrom"):
        request["system"] = [*parts["promptFrom"], *(request.get("system") or ())]
    spec = {"request": request, "subagents": parts.get("subagents"), "overrides": parts.get("overrides")}
    return {key: value for key, value in spec.items() if value is not None}


def is_of(stored: Mapping[str, Any], deployment: str) -> bool:
    """Whether a ClaudeRevision as stored has the content that its name was hashed from: else it was made by hand."""
    return origin(stored, deployment) is not None


def origin(stored: Mapping[str, Any], deployment: str) -> dict[str, Any] | None:
    """The content that a ClaudeRevision as stored was named by, None where its name stands for another.

    Its spec does not say which blocks of `system` came from promptFrom: the hash does.
    """
    spec, given = stored.get("spec") or {}, stored["metadata"]["name"]
    return next((parts for parts in _origins(spec) if name(deployment, parts) == given), None)


def is_made_of(stored: Mapping[str, Any], parts: Mapping[str, Any]) -> bool:
    """Whether a ClaudeRevision as stored has this content: another one of the same name can be found by trying."""
    spec = stored.get("spec") or {}
    if spec == revision_spec(parts):
        return True
    wanted = _canonical(parts)
    return any(_canonical(one) == wanted for one in _origins(spec))


def arm(revision: Mapping[str, Any], role: wire.Role, weight: int) -> wire.Arm:
    """A stored ClaudeRevision as the gateway serves it, `weight` in basis points."""
    spec = revision["spec"]
    request = {key: value for key, value in spec["request"].items() if key != "betas"}
    return wire.Arm(
        revision=revision["metadata"]["name"],
        role=role,
        weight=weight,
        request=request,
        betas=list(spec["request"].get("betas") or ()),
        subagents={key: dict(one["request"]) for key, one in (spec.get("subagents") or {}).items()},
        overrides=wire.Overrides(**(spec.get("overrides") or {})),
    )


def spec_of(arm: wire.Arm, deployment: str) -> dict[str, Any] | None:
    """The inverse of `arm`: the `ClaudeRevision.spec` that it was made of; None where its content is not its name's.

    An arm does not tell what was left out from what was empty, nor which blocks of `system` came from promptFrom, so
    each way is tried until the hash is that of the name.
    """
    for parts in _ways(arm):
        if name(deployment, parts) == arm.revision:
            return revision_spec(parts)
    return None


def _canonical(parts: Mapping[str, Any]) -> str:
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _origins(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every content that could have become this spec: how many of its first blocks are promptFrom's is not stored."""
    request = dict(spec.get("request") or {})
    blocks = request.pop("system", None)
    rest = {field: spec.get(field) for field in ("subagents", "overrides") if spec.get(field) is not None}
    if not isinstance(blocks, list):
        yield {"request": request if blocks is None else {**request, "system": blocks}, **rest}
        return
    for number in range(min(len(blocks), _MOST_PROMPTS) + 1):
        prompts = {"promptFrom": blocks[:number]} if number else {}
        yield {"request": {**request, "system": blocks[number:]}, **prompts, **rest}
    if 0 < len(blocks) <= _MOST_PROMPTS:
        yield {"request": request, "promptFrom": blocks, **rest}


def _ways(arm: wire.Arm) -> Iterator[dict[str, Any]]:
    """Contents that are served as this arm, the likely ones first."""
    subagents = {key: {"request": request} for key, request in arm.subagents.items()}
    modes = {"system": arm.overrides.system, "tools": arm.overrides.tools}
    given = {key: mode for key, mode in modes.items() if mode != "Replace"}
    overrides: list[dict[str, Any] | None] = [modes, given] if given else [None, modes, {}]
    if arm.overrides.unsupported is not UNSET:
        overrides = [{**(one or {}), "unsupported": arm.overrides.unsupported} for one in overrides]
    betas: list[list[str] | None] = [arm.betas] if arm.betas else [None, []]
    overlays: list[dict[str, Any] | None] = [subagents] if subagents else [None, {}]
    ways = itertools.product(_systems(arm.request), betas, overlays, overrides)
    for (system, blocks), known, overlay, merge in ways:
        request = {key: value for key, value in arm.request.items() if key != "system"}
        request |= {key: value for key, value in (("system", system), ("betas", known)) if value is not None}
        parts = {"request": request, "subagents": overlay, "promptFrom": blocks, "overrides": merge}
        yield {key: value for key, value in parts.items() if value is not None}


def _systems(request: Mapping[str, Any]) -> Iterator[tuple[Any, list[Any] | None]]:
    """(`request.system`, blocks of promptFrom) that together are the arm's `system`."""
    system = request.get("system")
    yield system, None
    if not isinstance(system, list):
        return
    for own in range(len(system)):
        blocks, rest = system[: len(system) - own], system[len(system) - own :]
        yield rest or None, blocks
        if not rest:
            yield [], blocks


def _blocks(sources: Sequence[Mapping[str, Any]], prompts: Prompts) -> list[dict[str, Any]]:
    blocks = []
    for source in sources:
        reference = source["configMapKeyRef"]
        block: dict[str, Any] = {"type": "text", "text": prompts[reference["name"], reference["key"]]}
        if source.get("cache_control") is not None:
            block["cache_control"] = source["cache_control"]
        blocks.append(block)
    return blocks
