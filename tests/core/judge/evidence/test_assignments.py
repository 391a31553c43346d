"""Nothing is compared across a change of the secret that conversations are drawn with."""

from __future__ import annotations

import pytest
from tests.core.judge.arms import ANALYSIS, CANARY, STABLE, START, counts, tick

from claude_operator.api.evidence import Cohorts, Evidence
from claude_operator.api.status import Offsets
from claude_operator.core.judge.assessment import assess
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.increments import Increments, PodReading, advance
from claude_operator.core.judge.evidence.offset import NEUTRAL, CohortHistory, estimate

OLD, NEW = "", "a5" * 8


def table(assignment: str, boot: str = "b") -> Cohorts:
    """A history in which one half of the cohorts fails far more often than the other."""
    numbers = list(range(200))
    errors = [5 * (number % 2) for number in numbers]
    nothing = [0] * 200
    return Cohorts(boot, 60.0, numbers, [50] * 200, errors, nothing, nothing, nothing, nothing, assignment)


def ratio(*tables: Cohorts) -> float:
    history = CohortHistory.merged(tables)
    return estimate(history, lambda cohort: cohort % 2 == 1, ttft_within=1.0, cost_within=1.0).errors


def test_pods_with_one_secret_add_up_and_with_two_they_tell_nothing() -> None:
    assert ratio(table(NEW), table(NEW, "c")) > 2.0
    assert ratio(table(OLD), table(OLD, "c")) > 2.0
    assert ratio(table(OLD), table(NEW, "c")) == NEUTRAL.errors
    assert CohortHistory.merged([table(NEW)]).assignment == NEW
    assert CohortHistory.merged([table(OLD), table(NEW)]).rows == {}
    assert CohortHistory.merged([]).rows == {}


def seen(*assignments: str) -> Increments:
    some = tick(counts(40), counts(360))
    return Increments(some.samples, some.traffic, assignments=frozenset(assignments))


@pytest.mark.parametrize(
    ("then", "now", "kept"),
    [
        (OLD, (OLD,), True),  # gateways of an older version
        (NEW, (NEW,), True),
        (NEW, (), True),  # no pod has answered
        (OLD, (OLD, NEW), False),  # a rolling update
        (OLD, (NEW,), False),
        (NEW, (NEW, OLD), False),
    ],
)
def test_offsets_are_neutral_once_conversations_are_drawn_otherwise(
    then: str, now: tuple[str, ...], kept: bool
) -> None:
    known = [Offsets(weight=1000, errors=2.0, errors_least=1.5, time_to_first_token=0.3, cost=0.2, assignment=then)]
    judgement, _ = assess(
        None, ANALYSIS, seen(then), stable=STABLE, canary=CANARY, now=START, context=Context(offsets=known)
    )
    assert judgement.offsets == known
    judgement, _ = assess(judgement, ANALYSIS, seen(*now), stable=STABLE, canary=CANARY, now=START)
    assert judgement.offsets == (known if kept else [Offsets(weight=1000, assignment=then)])
    judgement, _ = assess(judgement, ANALYSIS, seen(then), stable=STABLE, canary=CANARY, now=START)
    assert (judgement.offsets == known) == kept  # what was dropped does not come back


def test_a_look_says_what_the_pods_draw_with() -> None:
    def told(assignment: str) -> PodReading:
        return PodReading(assignment or "old", True, Evidence(assignment or "old", 1, 1.0, assignment=assignment))

    assert advance(None, [told(OLD), told(NEW), PodReading("silent", True, None)])[0].assignments == {OLD, NEW}
    assert advance(None, [PodReading("silent", True, None)])[0].assignments == frozenset()
