"""The bar, and the lines in a log."""

from __future__ import annotations

import io

from claude_operator.evals.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(out: io.StringIO, total: int = 4) -> str:
    now = 100.0

    def clock() -> float:
        return now

    progress = Progress(out, clock=clock)
    for done in range(1, total + 1):
        now += 60.0
        progress(done, total)
    return out.getvalue()


def test_a_bar_in_a_terminal() -> None:
    shown = written(Terminal()).split("\r")
    assert shown == [
        "",
        "███████░░░░░░░░░░░░░░░░░░░░░░░ 1/4",
        "███████████████░░░░░░░░░░░░░░░ 2/4, 2 min left",
        "██████████████████████░░░░░░░░ 3/4, 1 min left",
        "██████████████████████████████ 4/4            \n",
    ]


def test_lines_elsewhere() -> None:
    lines = written(io.StringIO(), 1000).splitlines()
    assert len(lines) == 10
    assert lines[0] == "100 of 1000, 15 h left"
    assert lines[-1] == "1000 of 1000"


def test_nothing_to_do() -> None:
    out = Terminal()
    Progress(out)(0, 0)
    assert out.getvalue() == ""
