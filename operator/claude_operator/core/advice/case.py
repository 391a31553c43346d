"""What advice is made of: a spec, what its gateways measured, and prices."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evidence import OTHER
from claude_operator.core.catalogue.cost import LIST_PRICES, Book, request_factor
from claude_operator.core.catalogue.lifecycle import NO_MODELS, model_of
from claude_operator.core.catalogue.table import Model
from claude_operator.core.text import duration
from claude_operator.core.usage.amounts import Amounts, Key, total
from claude_operator.core.usage.ledger import day_of
from claude_operator.core.usage.state import Usages

__all__ = ["LEAST_CALLS", "LEAST_DAYS", "Case", "Confidence", "Scope"]

_WINDOW = 7  # days, today among them
LEAST_DAYS = 1.0
"""Days that have to be known before anything is advised: a night is not like a day."""
LEAST_CALLS = 100
"""The same of calls."""
_SECONDS = 86_400.0
_LEVELS = ("Low", "Medium", "High")


@dataclass(frozen=True, slots=True)
class Confidence:
    """How far the figures carry."""

    level: str
    """High, Medium or Low."""
    why: str

    def at_most(self, level: str) -> Confidence:
        """The same where something is assumed that nobody has measured."""
        return self if _LEVELS.index(self.level) <= _LEVELS.index(level) else replace(self, level=level)


@dataclass(frozen=True, slots=True)
class Scope:
    """A request of the spec and the calls that it shapes: those of the application, or of one subagent."""

    subagent: str
    """Empty: spec.request."""
    request: Mapping[str, Any]
    """As it is served."""
    measured: Amounts
    """Calls that its present model answered."""

    @property
    def model(self) -> str:
        """Its model."""
        return str(self.request.get("model") or "")

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"spec.subagents.{self.subagent}.request" if self.subagent else "spec.request"

    def patch(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A merge patch of the ClaudeDeployment that sets fields of it."""
        request = {"request": dict(fields)}
        return {"spec": {"subagents": {self.subagent: request}} if self.subagent else request}

    @property
    def factor(self) -> float:
        """What `inference_geo` and `speed` do to its prices."""
        return request_factor(self.request)


@dataclass(frozen=True)
class Case:
    """One ClaudeDeployment. `book` and `models` are the installation's own prices and models."""

    raw: Mapping[str, Any]
    """`spec` as it is stored."""
    usages: Usages
    stable: str | None
    now: dt.datetime
    book: Book = field(default_factory=lambda: LIST_PRICES)
    models: Mapping[str, Model] = field(default_factory=lambda: NO_MODELS)

    @cached_property
    def spec(self) -> DeploymentSpec:
        """The same, read."""
        return DeploymentSpec.model_validate(self.raw)

    @property
    def today(self) -> dt.date:
        """In UTC."""
        return self.now.astimezone(dt.UTC).date()

    @cached_property
    def days(self) -> float:
        """How many days, of the last seven with today, are known."""
        began = self.usages.spend.began
        if began is None:
            return 0.0
        return max((self.now - max(began, self._first)).total_seconds() / _SECONDS, 0.0)

    @property
    def span(self) -> str:
        """The same in words: below a day no number of days."""
        return f"{self.days:.1f} days" if self.days >= LEAST_DAYS else duration(self.days * _SECONDS)

    @cached_property
    def rows(self) -> Mapping[Key, Amounts]:
        """What was counted in them."""
        found: dict[Key, list[Amounts]] = {}
        for day, rows in self.usages.spend.days.items():
            if day_of(self._first) <= day <= day_of(self.now):
                for key, amounts in rows.items():
                    found.setdefault(key, []).append(amounts)
        return {key: total(amounts) for key, amounts in found.items()}

    @property
    def measured(self) -> Amounts:
        """All of it."""
        return total(self.rows.values())

    def model(self, name: str) -> Model | None:
        """What is known of a model."""
        return model_of(name, self.models)

    def scopes(self) -> Iterator[Scope]:
        """The request of the spec and of each subagent. A subagent without a model has that of the spec."""
        request = self.spec.request.model_dump(exclude_unset=True)
        overlays = {name: one.request for name, one in (self.spec.subagents or {}).items()}
        own = {name for name, overlay in overlays.items() if "model" in overlay}
        yield Scope("", request, self.answered(str(request["model"]), lambda key: key.subagent not in own))
        for name, overlay in overlays.items():
            merged = {**request, **overlay}
            yield Scope(name, merged, self.answered(str(merged["model"]), partial(_is_of, name)))

    def answered(self, model: str, is_meant: Callable[[Key], bool]) -> Amounts:
        """Calls that a model answered, under its id or an alias."""
        known = self.model(model)
        names = {model, *((known.id, *known.aliases) if known else ())}
        return total(amounts for key, amounts in self.rows.items() if key.model in names and is_meant(key))

    def confidence(self, calls: int) -> Confidence:
        """By the calls that figures are of."""
        days = min(self.days, float(_WINDOW))
        level = "Low"
        if calls >= 1_000 and days >= 3:
            level = "High" if calls >= 10_000 and days >= 6 else "Medium"
        return Confidence(level, f"{calls:,} calls in {days:.1f} days")

    @property
    def folded(self) -> Amounts:
        """What the record does not keep apart."""
        return total(amounts for key, amounts in self.rows.items() if key.model == OTHER)

    @property
    def _first(self) -> dt.datetime:
        midnight = self.now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - dt.timedelta(days=_WINDOW - 1)


def _is_of(subagent: str, key: Key) -> bool:
    return key.subagent == subagent
