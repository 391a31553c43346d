"""`python -m bench.evals.speed`: how long a run of the gate takes, and how much memory, beside promptfoo's.

Both ask 1,000 items in 3 epochs on 2 arms, 16 at a time, a simulator that answers after 200 ms: 75 s at least. They
take turns, and each is then run again as it is: what that pays is in the simulator's ledger.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from bench.evals import promptfoo
from bench.evals.files import scenario, write_files
from bench.evals.processes import Api, Ran, operator_command, run, serving
from bench.evals.sets import Questions, read
from claude_operator.core.evals.runs import EXIT_CODES

OURS = "claude-operator eval run"
CONCURRENCY, LATENCY = 16, 0.2  # at a time; seconds
ITEMS, EPOCHS, ARMS = 1000, 3, 2
REPEATS = 3
MB = 1e6


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked, and how fast it could be done."""

    questions: Questions
    latency: float = LATENCY
    epochs: int = EPOCHS

    @property
    def requests(self) -> int:
        """Questions of a run."""
        return len(self.questions.items) * self.epochs * ARMS

    @property
    def least(self) -> float:
        """Seconds that the concurrency allows."""
        return self.requests * self.latency / CONCURRENCY


@dataclass(frozen=True, slots=True)
class Once:
    """A run, and how many requests it paid."""

    ran: Ran
    paid: int
    load: float
    """What else the machine had to do when it began: the load of the last minute."""


@dataclass(slots=True)
class Runs:
    """All runs of a tool, and the second ones that followed them."""

    first: list[Once] = field(default_factory=list)
    second: list[Once] = field(default_factory=list)


Tool = Callable[[Api, Plan, Path], Callable[[], Ran]]
"""Prepares a run in an empty folder; the same run can be done again."""


def ours(api: Api, plan: Plan, folder: Path) -> Callable[[], Ran]:
    """The gate, as on a laptop or in CI, with its answers kept in a folder."""
    execution = {"maxConcurrency": CONCURRENCY, "epochs": plan.epochs}
    options = write_files(folder, plan.questions.lines, execution=execution, gate={"onInconclusive": "Block"})
    words = ["eval", "run", *options, "--base-url", api.url, "--keep", "kept", "--report", "report.jsonl"]
    command, environment = operator_command(*words)

    def once() -> Ran:
        ran = run(api, command, environment, folder)
        if ran.code not in EXIT_CODES.values():
            raise RuntimeError(f"{OURS} ended with {ran.code}: {ran.errors[-2000:]}")
        lines = (folder / "report.jsonl").read_text().splitlines()
        if len(lines) != plan.requests + 1:
            raise RuntimeError(f"{OURS} has reported {len(lines) - 1} of {plan.requests} answers")
        return ran

    return once


def theirs(api: Api, plan: Plan, folder: Path) -> Callable[[], Ran]:
    """promptfoo, with its cache, which is on by default."""
    promptfoo.write_config(folder, api.url, plan.questions.answers)
    command = promptfoo.command(promptfoo.installed(), CONCURRENCY, plan.epochs)
    environment = promptfoo.environment(folder / "home")

    def once() -> Ran:
        ran = run(api, command, environment, folder)
        if ran.code not in (0, 100):
            raise RuntimeError(f"promptfoo ended with {ran.code}: {(ran.errors or ran.output)[-2000:]}")
        wrong, first = promptfoo.errors(folder)
        if wrong:
            raise RuntimeError(f"promptfoo got no answer to {wrong} of {plan.requests} questions: {first}")
        return ran

    return once


def measure(api: Api, plan: Plan, tools: dict[str, Tool], repeats: int, tell: Callable[[str], None]) -> dict[str, Runs]:
    """Each tool in turn, in an order that changes each time; each run is followed by the same once more."""
    found = {name: Runs() for name in tools}
    for number in range(repeats):
        names = list(tools) if number % 2 == 0 else list(reversed(tools))
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                once = tools[name](api, plan, Path(folder))
                api.steer(scenario(plan.questions.answers, number + 1, latency=f"{plan.latency * 1000:g}ms"))
                for runs in (found[name].first, found[name].second):
                    load = os.getloadavg()[0]
                    ran = once()
                    runs.append(Once(ran, api.paid().total(), load))
                    api.forget()
                    tell(f"{name}, repeat {number + 1}: {ran.seconds:.1f} s, {runs[-1].paid} paid, load {load:.1f}")
    return found


def table(plan: Plan, found: dict[str, Runs]) -> str:
    """What was measured as Markdown, as least, median and most of the runs."""
    names = list(found)
    rows: dict[str, Callable[[Runs], str]] = {
        "seconds": lambda one: _spread([each.ran.seconds for each in one.first], 1),
        f"times the {plan.least:g} s that {CONCURRENCY} at a time allow": lambda one: _spread(
            [each.ran.seconds / plan.least for each in one.first], 2
        ),
        "peak memory of the largest process, MB": lambda one: _spread([each.ran.peak / MB for each in one.first], 0),
        "peak memory of all processes, MB": lambda one: _spread([each.ran.peak_of_all / MB for each in one.first], 0),
        "seconds of CPU": lambda one: _spread([each.ran.cpu_seconds for each in one.first], 1),
        "requests paid": lambda one: _spread([each.paid for each in one.first], 0),
        "again: seconds": lambda one: _spread([each.ran.seconds for each in one.second], 1),
        "again: peak memory of the largest process, MB": lambda one: _spread(
            [each.ran.peak / MB for each in one.second], 0
        ),
        "again: requests paid": lambda one: _spread([each.paid for each in one.second], 0),
        "load of the machine before": lambda one: _spread([each.load for each in one.first], 1),
    }
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {what} | {' | '.join(show(found[name]) for name in names)} |" for what, show in rows.items()]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    options = arguments(words)
    tools: dict[str, Tool] = {OURS: ours}
    if not options.alone:
        promptfoo.installed()
        tools[promptfoo.NAME] = theirs
    questions = _distinct(read(options.data)[0], options.items)
    plan = Plan(questions, options.latency, options.epochs)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as api:
        found = measure(api, plan, tools, options.repeats, lambda text: print(text, file=sys.stderr, flush=True))
    print(
        f"{len(questions.items):,} items of {questions.name} in {plan.epochs} epochs on {ARMS} arms, {plan.requests:,}"
        f" requests, {CONCURRENCY} at a time, {plan.latency * 1000:g} ms an answer; {options.repeats} repeats in turn:"
        f" least / median / most\n\n{table(plan, found)}"
    )
    return 0


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m bench.evals.speed", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with banking77_test.csv and gsm8k_test.jsonl")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="runs of each tool (default %(default)s)")
    parser.add_argument("--items", type=int, default=ITEMS, help="default %(default)s")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="default %(default)s")
    parser.add_argument("--latency", type=float, default=LATENCY, help="of an answer, in seconds (default %(default)s)")
    parser.add_argument("--alone", action="store_true", help="without promptfoo")
    return parser.parse_args(words)


def _distinct(questions: Questions, size: int) -> Questions:
    """So many items, drawn once for all, none with the question of another one."""
    chance = np.random.default_rng(1)
    return questions.part(questions.distinct(chance.permutation(len(questions.items)).tolist())[:size])


def _spread(values: Sequence[float], digits: int) -> str:
    least, middle, most = (f"{value:,.{digits}f}" for value in (min(values), median(values), max(values)))
    return least if least == most else f"{least} / {middle} / {most}"


if __name__ == "__main__":
    sys.exit(main())
