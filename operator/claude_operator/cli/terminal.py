"""What commands print: facts as JSON or YAML, views for people, and lines of a log where nobody watches."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from typing import Any, Literal

import yaml
from rich.console import Console, RenderableType
from rich.text import Text

from claude_operator.cli.view.paint import visible

__all__ = ["Form", "Terminal"]

Form = Literal["table", "json", "yaml", "csv", "sarif"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Terminal:
    """Standard output for results, standard error for what is said beside them."""

    def __init__(self, form: Form) -> None:
        self.form: Form = form
        # Lines that go to a file or a pipe are not broken at 80 columns.
        wide = None if sys.stdout.isatty() else 200
        # What others wrote is no markup.
        self.console = Console(highlight=False, markup=False, emoji=False, width=wide, soft_wrap=False)
        self._beside = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)

    @property
    def is_live(self) -> bool:
        """Whether a person watches a terminal that can be painted again."""
        return self.form == "table" and self.console.is_terminal and not self.console.is_dumb_terminal

    def show(self, facts: Any, view: RenderableType, *, wrap: bool = True) -> None:
        """The result, as it was asked for. Without `wrap` a line stays one, however long."""
        if self.form == "json":
            sys.stdout.write(visible(json.dumps(facts, indent=2, ensure_ascii=False)) + "\n")
        elif self.form == "yaml":
            yaml.safe_dump(facts, sys.stdout, sort_keys=False, allow_unicode=visible(facts) == facts, width=120)
        else:
            self.console.print(Text(visible(view)) if isinstance(view, str) else view, soft_wrap=not wrap)
        sys.stdout.flush()

    def rows(self, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """The result as CSV. What a spreadsheet would take for a formula is a text."""
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(headings)
        writer.writerows([_cell(value) for value in row] for row in rows)
        sys.stdout.flush()

    def line(self, text: str, style: str = "") -> None:
        """A line of what happens while a command waits; beside the result where that is for a program."""
        console = self.console if self.form == "table" else self._beside
        console.print(Text(visible(text), style=style), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Something that a person should know, on standard error."""
        self._beside.print(Text(f"warning: {visible(text)}", style="yellow"))

    def fail(self, text: str) -> None:
        """Why the command ends without doing what was asked."""
        self._beside.print(Text(f"error: {visible(text)}", style="red"))


def _cell(value: object) -> object:
    text = visible(value)
    return f"'{text}" if isinstance(text, str) and text[:1] in _FORMULA else text
