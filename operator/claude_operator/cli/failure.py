"""How a command ends: exit codes, and the one error that is told as a sentence."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Exit", "Failure"]


class Exit(IntEnum):
    """Exit codes; docs/cli.md has them for people."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    TIMED_OUT = 3
    ROLLED_BACK = 4
    ABORTED = 5
    EVAL_FAILED = 6
    REJECTED = 7
    SUPERSEDED = 8
    FOUND = 9
    INTERRUPTED = 130


class Failure(Exception):  # noqa: N818  (what a person is told)
    """A command cannot do what was asked: a sentence, and the exit code."""

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code
