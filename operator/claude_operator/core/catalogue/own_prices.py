"""Prices of an installation's own instead of the list's: read, laid over the models, and told to others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import yaml

from claude_operator.api.faults import decode, yaml_fault
from claude_operator.api.prices import PRICES_FILE, Discount, ModelName, PriceList, TokenPrices
from claude_operator.core.catalogue.cost import Book
from claude_operator.core.catalogue.table import Model, Prices, all_models, find

__all__ = ["book_of", "lay_over", "own_prices", "parse_book", "parse_price_list", "to_wire"]

_MOST_BYTES = 64 * 1024
_MOST_MODELS = 200
_MOST_TOLD = 400  # names: as an argument of a Job they may have 128 KiB
_PARTS = ("cache_read", "cache_write_5m", "cache_write_1h")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """A price list whose models are read one by one, so that a fault names its model."""

    discount: Discount = 0.0
    models: dict[ModelName, msgspec.Raw] = {}


def parse_price_list(text: str) -> PriceList:
    """Read the installer's file; raises ValueError that says where it is wrong and what to write."""
    if len(text.encode()) > _MOST_BYTES:
        raise ValueError(f"{PRICES_FILE} has more than {_MOST_BYTES} bytes: keep the models that you use")
    try:
        plain = json.dumps(yaml.safe_load(text) or {}, allow_nan=False, default=str)
    except yaml.YAMLError as error:
        raise ValueError(f"{PRICES_FILE} {yaml_fault(error)}") from None
    except (ValueError, RecursionError, TypeError):
        raise ValueError(f"{PRICES_FILE} has a number that is not finite: write prices in US dollars") from None
    found = decode(plain, _File, PRICES_FILE)
    if len(found.models) > _MOST_MODELS:
        raise ValueError(f"{PRICES_FILE} has more than {_MOST_MODELS} models: keep those that you use")
    models = {
        name: decode(bytes(raw), TokenPrices, f"{PRICES_FILE}: models.{name}") for name, raw in found.models.items()
    }
    for name, prices in models.items():
        _check(name, prices)
    return PriceList(found.discount, models)


def _check(name: str, prices: TokenPrices) -> None:
    """A price that is left out would make answers free, or their cost unknown: nothing is guessed."""
    for where, one in ((f"models.{name}", prices), (f"models.{name}.above100K", prices.above_100k)):
        missing = [part for part in _PARTS if one is not None and getattr(one, part) is None]
        if missing:
            fields = " and ".join(msgspec.structs.fields(TokenPrices)[_index(part)].encode_name for part in missing)
            raise ValueError(f"{PRICES_FILE}: {where} lacks {fields}: write it in US dollars per million tokens")
    known = find(name)
    if known and known.prices and known.prices.above_100k and prices.above_100k is None:
        raise ValueError(
            f"{PRICES_FILE}: models.{name} lacks above100K: its prompts of more than 100,000 tokens have prices of"
            " their own"
        )


def _index(part: str) -> int:
    return TokenPrices.__struct_fields__.index(part)


def lay_over(models: Mapping[str, Model], own: PriceList) -> Mapping[str, Model]:
    """The cluster's `models` by id and alias with the installation's own prices, among them models that nobody knows.

    Nothing else is known of those: their state is Unknown, as without a price.
    """
    found = dict(models)
    if own.discount:
        shipped = {name: model for model in all_models() for name in (model.id, *model.aliases)}
        for name, model in (shipped | found).items():
            if model.prices is not None:
                found[name] = replace(model, prices=_scaled(model.prices, 1.0 - own.discount))
    for name, prices in own.models.items():
        model = found.get(name) or find(name) or Model(id=name, stated="Unknown")
        priced = replace(model, prices=_from_wire(prices))
        found |= dict.fromkeys((name, model.id, *model.aliases), priced)
    return found


def own_prices(models: Mapping[str, Model]) -> dict[str, TokenPrices]:
    """What differs from the shipped list, by id and alias: what gateways and Jobs do not know by themselves.

    Beyond 400 names, those that the shipped list does not have are left out, the last by name: they have no price then.
    """
    found = {}
    for name, model in models.items():
        shipped = find(name)
        if model.prices is not None and (shipped is None or shipped.prices != model.prices):
            found[name] = to_wire(model.prices)
    kept = sorted(found, key=lambda name: (find(name) is None, name))[:_MOST_TOLD]
    return {name: found[name] for name in sorted(kept)}


def book_of(prices: Mapping[str, TokenPrices]) -> Book:
    """As `cost_usd` takes them."""
    return {name: _from_wire(one) for name, one in prices.items()}


def parse_book(data: str) -> Book:
    """The same of a JSON document; raises ValueError."""
    return book_of(decode(data, dict[str, TokenPrices], "prices"))


def to_wire(prices: Prices) -> TokenPrices:
    """Prices as they are told to others."""
    return TokenPrices(
        prices.input,
        prices.output,
        prices.cache_read,
        prices.cache_write_5m,
        prices.cache_write_1h,
        to_wire(prices.above_100k) if prices.above_100k else None,
    )


def _from_wire(wire: TokenPrices) -> Prices:
    return Prices(
        wire.input,
        wire.output,
        wire.cache_write_5m,
        wire.cache_write_1h,
        wire.cache_read,
        _from_wire(wire.above_100k) if wire.above_100k else None,
    )


def _scaled(prices: Prices, factor: float) -> Prices:
    def part(value: float | None) -> float | None:
        return None if value is None else round(value * factor, 9)

    return Prices(
        round(prices.input * factor, 9),
        round(prices.output * factor, 9),
        part(prices.cache_write_5m),
        part(prices.cache_write_1h),
        part(prices.cache_read),
        _scaled(prices.above_100k, factor) if prices.above_100k else None,
    )
