"""A rollout as a picture needs it: a point a tick, thinned out where there are many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from claude_operator.api.status import Judgement
from claude_operator.core.judge.ledger.lines import read_json, write_json

__all__ = ["Point", "of_replay", "read_points", "thinned", "with_point", "write_points"]

_MOST = 300


class Point(NamedTuple):
    """One tick. `t` in seconds since the start, `percent` of conversations on the canary."""

    t: float
    percent: float
    total: float
    evidence: Mapping[str, float]
    verdict: str

    @classmethod
    def of(cls, t: float, judgement: Judgement) -> Point:
        """Three digits are enough for the eye."""
        evidence = {state.name: _rounded(state.evidence) for state in judgement.state}
        return cls(t, judgement.weight / 100, _rounded(judgement.evidence), evidence, judgement.verdict)


def of_replay(ticks: Iterable[Mapping[str, Any]]) -> list[Point]:
    """From what a replay says; a tick without a weight uses that of the one before."""
    found: list[Point] = []
    percent = 0.0
    for tick in ticks:
        percent = percent if tick["weight"] is None else 100.0 * tick["weight"]
        found.append(Point(tick["t"], percent, tick["total"], tick["evidence"], tick["verdict"]))
    return found


def read_points(text: str) -> list[Point]:
    """One point a line; those that are damaged are left out."""
    found = (_read(line) for line in text.splitlines())
    return [point for point in found if point is not None]


def write_points(points: Sequence[Point]) -> str:
    """One point a line."""
    return "".join(map(_line, points))


def with_point(text: str, point: Point, *, recorded: float | None, size: int) -> str:
    """One point a line with another one after those until `recorded`, thinned out to at most `size` bytes.

    Points that end with the one at `recorded`, in order, are not read again before there are too many of them.
    """
    line = _line(point)
    last = text[text.rfind("\n", 0, -1) + 1 :]
    if (
        recorded is not None
        and recorded < point.t
        and last.startswith(f"[{write_json(recorded)},")
        and last.endswith("]\n")
        and text.count("\n") < _MOST
        and len(text) + len(line) <= size
        and text.isascii()
    ):
        return text + line
    # A clock that went back leaves none in its future, so the last point is the newest.
    known = [one for one in read_points(text) if recorded is not None and one.t <= min(recorded, point.t)]
    return write_points(thinned([*known, point], size))


def thinned(points: Sequence[Point], size: int) -> list[Point]:
    """At most 300 points, and at most `size` bytes where they are written: every second one goes, as often as needed.

    A change of weight or verdict stays as long as that is possible, and the last point always.
    """
    kept = list(points)
    while len(kept) > _MOST or len(write_points(kept)) > size:
        before = len(kept)
        last = kept.pop()
        inner = [
            one
            for index, one in enumerate(kept)
            if index % 2 == 0 or (one.percent, one.verdict) != (kept[index - 1].percent, kept[index - 1].verdict)
        ]
        kept = [*(inner if len(inner) + 1 < before else kept[::2]), last]
        if len(kept) == before:  # a last point of such a size
            return []
    return kept


def _line(point: Point) -> str:
    return write_json([point.t, point.percent, point.total, point.evidence, point.verdict]) + "\n"


def _read(line: str) -> Point | None:
    try:
        t, percent, total, evidence, verdict = read_json(line)
        numbers = [float(one) for one in (t, percent, total, *evidence.values())]
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
    if not all(map(math.isfinite, numbers)) or not isinstance(verdict, str):
        return None
    return Point(numbers[0], numbers[1], numbers[2], dict(zip(evidence, numbers[3:], strict=True)), verdict)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
