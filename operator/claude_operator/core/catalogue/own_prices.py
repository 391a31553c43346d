"""Prices of an installation's own instead of the list's: laid over the models, and told to others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from claude_operator.api.faults import decode
from claude_operator.api.prices import LONGEST_NAME, PriceList, TokenPrices
from claude_operator.core.catalogue.cost import Book
from claude_operator.core.catalogue.table import Model, Prices, all_models, find

__all__ = ["book_of", "lay_over", "own_prices", "parse_book", "to_wire"]

_MOST_TOLD = 400  # names: as an argument of a Job they may have 128 KiB


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
        if len(name) > LONGEST_NAME:
            continue
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
