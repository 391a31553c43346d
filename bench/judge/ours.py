"""This project's judge as a rule of the benchmark: the code that the operator runs, tick by tick."""

from __future__ import annotations

import datetime as dt

from bench.judge.rules import Context
from bench.judge.ticks import Arm, PrePeriod, Sums, Tick
from claude_operator.api.analysis import Analysis
from claude_operator.api.base import fraction
from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement, Offsets
from claude_operator.core.judge import assessment
from claude_operator.core.judge.diagnosis import explain_failures, find
from claude_operator.core.judge.evidence import offset
from claude_operator.core.judge.evidence.context import Bake
from claude_operator.core.judge.evidence.context import Context as Surroundings
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.sample import NO_VALUES, Counts, Sample, Values
from claude_operator.core.judge.evidence.units import UnitKey, UnitSample
from claude_operator.core.judge.judges import promotion
from claude_operator.core.judge.metrics import valued

__all__ = ["Ours", "OursByPod", "OursOfBefore", "OursWithoutMargins"]

_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_STABLE, _CANARY = "app-stable", "app-canary"
_QUANTITIES = ("timeToFirstToken", "cost")
_MIN_DURATION, _MIN_REQUESTS = 60.0, 100  # what a bake asks for besides, where nothing is said


class Ours:
    """The judge with its default settings; steps that end on evidence ask `ready`."""

    analysis = Analysis()

    def __init__(self, context: Context) -> None:
        self.reason = ""
        self._judgement: Judgement | None = None
        self._generation, self._step = 0, -1
        self._began, self._requests = 0.0, 0
        self._history = dict.fromkeys(_QUANTITIES, NO_VALUES)
        self._offsets = _offsets(context.pre_period, context.weights)
        tolerated = fraction(self.analysis.tolerated_increase)
        following = (*context.weights[1:], 1.0)
        self._bakes = [Bake(index, promotion.margin_of(tolerated, weight)) for index, weight in enumerate(following)]
        self._following = following

    def step(self, tick: Tick) -> bool:
        """Whether traffic goes back after this tick."""
        if tick.step != self._step:
            self._step, self._began, self._requests = tick.step, tick.start, 0
            self._generation += 1
        self._requests += tick.canary.ok + tick.canary.errors
        stable, canary = self._sample(tick.stable), self._sample(tick.canary)
        before = self._judgement
        known = {state.name for state in before.state if state.edges} if before else set()
        for name in _QUANTITIES:
            if name not in known:
                self._history[name] = self._history[name].plus(stable.quantity(name, ("read", "write", "none")))
        self._judgement, _ = assessment.assess(
            before,
            self.analysis,
            self._increments(tick, stable, canary),
            stable=_STABLE,
            canary=_CANARY,
            now=_START + dt.timedelta(seconds=tick.start + tick.seconds),
            context=Surroundings(
                weight=round(tick.weight * 10_000),
                generation=self._generation,
                bakes=self._bakes[tick.step :],
                history={
                    name: self._history.get(quantity, NO_VALUES) if period == "opening" else NO_VALUES
                    for name, (quantity, period) in valued(self.analysis).items()
                    if name not in known
                },
                unit="User" if self._offsets else "Conversation",
                offsets=self._offsets if before is None else (),
            ),
        )
        self.reason = self._judgement.leading or ""
        return self._judgement.verdict == "Fail"

    def _increments(self, tick: Tick, stable: Sample, canary: Sample) -> Increments:
        """Each request is a conversation of its own."""
        cells = self._cells(stable, canary)
        share = round(10_000 * tick.weight)
        live = ((_CANARY, share), (_STABLE, 10_000 - share))
        units = {
            UnitKey(self._generation, live, surface, "opening", revision): _unit(sample)
            for (_, surface, revision), sample in cells.items()
        }
        return Increments(cells, traffic=tick.stable.requests + tick.canary.requests, units=units, alone={})

    def _cells(self, stable: Sample, canary: Sample) -> dict[tuple[int, str, str], Sample]:
        return {(self._generation, "other", _STABLE): stable, (self._generation, "other", _CANARY): canary}

    @staticmethod
    def _sample(arm: Arm) -> Sample:
        return _sample(arm, arm.bad_conversations)

    def seen(self, metric: str) -> tuple[int, int]:
        """Bad events of canary and stable that the judge has counted of a metric of shares."""
        states = self._judgement.state if self._judgement else []
        return next(((one.canary[1], one.stable[1]) for one in states if one.name == metric), (0, 0))

    def ready(self, weight: float) -> bool:
        """Whether the canary may have this weight, between 0 and 1, now."""
        judgement = self._judgement
        if judgement is None or judgement.last_tick is None or judgement.last_answer != judgement.last_tick:
            return False
        if find(judgement, Reason.OVERLOADED, Reason.SHARED_INCIDENT) or explain_failures(judgement):
            return False
        elapsed = (judgement.last_tick - _START).total_seconds() - self._began
        if elapsed < _MIN_DURATION or self._requests < _MIN_REQUESTS:
            return False
        return assessment.explain_missing(judgement, self.analysis, self._following.index(weight)) is None


class OursWithoutMargins(Ours):
    """The judge with maxIncrease: 0% for time and cost, which are then watched for any increase at all."""

    analysis = Analysis.model_validate(
        {
            "metrics": [
                {"name": "errors"},
                {"name": "timeToFirstToken", "maxIncrease": "0%"},
                {"name": "refusals"},
                {"name": "maxTokens"},
                {"name": "cost", "maxIncrease": "0%"},
            ]
        }
    )


class OursOfBefore(Ours):
    """The judge on gateways of an older version, which count requests, and bad conversations besides."""

    def _increments(self, tick: Tick, stable: Sample, canary: Sample) -> Increments:
        cells = self._cells(stable, canary)
        return Increments(cells, traffic=tick.stable.requests + tick.canary.requests)


class OursByPod(OursOfBefore):
    """The judge if every gateway pod counted failing conversations for itself."""

    @staticmethod
    def _sample(arm: Arm) -> Sample:
        return _sample(arm, arm.bad_conversations_by_pod)


def _sample(arm: Arm, bad_conversations: int) -> Sample:
    counts = Counts(
        requests=arm.requests,
        ok=arm.ok,
        errors=arm.errors,
        overloads=arm.overloads,
        refusals=arm.refusals,
        max_tokens=arm.max_tokens,
        bad_errors=bad_conversations,
        bad_refusals=arm.refusals,
        bad_max_tokens=arm.max_tokens,
    )
    values = {("timeToFirstToken", cache): _values(sums) for cache, sums in arm.ttft.items() if sums.count}
    if arm.normalized_cost.count:
        # The gateways price at stable's hit ratio; which cache state that was said of does not matter to the judge
        # once the canary has warmed up, and before that it leaves all but uncached requests aside.
        values[("cost", "none" if "none" in arm.ttft else "read")] = _values(arm.normalized_cost)
    return Sample(counts, values)


def _unit(sample: Sample) -> UnitSample:
    """Single requests as conversations that begin and end with it."""
    counts = sample.counts
    bad = {"error": counts.errors, "refusal": counts.refusals, "max_tokens": counts.max_tokens}
    bad["overload"] = counts.overloads
    return UnitSample(counts.judged, {(kind, 0): many for kind, many in bad.items() if many}, sample.values)


def _values(sums: Sums) -> Values:
    return Values(sums.count, sums.ln_sum, sums.ln_sum_sq, sums.sum, sums.sum_sq, sums.buckets)


def _offsets(before: PrePeriod | None, weights: tuple[float, ...]) -> list[Offsets]:
    """As the operator has them from the gateways' history of cohorts, a unit being a cohort."""
    if before is None:
        return []
    rows = zip(
        before.requests.tolist(),
        before.errors.tolist(),
        before.ttft_count.tolist(),
        before.ttft_ln_sum.tolist(),
        before.cost_count.tolist(),
        before.cost_ln_sum.tolist(),
        strict=True,
    )
    history = offset.CohortHistory(dict(enumerate(rows)))
    ttft_within = _variance(before.ttft_count.sum(), before.ttft_ln_sum.sum(), before.ttft_ln_sum_sq.sum())
    cost_within = _variance(before.cost_count.sum(), before.cost_ln_sum.sum(), before.cost_ln_sum_sq.sum())
    found = []
    for weight in weights:
        on_canary = before.on_canary(weight)
        high, low = (
            offset.estimate(
                history,
                lambda cohort, mine=on_canary: bool(mine[cohort]),
                ttft_within=ttft_within,
                cost_within=cost_within,
                caution=caution,
            )
            for caution in (offset.CAUTION, -offset.CAUTION)
        )
        found.append(
            Offsets(
                weight=round(weight * 10_000),
                errors=high.errors,
                errors_least=low.errors,
                time_to_first_token=high.time_to_first_token,
                cost=high.cost,
            )
        )
    return found


def _variance(count: float, total: float, squares: float) -> float:
    return max((squares - total * total / count) / (count - 1.0), 1e-6) if count > 1 else 1.0
