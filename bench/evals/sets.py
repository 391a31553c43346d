"""Eval sets of real questions: BANKING77 and GSM8K as files of the user, else questions of our own."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from claude_operator.api.evals import EvalSetSpec
from claude_operator.core.evals.checks import grade
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item, load_items

__all__ = ["Questions", "read"]

_WRONG = "I do not know."


@dataclass(frozen=True, slots=True)
class Questions:
    """An eval set as JSONL lines, with the answer to each that is right."""

    name: str
    lines: Sequence[str]
    answers: Sequence[str]

    def load(self, chosen: Sequence[int]) -> tuple[list[Item], list[tuple[Outcome, Outcome]]]:
        """The chosen items as an eval run loads them, and what it makes of a wrong and of a right answer to each."""
        spec = EvalSetSpec.model_validate({"dataset": {"configMapKeyRef": {"name": "questions", "key": "items.jsonl"}}})
        items = load_items(spec, "\n".join(self.lines[place] for place in chosen))
        graded = [
            (_graded(item, _WRONG), _graded(item, self.answers[place]))
            for item, place in zip(items, chosen, strict=True)
        ]
        return items, graded


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
    return Questions(name, lines, [answer for _, answer, _ in rows])


def _graded(item: Item, text: str) -> Outcome:
    failed = grade(item.checks, text, "end_turn", {})
    return Outcome(failed, score=0.0 if failed else 1.0)
