"""What tokens of a day cost at given prices, now and after a change, with the arithmetic in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from claude_operator.core.catalogue.table import Prices
from claude_operator.core.text import tokens_text
from claude_operator.core.usage.amounts import Amounts
from claude_operator.core.usage.figures import dollars

__all__ = ["KINDS", "MONTH", "Bill", "Line", "Move", "bill_of", "prompt_of"]

KINDS = {
    "input": "input",
    "cache_write_5m": "5m cache write",
    "cache_write_1h": "1h cache write",
    "cache_read": "cache read",
    "output": "output",
}
"""Kinds of tokens, as fields of `Amounts` and of `Prices`, and in words."""
MONTH = 30
"""Days of a month in figures."""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """Tokens of one kind in a day, and dollars for a million of them."""

    tokens: float
    price: float

    @property
    def usd(self) -> float:
        """What they cost."""
        return self.tokens * self.price / _MILLION

    def part(self, share: float) -> Line:
        """A share of the tokens."""
        return Line(self.tokens * share, self.price)

    def told(self, kind: str) -> str:
        """With its kind."""
        return f"{tokens_text(self.tokens)} {KINDS[kind]} tokens a day {self}"

    def __str__(self) -> str:
        return f"× ${self.price:,.4g}/M = {dollars(self.usd)}"


Bill = Mapping[str, Line]
"""By kind."""


@dataclass(frozen=True, slots=True)
class Move:
    """A bill of a day, and what would be in its place. `label`: what the other one is, such as a model."""

    now: Bill
    then: Bill
    label: str

    @property
    def before(self) -> float:
        """Dollars a day now."""
        return sum(line.usd for line in self.now.values())

    @property
    def after(self) -> float:
        """Dollars a day then."""
        return sum(line.usd for line in self.then.values())

    @property
    def saved(self) -> float:
        """Dollars a day."""
        return self.before - self.after

    def sentences(self) -> list[str]:
        """The arithmetic."""
        found = []
        for kind, name in KINDS.items():
            now, then = self.now.get(kind), self.then.get(kind)
            if now == then:
                continue
            said = now.told(kind) if now else f"no {name} tokens now"
            if then is None:
                other = "none"
            elif now is not None and then.tokens == now.tokens:
                other = str(then)
            else:
                other = f"{tokens_text(then.tokens)} {then}"
            found.append(f"{said}; {self.label}: {other}")
        saved = self.saved
        return [
            *found,
            f"{dollars(self.before)} - {dollars(self.after)} = {dollars(saved)} a day, {dollars(saved * MONTH)} in"
            f" {MONTH} days",
        ]


def bill_of(amounts: Amounts, days: float, prices: Prices, factor: float = 1.0) -> Bill | None:
    """The bill of a mean day; None where the price of a kind is not known."""
    lines = {}
    for kind in KINDS:
        tokens, price = getattr(amounts, kind), getattr(prices, kind)
        if tokens and price is None:
            return None
        if tokens:
            lines[kind] = Line(tokens / days, price * factor)
    return lines


def prompt_of(amounts: Amounts) -> float:
    """Tokens of the mean prompt."""
    tokens = amounts.input + amounts.cache_read + amounts.cache_write_5m + amounts.cache_write_1h
    return tokens / amounts.calls if amounts.calls else 0.0
