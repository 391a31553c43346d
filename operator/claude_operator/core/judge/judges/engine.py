"""One metric through one tick: what was compared goes in, its state comes out. All that the judge is proved by.

The rollout, a replay of its ledger and the benchmark run this same code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from operator import add

from claude_operator.api.status import MetricState, Offsets
from claude_operator.api.sums import Moments, Score, UnitSums
from claude_operator.core.judge.evidence.sample import LN_WIDTH, Values, significant
from claude_operator.core.judge.evidence.units import EARLY_TURNS
from claude_operator.core.judge.judges.comparisons import Comparison, Firsts
from claude_operator.core.judge.metrics import METRICS, Binary, Watched
from claude_operator.core.judge.stats import continuous, drawn, eprocess

__all__ = [
    "NO_OFFSETS",
    "combined",
    "initial",
    "known_of_stable",
    "leading",
    "more_of_stable",
    "offsets_at",
    "states_of",
    "tick",
    "worth_keeping",
]

NO_OFFSETS = Offsets(weight=0)
_NO_SCORE, _NO_MOMENTS, _NO_UNITS = Score(), Moments(), UnitSums()
_ON_THE_WAY = 3  # of the seven early turns, that a conversation counts for which has not come to later ones
_RAW_SHARE = 0.1  # of a quantity's evidence that comes from raw values, where they count


def initial(watch: Watched, history: Values | None = None) -> MetricState:
    """Evidence 1, nothing seen. `history`: stable's values before the rollout, for edges and a first variance."""
    if isinstance(watch.kind, Binary):
        return _state(watch.name, 1.0, [0, 0], [0, 0], list(watch.kind.grid.start))
    state = _state(watch.name, 1.0, [0, 0], [0, 0], [])
    return _informed(state, watch, history) if history else state


def states_of(stored: Sequence[MetricState], watches: Sequence[Watched]) -> list[MetricState]:
    """One a watched metric, in their order; of one that is not known yet the first."""
    known = {state.name: state for state in stored}
    return [known.get(watch.name) or initial(watch) for watch in watches]


def worth_keeping(states: Iterable[MetricState]) -> list[MetricState]:
    """Without those of periods that no conversation has come to: of single requests there is only the opening."""
    return [one for one in states if one.name in METRICS or one.stable[0] or one.edges or one.moments.values]


def offsets_at(known: Sequence[Offsets], weight: int) -> Offsets:
    """Those of a weight, of the nearest one where a long plan has more than are kept."""
    return min(known, key=lambda one: (abs(one.weight - weight), one.weight), default=NO_OFFSETS)


def tick(
    states: Sequence[MetricState],
    watches: Sequence[Watched],
    comparisons: Iterable[Comparison],
    *,
    number: int,
    offsets: Offsets = NO_OFFSETS,
    history: Mapping[str, Values] | None = None,
    exact: bool = False,
) -> list[MetricState]:
    """The states after the tick of that number, counted from 1 over those that compared something.

    `history`: stable's values up to now, for quantities that have no edges yet; they hold from the next tick on.
    `exact`: as the formulas have it, neither rounded to what status holds nor with a floor.
    """
    pairs: dict[str, list[Comparison]] = {}
    for one in comparisons:
        pairs.setdefault(one.metric, []).append(one)
    after = []
    for state, watch in zip(states, watches, strict=True):
        mine = pairs.get(watch.name)
        if mine:
            update = _binary if isinstance(watch.kind, Binary) else _quantity
            state = update(state, watch, mine, number, offsets, exact)
        if not isinstance(watch.kind, Binary) and not watch.both_ways and not state.edges:
            known = (history or {}).get(watch.name) or _together(mine or [])
            state = _informed(state, watch, known)
        after.append(state)
    return after


def known_of_stable(state: MetricState) -> MetricState:
    """What a state knows of stable alone."""
    units = state.units._replace(canary=0.0)
    return _state(state.name, 1.0, [0, 0], state.stable, [], state.edges, moments=state.moments, units=units)


def more_of_stable(state: MetricState, comparisons: Iterable[Comparison]) -> MetricState:
    """`state` of `known_of_stable` with what was compared since, as `tick` takes it in."""
    (requests, bad), moments, units = state.stable, state.moments, state.units
    for one in comparisons:
        ours, theirs = one.canary, one.stable
        if one.metric != state.name:
            continue
        if isinstance(theirs, Values) and isinstance(ours, Values):
            requests += theirs.count if ours.count else 0
            if one.by_unit:
                moments = moments if units.stable else _NO_MOMENTS
                units = units._replace(stable=units.stable + theirs.count)
            moments = continuous.moments(moments, theirs)
        elif isinstance(theirs, Firsts) and isinstance(ours, Firsts):
            requests, bad = (requests, bad) if units.exposed else (0, 0)
            requests, bad = requests + theirs.entries[0], bad + theirs.total
            units = _counted(units, ours, theirs, one.share)._replace(canary=0.0)
        elif isinstance(theirs, tuple) and isinstance(ours, tuple) and ours[0] and not units.exposed:
            requests, bad = requests + theirs[0], bad + theirs[1]
    moments = Moments(*significant(moments))
    return _state(state.name, 1.0, [0, 0], [requests, bad], [], state.edges, moments=moments, units=units)


def combined(states: Iterable[MetricState], watches: Sequence[Watched]) -> float:
    """The weighted mean of the metrics' evidence, 1 where a metric has no state yet."""
    known = {state.name: state.evidence for state in states}
    weighted = [watch.weight * known.get(watch.name, 1.0) for watch in watches if watch.weight]
    return min(math.fsum(weighted), eprocess.CAP) if weighted else 1.0


def leading(states: Iterable[MetricState], watches: Sequence[Watched]) -> str | None:
    """The metric with the most weighted evidence of harm, None where none has any."""
    weights = {watch.name: watch.weight for watch in watches}
    harmed = {
        state.name: weight * state.evidence
        for state in states
        if (weight := weights.get(state.name)) and state.evidence > 1.0
    }
    return max(harmed, key=harmed.__getitem__, default=None)


def _binary(
    state: MetricState, watch: Watched, pairs: list[Comparison], number: int, offsets: Offsets, exact: bool
) -> MetricState:
    """Stable's counts of requests are those of strata that the canary had requests in.

    From the first conversations on only these are counted: requests of gateways of before go on as evidence alone.
    """
    assert isinstance(watch.kind, Binary)  # noqa: S101  by the caller
    grid, margin = watch.kind.grid, math.exp(watch.margin)
    exposure = watch.kind.exposure(offsets)
    logs = eprocess.resized(state.logs, grid.size, state.evidence)
    (n_canary, x_canary), (n_stable, x_stable) = state.canary, state.stable
    units = state.units
    rate = drawn.rate_of(units.exposed, units.early)
    for one in pairs:
        ours, theirs = one.canary, one.stable
        if isinstance(ours, Firsts) and isinstance(theirs, Firsts):
            logs = drawn.updated(
                logs,
                ours.bad,
                theirs.bad,
                share=one.share,
                rate=rate,
                margin=margin,
                two_sided=watch.kind.two_sided,
            )
            if not units.exposed:
                n_canary, x_canary, n_stable, x_stable = 0, 0, 0, 0
            units = _counted(units, ours, theirs, one.share)
            n_canary, x_canary = n_canary + ours.entries[0], x_canary + ours.total
            n_stable, x_stable = n_stable + theirs.entries[0], x_stable + theirs.total
            continue
        assert isinstance(ours, tuple) and isinstance(theirs, tuple)  # noqa: S101
        if not ours[0]:
            continue
        logs = eprocess.updated(logs, ours, theirs, grid=grid, margin=margin, exposure=exposure)
        if not units.exposed:
            n_canary, x_canary = n_canary + ours[0], x_canary + ours[1]
            n_stable, x_stable = n_stable + theirs[0], x_stable + theirs[1]
    logs = list(logs) if exact else eprocess.stored(logs, number)
    evidence = eprocess.value(logs)
    return _state(state.name, evidence, [n_canary, x_canary], [n_stable, x_stable], logs, units=units)


def _counted(units: UnitSums, ours: Firsts, theirs: Firsts, share: float) -> UnitSums:
    """With more conversations. Stable's turns are its share of all: counting them by arm would tell who is whose."""
    opening, early, late = map(add, ours.entries, theirs.entries)
    turns = opening + _ON_THE_WAY * early + (EARLY_TURNS - _ON_THE_WAY) * late
    first_eight = sum(count for turn, count in theirs.bad.items() if turn <= EARLY_TURNS)
    exposed = units.exposed + (1.0 - share) * turns
    return UnitSums(
        units.canary + sum(ours.entries),
        units.stable + sum(theirs.entries),
        round(exposed, 3),
        units.early + first_eight,
    )


def _quantity(
    state: MetricState, watch: Watched, pairs: list[Comparison], number: int, offsets: Offsets, exact: bool
) -> MetricState:
    assert not isinstance(watch.kind, Binary)  # noqa: S101  by the caller
    offset = watch.kind.offset(offsets)
    lower = continuous.shift(watch.margin, offset)
    logs: Sequence[float] = state.logs
    score, known, units = state.score, state.moments, state.units
    cap = continuous.cap_of(state.edges) if watch.kind.raw else None
    n_canary, n_stable = state.canary[0], state.stable[0]
    both: list[tuple[Values, Values]] = []
    for one in pairs:
        ours, theirs = one.canary, one.stable
        assert isinstance(ours, Values) and isinstance(theirs, Values)  # noqa: S101
        if not theirs.count:
            continue
        if one.by_unit:
            known = known if units.stable else _NO_MOMENTS
            units = units._replace(stable=units.stable + theirs.count)
        if ours.count:
            score = continuous.scored(score, known, ours, theirs, judged=n_canary, offset=offset, cap=cap)
            both.append((ours, theirs))
            n_canary, n_stable = n_canary + ours.count, n_stable + theirs.count
        known = continuous.moments(known, theirs, cap)
    if state.edges and both:
        logs = continuous.edge_logs(logs, state.edges, both, lower)
    if not exact:
        logs = eprocess.stored(logs, number)
        score, known = Score(*significant(score)), Moments(*significant(known))
    after = _state(state.name, 1.0, [n_canary, 0], [n_stable, 0], list(logs), state.edges, score, known, units)
    after.evidence = _evidence(after, watch)
    return after


def _evidence(state: MetricState, watch: Watched) -> float:
    score = state.score
    mixture = continuous.mixture(score.score, score.information, score.prior, watch.margin)
    if watch.both_ways:
        falls = continuous.mixture(-score.score, score.information, score.prior, watch.margin)
        return continuous.but_not_early((mixture + falls) / 2.0, state.canary[0])
    of_ln = continuous.but_not_early(mixture, state.canary[0])
    of_edges = eprocess.value(state.logs) if state.logs else 1.0
    evidence = (of_ln + of_edges) / 2.0
    if not getattr(watch.kind, "raw", False):
        return evidence
    # Raw values are known by their bucket: what keeps within the margin may still lie so many buckets higher.
    raw_margin = state.moments.raw_mean * math.expm1(continuous.shift(watch.margin) * LN_WIDTH)
    raw = continuous.mixture(score.raw_score, score.raw_information, score.raw_prior, raw_margin)
    return (1.0 - _RAW_SHARE) * evidence + _RAW_SHARE * raw


def _informed(state: MetricState, watch: Watched, history: Values | None) -> MetricState:
    """With edges from stable's distribution, and its variance where none is known yet."""
    edges = continuous.choose_edges(history.buckets) if history else []
    if history is None or not edges:
        return state
    cap = continuous.cap_of(edges) if getattr(watch.kind, "raw", False) else None
    known = state.moments
    if not known.values or cap is not None:  # raw values do not count before there is a cap
        known = Moments(*significant(continuous.moments(Moments(), history, cap)))
    logs = list(eprocess.EDGES.start) * len(edges)
    return _state(state.name, state.evidence, state.canary, state.stable, logs, edges, state.score, known, state.units)


def _together(pairs: list[Comparison]) -> Values:
    whole = Values()
    for one in pairs:
        if isinstance(one.stable, Values):
            whole = whole.plus(one.stable)
    return whole


def _state(
    name: str,
    evidence: float,
    canary: list[int],
    stable: list[int],
    logs: list[float],
    edges: Sequence[int] = (),
    score: Score = _NO_SCORE,
    moments: Moments = _NO_MOMENTS,
    units: UnitSums = _NO_UNITS,
) -> MetricState:
    """Unchecked: it is made of numbers that are what they should be, once a tick and metric."""
    return MetricState.made(
        name=name,
        evidence=evidence,
        canary=canary,
        stable=stable,
        logs=logs,
        edges=list(edges),
        score=score,
        moments=moments,
        units=units,
        soak=None,
    )
