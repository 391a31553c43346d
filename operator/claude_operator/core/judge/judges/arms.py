"""Both arms side by side: what the judges Sequential and MannWhitney know of each metric after a tick.

First bad events of conversations are weighed by the share that those were drawn with, one by one. Values, and requests
of gateways that do not count conversations, are never pooled over weights or surfaces, and over ticks only until there
are enough of both arms together: each such stratum is compared within itself, so traffic that changes, a weight that
moves and incidents that hit both arms leave no trace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from claude_operator.api.analysis import Analysis
from claude_operator.api.base import seconds
from claude_operator.api.status import Judgement, MetricState
from claude_operator.core.judge.evidence import strata
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.judges import comparisons, engine
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.judge.judges.held import find_asked
from claude_operator.core.judge.judges.onset import find_onset
from claude_operator.core.judge.metrics import Watched

__all__ = ["Compared", "compare_arms"]


class Compared(NamedTuple):
    """The judgement with its new states, and what they come from."""

    judgement: Judgement
    comparisons: tuple[Comparison, ...]
    strata: strata.Closed


def compare_arms(
    before: Judgement, tick: Tick, analysis: Analysis, watches: Sequence[Watched], context: Context
) -> Compared:
    """The states after one more tick, what stable is like outside of incidents, and since when it goes wrong."""
    closed, still_open = strata.close(before.open, tick.alone, tick.units)
    warm = (tick.now - (before.started_at or tick.now)).total_seconds() >= seconds(analysis.warmup)
    compared = (
        *comparisons.pair_conversations(tick.units, watches, warm=warm),
        *comparisons.pair_up(closed, watches, warm=warm),
    )
    states = engine.tick(
        engine.states_of(before.state, watches),
        watches,
        compared,
        number=before.ticks + 1,
        offsets=engine.offsets_at(before.offsets, context.weight),
        history=context.history,
    )
    update = {
        "state": engine.worth_keeping(states),
        "open": still_open,
        "ticks": before.ticks + bool(compared),
        "calm": _calm(before, states, compared),
        "asks": find_asked(before, states, watches),
        **find_onset(before, tick, states, watches),
    }
    return Compared(before.model_copy(update=update), compared, closed)


def _calm(before: Judgement, states: Sequence[MetricState], compared: Sequence[Comparison]) -> list[MetricState]:
    """What stable is like without incidents, for those who come after it; empty while there has been none."""
    if before.shared:
        known = before.calm or before.state or states
        return [engine.known_of_stable(state) for state in known]
    return [engine.more_of_stable(state, compared) for state in before.calm]
