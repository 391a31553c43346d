"""Since when it goes wrong: the first bad tick after the evidence was least. Good canaries fail at times, too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from claude_operator.api.status import Judgement, MetricState
from claude_operator.core.judge.evidence.sample import significant
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.metrics import Binary, Watched

__all__ = ["find_onset"]

_TRIFLE = 1e-6  # of evidence


def find_onset(
    before: Judgement, tick: Tick, states: Sequence[MetricState], watches: Sequence[Watched]
) -> dict[str, Any]:
    """`first_bad`, and `lowest` where it has changed; only shares of requests say when one was bad."""
    shares = [
        (watch, watch.kind, state)
        for state, watch in zip(states, watches, strict=True)
        if isinstance(watch.kind, Binary)
    ]
    whole = math.fsum(watch.weight for watch, _, _ in shares)
    harm = math.fsum(watch.weight * state.evidence for watch, _, state in shares) / whole if whole else 1.0
    if harm < before.lowest - _TRIFLE:
        return {"first_bad": None, "lowest": significant([harm])[0]}
    bad = any(
        kind.events(arms.canary, conversations=watch.conversations)[1]
        for watch, kind, _ in shares
        if watch.weight and not kind.two_sided
        for arms in tick.strata.values()
    ) or any(
        arms.canary.bad(kind.event)
        for watch, kind, _ in shares
        if watch.weight and kind.by_conversation
        for arms in tick.units.values()
    )
    return {"first_bad": before.first_bad or (tick.now if bad else None)}
