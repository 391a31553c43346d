"""The exact test of conversations: their first bad events, by the label that was drawn before any of them.

A conversation that begins while the canary has the share w is the canary's with probability w, whatever is known of it
without its arm. So at its first bad event, whenever that comes, the likelihood of its arm is w or 1 - w where both arms
are alike, and where the canary's conversations go bad r times as often the event multiplies the evidence by
r^[canary] / (1 - w + w r). Its mean over the draw is 1 for any r that is chosen before the arm is known, so the product
over conversations is a martingale: event by event, in any order, whatever mix of conversations there is.

Which r: an alternative says by how much a turn of the canary's fails more often, and from which turn of a conversation
on. Where stable's rate is p and the excess d, r = ((p + d) / p) ((1 - p - d) / (1 - p))^j at the j-th turn from there
on, since fewer conversations come so far without a bad event, and 1 before. What should neither rise nor fall has
ratios above and below 1 in the place of (p + d) / p. Where fewer bad events are no harm r is never less than 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from claude_operator.core.judge.stats.eprocess import SIDES

__all__ = ["EXCESSES", "USUAL", "Excess", "rate_of", "ratio", "updated"]

USUAL = 0.005
"""A rate of bad events a turn."""

_HIGHEST = 0.95  # that a rate may be
_TURNS = 200.0  # that the usual rate is worth


class Excess(NamedTuple):
    """An alternative: by how much a turn of the canary's fails more often, from which of a conversation's on."""

    more: float
    since: int = 0

    def ratio(self, turn: int, rate: float) -> float:
        """As below, 1 before the turn from which on it holds."""
        return ratio((rate + self.more) / rate, turn - self.since, rate) if turn >= self.since else 1.0


EXCESSES = (*map(Excess, (0.002, 0.005, 0.01, 0.02, 0.05, 0.12, 0.2, 0.3, 0.8)), Excess(0.1, since=1))
"""As many as there are of requests, whose evidence goes on in theirs. The last is harm to later turns alone: beside
many single calls, whose bad events are mostly stable's, all others fall."""


def rate_of(exposed: float, bad: float) -> float:
    """Stable's rate of first bad events a turn; before any are known a usual one."""
    return min((bad + USUAL * _TURNS) / (exposed + _TURNS), _HIGHEST)


def ratio(alternative: float, turn: int, rate: float) -> float:
    """How many times as likely as stable's the canary's conversations are to go bad first at this turn.

    `alternative`: how many times as often a turn of theirs goes bad. `rate`: of a turn, under what is tolerated.
    """
    survival = (1.0 - min(alternative * rate, _HIGHEST)) / (1.0 - min(rate, _HIGHEST))
    return alternative * survival**turn


def updated(
    logs: Sequence[float],
    canary: Mapping[int, int],
    stable: Mapping[int, int],
    *,
    share: float,
    rate: float,
    margin: float = 1.0,
    two_sided: bool = False,
) -> Sequence[float]:
    """Log-likelihood ratios, one an alternative, after first bad events by turn of each arm.

    `share`: the canary's, of the conversations that were drawn. `rate`: stable's of a turn, as known before these
    events. `margin`: ratio of rates that is tolerated.
    """
    after = list(logs)
    weigh = _weigh_sides if two_sided else _weigh_excesses
    for turn in canary.keys() | stable.keys():
        bad_canary = canary.get(turn, 0)
        bad = bad_canary + stable.get(turn, 0)
        for index, (tolerated, more) in enumerate(weigh(turn, rate, margin)):
            after[index] += bad_canary * math.log(more) - bad * (
                math.log1p((tolerated * more - 1.0) * share) - math.log1p((tolerated - 1.0) * share)
            )
    return after


def _weigh_excesses(turn: int, rate: float, margin: float) -> Sequence[tuple[float, float]]:
    """Of each alternative: what is tolerated, and the ratio beyond it."""
    most = min(margin * rate, _HIGHEST)
    return [(margin, max(one.ratio(turn, most), 1.0)) for one in EXCESSES]


def _weigh_sides(turn: int, rate: float, margin: float) -> Sequence[tuple[float, float]]:
    found = []
    for _, alternative in SIDES.alternatives:
        tolerated = margin if alternative > 1.0 else 1.0 / margin
        more = ratio(alternative, turn, min(tolerated * rate, _HIGHEST))
        if margin > 1.0:
            more = max(more, 1.0) if alternative > 1.0 else min(more, 1.0)
        found.append((tolerated, more))
    return found
