"""Asks a set's graders about answers that people have judged, and compares what both say."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from claude_operator.api.evals import RunCalibration
from claude_operator.core.evals.calibration import Label, agree, as_status
from claude_operator.core.evals.checks import Check, Context, Subject, evaluate
from claude_operator.core.evals.graders.kinds import KINDS
from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.sets import Item
from claude_operator.evals.failures import Infrastructure, OverBudget
from claude_operator.evals.graders import Graders

__all__ = ["Labels", "calibrate"]

_COMPARES = "select-best"  # needs another answer, and a label has one
_UNUSED = "no label is of an item and a check of the set that a model grades, with the text of the answer"


@dataclass(frozen=True, slots=True)
class Labels:
    """What people say of answers, `trouble` where that cannot be read, and the least kappa that the set asks for."""

    least: float
    labels: tuple[Label, ...] = ()
    trouble: str = ""


async def calibrate(labels: Labels, items: Sequence[Item], graders: Graders, at_once: int = 4) -> RunCalibration:
    """How far the graders agree with people. What goes wrong is told, and fails no run.

    `at_once` labels are asked about at a time: the budget knows only what has been answered.
    """
    found = RunCalibration(min_kappa=labels.least, trouble=labels.trouble)
    if labels.trouble:
        return found
    places = dict(_places(items))
    known = [(one, *places[one.id, one.check]) for one in labels.labels if (one.id, one.check) in places]
    judged = [one for one in known if one[0].text is not None]
    found = found.model_copy(update={"unused": len(labels.labels) - len(judged)})
    if not judged:
        return found.model_copy(update={"trouble": f"{_UNUSED}: draw new ones with `claude-operator eval calibrate`"})
    pairs: list[tuple[bool, bool]] = []
    trouble: list[str] = []
    left = iter(judged)

    async def ask() -> None:
        for label, item, check in left:
            if trouble:
                return
            try:
                pairs.append((await _holds(graders, label, item, check), bool(label.holds)))
            except (Infrastructure, OverBudget) as error:
                trouble.append(str(error))

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(ask())
    if trouble:
        return found.model_copy(update={"trouble": f"the graders were not asked about all labels: {trouble[0]}"})
    return as_status(agree(pairs), found)


def _places(items: Sequence[Item]) -> Iterator[tuple[tuple[str, str], tuple[Item, Check]]]:
    """The checks that models grade, by what a label says of them; none that another of the item is named like."""
    for item in items:
        graded = [check for check in item.checks if KINDS[check.type].graded and check.type != _COMPARES]
        names = Counter(map(str, graded))
        yield from (((item.id, str(check)), (item, check)) for check in graded if names[str(check)] == 1)


async def _holds(graders: Graders, label: Label, item: Item, check: Check) -> bool:
    answer = Answer(label.text or "", "end_turn", "", {})
    graded, _ = await graders.grade([check], item, answer, None)
    return evaluate(check, Subject(answer, Context(graded=graded))).holds
