"""What an organisation's tokens cost, by the prices that the operator knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from claude_operator.core.catalogue.cost import PRIORITY, cost_usd
from claude_operator.core.catalogue.table import Model
from claude_operator.core.organisation.attribution import Slot, Tokens

__all__ = ["Rates", "cost_of", "rates_of"]

Rates = Callable[[Slot], Sequence[float | None]]
"""US dollars of one token of each kind, in the order of `Tokens`; None where a price is not known."""

_PRICED = ("standard", "batch")
"""Tiers whose prices are known; there are others, such as `flex` and `priority_on_demand`."""
_SAMPLE = 1000  # tokens: a prompt of the lower price tier; what size each prompt had, sums do not tell
_KINDS: tuple[Callable[[int], Mapping[str, object]], ...] = (
    lambda n: {"input_tokens": n},
    lambda n: {"output_tokens": n},
    lambda n: {"cache_read_input_tokens": n},
    lambda n: {"cache_creation": {"ephemeral_5m_input_tokens": n}},
    lambda n: {"cache_creation": {"ephemeral_1h_input_tokens": n}},
)


def rates_of(models: Mapping[str, Model]) -> Rates:
    """By the prices of these models, by id and alias; each pair of a model and a tier is looked up once."""
    known: dict[tuple[str, str], Sequence[float | None]] = {}

    def rates(slot: Slot) -> Sequence[float | None]:
        pair = (slot.model, slot.tier)
        if pair not in known:
            known[pair] = _rates(models.get(slot.model) or slot.model, slot.tier)
        return known[pair]

    return rates


def cost_of(slots: Mapping[Slot, Tokens], rates: Rates) -> float | None:
    """US dollars of these tokens; None where a price is not known. Priority Tier is paid in advance, and adds none."""
    total = 0.0
    for slot, tokens in slots.items():
        if slot.tier == PRIORITY:
            continue
        for number, rate in zip(tokens, rates(slot), strict=True):
            if number and rate is None:
                return None
            total += number * (rate or 0.0)
    return total


def _rates(model: Model | str, tier: str) -> Sequence[float | None]:
    if tier not in _PRICED:
        return [None] * len(_KINDS)
    found = [cost_usd(model, {**usage(_SAMPLE), "service_tier": tier}) for usage in _KINDS]
    return [None if usd is None else usd / _SAMPLE for usd in found]
