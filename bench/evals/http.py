"""`python -m bench.evals.http`: gates by `claude-operator eval run -f` over HTTP, beside the same in process.

Both ask a simulator with the same seed, so that they get the same answers: one by the command line and a simulator that
is a process of its own, the other by calling the simulator's, the graders' and the gate's code. The verdicts and all
figures of the two have to be equal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np

from bench.evals import rules
from bench.evals.__main__ import WORSE
from bench.evals.files import CANDIDATE, STABLE, scenario, write_files
from bench.evals.processes import KEY, Api, operator_command, run, serving
from bench.evals.sets import Questions, read
from claude_operator.core.evals.kept import first_request
from claude_operator.core.evals.outcomes import Answer, Outcome
from claude_operator.core.evals.runs import EXIT_CODES
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm
from claude_operator.evals.grading import Grading
from claude_operator.evals.laptop import Options, Work, as_json, load
from claude_operator.evals.patterns import Patterns
from claude_operator.simulator.profile import compile_scenario
from claude_operator.simulator.request import OLD_VERSION
from claude_operator.simulator.request import read as read_request
from claude_operator.simulator.scenario import parse
from claude_operator.simulator.service import Simulator

CELLS = ((100, "same"), (100, "-2"), (100, "-5"), (100, "-10"), (500, "same"), (500, "-5"))
GATES, QUICK = 10, 1
CONCURRENCY = 16
_KINDS = ("not worse", "too few", "Failed", "Inconclusive")


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate as it came out over HTTP, and where it differs from the same one in process."""

    size: int
    worse: str
    kind: str
    kind_in_process: str
    requests: int
    paid: int
    differs: Sequence[str]
    """Fields of the status, and what else is not as it should be."""


@dataclass(slots=True)
class InProcess:
    """The answers of a simulator with this scenario, graded, without HTTP."""

    work: Work
    behaviour: dict[str, Any]
    simulator: Simulator = field(init=False)

    def __post_init__(self) -> None:
        self.simulator = Simulator(compile_scenario(parse(json.dumps(self.behaviour)), None))

    def ask(self, epochs: int) -> rules.Both:
        """The next epochs of all items on both arms."""
        return asyncio.run(self._ask(epochs))

    async def _ask(self, epochs: int) -> rules.Both:
        grading = Grading(Patterns())  # no item has a regular expression
        assert self.work.baseline is not None
        arms = (self.work.candidates[0], self.work.baseline)
        ours, theirs = [[await self._epochs(grading, arm, item, epochs) for item in self.work.items] for arm in arms]
        return ours, theirs

    async def _epochs(self, grading: Grading, arm: PreparedArm, item: Item, epochs: int) -> list[Outcome]:
        return [await grading.grade(item, self._answer(arm, item)) for _ in range(epochs)]

    def _answer(self, arm: PreparedArm, item: Item) -> Answer:
        turn = self.simulator.begin(read_request(first_request(arm, item).body, OLD_VERSION, []))
        message = self.simulator.answer(turn, self.simulator.look_up_prompt(turn.request, turn.model, turn.began))
        return Answer(message.reply.text, message.reply.stop_reason, message.model.id, message.usage)


def gate(api: Api, questions: Questions, size: int, worse: str, number: int, seed: int) -> Gate:
    """One gate, in both ways."""
    chance = np.random.default_rng((seed, size, list(WORSE).index(worse), number))
    chosen = questions.part(questions.distinct(chance.permutation(len(questions.items)).tolist())[:size])
    behaviour = scenario(chosen.answers, int(chance.integers(1 << 31)), worse=WORSE[worse])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = write_files(folder, chosen.lines, execution={"maxConcurrency": CONCURRENCY})
        api.steer(behaviour)
        command, environment = operator_command("eval", "run", *options, "--base-url", api.url, "--output", "json")
        ran = run(api, command, environment, folder)
        if ran.code not in EXIT_CODES.values():
            raise RuntimeError(f"eval run ended with {ran.code}: {ran.errors[-2000:]}")
        work = load(
            Options(
                folder / "set.yaml",
                (folder / f"{CANDIDATE}.yaml",),
                folder / f"{STABLE}.yaml",
                jsonl=folder / "items.jsonl",
                base_url=api.url,
            ),
            {"ANTHROPIC_API_KEY": KEY},
        )
    inside = InProcess(work, behaviour)
    result = rules.shipped(work.items, inside.ask(rules.EPOCHS), inside.ask, STABLE)
    status = json.loads(ran.output)
    paid, requests = api.paid(), 2 * size * result.epochs
    differs = [*differences(status, json.loads(as_json(result)))]
    differs += ["exit code"] if ran.code != EXIT_CODES[result.phase] else []
    differs += ["requests paid"] if paid.total() != requests else []
    shown = "too few" if status["reason"] == "TooFewItems" else status["phase"]
    return Gate(
        size,
        worse,
        "not worse" if shown == "Passed" else shown,
        rules.kind(result),
        requests,
        paid.total(),
        differs,
    )


def differences(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """Where two JSON documents differ; numbers may in the last digits, since sums have another order."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = sorted(ours.keys() | theirs.keys())
        return [one for name in names for one in differences(ours.get(name), theirs.get(name), f"{place}.{name}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [one for index, pair in pairs for one in differences(*pair, f"{place}[{index}]")]
    numbers = isinstance(ours, int | float) and isinstance(theirs, int | float)
    equal = isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12) if numbers else ours == theirs
    return [] if equal else [place.lstrip(".") or "all"]


def table(gates: Sequence[Gate]) -> str:
    """The cells as Markdown."""
    lines = [
        "| items | candidate | gates | over HTTP: not worse, too few, failed, inconclusive | the same in process"
        " | verdicts that agree | all figures agree | requests | paid |",
        "|---" * 9 + "|",
    ]
    for (size, worse), found in groupby(gates, key=lambda one: (one.size, one.worse)):
        cell = list(found)
        http, inside = (
            ", ".join(str(Counter(kinds)[kind]) for kind in _KINDS)
            for kinds in ([one.kind for one in cell], [one.kind_in_process for one in cell])
        )
        verdicts = sum(one.kind == one.kind_in_process for one in cell)
        figures = sum(not one.differs for one in cell)
        paid, requests = sum(one.paid for one in cell), sum(one.requests for one in cell)
        numbers = (f"{verdicts} of {len(cell)}", f"{figures} of {len(cell)}", f"{requests:,}", f"{paid:,}")
        lines.append(f"| {size} | {worse} | {len(cell)} | {http} | {inside} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Run the gates, print the table; 1 where one does not agree."""
    options = arguments(words)
    questions = read(options.data)
    cells = [(size, worse) for size, worse in CELLS if not options.quick or size == min(CELLS)[0]]
    gates: list[Gate] = []
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as api:
        for size, worse in cells:
            for number in range(QUICK if options.quick else options.gates):
                one = gate(api, questions[number % len(questions)], size, worse, number, options.seed)
                gates.append(one)
                if one.differs:
                    sys.stderr.write(f"{size} items, {worse}, gate {number} differs: {', '.join(one.differs)}\n")
            sys.stderr.write(f"{size} items, {worse}: done\n")
    names = " and ".join(one.name for one in questions)
    print(f"{names}, seed {options.seed}\n\n{table(gates)}")
    return int(any(one.differs for one in gates))


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m bench.evals.http", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with banking77_test.csv and gsm8k_test.jsonl")
    parser.add_argument("--gates", type=int, default=GATES, help="gates a cell (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a gate of each small cell, to see that it works")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
