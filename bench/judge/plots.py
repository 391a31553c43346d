"""Two plots in SVG: how often each rule is wrong, and how many requests it takes to be right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from bench.judge.report import rule_title, title
from bench.judge.runner import Cell
from bench.judge.scenarios import SCENARIOS, Scenario

__all__ = ["detection", "false_rollbacks"]

_ROW, _LABELS, _WIDTH, _HEAD, _FOOT, _GAP = 20, 400, 340, 34, 30, 24
_OURS, _OTHER, _INK, _FAINT = "#b4501e", "#7a8794", "#22262a", "#d9dde1"

Draw = Callable[[Cell, float], list[str]]
"""The marks of a cell in the row around y, x from 0 to `_WIDTH`."""


def false_rollbacks(cells: Sequence[Cell], requests_per_second: float = 50.0) -> str:
    """Bars with 95 % intervals, a panel for each scenario of that traffic in which the canary is no worse."""

    def draw(cell: Cell, y: float) -> list[str]:
        low, high = (_WIDTH * edge for edge in cell.rate_interval)
        return [
            f'<rect x="0" y="{y - 6}" width="{_WIDTH * cell.rate:.1f}" height="12" fill="{_colour(cell)}"/>',
            f'<path d="M{low:.1f} {y}H{high:.1f}" stroke="{_INK}"/>',
            _text(high + 6, y + 4, f"{100 * cell.rate:.3g} %"),
        ]

    ticks = [(_WIDTH * share / 100, f"{share} %") for share in (0, 25, 50, 75, 100)]
    panels = [one for one in SCENARIOS if one.null and one.families and one.requests_per_second == requests_per_second]
    heading = f"Rollouts rolled back though the canary was no worse, {requests_per_second:g} requests/s"
    return _figure(heading, panels, cells, ticks, draw)


def detection(cells: Sequence[Cell]) -> str:
    """Dots at the median number of canary requests until the rollback, a panel for each regression of errors.

    A hollow dot was found in fewer than 95 % of the rollouts; its share is written beside it.
    """

    def place(requests: float) -> float:
        return _WIDTH * math.log10(max(requests, 1.0)) / 4.5

    def draw(cell: Cell, y: float) -> list[str]:
        if cell.median_requests is None:
            return [_text(0, y + 4, "never")]
        x = place(cell.median_requests)
        sure = cell.rate >= 0.95
        fill = _colour(cell) if sure else "#fff"
        marks = [f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{fill}" stroke="{_colour(cell)}" stroke-width="2"/>']
        end = x
        if cell.median_requests_interval:
            low, end = (place(edge) for edge in cell.median_requests_interval)
            marks.insert(0, f'<path d="M{low:.1f} {y}H{end:.1f}" stroke="{_INK}"/>')
        share = "" if sure else f" · {100 * cell.rate:.0f} %"
        return [*marks, _text(max(x + 9, end + 5), y + 4, f"{cell.median_requests:.0f}{share}")]

    ticks = [(place(10**power), f"{10**power}") for power in range(5)]
    panels = [one for one in SCENARIOS if not one.null and "errors" in one.families]
    return _figure("Canary requests until the rollback, median", panels, cells, ticks, draw)


def _figure(
    heading: str, panels: Sequence[Scenario], cells: Sequence[Cell], ticks: Sequence[tuple[float, str]], draw: Draw
) -> str:
    """Panels below each other, a row a rule."""
    found = {one.name: [cell for cell in cells if cell.scenario == one.name and "/" not in cell.rule] for one in panels}
    body, top = [_text(16, 26, heading, size=16, weight="bold")], 44
    for one in panels:
        rows = found[one.name]
        if not rows:
            continue
        body += _panel(title(one), rows, top, ticks, draw)
        top += _HEAD + _ROW * len(rows) + _FOOT + _GAP
    width = _LABELS + _WIDTH + 120
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" width="{width}" height="{top}" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="{_INK}">\n<rect width="100%" height="100%" '
        'fill="#fff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _panel(name: str, rows: Sequence[Cell], top: int, ticks: Sequence[tuple[float, str]], draw: Draw) -> list[str]:
    height = _ROW * len(rows)
    marks = [_text(16, top + 16, name, weight="bold"), f'<g transform="translate({_LABELS} {top + _HEAD})">']
    for x, label in ticks:
        marks.append(f'<path d="M{x:.1f} 0V{height}" stroke="{_FAINT}"/>')
        marks.append(_text(x, height + 16, label, anchor="middle"))
    for row, cell in enumerate(rows):
        y = _ROW * row + _ROW / 2
        marks.append(_text(-10, y + 4, rule_title(cell.rule), anchor="end", weight=_weight(cell)))
        marks += draw(cell, y)
    return [*marks, "</g>"]


def _colour(cell: Cell) -> str:
    return _OURS if cell.rule.startswith("ours") else _OTHER


def _weight(cell: Cell) -> str:
    return "bold" if cell.rule == "ours" else "normal"


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}">'
        f"{escape(text)}</text>"
    )
