"""Text of others, made fit for a terminal, a page or a log: what is not seen is named."""

from __future__ import annotations

from collections.abc import Sequence

from claude_operator.core.evals.summary import Metric
from claude_operator.core.text import is_seen

__all__ = ["columns", "dollars", "line", "metric_difference", "metric_value", "points", "printable", "rate"]


def printable(text: str) -> str:
    """`text` without characters that move the cursor, turn the writing round or are not seen: their number instead."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if is_seen(char) else f"⟨U+{ord(char):04X}⟩" for char in text.replace("\r\n", "\n"))


def line(text: str, longest: int = 100) -> str:
    """`text` in one line, cut to `longest` characters."""
    flat = " ".join(printable(text[: 4 * longest]).split())
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{text}\n" for text in padded)


def rate(share: float | None) -> str:
    """A share of 1 as a percentage, `-` where it is not known; only all of it is 100.0%, and only none 0.0%."""
    if share is not None and 0 < share < 1:
        share = min(max(share, 0.001), 0.999)
    return "-" if share is None else f"{share:.1%}"


def points(difference: float | None) -> str:
    """A difference of two shares in percentage points, `-` where it is not known."""
    return "-" if difference is None else f"{100 * difference:+.1f}"


def metric_value(metric: Metric, value: float) -> str:
    """A mean of a metric, in its unit."""
    if metric.is_share:
        return rate(value)
    return dollars(value) if metric.metric == "cost" else f"{value:.2f} s"


def metric_difference(metric: Metric, value: float, *, signed: bool = True) -> str:
    """A difference in a metric: percentage points, or a percentage of the baseline."""
    text = f"{100 * value:{'+' if signed else ''}.1f}"
    return f"{text} points" if metric.is_share else f"{text}%"


def dollars(cost: float | None) -> str:
    """US dollars, small sums with more digits."""
    return "unknown" if cost is None else f"${cost:.{4 if cost >= 0.01 or not cost else 6}f}"
