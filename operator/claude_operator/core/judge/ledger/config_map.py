"""The ledger of a rollout: what was compared at every tick, so that anyone can judge it again.

It is the data of one ConfigMap of bounded size. `ticks.jsonl` is the present page and `earlier.jsonl` the one before;
`points.jsonl` is the whole rollout, thinned out, for pictures. A page holds a header with the judge's memory and then
the ticks from there on. Another header follows wherever the ticks do not lead from one to the next: after a write that
was lost, and when a quantity has got its edges, which come from values that the ledger does not hold.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claude_operator.api.analysis import Analysis
from claude_operator.api.status import Judgement
from claude_operator.core.judge.judges import engine
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.judge.ledger.lines import strata, write_json, written_offsets
from claude_operator.core.judge.ledger.pages import EARLIER, SIZE, TICKS, found, readable
from claude_operator.core.judge.ledger.points import Point, with_point
from claude_operator.core.judge.metrics import METRICS, declared, weight_of

__all__ = ["EARLIER", "LIMIT", "POINTS", "TICKS", "Trial", "appended", "name", "readable", "worth"]

POINTS = "points.jsonl"
LIMIT = 128 * 1024
"""Bytes of all three together, at most."""

_POINTS = LIMIT - 2 * SIZE - 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a header says of the rollout besides the judge's memory."""

    deployment: str
    revision: str
    stable: str
    attempt: int
    analysis: Analysis
    price_ratio: float = 1.0


def name(revision: str, attempt: int) -> str:
    """Of the ConfigMap."""
    return f"{revision}-{attempt}-ledger"


def worth(before: Judgement | None, after: Judgement, comparisons: Sequence[Comparison]) -> bool:
    """Whether a tick is recorded: it compared something, or weight or verdict have changed."""
    known = (before.weight, before.verdict) if before else (0, "Inconclusive")
    return bool(comparisons) or known != (after.weight, after.verdict)


def appended(
    data: Mapping[str, str] | None,
    *,
    before: Judgement | None,
    after: Judgement,
    comparisons: Sequence[Comparison],
    trial: Trial,
) -> dict[str, str]:
    """The ConfigMap's data with one more tick, of which `after` is the judgement; never raises for what `data` holds.

    `data` is what was returned last, or `readable`: lines that look as they are written here are not parsed again.
    `before.recorded` is the last tick of the ledger as far as status knows: what is newer was written just before a
    crash and never counted, so it is dropped. What is not this rollout's, or damaged, is forgotten.
    """
    began = after.started_at or after.last_tick
    at = _seconds(after.last_tick, began) or 0.0
    recorded = _seconds(before.recorded, began) if before else None
    head, known, memory = _head(trial, began), data or {}, before.state if before else []
    pages = found(known, head=head, memory=memory, recorded=recorded, at=at)
    header, lines = "", _record(at, after, comparisons)
    if not pages.follows or len(pages.page) + len(lines) > SIZE:
        states = [state.model_dump(by_alias=True, exclude_defaults=True, mode="json") for state in memory]
        header = write_json(head | {"ticks": before.ticks if before else 0, "state": states}) + "\n"
    earlier, page = pages.earlier, pages.page + ("" if pages.follows else header) + lines
    if len(page) > SIZE:
        earlier, page = pages.page or earlier, header + lines
    if len(page) > SIZE:  # not even alone; the next one finds a gap and begins with the memory after this one
        page = ""
    points = "" if pages.foreign else known.get(POINTS, "")
    return {
        TICKS: page,
        EARLIER: earlier,
        POINTS: with_point(points, Point.of(at, after), recorded=recorded, size=_POINTS),
    }


def _head(trial: Trial, began: dt.datetime | None) -> dict[str, Any]:
    # With names and weights, also the default ones, which were others before. Queries may be long, and a replay has no
    # use for them.
    compared = [
        metric.model_copy(update={"weight": weight_of(metric)})
        for metric in declared(trial.analysis)
        if metric.name in METRICS
    ]
    analysis = trial.analysis.model_copy(update={"metrics": compared})
    return {
        "ledger": 1,
        "deployment": trial.deployment,
        "revision": trial.revision,
        "attempt": trial.attempt,
        "startedAt": began.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if began
        else None,
        "stable": trial.stable,
        "analysis": analysis.model_dump(by_alias=True, exclude_none=True, mode="json"),
        "priceRatio": trial.price_ratio,
        "byPeriod": True,
    }


def _record(at: float, after: Judgement, comparisons: Sequence[Comparison]) -> str:
    """A line a stratum, in ASCII; what was judged stands in the first."""
    start = {"t": at, "weight": after.weight / 10_000}
    judged: dict[str, Any] = {
        "evidence": {state.name: state.evidence for state in after.state},
        "total": after.evidence,
        "verdict": after.verdict,
        "leading": after.leading,
    }
    offsets = engine.offsets_at(after.offsets, after.weight)
    used, neutral = written_offsets(offsets), written_offsets(engine.NO_OFFSETS)
    if used != neutral:
        judged["offsets"] = used
    lines = (start | {"metrics": one} | (judged if not i else {}) for i, one in enumerate(strata(comparisons)))
    return "".join(f"{write_json(line)}\n" for line in lines)


def _seconds(moment: dt.datetime | None, began: dt.datetime | None) -> float | None:
    return round((moment - began).total_seconds(), 3) if moment and began else None
