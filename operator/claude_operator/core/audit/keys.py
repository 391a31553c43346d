"""API keys that use a model, and whose gateways hold them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from claude_operator.api.organisation import KeyModel, OrganizationStatus, OtherKey
from claude_operator.core.audit.uses import Use

__all__ = ["Holders", "KeyUse", "holders_of", "organization_keys", "placed", "sum_known"]

Object = Mapping[str, Any]
N = TypeVar("N", int, float)

Source = Literal["csv", "organization"]
Where = Literal["cluster", "outside", "unknown"]
_DEFAULT = "Default"
"""What the Console calls the default workspace, which has no name in the API."""


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What one API key used of one model. `tokens` and `usd` are None where the source does not tell them."""

    model: str
    key_id: str = ""
    key: str = ""
    """Its name in the Console; empty with an empty id: the Console itself, without a key."""
    workspace: str = ""
    """Its name."""
    tokens: int | None = None
    usd: float | None = None
    first: dt.date | None = None
    last: dt.date | None = None
    source: Source = "csv"
    archived: bool = False
    """Whether the Console says that the key is not active any more."""
    where: Where = "unknown"
    held_by: tuple[str, ...] = ()
    """ClaudeDeployments whose gateways use the key, as `namespace/name`."""
    around: bool = False
    """Whether gateways hold the key, and no revision of theirs uses the model: it is used by others too."""


@dataclass(frozen=True, slots=True)
class Holders:
    """Which keys the gateways of this cluster use, as far as it is known."""

    by_id: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """ClaudeDeployments by the id of a key."""
    names: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The id of a key by its name and its workspace's."""
    by_name: frozenset[str] = frozenset()
    """Names or ids that a person says gateways of this cluster use."""
    complete: bool = False
    """Whether the key of each ClaudeDeployment is known: only then a key that is none of them is outside."""
    models: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The ids of the models that revisions of a ClaudeDeployment use or used, by `namespace/name`."""

    def place(self, use: KeyUse) -> KeyUse:
        """With where the key is used."""
        use = replace(use, workspace="") if use.workspace == _DEFAULT else use
        key_id = use.key_id or self.names.get((use.key, use.workspace), "")
        held = self.by_id.get(key_id, ()) if key_id else ()
        if held:
            known = [self.models[one] for one in held if one in self.models]
            around = len(known) == len(held) and not any(use.model in models for models in known)
            return replace(use, key_id=key_id, where="cluster", held_by=held, around=around)
        if {use.key, key_id} & self.by_name - {""}:
            return replace(use, key_id=key_id, where="cluster")
        is_console = not use.key and not key_id
        outside = is_console or (bool(key_id) and self.complete)
        return replace(use, key_id=key_id, where="outside" if outside else "unknown")


def holders_of(
    deployments: Iterable[Object],
    organizations: Sequence[OrganizationStatus],
    uses: Iterable[Use],
    find_id: Callable[[str], str],
    *,
    ours: Iterable[str] = (),
    everywhere: bool = False,
) -> Holders:
    """What ClaudeDeployments and ClaudeOrganizations tell of keys.

    `uses`: those of all revisions, also of kept ones. `ours`: what a person says. `everywhere`: these are all
    ClaudeDeployments of the cluster.
    """
    by_id: dict[str, set[str]] = {}
    keyless = 0
    for one in deployments:
        upstream = (one.get("spec") or {}).get("upstream") or {}
        key_id = upstream.get("apiKeyID")
        if key_id:
            by_id.setdefault(str(key_id), set()).add(_place_of(one))
        keyless += bool(upstream.get("apiKeySecretRef")) and not key_id
    for status in organizations:
        for share in status.deployments:
            by_id.setdefault(share.api_key_id, set()).add(f"{share.namespace}/{share.name}")
        for used in status.models:
            if used.deployments:
                by_id.setdefault(used.api_key_id, set()).update(used.deployments)
    known = [not status.keys_unknown for status in organizations] or [everywhere and not keyless]
    return Holders(
        {key_id: tuple(sorted(held)) for key_id, held in by_id.items() if key_id},
        _names(organizations),
        frozenset(ours),
        all(known),
        _models(uses, find_id),
    )


def _names(organizations: Iterable[OrganizationStatus]) -> Mapping[tuple[str, str], str]:
    """The id of a key by its name and workspace, where just one has them."""
    names: dict[tuple[str, str], set[str]] = {}
    for status in organizations:
        told: list[KeyModel | OtherKey] = [*status.models, *status.other_keys]
        for one in told:
            if one.name:
                names.setdefault((one.name, one.workspace), set()).add(one.api_key_id)
    return {place: next(iter(ids)) for place, ids in names.items() if len(ids) == 1}


def _models(uses: Iterable[Use], find_id: Callable[[str], str]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for use in uses:
        if use.kind == "ClaudeDeployment":
            found.setdefault(f"{use.namespace}/{use.name}", set()).add(find_id(use.model))
    return {place: frozenset(ids) for place, ids in found.items()}


def organization_keys(status: OrganizationStatus) -> list[KeyUse]:
    """What a ClaudeOrganization tells that its keys used in the last thirty days."""
    return [
        KeyUse(
            one.model, one.api_key_id, one.name, one.workspace, one.tokens, last=_day(one.last_day),
            source="organization",
        )
        for one in status.models
    ]  # fmt: skip


def placed(uses: Iterable[KeyUse], holders: Holders) -> list[KeyUse]:
    """All of them, each with where its key is used. What two sources tell of a key and a model is there once."""
    found: dict[tuple[str, ...], KeyUse] = {}
    for use in map(holders.place, uses):
        key = use.key_id or "", "" if use.key_id else use.key, "" if use.key_id else use.workspace, use.model
        found[key] = _newer(found[key], use) if key in found else use
    return list(found.values())


def _newer(one: KeyUse, other: KeyUse) -> KeyUse:
    """The one that knows more of late; of two that know as much, the one that tells a cost."""
    if one.source == other.source:  # two names of one key
        last = max(one.last or dt.date.min, other.last or dt.date.min)
        return replace(other, tokens=sum_known(one.tokens, other.tokens), usd=sum_known(one.usd, other.usd), last=last)
    return max(one, other, key=lambda use: (use.last or dt.date.min, use.usd is not None, use.tokens or 0))


def sum_known(one: N | None, other: N | None) -> N | None:
    """The sum of what is known of two; None where neither is."""
    return other if one is None else one if other is None else one + other


def _place_of(deployment: Object) -> str:
    return f"{deployment['metadata']['namespace']}/{deployment['metadata']['name']}"


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None
