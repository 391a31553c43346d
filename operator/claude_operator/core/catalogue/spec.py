"""A model as the spec of a ClaudeModel object, and back."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from claude_operator.api.lifecycle import PLATFORMS
from claude_operator.api.prices import MOST_USD
from claude_operator.core.catalogue.table import Life, Model, Prices

_NAMES = {  # field of Model -> field of ClaudeModel.spec
    "id": "id",
    "aliases": "aliases",
    "line": "line",
    "generation": "generation",
    "stated": "state",
    "released": "releasedAt",
    "superseded": "legacyAt",
    "deprecated": "deprecatedAt",
    "retires": "retiresAt",
    "not_retired_before": "notRetiredBefore",
    "replacement": "replacement",
    "context_tokens": "contextTokens",
    "max_output_tokens": "maxOutputTokens",
    "cache_min_tokens": "cacheMinTokens",
    "effort_levels": "effortLevels",
    "thinking_types": "thinkingTypes",
    "forced_tool_choice_ok": "forcedToolChoiceOk",
    "prefill_ok": "prefillOk",
    "sampling_on_2023_06_01": "samplingOn20230601",
    "inference_geo_ok": "inferenceGeoOk",
    "fast_mode": "fastMode",
}
_EXTRA = {  # the same for what the schema leaves to spec.extra
    "default_effort": "defaultEffort",
    "docs_state": "docsState",
    "priority_tier_ok": "priorityTierOk",
    "confidence": "confidence",
    "notes": "notes",
}
_PRICES = {
    "input": "input",
    "output": "output",
    "cache_write_5m": "cacheWrite5M",
    "cache_write_1h": "cacheWrite1H",
    "cache_read": "cacheRead",
}
_LIFE = ("stated", "deprecated", "retires", "not_retired_before")  # fields of Life, named as those of Model
_ABOVE_100K = "pricesUSDPerMTokAbove100kPromptTokens"
_DATES = {"released", "superseded", "deprecated", "retires", "not_retired_before"}
_LISTS = {"aliases", "effort_levels", "thinking_types"}


def to_spec(model: Model) -> dict[str, Any]:
    """The shape of `ClaudeModel.spec`; what is not known is left out."""
    spec = {there: _plain(getattr(model, here)) for here, there in _NAMES.items()}
    extra = {there: _plain(getattr(model, here)) for here, there in _EXTRA.items()}
    if model.prices:
        spec["pricesUSDPerMTok"] = _prices_out(model.prices)
        if model.prices.above_100k:
            extra[_ABOVE_100K] = _prices_out(model.prices.above_100k)
    spec["platforms"] = {name: _life_out(life) for name, life in model.platforms} or None
    spec["extra"] = {key: value for key, value in extra.items() if value is not None} or None
    return {key: value for key, value in spec.items() if value is not None}


def from_spec(spec: Mapping[str, Any]) -> Model:
    """The model of a `ClaudeModel.spec`; raises `ValueError` for a date, state or price that is none."""
    extra = spec.get("extra") or {}
    values = {here: _typed(here, spec.get(there)) for here, there in _NAMES.items()}
    values |= {here: extra.get(there) for here, there in _EXTRA.items()}
    values["aliases"] = values["aliases"] or ()
    values["platforms"] = tuple((name, _life_in(name, one)) for name, one in (spec.get("platforms") or {}).items())
    values["prices"] = _prices_in(spec.get("pricesUSDPerMTok"), extra.get(_ABOVE_100K))
    return Model(**values)


def kubernetes_name(model_id: str) -> str:
    """A model id as an object name: lower case, every run of other characters a dash, at most 253 characters."""
    return re.sub(r"[^a-z0-9]+", "-", model_id.lower()).strip("-")[:253].rstrip("-")


def _plain(value: Any) -> Any:
    match value:
        case datetime.date():
            return value.isoformat()
        case tuple():
            return list(value)
        case _:
            return value


def _typed(name: str, value: Any) -> Any:
    """A spec's value in the type that Model wants; timestamps are cut to their date."""
    if value is None or value == "":
        return None
    if name in _DATES:
        try:
            return datetime.date.fromisoformat(str(value)[:10])
        except ValueError:
            raise ValueError(f"{_NAMES[name]} is not a date: {value!r}; write it like 2026-11-30") from None
    if name in _LISTS:
        return tuple(value)
    if name == "stated":
        word = str(value).capitalize()
        if word not in {"Active", "Legacy", "Deprecated", "Retired", "Unknown"}:
            raise ValueError(f"state is not a lifecycle state: {value!r}; write Active, Legacy, Deprecated or Retired")
        return word
    return value


def _life_out(life: Life) -> dict[str, Any]:
    values = {_NAMES[here]: _plain(getattr(life, here)) for here in _LIFE}
    return {key: value for key, value in values.items() if value is not None}


def _life_in(platform: str, spec: Mapping[str, Any]) -> Life:
    if platform not in PLATFORMS:
        raise ValueError(f"platforms: {platform!r} is not a platform; write {', '.join(PLATFORMS)}")
    try:
        return Life(**{here: _typed(here, (spec or {}).get(_NAMES[here])) for here in _LIFE})
    except ValueError as error:
        raise ValueError(f"platforms.{platform}.{error}") from None


def _prices_out(prices: Prices) -> dict[str, float]:
    values = {there: getattr(prices, here) for here, there in _PRICES.items()}
    return {key: value for key, value in values.items() if value is not None}


def _prices_in(spec: Mapping[str, Any] | None, above: Mapping[str, Any] | None) -> Prices | None:
    if not spec:
        return None
    if spec.get("input") is None or spec.get("output") is None:
        raise ValueError("prices lack input or output; write both in US dollars per million tokens")
    values = {here: float(spec[there]) for here, there in _PRICES.items() if spec.get(there) is not None}
    if not all(0.0 <= value <= MOST_USD for value in values.values()):  # gateways refuse others
        raise ValueError(f"prices are not from 0 to {MOST_USD:,.0f}: write US dollars per million tokens")
    return Prices(**values, above_100k=_prices_in(above, None))
