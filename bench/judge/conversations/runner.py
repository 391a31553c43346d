"""Simulates cells, a few rollouts at a time, and keeps what was found after each few."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from bench.judge.conversations import judged
from bench.judge.conversations.cases import Case
from bench.judge.conversations.cells import Kept, Way, added, code, load, save
from bench.judge.conversations.judged import Counting, Ended, run
from bench.judge.conversations.verdicts import FAST, SLOW

__all__ = ["QUICK", "Settings", "shortened", "simulate", "wanted"]

QUICK = 1
_COUNTING: Mapping[Way, Counting] = {"fast": judged.FAST, "slow": judged.SLOW}
_TOGETHER = 10  # rollouts that a process does at a time


@dataclass(frozen=True, slots=True)
class Settings:
    """`rollouts` of each cell, None for as many as its verdict takes. `folder` is where cells are kept."""

    folder: Path
    rollouts: int | None = None
    seed: int = 1
    jobs: int = 1
    seconds: float | None = None
    """No rollouts are begun after so long."""


def wanted(case: Case, way: Way) -> int:
    """Rollouts that a cell takes."""
    if way == "slow":
        return SLOW
    return FAST if case.right.answer == "null" else max(SLOW, FAST // 10)


def shortened(case: Case, way: Way) -> Case:
    """The case as it is simulated this way: a null that is counted call by call has steps of two fifths."""
    if way == "fast" or case.right.answer != "null":
        return case
    return replace(case, step_seconds=0.4 * case.step_seconds)


def simulate(tasks: Sequence[tuple[Case, Way]], settings: Settings) -> None:
    """Bring each cell up to its number of rollouts."""
    end = None if settings.seconds is None else time.monotonic() + settings.seconds
    for case, way in tasks:
        for kept in _grow(case, way, settings, end):
            save(settings.folder, kept)
            last = kept
            if end is not None and time.monotonic() > end:
                break
        else:
            continue
        sys.stderr.write(f"stopped: {last.case}, {last.rollouts} rollouts; the time is up\n")
        return


def _grow(case: Case, way: Way, settings: Settings, end: float | None) -> Iterator[Kept]:
    """The cell after every few rollouts."""
    now = code(case, way)
    kept = load(settings.folder, case.name, way)
    if kept is None or (kept.code, kept.seed) != (now, settings.seed):
        kept = Kept(case.name, way, settings.seed, now)
    many = settings.rollouts or wanted(case, way)
    begin = time.monotonic()
    parts = [(first, min(first + _TOGETHER, many)) for first in range(kept.rollouts, many, _TOGETHER)]
    for ended in _parts(case, way, settings, parts):
        kept = added(kept, case, ended)
        yield kept
    if parts:
        ends = ", ".join(f"{name} {count}" for name, count in kept.ends.items())
        spent = time.monotonic() - begin
        sys.stderr.write(f"{case.name} ({way}): {kept.rollouts} rollouts, {ends}; {spent:.0f} s\n")
        sys.stderr.flush()


def _parts(case: Case, way: Way, settings: Settings, parts: Sequence[tuple[int, int]]) -> Iterator[list[Ended]]:
    if settings.jobs == 1:
        for first, last in parts:
            yield _some(case, way, settings.seed, first, last)
        return
    with ProcessPoolExecutor(settings.jobs, mp_context=get_context("spawn")) as pool:
        for future in [pool.submit(_some, case, way, settings.seed, *part) for part in parts]:
            yield future.result()


def _some(case: Case, way: Way, seed: int, first: int, last: int) -> list[Ended]:
    return [run(shortened(case, way), _COUNTING[way], seed=seed, number=number) for number in range(first, last)]
