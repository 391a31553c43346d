"""Other tools' rules on rollouts of conversations: by request, and by conversation where a platform asks for a unit.

They look once a minute at both arms' counts. By conversation: those that began on each arm since the canary has weight,
and those of them that failed at least once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.judge.conversations.arms import Played, Step, play
from bench.judge.conversations.cases import Case
from bench.judge.conversations.sessions import ERROR, draw
from bench.judge.kept import commit, today
from bench.judge.rivals.confidence import GuardedRollout, SafeRollout
from bench.judge.rivals.sequential import MixtureSprt, RepeatedZTest
from bench.judge.rules import Context, Counts, EveryMinute, Minute

__all__ = ["RULES", "Rival", "load_rivals", "simulate_rivals"]

RULES: Mapping[str, tuple[str, type[EveryMinute], bool]] = {
    "z-test": ("z-test every minute, requests, α = 5 %", RepeatedZTest, False),
    "msprt": ("mixture SPRT, requests, α = 5 %", MixtureSprt, False),
    "safe-rollout": ("GrowthBook's Safe Rollout, conversations, α = 5 %", SafeRollout, True),
    "safe-rollout-requests": ("GrowthBook's Safe Rollout, requests, α = 5 %", SafeRollout, False),
    "guarded-rollout": ("LaunchDarkly's guarded rollout, conversations, α = 5 %", GuardedRollout, True),
    "guarded-rollout-requests": ("LaunchDarkly's guarded rollout, requests, α = 5 %", GuardedRollout, False),
}
"""By name: its title, the rule, and whether it counts conversations."""

_MINUTE = 60.0


@dataclass(slots=True)
class Rival:
    """A rule on a case. `requests`: of the canary until each rollback."""

    rollouts: int = 0
    requests: list[int] = field(default_factory=list)
    date: str = ""
    commit: str = ""
    seed: int = 0


def simulate_rivals(folder: Path, case: Case, *, seed: int, rollouts: int) -> None:
    """Bring the rules of a case to so many rollouts, and keep what was found."""
    kept = load_rivals(folder, case.name)
    if any(one.seed != seed for one in kept.values()):
        kept = {}
    first = min((one.rollouts for one in kept.values()), default=0)
    found = {name: kept.get(name, Rival(seed=seed)) for name in RULES}
    for number in range(first, rollouts):
        for name, requests in _rollout(case, seed, number).items():
            found[name].rollouts += 1
            found[name].date, found[name].commit = today(), commit()
            if requests is not None:
                found[name].requests.append(requests)
    path = _path(folder, case.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {name: {slot: getattr(one, slot) for slot in Rival.__slots__} for name, one in found.items()}
    path.write_text(json.dumps(document, indent=1) + "\n")


def load_rivals(folder: Path, case: str) -> dict[str, Rival]:
    """What is kept of a case, by rule."""
    path = _path(folder, case)
    document: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return {name: Rival(**one) for name, one in document.items()}


def _path(folder: Path, case: str) -> Path:
    return folder / "rivals" / f"{case}.json"


def _rollout(case: Case, seed: int, number: int) -> dict[str, int | None]:
    """Canary requests until each rule went back, None where it did not."""
    steps = [Step(index * case.step_seconds, weight) for index, weight in enumerate(case.weights)]
    played = play(case, draw(case, seed=seed, number=number), steps)
    context = Context(case.weights, case.step_seconds, _MINUTE)
    found: dict[str, int | None] = {}
    for name, (_, rule, by_conversation) in RULES.items():
        looking = rule(context)
        at = next((end for end, minute in _minutes(case, played, steps, by_conversation) if looking.look(minute)), None)
        found[name] = None if at is None else int((played.canary & (played.time < at)).sum())
    return found


def _minutes(
    case: Case, played: Played, steps: Sequence[Step], by_conversation: bool
) -> Iterator[tuple[float, Minute]]:
    """The end of each minute, and what was new in it."""
    count = round(case.planned_seconds / _MINUTE)
    minute = np.minimum((played.time // _MINUTE).astype(np.int64), count - 1)
    answered, failed = played.outcome <= ERROR, played.outcome == ERROR
    if by_conversation:
        known = played.era > 0
        answered, failed = (_first(played, known & one) for one in (answered, failed))
    counts = [
        [np.bincount(minute[what & (played.canary == arm)], minlength=count).tolist() for what in (answered, failed)]
        for arm in (True, False)
    ]
    for index in range(count):
        arms = [Counts(requests[index], errors[index]) for requests, errors in counts]
        step = max(place for place, one in enumerate(steps) if one.start <= index * _MINUTE)
        last = (index + 1) * _MINUTE >= (step + 1) * case.step_seconds
        yield (index + 1) * _MINUTE, Minute(arms[0], arms[1], steps[step].weight, last, ())


def _first(played: Played, among: np.ndarray) -> np.ndarray:
    """The first of each conversation among some, in the order of time."""
    places = np.flatnonzero(among)
    firsts = places[np.unique(played.unit[places], return_index=True)[1]]
    found = np.zeros(len(among), dtype=bool)
    found[firsts] = True
    return found
