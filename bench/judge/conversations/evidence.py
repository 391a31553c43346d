"""The judge's evidence after every tick of a rollout at once, with arrays instead of tick by tick.

The formulas are those of `core/judge/stats` and `core/judge/judges/engine.py`, without what status rounds. A test holds
them against the judge. `screen.py` says what they are for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.judge.ticks import Floats, Ints
from claude_operator.api.evidence import LN_WIDTH
from claude_operator.core.judge.metrics import Quantity, Watched
from claude_operator.core.judge.stats import continuous, drawn, eprocess

__all__ = ["ENOUGH", "MOST_OPEN", "Firsts", "Values", "closing_ticks", "of_events", "of_values"]

ENOUGH, MOST_OPEN = 10, 6
"""Values that close a stratum of conversations, and how many strata may wait for more."""

_HIGHEST, _TURNS = 0.95, 200.0  # what a rate may be, and how many turns the usual one is worth
_FIRST, _RAW_FIRST = 30, 1000  # values from which on a variance is known, and raw values of the canary count
_LEAST_VARIANCE = 1e-4
_RAW_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Firsts:
    """First bad events of one kind, an entry each: when, whose, drawn with which share, at which turn."""

    tick: Ints
    canary: NDArray[np.bool_]
    share: Floats
    turn: Ints


@dataclass(frozen=True, slots=True)
class Values:
    """Values of one quantity and period, one a conversation.

    `closed`: the tick in which its stratum is compared, that of no tick where it never is. `place`: as which one there.
    """

    tick: Ints
    canary: NDArray[np.bool_]
    closed: Ints
    place: Ints
    ln: Floats
    bucket: Ints


def of_events(firsts: Firsts, exposed: Floats, numbers: Ints) -> Floats:
    """Evidence of a kind of first bad events after each tick.

    `exposed`: turns of stable in each tick. `numbers`: that of each tick among those that compare something.
    """
    ticks = len(exposed)
    early = ~firsts.canary & (firsts.turn <= 7)
    bad = _before(np.bincount(firsts.tick[early], minlength=ticks).astype(np.float64))
    usual = drawn.USUAL * _TURNS
    rate = np.minimum((bad + usual) / (_before(exposed) + _TURNS), _HIGHEST)[firsts.tick]
    growth = np.empty((ticks, len(drawn.EXCESSES)))
    for index, one in enumerate(drawn.EXCESSES):
        times = (rate + one.more) / rate
        survival = (1.0 - np.minimum(times * rate, _HIGHEST)) / (1.0 - rate)
        later = firsts.turn - one.since
        more = np.where(later >= 0, np.maximum(times * survival ** np.maximum(later, 0), 1.0), 1.0)
        gains = firsts.canary * np.log(more) - np.log1p((more - 1.0) * firsts.share)
        growth[:, index] = np.bincount(firsts.tick, gains, ticks)
    return _mean_ratio(growth, numbers)


def of_values(watch: Watched, values: Values, numbers: Ints, offset: Floats) -> Floats:
    """Evidence of a quantity in one period after each tick; `offset`: by how much the canary's users had more."""
    assert isinstance(watch.kind, Quantity)
    if not (values.closed < len(numbers)).any():
        return np.ones(len(numbers))
    edges, known_at = ([], len(numbers)) if watch.both_ways else _edges(values, len(numbers))
    strata = _Strata(watch, values, edges, known_at, len(numbers))
    return strata.evidence(numbers, offset)


def closing_ticks(sizes: Ints) -> tuple[Ints, Ints]:
    """By tick and stratum: in which tick its values are compared, which were counted in this one, and as which there.

    `sizes`: how many come in a tick. What never is compared has the number of ticks.
    """
    found, places = np.full(sizes.shape, len(sizes)), np.zeros(sizes.shape, dtype=np.int64)
    waiting: dict[int, int] = {}
    since: dict[int, int] = {}
    for tick, row in enumerate(sizes.tolist()):
        for stratum, size in enumerate(row):
            if size:
                since.setdefault(stratum, tick)
                waiting[stratum] = waiting.get(stratum, 0) + size
        closed = sorted(one for one, size in waiting.items() if size >= ENOUGH)
        small = sorted((size, one) for one, size in waiting.items() if size < ENOUGH)
        for place, one in enumerate((*closed, *(each for _, each in small[MOST_OPEN:]))):
            here = slice(since.pop(one), tick + 1)
            found[here, one], places[here, one] = tick, place
            del waiting[one]
    return found, places


def _before(growth: Floats) -> Floats:
    """The sum of all that came before each entry."""
    return np.cumsum(growth) - growth


def _mean_ratio(growth: Floats, numbers: Ints) -> Floats:
    """The mean of likelihood ratios by tick, none of whose logarithms falls below its floor."""
    floors = _floors(int(numbers[-1]) + 1)[np.maximum(numbers, 1) - 1]
    logs = np.cumsum(growth, axis=0)
    lifted = np.maximum.accumulate(floors[:, None] - logs, axis=0)
    return np.exp(np.minimum(logs + np.maximum(lifted, 0.0), eprocess.LN_CAP)).mean(axis=1)


@lru_cache(maxsize=64)
def _floors(many: int) -> Floats:
    """What no logarithm falls below, from the first tick on."""
    return np.array([eprocess.stored([-math.inf], number)[0] for number in range(1, many + 1)])


def _edges(values: Values, ticks: int) -> tuple[list[int], int]:
    """Edges from what is known of stable, and the tick after which they are."""
    counts = np.cumsum(np.bincount(values.tick[~values.canary], minlength=ticks))
    enough = int(np.searchsorted(counts, continuous.ENOUGH_HISTORY))
    if enough >= ticks:
        return [], ticks
    known = values.bucket[~values.canary & (values.tick <= enough)]
    low = int(known.min())
    many = np.bincount(known - low).tolist()
    return continuous.choose_edges({low + place: count for place, count in enumerate(many) if count}), enough


class _Strata:
    """The strata of a quantity and period in the order in which they are compared, those that have stable's values."""

    def __init__(self, watch: Watched, values: Values, edges: Sequence[int], known_at: int, ticks: int) -> None:
        self._watch, self._values, self._edges, self._known_at = watch, values, edges, known_at
        self._raw = bool(getattr(watch.kind, "raw", False) and edges)
        self._cap = continuous.cap_of(edges) if self._raw else None
        here = np.flatnonzero(values.closed < ticks)
        width = int(values.place.max(initial=0)) + 1
        code = values.closed[here] * width + values.place[here]
        size = ticks * width
        stable = ~values.canary[here]
        codes = np.flatnonzero(np.bincount(code[stable], minlength=size))
        row = np.full(size, -1)
        row[codes] = np.arange(len(codes))
        mine = row[code] >= 0
        self._here, self._row, self._stable = here[mine], row[code][mine], stable[mine]
        self._arm = 2 * self._row + ~self._stable
        self.tick = codes // width
        self.upto = np.searchsorted(self.tick, np.arange(ticks), "right")
        """How many there are after each tick."""
        ln = values.ln[self._here]
        self._n_stable, self._n_canary = self._sums(None)
        self._ln_stable, self._ln_canary = self._sums(ln)
        self._squares = np.maximum(self._sums(ln * ln)[0] - self._ln_stable**2 / self._n_stable, 0.0)

    def _sums(self, of: Floats | None) -> tuple[Floats, Floats]:
        """By stratum, of stable and of the canary."""
        both = np.bincount(self._arm, of, 2 * len(self.tick)).astype(np.float64)
        return both[::2], both[1::2]

    def evidence(self, numbers: Ints, offset: Floats) -> Floats:
        """After each tick."""
        paired = self._n_canary > 0
        canary = np.maximum(self._n_canary, 1.0)
        per_canary = 1.0 / canary + 1.0 / self._n_stable
        shift = offset[self.tick] if len(self.tick) else np.zeros(0)
        difference = self._ln_canary / canary - self._ln_stable / self._n_stable - shift
        variance = np.maximum(self._variance(), _LEAST_VARIANCE)
        score = self._score(difference, variance, per_canary, paired & np.isfinite(variance), variance / 4.0)
        many = self._after(np.where(paired, self._n_canary, 0.0))
        margin = self._watch.margin
        if self._watch.both_ways:
            found = [(_mixture(one, margin) + _mixture(one, margin, -1.0)) / 2.0 for one in score]
            return _not_early(np.array(found), many)
        of_ln = _not_early(np.array([_mixture(one, margin) for one in score]), many)
        of_edges = self._of_edges(numbers, offset) if self._edges else np.ones(len(numbers))
        found = (of_ln + of_edges) / 2.0
        if not getattr(self._watch.kind, "raw", False):
            return found
        raw = self._of_raw(per_canary, paired, shift) if self._raw else np.ones(len(numbers))
        return (1.0 - _RAW_SHARE) * found + _RAW_SHARE * raw

    def _variance(self) -> Floats:
        """Stable's before each stratum, infinite while it is not known."""
        freedom, squares = _before(self._n_stable - 1.0), _before(self._squares)
        first = self._first_known
        if self._raw and first:
            ln = self._values.ln[self._history]
            freedom[first:] += len(ln) - 1 - freedom[first]
            squares[first:] += max(float(ln @ ln - ln.sum() ** 2 / len(ln)), 0.0) - squares[first]
        found = np.full(len(freedom), math.inf)
        np.divide(squares, freedom, out=found, where=freedom >= _FIRST)
        return found

    @property
    def _first_known(self) -> int:
        """The first stratum that meets edges; 0 where none was compared before, and what was known is begun anew."""
        first = int(np.searchsorted(self.tick, self._known_at, "right"))
        return first if first < len(self.tick) else 0

    @property
    def _history(self) -> Ints:
        return np.flatnonzero(~self._values.canary & (self._values.tick <= self._known_at))

    def _after(self, growth: Floats) -> Floats:
        """The sum after each tick of what each stratum adds."""
        return np.concatenate([[0.0], np.cumsum(growth)])[self.upto]

    def _score(
        self, difference: Floats, variance: Floats, per_canary: Floats, counts: NDArray[np.bool_], priors: Floats
    ) -> list[tuple[float, float, float]]:
        """Score, information and prior after each tick."""
        information = np.where(counts, 1.0 / (variance * per_canary), 0.0)
        places = np.flatnonzero(counts)
        prior = float(priors[places[0]]) if len(places) else 0.0
        sums = self._after(np.where(counts, difference, 0.0) * information), self._after(information)
        return [(u, v, prior) for u, v in zip(*(one.tolist() for one in sums), strict=True)]

    def _of_edges(self, numbers: Ints, offset: Floats) -> Floats:
        """The exact test above edges of stable's distribution, from the tick on after which they are known."""
        edges, values, ticks = np.array(self._edges), self._values, len(numbers)
        later = (self.tick > self._known_at) & (self._n_canary > 0)
        used = later[self._row] if len(later) else np.zeros(0, dtype=bool)
        row, stable, bucket = self._row[used], self._stable[used], values.bucket[self._here[used]]
        lower = np.array([continuous.shift(self._watch.margin, one) for one in offset.tolist()])[self.tick]
        above = np.empty((2, len(self.tick), len(edges)))
        for arm, (mine, higher) in enumerate(((stable, lower), (~stable, np.zeros(len(lower), dtype=np.int64)))):
            passed = np.searchsorted(edges, bucket[mine] + higher[row[mine]], "right")
            place = row[mine] * (len(edges) + 1) + passed
            counts = np.bincount(place, minlength=len(self.tick) * (len(edges) + 1)).reshape(-1, len(edges) + 1)
            above[arm] = counts[:, :0:-1].cumsum(axis=1)[:, ::-1]
        bad = above.sum(axis=0)
        share = (self._n_canary / (self._n_canary + self._n_stable))[:, None]
        growth = np.zeros((ticks, len(edges), eprocess.EDGES.size))
        for index, (ln_ratio, ratio) in enumerate(eprocess.EDGES.alternatives):
            gains = above[1] * ln_ratio - bad * np.log1p((ratio - 1.0) * share)
            np.add.at(growth[:, :, index], self.tick, gains)
        return _mean_ratio(growth.reshape(ticks, -1), numbers)

    def _of_raw(self, per_canary: Floats, paired: NDArray[np.bool_], shift: Floats) -> Floats:
        """The mixture on raw values, which are known by their bucket and are alike from the cap on."""
        cap = self._cap
        assert cap is not None
        values = self._values
        value = np.exp((np.minimum(values.bucket, cap) + 0.5) * LN_WIDTH)
        mine = value[self._here]
        (stable, canary), squares = self._sums(mine), self._sums(mine * mine)[0]
        first, history = self._first_known, value[self._history]
        later = self.tick > self._known_at
        base = (float(len(history)), float(history.sum()), float(history @ history)) if first else (0.0, 0.0, 0.0)
        many, total = (
            start + _before(np.where(later, one, 0.0))
            for start, one in zip(base[:2], (self._n_stable, stable), strict=True)
        )
        within = np.where(later, np.maximum(squares - stable**2 / self._n_stable, 0.0), 0.0)
        start = max(base[2] - base[1] ** 2 / base[0], 0.0) if first else 0.0
        freedom = max(base[0] - 1.0, 0.0) + _before(np.where(later, self._n_stable - 1.0, 0.0))
        mean = total / np.maximum(many, 1.0)
        variance = np.full(len(mean), math.inf)
        np.divide(start + _before(within), freedom, out=variance, where=freedom >= _FIRST)
        variance = np.maximum(variance, _LEAST_VARIANCE * mean * mean)
        judged = _before(np.where(paired, self._n_canary, 0.0))
        counts = paired & later & (judged >= _RAW_FIRST) & np.isfinite(variance)
        ours, theirs = canary / np.maximum(self._n_canary, 1.0), stable / self._n_stable
        middle = math.exp((cap + 0.5) * LN_WIDTH)
        priors = np.minimum(variance / 4.0, (variance / middle) ** 2)
        score = self._score(ours - theirs - mean * np.expm1(shift), variance, per_canary, counts, priors)
        sums = self._after(np.where(later, stable, 0.0)), self._after(np.where(later, self._n_stable, 0.0))
        means = (base[1] + sums[0]) / np.maximum(base[0] + sums[1], 1.0)
        times = math.expm1(continuous.shift(self._watch.margin) * LN_WIDTH)
        return np.array([_mixture(one, mean * times) for one, mean in zip(score, means.tolist(), strict=True)])


def _mixture(score: tuple[float, float, float], margin: float, sign: float = 1.0) -> float:
    u, v, prior = score
    return continuous.mixture(sign * u, v, prior, margin)


def _not_early(evidence: Floats, canary: Floats) -> Floats:
    return np.where(canary >= _FIRST, evidence, np.minimum(evidence, 1.0))
