"""Events before a retirement: each number of days once, whatever happens to the clock, the status and the spec."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.core.reconcile.rules.sample import NOW, SITE, observed, raw, serving

from claude_operator.api.conditions import Reason
from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.served import RetirementTold
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.catalogue.table import Model
from claude_operator.core.reconcile.countdown import THRESHOLDS
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.observation import EvalSetView

END = NOW.date() + dt.timedelta(days=100)
MAIN, SMALL, JUDGE = "claude-opus-5-5", "claude-haiku-5-5", "claude-sonnet-5-5"


def models(**ends: dt.date) -> dict[str, Model]:
    names = {"main": MAIN, "small": SMALL, "judge": JUDGE}
    announced = NOW.date() - dt.timedelta(days=1)
    return {
        names[key]: Model(names[key], deprecated=announced, retires=end, replacement="claude-next-1")
        for key, end in ends.items()
    }


def passes(
    days_left: list[int], status: DeploymentStatus | None = None, end: dt.date = END, **fields: Any
) -> tuple[list[str], DeploymentStatus]:
    """What Events say in passes at so many days before the end, and the status after them."""
    status, said = status or serving(), []
    for left in days_left:
        now = NOW + dt.timedelta(days=(END - NOW.date()).days - left)
        decision = decide(observed(status, now=now, **{"models": models(main=end)} | fields), SITE)
        said += [one.note for one in decision.events if one.reason in (Reason.MODEL_RETIRES, Reason.DEPRECATED)]
        said += [one.note for one in decision.events if one.reason == Reason.RETIRED]
        status = decision.status
    return said, status


def numbers(said: list[str]) -> list[str]:
    return [text.partition(" in ")[2].partition(")")[0].partition(",")[0] or "Retired" for text in said]


def test_each_number_of_days_is_said_once() -> None:
    said, status = passes([left for left in range(100, -3, -1) for _ in range(3)])
    assert [text.partition(";")[0] for text in said] == [
        f"{MAIN} is Deprecated: retires {END} (in 100 days)",
        *(f"{MAIN} retires in {days} days, on {END}" for days in (60, 30, 14, 7, 3)),
        f"{MAIN} retires in 1 day, on {END}",
        f"{MAIN} is Retired since {END}: requests for it fail",
    ]
    assert all("use claude-next-1" in text for text in said)
    assert status.retirements == [RetirementTold(model=MAIN, retires_at=END.isoformat(), days=0)]


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        (61, 0), (60, 60), (59, 60), (31, 60), (30, 30), (15, 30), (14, 14), (8, 14), (7, 7), (4, 7), (3, 3), (2, 3),
        (1, 1), (0, 0),
    ],
)  # fmt: skip
def test_what_is_late_is_said_once_and_not_for_each_number_that_passed(left: int, expected: int) -> None:
    said, status = passes([90, left])
    told = {one.days for one in status.retirements}
    assert told == ({expected} if expected or left == 0 else set())
    assert len(said) == 1 + (left <= 60)


def test_a_restart_and_a_clock_that_is_set_back_say_nothing_again() -> None:
    said, status = passes([90, 30])
    again, status = passes([30, 45, 61, 30, 29], DeploymentStatus.model_validate(status.to_dict()))
    assert again == []
    later, _ = passes([14], status)
    assert len(later) == 1
    assert len(said) == 2


def test_nothing_is_said_while_the_api_server_drops_what_was_said() -> None:
    said, _ = passes([90, 60, 30], outdated="the CustomResourceDefinition lacks status.retirements")
    assert said == [f"{MAIN} is Deprecated: retires {END} (in 90 days); use claude-next-1"]


def test_another_date_begins_again() -> None:
    _, status = passes([90, 30])
    sooner = END - dt.timedelta(days=20)
    said, status = passes([30], status, end=sooner)
    assert said == [f"{MAIN} retires in 10 days, on {sooner}; use claude-next-1; used by request"]
    said, _ = passes([30, 30], status, end=END + dt.timedelta(days=10))
    assert numbers(said) == ["40 days"]


def test_a_policy_that_ignores_it_says_nothing_and_what_is_said_later_is_what_holds_then() -> None:
    quiet = raw(lifecycle={"onDeprecated": "Ignore", "onRetired": "Ignore"})
    said, status = passes([90, 60, 30, 7], spec=quiet)
    assert (said, status.retirements) == ([], [])
    said, _ = passes([7, 6], status)
    assert numbers(said) == ["7 days"]


def used(**ends: dt.date) -> dict[str, Any]:
    """A subagent and a judge of the eval set have models of their own."""
    graders = [{"name": "default", "model": JUDGE}]
    shared = EvalSetSpec.model_validate({"graders": graders})
    spec = raw(
        subagents={"search": {"request": {"model": SMALL}}, "plan": {"request": {"max_tokens": 5}}},
        evals={"setRef": {"name": "support-evals"}, "live": {"graders": [{"name": "live", "model": SMALL}]}},
    )
    view = EvalSetView("support-evals", "0" * 64, 3, (), shared)
    return {"spec": spec, "eval_set": view, "models": models(**ends)}


def test_subagents_graders_and_judges_count_too() -> None:
    end = END
    fields = used(small=end, judge=end)
    said, status = passes([90, 7], **fields)
    assert said == [
        f"{SMALL} is Deprecated: retires {END} (in 90 days); use claude-next-1; used by subagent search, grader live;"
        f" {JUDGE} is Deprecated: retires {END} (in 90 days); use claude-next-1; used by judge default",
        f"{SMALL} retires in 7 days, on {END}; use claude-next-1; used by subagent search, grader live",
        f"{JUDGE} retires in 7 days, on {END}; use claude-next-1; used by judge default",
    ]
    assert [(one.id, one.lifecycle, one.days_left, one.where) for one in status.models] == [
        (MAIN, "Active", None, ["request"]),
        (SMALL, "Deprecated", 7, ["subagent search", "grader live"]),
        (JUDGE, "Deprecated", 7, ["judge default"]),
    ]
    assert status.model
    assert (status.model.id, status.model.lifecycle) == (MAIN, "Active")


def test_what_is_said_of_one_model_keeps_no_other_quiet() -> None:
    """The condition says Retired of the first already, so that its reason does not change for the second."""
    said, status = passes([3], **used(small=END - dt.timedelta(days=10), judge=END))
    assert len(said) == 2
    said, _ = passes([0, 0], status, **used(small=END - dt.timedelta(days=10), judge=END))
    assert said == [f"{JUDGE} is Retired since {END}: requests for it fail; use claude-next-1; used by judge default"]


def test_what_a_model_was_said_of_is_kept_while_it_is_not_used_and_forgotten_a_month_after_its_end() -> None:
    _, status = passes([90, 7])
    other = raw(request=raw()["request"] | {"model": SMALL})
    fields = {"models": models(main=END), "spec": other, "revisions": {}}
    _, status = passes([7, 2], status, **fields)
    assert [one.model for one in status.retirements] == [MAIN]
    said, status = passes([2, -30], status, **fields)
    assert [one.model for one in status.retirements] == [MAIN]
    _, status = passes([-31], status, **fields)
    assert (status.retirements, said) == ([], [])


@pytest.mark.parametrize("date", ["", "soon", "9999-12-31", "\x00"])
def test_what_somebody_else_wrote_into_the_status_raises_nothing(date: str) -> None:
    foreign = [RetirementTold(model=f"x{number}", retires_at=date, days=-7) for number in range(100)]
    said, after = passes([30, 30, 30], serving().model_copy(update={"retirements": foreign}))
    assert len(said) == 1
    assert len(after.retirements) <= 65


def test_the_thresholds_are_those_that_are_documented() -> None:
    assert THRESHOLDS == (60, 30, 14, 7, 3, 1, 0)
