"""A dashboard as a picture: its panels in Grafana's grid, drawn from what Prometheus answers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

_COLUMN, _LINE = 50, 30  # pixels of Grafana's units
_WIDTH = 24 * _COLUMN
_PAD, _LEFT, _TITLE, _LEGEND = 8, 58, 26, 15
_MOST = 6  # series in a legend
_STYLE = """
svg{color:#24292f;background:#fff;font:11px system-ui,sans-serif}
text{fill:currentColor}.title{font-weight:600;font-size:12px}.soft{opacity:.7}.row{font-size:14px;font-weight:600}
.panel{fill:none;stroke:currentColor;stroke-opacity:.25}.grid{stroke:currentColor;opacity:.12}
.figure{font-size:26px;font-weight:600;fill:#1a7f37}.alarm{fill:#cf222e}
polyline{fill:none;stroke-width:1.5;stroke-linejoin:round}polygon{fill-opacity:.3}
.s0{stroke:#0969da;fill:#0969da}.s1{stroke:#bc4c00;fill:#bc4c00}.s2{stroke:#1a7f37;fill:#1a7f37}
.s3{stroke:#8250df;fill:#8250df}.s4{stroke:#9a6700;fill:#9a6700}.s5{stroke:#bf3989;fill:#bf3989}polyline{fill:none!important}
@media (prefers-color-scheme:dark){svg{color:#e6edf3;background:#0d1117}.figure{fill:#56d364}.alarm{fill:#ff7b72}
.s0{stroke:#58a6ff;fill:#58a6ff}.s1{stroke:#ffa657;fill:#ffa657}.s2{stroke:#56d364;fill:#56d364}
.s3{stroke:#d2a8ff;fill:#d2a8ff}.s4{stroke:#e3b341;fill:#e3b341}.s5{stroke:#ff9bce;fill:#ff9bce}}
"""
_COLOURS = 6


@dataclass(frozen=True)
class Series:
    """The labels, and (time, value) of what a query found."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


Answer = Callable[[str, bool], Sequence[Series]]
"""What a query finds: over the time that is drawn, or at its end."""


@dataclass(frozen=True)
class Box:
    """Where a panel is, in pixels."""

    x: float
    y: float
    width: float
    height: float


def draw(dashboard: dict[str, Any], answer: Answer, span: tuple[float, float]) -> str:
    """The dashboard as an SVG."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) * _LINE + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        f' role="img">\n<title>{escape(dashboard["title"])}</title>\n<style>{_STYLE}</style>\n',
        _text(_PAD, 24, dashboard["title"], "row"),
    ]
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        box = Box(grid["x"] * _COLUMN, grid["y"] * _LINE + 36, grid["w"] * _COLUMN, grid["h"] * _LINE)
        parts += _panel(panel, box, answer, span)
    return "".join([*parts, "</svg>\n"])


def _panel(panel: dict[str, Any], box: Box, answer: Answer, span: tuple[float, float]) -> Iterator[str]:
    if panel["type"] == "row":
        yield _text(box.x + _PAD, box.y + 20, panel["title"], "row")
        return
    yield (
        f'<rect class="panel" x="{box.x + 3:g}" y="{box.y + 3:g}" width="{box.width - 6:g}" height="{box.height - 6:g}"'
        ' rx="4"/>\n'
    )
    yield _text(box.x + _PAD + 3, box.y + 20, panel["title"], "title")
    found = [
        (target["legendFormat"], one)
        for target in panel["targets"]
        for one in answer(target["expr"], target["instant"])
    ]
    drawn = {"stat": _figure, "table": _table, "timeseries": _lines}[panel["type"]]
    if found:
        yield from drawn(panel, box, found, span)
    else:
        yield _text(box.x + box.width / 2, box.y + box.height / 2, "No data", "soft", "middle")


Found = list[tuple[str, Series]]


def _figure(panel: dict[str, Any], box: Box, found: Found, span: tuple[float, float]) -> Iterator[str]:
    value = found[0][1].points[-1][1]
    defaults = panel["fieldConfig"]["defaults"]
    limits = [step["value"] for step in defaults.get("thresholds", {}).get("steps", []) if step["value"] is not None]
    kind = "figure alarm" if limits and value >= limits[0] else "figure"
    yield _text(box.x + box.width / 2, box.y + box.height / 2 + 18, shown(value, defaults["unit"]), kind, "middle")


def _table(panel: dict[str, Any], box: Box, found: Found, span: tuple[float, float]) -> Iterator[str]:
    columns = [name for name in ("namespace", "name", "type", "status", "reason") if name in found[0][1].labels]
    rows = [columns, *sorted([one.labels[name] for name in columns] for _, one in found)]
    for number, row in enumerate(rows[: int(box.height / 18) - 2]):
        for column, value in enumerate(row):
            x = box.x + 14 + column * (box.width - 20) / len(columns)
            yield _text(x, box.y + 44 + number * 18, value, "soft" if number == 0 else "")


def _lines(panel: dict[str, Any], box: Box, found: Found, span: tuple[float, float]) -> Iterator[str]:
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    logarithmic = defaults["custom"]["scaleDistribution"]["type"] == "log"
    named = [(_legend(legend, one), one.points) for legend, one in found]
    curves = _stack(named) if stacked else named
    values = [value for _, points in curves for _, value in points if math.isfinite(value)]
    if not values:
        yield _text(box.x + box.width / 2, box.y + box.height / 2, "No data", "soft", "middle")
        return
    rows = math.ceil(min(len(named), _MOST) / 2)
    plot = Box(box.x + _LEFT, box.y + _TITLE + 8, box.width - _LEFT - 16, box.height - _TITLE - 34 - rows * _LEGEND)
    scale = _Scale(plot, span, values, logarithmic)
    for value in scale.ticks():
        y = scale.y(value)
        yield f'<line class="grid" x1="{plot.x:g}" x2="{plot.x + plot.width:g}" y1="{y:.1f}" y2="{y:.1f}"/>\n'
        yield _text(plot.x - 5, y + 4, shown(value, defaults["unit"]), "soft", "end")
    for part in (0.0, 0.5, 1.0):
        at = span[0] + part * (span[1] - span[0])
        end = ("start", "middle", "end")[int(part * 2)]
        yield _text(scale.x(at), plot.y + plot.height + 14, f"{at - span[0]:.0f} s", "soft", end)
    for number, (_, points) in reversed(list(enumerate(curves))):
        line = " ".join(f"{scale.x(t):.1f},{scale.y(value):.1f}" for t, value in points if math.isfinite(value))
        colour = f"s{number % _COLOURS}"
        if stacked and line:
            floor, times = plot.y + plot.height, [t for t, value in points if math.isfinite(value)]
            area = f"{scale.x(times[0]):.1f},{floor:.1f} {line} {scale.x(times[-1]):.1f},{floor:.1f}"
            yield f'<polygon class="{colour}" stroke="none" points="{area}"/>\n'
        yield f'<polyline class="{colour}" points="{line}"/>\n'
    for number, (name, _) in enumerate(named[:_MOST]):
        x, y = plot.x + (number % 2) * plot.width / 2, plot.y + plot.height + 28 + (number // 2) * _LEGEND
        yield f'<rect class="s{number % _COLOURS}" x="{x:g}" y="{y - 7:g}" width="10" height="4"/>\n'
        text = name if number < _MOST - 1 or len(named) == _MOST else f"and {len(named) - number} more"
        yield _text(x + 15, y, text[: int(plot.width / 13)], "soft")


class _Scale:
    """Where a time and a value are."""

    def __init__(self, plot: Box, span: tuple[float, float], values: Sequence[float], logarithmic: bool) -> None:
        self._plot, self._span, self._logarithmic = plot, span, logarithmic
        positive = [value for value in values if value > 0] or [1.0]
        if logarithmic:
            self._low = math.floor(math.log10(max(min(positive), 1e-6)))
            self._high = max(math.ceil(math.log10(min(max(positive), 1e12))), self._low + 1)
        else:
            most = max(values) or 1.0
            step = 10.0 ** math.floor(math.log10(most))
            self._low, self._high = (
                0,
                next(step * factor for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * factor >= most),
            )

    def x(self, t: float) -> float:
        return self._plot.x + (t - self._span[0]) / (self._span[1] - self._span[0]) * self._plot.width

    def y(self, value: float) -> float:
        if self._logarithmic:
            value = math.log10(max(value, 10.0**self._low))
        share = (min(value, self._high) - self._low) / (self._high - self._low)
        return self._plot.y + (1 - share) * self._plot.height

    def ticks(self) -> list[float]:
        if self._logarithmic:
            every = math.ceil((self._high - self._low) / 4)
            return [10.0**power for power in range(int(self._low), int(self._high) + 1, every)]
        return [self._high * part / 4 for part in range(5)]


def _stack(
    named: list[tuple[str, tuple[tuple[float, float], ...]]],
) -> list[tuple[str, tuple[tuple[float, float], ...]]]:
    sums: dict[float, float] = {}
    stacked = []
    for name, points in named:
        upper = []
        for t, value in points:
            sums[t] = sums.get(t, 0.0) + (value if math.isfinite(value) else 0.0)
            upper.append((t, sums[t]))
        stacked.append((name, tuple(upper)))
    return stacked


def _legend(legend: str, series: Series) -> str:
    if not legend:
        return ", ".join(f"{name}={value}" for name, value in series.labels.items())
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: series.labels.get(match[1], ""), legend)


def shown(value: float, unit: str) -> str:
    """A value with its unit, short."""
    if not math.isfinite(value):
        return "–"
    if unit in ("percentunit", "percent"):
        return f"{value * (100 if unit == 'percentunit' else 1):.3g} %"
    if unit == "currencyUSD":
        return f"${value:.3g}"
    if unit == "s" and abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    suffix = {"s": " s", "reqps": "/s", "ops": "/s", "bytes": "B"}.get(unit, "")
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}{suffix.strip()}"
    return f"{value:.3g}{suffix}"


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}"' + (f' text-anchor="{anchor}"' if anchor != "start" else "")
    return f"<text {where}{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{escape(text)}</text>\n"
