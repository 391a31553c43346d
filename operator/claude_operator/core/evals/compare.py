"""The candidate against the baseline on the same items, metric by metric: paired non-inferiority.

An item's value in a metric is the mean over its epochs on the candidate less that on the baseline, turned so that more
is better. The candidate is not worse if "the mean value is at most -margin" is rejected; it is worse if "the mean value
is at least 0" is rejected and the mean is below -margin. A set that could not show "not worse" even without any
difference has too few items for its margin.

Cost and latency are compared by the logarithm of their ratio, so a margin of 0.2 means a fifth more. A ratio counts as
4 at most: a mean can only be bounded where its values are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

from claude_operator.api.evals import Comparison, EvalGate
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item
from claude_operator.core.evals.stats import exact
from claude_operator.core.evals.stats.bounded import Sample, fewest
from claude_operator.core.evals.stats.looks import LOOKS, alpha_at, least_alpha, look_of

__all__ = ["Compared", "Look", "Pair", "Verdict", "compare", "fewest_items", "items_needed", "margins"]

_MOST = math.log(4.0)  # of a ratio's logarithm
_HOPE = 2.0  # standard errors by which more epochs may better the mean
_TIMES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 64)


class Verdict(StrEnum):
    """What a metric's comparison came to."""

    NOT_WORSE = "NotWorse"
    WORSE = "Worse"
    UNDECIDED = "Undecided"
    TOO_FEW = "TooFewItems"


@dataclass(frozen=True, slots=True)
class Pair:
    """An item's outcomes on both arms, an outcome an epoch."""

    item: Item
    ours: Sequence[Outcome]
    theirs: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class Look:
    """How strict this look at the outcomes is: what it may err, and what the last one may that could follow."""

    alpha: float
    last_alpha: float
    growth: float
    """How many times as many epochs the last look has."""
    more: bool
    """Whether more epochs can be asked."""

    @classmethod
    def at(cls, epochs: int, planned: int, gate: EvalGate, *, epochs_left: bool) -> Look:
        """The look after so many epochs."""
        adds = gate.on_inconclusive == "AddEpochs"
        number = look_of(epochs, planned) if adds else 0
        more = adds and epochs_left and number < LOOKS - 1
        final = max(1.0, planned * 2.0 ** (LOOKS - 1) / max(1, epochs))
        last_alpha = least_alpha(gate.alpha) if adds else gate.alpha
        return cls(alpha_at(number, gate.alpha, last=not more), last_alpha, final, more)


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a metric, and whether more epochs can change that."""

    status: Comparison
    verdict: Verdict
    sample: Sample
    few: bool = False
    """Whether the set has too few items for this margin."""
    hopeful: bool = False


@dataclass(frozen=True, slots=True)
class _Metric:
    """What an outcome counts for. `sign` is -1 where less is better; `ratio` where the arms' ratio is what counts."""

    value: Callable[[Outcome], float | None]
    sign: int = 1
    ratio: bool = False


_METRICS: Mapping[str, _Metric] = {
    "quality": _Metric(lambda one: float(one.passed)),
    "refusals": _Metric(lambda one: float(one.refused), sign=-1),
    "cost": _Metric(lambda one: one.cost_usd, sign=-1, ratio=True),
    "latency": _Metric(lambda one: one.seconds, sign=-1, ratio=True),
}


def margins(gate: EvalGate) -> dict[str, float]:
    """The metrics of a gate with their margins, quality first."""
    return {"quality": gate.margin} | {one.name: one.margin for one in gate.metrics or ()}


def compare(name: str, margin: float, pairs: Sequence[Pair], gate: EvalGate, look: Look) -> Compared | None:
    """The verdict on one metric, None where it is not known of any item, such as a latency in a batch."""
    metric = _METRICS[name]
    found = [(pair, value) for pair in pairs if (value := _value(metric, pair)) is not None]
    if not found:
        return None
    cluster = gate.cluster
    names = [_cluster(pair.item, cluster) for pair, _ in found] if cluster else None
    limit = _limit(name)
    sample = Sample.of([value.mean for _, value in found], -limit, limit, names)
    allowed = math.log1p(margin) if metric.ratio else margin
    fail_alpha = look.alpha / len(margins(gate))
    verdict, hopeful = _verdict(sample, allowed, look, fail_alpha), False
    few = verdict is not Verdict.NOT_WORSE and _has_too_few(sample, allowed, look)
    if few and name == "quality":  # these items, and no others like them
        verdict, hopeful = _of_these_items([pair for pair, _ in found], look, fail_alpha)
    elif few and verdict is Verdict.UNDECIDED:
        verdict = Verdict.TOO_FEW
    elif verdict is Verdict.UNDECIDED and look.more:
        hopeful = _may_pass(sample, allowed, [value.noise for _, value in found], look)
    means = fmean(value.ours for _, value in found), fmean(value.theirs for _, value in found)
    status = _status(metric, sample, look, means)
    status.metric, status.margin, status.verdict = name, margin, str(verdict)
    status.items, status.clusters = len(found), sample.clusters if names else 0
    return Compared(status, verdict, sample, few, hopeful)


def items_needed(compared: Compared, look: Look) -> int | None:
    """About how many items like these would show "not worse" if there is no difference; None where too many."""
    even = _even(compared.sample)
    for times in _TIMES:
        if even.repeated(times).p_at_most(-_allowed(compared.status)) <= look.last_alpha:
            return even.values * times
    return None


def fewest_items(status: Comparison, look: Look) -> int | None:
    """How many items, or clusters of one size, show "not worse" if no item differs; None where none do."""
    return fewest(_allowed(status), -_limit(status.metric), look.last_alpha)


@dataclass(frozen=True, slots=True)
class _Value:
    """An item's value: the arms' means, their difference, and its variance by the chance of the epochs."""

    ours: float
    theirs: float
    mean: float
    noise: float | None


def _value(metric: _Metric, pair: Pair) -> _Value | None:
    ours = [value for one in pair.ours if (value := metric.value(one)) is not None]
    theirs = [value for one in pair.theirs if (value := metric.value(one)) is not None]
    if not ours or not theirs:
        return None
    a, b = sum(ours) / len(ours), sum(theirs) / len(theirs)
    if not metric.ratio:
        return _Value(a, b, metric.sign * (a - b), _noise(ours, theirs, 1.0, 1.0))
    if a <= 0 or b <= 0:
        return None
    mean = metric.sign * (math.log(a) - math.log(b))
    return _Value(a, b, min(max(mean, -_MOST), _MOST), _noise(ours, theirs, a, b))


def _noise(ours: Sequence[float], theirs: Sequence[float], a: float, b: float) -> float | None:
    if len(ours) < 2 or len(theirs) < 2:
        return None
    return _variance([value / a for value in ours]) + _variance([value / b for value in theirs])


def _variance(values: Sequence[float]) -> float:
    """Of the mean of the values."""
    count = len(values)
    mean = sum(values) / count
    return sum((value - mean) ** 2 for value in values) / (count - 1) / count


def _cluster(item: Item, key: str) -> str:
    """The item's cluster; an item without one is one of its own."""
    name = item.metadata.get(key)
    return f"={name}" if name is not None else f"#{item.id}"


def _verdict(sample: Sample, margin: float, look: Look, fail_alpha: float) -> Verdict:
    if sample.p_at_most(-margin) <= look.alpha:
        return Verdict.NOT_WORSE
    if sample.mean < -margin and sample.p_at_least(0.0) <= fail_alpha:
        return Verdict.WORSE
    return Verdict.UNDECIDED


def _has_too_few(sample: Sample, margin: float, look: Look) -> bool:
    """Whether not even the last look could show "not worse", were all values 0."""
    return sample.moved(0.0, 0.0).p_at_most(-margin) > look.last_alpha


def _of_these_items(pairs: Sequence[Pair], look: Look, alpha: float) -> tuple[Verdict, bool]:
    """Whether these items got worse: all together, or one by itself, corrected for how many could have."""
    items = [
        exact.Item(
            sum(one.passed for one in pair.ours),
            len(pair.ours),
            sum(one.passed for one in pair.theirs),
            len(pair.theirs),
        )
        for pair in pairs
    ]
    total = exact.total_p(items)
    single = min(exact.item_p(one) for one in items)
    corrected = single * max(1, exact.items_that_can_tell(items))
    if min(total, corrected) <= alpha / 2 + 1e-12:
        return Verdict.WORSE, False
    return Verdict.TOO_FEW, look.more and min(total, single) <= look.last_alpha * 2


def _may_pass(sample: Sample, margin: float, noise: Sequence[float | None], look: Look) -> bool:
    """Whether the last look could still show "not worse", if chance has been against the candidate so far."""
    known = [one for one in noise if one is not None]
    if len(known) < len(noise):
        return True
    total, chance = sample.spread, math.fsum(known)
    left = max(0.0, 1 - min(1.0, chance / total) * (1 - 1 / look.growth)) if total > 0 else 1.0
    hoped = sample.moved(sample.mean + _HOPE * math.sqrt(chance) / sample.values, math.sqrt(left))
    return hoped.p_at_most(-margin) <= look.last_alpha


def _limit(name: str) -> float:
    """The largest value that there is."""
    return _MOST if _METRICS[name].ratio else 1.0


def _allowed(status: Comparison) -> float:
    return math.log1p(status.margin) if _METRICS[status.metric].ratio else status.margin


def _even(sample: Sample) -> Sample:
    """The same values around a mean of 0: as if the arms had come out even."""
    return sample.moved(0.0)


def _status(metric: _Metric, sample: Sample, look: Look, means: tuple[float, float]) -> Comparison:
    """The numbers as they are read: candidate less baseline, of a ratio how much more."""
    lower, upper = sample.lower(look.alpha), sample.upper(look.alpha)
    if metric.sign < 0:
        lower, upper = -upper, -lower
    difference = metric.sign * sample.mean
    sees = -_even(sample).lower(look.alpha)
    if metric.ratio:
        lower, upper, difference, sees = (math.expm1(value) for value in (lower, upper, difference, sees))
    return Comparison(
        candidate=_round(means[0]),
        baseline=_round(means[1]),
        difference=_round(difference),
        lower=_round(lower),
        upper=_round(upper),
        alpha=_round(look.alpha),
        sees=_round(sees),
    )


def _round(value: float) -> float:
    return round(value, 6) + 0.0  # no -0.0
