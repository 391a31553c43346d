"""After promotion: is the revision that serves all requests worse than what the one before it was like?

There is no other arm any more, so each metric is tested against history: what stable was like while the rollout
compared it. Other hours have other traffic, so only an increase beyond a margin is harm. A share of bad requests is
held against p = U (1 + margin), U being the upper end of the 95 % interval of its history: x bad of n requests multiply
the likelihood ratio of odds g times as high by g^x / (1 + (g - 1) p)^n, whose expectation is at most 1 wherever the
share is at most p. The mean ln of a quantity is held against m, the upper end of its history plus ln(1 + margin): with
s, the standard deviation of ln, exp(l (sum - n m) / s - n l^2 / 2) for a few l below 1, where the normal law is a bound
for the skewed ones too. Means over alternatives and over metrics by their weights are e-processes again, so by Ville's
inequality the evidence ever reaches 1 / falseRollbackRate with that probability at most, however often it is looked at.

Overloads are neither good nor bad, and a tick with many of them says nothing at all: timeouts come along with them.
That is all that tells an incident of the provider from a fault of the revision, where nothing else is being served.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from claude_operator.api.analysis import Analysis
from claude_operator.api.status import Judgement, MetricState, SoakStatus, to_millisecond
from claude_operator.api.sums import Moments, SoakSums
from claude_operator.core.judge import sentences
from claude_operator.core.judge.diagnosis import is_suspicious
from claude_operator.core.judge.evidence import recent
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.sample import NO_VALUES, NOTHING, Sample, Values, significant
from claude_operator.core.judge.evidence.units import NO_UNITS, UnitSample
from claude_operator.core.judge.judges import engine
from claude_operator.core.judge.judges.dispatch import judge_of
from claude_operator.core.judge.judges.protocol import watches_of
from claude_operator.core.judge.metrics import CACHES, KINDS, Binary, Quantity, Watched
from claude_operator.core.judge.stats import continuous, eprocess
from claude_operator.core.judge.stats.intervals import Z, wilson
from claude_operator.core.text import count

__all__ = ["assess", "history", "new_judgement"]

_SCALES = (0.1, 0.2, 0.4)  # of a quantity's alternatives: l above
_FEWEST = 30  # degrees of freedom that a variance needs
_LEAST_VARIANCE = 1e-4  # of ln
_OVERLOADED = 0.1  # share of overloads from which on a tick says nothing of the revision


def history(judgement: Judgement | None, analysis: Analysis) -> list[MetricState]:
    """What stable was like in a rollout, one entry a metric of which enough is known; empty where nothing was compared.

    Incidents that both arms had are left out.

    Counts of requests and bad events as `stable`, `moments` of a quantity.
    """
    known = {state.name: state for state in ((judgement.calm or judgement.state) if judgement else ())}
    found = [
        MetricState(
            name=state.name,
            evidence=1.0,
            canary=[0, 0],
            stable=_trials(state, watch),
            moments=state.moments,
            units=state.units._replace(canary=0.0),
        )
        for watch in watches_of(judge_of(analysis), analysis)
        if not watch.hold
        if (state := known.get(watch.name)) is not None and _usable(watch, state)
    ]
    return found if any(watch.weight for watch in _watches(found, analysis, 0.0, 1.0)) else []


def new_judgement(analysis: Analysis, now: dt.datetime) -> Judgement:
    """The start of a soak: evidence 1, nothing seen. The first look is due after `analysis.interval`."""
    now, threshold = to_millisecond(now), 1.0 / analysis.false_rollback_rate
    start = Judgement(verdict="Inconclusive", threshold=threshold, started_at=now, last_tick=now)
    return start.model_copy(update={"message": _message(start, (), "")})


def assess(
    soak: SoakStatus, analysis: Analysis, increments: Increments, *, now: dt.datetime, price_ratio: float = 1.0
) -> Judgement:
    """The judgement after one more tick. `Fail` is final.

    `price_ratio`: how many times as dear as the former one the revision's model is by the price lists.
    """
    now = to_millisecond(now)
    before = soak.judgement or new_judgement(analysis, now)
    elapsed = (now - (before.last_tick or now)).total_seconds()
    new = increments.of(soak.revision)
    seen = {
        "last_tick": now,
        "last_traffic": now if new.counts.requests else before.last_traffic,
        "unreachable": list(increments.unreachable),
        "overloaded": _overloaded(new),
        "recent": recent.update(before.recent, seconds=elapsed, canary=new.counts, stable=NOTHING),
    }
    if before.verdict == "Fail" or seen["overloaded"] or new.counts.accounts or not new:
        return before.model_copy(update=seen)
    watches = _watches(soak.history, analysis, soak.max_increase, price_ratio)
    known = {state.name: state for state in soak.history}
    states = {state.name: state for state in before.state}
    number = before.ticks + 1
    units = increments.units_of(soak.revision)
    after = [
        _advanced(states.get(watch.name), watch, known[watch.name], _Grown(new, units), number) for watch in watches
    ]
    judged = before.model_copy(
        update={
            **seen,
            "state": after,
            "ticks": number,
            "requests": before.requests + new.counts.judged,
            "evidence": engine.combined(after, watches),
            "threshold": 1.0 / analysis.false_rollback_rate,
            "leading": engine.leading(after, watches),
        }
    )
    if judged.evidence >= judged.threshold and judged.leading is not None:
        judged.verdict, judged.reason = "Fail", KINDS[judged.leading].reason
    judged.message = _message(judged, soak.history, soak.previous)
    return judged


# ------------------------------------------------------------------------------------------------------- metrics


def _trials(state: MetricState, watch: Watched) -> list[int]:
    """Trials and bad ones: a conversation is one each time that it enters a period of its turns."""
    by_unit = state.units.exposed and isinstance(watch.kind, Binary)
    return [round(state.units.stable), state.stable[1]] if by_unit else state.stable


def _usable(watch: Watched, state: MetricState) -> bool:
    """Whether there is something to hold the revision against; it may have been stored by another version."""
    if len(state.stable) != 2:
        return False
    if isinstance(watch.kind, Binary):
        return state.stable[0] > 0
    return state.moments.values >= _FEWEST and state.moments.freedom >= _FEWEST


def _watches(
    known: Sequence[MetricState], analysis: Analysis, max_increase: float, price_ratio: float
) -> list[Watched]:
    """The metrics that have a history, with weight and margin: what the rollout tolerated is tolerated still."""
    entries = {state.name: state for state in known}
    watches = watches_of(judge_of(analysis), analysis)
    found = [watch for watch in watches if (at := entries.get(watch.name)) and _usable(watch, at)]
    total = sum(watch.weight for watch in found) or 1.0
    drift, dearer = math.log1p(max(max_increase, 0.0)), math.log(max(price_ratio, 1.0))
    return [
        watch._replace(
            weight=watch.weight / total,
            margin=max(watch.margin, drift)
            + (dearer if isinstance(watch.kind, Quantity) and watch.kind.priced else 0.0),
        )
        for watch in found
    ]


class _Grown(NamedTuple):
    """What is new of the revision: its requests, and its conversations by period."""

    requests: Sample
    units: Mapping[str, UnitSample]

    def events(self, watch: Watched, kind: Binary, *, by_unit: bool) -> tuple[int, int]:
        """Trials and bad ones."""
        if kind.flags:
            return kind.events(self._flagged(watch))
        if not by_unit or not kind.event:
            return kind.events(self.requests, conversations=watch.conversations)
        entries = sum(one.entries for one in self.units.values())
        bad = [
            count for one in self.units.values() for (event, _), count in one.first_bad.items() if event == kind.event
        ]
        return entries, sum(bad)

    def _flagged(self, watch: Watched) -> Sample:
        if self.units:
            return self.units.get(watch.period or "", NO_UNITS).as_sample()
        return self.requests if watch.counts_requests else Sample()

    def values(self, watch: Watched, *, by_unit: bool) -> Values:
        """Of a quantity."""
        if not by_unit:
            return self.requests.quantity(watch.quantity, CACHES) if watch.counts_requests else NO_VALUES
        return self.units.get(watch.period or "", NO_UNITS).as_sample().quantity(watch.quantity, CACHES)


def _advanced(state: MetricState | None, watch: Watched, known: MetricState, new: _Grown, number: int) -> MetricState:
    """A metric's state after a tick: `canary` and `soak` are the revision's own, `stable` is the history's.

    What is counted is what its history counts, requests or conversations.
    """
    by_unit = known.units.stable > 0.0
    if state is None or len(state.canary) != 2:
        state = MetricState(name=watch.name, evidence=1.0, canary=[0, 0], stable=known.stable)
    if isinstance(watch.kind, Binary):
        return _binary(state, watch, watch.kind, known, new.events(watch, watch.kind, by_unit=by_unit), number)
    return _quantity(state, watch, known, new.values(watch, by_unit=by_unit), number)


def _binary(
    state: MetricState, watch: Watched, kind: Binary, known: MetricState, new: tuple[int, int], number: int
) -> MetricState:
    """What should neither rise nor fall is held against both ends of its history."""
    requests, bad = new
    if not requests and not bad:
        return state
    low, high = wilson(known.stable[0], known.stable[1])
    ratio = math.exp(watch.margin)
    most, least = min(high * ratio, 1.0), low / ratio
    logs = [
        log + bad * ln_odds - requests * math.log1p((odds - 1.0) * (most if odds > 1.0 else least))
        for log, (ln_odds, odds) in zip(
            eprocess.resized(state.logs, kind.grid.size, state.evidence), kind.grid.alternatives, strict=True
        )
    ]
    logs = eprocess.stored(logs, number)
    both = [state.canary[0] + requests, state.canary[1] + bad]
    evidence = eprocess.value(logs)
    own = _recent(state.soak or SoakSums(), evidence, requests, bad)
    return state.model_copy(update={"logs": logs, "canary": both, "evidence": evidence, "soak": own})


def _quantity(state: MetricState, watch: Watched, known: MetricState, new: Values, number: int) -> MetricState:
    """The variance is the history's or the revision's own up to this tick, the larger one: traffic may be mixed."""
    if not new.count:
        return state
    known_own = state.soak or SoakSums()
    own = known_own.moments
    past = _variance(known.moments)
    spread = math.sqrt(max(past, _variance(own), _LEAST_VARIANCE))
    most = known.moments.mean + Z * math.sqrt(past / known.moments.values) + watch.margin
    excess = (new.ln_sum - new.count * most) / spread
    before = eprocess.resized(state.logs, len(_SCALES), state.evidence)
    logs = [log + scale * excess - new.count * scale * scale / 2.0 for log, scale in zip(before, _SCALES, strict=True)]
    logs = eprocess.stored(logs, number)
    total = state.canary[0] + new.count
    evidence = continuous.but_not_early(eprocess.value(logs), total)
    update = {
        "logs": logs,
        "canary": [total, 0],
        "evidence": evidence,
        "soak": _recent(known_own, evidence, new.count, new.ln_sum)._replace(
            moments=Moments(*significant(continuous.moments(own, new)))
        ),
    }
    return state.model_copy(update=update)


def _recent(before: SoakSums, evidence: float, count: int, total: float) -> SoakSums:
    """With what came since the evidence last spoke against harm: what shows a fault."""
    if evidence < 1.0:
        return before._replace(requests=0.0, total=0.0)
    requests, total = significant([before.requests + count, before.total + total])
    return before._replace(requests=requests, total=total)


def _variance(moments: Moments) -> float:
    return moments.squares / moments.freedom if moments.freedom >= _FEWEST else 0.0


def _overloaded(new: Sample) -> bool:
    counts = new.counts
    return counts.overloads > 0 and counts.overloads >= _OVERLOADED * counts.requests


# ----------------------------------------------------------------------------------------------------- sentences


def _message(judgement: Judgement, known: Sequence[MetricState], previous: str) -> str:
    """`errors 31 of the last 900 requests against 0.5 % of support-5f6d8c1a2b before, evidence 140 ≥ 100`."""
    evidence, threshold = sentences.number(judgement.evidence), sentences.number(judgement.threshold)
    state = next((one for one in judgement.state if one.name == judgement.leading), None)
    before = next((one for one in known if one.name == judgement.leading), None)
    if state is None or before is None or not is_suspicious(judgement):
        requests = count(judgement.requests, "request")
        return f"{requests}, no evidence of harm (evidence {evidence}, traffic goes back at {threshold})"
    relation = "≥" if judgement.evidence >= judgement.threshold else "of"
    return f"{_effect(state, before, previous)}, evidence {evidence} {relation} {threshold}"


def _effect(state: MetricState, before: MetricState, previous: str) -> str:
    kind = KINDS[state.name]
    requests, total, _ = state.soak or SoakSums()
    if not requests:
        return kind.label
    unit = "conversation" if before.units.stable else "request"
    last = f"the last {count(round(requests), unit)}"
    if isinstance(kind, Quantity):
        ratio = math.exp(min(total / requests - before.moments.mean, 50.0))
        return f"{kind.label} of {last} {ratio:.3g} times {previous}'s before"
    share = 100.0 * before.stable[1] / before.stable[0]
    return f"{kind.label} {round(total)} of {last} against {share:.2g} % of {previous} before"
