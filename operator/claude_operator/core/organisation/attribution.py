"""Whose the organisation's usage is: by API key to the ClaudeDeployments whose gateways hold the key.

A key that one deployment holds is its own: all that was used with it is attributed to that deployment. A key that
several share is split by the gateways' own measure, per day, model and kind of token; what the organisation counts
beyond that measure went around the gateways, and is nobody's; so are its Message Batches, which gateways do not
measure. No token is lost or counted twice.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from claude_operator.api.evidence import OTHER

__all__ = [
    "NOTHING",
    "ApiKey",
    "Attribution",
    "Holder",
    "Slot",
    "Tokens",
    "Usage",
    "attribute",
    "key_of",
    "split",
]

_FIXED = 13  # characters that all keys of a kind begin with, as in sk-ant-api03-
_TELLING = 4  # further characters that a hint needs: fewer could fit the key of somebody else


class Tokens(NamedTuple):
    """Tokens by kind."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    def plus(self, other: Tokens) -> Tokens:
        """Both together."""
        return Tokens(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    @property
    def all(self) -> int:
        """Of all kinds."""
        return sum(self)


NOTHING = Tokens()


class Slot(NamedTuple):
    """What usage is compared in."""

    day: dt.date
    model: str
    tier: str = "standard"
    """The service tier, which decides the price."""

    @property
    def batched(self) -> bool:
        """Whether it is of Message Batches, which no gateway measures."""
        return self.tier.startswith("batch")


@dataclass(frozen=True, slots=True)
class Usage:
    """What the organisation counts of a key; `key` is empty for the Console."""

    slot: Slot
    key: str
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as the Admin API lists it. `hint`: its first and last characters, as in `sk-ant-api03-R2D...igAA`."""

    id: str
    name: str = ""
    hint: str = ""
    workspace: str = ""
    """The name of its workspace, empty for the default one."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A ClaudeDeployment. `key` is the id of the API key that its gateways use, empty where it is not known.

    `measured`: what its gateways counted, by day and model; None where their measure is not known. `since` is the first
    day that they measured as a whole.
    """

    namespace: str
    name: str
    key: str = ""
    measured: Mapping[tuple[dt.date, str], Tokens] | None = None
    since: dt.date | None = None
    spent: Mapping[dt.date, float] = field(default_factory=dict)
    """US dollars by day, as its gateways measured."""
    uid: str = ""
    elsewhere: bool = False
    """Whether its gateways are known to use no key of this organisation."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """All of the organisation's usage, each token once."""

    of: Sequence[Mapping[Slot, Tokens]]
    """In the order of the holders."""
    rest: Mapping[str, Mapping[Slot, Tokens]] = field(default_factory=dict)
    """By key: nobody's, because no deployment holds the key, or because it went around the gateways of a shared one."""


def key_of(secret: str, keys: Iterable[ApiKey]) -> str:
    """The id of the key whose hint fits this key alone, empty where none does, or more than one."""
    found = [one.id for one in keys if _fits(secret, one.hint)]
    return found[0] if len(found) == 1 else ""


def attribute(usage: Iterable[Usage], holders: Sequence[Holder]) -> Attribution:
    """Attribute usage to those who hold the keys."""
    by_key: dict[str, list[int]] = defaultdict(list)
    for number, holder in enumerate(holders):
        if holder.key:
            by_key[holder.key].append(number)
    counted: dict[tuple[str, Slot], Tokens] = defaultdict(Tokens)
    for one in usage:
        counted[one.key, one.slot] = counted[one.key, one.slot].plus(one.tokens)
    of: list[dict[Slot, Tokens]] = [{} for _ in holders]
    rest: dict[str, dict[Slot, Tokens]] = defaultdict(dict)
    tiers = _tiers(counted)
    for (key, slot), tokens in counted.items():
        who = by_key.get(key, [])
        if len(who) == 1:
            of[who[0]][slot] = tokens
            continue
        # Gateways do not tell tiers apart: each tier is split in the proportion of the whole.
        whole = tiers.get((key, slot.day, slot.model), NOTHING)
        measured = [NOTHING] * len(who) if slot.batched else _weights([holders[number] for number in who], slot)
        parts, left = _shares(tokens, whole, measured)
        for number, part in zip(who, parts, strict=True):
            if part.all:
                of[number][slot] = part
        if left.all:
            rest[key][slot] = left
    return Attribution(of, dict(rest))


def split(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in proportion to the weights, in whole numbers whose sum it is; the largest remainders are rounded up."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [total * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda number: (-(total * weights[number] % whole), number))
    for number in order[: total - sum(parts)]:
        parts[number] += 1
    return parts


def _shares(tokens: Tokens, whole: Tokens, measured: Sequence[Tokens]) -> tuple[list[Tokens], Tokens]:
    """What each gets of one tier's tokens, and what is left; `whole`: of all tiers, which `measured` is of."""
    columns, left = [], []
    for kind, total in enumerate(tokens):
        weights = [one[kind] for one in measured]
        around = max(0, whole[kind] - sum(weights))  # the gateways measured no more
        beyond = total * around // whole[kind] if whole[kind] else 0
        if not sum(weights):
            beyond = total
        columns.append(split(total - beyond, weights))
        left.append(beyond)
    return [Tokens(*row) for row in zip(*columns, strict=True)] if measured else [], Tokens(*left)


def _tiers(counted: Mapping[tuple[str, Slot], Tokens]) -> Mapping[tuple[str, dt.date, str], Tokens]:
    found: dict[tuple[str, dt.date, str], Tokens] = defaultdict(Tokens)
    for (key, slot), tokens in counted.items():
        if not slot.batched:
            found[key, slot.day, slot.model] = found[key, slot.day, slot.model].plus(tokens)
    return found


def _weights(holders: Sequence[Holder], slot: Slot) -> list[Tokens]:
    """What each measured of this model; where nobody did, of those that are not kept apart: it may be among them."""
    for model in (slot.model, OTHER):
        found = [(holder.measured or {}).get((slot.day, model), NOTHING) for holder in holders]
        if any(one.all for one in found):
            return found
    return found


def _fits(secret: str, hint: str) -> bool:
    start, dots, end = hint.partition("...")
    if not dots or len(start) + len(end) < _FIXED + _TELLING or len(secret) <= len(start) + len(end):
        return False
    return bool(start and end) and secret.startswith(start) and secret.endswith(end)
