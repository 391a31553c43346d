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

from bench.judge.plots import detection, false_rollbacks
from bench.judge.report import markdown, promises
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
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rollouts a scenario: less than a minute")
    parser.add_argument("--rollouts", type=int, metavar="N", help=f"of a scenario with promised shares, {ROLLOUTS}")
    parser.add_argument("--others", type=int, metavar="N", help=f"of the other scenarios, {OTHERS}")
    parser.add_argument("--rivals", type=int, metavar="N", help=f"of which other rules see so many, {RIVALS}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, one a core if not given")
    parser.add_argument("--out", type=Path, default=Path("build/bench-judge"), metavar="DIR", help="where results go")
    parser.add_argument(
        "--docs", action="store_true", help="write docs/judge-benchmark.md and docs/img/judge-*.svg too"
    )
    parser.add_argument("--resume", action="store_true", help="keep what a run that was stopped has finished in --out")
    parser.add_argument("--scenario", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--tick", type=float, metavar="SECONDS", help="how often gateways are read, not as scenarios say"
    )
    chosen = parser.parse_args(words)
    usual = (QUICK,) * 3 if chosen.quick else (ROLLOUTS, OTHERS, RIVALS)
    for name, number in zip(("rollouts", "others", "rivals"), usual, strict=True):
        if getattr(chosen, name) is None:
            setattr(chosen, name, number if name == "rollouts" else min(number, chosen.rollouts))
    if min(chosen.rollouts, chosen.others, chosen.rivals, chosen.jobs) < 1:
        parser.error("--rollouts, --others, --rivals and --jobs must be at least 1")
    if chosen.tick is not None and (chosen.tick <= 0 or 60.0 % chosen.tick):
        parser.error(f"--tick {chosen.tick:g} does not divide a minute; write 5, 10, 15, 20, 30 or 60")
    try:
        chosen.scenarios = find(chosen.scenario)
    except ValueError as error:
        parser.error(str(error))
    return chosen


def main(words: Sequence[str] | None = None) -> None:
    """Run the benchmark and write results.json, results.md and the plots."""
    chosen = arguments(words)
    settings = Settings(chosen.rollouts, chosen.others, chosen.rivals, chosen.seed, chosen.tick, chosen.jobs)
    chosen.out.mkdir(parents=True, exist_ok=True)
    cells = _cells(chosen.scenarios, settings, chosen.out, resume=chosen.resume)
    document = {**_made_of(settings), "cells": [cell.as_json() for cell in cells]}
    text = markdown(cells, settings, "img")
    (chosen.out / "results.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    (chosen.out / "results.md").write_text(text)
    _draw(cells, chosen.out / "img")
    print("\n\n".join(promises(cells)))
    print(f"\nwritten: {chosen.out}/results.json, results.md and img/")
    if chosen.docs:
        (DOCS / "judge-benchmark.md").write_text(text)
        _draw(cells, DOCS / "img")
        print(f"written: {DOCS}/judge-benchmark.md and img/judge-*.svg")


def _made_of(settings: Settings) -> dict[str, object]:
    """What results depend on; the number of processes is not of it."""
    code = hashlib.sha256()
    for folder in (Path(assessment.__file__).parent, Path(__file__).parent):
        for file in sorted(folder.rglob("*.py")):
            code.update(file.read_bytes())
    made_of = {**asdict(settings), "numpy": np.__version__, "code": code.hexdigest()[:16]}
    del made_of["jobs"]
    return made_of


def _cells(scenarios: Sequence[Scenario], settings: Settings, out: Path, *, resume: bool) -> list[Cell]:
    """Of all scenarios, in their order; each is kept in `out` as soon as it is done, for a run that is resumed."""
    made_of = _made_of(settings)
    known: dict[str, list[Cell]] = {}
    parts = out / "scenarios"
    parts.mkdir(exist_ok=True)
    for scenario in scenarios if resume else ():
        file = parts / f"{scenario.name}.json"
        document = json.loads(file.read_text()) if file.exists() else {}
        if {name: document.get(name) for name in made_of} == made_of:
            known[scenario.name] = [Cell.from_json(one) for one in document["cells"]]
    left = [scenario for scenario in scenarios if scenario.name not in known]
    for name, cells in finished(left, settings, Progress(left, settings)):
        known[name] = cells
        part = {**made_of, "cells": [cell.as_json() for cell in cells]}
        (parts / f"{name}.json").write_text(json.dumps(part, indent=1, ensure_ascii=False) + "\n")
    return [cell for scenario in scenarios for cell in known[scenario.name]]


def _draw(cells: Sequence[Cell], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "judge-false-rollbacks.svg").write_text(false_rollbacks(cells))
    (folder / "judge-false-rollbacks-quiet.svg").write_text(false_rollbacks(cells, 5.0))
    (folder / "judge-detection.svg").write_text(detection(cells))


if __name__ == "__main__":
    main()
