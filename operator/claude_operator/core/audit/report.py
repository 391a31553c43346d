"""The audit: each use of a model with the model's state on a day, the most urgent first, and what fails it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from claude_operator.api.lifecycle import Platform
from claude_operator.core.audit.keys import KeyUse
from claude_operator.core.audit.uses import Use
from claude_operator.core.catalogue.lifecycle import NO_MODELS, Lifecycle, LifecycleState, lifecycle_of, model_of
from claude_operator.core.catalogue.platforms import catalogue_id
from claude_operator.core.catalogue.table import Model

__all__ = ["Audit", "Limit", "Row", "audit", "limit_of"]

U = TypeVar("U", Use, KeyUse)

_URGENCY = (Lifecycle.RETIRED, Lifecycle.DEPRECATED, Lifecycle.UNKNOWN, Lifecycle.LEGACY, Lifecycle.ACTIVE)
_WORSE = (Lifecycle.LEGACY, Lifecycle.DEPRECATED, Lifecycle.RETIRED)
_WHERE = ("request", "subagent", "grader", "judge")
_NEVER = 10**9  # days, of a model without a date


@dataclass(frozen=True, slots=True)
class Row(Generic[U]):
    """One use: of an object of the cluster, or of an API key."""

    use: U
    model_id: str
    """What the model is called in the catalogue; where it is not there, as it is written."""
    state: LifecycleState

    @property
    def counts(self) -> bool:
        """Whether it is in use: old revisions that are kept are not."""
        return self.use.is_in_use if isinstance(self.use, Use) else True


@dataclass(frozen=True, slots=True)
class Limit:
    """What fails an audit: a state or a worse one, a number of days left, or a model that nothing is known of."""

    kind: Literal["state", "days", "unknown"]
    state: Lifecycle = Lifecycle.UNKNOWN
    days: int = 0

    def is_broken(self, now: LifecycleState) -> bool:
        """Whether a model in this state is beyond the limit."""
        if self.kind == "unknown":
            return now.lifecycle is Lifecycle.UNKNOWN
        if self.kind == "state":
            return now.lifecycle in _WORSE[_WORSE.index(self.state) :]
        if now.lifecycle is Lifecycle.RETIRED:
            return True
        # A Deprecated model without a date may be retired on any day.
        return now.lifecycle is Lifecycle.DEPRECATED and (now.days_left is None or now.days_left <= self.days)


@dataclass(frozen=True, slots=True)
class Audit:
    """All of it, the most urgent first."""

    as_of: dt.date
    uses: Sequence[Row[Use]]
    keys: Sequence[Row[KeyUse]]

    @property
    def states(self) -> Mapping[str, int]:
        """How many models that are in use are in which state; all states are told."""
        rows: list[Row[Use] | Row[KeyUse]] = [*self.uses, *self.keys]
        models = {(row.model_id, row.state.platform): row.state.lifecycle for row in rows if row.counts}
        found = Counter(models.values())
        return {one.value: found[one] for one in _URGENCY}

    def broken(self, limits: Sequence[Limit]) -> list[Row[Use] | Row[KeyUse]]:
        """What is in use and beyond one of these."""
        rows: list[Row[Use] | Row[KeyUse]] = [*self.uses, *self.keys]
        return [row for row in rows if row.counts and any(limit.is_broken(row.state) for limit in limits)]


def audit(
    uses: Iterable[Use], keys: Iterable[KeyUse], as_of: dt.date, overrides: Mapping[str, Model] = NO_MODELS
) -> Audit:
    """All these uses on a day; `overrides` are the cluster's own models."""

    def row(use: U) -> Row[U]:
        platform: Platform = use.platform if isinstance(use, Use) else "ClaudeAPI"
        name = use.model if model_of(use.model, overrides) else catalogue_id(use.model, platform)
        model = model_of(name, overrides)
        state = lifecycle_of(use.model, as_of, overrides, platform=platform)
        return Row(use, model.id if model else use.model, state)

    return Audit(as_of, sorted(map(row, uses), key=_rank_use), sorted(map(row, keys), key=_rank_key))


def limit_of(text: str) -> Limit:
    """A limit as people write it: a state, or a number of days such as `30` or `30d`; raises `ValueError`."""
    word = text.strip().capitalize()
    if word in _WORSE:
        return Limit("state", Lifecycle(word))
    if word == Lifecycle.UNKNOWN:
        return Limit("unknown")
    days = text.strip().removesuffix("d")
    if days.isascii() and days.isdecimal() and len(days) <= 6:
        return Limit("days", days=int(days))
    raise ValueError(f"{text!r} is not a limit; use Legacy, Deprecated, Retired, Unknown, or a number of days, e.g. 60")


def _rank(row: Row[U]) -> tuple[int, bool, int, str]:
    left = row.state.days_left
    return _URGENCY.index(row.state.lifecycle), not row.counts, _NEVER if left is None else left, row.model_id


def _rank_use(row: Row[Use]) -> tuple[object, ...]:
    use = row.use
    return (*_rank(row), use.namespace, use.kind, use.name, _WHERE.index(use.where.partition(" ")[0]), use.where)


def _rank_key(row: Row[KeyUse]) -> tuple[object, ...]:
    use = row.use
    return (*_rank(row), -(use.tokens or 0), -(use.usd or 0.0), use.key, use.key_id, use.workspace)
