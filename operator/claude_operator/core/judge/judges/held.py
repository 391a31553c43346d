"""Metrics in mode Hold: a change that may be wanted takes no traffic back, but a person has to let it pass.

They share an error rate of their own. The weighted mean of their evidence is an e-process as that of harm is, so where
nothing has changed it ever reaches 1 / FALSE_HOLD_RATE with that probability at most; what has been found, and what a
person has let pass, is left out of the mean from then on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from claude_operator.api.status import Judgement, MetricState
from claude_operator.core.judge.metrics import Watched, metric_of

__all__ = ["FALSE_HOLD_RATE", "find_asked", "let_pass"]

FALSE_HOLD_RATE = 0.05


def find_asked(before: Judgement, states: Sequence[MetricState], watches: Sequence[Watched]) -> list[str]:
    """The metrics that a person is asked about after a tick: those of before, and those that have changed since."""
    asked = list(before.asks)
    evidence: dict[str, float] = {}
    for state, watch in zip(states, watches, strict=True):
        if watch.hold:
            name = metric_of(watch.name)
            evidence[name] = evidence.get(name, 0.0) + watch.hold * state.evidence
    while (found := _leading(evidence, {*asked, *before.let_pass})) is not None:
        asked.append(found)
    return asked


def let_pass(judgement: Judgement, seen: Judgement | None) -> Judgement:
    """After a person has promoted who could see `seen`: what was asked there is not asked again in this rollout."""
    answered = [name for name in judgement.asks if seen is not None and name in seen.asks]
    if not answered:
        return judgement
    left = [name for name in judgement.asks if name not in answered]
    return judgement.model_copy(update={"asks": left, "let_pass": [*judgement.let_pass, *answered]})


def _leading(evidence: Mapping[str, float], known: set[str]) -> str | None:
    """The metric with the most evidence, where that of all that are not known is enough."""
    rest = {name: value for name, value in evidence.items() if name not in known}
    if not rest or math.fsum(rest.values()) < 1.0 / FALSE_HOLD_RATE:
        return None
    return max(rest, key=rest.__getitem__)
