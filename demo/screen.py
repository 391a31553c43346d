"""The demo on a terminal: lines that stay, and below them one that lives. Elsewhere plain lines, for logs."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from demo.story import Row
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

_STYLES = {"plain": "", "good": "green", "bad": "bold red", "warning": "yellow"}
_WIDTHS = (7, 8, 7)  # time, revision, weight


class Screen:
    """Use as a context; `show` says what the living line tells."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self._state: Callable[[], str] = str
        self._console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        self._live = Live(
            console=self._console, refresh_per_second=4, get_renderable=self._bottom, transient=True, auto_refresh=True
        )
        self._spinner = Spinner("dots")

    @property
    def live(self) -> bool:
        """Whether a person watches."""
        return self._console.is_terminal

    def __enter__(self) -> Screen:
        if self.live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live:
            self._live.stop()

    def show(self, state: Callable[[], str]) -> None:
        """Have the living line tell this from now on; `str` leaves it empty."""
        self._state = state
        if self.live:
            self._live.refresh()

    def say(self, text: str = "", style: str = "") -> None:
        """A line."""
        self._console.print(Text(text, style=style))

    def heading(self, label: str, title: str, shell: str = "") -> None:
        """What the team does next, and the command that does it."""
        self.say()
        self._console.print(Text.assemble((f"{self._clock()}{label}", "bold cyan"), (f"  {title}", "bold")))
        if shell:
            self.say(f"{'':{_WIDTHS[0]}}$ {shell}", "dim")

    def columns(self) -> None:
        """The names of the columns."""
        self.say()
        time_, revision, weight = _WIDTHS
        self.say(f"{'time':<{time_}}{'revision':<{revision + 1}} {'weight':>{weight}}  what happened", "bold")

    def row(self, row: Row, revision: str, text: str) -> None:
        """A transition; its text is wrapped under itself."""
        style = _STYLES[row.mood]
        weight = f"{row.weight:g} %"
        head = f"{self._clock()}{revision:<{_WIDTHS[1] + 1}} {weight:>{_WIDTHS[2]}}  "
        if not self.live:
            self.say(head + text)
            return
        grid = Table.grid()
        grid.add_column(width=len(head), no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(Text(head), Text(text, style=style))
        self._console.print(grid)

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Something long: on a terminal a spinner with the seconds, then a line with how long it took."""
        begun, before = time.monotonic(), self._state
        self.show(lambda: f"{title} … {time.monotonic() - begun:.0f} s")
        if not self.live:
            self.say(f"{self._clock()}{title} …")
        try:
            yield
        finally:
            self.show(before)
        self.say(f"{self._clock()}{title}: {time.monotonic() - begun:.1f} s")

    def table(self, names: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> None:
        """A small table; all columns but the first two are numbers."""
        widths = [max(len(line[number]) for line in [names, *lines]) for number in range(len(names))]
        for number, line in enumerate([names, *lines]):
            cells = [
                f"{cell:<{width}}" if column < 2 else f"{cell:>{width}}"
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            self.say("  ".join(cells).rstrip(), "" if number else "bold")

    def _bottom(self) -> Text | Spinner:
        text = self._state()
        if not text:
            return Text("")
        self._spinner.update(text=Text(text, style="cyan", no_wrap=True, overflow="ellipsis"))
        return self._spinner

    def _clock(self) -> str:
        seconds = time.monotonic() - self.begun
        return f"{f'{int(seconds // 60)}:{seconds % 60:04.1f}':<{_WIDTHS[0]}}"
