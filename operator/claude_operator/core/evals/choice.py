"""A part of a set, for a person who is at work on it: by id, by metadata, by chance, or what failed before.

A part is no verdict for the gate: whoever picks the items picks the result. So what the part would have passed is
told as Inconclusive, with how many items there are and which were asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from claude_operator.core.evals.draws import draw
from claude_operator.core.evals.gate import Result
from claude_operator.core.evals.report import CANDIDATE, Report
from claude_operator.core.evals.sets import Item
from claude_operator.core.text import count

__all__ = ["Choice", "choose_items", "failed_ids", "never_passed"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What to ask: all of these together, everything where nothing is said.

    `filters`: `key=value` of the metadata, else a pattern for the id, with `*` and `?`; one of them must fit.
    `failed`: ids, of a report. `sample`: how many at most, drawn by `seed`.
    """

    filters: tuple[str, ...] = ()
    sample: int | None = None
    seed: str = "0"
    failed: frozenset[str] | None = None


def choose_items(items: Sequence[Item], choice: Choice) -> tuple[list[Item], str]:
    """The chosen items in their order, and what to say of them where these are not all. Raises ValueError for none.

    The sample is the same whenever seed and ids are, and a larger one holds a smaller one: an item is drawn by its id.
    """
    if choice == Choice():
        return list(items), ""
    shown = [item for item in items if not item.held_out]  # what a part says of few items is said of each
    chosen = [item for item in shown if not choice.filters or any(_fits(item, one) for one in choice.filters)]
    if choice.failed is not None:
        chosen = [item for item in chosen if item.id in choice.failed]
    if choice.sample is not None and choice.sample < len(chosen):
        drawn = {item.id for item in sorted(chosen, key=lambda item: draw(choice.seed, item.id))[: choice.sample]}
        chosen = [item for item in chosen if item.id in drawn]
    if items and not chosen:
        raise ValueError(f"no item fits {_words(choice)}: the set's first ids are {', '.join(_ids(shown))}")
    if len(chosen) == len(items):
        return chosen, ""
    asked = f"only {len(chosen)} of {count(len(items), 'item')} were asked ({_words(choice)})"
    return chosen, f"{asked}, so this is no verdict for the gate: leave these options out for one"


def failed_ids(report: Report) -> frozenset[str]:
    """Items that the candidate failed in any epoch."""
    return frozenset(line.id for line in report.outcomes if line.arm == CANDIDATE and line.failed)


def never_passed(result: Result, partial: str) -> Result:
    """The result of a part of the set; `partial` says which."""
    if not partial:
        return result
    phase = "Inconclusive" if result.phase == "Passed" else result.phase
    message = f"{phase}: {partial}. Of these: {result.message.removeprefix(f'{result.phase}: ')}"
    return replace(result, phase=phase, message=message)


def _fits(item: Item, pattern: str) -> bool:
    key, equals, value = pattern.partition("=")
    if equals and key in item.metadata:
        return fnmatchcase(item.metadata[key], value)
    return fnmatchcase(item.id, pattern)


def _ids(items: Sequence[Item]) -> list[str]:
    return [item.id for item in items[:3]]


def _words(choice: Choice) -> str:
    words = [f"--filter {one}" for one in choice.filters]
    words += ["--failed"] if choice.failed is not None else []
    words += [f"--sample {choice.sample} --seed {choice.seed}"] if choice.sample is not None else []
    return " ".join(words)
