"""Follows a scenario file by its content, so that edits, renames and a ConfigMap's symlink swaps are all noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from claude_operator.log import Log
from claude_operator.simulator.profile import Compiled
from claude_operator.simulator.scenario import AnswerFile, Scenario, ScenarioError

__all__ = ["ScenarioFile"]

_PERIOD = 0.5  # seconds

_Signature = tuple[tuple[int, int, int] | None, ...]


class ScenarioFile:
    """The file and the answers that it names; `read` raises ScenarioError."""

    def __init__(self, path: Path, load: Callable[[Path], Compiled], log: Log) -> None:
        self._path = path
        self._load = load
        self._log = log
        self._last: tuple[Scenario, dict[str, str]] | None = None
        self._files: tuple[Path, ...] = (path,)
        self._seen: _Signature = ()

    def read(self) -> Compiled:
        """The scenario in the file now."""
        self._seen = self._signature()
        scenario = self._load(self._path)
        answers = scenario.source.answers
        named = (self._path.parent / answers.file,) if isinstance(answers, AnswerFile) else ()
        if (self._path, *named) != self._files:
            # What is followed from now on may have changed since it was read: look once more.
            self._files, self._seen = (self._path, *named), ()
        self._last = (scenario.source, scenario.answers)
        return scenario

    def changed(self) -> Compiled | None:
        """The scenario if its content has changed; one that is not valid is logged once and ignored."""
        if self._signature() == self._seen:
            return None
        before = self._last
        try:
            scenario = self.read()
        except ScenarioError as error:
            self._log.event("scenario refused, the old one stays in use", "error", reason=str(error))
            return None
        return scenario if self._last != before else None

    async def follow(self, apply: Callable[[Compiled], None]) -> None:
        """Look every half second; never returns."""
        while True:
            await asyncio.sleep(_PERIOD)
            scenario = self.changed()
            if scenario:
                apply(scenario)
                self._log.event("scenario applied", rules=len(scenario.profiles) - 1, answers=len(scenario.answers))

    def _signature(self) -> _Signature:
        return tuple(_stat(path) for path in self._files)


def _stat(path: Path) -> tuple[int, int, int] | None:
    """Inode, time and size of what a path leads to in the end; None for nothing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
