"""`python -m bench.evals.improve`: how often `eval improve` writes a prompt that is truly better, or none.

The product's own loop, gate and grading run against the simulator without a network. Its editor says which prompts are
truly better: by their accuracy on all questions, of which an eval set holds a few.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.gateway import Arm
from claude_operator.core.catalogue.checks.check import takes
from claude_operator.core.catalogue.table import find
from claude_operator.core.evals.contents import Contents
from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.prompt import Prompt, read_blocks
from claude_operator.core.evals.sets import Item, load_items
from claude_operator.core.request.compose import PreparedArm, prepare
from claude_operator.evals.improve import Improvement, Plan, improve
from claude_operator.evals.keeping import Folder, Keeper
from claude_operator.evals.laptop import Tell, Work
from claude_operator.simulator.answers import reply_to
from claude_operator.simulator.editor import edited
from claude_operator.simulator.profile import Compiled, compile_scenario
from claude_operator.simulator.request import Request
from claude_operator.simulator.scenario import parse
from claude_operator.simulator.tokens import text_tokens

__all__ = ["EDITORS", "Cell", "Found", "run_once", "table"]

RUNS = 100
ITEMS, ACCURACY, MAX_COST = 200, 0.7, 1.0
MODEL, EDITOR = "claude-haiku-5-5", "claude-haiku-5-5"
_PLACE = ("questions", "items.jsonl")
_SYSTEM = "You answer sums with a number and nothing else."
_DIFFICULTY = [{"share": 0.82, "alpha": 60, "beta": 0.8}, {"share": 0.18, "alpha": 1.2, "beta": 1.2}]


@dataclass(frozen=True)
class Cell:
    """An editor by its shares of better, equal, overfitted and worse proposals, and what may be asked of it."""

    name: str
    shares: tuple[float, float, float, float]
    gain: float = 0.1
    max_cost: float = MAX_COST
    rounds: int = 3
    candidates: int = 3


EDITORS = (
    Cell("a quarter of each kind, 20 points", (0.25, 0.25, 0.25, 0.25), gain=0.2),
    Cell("a third each: equal, overfitted, worse", (0.0, 1 / 3, 1 / 3, 1 / 3)),
    Cell("a quarter of each kind, 10 points", (0.25, 0.25, 0.25, 0.25)),
    Cell("a quarter of each kind, 20 points, a low cap", (0.25, 0.25, 0.25, 0.25), gain=0.2, max_cost=0.08),
    Cell("overfitted alone", (0.0, 0.0, 1.0, 0.0)),
    Cell("equal alone", (0.0, 1.0, 0.0, 0.0)),
)


@dataclass
class Found:
    """What came of one run, or of several together."""

    runs: int = 0
    better: int = 0
    """Runs that wrote a prompt that is truly better."""
    wrong: int = 0
    """Runs that wrote another one."""
    offered: int = 0
    """Runs in which the editor proposed one that is truly better."""
    early: int = 0
    """Runs that the cost ended."""
    proposals: int = 0
    most: int = 0
    """Proposals of the run that had most of them."""
    cost: float = 0.0
    """US dollars of the run that cost most."""

    def add(self, other: Found) -> None:
        """Count others."""
        for name in ("runs", "better", "wrong", "offered", "early", "proposals"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.most, self.cost = max(self.most, other.most), max(self.cost, other.cost)


def run_once(cell: Cell, seed: int, items: int = ITEMS) -> Found:
    """One run of `eval improve`, and what is true of what it wrote."""
    scenario, work, prompt = _setting(cell, seed, items)
    plan = Plan(EDITOR, cell.max_cost, cell.rounds, cell.candidates)
    with tempfile.TemporaryDirectory() as folder:
        keeper = Keeper(Folder(Path(folder)))
        ended = asyncio.run(improve(work, prompt, plan, _Simulated(scenario), keeper, _silent))
    return _judged(ended, scenario)


def table(found: dict[str, Found]) -> str:
    """Markdown."""
    lines = [
        "| editor | runs | truly better one written | none written | wrong one written | a better one was proposed"
        " | proposals, mean and most | ended by the cost | highest cost |",
        "|---" * 9 + "|",
    ]
    for name, one in found.items():
        none = one.runs - one.better - one.wrong
        lines.append(
            f"| {name} | {one.runs} | {one.better} | {none} | **{one.wrong}** | {one.offered}"
            f" | {one.proposals / one.runs:.1f}, {one.most} | {one.early} | ${one.cost:.3f} |"
        )
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Simulate, and print the table."""
    options = _arguments(words)
    found: dict[str, Found] = {}
    cells = [EDITORS[number] for number in ([0] if options.quick else options.editors)]
    runs = 2 if options.quick else options.runs
    with ProcessPoolExecutor(options.processes) as pool:
        for cell in cells:
            seeds = range(options.seed, options.seed + runs)
            total = found[cell.name] = Found()
            for one in pool.map(run_once, [cell] * runs, seeds, [options.items] * runs):
                total.add(one)
            sys.stderr.write(f"{cell.name}: {vars(total)}\n")
    print(f"{options.items} items, {runs} runs a row, seeds from {options.seed}\n\n{table(found)}")
    return 0


class _Simulated:
    """Asks the simulator without a network and without its cache."""

    def __init__(self, scenario: Compiled) -> None:
        self._scenario, self._asked = scenario, Counter[tuple[str, bytes]]()

    async def __call__(self, arm: PreparedArm, item: Item) -> Answer:
        request = Request({**arm.arm.request, "messages": msgspec.json.decode(item.messages)})
        model = find(request.body["model"])
        assert model is not None
        key = (request.system, item.messages)
        reply = reply_to(request, model, self._scenario, self._scenario.profiles[-1], self._asked[key])
        self._asked[key] += 1
        tokens = {
            "input_tokens": text_tokens(request.system + request.question, model),
            "output_tokens": reply.output_tokens,
        }
        return Answer(reply.text, reply.stop_reason, model.id, tokens)


def _setting(cell: Cell, seed: int, items: int) -> tuple[Compiled, Work, Prompt]:
    """Questions are others for each seed: an eval set is a few of all that there are."""
    pairs = [(f"What is {seed} times {number}?", str(seed * number)) for number in range(items)]
    rows = [
        {"id": f"q{number}", "input": question, "assert": [{"type": "equals", "value": answer}]}
        for number, (question, answer) in enumerate(pairs)
    ]
    spec = EvalSetSpec.model_validate({"dataset": {"configMapKeyRef": {"name": _PLACE[0], "key": _PLACE[1]}}})
    loaded = load_items(spec, Contents({_PLACE: "\n".join(map(json.dumps, rows))}))
    better, equal, overfitted, worse = cell.shares
    scenario = {
        "seed": seed,
        "answers": [{"question": question, "answer": answer} for question, answer in pairs],
        "defaults": {
            "accuracy": ACCURACY,
            "difficulty": _DIFFICULTY,
            "editor": {
                "better": better, "equal": equal, "overfitted": overfitted, "worse": worse, "gain": cell.gain,
            },
        },
    }  # fmt: skip
    system = [{"type": "text", "text": _SYSTEM}]
    present = prepare(Arm("present", "stable", 0, {"model": MODEL, "max_tokens": 64, "system": system}), {}, takes)
    work = Work("bench", spec, loaded, (present,), None, "http://simulator", "sk-test")
    return compile_scenario(parse(json.dumps(scenario)), None), work, Prompt("", "present", read_blocks(system, (), {}))


def _judged(ended: Improvement, scenario: Compiled) -> Found:
    profile = scenario.profiles[-1]

    def is_better(texts: Sequence[str]) -> bool:
        return edited("\n".join(texts), profile.accuracy, profile.editor).accuracy > profile.accuracy + 1e-9

    written = ended.best is not None and is_better(ended.best.texts)
    return Found(
        1,
        int(written),
        int(ended.best is not None and not written),
        int(any(is_better(one.texts) for one in ended.trials)),
        int(ended.ended_early),
        len(ended.trials),
        len(ended.trials),
        ended.spent.total,
    )


def _silent(_: str) -> Tell:
    return lambda _done, _total: None


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.evals.improve", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="a row (default %(default)s)")
    parser.add_argument("--items", type=int, default=ITEMS, help="in the set (default %(default)s)")
    parser.add_argument("--editors", type=int, nargs="+", default=range(len(EDITORS)), help="rows, by number from 0")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="two runs, to see that it works")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
