"""For a surface over its latency budget: less effort, caching, faster models, streaming, subagents, batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from claude_operator.api.evidence import OTHER
from claude_operator.core.advice.advice import Advice, gate_risk
from claude_operator.core.advice.bills import Move
from claude_operator.core.advice.caching import is_unmarked, with_breakpoint
from claude_operator.core.advice.case import Case, Confidence
from claude_operator.core.advice.models import cheaper_models, lower_effort
from claude_operator.core.advice.patches import objections
from claude_operator.core.advice.waiting import throughput_patch
from claude_operator.core.catalogue.table import Model
from claude_operator.core.spec.budgets import THROUGHPUT, ServiceLevel, service_levels
from claude_operator.core.text import percent, share
from claude_operator.core.usage.amounts import total
from claude_operator.core.usage.cache import DAY, within
from claude_operator.core.usage.cache import total as cache_total
from claude_operator.core.usage.service_level import Standing, standing

__all__ = ["faster"]

_PART = 0.1  # of the calls, that easy ones are reckoned with
_COLD = 0.7  # hit ratio below which reading is slow for want of a cache


def faster(case: Case) -> Iterator[Advice | str]:
    """What could bring each surface that is over its budget back into it."""
    for level in service_levels(case.spec.budgets):
        stands = standing(case.usages.latency, level, at=case.now.timestamp())
        if stands.state not in ("Over", "Recovering"):
            continue
        if level.metric == THROUGHPUT:
            yield f"budgets: batches of {level.surface} are too slow: no field of the spec changes how fast they are"
            continue
        for advice in (*_of_the_revision(case, level, stands), *_of_the_application(case, level, stands)):
            if not objections(case, advice.patch):
                yield advice


def _of_the_revision(case: Case, level: ServiceLevel, stands: Standing) -> Iterator[Advice]:
    scope = next(case.scopes())
    lower = lower_effort(case, scope)
    if lower is not None:
        before, after, patch = lower
        yield _advice(
            stands,
            f"lower the effort from {before} to {after}, for less thinking before and in the answer",
            patch,
            risk=gate_risk(case, "answers to hard questions may get worse, on all surfaces"),
        )
    sums = cache_total(
        one
        for one in within(case.usages.cache, case.now, DAY)
        if one.surface == level.surface and one.revision == case.stable and one.prefix != OTHER
    )
    breakpoint_patch = with_breakpoint(case, "5m")
    if is_unmarked(sums) and sums.read < _COLD * sums.input and breakpoint_patch is not None:
        yield _advice(
            stands,
            f"set a cache breakpoint: {share(sums.read / sums.input)} of the prompts' tokens are read from the cache,"
            " and what is read need not be processed again",
            breakpoint_patch,
            risk=gate_risk(case, "answers stay the same; writing costs a quarter more than input"),
        )


def _of_the_application(case: Case, level: ServiceLevel, stands: Standing) -> Iterator[Advice]:
    """What takes a change of the application too; the patch is the spec's part of it."""
    scope = next(case.scopes())
    smaller = cheaper_models(case, scope)
    if smaller:
        yield from _subagents(case, level, stands, smaller[-1])
    if level.metric == "duration":
        yield from _other_promises(case, level, stands)


def _subagents(case: Case, level: ServiceLevel, stands: Standing, smaller: tuple[Model, Move]) -> Iterator[Advice]:
    """New ones with a faster model: one that the spec has keeps its own."""
    (model, move), known = smaller, case.spec.subagents or {}
    easy, worker = f"easy-{level.surface}"[:63], f"worker-{level.surface}"[:63]
    if easy not in known:
        now, then = ({kind: one.part(_PART) for kind, one in bill.items()} for bill in (move.now, move.then))
        yield _advice(
            stands,
            f"ask {model.id} the easy questions of {level.surface}: the application sends them with"
            f" x-claude-subagent: {easy}",
            _subagent(easy, model.id),
            arithmetic=(
                f"for each {share(_PART)} of the application's calls:",
                *Move(now, then, move.label).sentences(),
            ),
            risk=gate_risk(case, "what is taken for easy may be hard, and is answered worse"),
        )
    if level.metric == "duration" and worker not in known:
        yield _advice(
            stands,
            "let subagents do steps that do not need each other's results at the same time: the application sends"
            f" them with x-claude-subagent: {worker}",
            _subagent(worker, model.id),
            risk=gate_risk(case, f"each subagent's prompt is paid for, and {model.id} answers the steps"),
        )


def _other_promises(case: Case, level: ServiceLevel, stands: Standing) -> Iterator[Advice]:
    budgets = list(case.raw.get("budgets") or [])
    streamed = any(one.get("surface") == level.surface and one.get("metric") == "timeToFirstToken" for one in budgets)
    if not streamed:
        begin = {"surface": level.surface, "metric": "timeToFirstToken", "max": "2s"}
        yield _advice(
            stands,
            "stream the answers (stream: true in the application): people read from the first token on",
            {"spec": {"budgets": [*budgets, begin]}},
            risk="the whole answer takes as long as before; set max of the new budget to what your people wait for",
            is_gated=False,
        )
    calls = total(amounts for key, amounts in case.rows.items() if key.surface == level.surface).calls
    yield _advice(
        stands,
        f"send the calls of {level.surface} as Message Batches, if nobody waits for them: at half the price",
        throughput_patch(case, level.surface, calls),
        risk="a batch may take up to 24 hours, and has no revision: the application puts model and system into it. The"
        " patch has a throughput budget in place of the surface's others",
        is_gated=False,
    )


def _subagent(name: str, model: str) -> dict[str, Any]:
    return {"spec": {"subagents": {name: {"request": {"model": model}}}}}


def _advice(
    stands: Standing,
    title: str,
    patch: Mapping[str, Any],
    *,
    risk: str,
    arithmetic: tuple[str, ...] = (),
    is_gated: bool = True,
) -> Advice:
    level, counted = stands.level, stands.counted
    why = (
        f"{level.metric} of {level.surface}: {counted.within:,} of {counted.calls:,} calls"
        f" ({share(stands.attainment)}) took {level.limit}, and {percent(level.percentile)} should"
    )
    return Advice(
        lever="Latency",
        title=title,
        arithmetic=(why, *arithmetic),
        confidence=Confidence(
            "Low", f"{counted.calls:,} calls in {level.window}; how much faster it gets is not known"
        ),
        assumes=("what this changes is what takes the time: after the change the budget's attainment shows it",),
        risk=risk,
        patch=patch,
        is_gated=is_gated,
    )
