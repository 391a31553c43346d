"""`python -m bench.evals`: simulate runs of the eval gate and compare its rule with others.

With `--data DIR` the items are those of BANKING77 and GSM8K, half of the gates each; without it questions of our own.
Items are loaded and graded, and runs are judged, by the product's own code.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.evals import rules
from bench.evals.ceiling import ceiling
from bench.evals.draws import Arms, draw
from bench.evals.refute import search
from bench.evals.sets import Questions, read

SIZES = (5, 8, 20, 50, 100, 200, 500, 1000)
WORSE = {"same": 0.0, "-2": 0.02, "-3 (the margin)": rules.MARGIN, "-5": 0.05, "-10": 0.10}
GATES, QUICK = 500, 4
PART = 20  # gates that a process simulates at a time
REFUTED = ((10, 0.3), (30, 0.1), (59, 0.05), (100, 0.03), (150, 0.03), (300, 0.03))
"""Numbers of items and margins at which candidates are looked for that pass too often."""


@dataclass
class Cell:
    """What the rules made of a candidate, in so many gates."""

    size: int
    worse: str
    seed: int = 0
    gates: int = 0
    passed: Counter[str] = field(default_factory=Counter)
    """By other rule: how often it let the candidate through."""
    shipped: Counter[str] = field(default_factory=Counter)
    """By what came of the run."""
    epochs: int = 0

    def add(self, other: Cell) -> None:
        """Count another part of the same cell."""
        self.gates, self.epochs = self.gates + other.gates, self.epochs + other.epochs
        self.passed.update(other.passed)
        self.shipped.update(other.shipped)


def simulate(questions: Sequence[Questions], size: int, worse: str, gates: Sequence[int], seed: int) -> Cell:
    """Gates of a cell by number; the same seed gives the same numbers."""
    cell = Cell(size, worse, seed)
    for number in gates:
        chance = np.random.default_rng((seed, size, list(WORSE).index(worse), number))
        all_ = questions[number % len(questions)]
        chosen = all_.part(chance.permutation(len(all_.items))[:size].tolist())
        arms = draw(chance, size, WORSE[worse])
        first = arms.ask(chance, rules.EPOCHS)
        for name, rule in rules.OTHERS.items():
            cell.passed[name] += rule(*first)
        result = rules.shipped(chosen.items, rules.graded(chosen.graded, first), _more(chosen.graded, arms, chance))
        cell.shipped[rules.kind(result)] += 1
        cell.epochs += result.epochs
        cell.gates += 1
    return cell


def _more(outcomes: rules.Graded, arms: Arms, chance: np.random.Generator) -> Callable[[int], rules.Both]:
    return lambda epochs: rules.graded(outcomes, arms.ask(chance, epochs))


_QUESTIONS: list[Questions] = []


def _prepare(folder: Path | None) -> None:
    """In a process of its own: read the questions once."""
    _QUESTIONS[:] = read(folder)


def _simulate(size: int, worse: str, gates: Sequence[int], seed: int) -> Cell:
    return simulate(_QUESTIONS, size, worse, gates, seed)


def table(cells: Sequence[Cell]) -> str:
    """All cells as Markdown, a table a size."""
    by_size: defaultdict[int, dict[str, Cell]] = defaultdict(dict)
    for cell in cells:
        by_size[cell.size][cell.worse] = cell
    lines = [f"| items | rule | {' | '.join(WORSE)} |", "|---" * (len(WORSE) + 2) + "|"]
    for size, known in sorted(by_size.items()):
        row = [known[worse] for worse in WORSE if worse in known]
        lines += [_row(size, name, [_percent(cell.passed[name], cell.gates) for cell in row]) for name in rules.OTHERS]
        most = ceiling(size, rules.MARGIN, rules.ALPHA, rules.EPOCHS)
        lines.append(_row(size, "any valid rule, 3 epochs, at most", [f"{100 * most:.3g} %", *["-"] * (len(row) - 1)]))
        for kind, name in (
            ("not worse", "**shipped: shown not to be worse**"),
            ("too few", "shipped: let through, too few items"),
            ("Failed", "shipped: failed"),
            ("Inconclusive", "shipped: inconclusive"),
        ):
            shown = [_percent(cell.shipped[kind], cell.gates) for cell in row]
            lines.append(_row(size, name, [f"**{one}**" if name.startswith("**") else one for one in shown]))
        lines.append(_row(size, "shipped: epochs, mean", [f"{cell.epochs / cell.gates:.1f}" for cell in row]))
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Simulate, and print the table."""
    options = arguments(words)
    if options.refute:
        return refute(options)
    questions = read(options.data)
    gates = QUICK if options.quick else options.gates
    sizes = [size for size in SIZES if size <= (50 if options.quick else max(SIZES)) and size in options.sizes]
    cells = _known(options.json, gates, options.seed)
    known = {(cell.size, cell.worse) for cell in cells}
    left = [(size, worse) for size in sizes for worse in WORSE if (size, worse) not in known]
    with ProcessPoolExecutor(options.processes, initializer=_prepare, initargs=(options.data,)) as pool:
        parts = [range(first, min(first + PART, gates)) for first in range(0, gates, PART)]
        jobs = {cell: [pool.submit(_simulate, *cell, part, options.seed) for part in parts] for cell in left}
        for number, ((size, worse), found) in enumerate(jobs.items(), 1):
            cells.append(Cell(size, worse, options.seed))
            for part in found:
                cells[-1].add(part.result())
            if options.json:
                options.json.write_text(json.dumps([vars(cell) for cell in cells], indent=1) + "\n")
            sys.stderr.write(f"{size} items, {worse}: done; {number} of {len(left)} cells\n")
    names = " and ".join(one.name for one in questions)
    print(f"{gates} gates a cell, {names}, seed {options.seed}\n\n{table(cells)}")
    return 0


def refute(options: argparse.Namespace) -> int:
    """Print the candidates at the margin that pass most often, of those that were looked at."""
    print("| items | margin | passed | shares of -1, -2/3, … 1 |\n|---|---|---|---|")
    cases = REFUTED[:1] if options.quick else REFUTED
    for size, margin in cases:
        found = search(size, margin, rules.ALPHA, options.seed, rounds=1 if options.quick else 3)
        print(f"| {size} | {margin:g} | {100 * found.passed:.2f} % | {' '.join(f'{one:g}' for one in found.shares)} |")
    return 0


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m bench.evals", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with banking77_test.csv and gsm8k_test.jsonl")
    parser.add_argument("--gates", type=int, default=GATES, help="gates a cell (default %(default)s)")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of items")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--json", type=Path, help="keep the counts in this file, and go on from what it has")
    parser.add_argument("--refute", action="store_true", help="look for candidates at the margin that pass too often")
    parser.add_argument("--quick", action="store_true", help="few gates of small sets, to see that it works")
    return parser.parse_args(words)


def _known(file: Path | None, gates: int, seed: int) -> list[Cell]:
    """The cells that an earlier run with the same number of gates and seed has finished."""
    kept = json.loads(file.read_text()) if file and file.exists() else []
    cells = [Cell(**one | {name: Counter(one[name]) for name in ("passed", "shipped")}) for one in kept]
    return [cell for cell in cells if (cell.gates, cell.seed) == (gates, seed)]


def _row(size: int, name: str, values: Sequence[str]) -> str:
    return f"| {size} | {name} | {' | '.join(values)} |"


def _percent(count: int, gates: int) -> str:
    return f"{100 * count / gates:.3g} %"


if __name__ == "__main__":
    sys.exit(main())
