"""Tables, bars and moments, as all views draw them."""

from __future__ import annotations

import datetime as dt
import io
import re
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from claude_operator.core.text import duration

__all__ = ["STYLES", "ago", "bar", "fields", "moment", "table", "to_text", "visible"]

STYLES = {
    "Promoted": "green",
    "True": "green",
    "InProgress": "cyan",
    "Paused": "yellow",
    "Warning": "yellow",
    "Unknown": "yellow",
    "Superseded": "yellow",
    "False": "red",
    "RolledBack": "bold red",
    "Aborted": "bold red",
    "EvalFailed": "bold red",
    "Rejected": "bold red",
}
"""Colours of phases, conditions and Events; each is told by its word too."""


# Raw, they would steer a terminal or turn the direction of text: prompts, Events and logs are written by others.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")


def visible(value: Any) -> Any:
    """Facts or a text with characters that steer shown as \\u and four digits."""
    if isinstance(value, str):
        return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    if isinstance(value, dict):
        return {visible(key): visible(one) for key, one in value.items()}
    return [visible(one) for one in value] if isinstance(value, list | tuple) else value


def moment(text: str | None) -> dt.datetime | None:
    """A time as the API writes it; None for none."""
    if not text:
        return None
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return None


def ago(text: str | None, now: dt.datetime) -> str:
    """How long something is past, `3 min 20 s`; empty where it is not known."""
    then = moment(text)
    return "" if then is None else duration(max((now - then).total_seconds(), 0.0))


def bar(share: float, width: int = 24) -> str:
    """A bar that is full at 1; anything above 0 shows."""
    full = min(max(share, 0.0), 1.0)
    cells = width if full == 1.0 else min(max(round(full * width), 1 if full > 0.0 else 0), width - 1)
    return "█" * cells + "·" * (width - cells)


def table(*headings: str) -> Table:
    """A table as kubectl prints one: no lines, headings in capitals."""
    made = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold", show_edge=False)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def fields(rows: dict[str, RenderableType | None]) -> Table:
    """Names and values, those without a value left out."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows.items():
        if value is not None and value != "":
            made.add_row(name, Text(value) if isinstance(value, str) else value)
    return made


def to_text(view: RenderableType, width: int = 120) -> str:
    """As plain text, without colours and blanks at the ends of lines."""
    target = io.StringIO()
    plain = Console(
        file=target, width=width, color_system=None, force_terminal=False, highlight=False, markup=False, emoji=False
    )
    plain.print(view)
    return "\n".join(line.rstrip() for line in target.getvalue().splitlines()) + "\n"
