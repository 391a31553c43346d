"""`python -m bench.judge.conversations`: simulate rollouts of conversations, cell by cell."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench.judge.conversations.cases import CASES, find_cases
from bench.judge.conversations.cells import WAYS, Way
from bench.judge.conversations.report import markdown, replaced
from bench.judge.conversations.runner import QUICK, Settings, simulate
from bench.judge.conversations.verdicts import FAST, SLOW

__all__ = ["DOCS", "RESULTS", "arguments", "main"]

RESULTS = Path(__file__).parents[1] / "results"
DOCS = Path(__file__).parents[3] / "docs" / "judge-benchmark.md"


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.judge.conversations", description=__doc__)
    parser.add_argument("--cell", nargs="+", default=[], metavar="NAME", help="only these; --list names them")
    parser.add_argument("--list", action="store_true", help="name all cells, and end")
    parser.add_argument(
        "--way", choices=[*WAYS, "both"], default="both", help="count with arrays, or with the gateways"
    )
    parser.add_argument("--rollouts", type=int, metavar="N", help=f"of a cell: {FAST} nulls fast, {SLOW} slow")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rollouts a cell, into build/bench-judge")
    parser.add_argument("--seconds", type=float, metavar="S", help="begin no rollouts after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--results", type=Path, metavar="DIR", help=f"where cells are kept: {RESULTS.name}/")
    parser.add_argument("--docs", action="store_true", help=f"write docs/{DOCS.name} from the cells that are kept")
    parser.add_argument("--render", action="store_true", help="simulate nothing")
    chosen = parser.parse_args(words)
    if chosen.quick:
        chosen.rollouts = chosen.rollouts or QUICK
    chosen.results = chosen.results or (Path("build/bench-judge/conversations") if chosen.quick else RESULTS)
    if chosen.jobs < 1 or (chosen.rollouts is not None and chosen.rollouts < 1):
        parser.error("--rollouts and --jobs must be at least 1")
    try:
        chosen.cases = find_cases(chosen.cell)
    except ValueError as error:
        parser.error(str(error))
    return chosen


def main(words: Sequence[str] | None = None) -> None:
    """Simulate cells, keep them and write what they say."""
    chosen = arguments(words)
    if chosen.list:
        print(*(one.name for one in CASES), sep="\n")
        return
    ways: tuple[Way, ...] = WAYS if chosen.way == "both" else (chosen.way,)
    settings = Settings(chosen.results, chosen.rollouts, chosen.seed, chosen.jobs, chosen.seconds)
    if not chosen.render:
        simulate([(case, way) for way in ways for case in chosen.cases], settings)
    if chosen.docs:
        DOCS.write_text(replaced(DOCS.read_text(), markdown(chosen.results, CASES)))
        print(f"written: {DOCS}")
    else:
        print(markdown(chosen.results, chosen.cases))


if __name__ == "__main__":
    main()
