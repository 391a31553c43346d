"""Users' regular expressions, tried in a process of their own: Python's `re` can neither be interrupted nor bounded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from claude_operator.core.evals.checks import Matches
from claude_operator.core.evals.sets import Item

__all__ = ["LIMIT", "InvalidPattern", "Patterns"]

LIMIT = 2.0  # seconds of a processor for one pattern on one answer
_LATE = 30.0  # seconds of waiting after which the process counts as stuck, whatever it is doing
_MEMORY = 256 * 2**20  # bytes of address space
_GIVE_UP = 10  # answers on which a pattern was too slow, after which it is not tried any more
_SLOW_AT_START = 5  # patterns that take too long to compile, after which the others are compiled when they are needed
_SHOWN = 80  # characters of a pattern in a message
_WORKER = Path(__file__).with_name("pattern_worker.py")


class InvalidPattern(ValueError):  # noqa: N818  what the set is
    """A pattern that is no regular expression of Python's `re`; the message names the item and why."""


class Patterns:
    """One process, started when it is first needed, killed and replaced when a pattern takes too long."""

    def __init__(self, limit: float = LIMIT) -> None:
        self._limit = limit
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._slow: Counter[str] = Counter()
        self.started = 0
        """Processes so far."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def check(self, items: Iterable[Item]) -> None:
        """Compile all patterns; raises InvalidPattern. One that takes too long to compile fails on each answer."""
        places: dict[str, str] = {}
        for item in items:
            for check in item.checks:
                if check.type == "regex":
                    places.setdefault(check.value, item.place)
        left, slow = list(places), 0
        async with self._turn:
            while left and slow < _SLOW_AT_START:
                answers = await self._ask(left, None)
                for pattern, (outcome, message) in zip(left, answers, strict=False):
                    if outcome == "invalid":
                        raise InvalidPattern(f"{places[pattern]}: {_shown(pattern)} {self._why(outcome, message)}")
                left = left[len(answers) :]
                if left:
                    self._slow[left.pop(0)] = _GIVE_UP
                    slow += 1

    async def search(self, patterns: Sequence[str], text: str) -> Matches:
        """By pattern: None where it is found in the text, else why it does not hold, empty where it is just not found.

        A pattern that takes too long is broken off, and keeps no other from being tried.
        """
        found: dict[str, str | None] = {
            pattern: self._why("slow", "") for pattern in patterns if self._slow[pattern] >= _GIVE_UP
        }
        left = [pattern for pattern in dict.fromkeys(patterns) if pattern not in found]
        async with self._turn:
            while left:
                answers = await self._ask(left, text)
                for pattern, (outcome, message) in zip(left, answers, strict=False):
                    found[pattern] = None if outcome == "found" else self._why(outcome, message)
                left = left[len(answers) :]
                if left:
                    slow = left.pop(0)
                    self._slow[slow] += 1
                    found[slow] = self._why("slow", "")
        return found

    def _why(self, outcome: str, message: str) -> str:
        match outcome:
            case "invalid":
                return f"is not a regular expression of Python's re: {message}"
            case "missing":
                return ""
            case _:
                return f"was broken off: it takes more than {self._limit:g} s or too much memory"

    async def _ask(self, patterns: Sequence[str], text: str | None) -> list[tuple[str, str]]:
        """The answers in order; the pattern after the last of them took too long, and its process is gone."""
        process = await self._started()
        if process.stdin is None or process.stdout is None:
            raise AssertionError("the process has no pipes")
        answers: list[tuple[str, str]] = []
        try:
            with contextlib.suppress(TimeoutError, OSError):
                process.stdin.write(json.dumps({"patterns": list(patterns), "text": text}).encode() + b"\n")
                while len(answers) < len(patterns):
                    async with asyncio.timeout(_LATE):
                        line = await process.stdout.readline()
                    if not line:
                        break
                    answers.append(tuple(json.loads(line)))
        except BaseException:  # cancelled: what it would still answer belongs to nobody
            await self._end()
            raise
        if len(answers) < len(patterns):
            await self._end()
        return answers

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            self.started += 1
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", "-W", "ignore", str(_WORKER), str(self._limit), str(_MEMORY),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                env={},
            )  # fmt: skip
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.communicate())


def _shown(pattern: str) -> str:
    return repr(pattern if len(pattern) <= _SHOWN else pattern[:_SHOWN] + "...")
