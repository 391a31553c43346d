"""Which arm each request goes to, given the canary's weights so far, and what came of it there.

Nothing that happens depends on later weights, so that a rollout whose steps end on evidence is played again from its
beginning whenever a weight changes, with the same past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.judge.conversations.cases import Case
from bench.judge.conversations.sessions import ERROR, HUNG, Drawn
from bench.judge.ticks import Floats, Ints

__all__ = ["Played", "Step", "play"]

Bools = NDArray[np.bool_]


class Step(NamedTuple):
    """From `start` on the canary has this weight, between 0 and 1."""

    start: float
    weight: float


@dataclass(frozen=True, slots=True)
class Played:
    """What became of each request, entries as in `Drawn`; those before the rollout are left out but for their turns.

    `era`: 0 for conversations that began before the canary, then the number of the step, from 1. `step` is that of the
    request. `moved`: its conversation changed arm before it. `unit` is the conversation, or the user.
    """

    here: Ints
    """Places in `Drawn` of the requests that are left."""
    time: Floats
    unit: Ints
    era: Ints
    step: Ints
    canary: Bools
    moved: Bools
    surface: Ints
    turn: Ints
    outcome: Ints
    ttft: Floats
    duration: Floats
    output: Ints
    prompt: Ints
    cold: Bools
    """Its context was in no cache: it opens a conversation, or has just moved."""
    last: Bools
    excess: Floats
    """1 where it failed on the canary and would not have failed on stable."""
    pod: Ints
    waited: tuple[Ints, Floats]
    """Pod and seconds to the first token of what was answered well before the rollout."""


def play(case: Case, drawn: Drawn, steps: Sequence[Step], *, ordered: bool = True) -> Played:
    """Send the requests where they belong; the last of `steps` goes on for ever.

    `ordered`: by time, not only those of each conversation.
    """
    starts = np.array([step.start for step in steps])
    weights = np.array([0.0, *(step.weight for step in steps)])
    step = np.searchsorted(starts, drawn.time, "right")
    begun = drawn.time if case.unit == "User" else drawn.begin[drawn.conversation]
    era = np.searchsorted(starts, begun, "right")
    on_canary = drawn.label[drawn.conversation] < weights[era]
    harmed = weights[step] >= case.harm.onset_weight - 1e-9
    moved = _rescued(case, drawn, on_canary & harmed)
    canary = on_canary & ~moved
    column = (canary & harmed).astype(np.int64)
    outcome = _chosen(drawn.outcome, column).astype(np.int64)
    failed = _failed(outcome)
    opens = _opens(drawn.conversation)
    cold = opens | (moved & ~np.concatenate([[False], moved[:-1]]))
    before = np.flatnonzero((drawn.time < 0.0) & (drawn.outcome[0] < ERROR))
    here = np.flatnonzero(drawn.time >= 0.0)
    if ordered:
        here = here[np.argsort(drawn.time[here], kind="stable")]
    return Played(
        here=here,
        time=drawn.time[here],
        unit=(drawn.user[drawn.conversation] if case.unit == "User" else drawn.conversation)[here],
        era=era[here],
        step=step[here],
        canary=canary[here],
        moved=moved[here],
        surface=drawn.surface[drawn.conversation][here],
        turn=_turns(case, drawn, outcome, era)[here],
        outcome=outcome[here],
        ttft=_chosen(drawn.ttft, column)[here],
        duration=_chosen(drawn.duration, column)[here],
        output=_chosen(drawn.output, column)[here],
        prompt=_chosen(drawn.prompt, column)[here],
        cold=cold[here],
        last=drawn.last[here],
        pod=drawn.pod[here],
        waited=(drawn.pod[before], drawn.ttft[0][before]),
        excess=(canary & failed & ~_failed(drawn.outcome[0]))[here].astype(np.float64),
    )


def _chosen(rows: tuple[np.ndarray, np.ndarray], column: Ints) -> np.ndarray:
    return rows[0] if rows[0] is rows[1] else np.where(column == 1, rows[1], rows[0])


def _failed(outcome: np.ndarray) -> Bools:
    return (outcome == ERROR) | (outcome == HUNG)


def _opens(conversation: Ints) -> Bools:
    """The first request of each conversation."""
    return np.concatenate([[True], conversation[1:] != conversation[:-1]]) if len(conversation) else np.empty(0, bool)


def _since_start(conversation: Ints) -> Ints:
    """The place of the first request of each one's conversation."""
    places = np.arange(len(conversation))
    return np.maximum.accumulate(np.where(_opens(conversation), places, 0))


def _rescued(case: Case, drawn: Drawn, on_canary: Bools) -> Bools:
    """Requests after their conversation failed `rescue_after` times in a row on the canary."""
    size, many = len(drawn.time), case.rescue_after
    if not many or case.unit != "Conversation":
        return np.zeros(size, dtype=bool)
    failing = on_canary & (drawn.outcome[1] == ERROR)
    failed = np.flatnonzero(failing)
    if not (failed[many - 1 :] - failed[: len(failed) - many + 1] == many - 1).any():  # none in a row
        return np.zeros(size, dtype=bool)
    places = np.arange(size)
    start = _since_start(drawn.conversation)
    calm = np.maximum.accumulate(np.where(failing, -1, places))
    run = places - np.maximum(calm, start - 1)
    enough = np.where(failing & (run >= many), places, -1)
    last = np.maximum.accumulate(enough)
    before = np.concatenate([[-1], last[:-1]])  # of an earlier request, and of the same conversation
    return before >= start


def _turns(case: Case, drawn: Drawn, outcome: Ints, era: Ints) -> Ints:
    """Assistant turns that a request has, or answers that its process saw before, errors too: whichever is more."""
    if case.unit == "Request":
        return np.zeros(len(drawn.time), dtype=np.int64)
    if case.unit == "User":  # a user begins anew with each era
        user = drawn.user[drawn.conversation] * (int(era.max(initial=0)) + 1) + era
        return _seen_by_pod(case, drawn.time, drawn.pod, user, outcome)
    start = _since_start(drawn.conversation)
    answered = np.cumsum(outcome < ERROR) - (outcome < ERROR)
    turns = answered - answered[start]
    failed = np.zeros(len(drawn.begin), dtype=bool)
    failed[drawn.conversation[outcome == ERROR]] = True
    here = np.flatnonzero(failed[drawn.conversation])  # elsewhere no process has seen more than was answered
    seen = _seen_by_pod(case, drawn.time[here], drawn.pod[here], drawn.conversation[here], outcome[here])
    turns[here] = np.maximum(turns[here], seen)
    return turns


def _seen_by_pod(case: Case, time: Floats, pod: Ints, unit: Ints, outcome: Ints) -> Ints:
    """Requests of the same unit that the same process saw answered before, with an error or without."""
    process = pod
    if case.pods.restart_seconds:
        every = case.pods.restart_seconds
        boot = np.floor((time + process * every / case.pods.count) / every).astype(np.int64)
        process = process + case.pods.count * (boot - boot.min(initial=0))
    if not len(process):
        return process
    group = unit * (int(process.max()) + 1) + process
    order = np.argsort(time, kind="stable")
    few = np.uint16 if int(group.max()) < 1 << 16 else np.int64  # which are sorted by their digits
    order = order[np.argsort(group[order].astype(few), kind="stable")]
    ordered = group[order]
    counts = (outcome[order] <= ERROR).astype(np.int64)
    earlier = np.cumsum(counts) - counts
    seen = np.empty(len(group), dtype=np.int64)
    seen[order] = earlier - earlier[_since_start(ordered)]
    return seen
