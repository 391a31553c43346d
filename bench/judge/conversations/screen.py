"""Tells of a rollout without harm, with arrays, that the judge would let it pass, so that it need not judge every tick.

Only what stays away from every limit passes here: evidence of harm and of a change that never comes to nine tenths of
what takes traffic back or holds, and nothing else that holds. All other rollouts are the judge's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bench.judge.conversations.arms import Played, Step
from bench.judge.conversations.cases import Case
from bench.judge.conversations.evidence import Firsts, Values, closing_ticks, of_events, of_values
from bench.judge.conversations.firsts import PERIODS, bad_events, first_of, lives_of, periods_of, turn_buckets
from bench.judge.conversations.kinds import NO_HARM
from bench.judge.conversations.quantities import values_of
from bench.judge.conversations.sessions import ERROR, Drawn
from bench.judge.conversations.sums import by_tick
from bench.judge.conversations.tally import FEWEST_TOKENS
from bench.judge.conversations.users import offsets
from bench.judge.ticks import Floats, Ints
from claude_operator.api.analysis import Analysis
from claude_operator.api.base import seconds
from claude_operator.api.evidence import LN_WIDTH, TURNS
from claude_operator.api.status import Offsets
from claude_operator.api.sums import IncidentSums
from claude_operator.core.judge.evidence import incident
from claude_operator.core.judge.evidence.sample import Counts
from claude_operator.core.judge.judges.engine import NO_OFFSETS, offsets_at
from claude_operator.core.judge.judges.held import FALSE_HOLD_RATE
from claude_operator.core.judge.metrics import METRICS, Binary, watched
from claude_operator.core.judge.stats import sample_ratio

__all__ = ["Screen", "can_screen"]

_NEAR = 0.9  # of a limit, from which on the judge has to say
_NEAR_RATIO = 1.0  # nats below the limit of the split test
_ROW = 3  # failed requests of a canary that answers nothing well
_EVEN_ERRORS, _EVEN_TIMES = 0.04, 0.38  # less than what an incident takes: 5 points, and ln 1.5
_OUTAGE = 0.5  # of a tick's requests, less than what an outage takes
_ANALYSIS = Analysis()
_WATCHES = watched(_ANALYSIS)
_QUANTITIES = {
    "timeToFirstToken": "ttft",
    "cost": "cost",
    "outputTokens": "output_tokens",
    "timePerOutputToken": "time_per_output_token",
}
_EVENTS = [one.kind.event for one in _WATCHES if isinstance(one.kind, Binary)]


def can_screen(case: Case) -> bool:
    """Whether a case is one of those whose rollouts all go through the same ticks, and mostly pass."""
    return case.harm == NO_HARM and case.right.answer == "null" and case.steps == "fixed"


class Screen:
    """One rollout under fixed steps."""

    def __init__(self, case: Case, drawn: Drawn, played: Played, steps: Sequence[Step]) -> None:
        self._case, self._played, self._offsets = case, played, offsets(case, drawn)
        self._surfaces = np.argsort(np.argsort(drawn.surfaces))
        """The place of each in the alphabet, in the order of which the judge compares them."""
        self.ticks = round(case.planned_seconds / case.tick_seconds)
        self._tick = by_tick(played.time, case.tick_seconds)
        self._weights = np.array([0, *(round(10_000 * one.weight) for one in steps)])
        starts = [one.start for one in steps]
        self._step = np.searchsorted(starts, np.arange(self.ticks) * case.tick_seconds + 1e-9, "right")
        """Of each tick, from 1."""
        self._drawn = (played.era > 0) & ~played.moved
        self._period = periods_of(played)
        self._life = lives_of(case, played, self._period)
        self._entered = first_of(self._life, played.outcome <= ERROR)

    def is_clear(self) -> bool:
        """Whether the judge would promote it without holding it for anything on the way."""
        if not self._is_calm():
            return False
        evidence = self.evidence()
        harm = sum(one.weight * evidence[one.name] for one in _WATCHES)
        change = sum(one.hold * evidence[one.name] for one in _WATCHES)
        return bool(np.max(harm) < _NEAR / _ANALYSIS.false_rollback_rate and np.max(change) < _NEAR / FALSE_HOLD_RATE)

    # ------------------------------------------------------------------------------------------------- what holds

    def _is_calm(self) -> bool:
        """Whether nothing but evidence of harm or change may end or hold it."""
        requests, stable, canary = self._requests()
        if not requests.all() or (self._split() > sample_ratio.LIMIT - _NEAR_RATIO).any():
            return False
        if _longest_failure(canary) >= _ROW:
            return False
        times, ln_sum = self._first_tokens()
        failed = [one.errors / one.judged for one in stable if one.judged]
        if max(failed) >= _OUTAGE:
            return False
        if max(failed) - min(failed) < _EVEN_ERRORS and _are_even(times, ln_sum):
            return True
        past, elapsed = IncidentSums(), 0.0
        for tick, theirs in enumerate(stable):
            past = incident.update(
                past,
                seconds=elapsed,
                requests=theirs.judged,
                errors=theirs.errors,
                times=times[tick],
                ln_sum=ln_sum[tick],
            )
            if past.failing or past.slow:
                return False
            elapsed = self._case.tick_seconds
        return True

    def _requests(self) -> tuple[Ints, list[Counts], list[Counts]]:
        """By tick: all, and what became of those of stable and of the canary."""
        one = self._played
        kind = self._tick * 4 + one.canary * 2 + (one.outcome == ERROR)
        counts = np.bincount(kind, minlength=4 * self.ticks).reshape(-1, 4)
        arms = [[Counts(ok + bad, ok, bad) for ok, bad in counts[:, at : at + 2].tolist()] for at in (0, 2)]
        return counts.sum(axis=1), arms[0], arms[1]

    def _first_tokens(self) -> tuple[list[int], list[float]]:
        """Of stable by tick: how many were timed, and the sum of the logarithms."""
        one = self._played
        here = np.flatnonzero(~one.canary & (one.outcome < ERROR))
        tick = self._tick[here]
        ln_sum = np.bincount(tick, np.log(values_of(self._case, one, "ttft", here)), self.ticks)
        return np.bincount(tick, minlength=self.ticks).tolist(), ln_sum.tolist()

    def _split(self) -> Floats:
        """Evidence of another split than the weight's after each tick."""
        here = self._entered[(self._period[self._entered] == 0) & self._drawn[self._entered]]
        here = here[self._played.era[here] == self._step[self._tick[here]]]
        code = self._tick[here] * 2 + self._played.canary[here]
        counts = np.bincount(code, minlength=2 * self.ticks).reshape(-1, 2)
        found, sums, before = np.zeros(self.ticks), [0, 0], 0
        for tick, (theirs, ours) in enumerate(counts.tolist()):
            if self._step[tick] != before:
                before, sums = self._step[tick], [0, 0]
            sums = [sums[0] + ours, sums[1] + theirs]
            found[tick] = sample_ratio.log_bayes_factor(*sums, float(self._weights[before]) / 10_000)
        return found

    # --------------------------------------------------------------------------------------------------- evidence

    def evidence(self) -> Mapping[str, Floats]:
        """Of each metric after each tick, 1 where there is none."""
        events = dict(self._firsts())
        values = dict(self._values())
        entered = self._entered[self._drawn[self._entered]]
        turns = np.array([1.0, 3.0, 4.0])[self._period[entered]]
        share = self._weights[self._played.era[entered]] / 10_000
        exposed = np.bincount(self._tick[entered], (1.0 - share) * turns, self.ticks)
        compared = np.zeros(self.ticks + 1, dtype=bool)
        for ticks in (
            self._tick[entered],
            *(one.tick for one in events.values()),
            *(one.closed for one in values.values()),
        ):
            compared[ticks] = True
        numbers = np.cumsum(compared[:-1])
        found = {}
        for watch in _WATCHES:
            if isinstance(watch.kind, Binary):
                firsts = events.get(watch.kind.event)
                found[watch.name] = np.ones(self.ticks) if firsts is None else of_events(firsts, exposed, numbers)
            else:
                offset = np.array([watch.kind.offset(one) for one in self._offsets_by_tick()])
                found[watch.name] = of_values(watch, values[watch.quantity, watch.period or ""], numbers, offset)
        return found

    def _offsets_by_tick(self) -> list[Offsets]:
        weights = self._weights[self._step].tolist()
        known = {weight: offsets_at(self._offsets, weight) for weight in set(weights)}
        found = [known[weight] for weight in weights]
        return [NO_OFFSETS, *found[1:]] if self._case.pods.silent_first else found

    def _firsts(self) -> Iterator[tuple[str, Firsts]]:
        one = self._played
        for kind, places, tick in bad_events(self._case, one, self._tick, _EVENTS):
            kept = self._drawn[places]
            places, tick = places[kept], tick[kept]
            share = self._weights[one.era[places]] / 10_000
            turn = np.array(TURNS)[turn_buckets(one.turn[places])]
            if len(places):
                yield kind, Firsts(tick, one.canary[places], share, turn)

    def _values(self) -> Iterator[tuple[tuple[str, str], Values]]:
        one = self._played
        complete = one.outcome < ERROR
        timed = complete & (one.output >= FEWEST_TOKENS)
        whole, some = (self._kept(first_of(self._life, among)) for among in (complete, timed))
        strata = {id(places): self._strata(places) for places in (whole, some)}
        size = np.maximum(*(self._sizes(places, strata[id(places)]) for places in (whole, some))).sum(axis=2)
        closing, order = closing_ticks(size)
        if self._case.cached:
            closing[closing * self._case.tick_seconds < seconds(_ANALYSIS.warmup)] = self.ticks  # are not compared
        for quantity, name in _QUANTITIES.items():
            places = some if name == "time_per_output_token" else whole
            ln = np.log(values_of(self._case, one, name, places))
            bucket = np.floor(ln / LN_WIDTH).astype(np.int64)
            stratum, tick = strata[id(places)], self._tick[places]
            closed = np.where(stratum >= 0, closing[tick, stratum], self.ticks)
            place = order[tick, stratum]
            if self._case.cached and METRICS[quantity].by_cache:
                place = 2 * place + one.cold[places]  # what was read from the cache comes first
            columns = (tick, one.canary[places], closed, place, ln, bucket)
            for number, period in enumerate(PERIODS):
                mine = np.flatnonzero(self._period[places] == number)
                whose = columns if len(mine) == len(places) else (each[mine] for each in columns)
                yield (quantity, period), Values(*whose)

    def _kept(self, places: Ints) -> Ints:
        return places[~self._played.moved[places]]

    def _strata(self, places: Ints) -> Ints:
        """A number for era, surface and period, in the judge's order, negative for what was not drawn."""
        one = self._played
        surface = self._surfaces[one.surface[places]]
        period = np.argsort(np.argsort(PERIODS))[self._period[places]]
        number = ((one.era[places] - 1) * len(self._surfaces) + surface) * len(PERIODS) + period
        return np.where(self._drawn[places], number, -1)

    def _sizes(self, places: Ints, stratum: Ints) -> Ints:
        """How many values come by tick, stratum and arm."""
        one = self._played
        width = (len(self._weights) - 1) * len(self._surfaces) * len(PERIODS)
        drawn = stratum >= 0
        code = (self._tick[places] * width + stratum) * 2 + one.canary[places]
        return np.bincount(code[drawn], minlength=2 * self.ticks * width).reshape(self.ticks, width, 2)


def _are_even(times: Sequence[int], ln_sum: Sequence[float]) -> bool:
    """Whether no tick of stable is so much slower than another that weighted means of them could be an incident."""
    means = [total / many for total, many in zip(ln_sum, times, strict=True) if many]
    return max(means) - min(means) < _EVEN_TIMES


def _longest_failure(canary: Sequence[Counts]) -> int:
    """Failed requests of the canary in a row of ticks in which it answered nothing well, at most."""
    most = run = 0
    for one in canary:
        run = 0 if one.ok else run + one.errors
        most = max(most, run)
    return most
