"""The gate on itself: one arm's answers against answers of the same arm, so whatever it fails it fails by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from claude_operator.api.evals import EvalGate
from claude_operator.core.evals.draws import draw
from claude_operator.core.evals.gate import Outcomes, judge_run
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.evals.sets import Item
from claude_operator.core.text import count, share

__all__ = ["SelfCheck", "check_itself", "sentence"]


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """How often the gate passed, failed and could not tell an arm from itself, `epochs` answers an item each time."""

    times: int
    epochs: int
    passed: int
    failed: int
    inconclusive: int


def check_itself(items: Sequence[Item], answers: Outcomes, gate: EvalGate, *, times: int, seed: str = "0") -> SelfCheck:
    """Judge one half of the epochs against the other, drawn anew for each item and each time. Raises ValueError."""
    epochs = min((len(answers.get(item.id, ())) for item in items), default=0) // 2
    if not epochs:
        raise ValueError("each item needs two answers of one arm at least: ask with --epochs 2 or more")
    phases = {"Passed": 0, "Failed": 0, "Inconclusive": 0}
    for time in range(times):
        halves: tuple[dict[str, list[Outcome]], dict[str, list[Outcome]]] = ({}, {})
        for item in items:
            drawn = sorted(range(len(answers[item.id])), key=lambda epoch: draw(seed, time, epoch, item.id))
            for half, part in zip(halves, (drawn[:epochs], drawn[epochs : 2 * epochs]), strict=True):
                half[item.id] = [answers[item.id][epoch] for epoch in part]
        result = judge_run(items, halves[0], halves[1], gate, baseline_name="itself", planned_epochs=epochs)
        phases[result.phase] += 1
    return SelfCheck(times, epochs, phases["Passed"], phases["Failed"], phases["Inconclusive"])


def sentence(found: SelfCheck) -> str:
    """What it means, for a person."""
    said = (
        f"In {count(found.times, 'comparison')} of the arm with itself, {count(found.epochs, 'epoch')} against as many,"
        f" the gate failed {found.failed} ({share(found.failed / found.times)}), could not tell {found.inconclusive}"
        f" ({share(found.inconclusive / found.times)}) and passed {found.passed}"
        f" ({share(found.passed / found.times)})."
    )
    if found.failed > found.times / 20:
        return f"{said} It fails by chance too often: correct the critical items and floors that do not always hold."
    if found.inconclusive > found.times / 2:
        return f"{said} An equal candidate would mostly be held: add items or epochs, or allow a larger gate.margin."
    return said
