"""Reads the file with the prices that an installation has negotiated."""

from __future__ import annotations

import msgspec

from claude_operator.api.faults import decode
from claude_operator.api.prices import PRICES_FILE, Discount, ModelName, PriceList, TokenPrices
from claude_operator.core.catalogue.table import find
from claude_operator.core.evals.formats.yaml_values import read_document

__all__ = ["parse_price_list"]

_MOST_BYTES = 64 * 1024
_MOST_MODELS = 200
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
        plain = read_document(text).value
    except ValueError as error:
        raise ValueError(f"{PRICES_FILE}: {error}") from None
    found = decode(msgspec.json.encode(plain or {}), _File, PRICES_FILE)
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
