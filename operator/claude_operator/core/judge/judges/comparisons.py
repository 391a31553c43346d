"""What of a stratum each metric compares between the arms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from claude_operator.core.judge.evidence.context import Budget
from claude_operator.core.judge.evidence.sample import Values
from claude_operator.core.judge.evidence.strata import Closed
from claude_operator.core.judge.evidence.tick import Arms
from claude_operator.core.judge.metrics import CACHES, Binary, Watched

__all__ = ["Comparison", "pair_up"]


class Comparison(NamedTuple):
    """One stratum of one metric: both arms' (requests, bad events), or their values."""

    metric: str
    canary: tuple[int, int] | Values
    stable: tuple[int, int] | Values


def pair_up(
    strata: Closed, watches: Sequence[Watched], *, warm: bool, budgets: Mapping[str, Budget]
) -> tuple[Comparison, ...]:
    """Each metric's part of each stratum; nothing where one arm has nothing. A cold cache says nothing of latency."""
    caches = CACHES if warm else ("none",)
    return tuple(
        one
        for surface, arms in strata
        for watch in watches
        for one in _of_metric(watch, arms, caches, warm=warm, budget=budgets.get(surface))
    )


def _of_metric(
    watch: Watched, arms: Arms, caches: Sequence[str], *, warm: bool, budget: Budget | None
) -> Iterator[Comparison]:
    kind = watch.kind
    if isinstance(kind, Binary):
        if kind.warms_up and not warm:
            return
        ours, theirs = (
            kind.events(arm, conversations=watch.conversations, budget=budget, caches=caches) for arm in arms
        )
        if ours[0] or ours[1] or theirs[1]:
            yield Comparison(watch.name, ours, theirs)
        return
    for together in [(cache,) for cache in caches] if kind.by_cache else [caches]:
        own, its = (arm.quantity(watch.name, together) for arm in arms)
        if its.count:
            yield Comparison(watch.name, own, its)
