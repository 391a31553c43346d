"""Several candidates against one baseline: which is the cheapest that is as good.

A candidate is eligible if the gate passes it as "not worse" with its share of alpha (Bonferroni: each bad candidate has
a chance to pass), and if it is shown to cost less. The cost is compared item by item, as quality is: questions differ
in length far more than arms in price, so the intervals of the arms by themselves would overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from claude_operator.api.evals import Comparison, EvalGate
from claude_operator.core.evals.compare import Look, Pair, Verdict, compare
from claude_operator.core.evals.gate import Outcomes, Result
from claude_operator.core.evals.sets import Item
from claude_operator.core.text import count

__all__ = ["Row", "cheapest", "make_row", "verdict"]


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate. `cost` is None where an arm has no price."""

    name: str
    result: Result
    quality: Comparison | None
    cost: Comparison | None

    @property
    def is_good(self) -> bool:
        """Whether it is shown to be not worse: a set too small to show it names no candidate."""
        shown = self.quality is not None and self.quality.verdict == Verdict.NOT_WORSE
        return self.result.phase == "Passed" and shown

    @property
    def is_cheaper(self) -> bool:
        """Whether it costs less than the baseline even at the upper end of the interval."""
        return self.cost is not None and self.cost.upper < 0


def make_row(name: str, result: Result, items: Sequence[Item], arms: tuple[Outcomes, Outcomes], gate: EvalGate) -> Row:
    """A candidate's result and what it costs; `arms` are its outcomes and the baseline's, `gate` has its own alpha."""
    ours, theirs = arms
    pairs = [Pair(item, ours[item.id], theirs[item.id]) for item in items if item.id in ours and item.id in theirs]
    look = Look(gate.alpha, gate.alpha, 1.0, more=False)
    cost = compare("cost", 0.0, pairs, gate, look) if pairs else None
    quality = next((one for one in result.comparisons if one.metric == "quality"), None)
    return Row(name, result, quality, cost.status if cost else None)


def cheapest(rows: Sequence[Row]) -> Row | None:
    """The eligible candidate that costs least, None where there is none."""
    eligible = [row for row in rows if row.is_good and row.is_cheaper]
    return min(eligible, key=lambda row: row.cost.candidate if row.cost else 0.0, default=None)


def verdict(rows: Sequence[Row], baseline: str) -> str:
    """What came of it, as a sentence."""
    found = cheapest(rows)
    if found is not None and found.cost is not None:
        saved = f"{-100 * found.cost.difference:.0f} % less (at least {-100 * found.cost.upper:.0f} %)"
        return f"{found.name} is the cheapest that passes: it is not worse than {baseline} and costs {saved}"
    good = [row.name for row in rows if row.is_good]
    if good:
        return f"Keep {baseline}: {', '.join(good)} passed, but none of them is shown to cost less"
    if any(row.result.phase == "Passed" for row in rows):
        return f"Keep {baseline}: the set has too few items to show for any candidate that it is not worse"
    return f"Keep {baseline}: none of {count(len(rows), 'candidate')} passed"
