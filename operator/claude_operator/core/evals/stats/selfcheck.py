"""The gate against itself: how often a set would not let through a candidate that is the baseline.

The baseline is asked twice as many epochs as a run has. Each trial deals the epochs of each item out to two arms, and
the gate judges them. The trials share their answers, so their number says nothing of how sure the rate is; more epochs
do.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from claude_operator.api.evals import EvalGate
from claude_operator.core.evals.gate import judge_run
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item

__all__ = ["SelfCheck", "check_itself"]

_MOST_SPLITS = 1000


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """How often the gate came to which phase in so many trials of the baseline against itself."""

    trials: int
    failed: int
    inconclusive: int
    too_few: int
    """Passed, and not by a comparison."""

    @property
    def false_fail_rate(self) -> float:
        """The share of the trials in which the baseline failed."""
        return self.failed / self.trials


def check_itself(
    items: Sequence[Item], outcomes: Mapping[str, Sequence[Outcome]], gate: EvalGate, *, trials: int = 100
) -> SelfCheck:
    """Judge the baseline's outcomes against themselves; each item needs an even number, 2 at least."""
    numbers = {len(outcomes[item.id]) for item in items}
    if len(numbers) != 1 or (epochs := numbers.pop()) < 2 or epochs % 2:
        raise ValueError("each item needs the same even number of epochs: ask the baseline twice as many")
    splits = list(combinations(range(epochs), epochs // 2))[:_MOST_SPLITS]
    found: Counter[str] = Counter()
    for trial in range(trials):
        ours: dict[str, list[Outcome]] = {}
        theirs: dict[str, list[Outcome]] = {}
        for item in items:
            mine = splits[_drawn(trial, item.id, len(splits))]
            every = outcomes[item.id]
            ours[item.id] = [every[place] for place in mine]
            theirs[item.id] = [one for place, one in enumerate(every) if place not in mine]
        result = judge_run(items, ours, theirs, gate, planned_epochs=epochs // 2)
        found[result.phase] += 1
        found[str(result.reason)] += result.phase == "Passed"
    return SelfCheck(trials, found["Failed"], found["Inconclusive"], found["TooFewItems"])


def _drawn(trial: int, name: str, number: int) -> int:
    """A number below `number`, as good as drawn, and the same each time."""
    digest = hashlib.sha256(f"{trial}/{name}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % number
