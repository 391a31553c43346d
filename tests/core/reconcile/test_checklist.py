"""The checklist in a pass: ChecklistPassed, `status.checklist`, and the hold of a canary's first weight."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from tests.core.checklist.cases import SIGNED, TOOL
from tests.core.reconcile.rules.sample import (
    ANSWERED,
    CANARY,
    NEW,
    NOW,
    PLAN,
    SET,
    SITE,
    STABLE,
    ago,
    failed,
    observed,
    raw,
    serving,
    trial,
)

from claude_operator.api.checklist import ChecklistItem
from claude_operator.api.conditions import Condition, Reason, Type
from claude_operator.api.drill import DrillStatus
from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.status import DeploymentStatus, Rollout
from claude_operator.core.checklist.case import Rules, Sight, Signature
from claude_operator.core.checklist.signatures import content_hash
from claude_operator.core.names import eval_run_name
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.decision import Decision
from claude_operator.core.usage.amounts import Amounts, Key
from claude_operator.core.usage.latency import LatencyUsage, Series, Slot
from claude_operator.core.usage.ledger import Spend
from claude_operator.core.usage.state import Coverage, Usages, UsageState

DAY = dt.timedelta(days=1)
RUN = eval_run_name(CANARY, SET.hash)
ENFORCE = {"checklist": {"mode": "Enforce"}}
Object = dict[str, Any]


def signature(item: str, **fields: Any) -> Signature:
    known: Object = {
        "name": f"support-{item}", "deployment": "support", "item": item, "revision": CANARY, "decision": "Passed",
        "content_hash": content_hash(NEW["spec"]), "reason": "looked at", "signed_by": "alice",
        "expires_at": NOW + 90 * DAY, "created_at": NOW - DAY,
    }  # fmt: skip
    return Signature(**{**known, **fields})


ALL_SIGNED = tuple(map(signature, SIGNED))
DRILLED = DrillStatus(at=NOW - DAY, outcome="Passed")


def used() -> UsageState:
    """What gateways have counted today, a call of surface chat among it."""
    rows = {Key(STABLE, "chat", "", "claude-opus-5-5"): Amounts(100, input=1000)}
    second = int(NOW.timestamp())
    slots = {Series(STABLE, "chat", "timeToFirstToken", 1.5): (Slot(second - 60, second, 100, 0),)}
    spend = Spend(NOW - 9 * DAY, {NOW.date().isoformat(): rows})
    return UsageState(Usages(spend=spend, latency=LatencyUsage(slots)), NOW, Coverage(2))


def spec(**fields: Any) -> Object:
    return raw(
        evals={"setRef": {"name": "support-evals"}},
        budgets=[{"surface": "chat", "metric": "timeToFirstToken", "max": "1500ms"}],
        **fields,
    )


def waiting(**fields: Any) -> DeploymentStatus:
    """Status of a canary that has passed its gate and waits for its first weight."""
    rollout = Rollout(revision=CANARY, plan=PLAN, eval_run=RUN, started_at=ago(200))
    return trial(None, **{"rollout": rollout, "drill": DRILLED, **fields})


def ready(**fields: Any) -> dict[str, Any]:
    """All that makes every item pass."""
    runs = {RUN: EvalRunStatus(phase="Passed", rule="Paired", message="the scores")}
    known: Object = {"eval_runs": runs, "usage": used(), "checklist": Sight(signatures=ALL_SIGNED)}
    return {**known, **fields}


def decided(status: DeploymentStatus, given: Object | None = None, **fields: Any) -> Decision:
    return decide(observed(status, spec(**ENFORCE) if given is None else given, **ready(**fields)), SITE)


def said(decision: Decision, type_: Type = Type.CHECKLIST_PASSED) -> Condition:
    return next(one for one in decision.status.conditions if one.type == type_)


def item(decision: Decision, name: str) -> ChecklistItem:
    assert decision.status.checklist is not None
    return next(one for one in decision.status.checklist.items if one.id == name)


def events(decision: Decision) -> list[str]:
    return [one.note for one in decision.events if one.reason == Reason.CHECKLIST_OPEN]


def test_all_passed_lets_the_canary_in() -> None:
    decision = decided(waiting())
    assert decision.status.checklist is not None
    assert [one.id for one in decision.status.checklist.items if one.result in ("Failed", "Unknown")] == []
    assert (said(decision).status, said(decision).reason) == ("True", Reason.ITEMS_PASSED)
    assert said(decision).message == f"14 items of {CANARY}: 10 passed, 4 signed"
    assert decision.status.step is not None
    assert decision.status.step.weight == 10
    assert item(decision, "workflow").by == "alice"


@pytest.mark.parametrize(
    ("name", "spoiled"),
    [
        ("eval-gate", {"given": raw(**ENFORCE)}),
        ("rollback", {"status": waiting(drill=None)}),
        ("telemetry", {"usage": None}),
        ("workflow", {"checklist": Sight(signatures=tuple(one for one in ALL_SIGNED if one.item != "workflow"))}),
        ("skills", {"checklist": Sight(signatures=ALL_SIGNED, authors_held=False)}),
    ],
)
def test_one_open_item_holds_the_first_weight(name: str, spoiled: Object) -> None:
    spoiled = {"status": waiting(), **spoiled}
    decision = decided(spoiled.pop("status"), spoiled.pop("given", None), **spoiled)
    assert decision.status.step is None
    assert decision.status.canary_revision == CANARY
    assert item(decision, name).result in ("Failed", "Unknown")
    promoted = said(decision, Type.PROMOTED)
    assert (promoted.status, promoted.reason) == ("Unknown", Reason.CHECKLIST_OPEN)
    assert promoted.message.startswith("the first weight waits for the checklist: ")
    assert "kubectl claude checklist support -n demo shows all" in promoted.message
    assert decision.requeue is not None
    assert decision.requeue <= 15
    assert len(events(decision)) == 1


def test_the_hold_is_told_once_and_ends_by_itself() -> None:
    first = decided(waiting(drill=None))
    again = decided(first.status)
    assert (events(again), again.status.step) == ([], None)
    assert again.status.checklist == first.status.checklist
    assert said(again) == said(first)
    after = decided(again.status.model_copy(update={"drill": DRILLED}))
    assert after.status.step is not None
    assert [one.reason for one in after.events if one.reason == Reason.ITEMS_PASSED] == [Reason.ITEMS_PASSED]


def test_a_promotion_does_not_get_past_it() -> None:
    asked = {"promote": f"{CANARY}/1/full"}
    held = decided(waiting(drill=None), annotations=asked)
    assert held.status.stable_revision == STABLE
    (note,) = (one.note for one in held.events if one.reason == Reason.ANNOTATION_IGNORED)
    assert "does nothing: the first weight waits for the checklist" in note
    later = decided(held.status.model_copy(update={"drill": DRILLED}), annotations=asked)
    assert later.status.stable_revision == STABLE, "a promotion that was refused is not kept for later"
    assert decided(waiting(), annotations=asked).status.stable_revision == CANARY


def test_a_revision_at_100_percent_at_once_waits_too() -> None:
    at_once = Rollout(revision=CANARY, plan=PLAN.model_copy(update={"steps": []}), eval_run=RUN)
    decision = decided(waiting(rollout=at_once, drill=None))
    assert decision.status.stable_revision == STABLE
    assert said(decision, Type.PROMOTED).reason == Reason.CHECKLIST_OPEN


def test_what_has_a_weight_goes_on_and_back() -> None:
    nothing: Object = {"usage": None, "checklist": Sight(), "increments": ANSWERED}
    assert said(decided(trial(), **nothing), Type.PROMOTED).reason != Reason.CHECKLIST_OPEN
    back = decided(trial(judgement=failed()), **nothing)
    assert back.status.rollout is not None
    assert back.status.rollout.outcome == "RolledBack"
    abort = decided(waiting(drill=None), annotations={"abort": f"{CANARY}/1"})
    assert abort.status.rollout is not None
    assert abort.status.rollout.outcome == "Aborted"


def test_the_first_revision_serves() -> None:
    first = DeploymentStatus(rollout=Rollout(revision=CANARY, plan=PLAN, eval_run=RUN))
    decision = decided(first, checklist=Sight())
    assert decision.status.stable_revision == CANARY


@pytest.mark.parametrize("mode", ["Warn", "Off", None])
def test_no_other_mode_holds(mode: str | None) -> None:
    given = spec(checklist={"mode": mode}) if mode else spec()
    decision = decided(waiting(drill=None), given)
    assert decision.status.step is not None
    assert len(events(decision)) == (mode == "Warn")  # where nobody wrote a mode, condition and status are enough
    again = decided(decision.status, given)
    assert events(again) == []


def test_off_checks_nothing() -> None:
    decision = decided(waiting(), spec(checklist={"mode": "Off"}))
    assert decision.status.checklist is not None
    assert decision.status.checklist.items == []
    assert (said(decision).status, said(decision).reason) == ("Unknown", Reason.CHECKLIST_OFF)


def test_the_cluster_enforces_where_the_object_says_nothing() -> None:
    enforced = Sight(signatures=(), rules=(Rules("prod", "Enforce"),))
    assert decided(waiting(), spec(), checklist=enforced).status.step is None
    assert decided(waiting(), spec(checklist={"mode": "Warn"}), checklist=enforced).status.step is not None


def test_while_the_mode_is_not_known_the_first_weight_waits() -> None:
    unread = Sight(known=False, fault="ClaudeChecklists cannot be listed: timeout")
    decision = decided(waiting(), spec(), checklist=unread)
    assert decision.status.step is None
    promoted = said(decision, Type.PROMOTED)
    assert (promoted.reason, "timeout" in promoted.message) == (Reason.CHECKLIST_UNKNOWN, True)
    assert said(decision).status == "Unknown"
    assert decided(serving(), spec(), checklist=unread).status.stable_revision == STABLE


def test_a_new_leader_changes_nothing_before_it_has_read_signatures() -> None:
    signed = (*ALL_SIGNED, signature("rollback", decision="NotApplicable"))
    status = serving(stable_revision=CANARY, rollout=Rollout(revision=CANARY, outcome="Promoted"))
    passed = decided(status, checklist=Sight(signatures=signed))
    assert said(passed).status == "True"
    first = decided(passed.status, checklist=Sight(known=False))
    assert first.status.checklist == passed.status.checklist
    assert (said(first), events(first)) == (said(passed), [])
    broken = decided(passed.status, checklist=Sight(known=False, fault="signatures cannot be listed: timeout"))
    assert said(broken).status != "True", "what cannot be read does not stay passed"


def test_a_new_leader_lets_nothing_in_before_it_has_read_signatures() -> None:
    passed = decided(waiting())
    held = decided(waiting(checklist=passed.status.checklist), checklist=Sight(known=False))
    assert held.status.step is None
    assert (said(held, Type.PROMOTED).reason, events(held)) == (Reason.CHECKLIST_UNKNOWN, [])


def test_a_signature_that_ends_is_told_when_it_ends() -> None:
    soon = tuple(replace(one, expires_at=NOW + dt.timedelta(seconds=30)) for one in ALL_SIGNED)
    status = serving(stable_revision=CANARY, rollout=Rollout(revision=CANARY, outcome="Promoted"), drill=DRILLED)
    decision = decided(status, checklist=Sight(signatures=soon))
    assert said(decision).status == "True"
    assert decision.requeue is not None
    assert decision.requeue <= 31
    view = observed(decision.status, spec(**ENFORCE), **ready(checklist=Sight(signatures=soon)))
    later = decide(replace(view, now=NOW + dt.timedelta(seconds=31)), SITE)
    assert (said(later).status, said(later).reason) == ("False", Reason.CHECKLIST_OPEN)
    assert len(events(later)) == 1
    assert "the signature of alice ended on 2026-11-24" in said(later).message
    assert events(decide(replace(view, now=NOW + dt.timedelta(seconds=40), status=later.status), SITE)) == []


def test_what_somebody_wrote_into_status_opens_nothing() -> None:
    passed = decided(waiting())
    forged = waiting(drill=None, checklist=passed.status.checklist, conditions=passed.status.conditions)
    decision = decided(forged)
    assert decision.status.step is None
    assert item(decision, "rollback").result == "Failed"


def test_without_a_revision_nothing_is_said() -> None:
    decision = decide(observed(DeploymentStatus(), spec(), revisions={}), SITE)
    assert (said(decision).status, said(decision).reason) == ("Unknown", Reason.CHECKLIST_UNKNOWN)


def test_a_status_stays_small() -> None:
    tools = [TOOL | {"name": f"tool_{number}", "description": ""} for number in range(64)]
    request = raw()["request"] | {"tools": tools}
    decision = decided(serving(), raw(request=request))
    assert decision.status.checklist is not None
    assert len(decision.status.checklist.model_dump_json()) < 8000
