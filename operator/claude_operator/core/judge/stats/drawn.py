"""The exact test of conversations: their first bad events, by the label that was drawn before any of them.

A conversation that begins while the canary has the share w is the canary's with probability w, whatever is known of it
without its arm. So at its first bad event, whenever that comes, the likelihood of its arm is w or 1 - w where both arms
are alike, and where the canary's conversations go bad r times as often the event multiplies the evidence by
r^[canary] / (1 - w + w r). Its mean over the draw is 1 for any r that is chosen before the arm is known, so the product
over conversations is a martingale: event by event, in any order, whatever mix of conversations there is.

Which r: an alternative g raises the rate p of a turn to g p, and then fewer conversations come to their turn j without
a bad event: r = g ((1 - g p) / (1 - p))^j. Where fewer bad events are no harm r is never less than 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from claude_operator.core.judge.stats.eprocess import Grid

__all__ = ["rate_of", "ratio", "updated"]

_HIGHEST = 0.95  # that a rate may be
_USUAL, _TURNS = 0.005, 200.0  # a rate, and the turns that it is worth


def rate_of(exposed: float, bad: float) -> float:
    """Stable's rate of first bad events a turn; before any are known a usual one."""
    return min((bad + _USUAL * _TURNS) / (exposed + _TURNS), _HIGHEST)


def ratio(alternative: float, turn: int, rate: float) -> float:
    """How many times as likely as stable's the canary's conversations are to go bad first at this turn.

    `rate`: of a turn, under what is tolerated.
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
    grid: Grid,
    margin: float = 1.0,
    two_sided: bool = False,
) -> Sequence[float]:
    """Log-likelihood ratios, one an alternative, after first bad events by turn of each arm.

    `share`: the canary's, of the conversations that were drawn. `rate`: stable's of a turn, as known before these
    events. `margin`: ratio of rates that is tolerated.
    """
    after = list(logs)
    for turn in canary.keys() | stable.keys():
        bad_canary = canary.get(turn, 0)
        bad = bad_canary + stable.get(turn, 0)
        for index, (_, alternative) in enumerate(grid.alternatives):
            rises = alternative > 1.0
            tolerated = margin if rises else 1.0 / margin
            more = ratio(alternative, turn, min(tolerated * rate, _HIGHEST))
            if not two_sided or margin > 1.0:
                more = max(more, 1.0) if rises else min(more, 1.0)
            after[index] += bad_canary * math.log(more) - bad * (
                math.log1p((tolerated * more - 1.0) * share) - math.log1p((tolerated - 1.0) * share)
            )
    return after
