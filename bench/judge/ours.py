"""This project's judge as a rule of the benchmark."""

from __future__ import annotations

from bench.judge.reference import Reference
from bench.judge.rules import Context
from bench.judge.ticks import Tick

__all__ = ["Ours"]

THRESHOLD = 100.0  # at most 1 % false rollbacks


class Ours:
    """Rolls back when the evidence reaches the threshold; steps that end on evidence ask `ready`."""

    reason = ""

    def __init__(self, context: Context) -> None:
        self._judge = Reference(context.pre_period)
        self._next = (*context.weights[1:], 1.0)

    def step(self, tick: Tick) -> bool:
        """Whether traffic goes back after this tick."""
        self._judge.observe(tick, self._next)
        evidence, self.reason = self._judge.evidence()
        return evidence >= THRESHOLD

    def ready(self, weight: float) -> bool:
        """Whether the canary may have this weight, between 0 and 1, now."""
        return self._judge.ready(weight)
