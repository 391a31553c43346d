"""Eval sets of real questions: BANKING77 and GSM8K as files of the user, else questions of our own."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from claude_operator.api.evals import EvalSetSpec
from claude_operator.core.evals.contents import Contents
from claude_operator.core.evals.outcomes import Answer, Outcome
from claude_operator.core.evals.sets import Item, load_items
from claude_operator.evals.grading import Grading
from claude_operator.evals.patterns import Patterns

__all__ = ["Questions", "read"]

_WRONG = "I do not know."
_PLACE = ("questions", "items.jsonl")


@dataclass(frozen=True, slots=True)
class Questions:
    """An eval set as a run loads it, and what a run makes of a wrong and of a right answer to each item."""

    name: str
    items: Sequence[Item]
    graded: Sequence[tuple[Outcome, Outcome]]
    lines: Sequence[str]
    """The items as JSON lines."""
    answers: Sequence[tuple[str, str]]
    """By item: the question, and its right answer."""

    def part(self, places: Sequence[int]) -> Questions:
        """Some of them."""
        parts = (self.items, self.graded, self.lines, self.answers)
        items, graded, lines, answers = ([part[place] for place in places] for part in parts)
        return Questions(self.name, items, graded, lines, answers)

    def distinct(self, places: Sequence[int]) -> list[int]:
        """Those of these places whose question none before has: the simulator counts how often it was asked one."""
        seen = dict[str, int]()
        for place in places:
            seen.setdefault(self.answers[place][0].strip(), place)
        return list(seen.values())


def read(folder: Path | None) -> list[Questions]:
    """The sets in a folder with `banking77_test.csv` and `gsm8k_test.jsonl`."""
    if folder is None:
        return [_questions("made up", ((f"What is {n} + {n}?", str(2 * n), "equals") for n in range(1319)))]
    with (folder / "banking77_test.csv").open(encoding="utf-8", newline="") as file:
        banking = [(row["text"], row["category"], "equals") for row in csv.DictReader(file)]
    text = (folder / "gsm8k_test.jsonl").read_text(encoding="utf-8")
    problems = [json.loads(line) for line in text.splitlines() if line.strip()]
    answers = ((one["question"], f"#### {one['answer'].rpartition('####')[2].strip()}", "contains") for one in problems)
    return [_questions("BANKING77", banking), _questions("GSM8K", answers)]


def _questions(name: str, found: Iterator[tuple[str, str, str]] | Sequence[tuple[str, str, str]]) -> Questions:
    rows = list(found)
    lines = [
        json.dumps({"id": f"q{n}", "input": question, "assert": [{"type": kind, "value": answer}]})
        for n, (question, answer, kind) in enumerate(rows)
    ]
    spec = EvalSetSpec.model_validate({"dataset": {"configMapKeyRef": {"name": _PLACE[0], "key": _PLACE[1]}}})
    items = load_items(spec, Contents({_PLACE: "\n".join(lines)}))
    answers = [(question, answer) for question, answer, _ in rows]
    return Questions(name, items, asyncio.run(_graded(items, [answer for _, answer in answers])), lines, answers)


async def _graded(items: Sequence[Item], answers: Sequence[str]) -> list[tuple[Outcome, Outcome]]:
    grading = Grading(Patterns())  # no item has a regular expression
    pairs = zip(items, answers, strict=True)
    return [
        (await grading.grade(item, _answer(_WRONG)), await grading.grade(item, _answer(text))) for item, text in pairs
    ]


def _answer(text: str) -> Answer:
    return Answer(text, "end_turn", "claude-haiku-5-5", {"input_tokens": 20, "output_tokens": 5})
