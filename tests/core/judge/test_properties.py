"""What must hold of the judge for every rollout: whatever comes, in whatever order, read however often."""

from __future__ import annotations

import datetime as dt
import math
import random
from collections import Counter
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.judge.arms import (
    ANALYSIS,
    CACHES,
    CANARY,
    EVERYTHING,
    STABLE,
    START,
    analysis,
    counted,
    counts,
    judge,
    many,
    numbers,
    restored,
    sampled,
    text,
    tick,
    values,
)

from claude_operator.api.analysis import Analysis
from claude_operator.api.evidence import BAD_KINDS, MOVED, TURNS, Counters, Evidence, GenerationEvidence, Stratum
from claude_operator.api.status import Judgement, Offsets
from claude_operator.core.judge import assessment
from claude_operator.core.judge.evidence.context import Bake, Context
from claude_operator.core.judge.evidence.increments import Increments, Memory, PodReading, advance
from claude_operator.core.judge.evidence.sample import QUANTITIES, Counts, Sample, Values
from claude_operator.core.judge.evidence.units import UnitKey, UnitSample
from claude_operator.core.judge.metrics import METRICS, PERIODS

FEW = settings(max_examples=12)
SURFACES = ("chat", "batch")
WHOLE = Context(
    weight=100,
    generation=7,
    bakes=(Bake(1, 0.05), Bake(3, 0.01)),
    offsets=(Offsets(weight=100, errors=1.3, errors_least=0.8, time_to_first_token=0.1, cost=-0.2),),
)


LIVE = [((STABLE, 9900), (CANARY, 100)), ((STABLE, 5000), (CANARY, 5000)), ((STABLE, 10_000),), None]
CONVERSATIONS = st.builds(
    UnitKey,
    st.sampled_from([5, 7]),
    st.sampled_from(LIVE),
    st.sampled_from([*SURFACES, MOVED]),
    st.sampled_from(list(PERIODS)),
    st.sampled_from([STABLE, CANARY]),
)


@st.composite
def conversations(draw: st.DrawFn, most: int) -> UnitSample:
    """Of one arm, also such as no gateway counts: more that went bad than began."""
    events = st.tuples(st.sampled_from([*BAD_KINDS, "tool_use", "cache_write", "hung"]), st.sampled_from(TURNS))
    first_bad = draw(st.dictionaries(events, st.integers(0, most), max_size=3))
    return UnitSample(draw(st.integers(0, most)), first_bad, draw(sampled(most)).values)


@st.composite
def increments(draw: st.DrawFn, most: int = 10**9) -> Increments:
    """Both arms on two surfaces under two generations, not all of them in every tick."""
    places = st.sampled_from([(g, s, r) for g in (6, 7) for s in SURFACES for r in (STABLE, CANARY)])
    cells = {place: draw(sampled(most)) for place in draw(st.lists(places, max_size=4, unique=True))}
    units = draw(st.dictionaries(CONVERSATIONS, conversations(most), max_size=3)) if draw(st.booleans()) else {}
    return Increments(
        cells,
        sum(one.counts.requests for one in cells.values()),
        pods=draw(st.integers(1, 3)),
        units=units,
        alone=draw(st.sampled_from([{}, cells])) if units else None,
    )


PLANS = st.sampled_from([ANALYSIS, EVERYTHING, analysis(*METRICS, warmup="0s")])
WEIGHTS = st.lists(st.floats(1e-6, 1000.0), min_size=len(METRICS), max_size=len(METRICS))


# ------------------------------------------------------------------------------------------------ numbers


@given(st.lists(increments(), min_size=1, max_size=4), WEIGHTS)
@FEW
def test_every_number_is_finite_and_no_evidence_negative(ticks: list[Increments], weights: list[float]) -> None:
    metrics = [{"name": name, "weight": weight} for name, weight in zip(METRICS, weights, strict=True)]
    judgement = judge(*ticks, plan=analysis(*metrics, warmup="0s"), context=WHOLE)
    assert all(math.isfinite(number) for number in numbers(judgement))
    assert min(judgement.evidence, *(metric.evidence for metric in judgement.state)) >= 0.0
    assert "nan" not in judgement.message
    assert restored(judgement) == judgement


# ------------------------------------------------------------------------------------- restarts and order


@given(st.lists(increments(40), max_size=5), PLANS)
@FEW
def test_a_judgement_may_be_written_and_read_between_any_two_ticks(ticks: list[Increments], plan: Analysis) -> None:
    stored = assessment.new_judgement(plan, START)
    for each in ticks:
        stored = judge(each, plan=plan, context=WHOLE, previous=restored(stored))
    assert text(stored) == text(judge(*ticks, plan=plan, context=WHOLE))


@given(st.lists(increments(40), max_size=4), st.randoms(use_true_random=False), PLANS)
@FEW
def test_the_order_of_cells_changes_nothing(ticks: list[Increments], shuffle: random.Random, plan: Analysis) -> None:
    mixed = []
    for one in ticks:
        cells = list(one.samples.items())
        shuffle.shuffle(cells)
        units = list(one.units.items())
        shuffle.shuffle(units)
        alone = one.alone if one.alone is None else {key: one.alone[key] for key, _ in cells if key in one.alone}
        mixed.append(Increments(dict(cells), one.traffic, pods=one.pods, units=dict(units), alone=alone))
    left, right = (judge(*each, plan=plan, context=WHOLE) for each in (ticks, mixed))
    assert left.state == right.state
    assert (left.verdict, left.evidence, left.promotions, left.sample_ratio) == (
        right.verdict,
        right.evidence,
        right.promotions,
        right.sample_ratio,
    )


class Pods:
    """Gateway pods as they count; every request is the canary's or stable's and may fail."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], Counter[str]] = {}

    def count(self, pod: str, revision: str, outcome: str, number: int) -> None:
        self.cells.setdefault((pod, revision), Counter())[outcome] += number

    def readings(self, uptime: float, pods: str = "ab") -> list[PodReading]:
        found = []
        for pod in pods:
            strata = []
            for revision in (STABLE, CANARY):
                outcomes = dict(self.cells.get((pod, revision), {}))
                asked = sum(outcomes.values())
                bad = {"error": outcomes["error"]} if "error" in outcomes else {}
                counters = Counters(asked, outcomes, conversations=asked, bad_conversations=bad)
                strata.append(Stratum(revision, "canary", "chat", "none", counters))
            found.append(PodReading(pod, True, Evidence(f"boot-{pod}", 7, uptime, [GenerationEvidence(7, strata)])))
        return found


HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from([STABLE, CANARY]), st.sampled_from(["ok", "error", "overload"])
        ),
        st.just("look"),
        st.just("restart"),
    ),
    max_size=40,
)


@given(HAPPENINGS, st.permutations("ab"))
@FEW
def test_a_restart_of_the_operator_loses_the_tick_in_flight_and_doubles_none(
    happenings: list, order: list[str]
) -> None:
    pods, clock = Pods(), count(1)
    memory: Memory | None = advance(None, pods.readings(0.0))[1]
    judgement = assessment.new_judgement(ANALYSIS, START)
    asked = in_flight = lost = 0

    def look() -> None:
        nonlocal memory, judgement, in_flight, lost
        moment = next(clock)
        lost += in_flight * (memory is None)
        in_flight = 0
        new, memory = advance(memory, pods.readings(float(moment), "".join(order)))
        judgement = judge(new, previous=restored(judgement))

    for happening in happenings:
        if happening == "look":
            look()
        elif happening == "restart":
            memory = None
        else:
            pod, revision, outcome = happening
            pods.count(pod, revision, outcome, 3)
            judged = 3 * (revision == CANARY and outcome != "overload")
            asked, in_flight = asked + judged, in_flight + judged
    look()
    assert judgement.requests == asked - lost
    errors = judgement.state[0]
    assert errors.canary[0] + sum(one.canary[1] + one.canary[2] for one in judgement.open) <= judgement.requests


@given(st.integers(1, 40), st.integers(0, 40), st.integers(1, 400), st.integers(0, 40), st.integers(2, 5))
@FEW
def test_two_ticks_of_the_same_shares_are_worth_one(n: int, x: int, m: int, y: int, times: int) -> None:
    """Up to the rounding of what is stored, where the floor is not reached."""
    plan = analysis("errors").model_copy(update={"false_rollback_rate": 1e-290})  # Fail would be final
    ours, theirs = counts(n + 10, min(x, n)), counts(m, min(y, m))
    apart = judge(*[tick(ours, theirs)] * times, plan=plan)
    whole = judge(tick(many_counts(ours, times), many_counts(theirs, times)), plan=plan)
    one, other = apart.state[0], whole.state[0]
    assert (one.canary, one.stable) == (other.canary, other.stable)
    for left, right in zip(one.logs, other.logs, strict=True):
        if min(left, right) > math.log(6e-3):
            assert left == pytest.approx(right, abs=1e-4)


def many_counts(each: Counts, times: int) -> Counts:
    return Counts._make(number * times for number in each)


# --------------------------------------------------------------------------------------- what must not be


@st.composite
def alike(draw: st.DrawFn) -> Increments:
    """A tick in which both arms do the same, in some multiple."""
    cells = {}
    for surface in draw(st.lists(st.sampled_from(SURFACES), min_size=1, max_size=2, unique=True)):
        each, times = draw(counted(60)), draw(st.integers(1, 60))
        sizes = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=4).map(values)
        places = st.tuples(st.sampled_from(QUANTITIES), st.sampled_from(CACHES))
        found = draw(st.dictionaries(places, sizes, max_size=3))
        cells[7, surface, CANARY] = Sample(each, found)
        cells[7, surface, STABLE] = Sample(
            many_counts(each, times), {place: many(one, times) for place, one in found.items()}
        )
    return Increments(cells, 1)


@given(st.lists(alike(), max_size=6), PLANS)
@FEW
def test_a_canary_that_equals_stable_is_never_rolled_back(ticks: list[Increments], plan: Analysis) -> None:
    rng = random.Random(2)
    history = {name: values([rng.lognormvariate(0.0, 1.0) for _ in range(200)]) for name in QUANTITIES}
    context = Context(history=history, bakes=WHOLE.bakes)
    judgement = judge(*ticks, plan=plan, context=context)
    assert judgement.verdict == "Inconclusive"
    assert judgement.evidence <= 1.0 + 1e-6
    assert max(metric.evidence for metric in judgement.state) <= 1.0 + 1e-4


@given(
    st.lists(st.tuples(counted(60), counted(300)), min_size=1, max_size=5),
    st.integers(0, 4),
)
@FEW
def test_one_more_bad_event_of_the_canary_is_never_less_evidence(
    ticks: list[tuple[Counts, Counts]], place: int
) -> None:
    place %= len(ticks)
    ours, theirs = ticks[place]
    good = ours._replace(requests=ours.requests + 1, ok=ours.ok + 1)
    bad = good._replace(ok=ours.ok, errors=ours.errors + 1, bad_errors=ours.bad_errors + 1)
    plan = analysis()
    found = []
    for each in (good, bad):
        changed = [*ticks[:place], (each, theirs), *ticks[place + 1 :]]
        found.append(judge(*(tick(one, other) for one, other in changed), plan=plan))
    fewer, more = found
    if "Fail" in (fewer.verdict, more.verdict):  # which is final: later ticks add nothing
        assert more.verdict == "Fail"
        return
    assert more.state[0].evidence >= fewer.state[0].evidence * (1 - 1e-4)
    assert more.evidence >= fewer.evidence * (1 - 1e-4)


# ---------------------------------------------------------------------------------------------- the status


def busy(ticks: int, rng: random.Random) -> list[Increments]:
    """250 stable and 5 canary requests a tick, two surfaces, three cache states, all quantities."""

    def drawn(number: int) -> list[Values]:
        """Two of them, one the mirror of the other, so that both arms draw from the same mean."""
        one = [rng.lognormvariate(0.0, 1.0) for _ in range(number)]
        return [values(one), values([1.0 / each for each in one])]

    theirs, ours = ([one for _ in range(pairs) for one in drawn(number)] for pairs, number in ((12, 42), (100, 1)))

    def cell(total: int, pool: list[Values]) -> Sample:
        errors, refusals, cut = (int(rng.random() < total * rate) for rate in (0.005, 0.003, 0.01))
        ok = total - errors
        found = Counts(
            total, ok, errors, 0, refusals, cut, 0, rng.randint(0, ok), ok // 2, ok // 3, rng.randint(0, total),
            errors, refusals, cut, 0, ok // 5, int(rng.random() < total * 0.002),
        )  # fmt: skip
        return Sample(found, {(name, cache): rng.choice(pool) for name in QUANTITIES for cache in CACHES})

    return [
        Increments(
            {
                (7, surface, revision): cell(*of)
                for surface in SURFACES
                for revision, of in ((STABLE, (125, theirs)), (CANARY, (3, ours)))
            },
            256,
            pods=2,
        )
        for _ in range(ticks)
    ]


@pytest.mark.parametrize(("plan", "ticks", "most", "logs"), [(ANALYSIS, 500, 5000, 200), (EVERYTHING, 100, 7600, 400)])
def test_the_status_stays_small(plan: Analysis, ticks: int, most: int, logs: int) -> None:
    rng = random.Random(5)
    history = {name: values([rng.lognormvariate(0.0, 1.0) for _ in range(2000)]) for name in QUANTITIES}
    context = Context(weight=200, generation=7, bakes=WHOLE.bakes, history=history)
    judgement = judge(*busy(ticks, rng), plan=plan, context=context)
    assert judgement.verdict == "Inconclusive"
    assert judgement.ticks == ticks
    assert sum(len(metric.logs) for metric in judgement.state) <= logs
    assert len(text(judgement)) < most


# ---------------------------------------------------------------------------------------- seeded simulation


def rollout(
    rng: random.Random, plan: Analysis, *, weight: float, slow: float = 1.0, failing: float = 0.02
) -> Judgement:
    """60 ticks of 60 requests; `slow` and `failing` are the canary's, stable takes 1 and fails 2 %."""
    history = {
        name: values([rng.lognormvariate(0.0, 0.6) for _ in range(300)]) for name in ("timeToFirstToken", "cost")
    }
    ticks = []
    for _ in range(60):
        arms = {}
        for revision, ratio, rate in ((CANARY, slow, failing), (STABLE, 1.0, 0.02)):
            total = sum(rng.random() < weight for _ in range(60))
            total = total if revision == CANARY else 60 - total
            errors = sum(rng.random() < rate for _ in range(total))
            refusals = sum(rng.random() < 0.01 for _ in range(total - errors))
            drawn = [rng.lognormvariate(0.0, 0.6) for _ in range(total - errors)]
            found = {
                ("timeToFirstToken", "none"): values([ratio * each for each in drawn]),
                ("cost", "none"): values([rng.lognormvariate(0.0, 0.6) for _ in range(total - errors)]),
            }
            arms[revision] = Sample(
                counts(total - errors, errors, refusals=refusals), {key: one for key, one in found.items() if one.count}
            )
        ticks.append(tick(arms[CANARY], arms[STABLE]))
    return judge(*ticks, plan=plan, context=Context(history=history))


@pytest.mark.slow
def test_equal_arms_are_left_in_peace() -> None:
    """At most 5 % is promised, and far less is kept: 2 of 200; the seed is fixed."""
    rng = random.Random(2026)
    plan = analysis(falseRollbackRate=0.05)
    assert sum(rollout(rng, plan, weight=0.1).verdict == "Fail" for _ in range(200)) <= 2


@pytest.mark.parametrize("harm", [{"slow": 1.8}, {"failing": 0.3}])
def test_harm_is_found_in_every_rollout(harm: dict[str, float]) -> None:
    rng = random.Random(7)
    assert all(rollout(rng, ANALYSIS, weight=0.1, **harm).verdict == "Fail" for _ in range(3))


def test_the_clock_of_a_rollout_is_the_wall_clock() -> None:
    """Ticks that come late or twice at once count as they are."""
    one = tick(counts(9, 1), counts(90, 1))
    slow, fast = judge(one, one, every=3600.0), judge(one, one, every=0.0)
    assert slow.state == fast.state
    assert slow.last_tick == START.replace(microsecond=123000) + dt.timedelta(hours=2)
