"""Prices of an installation's own: the file that holds them, and what gateways and eval Jobs are told."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["LONGEST_NAME", "MOST_USD", "PRICES_FILE", "Discount", "ModelName", "PriceList", "TokenPrices"]

PRICES_FILE = "prices.yaml"
"""Key of the installer's ConfigMap."""
MOST_USD = 10_000.0
"""Largest price."""
LONGEST_NAME = 128
"""Characters of a model's name that a price may be given for."""

Dollars = Annotated[float, msgspec.Meta(ge=0.0, le=MOST_USD)]
Discount = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
ModelName = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]


class TokenPrices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", omit_defaults=True):
    """US dollars per million tokens; what has no price is not known. `above_100k`: for prompts of more tokens."""

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    cache_write_5m: Dollars | None = None
    cache_write_1h: Dollars | None = None
    above_100k: TokenPrices | None = None


class PriceList(msgspec.Struct, frozen=True):
    """What the installer has negotiated. `discount` is the part by which every list price is lower; `models` names
    prices that hold as they are, by the model's id."""

    discount: float = 0.0
    models: dict[str, TokenPrices] = {}
