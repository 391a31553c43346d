"""Runs rules over simulated rollouts: every rule sees the same ticks of the same rollout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context

import numpy as np

from bench.judge.intervals import median_interval, wilson
from bench.judge.ours import Ours, OursByPod, OursOfBefore, OursWithoutMargins
from bench.judge.rivals import RIVALS
from bench.judge.rules import Context, RuleFactory
from bench.judge.scenarios import Scenario
from bench.judge.ticks import Tick
from bench.judge.traffic import Rollout

__all__ = ["Cell", "Outcome", "Settings", "adaptive", "finished", "fixed", "rollouts_of", "rules_of", "run", "summary"]

_SEGMENT = 20  # rollouts that a worker does at a time


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run of the benchmark is made of.

    `rollouts` are those of a scenario of which a small share is promised; `others` those of the rest, `rivals` those
    on which other rules are run. `tick_seconds` of None are each scenario's own.
    """

    rollouts: int
    others: int | None = None
    rivals: int | None = None
    seed: int = 1
    tick_seconds: float | None = None
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one rollout ended under one rule: `end` is `rolled back`, `promoted` or `held`.

    `requests`, `seconds` and `excess` (failed user requests that stable would not have had) are up to that moment.
    """

    end: str
    requests: int
    seconds: float
    excess: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A rule on a scenario. Intervals have 95 %; medians are over the rollouts that were rolled back."""

    scenario: str
    rule: str
    rollouts: int
    rolled_back: int
    promoted: int
    held: int
    rate: float
    rate_interval: tuple[float, float]
    median_requests: float | None
    median_requests_interval: tuple[float, float] | None
    median_minutes: float | None
    mean_excess: float
    mean_excess_interval: tuple[float, float]
    median_minutes_to_promotion: float | None
    median_minutes_to_promotion_interval: tuple[float, float] | None
    reasons: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The cell as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Cell:
        """The cell again."""
        return cls(**{name: tuple(one) if isinstance(one, list) else one for name, one in values.items()})  # type: ignore[arg-type]


def rules_of(scenario: Scenario) -> dict[str, RuleFactory]:
    """The rules that are compared on a scenario; those of other families than errors are named with their family."""
    # What fails in bursts and who comes back are conversations and users, which gateways of before counted so.
    found: dict[str, RuleFactory] = {"ours": OursOfBefore if scenario.burst or scenario.units else Ours}
    if scenario.adaptive:
        return found
    if {"ttft", "cost"} & set(scenario.families) or (scenario.null and scenario.families):
        found["ours-no-margins"] = OursWithoutMargins
    if scenario.burst:
        found["ours-by-pod"] = OursByPod
    for family in scenario.families:
        found |= {
            name if family == "errors" else f"{name}/{family}": factory for name, factory in RIVALS[family].items()
        }
    return found


def rollouts_of(scenario: Scenario, settings: Settings) -> dict[str, int]:
    """How many rollouts of a scenario each rule is run over: the first so many."""
    most = settings.rollouts if scenario.promised or settings.others is None else settings.others
    others = min(most, most if settings.others is None else settings.others)
    rivals = min(most, most if settings.rivals is None else settings.rivals)
    found = {}
    for name in rules_of(scenario):
        ours, without = name == "ours", name == "ours-no-margins" and scenario.name in ("null", "slowdown")
        found[name] = most if ours or without else others if name.startswith("ours") else rivals
    return found


def fixed(rollout: Rollout, rules: Mapping[str, RuleFactory]) -> dict[str, Outcome]:
    """Run all rules over one rollout with steps of fixed length."""
    context = _context(rollout)
    running = {name: factory(context) for name, factory in rules.items()}
    found: dict[str, Outcome] = {}
    requests, excess = 0, 0.0
    for tick in rollout.fixed():
        requests, excess = requests + tick.canary.requests, excess + tick.excess
        for name, rule in list(running.items()):
            if rule.step(tick):
                found[name] = Outcome("rolled back", requests, tick.start + tick.seconds, excess, rule.reason)
                del running[name]
        if not running:
            break
    promoted = Outcome("promoted", requests, rollout.scenario.planned_seconds, excess)
    return {name: found.get(name, promoted) for name in rules}


def adaptive(rollout: Rollout, factory: Callable[[Context], Ours] = Ours) -> Outcome:
    """Run a rule over one rollout in which it ends the steps itself; a step that it does not end is held."""
    scenario = rollout.scenario
    rule = factory(_context(rollout))
    requests, excess, now = 0, 0.0, 0.0
    weights: list[float] = []
    for step, following in enumerate((*scenario.weights[1:], 1.0)):
        ended = False
        for tick in _step_ticks(rollout, step, weights):
            weights.append(tick.weight)
            requests, excess, now = requests + tick.canary.requests, excess + tick.excess, tick.start + tick.seconds
            if rule.step(tick):
                return Outcome("rolled back", requests, now, excess, rule.reason)
            if rule.ready(following):
                ended = True
                break
        if not ended:
            return Outcome("held", requests, now, excess)
    return Outcome("promoted", requests, now, excess)


def _step_ticks(rollout: Rollout, step: int, weights: Sequence[float]) -> Iterator[Tick]:
    """The ticks of a step, drawn as they are needed; `weights` are those of all ticks so far, and grow meanwhile."""
    for count, _, _ in rollout.parts():
        yield from rollout.part(step, len(weights), count, np.array(weights))


def _context(rollout: Rollout) -> Context:
    scenario = rollout.scenario
    return Context(scenario.weights, scenario.step_seconds, rollout.tick_seconds, rollout.pre_period)


def _segment(
    scenario: Scenario, first: int, last: int, settings: Settings
) -> tuple[str, int, dict[str, list[Outcome]]]:
    """The outcomes of some rollouts of a scenario by rule."""
    rules, rollouts = rules_of(scenario), rollouts_of(scenario, settings)
    found: dict[str, list[Outcome]] = {name: [] for name in rules}
    for number in range(first, last):
        rollout = Rollout(scenario, seed=settings.seed, number=number, tick_seconds=settings.tick_seconds)
        here = {name: factory for name, factory in rules.items() if number < rollouts[name]}
        outcomes = {"ours": adaptive(rollout)} if scenario.adaptive else fixed(rollout, here)
        for name, outcome in outcomes.items():
            found[name].append(outcome)
    return scenario.name, first, found


def finished(
    scenarios: Sequence[Scenario], settings: Settings, progress: Callable[[str, int], None] = lambda name, count: None
) -> Iterator[tuple[str, list[Cell]]]:
    """The cells of each scenario as soon as it is done; `progress` is told of every few rollouts that are done."""
    tasks = list(_segments(scenarios, settings))
    left = Counter(scenario.name for scenario, *_ in tasks)
    parts: dict[str, dict[int, dict[str, list[Outcome]]]] = {scenario.name: {} for scenario in scenarios}
    for name, first, outcomes in _done(tasks, settings):
        parts[name][first] = outcomes
        left[name] -= 1
        progress(name, len(outcomes["ours"]))
        if not left[name]:
            done = parts.pop(name)
            rules = next(iter(done.values()))
            yield (
                name,
                [summary(name, rule, [one for first in sorted(done) for one in done[first][rule]]) for rule in rules],
            )


def run(scenarios: Sequence[Scenario], settings: Settings) -> list[Cell]:
    """All cells of the scenarios, in their order."""
    found = dict(finished(scenarios, settings))
    return [cell for scenario in scenarios for cell in found[scenario.name]]


_Task = tuple[Scenario, int, int, Settings]


def _segments(scenarios: Sequence[Scenario], settings: Settings) -> Iterator[_Task]:
    for scenario in scenarios:
        rollouts = max(rollouts_of(scenario, settings).values())
        for first in range(0, rollouts, _SEGMENT):
            yield scenario, first, min(first + _SEGMENT, rollouts), settings


def _done(tasks: Sequence[_Task], settings: Settings) -> Iterable[tuple[str, int, dict[str, list[Outcome]]]]:
    if settings.jobs == 1:
        yield from (_segment(*task) for task in tasks)
        return
    with ProcessPoolExecutor(settings.jobs, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_segment, *task) for task in tasks]):
            yield future.result()


def summary(scenario: str, rule: str, outcomes: Sequence[Outcome]) -> Cell:
    """Rates, medians and their intervals."""
    ends = Counter(one.end for one in outcomes)
    back = [one for one in outcomes if one.end == "rolled back"]
    promoted = [one.seconds / 60.0 for one in outcomes if one.end == "promoted"]
    requests = [float(one.requests) for one in back]
    excess = [one.excess for one in outcomes]
    mean = float(np.mean(excess))
    half = 1.96 * float(np.std(excess)) / len(excess) ** 0.5
    return Cell(
        scenario=scenario,
        rule=rule,
        rollouts=len(outcomes),
        rolled_back=len(back),
        promoted=ends["promoted"],
        held=ends["held"],
        rate=len(back) / len(outcomes),
        rate_interval=wilson(len(back), len(outcomes)),
        median_requests=float(np.median(requests)) if back else None,
        median_requests_interval=median_interval(requests),
        median_minutes=float(np.median([one.seconds / 60.0 for one in back])) if back else None,
        mean_excess=mean,
        mean_excess_interval=(mean - half, mean + half),
        median_minutes_to_promotion=float(np.median(promoted)) if promoted else None,
        median_minutes_to_promotion_interval=median_interval(promoted),
        reasons=dict(Counter(one.reason for one in back if one.reason).most_common()),
    )
