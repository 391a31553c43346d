"""`python -m bench.judge`: simulate rollouts and compare the judge with other rules."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.judge.plots import detection, false_rollbacks
from bench.judge.report import markdown
from bench.judge.runner import Settings, run
from bench.judge.scenarios import Scenario, find

ROLLOUTS, QUICK = 2000, 15


class Progress:
    """A bar on a terminal, a line for each scenario elsewhere."""

    def __init__(self, scenarios: Sequence[Scenario], rollouts: int) -> None:
        self._left = dict.fromkeys([one.name for one in scenarios], rollouts)
        self._total, self._done = rollouts * len(scenarios), 0
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
    parser.add_argument("--rollouts", type=int, metavar="N", help=f"rollouts a scenario, {ROLLOUTS} if not given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, one a core if not given")
    parser.add_argument("--out", type=Path, default=Path("build/bench-judge"), metavar="DIR", help="where results go")
    parser.add_argument("--scenario", nargs="+", default=[], metavar="NAME", help="only these")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tick", type=float, default=15.0, metavar="SECONDS", help="how often gateways are read")
    chosen = parser.parse_args(words)
    chosen.rollouts = chosen.rollouts or (QUICK if chosen.quick else ROLLOUTS)
    if chosen.rollouts < 1 or chosen.jobs < 1:
        parser.error("--rollouts and --jobs must be at least 1")
    if chosen.tick <= 0 or 60.0 % chosen.tick:
        parser.error(f"--tick {chosen.tick:g} does not divide a minute; write 5, 10, 15, 20, 30 or 60")
    try:
        chosen.scenarios = find(chosen.scenario)
    except ValueError as error:
        parser.error(str(error))
    return chosen


def main(words: Sequence[str] | None = None) -> None:
    """Run the benchmark and write results.json, results.md and the plots."""
    chosen = arguments(words)
    settings = Settings(chosen.rollouts, chosen.seed, chosen.tick, chosen.jobs)
    cells = run(chosen.scenarios, settings, Progress(chosen.scenarios, chosen.rollouts))
    chosen.out.mkdir(parents=True, exist_ok=True)
    document = {
        "rollouts": settings.rollouts,
        "seed": settings.seed,
        "tickSeconds": settings.tick_seconds,
        "numpy": np.__version__,
        "cells": [cell.as_json() for cell in cells],
    }
    text = markdown(cells, settings)
    (chosen.out / "results.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    (chosen.out / "results.md").write_text(text)
    (chosen.out / "false-rollbacks.svg").write_text(false_rollbacks(cells))
    (chosen.out / "detection.svg").write_text(detection(cells))
    print(text.partition("\n## Every figure")[0])
    print(f"written: {chosen.out}/results.json, results.md, false-rollbacks.svg, detection.svg")


if __name__ == "__main__":
    main()
