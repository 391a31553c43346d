"""The operator's judge on what gateways show, reading after reading, and how a rollout ends under it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from bench.judge.conversations.arms import Played, Step, play
from bench.judge.conversations.cases import Case
from bench.judge.conversations.gateways import Gateways, named
from bench.judge.conversations.screen import Screen, can_screen
from bench.judge.conversations.sessions import Drawn, draw
from bench.judge.conversations.tally import BOOT, CANARY, STABLE, Tally
from bench.judge.conversations.users import offsets
from claude_operator.api.analysis import Analysis
from claude_operator.api.base import fraction
from claude_operator.api.conditions import Reason
from claude_operator.api.evidence import Evidence
from claude_operator.api.status import Judgement, Offsets
from claude_operator.core.judge import assessment
from claude_operator.core.judge.diagnosis import diagnose, explain_failures
from claude_operator.core.judge.evidence.context import Bake, Context
from claude_operator.core.judge.evidence.increments import Memory, PodReading, advance, history
from claude_operator.core.judge.judges import promotion
from claude_operator.core.judge.metrics import quantities, valued

__all__ = ["FAST", "SLOW", "Counting", "Ended", "Judging", "Source", "judge", "run"]

_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_MIN_DURATION, _MIN_REQUESTS = 60.0, 100  # what a bake asks for besides, where nothing is said
_CALM = (Reason.WATCHING, Reason.INCONCLUSIVE)
_HELD_SECONDS = 30.0  # a hold of this long is one that people meet
_CHECKED = 50  # each so many-th rollout is both screened and judged


class Source(Protocol):
    """What gateways show after each tick."""

    @property
    def played(self) -> Played:
        """What became of requests."""
        ...

    def start(self) -> list[PodReading]:
        """Before the first tick."""
        ...

    def readings(self, last: int) -> Iterator[list[PodReading]]:
        """After each tick until before `last`, in order."""
        ...


class Counting(NamedTuple):
    """A way to count. `prepared`: conversations with the labels that it draws. `screened`: what passes by far is not
    judged tick by tick."""

    source: Callable[[Case, Drawn, Played, Sequence[Step]], Source]
    prepared: Callable[[Case, Drawn], Drawn]
    screened: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How one rollout ended: `rolled back`, `promoted` or `held`: at the end a step could not have gone on.

    `requests` of the canary, `seconds` and `excess` (failed requests that stable would not have had) are up to then.
    `holds`: reasons for which no step would have gone on for half a minute or more. `words`: all that was said.
    """

    end: str
    requests: int
    seconds: float
    excess: float
    reason: str = ""
    holds: tuple[str, ...] = ()
    words: str = ""


@dataclass(slots=True)
class Judging:
    """The judgement so far."""

    case: Case
    analysis: Analysis
    memory: Memory | None = None
    judgement: Judgement | None = None
    held: Counter[str] = field(default_factory=Counter)
    words: dict[str, None] = field(default_factory=dict)
    requests: int = 0
    offsets: list[Offsets] = field(default_factory=list)
    """Of its users, as far as they were read."""
    ticks: int = 0

    def tick(self, readings: list[PodReading], now: float, step: int) -> bool:
        """Whether traffic goes back after this reading."""
        wanted = quantities(self.analysis)
        increments, self.memory = advance(self.memory, readings, wanted, now=now)
        self.ticks += 1
        self.requests += increments.counts_of(CANARY).judged
        known = {one.name for one in self.judgement.state if one.edges} if self.judgement else set()
        self.judgement, _ = assessment.assess(
            self.judgement,
            self.analysis,
            increments,
            stable=STABLE,
            canary=CANARY,
            now=_START + dt.timedelta(seconds=now),
            context=self._context(step, known),
        )
        for one in diagnose(self.judgement):
            self.words[one.message] = None
            if one.holds and one.reason not in _CALM:
                self.held[one.reason] += 1
        self.words[self.judgement.message] = None
        return self.judgement.verdict == "Fail"

    def _context(self, step: int, known: set[str]) -> Context:
        weights = (*self.case.weights, 1.0)
        tolerated = fraction(self.analysis.tolerated_increase)
        bakes = [Bake(index, promotion.margin_of(tolerated, weights[index + 1])) for index in range(len(weights) - 1)]
        return Context(
            weight=round(10_000 * weights[step]),
            generation=step + 2,
            bakes=bakes[step:],
            history={
                name: history(self.memory, STABLE, quantity, period)
                for name, (quantity, period) in valued(self.analysis).items()
                if name not in known
            },
            unit=self.case.unit,
            offsets=self._offsets(),
        )

    def _offsets(self) -> list[Offsets]:
        """Asked for until they are known; nobody answers at once where a pod is silent."""
        silent = self.case.pods.silent_first and self.ticks == 1
        known = self.judgement is not None and self.judgement.offsets
        return [] if silent or known else self.offsets

    def is_ready(self, step: int, since: float, now: float) -> bool:
        """Whether the next step may begin."""
        judgement = self.judgement
        if judgement is None or any(one.holds for one in diagnose(judgement)) or explain_failures(judgement):
            return False
        if now - since < _MIN_DURATION or self.requests < _MIN_REQUESTS:
            return False
        return assessment.explain_missing(judgement, self.analysis, step) is None

    @property
    def is_held(self) -> bool:
        """Whether something else than missing evidence stands against the next step."""
        judgement = self.judgement
        return judgement is not None and any(one.holds and one.reason not in _CALM for one in diagnose(judgement))

    @property
    def holds(self) -> tuple[str, ...]:
        """Reasons that held for long enough to be met."""
        return tuple(name for name, ticks in self.held.items() if ticks * self.case.tick_seconds >= _HELD_SECONDS)


def run(case: Case, way: Counting, *, seed: int, number: int) -> Ended:
    """One rollout under the judge. Raises `AssertionError` where it stops what the screen would have let pass."""
    drawn = way.prepared(case, draw(case, seed=seed, number=number))
    if not (way.screened and can_screen(case)):
        return judge(case, way, drawn)
    steps = [Step(index * case.step_seconds, weight) for index, weight in enumerate(case.weights)]
    played = play(case, drawn, steps, ordered=case.unit == "User")
    clear = Screen(case, drawn, played, steps).is_clear()
    if clear and number % _CHECKED:
        return Ended("promoted", int(np.count_nonzero(played.canary)), case.planned_seconds, float(played.excess.sum()))
    found = judge(case, way, drawn)
    if clear and (found.end != "promoted" or found.holds):
        raise AssertionError(f"rollout {number} of {case.name} is {found.end} ({found.reason or found.holds})")
    return found


def judge(case: Case, way: Counting, drawn: Drawn) -> Ended:
    """One rollout, judged tick by tick."""
    source = way.source
    so_far = Judging(case, Analysis(), offsets=offsets(case, drawn))
    ticks = round(case.step_seconds / case.tick_seconds)
    evidence = case.steps == "evidence"
    steps = [Step(0.0, case.weights[0])]
    if not evidence:
        steps = [Step(index * case.step_seconds, weight) for index, weight in enumerate(case.weights)]
    tick, played = 0, play(case, drawn, steps)
    shown = source(case, drawn, played, steps)
    so_far.memory = advance(None, shown.start(), quantities(so_far.analysis), now=0.0)[1]
    readings = shown.readings(ticks * len(case.weights))
    for step in range(len(case.weights)):
        since, so_far.requests = tick, 0
        if evidence and step:
            steps.append(Step(tick * case.tick_seconds, case.weights[step]))
            played = play(case, drawn, steps)
            shown = source(case, drawn, played, steps)
            readings = shown.readings(ticks * len(case.weights))
            for _ in range(tick):
                next(readings)
        ready = False
        while not ready and tick < since + ticks:
            now = (tick + 1) * case.tick_seconds
            tick += 1
            if so_far.tick(next(readings), now, step):
                return _ended("rolled back", so_far, shown.played, now)
            ready = evidence and so_far.is_ready(step, since * case.tick_seconds, now)
        if evidence and not ready:
            return _ended("held", so_far, shown.played, tick * case.tick_seconds)
    end = "held" if so_far.is_held else "promoted"
    return _ended(end, so_far, shown.played, tick * case.tick_seconds)


def _ended(end: str, judge: Judging, played: Played, now: float) -> Ended:
    until = played.time < now
    judgement = judge.judgement
    return Ended(
        end=end,
        requests=int(np.count_nonzero(played.canary & until)),
        seconds=now,
        excess=float(played.excess[until].sum()),
        reason=(judgement.leading or judgement.reason or "") if judgement and end == "rolled back" else "",
        holds=judge.holds,
        words="\n".join(judge.words),
    )


class _Fast:
    """Counts of all pods together, from arrays."""

    def __init__(self, case: Case, drawn: Drawn, played: Played, steps: Sequence[Step]) -> None:
        self.played = played
        self._tally = Tally(case, played, steps, drawn.surfaces)

    def start(self) -> list[PodReading]:
        """One pod that stands for all, and has counted nothing."""
        return [PodReading("all", ready=True, evidence=Evidence(BOOT, 1, 0.0))]

    def readings(self, last: int) -> Iterator[list[PodReading]]:
        """What it has counted."""
        for evidence in self._tally.ticks(last):
            yield [PodReading("all", ready=True, evidence=evidence)]


FAST = Counting(_Fast, lambda case, drawn: drawn, screened=True)
SLOW = Counting(Gateways, named)
