"""What an organisation's tokens cost: by hand, from the list prices."""

from __future__ import annotations

import datetime as dt

import pytest

from claude_operator.core.catalogue.table import find
from claude_operator.core.organisation.attribution import Slot, Tokens
from claude_operator.core.organisation.pricing import cost_of, rates_of

DAY = dt.date(2026, 11, 29)
MILLION = 1_000_000


def test_each_kind_has_its_price_and_batches_cost_half() -> None:
    opus = find("claude-opus-5-5")
    assert opus is not None and opus.prices is not None
    prices, rates = opus.prices, rates_of({opus.id: opus})
    whole = prices.input + prices.output + prices.cache_read + prices.cache_write_5m + prices.cache_write_1h  # type: ignore[operator]
    million = Tokens(*[MILLION] * 5)
    assert cost_of({Slot(DAY, opus.id): million}, rates) == pytest.approx(whole)
    assert cost_of({Slot(DAY, opus.id, "batch"): million}, rates) == pytest.approx(whole / 2)


def test_priority_tier_adds_nothing() -> None:
    assert cost_of({Slot(DAY, "claude-opus-5-5", "priority"): Tokens(MILLION)}, rates_of({})) == 0.0


def test_an_unknown_price_is_never_free() -> None:
    opus = find("claude-opus-5-5")
    assert opus is not None
    for tier in ("flex", "flex_discount", "priority_on_demand"):
        assert cost_of({Slot(DAY, opus.id, tier): Tokens(1)}, rates_of({opus.id: opus})) is None
    assert cost_of({Slot(DAY, "claude-unheard-of"): Tokens(1)}, rates_of({})) is None
    assert cost_of({Slot(DAY, "claude-unheard-of"): Tokens()}, rates_of({})) == 0.0
