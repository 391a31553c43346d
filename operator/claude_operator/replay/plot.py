"""A rollout as a picture: weight and evidence over time, an SVG that follows the reader's light or dark theme."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from claude_operator.core.judge.ledger.points import Point
from claude_operator.core.text import duration

__all__ = ["plot"]

_WIDTH, _HEIGHT = 900, 520
_LEFT, _RIGHT, _TOP = 70, 800, 62
_WEIGHTS = 100  # height of the upper panel
_GAP = 26
_ROW, _COLUMN = 17, 146  # of the legend
_FLOOR, _CEILING = 1e-3, 1e12  # what is beyond lies on the border: far from every decision
_LONGEST = 90  # characters of a title
_CHARACTER = 7  # width of a letter of 12 px, about
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_STYLE = """
svg{color:#24292f;background:#fff;font:12px system-ui,sans-serif}
text{fill:currentColor}.title{font-size:14px;font-weight:600}.soft{opacity:.7}
.grid{stroke:currentColor;opacity:.15}.axis{stroke:currentColor;opacity:.5;fill:none}
.weight{fill:#54aeff;fill-opacity:.35;stroke:#0969da;stroke-width:1.5}
.limit{stroke:#cf222e;stroke-width:1.5;stroke-dasharray:6 4}.limit-text,.bad{fill:#cf222e}
.good{fill:#1a7f37}.mark{stroke:currentColor;stroke-dasharray:2 3}
polyline,.key{fill:none;stroke-width:1.4;stroke-linejoin:round}
.leading{stroke-width:3}.all{stroke:currentColor;stroke-width:2;stroke-dasharray:7 3}
.m0{stroke:#0969da}.m1{stroke:#bc4c00}.m2{stroke:#1a7f37}.m3{stroke:#8250df}.m4{stroke:#9a6700}.m5{stroke:#bf3989}
@media (prefers-color-scheme:dark){svg{color:#e6edf3;background:#0d1117}
.weight{fill:#388bfd;stroke:#58a6ff}.limit{stroke:#ff7b72}.limit-text,.bad{fill:#ff7b72}.good{fill:#56d364}
.m0{stroke:#58a6ff}.m1{stroke:#ffa657}.m2{stroke:#56d364}.m3{stroke:#d2a8ff}.m4{stroke:#e3b341}.m5{stroke:#ff9bce}}
"""
_COLOURS = 6
_DASHES = ("", "1 3", "8 3 2 3")  # where colours come round again


def plot(points: Sequence[Point], *, threshold: float = 100.0, leading: str | None = None, title: str = "") -> str:
    """An SVG of 900 × 520: above the canary's weight, below each metric's evidence on a logarithmic axis.

    `threshold`: total evidence at which traffic goes back. `leading`: the metric that decides, drawn thickest. A
    verdict `Fail` is marked as the rollback, a weight of 100 % as the promotion. Raises `ValueError` without a point.
    """
    if not points:
        raise ValueError("there is no tick to draw: write a ledger or a file of ticks with at least one")
    return "".join(_Picture(points, threshold, leading, title).parts())


class _Picture:
    def __init__(self, points: Sequence[Point], threshold: float, leading: str | None, title: str) -> None:
        self.points, self.threshold, self.leading = points, threshold, leading
        self.title = title if len(title) <= _LONGEST else f"{title[: _LONGEST - 1]}…"
        self.start, self.end = points[0].t, points[-1].t
        if self.end <= self.start:
            self.end = self.start + 1.0
        names = dict.fromkeys(name for point in points for name in point.evidence)
        self.names = list(names)
        # The legend takes what it needs, the lower panel the rest.
        rows = math.ceil((len(self.names) + 1) / ((_RIGHT - _LEFT) // _COLUMN))
        self.upper = (_TOP, _TOP + _WEIGHTS)
        self.lower = (_TOP + _WEIGHTS + _GAP, _HEIGHT - 50 - rows * _ROW)
        self.decades = self._decades()
        self.failed = next((point for point in points if point.verdict == "Fail"), None)
        # Once traffic has gone back, the canary has none.
        self.promoted = None if self.failed else next((point for point in points if point.percent >= 100), None)

    def parts(self) -> Iterator[str]:
        label = escape(self.title or "A rollout: weight and evidence over time")
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
            f' height="{_HEIGHT}" role="img" aria-label="{label}">\n<title>{label}</title>\n<style>{_STYLE}</style>\n'
        )
        yield _text(_LEFT, 20, label, kind="title")
        yield from self._time_axis()
        yield from self._weights()
        yield from self._evidence()
        yield from self._markers()
        yield from self._legend()
        yield "</svg>\n"

    def x(self, t: float) -> float:
        return _LEFT + (t - self.start) / (self.end - self.start) * (_RIGHT - _LEFT)

    def y(self, evidence: float) -> float:
        low, high = self.decades
        top, bottom = self.lower
        log = math.log10(min(max(evidence, _FLOOR), _CEILING))
        return bottom - (min(max(log, low), high) - low) / (high - low) * (bottom - top)

    def _decades(self) -> tuple[int, int]:
        """Powers of ten that the axis of evidence goes from and to; 1 and the threshold are on it."""
        seen = [value for point in self.points for value in (point.total, *point.evidence.values())]
        least, most = min([*seen, 0.1]), max([*seen, 2.0 * self.threshold])
        low = math.floor(math.log10(max(least, _FLOOR)))
        return low, math.ceil(math.log10(min(most, _CEILING)))

    def _time_axis(self) -> Iterator[str]:
        unit, size = _unit(self.end - self.start)
        bottom = self.lower[1]
        for value in _steps(self.start / size, self.end / size, 10):
            x = self.x(value * size)
            for top, end in (self.upper, self.lower):
                yield _line(x, top, x, end, "grid")
            yield _text(x, bottom + 17, f"{value:g}", anchor="middle", kind="soft")
        yield _text((_LEFT + _RIGHT) / 2, bottom + 33, f"time since the judge began ({unit})", anchor="middle")
        for top, end in (self.upper, self.lower):
            yield f'<path class="axis" d="M{_LEFT},{top}V{end}H{_RIGHT}"/>\n'

    def _weights(self) -> Iterator[str]:
        top, bottom = self.upper
        most = max(point.percent for point in self.points)
        ceiling = next(value for value in (1, 2, 5, 10, 20, 50, 100) if value >= min(most, 100))

        def y(percent: float) -> float:
            return bottom - min(percent, ceiling) / ceiling * (bottom - top)

        for part in (0.0, 0.5, 1.0):
            yield _text(_LEFT - 8, y(part * ceiling) + 4, f"{part * ceiling:g}", anchor="end", kind="soft")
            yield _line(_LEFT, y(part * ceiling), _RIGHT, y(part * ceiling), "grid")
        yield _upright(16, (top + bottom) / 2, "weight (%)")
        steps = (
            f"H{self.x(point.t):.1f}V{y(0.0 if self._gone(point) else point.percent):.1f}" for point in self.points
        )
        yield f'<path class="weight" d="M{_LEFT},{bottom}{"".join(steps)}H{_RIGHT}V{bottom}Z"/>\n'
        free, before = -math.inf, None
        for point in self.points:
            label = f"{point.percent:g} %"
            wide = len(label) * _CHARACTER
            x = min(self.x(point.t) + 3, _RIGHT - wide)
            if point.percent != before and not self._gone(point) and x >= free:
                yield _text(x, max(y(point.percent) - 4, top + 12), label)
                free = x + wide + 5
            before = point.percent

    def _gone(self, point: Point) -> bool:
        return self.failed is not None and point.t >= self.failed.t

    def _evidence(self) -> Iterator[str]:
        low, high = self.decades
        every = math.ceil((high - low) / 7)
        for power in range(low, high + 1):
            if power % every == 0:
                y = self.y(10.0**power)
                yield _line(_LEFT, y, _RIGHT, y, "grid")
                yield _text(_LEFT - 8, y + 4, _power(power), anchor="end", kind="soft")
        yield _upright(16, (self.lower[0] + self.lower[1]) / 2, "evidence of harm")
        y = self.y(self.threshold)
        yield _line(_LEFT, y, _RIGHT, y, "limit")
        yield _text(_RIGHT + 6, y - 2, "goes back", kind="limit-text")
        yield _text(_RIGHT + 6, y + 12, f"at {self.threshold:.4g}", kind="limit-text")
        for index, name in sorted(enumerate(self.names), key=lambda item: item[1] == self.leading):
            where = [(point.t, point.evidence[name]) for point in self.points if name in point.evidence]
            yield self._curve(where, self._kind(index, name), _DASHES[index // _COLOURS % len(_DASHES)])
        if len(self.names) > 1:
            yield self._curve([(point.t, point.total) for point in self.points], "all", "")

    def _curve(self, where: Sequence[tuple[float, float]], kind: str, dashes: str) -> str:
        if len(where) == 1:
            where = [where[0], (where[0][0] + (self.end - self.start) / 100.0, where[0][1])]
        drawn = " ".join(f"{self.x(t):.1f},{self.y(value):.1f}" for t, value in where)
        return f'<polyline class="{kind}"{_dashed(dashes)} points="{drawn}"/>\n'

    def _kind(self, index: int, name: str) -> str:
        return f"m{index % _COLOURS}{' leading' if name == self.leading else ''}"

    def _markers(self) -> Iterator[str]:
        point = self.failed or self.promoted
        if point is None:
            return
        x, after = self.x(point.t), duration(max(point.t, 0.0))
        why = f": {self.leading}" if self.failed and self.leading else ""
        label = f"rolled back after {after}{why}" if self.failed else f"promoted after {after}"
        yield _line(x, _TOP - 8, x, self.lower[1], "mark")
        half = len(label) * _CHARACTER / 2
        middle = min(max(x, _LEFT + half), _WIDTH - 8 - half)
        yield _text(middle, _TOP - 13, escape(label), anchor="middle", kind="bad" if self.failed else "good")

    def _legend(self) -> Iterator[str]:
        entries = [
            (name, self._kind(index, name), _DASHES[index // _COLOURS % len(_DASHES)])
            for index, name in enumerate(self.names)
        ]
        if len(self.names) > 1:
            entries.append(("all, weighted", "all", ""))
        columns = (_RIGHT - _LEFT) // _COLUMN
        for index, (name, kind, dashes) in enumerate(entries):
            x = _LEFT + index % columns * _COLUMN
            y = self.lower[1] + 51 + index // columns * _ROW
            yield f'<path class="key {kind}"{_dashed(dashes)} d="M{x},{y}h22"/>\n'
            yield _text(x + 28, y + 4, escape(name))


def _unit(span: float) -> tuple[str, float]:
    """Name and seconds of the unit for so many seconds."""
    if span <= 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if span <= 3 * 3600 else ("hours", 3600.0)


def _steps(low: float, high: float, most: int) -> Iterator[float]:
    """Round numbers from `low` to `high`, at most so many."""
    raw = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return (round(index * step, 9) for index in range(first, math.floor(high / step + 1e-9) + 1))


def _power(power: int) -> str:
    return f"{10.0**power:g}" if -3 <= power <= 3 else f"10{str(power).translate(_SUPERSCRIPTS)}"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>\n'


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>\n'


def _upright(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y:.1f}" text-anchor="middle" transform="rotate(-90 {x} {y:.1f})">{text}</text>\n'


def _dashed(dashes: str) -> str:
    return f' stroke-dasharray="{dashes}"' if dashes else ""
