"""`python -m bench.judge`: simulate rollouts and compare the judge with other rules."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.judge.conversations import report as conversations
from bench.judge.conversations.cases import CASES, find_cases, is_plain
from bench.judge.conversations.cells import WAYS
from bench.judge.conversations.others import simulate_rivals
from bench.judge.conversations.runner import QUICK as FEW
from bench.judge.conversations.runner import Settings as Conversations
from bench.judge.conversations.runner import simulate
from bench.judge.kept import RESULTS, commit, load, save, today
from bench.judge.plots import detection, false_rollbacks
from bench.judge.report import Made, markdown, promises
from bench.judge.runner import Cell, Settings, finished, rollouts_of
from bench.judge.scenarios import Scenario, find
from claude_operator.core.judge import assessment

ROLLOUTS, OTHERS, RIVALS = 2000, 500, 400
QUICK = 4
DOCS = Path(__file__).parents[2] / "docs"


class Progress:
    """A bar on a terminal, a line for each scenario elsewhere."""

    def __init__(self, scenarios: Sequence[Scenario], settings: Settings) -> None:
        self._left = {one.name: max(rollouts_of(one, settings).values()) for one in scenarios}
        self._total, self._done = sum(self._left.values()), 0
        self._begin = time.monotonic()

    def __call__(self, name: str, count: int) -> None:
        """Tell of `count` more rollouts of a scenario."""
        self._done += count
        self._left[name] -= count
        spent = time.monotonic() - self._begin
        left = spent / self._done * (self._total - self._done)
        if sys.stderr.isatty():
            full = round(30 * self._done / self._total)
            bar = "█" * full + "░" * (30 - full)
            end = "\n" if self._done == self._total else ""
            sys.stderr.write(f"\r{bar} {self._done}/{self._total} rollouts, {left:.0f} s left, {name:<20}{end}")
        elif not self._left[name]:
            sys.stderr.write(f"{name}: done; {self._done}/{self._total} rollouts, {left:.0f} s left\n")
        sys.stderr.flush()


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.judge", description=__doc__)
    cells = parser.add_argument_group("which cells")
    cells.add_argument("--cell", "--scenario", nargs="+", default=[], metavar="NAME", help="only these")
    cells.add_argument("--list", action="store_true", help="name all cells, and end")
    cells.add_argument("--way", choices=[*WAYS, "both"], default="both", help="how conversations are counted")
    many = parser.add_argument_group("how many rollouts")
    many.add_argument(
        "--quick", action="store_true", help=f"{QUICK} a scenario, {FEW} a cell of conversations: minutes"
    )
    many.add_argument("--rollouts", type=int, metavar="N", help=f"of a scenario with promised shares, {ROLLOUTS}")
    many.add_argument("--others", type=int, metavar="N", help=f"of the other scenarios, {OTHERS}")
    many.add_argument("--rivals", type=int, metavar="N", help=f"of which other rules see so many, {RIVALS}")
    many.add_argument("--seconds", type=float, metavar="S", help="begin no rollouts of conversations after so long")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, one a core if not given")
    parser.add_argument("--out", type=Path, default=Path("build/bench-judge"), metavar="DIR", help="where tables go")
    parser.add_argument("--results", type=Path, metavar="DIR", help="where cells are kept, bench/judge/results")
    parser.add_argument(
        "--docs", action="store_true", help="write docs/judge-benchmark.md and docs/img/judge-*.svg of what is kept"
    )
    parser.add_argument("--render", action="store_true", help="simulate nothing")
    parser.add_argument("--resume", action="store_true", help="leave scenarios that are kept and still hold")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--tick", type=float, metavar="SECONDS", help="how often gateways are read, not as scenarios say"
    )
    chosen = parser.parse_args(words)
    chosen.few = chosen.rollouts or (FEW if chosen.quick else None)
    chosen.few_rivals = FEW if chosen.quick else RIVALS // 4 if chosen.rivals is None else chosen.rivals
    usual = (QUICK,) * 3 if chosen.quick else (ROLLOUTS, OTHERS, RIVALS)
    for name, number in zip(("rollouts", "others", "rivals"), usual, strict=True):
        if getattr(chosen, name) is None:
            setattr(chosen, name, number if name == "rollouts" else min(number, chosen.rollouts))
    if min(chosen.rollouts, chosen.others, chosen.rivals, chosen.jobs) < 1:
        parser.error("--rollouts, --others, --rivals and --jobs must be at least 1")
    if chosen.tick is not None and (chosen.tick <= 0 or 60.0 % chosen.tick):
        parser.error(f"--tick {chosen.tick:g} does not divide a minute; write 5, 10, 15, 20, 30 or 60")
    chosen.results = chosen.results or (chosen.out / "results" if chosen.quick else RESULTS)
    chosen.ways = WAYS if chosen.way == "both" else (chosen.way,)
    try:
        _choose(chosen)
    except ValueError as error:
        parser.error(str(error))
    return chosen


def _choose(chosen: argparse.Namespace) -> None:
    """Put the cells that were asked for into `scenarios` and `cases`; raises ValueError."""
    known = {one.name for one in CASES}
    ours = [name for name in chosen.cell if name in known]
    others = [name for name in chosen.cell if name not in known]
    every = not chosen.cell
    chosen.scenarios = find(others) if (others or every) and not chosen.render else ()
    chosen.cases = find_cases(ours) if (ours or every) and not chosen.render else ()


def main(words: Sequence[str] | None = None) -> None:
    """Run the benchmark, keep its cells, and write results.json, results.md and the plots."""
    chosen = arguments(words)
    if chosen.list:
        print(*(one.name for one in (*find([]), *CASES)), sep="\n")
        return
    settings = Settings(chosen.rollouts, chosen.others, chosen.rivals, chosen.seed, chosen.tick, chosen.jobs)
    if chosen.scenarios:
        _requests(chosen, settings)
    if chosen.cases:
        _conversations(chosen)
    if chosen.docs:
        _document(chosen.results)


def _document(results: Path) -> None:
    """Write the page and its plots from what is kept. Where nothing is kept of single requests, their part stays."""
    page, kept = DOCS / "judge-benchmark.md", _kept(results)
    cells = [cell for some, _ in kept.values() for cell in some]
    text = page.read_text() if page.exists() else ""
    if kept or not text:
        text = markdown(cells, {name: made for name, (_, made) in kept.items()}, "img")
        _draw(cells, DOCS / "img")
    page.write_text(conversations.replaced(text, conversations.markdown(results, CASES)))
    print(f"written: {page}")


def _requests(chosen: argparse.Namespace, settings: Settings) -> None:
    """Simulate scenarios of single requests under all rules."""
    chosen.out.mkdir(parents=True, exist_ok=True)
    cells = _cells(chosen.scenarios, settings, chosen.results, resume=chosen.resume)
    document = {**_made_of(settings), "cells": [cell.as_json() for cell in cells]}
    made = {one.name: Made(today(), commit(), settings.seed, settings.tick_seconds) for one in chosen.scenarios}
    (chosen.out / "results.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    (chosen.out / "results.md").write_text(markdown(cells, made, "img"))
    _draw(cells, chosen.out / "img")
    print("\n\n".join(promises(cells)))
    print(f"\nwritten: {chosen.out}/results.json, results.md and img/")


def _conversations(chosen: argparse.Namespace) -> None:
    """Simulate rollouts of conversations, both ways."""
    simulated = Conversations(chosen.results, chosen.few, chosen.seed, chosen.jobs, chosen.seconds)
    tasks = [(case, way) for way in chosen.ways for case in chosen.cases if way in case.ways]
    if chosen.quick:  # what takes long is tried on the plain cells alone
        tasks = [(case, way) for case, way in tasks if way == "fast" or is_plain(case)]
    simulate(tasks, simulated)
    for case in chosen.cases if chosen.few_rivals else ():
        if is_plain(case):
            simulate_rivals(chosen.results, case, seed=chosen.seed, rollouts=chosen.few_rivals)
    print(conversations.markdown(chosen.results, chosen.cases))


def _made_of(settings: Settings) -> dict[str, object]:
    """What results depend on; the number of processes is not of it."""
    code = hashlib.sha256()
    for folder in (Path(assessment.__file__).parent, Path(__file__).parent):
        for file in sorted(folder.rglob("*.py")):
            if "conversations" not in file.parts:
                code.update(file.read_bytes())
    made_of = {**asdict(settings), "numpy": np.__version__, "code": code.hexdigest()[:16]}
    del made_of["jobs"]
    return made_of


def _cells(scenarios: Sequence[Scenario], settings: Settings, folder: Path, *, resume: bool) -> list[Cell]:
    """Of all scenarios, in their order; each is kept as soon as it is done, for a run that is resumed."""
    made_of = _made_of(settings)
    known: dict[str, list[Cell]] = {}
    for scenario in scenarios if resume else ():
        if (found := load(folder, scenario.name, made_of)) is not None:
            known[scenario.name] = found[0]
    left = [scenario for scenario in scenarios if scenario.name not in known]
    for name, cells in finished(left, settings, Progress(left, settings)):
        known[name] = cells
        save(folder, name, made_of, cells)
    return [cell for scenario in scenarios for cell in known[scenario.name]]


def _kept(folder: Path) -> dict[str, tuple[list[Cell], Made]]:
    """What is kept of every scenario, by its name."""
    return {one.name: found for one in find([]) if (found := load(folder, one.name)) is not None}


def _draw(cells: Sequence[Cell], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "judge-false-rollbacks.svg").write_text(false_rollbacks(cells))
    (folder / "judge-false-rollbacks-quiet.svg").write_text(false_rollbacks(cells, 5.0))
    (folder / "judge-detection.svg").write_text(detection(cells))


if __name__ == "__main__":
    main()
