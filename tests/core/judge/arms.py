"""Two arms for the judge's tests: what a tick brings of each, and rollouts made of ticks."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from claude_operator.api.analysis import Analysis
from claude_operator.api.status import Judgement
from claude_operator.core.judge import assessment
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.sample import LN_WIDTH, NOTHING, QUANTITIES, Counts, Sample, Values
from claude_operator.core.judge.metrics import METRICS

STABLE, CANARY = "support-5f6d8c1a2b", "support-7b9e21c3d4"
START = dt.datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=dt.UTC)
ANALYSIS = Analysis()
CACHES = ("read", "write", "none")
ALONE = Context()
Arm = Counts | Sample | None


def analysis(*metrics: dict[str, Any] | str, **fields: Any) -> Analysis:
    """A plan; a metric may be given by its name alone."""
    listed = [{"name": one} if isinstance(one, str) else one for one in metrics]
    return Analysis.model_validate({"metrics": listed or None, **fields})


EVERYTHING = analysis(*METRICS)


def counts(ok: int = 0, errors: int = 0, overloads: int = 0, refusals: int = 0, **more: int) -> Counts:
    """Each bad event is one of another conversation, unless `more` says otherwise."""
    found = Counts(ok + errors + overloads, ok, errors, overloads, refusals, bad_errors=errors, bad_refusals=refusals)
    return found._replace(**more)


def values(numbers: Iterable[float]) -> Values:
    """As a gateway counts them."""
    numbers = list(numbers)
    logs = [math.log(number) for number in numbers]
    return Values(
        len(numbers),
        math.fsum(logs),
        math.fsum(log * log for log in logs),
        math.fsum(numbers),
        math.fsum(number * number for number in numbers),
        dict(Counter(math.floor(log / LN_WIDTH) for log in logs)),
    )


def many(each: Values, times: int) -> Values:
    """The same values so many times."""
    buckets = {index: count * times for index, count in each.buckets.items()}
    sums = (each.count, each.ln_sum, each.ln_sum_sq, each.sum, each.sum_sq)
    return Values(*(one * times for one in sums), buckets)  # type: ignore[arg-type]


def arm(of: Counts = NOTHING, *, cache: str = "none", **quantities: Values) -> Sample:
    """Counts, and values by quantity in one cache state."""
    return Sample(of, {(name, cache): one for name, one in quantities.items() if one.count})


def tick(canary: Arm = None, stable: Arm = None, *, generation: int = 7, **more: Any) -> Increments:
    """What is new of the two arms on the surface `chat`."""
    given = {(generation, "chat", CANARY): canary, (generation, "chat", STABLE): stable}
    cells = {cell: Sample(one) if isinstance(one, Counts) else one for cell, one in given.items() if one is not None}
    return Increments(cells, **{"traffic": sum(one.counts.requests for one in cells.values()), **more})


def judge(
    *ticks: Increments,
    plan: Analysis = ANALYSIS,
    every: float = 5.0,
    context: Context = ALONE,
    previous: Judgement | None = None,
) -> Judgement:
    """The judgement after `ticks`, so many seconds apart."""
    judgement = previous or assessment.new_judgement(plan, START)
    began = judgement.last_tick or START
    for number, increments in enumerate(ticks, 1):
        now = began + dt.timedelta(seconds=every * number)
        judgement, _ = assessment.assess(
            judgement, plan, increments, stable=STABLE, canary=CANARY, now=now, context=context
        )
    return judgement


def states(judgement: Judgement) -> dict[str, tuple[float, list[int], list[int]]]:
    """Evidence and counts of each metric."""
    return {metric.name: (metric.evidence, metric.canary, metric.stable) for metric in judgement.state}


def evidence(judgement: Judgement, name: str) -> float:
    """Of one metric."""
    return states(judgement)[name][0]


def text(judgement: Judgement) -> str:
    """As it stands in the status."""
    return json.dumps(judgement.model_dump(by_alias=True, mode="json", exclude_none=True), allow_nan=False)


def restored(judgement: Judgement) -> Judgement:
    """Written and read again, with whole floats as `1` instead of `1.0` as Go writes them."""
    return Judgement.model_validate_json(text(judgement).replace(".0,", ",").replace(".0]", "]"))


def numbers(judgement: Judgement) -> Iterator[float]:
    """Everything in it that is a number."""
    todo: list[Any] = [judgement.model_dump()]
    while todo:
        one = todo.pop()
        if isinstance(one, Mapping):
            todo += one.values()
        elif isinstance(one, Sequence) and not isinstance(one, str):
            todo += one
        elif isinstance(one, (int, float)):
            yield one


# ------------------------------------------------------------------------------------------- strategies


@st.composite
def counted(draw: st.DrawFn, most: int = 10**9, largest: int | None = None) -> Counts:
    """Counts of one arm that may come from a gateway, all kinds in use."""
    ok, errors, overloads = (draw(st.integers(0, most)) for _ in range(3))
    among_ok = st.integers(0, ok)
    refusals, cut, window, tools, reads, grades = (draw(among_ok) for _ in range(6))
    return Counts(
        ok + errors + overloads,
        ok,
        errors,
        overloads,
        refusals,
        cut,
        window,
        tools,
        reads,
        draw(st.integers(0, ok - reads)),
        draw(st.integers(0, ok + errors + overloads)),
        *(draw(st.integers(0, each)) for each in (errors, refusals, cut, window)),
        grades,
        draw(st.integers(0, grades)),
    )


@st.composite
def measured(draw: st.DrawFn, most: int = 10**9) -> Values:
    """Values of up to three different sizes, tiny and huge ones, as many as `most` of each."""
    size = st.floats(1e-75, 1e75) | st.sampled_from([1e-19, 0.5, 1.0, 3.0, 1e19])
    whole = Values()
    for _ in range(draw(st.integers(1, 3))):
        whole = whole.plus(many(values([draw(size)]), draw(st.integers(1, most))))
    return whole


@st.composite
def sampled(draw: st.DrawFn, most: int = 10**9) -> Sample:
    """Counts and values of one arm, not all quantities and cache states."""
    places = st.sampled_from([(name, cache) for name in QUANTITIES for cache in CACHES])
    found = {place: draw(measured(most)) for place in draw(st.lists(places, max_size=3, unique=True))}
    return Sample(draw(counted(most)), found)
