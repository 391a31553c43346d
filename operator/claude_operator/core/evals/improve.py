"""Whether an edited prompt is truly better, decided by items that nobody who edits it has seen.

An editor tunes a prompt to the items that it is shown, so what it gains on them proves nothing. A part of the set is
held out: no editor sees these items, nor anything that was answered or found there. A proposal is taken where it is
shown to be better on them ("the mean difference is at most 0" is rejected), and not worse by the gate on the rest.

Each of K proposals in each of R rounds has a chance to be taken by mistake. So each is tested with alpha / (K x R),
whether or not all of them are made: by Bonferroni's inequality all together err in at most alpha, also where later
proposals depend on what became of the earlier ones, since their number is fixed before the first (C. E. Bonferroni,
1936; for reused held-out items: Dwork et al., "The reusable holdout", Science 349, 2015).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from claude_operator.api.evals import EvalGate
from claude_operator.core.evals.compare import Compared, Look, Pair, Verdict, compare
from claude_operator.core.evals.draws import draw
from claude_operator.core.evals.figures import Outcomes, pass_share
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item

__all__ = ["Split", "can_gain", "fewest_held_out", "find_gain", "is_gain", "shown_rate", "split_items"]

_PASSED = Outcome("", cost_usd=None)  # what an item counts as that the API refused on the present prompt


@dataclass(frozen=True, slots=True)
class Split:
    """A set in two parts, and how it was split."""

    shown: tuple[Item, ...]
    held_out: tuple[Item, ...]
    why: str

    @property
    def told(self) -> tuple[Item, ...]:
        """What an editor may see: of what is shown, nothing that a held-out item asks as well."""
        hidden = {item.messages for item in self.held_out}
        return tuple(item for item in self.shown if item.messages not in hidden)


def split_items(items: Sequence[Item], cluster: str | None = None) -> Split:
    """The set's own held-out items apart, or without any about half of the items, always the same ones.

    Items of one cluster stay together. A critical item is not drawn: it counts in no comparison.
    """
    if any(item.held_out for item in items):
        held_out = tuple(item for item in items if item.held_out)
        return Split(tuple(item for item in items if not item.held_out), held_out, "the set's heldOut items")
    drawn = {item.id for item in items if not item.critical and _is_drawn(item, cluster)}
    return Split(
        tuple(item for item in items if item.id not in drawn),
        tuple(replace(item, held_out=True) for item in items if item.id in drawn),
        f"about half of the items, by a hash of their {cluster or 'id'}, because none is heldOut in the set",
    )


def find_gain(items: Sequence[Item], ours: Outcomes, theirs: Outcomes, gate: EvalGate) -> Compared | None:
    """A proposal against the present prompt on held-out items; None where there is nothing to compare.

    `gate` has the proposal's share of alpha. What the API refused on the present prompt counts as passed there.
    """
    pairs = [
        Pair(item, ours[item.id], theirs.get(item.id) or [_PASSED])
        for item in items
        if not item.critical and ours.get(item.id)
    ]
    look = Look(gate.alpha, gate.alpha, 1.0, more=False)
    return compare("quality", 0.0, pairs, gate, look) if pairs else None


def is_gain(found: Compared | None) -> bool:
    """Whether it is shown to be better: with a margin of 0 "not worse" says that the mean difference is above 0."""
    return found is not None and found.verdict is Verdict.NOT_WORSE


def can_gain(items: Sequence[Item], theirs: Outcomes, gate: EvalGate) -> bool:
    """Whether a proposal that passes all held-out items would be shown to be better."""
    return is_gain(find_gain(items, {item.id: [_PASSED] for item in items}, theirs, gate))


def fewest_held_out(alpha: float) -> int:
    """How many items it takes at least, all wrong before and right now: the test then has a p-value of 2 to the -n."""
    return math.ceil(-math.log2(alpha) - 1e-9)


def shown_rate(items: Sequence[Item], outcomes: Mapping[str, Sequence[Outcome]]) -> float:
    """The pass rate, by which the prompt is chosen that the next round begins with."""
    asked = [outcomes[item.id] for item in items if outcomes.get(item.id)]
    return math.fsum(map(pass_share, asked)) / len(asked) if asked else 0.0


def _is_drawn(item: Item, cluster: str | None) -> bool:
    name = item.metadata.get(cluster) if cluster else None
    return draw("held out", f"#{item.id}" if name is None else f"={name}")[0] < 128
