"""The numbers of a run for its status, bounded in size: scores, the items that got worse, slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from claude_operator.api.evals import FailedItem, Scores, Slice
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item

__all__ = ["Outcomes", "discordant", "failed_items", "pass_share", "scores", "slices", "total_cost"]

Outcomes = Mapping[str, Sequence[Outcome]]
"""By item id: what became of the item in each epoch."""

_LISTED = 20
_LONGEST = 64  # characters of a slice's key and value


def pass_share(outcomes: Sequence[Outcome]) -> float:
    """The share of an item's epochs in which it passed."""
    return sum(not one.failed for one in outcomes) / len(outcomes)


def scores(items: Sequence[Item], outcomes: Outcomes) -> Scores:
    """What an arm achieved on the items that it was asked."""
    asked = [outcomes[item.id] for item in items if item.id in outcomes]
    every = [one for epochs in asked for one in epochs]
    return Scores(
        items=len(asked),
        passed=sum(all(one.passed for one in epochs) for epochs in asked),
        pass_rate=_mean(map(pass_share, asked)) if asked else 0.0,
        refused=sum(one.refused for one in every),
        input_tokens=sum(one.input_tokens for one in every),
        output_tokens=sum(one.output_tokens for one in every),
        cost_usd=_sum(one.cost_usd for one in every),
    )


def total_cost(arms: Iterable[Outcomes]) -> tuple[float | None, float | None]:
    """What the answers of all arms cost, and what grading them cost; None where a price is not known."""
    every = [one for outcomes in arms for epochs in outcomes.values() for one in epochs]
    return _sum(one.cost_usd for one in every), _sum(one.grader_cost_usd for one in every)


def discordant(candidate: Outcomes, baseline: Outcomes) -> tuple[int, int]:
    """Items that the candidate passed in more epochs, and those that the baseline did."""
    gains = [pass_share(candidate[name]) - pass_share(epochs) for name, epochs in baseline.items()]
    return sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)


def failed_items(items: Sequence[Item], candidate: Outcomes, baseline: Outcomes) -> tuple[FailedItem, ...]:
    """What the candidate failed: critical items first, then those that lost most. Held-out ones are not named."""
    found: list[tuple[bool, float, FailedItem]] = []
    for item in items:
        ours, theirs = candidate[item.id], baseline.get(item.id)
        failed = next((one.failed for one in ours if not one.passed), None)
        if failed is None or item.held_out:
            continue
        loss = pass_share(ours) - pass_share(theirs) if theirs else 0.0
        entry = FailedItem(
            id=item.id,
            critical=item.critical,
            assertion=failed,
            baseline_passed=all(one.passed for one in theirs) if theirs else None,
            passed=sum(one.passed for one in ours),
            baseline_epochs_passed=sum(one.passed for one in theirs) if theirs else None,
        )
        found.append((not item.critical, loss, entry))
    return tuple(entry for _, _, entry in sorted(found, key=lambda one: one[:2])[:_LISTED])


def slices(items: Sequence[Item], candidate: Outcomes, baseline: Outcomes) -> tuple[Slice, ...]:
    """The pass rates of the items with the same metadata, of the twenty largest slices; held-out ones are in none."""
    shown = [item for item in items if not item.held_out]
    sizes = Counter(pair for item in shown for pair in item.metadata.items())
    largest = sorted(sizes.items(), key=lambda one: (-one[1], one[0]))[:_LISTED]
    return tuple(_slice(pair, shown, candidate, baseline) for pair, _ in sorted(largest))


def _slice(pair: tuple[str, str], items: Sequence[Item], candidate: Outcomes, baseline: Outcomes) -> Slice:
    key, value = pair
    inside = [item for item in items if item.metadata.get(key) == value]
    theirs = [pass_share(baseline[item.id]) for item in inside if item.id in baseline]
    return Slice(
        key=key[:_LONGEST],
        value=value[:_LONGEST],
        items=len(inside),
        pass_rate=_mean(pass_share(candidate[item.id]) for item in inside),
        baseline_pass_rate=_mean(theirs) if theirs else None,
    )


def _mean(shares: Iterable[float]) -> float:
    """In four digits; only all is 1, and only none is 0."""
    mean = fmean(shares)
    return min(max(round(mean, 4), 0.0001), 0.9999) if 0 < mean < 1 else mean


def _sum(costs: Iterable[float | None]) -> float | None:
    known = list(costs)
    return None if None in known else round(sum(cost for cost in known if cost is not None), 6)
