"""What users write that has to run, regular expressions and JSON Schemas, tried in processes of their own.

Neither Python's `re` nor the validation of a schema can be interrupted or bounded otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from claude_operator.core.evals.checks import Check, Runner, Trial, Tried
from claude_operator.core.evals.graders.kinds import schema_program
from claude_operator.core.evals.sets import Item

__all__ = ["LIMIT", "InvalidPattern", "Patterns"]

LIMIT = 2.0  # seconds of a processor for one program on one answer
_LATE = 30.0  # seconds of waiting after which the process counts as stuck, whatever it is doing
_GIVE_UP = 10  # answers on which a program was too slow, after which it is not tried any more
_SLOW_AT_START = 5  # programs that take too long to look at, after which the others are looked at when they are needed
_SHOWN = 80  # characters of a program in a message


@dataclass(frozen=True, slots=True)
class _Worker:
    """A kind of process: its script, what it is given, and what a program is called."""

    script: str
    options: tuple[str, ...]
    memory: int  # bytes of address space
    invalid: str


_WORKERS: Mapping[Runner, _Worker] = {
    "pattern": _Worker(
        "pattern_worker.py", ("-I", "-S"), 256 * 2**20, "is not a regular expression of Python's re: {}"
    ),
    "schema": _Worker("schema_worker.py", ("-I",), 512 * 2**20, "is not a JSON Schema: {}"),
}


class InvalidPattern(ValueError):  # noqa: N818  what the set is
    """A pattern or schema that cannot be tried, or decides nothing; the message names the item and why."""


class Patterns:
    """A process for each kind, started when it is first needed, killed and replaced when a program takes too long."""

    def __init__(self, limit: float = LIMIT) -> None:
        self._processes = {kind: _Process(worker, limit) for kind, worker in _WORKERS.items()}

    @property
    def started(self) -> int:
        """Processes so far."""
        return sum(process.started for process in self._processes.values())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            await process.end()

    async def check(self, items: Iterable[Item]) -> None:
        """Look at all patterns and schemas; raises InvalidPattern. One that takes too long fails on each answer."""
        places: dict[Runner, dict[str, str]] = {kind: {} for kind in _WORKERS}
        for item in items:
            for check in item.checks:
                if (found := _program(check)) is not None:
                    places[found[0]].setdefault(found[1], item.place)
        for kind, programs in places.items():
            await self._processes[kind].check(programs)

    async def search(self, patterns: Sequence[str], text: str) -> dict[str, Tried]:
        """What comes of regular expressions on a text."""
        return await self._processes["pattern"].tried(patterns, text)

    async def tried(self, trials: Iterable[Trial]) -> dict[Trial, Tried]:
        """What comes of each trial."""
        by_text: dict[tuple[Runner, str], list[str]] = {}
        for worker, program, text in trials:
            by_text.setdefault((worker, text), []).append(program)
        found: dict[Trial, Tried] = {}
        for (worker, text), programs in by_text.items():
            results = await self._processes[worker].tried(programs, text)
            found |= {Trial(worker, program, text): result for program, result in results.items()}
        return found


def _program(check: Check) -> tuple[Runner, str] | None:
    """The kind of process that a check needs, and what it is given."""
    if check.type == "regex":
        return "pattern", str(check.value)
    if check.type in ("is-json", "contains-json") and check.value:
        return "schema", schema_program("whole" if check.type == "is-json" else "inside", str(check.value))
    return None


class _Process:
    def __init__(self, worker: _Worker, limit: float) -> None:
        self._worker, self._limit = worker, limit
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._slow: Counter[str] = Counter()
        self.started = 0

    async def check(self, places: Mapping[str, str]) -> None:
        """Look at the programs, which are named by their places; raises InvalidPattern."""
        left, slow = list(places), 0
        async with self._turn:
            while left and slow < _SLOW_AT_START:
                answers = await self._ask(left, None)
                for program, (outcome, message) in zip(left, answers, strict=False):
                    if outcome in ("invalid", "useless"):
                        raise InvalidPattern(f"{places[program]}: {_shown(program)} {self._why(outcome, message)}")
                left = left[len(answers) :]
                if left:
                    self._slow[left.pop(0)] = _GIVE_UP
                    slow += 1

    async def tried(self, programs: Sequence[str], text: str) -> dict[str, Tried]:
        """What comes of each. One that takes too long is broken off, and keeps no other from being tried."""
        found = {one: Tried("unknown", self._why("slow", "")) for one in programs if self._slow[one] >= _GIVE_UP}
        left = [program for program in dict.fromkeys(programs) if program not in found]
        async with self._turn:
            while left:
                answers = await self._ask(left, text)
                for program, (outcome, message) in zip(left, answers, strict=False):
                    found[program] = self._result(outcome, message)
                left = left[len(answers) :]
                if left:
                    slow = left.pop(0)
                    self._slow[slow] += 1
                    found[slow] = Tried("unknown", self._why("slow", ""))
        return found

    def _result(self, outcome: str, message: str) -> Tried:
        if outcome == "found":
            return Tried("found")
        if outcome == "missing":
            return Tried("missing", message)
        return Tried("unknown", self._why(outcome, message))

    def _why(self, outcome: str, message: str) -> str:
        match outcome:
            case "invalid":
                return self._worker.invalid.format(message)
            case "useless":
                return message
            case _:
                return f"was broken off: it takes more than {self._limit:g} s or too much memory"

    async def _ask(self, programs: Sequence[str], text: str | None) -> list[tuple[str, str]]:
        """The answers in order; the program after the last of them took too long, and its process is gone."""
        process = await self._started()
        if process.stdin is None or process.stdout is None:
            raise AssertionError("the process has no pipes")
        answers: list[tuple[str, str]] = []
        try:
            with contextlib.suppress(TimeoutError, OSError):
                process.stdin.write(json.dumps({"programs": list(programs), "text": text}).encode() + b"\n")
                while len(answers) < len(programs):
                    async with asyncio.timeout(_LATE):
                        line = await process.stdout.readline()
                    if not line:
                        break
                    answers.append(tuple(json.loads(line)))
        except BaseException:  # cancelled: what it would still answer belongs to nobody
            await self.end()
            raise
        if len(answers) < len(programs):
            await self.end()
        return answers

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            self.started += 1
            script = Path(__file__).with_name(self._worker.script)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *self._worker.options, "-W", "ignore", str(script),
                str(self._limit), str(self._worker.memory),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                env={},
            )  # fmt: skip
        return self._process

    async def end(self) -> None:
        """Kill it, if it is there."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.shield(process.communicate())


def _shown(program: str) -> str:
    return repr(program if len(program) <= _SHOWN else program[:_SHOWN] + "...")
