"""Judge recorded ticks again: with the plan they were judged by, or with another.

A page of a ledger begins with the judge's memory at that moment, and is gone through as the operator does, rounding
included, so that it comes to the very evidence that was recorded. Ticks of another origin begin at evidence 1 and are
not rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from claude_operator.api.analysis import Analysis, Metric
from claude_operator.api.status import MetricState
from claude_operator.core.judge.evidence.sample import NO_VALUES, Values
from claude_operator.core.judge.judges import engine
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.judge.judges.dispatch import judge_of
from claude_operator.core.judge.judges.protocol import watches_of
from claude_operator.core.judge.ledger.lines import Header, Line, LineError, parse
from claude_operator.core.judge.metrics import METRICS, metric_of
from claude_operator.core.judge.stats import eprocess
from claude_operator.replay.overrides import changed

__all__ = ["replay"]

Say = Callable[[str], None]


def replay(
    lines: Iterable[str],
    *,
    alpha: float | None = None,
    overrides: Sequence[str] = (),
    beyond: bool = False,
    say: Say = lambda note: None,
) -> Iterator[dict[str, Any]]:
    """What the judge says after each tick: t, weight, evidence, total, threshold, verdict and leading.

    `alpha`: falseRollbackRate; `overrides`: `path=value` into the analysis. `Fail` is final: later ticks neither add
    evidence nor take it away, unless `beyond`. `say` gets what there is to know besides. Raises `LineError` for bad
    lines, before the first tick, and `ValueError` for bad overrides.
    """
    parsed = list(parse(lines))
    if not parsed:
        raise LineError('line 1: there is no line: write a tick, for example {"t": 5, "metrics": {}}')
    settings = [*overrides, *([f"falseRollbackRate={alpha!r}"] if alpha is not None else [])]
    lines_of_ticks = [line for line in parsed if isinstance(line, Line)]
    names = frozenset(metric_of(name) for line in lines_of_ticks for name in line.metrics)
    if isinstance(parsed[0], Header):
        run: _Run = _Recorded(settings, beyond, say)
    else:
        by_period = any(one.share or one.by_unit for line in lines_of_ticks for one in line.comparisons)
        run = _Plain(settings, names, beyond, by_period)
    for name in sorted({setting.split(".")[1] for setting in settings if setting.startswith("metrics.")} - names):
        say(f"no line has {name}, so its settings change little or nothing")
    return _judged(run, parsed)


def _judged(run: _Run, parsed: Sequence[Header | Line]) -> Iterator[dict[str, Any]]:
    for (_, t), group in groupby(_numbered(parsed), key=lambda item: item[0]):
        for _, one in group:
            if isinstance(one, Header):
                run.begin(one)
            else:
                run.pending.append(one)
        if t is not None:
            yield run.tick()


def _numbered(parsed: Sequence[Header | Line]) -> Iterator[tuple[tuple[int, float | None], Header | Line]]:
    """With page and time, so that neighbours of one tick have the same."""
    page = 0
    for one in parsed:
        page += isinstance(one, Header)
        yield (page, None if isinstance(one, Header) else one.t), one


class _Run:
    """The judge's memory on its way through the ticks."""

    exact = True

    def __init__(self, analysis: Analysis, price_ratio: float, beyond: bool, by_period: bool) -> None:
        self.beyond = beyond
        self.pending: list[Line] = []
        self.ticks = 0
        self.failed = False
        self.history: dict[str, Values] = {}
        self.states: list[MetricState] = []
        self.follow(analysis, price_ratio, by_period)

    def follow(self, analysis: Analysis, price_ratio: float, by_period: bool) -> None:
        """Go on by this plan, with the states of metrics that are known."""
        self.analysis, self.judge = analysis, judge_of(analysis)
        self.watches = watches_of(self.judge, analysis, price_ratio, by_period=by_period)
        self.states = engine.states_of(self.states, self.watches)

    def begin(self, header: Header) -> None:
        """A page begins."""
        raise AssertionError("only recorded ticks have pages")

    def known(self, compared: Iterable[Comparison]) -> Mapping[str, Values]:
        """Stable's values so far, from which edges are chosen; `compared` are those of the present tick."""
        for one in compared:
            if isinstance(one.stable, Values):
                self.history[one.metric] = self.history.get(one.metric, NO_VALUES).plus(one.stable)
        return self.history

    def tick(self) -> dict[str, Any]:
        """What is said after the tick whose lines are pending."""
        lines, self.pending = self.pending, []
        compared = [one for line in lines for one in line.comparisons]
        if compared and (self.beyond or not self.failed):
            self.states = engine.tick(
                self.states,
                self.watches,
                compared,
                number=self.ticks + 1,
                offsets=next((line.offsets for line in lines if line.offsets), engine.NO_OFFSETS),
                history=self.known(compared),
                exact=self.exact,
            )
            self.ticks += 1
        total, leading = self.judge.weigh(self.states, self.watches)
        threshold = 1.0 / self.analysis.false_rollback_rate
        self.failed = self.failed or total >= threshold
        return {
            "t": lines[0].t,
            "weight": next((line.weight for line in lines if line.weight is not None), None),
            "evidence": {state.name: state.evidence for state in engine.worth_keeping(self.states)},
            "total": total,
            "threshold": threshold,
            "verdict": "Fail" if self.failed else "Inconclusive",
            "leading": leading,
        }


class _Plain(_Run):
    """Ticks of any origin: the metrics that occur in them share the false rollback rate by their usual weights."""

    def __init__(self, settings: Sequence[str], names: frozenset[str], beyond: bool, by_period: bool) -> None:
        metrics = [Metric(name=name) for name in METRICS if name in names]
        analysis = changed(Analysis(metrics=metrics), settings)
        # A metric that was set but never occurs would hold a part of the rate that nobody uses.
        found = [metric for metric in analysis.metrics or () if metric.name in names]
        super().__init__(analysis.model_copy(update={"metrics": found}), 1.0, beyond, by_period)


class _Recorded(_Run):
    """Pages of a ledger."""

    exact = False

    def __init__(self, settings: Sequence[str], beyond: bool, say: Say) -> None:
        super().__init__(Analysis(metrics=[]), 1.0, beyond, by_period=True)
        self.settings, self.say = settings, say
        self.page: Header | None = None
        changed(Analysis(), settings)  # a bad one is refused before the first tick

    def begin(self, header: Header) -> None:
        before, self.page = self.page, header
        if before is None or before.rollout != header.rollout:
            self.failed, self.ticks, self.states = False, header.ticks, list(header.state)
            if self.settings and header.ticks:
                self.say(f"the page begins after {header.ticks} ticks; their evidence is taken as it was recorded")
        elif self.settings and header.ticks == self.ticks:
            self.states = _informed(self.states, header.state)
        elif not (self.settings and self.failed):
            if header.ticks > self.ticks:
                self.say(
                    f"ticks {self.ticks + 1} to {header.ticks} are missing; their evidence is taken as it was recorded"
                )
            # A rollout that went on had not failed: the tick before was lost with the operator that judged it.
            self.failed, self.ticks, self.states = False, header.ticks, list(header.state)
        self.follow(changed(header.analysis, self.settings), header.price_ratio, header.by_period)

    def known(self, compared: Iterable[Comparison]) -> Mapping[str, Values]:
        """Nothing where the plan is as recorded: edges then stand at the start of a page."""
        if self.settings:
            return super().known(compared)
        return {watch.name: NO_VALUES for watch in self.watches}

    def tick(self) -> dict[str, Any]:
        verdicts = {line.judged.get("verdict") for line in self.pending}
        judged = super().tick()
        if "Fail" in verdicts and judged["verdict"] != "Fail" and not self.settings:
            self.say(
                f"t {judged['t']:g}: the rollout failed by a threshold, or by the judge {self.analysis.judge}; a replay"
                " shows the evidence of Sequential alone"
            )
        return judged


def _informed(states: Sequence[MetricState], recorded: Sequence[MetricState]) -> list[MetricState]:
    """With the edges that the operator had chosen by then, where there are none yet."""
    theirs = {state.name: state for state in recorded if state.edges}
    return [
        state.model_copy(
            update={
                "edges": theirs[state.name].edges,
                "logs": list(eprocess.EDGES.start) * len(theirs[state.name].edges),
                "moments": state.moments if state.moments.values else theirs[state.name].moments,
            }
        )
        if state.name in theirs and not state.edges
        else state
        for state in states
    ]
