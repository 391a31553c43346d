"""The ledger of a rollout: what was compared at every tick, so that anyone can judge it once more.

It is the data of one ConfigMap of bounded size. `ticks.jsonl` is the present page and `earlier.jsonl` the one before;
`points.jsonl` is the whole rollout, thinned out, for pictures. A page holds a header with the judge's memory and then
the ticks from there on. Another header follows wherever the ticks do not lead from one to the next: after a write that
was lost, and when a quantity has got its edges, which come from values that the ledger does not hold.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from claude_operator.api.deployment import Analysis
from claude_operator.api.status import Judgement, MetricState
from claude_operator.core.judge.engine import NO_OFFSETS, Comparison
from claude_operator.core.judge.lines import read_json, strata, write_json
from claude_operator.core.judge.metrics import METRICS
from claude_operator.core.judge.points import Point, read_points, thinned, write_points

__all__ = ["EARLIER", "LIMIT", "POINTS", "TICKS", "Facts", "appended", "name", "worth"]

TICKS, EARLIER, POINTS = "ticks.jsonl", "earlier.jsonl", "points.jsonl"
LIMIT = 128 * 1024
"""Bytes of all three together, at most."""

_PAGE = 48 * 1024
_NEUTRAL = {
    "errors": NO_OFFSETS.errors,
    "timeToFirstToken": NO_OFFSETS.time_to_first_token,
    "cost": NO_OFFSETS.cost,
}
_POINTS = LIMIT - 2 * _PAGE - 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
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
    facts: Facts,
) -> dict[str, str]:
    """The ConfigMap's data with one more tick, of which `after` is the judgement; never raises for what `data` holds.

    `before.recorded` is the last tick of the ledger as far as status knows: what is newer was written just before a
    crash and never counted, so it is dropped. What is not this rollout's, or damaged, is forgotten.
    """
    began = after.started_at or after.last_tick
    at = _seconds(after.last_tick, began) or 0.0
    recorded = _seconds(before.recorded, began) if before else None
    head = _head(facts, began)
    known = data or {}
    earlier, page = (_page(known.get(key, ""), head, recorded) for key in (EARLIER, TICKS))
    foreign = page is None and bool(known.get(TICKS, "").strip()) and not _same(known[TICKS], head)
    points = [] if foreign else [one for one in read_points(known.get(POINTS, "")) if _reached(one.t, recorded)]

    section = write_json(head | {"ticks": before.ticks if before else 0, "state": _memory(before)})
    lines = _record(at, after, comparisons)
    if page is None:
        page, old = _NOTHING, earlier if earlier and not foreign else _NOTHING
    else:
        old = earlier or _NOTHING
    follows = page.last is not None and page.last == recorded and at > page.last and page.leads_to(head, before)
    new = [*page.lines, *([] if follows else [section]), *lines]
    if _size(new) > _PAGE:
        old, new = (page, [section, *lines]) if page.lines else (old, [section, *lines])
    if _size(new) > _PAGE:  # not even alone; the next one finds a gap and begins with the memory after this one
        new = []
    points.append(Point.of(at, after))
    return {
        TICKS: _text(new),
        EARLIER: _text(old.lines),
        POINTS: write_points(thinned(points, _POINTS)),
    }


class _Page(NamedTuple):
    """A page's lines, its last header with the edges in it by metric, and the time of its last tick."""

    lines: Sequence[str]
    header: Mapping[str, Any]
    edges: Mapping[str, Sequence[int]]
    last: float | None

    def leads_to(self, head: Mapping[str, Any], before: Judgement | None) -> bool:
        """Whether a replay of the page comes to the memory `before` of a tick that is judged as `head` says."""
        if any(self.header.get(key) != value for key, value in head.items()):
            return False
        return all(self.edges.get(state.name, []) == state.edges for state in (before.state if before else ()))


_NOTHING = _Page((), {}, {}, None)


def _page(text: str, head: Mapping[str, Any], recorded: float | None) -> _Page | None:
    """The page without what is newer than `recorded`; None where it is damaged, empty or of another rollout."""
    try:
        return _read(text, head, recorded)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _read(text: str, head: Mapping[str, Any], recorded: float | None) -> _Page | None:
    kept: list[str] = []
    header: Mapping[str, Any] = {}
    last: float | None = None
    waiting: tuple[str, Mapping[str, Any]] | None = None  # a header stays only where a tick follows
    for line in text.splitlines():
        one = read_json(line)
        if "ledger" in one:
            if not _alike(one, head):
                return None
            waiting = line, one
            continue
        t = one["t"]
        if not isinstance(t, int | float) or not isinstance(one["metrics"], dict):
            return None
        if not _reached(t, recorded):
            break
        if waiting:
            kept.append(waiting[0])
            header, waiting = waiting[1], None
        if not header:
            return None
        kept.append(line)
        last = t
    if not kept or len(text) > _PAGE or not text.isascii():
        return None
    return _Page(kept, header, {state["name"]: state.get("edges", []) for state in header["state"]}, last)


def _alike(header: Mapping[str, Any], head: Mapping[str, Any]) -> bool:
    return all(header.get(key) == head[key] for key in ("ledger", "deployment", "revision", "attempt", "startedAt"))


def _same(text: str, head: Mapping[str, Any]) -> bool:
    """Whether a page that cannot be used is at least of this rollout."""
    try:
        return _alike(read_json(text.split("\n", 1)[0]), head)
    except (ValueError, TypeError, AttributeError):
        return False


def _reached(t: float, recorded: float | None) -> bool:
    return recorded is not None and t <= recorded


def _head(facts: Facts, began: dt.datetime | None) -> dict[str, Any]:
    compared = facts.analysis.metrics
    if compared is not None:  # queries may be long, and a replay has no use for them
        compared = [metric for metric in compared if metric.name in METRICS]
    analysis = facts.analysis.model_copy(update={"metrics": compared})
    return {
        "ledger": 1,
        "deployment": facts.deployment,
        "revision": facts.revision,
        "stable": facts.stable,
        "attempt": facts.attempt,
        "startedAt": began.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if began
        else None,
        "analysis": analysis.model_dump(by_alias=True, exclude_none=True, mode="json"),
        "priceRatio": facts.price_ratio,
    }


def _memory(before: Judgement | None) -> list[dict[str, Any]]:
    states: Sequence[MetricState] = before.state if before else ()
    return [state.model_dump(by_alias=True, exclude_defaults=True, mode="json") for state in states]


def _record(at: float, after: Judgement, comparisons: Sequence[Comparison]) -> list[str]:
    """A line a stratum; what was judged stands in the first."""
    start = {"t": at, "weight": after.weight / 10_000}
    judged: dict[str, Any] = {
        "evidence": {state.name: state.evidence for state in after.state},
        "total": after.evidence,
        "verdict": after.verdict,
        "leading": after.leading,
    }
    offsets = next((one for one in after.offsets if one.weight == after.weight), NO_OFFSETS)
    used = {"errors": offsets.errors, "timeToFirstToken": offsets.time_to_first_token, "cost": offsets.cost}
    if used != _NEUTRAL:
        judged["offsets"] = used
    found = strata(comparisons)
    return [write_json(start | {"metrics": one} | (judged if not i else {})) for i, one in enumerate(found)]


def _seconds(moment: dt.datetime | None, began: dt.datetime | None) -> float | None:
    return round((moment - began).total_seconds(), 3) if moment and began else None


def _text(lines: Sequence[str]) -> str:
    return "".join(_lines(lines))


def _lines(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield line
        yield "\n"


def _size(lines: Sequence[str]) -> int:
    """Bytes; what is written here is ASCII."""
    return sum(len(line) + 1 for line in lines)
