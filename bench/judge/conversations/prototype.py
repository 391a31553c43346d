"""The test by the label of first bad events, written down as plainly as possible, to check the simulation by.

Of a conversation that begins at the canary's weight w, the first bad event is the canary's with chance w where the arms
are alike. It multiplies the evidence of an alternative by `rho` (1 on stable) over `1 - w + w rho`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.judge.conversations.arms import Played, Step
from bench.judge.conversations.sessions import ERROR

__all__ = ["DELTAS", "found_at"]

DELTAS = (0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.9)
"""By how much the canary's rate of bad requests is larger, in the alternatives."""


def found_at(
    played: Played, steps: Sequence[Step], tick_seconds: float, *, falling: bool = True, threshold: float = 100.0
) -> float | None:
    """The end of the tick in which the evidence reaches the threshold, None where it never does.

    `falling`: an event that comes late in a conversation says less.
    """
    failed = np.flatnonzero(played.outcome == ERROR)
    firsts = np.sort(failed[np.unique(played.unit[failed], return_index=True)[1]])
    stable = np.flatnonzero(~played.canary & (played.outcome <= ERROR))
    answered = np.searchsorted(played.time[stable], np.arange(0.0, played.time[-1] + tick_seconds, tick_seconds))
    bad = np.concatenate([[0], np.cumsum(played.outcome[stable] == ERROR)])
    logs = np.zeros(len(DELTAS))
    deltas = np.array(DELTAS)
    for place in firsts[played.era[firsts] > 0].tolist():
        tick = int(played.time[place] // tick_seconds)
        p = (bad[answered[tick]] + 0.5) / (answered[tick] + 1.0) if answered[tick] else 0.01
        weight = steps[played.era[place] - 1].weight
        turn = int(played.turn[place]) if falling else 0
        rate = np.minimum(p + deltas, 0.99)
        rho = rate / p * ((1.0 - rate) / (1.0 - p)) ** turn
        logs += np.log(rho if played.canary[place] else 1.0) - np.log(1.0 - weight + weight * rho)
        top = logs.max()
        if top + math.log(np.exp(logs - top).mean()) >= math.log(threshold):
            return (tick + 1) * tick_seconds
    return None
