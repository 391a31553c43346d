"""The model table: every id that the Claude API serves or has served, read from models.json."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

_VERSION = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices in US dollars per million tokens; `above_100k` holds for prompts of more than 100,000 tokens."""

    input: float
    output: float
    cache_write_5m: float | None = None
    cache_write_1h: float | None = None
    cache_read: float | None = None
    above_100k: Prices | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of a model's life on one platform; None stands for what is not known."""

    stated: str | None = None
    deprecated: datetime.date | None = None
    retires: datetime.date | None = None
    not_retired_before: datetime.date | None = None

    @property
    def says_something(self) -> bool:
        """Whether any of it is known."""
        return any((self.stated, self.deprecated, self.retires, self.not_retired_before))


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its life, prices and request rules; None stands for what is not known."""

    id: str
    aliases: tuple[str, ...] = ()
    line: str | None = None
    generation: str | None = None
    released: datetime.date | None = None
    superseded: datetime.date | None = None  # since when a newer generation of the line exists
    deprecated: datetime.date | None = None
    retires: datetime.date | None = None
    not_retired_before: datetime.date | None = None
    replacement: str | None = None
    stated: str | None = None  # a state that holds whatever the dates say
    platforms: tuple[tuple[str, Life], ...] = ()  # where a platform differs, by its name
    docs_state: str | None = None
    prices: Prices | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    cache_min_tokens: int | None = None
    thinking_types: tuple[str, ...] | None = None
    default_effort: str | None = None
    effort_levels: tuple[str, ...] | None = None
    forced_tool_choice_ok: bool | None = None
    prefill_ok: bool | None = None
    sampling_on_2023_06_01: str | None = None  # any | default_only
    inference_geo_ok: bool | None = None
    fast_mode: str | None = None  # ga | beta | beta-until-<date>; None: no, where the other rules are known
    priority_tier_ok: bool | None = None
    confidence: str | None = None
    notes: str | None = None

    @property
    def version(self) -> tuple[int, ...] | None:
        """The generation as numbers, (5, 5) for 5.5; a preview comes before all, an unknown generation is None."""
        if self.generation is None:
            return None
        return tuple(map(int, self.generation.split("."))) if _VERSION.fullmatch(self.generation) else (0,)


@cache
def all_models() -> tuple[Model, ...]:
    """Every model of the table, retired ones last."""
    models = [_model(entry) for entry in (*_document()["models"], *_document()["retired"])]
    return tuple(replace(model, superseded=superseded(model, models)) for model in models)


def as_of() -> datetime.date:
    """The day for which the table was checked."""
    return datetime.date.fromisoformat(_document()["as_of"])


def find(model_id: str) -> Model | None:
    """The model of an id or alias, None where the table has none."""
    return _index().get(model_id)


def newest(line: str | None, today: datetime.date, others: Iterable[Model] = ()) -> Model | None:
    """The newest model of a line, of the table and `others`, that had been released by `today`."""
    models = {model.id: model for model in (*all_models(), *others)}.values()
    known = [model for model in models if model.line == line and model.released and model.released <= today]
    return max(known, key=lambda model: model.released or today, default=None) if line else None


def superseded(model: Model, models: Iterable[Model]) -> datetime.date | None:
    """The first release of a later generation of the same line."""
    version = model.version
    if version is None:
        return None
    return min(
        (
            other.released
            for other in models
            if other.line == model.line and other.released and other.version and other.version > version
        ),
        default=None,
    )


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(resources.files(__package__).joinpath("models.json").read_bytes())
    return document


@cache
def _index() -> dict[str, Model]:
    return {name: model for model in all_models() for name in (model.id, *model.aliases)}


def _model(entry: Mapping[str, Any]) -> Model:
    """A model of one entry of models.json, whose names are those of the dataclass except the prices."""
    values: dict[str, Any] = {key: value for key, value in entry.items() if key in Model.__dataclass_fields__}
    for key in ("released", "deprecated", "retires", "not_retired_before"):
        if entry.get(key):
            values[key] = datetime.date.fromisoformat(entry[key])
    for key in ("aliases", "thinking_types", "effort_levels"):
        if entry.get(key) is not None:
            values[key] = tuple(entry[key])
    values["prices"] = _prices(entry.get("price_usd_per_mtok"))
    return Model(**values)


def _prices(entry: Mapping[str, Any] | None) -> Prices | None:
    if entry is None:
        return None
    plain = {key: float(value) for key, value in entry.items() if key != "above_100k_prompt_tokens"}
    return Prices(**plain, above_100k=_prices(entry.get("above_100k_prompt_tokens")))
