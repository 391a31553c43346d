"""Annotations do what they name, once, or say that they do nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.core.reconcile.rules.sample import (
    CANARY,
    STABLE,
    THIRD,
    ago,
    drafted,
    ended,
    observed,
    raw,
    serving,
    told,
    trial,
)

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Replaced
from claude_operator.core.reconcile import annotations
from claude_operator.core.reconcile.progress import active
from claude_operator.core.reconcile.rules.canary import move
from claude_operator.core.reconcile.rules.intent import abort, ignore_promote
from claude_operator.core.reconcile.rules.rollout import retry_asked
from claude_operator.core.reconcile.status import finished


@pytest.mark.parametrize("annotation", [annotations.ABORT, annotations.PROMOTE, annotations.RETRY])
def test_what_is_far_too_long_is_not_copied_into_the_status(annotation: str) -> None:
    value = "🚲" * 20_000
    draft = drafted(serving(), annotations={annotation.partition("/")[2]: value})
    for rule in (abort, lambda draft: retry_asked(draft)[0], ignore_promote):
        draft = rule(draft)
    (entry,), (event,) = draft.status.handled, draft.events
    assert len(entry) < 100
    assert len(event.note) < 300
    assert "… (20,000 characters) does nothing" in event.note
    assert annotations.ask(draft, annotation) is None  # it is remembered
    assert finished(draft, None).handled == [entry]


def test_abort_takes_the_traffic_back() -> None:
    done = abort(drafted(trial(1), annotations={"abort": f"{CANARY}/1"}))
    assert done.status.rollout
    assert done.status.rollout.outcome == "Aborted"
    assert (done.status.canary_revision, done.status.step, done.status.stable_revision) == (None, None, STABLE)
    assert done.backward
    assert told(done) == [Reason.ABORTED]
    assert done.status.rollouts[-1].outcome == "Aborted"
    assert done.events[0].note == f"Aborted {CANARY} at 10 %, by annotation"
    assert told(abort(drafted(done.status, annotations={"abort": f"{CANARY}/1"}))) == []


def written(annotation: str, manager: str, time: str, **more: Any) -> dict[str, Any]:
    """An entry of `managedFields` for an annotation."""
    fields = {"f:metadata": {"f:annotations": {".": {}, f"f:{annotation}": {}}}}
    return {"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields, **more}


def asked(*entries: dict[str, Any], audited: bool = False, **annotations_: str) -> str:
    """What is said of who wants the abort."""
    draft = drafted(trial(1), annotations=annotations_ or {"abort": f"{CANARY}/1"}, audited=audited)
    draft.obs.owner["metadata"]["managedFields"] = list(entries)  # type: ignore[index]
    return annotations.asked_by(draft, annotations.ABORT)


def test_who_asked_is_told_as_far_as_the_api_server_knows() -> None:
    kubectl = written(annotations.ABORT, "kubectl-annotate", "2026-11-24T10:03:11Z")
    assert asked(kubectl) == "by kubectl-annotate at 10:03:11Z"
    assert asked(written(annotations.PROMOTE, "argocd", "2026-11-24T10:04:00Z"), kubectl) == asked(kubectl)
    newer = written(annotations.ABORT, "dashboard", "2026-11-24T10:05:00Z")
    assert asked(newer, kubectl) == asked(kubectl, newer) == "by dashboard at 10:05:00Z"
    assert asked() == asked(written(annotations.ABORT, "", "")) == "by annotation"
    assert asked(written(annotations.ABORT, "x", "soon")) == "by x"
    odd = written(annotations.ABORT, "a\nb" + "c" * 200, "2026-11-24T10:05:00Z")
    assert asked(odd) == f"by a?b{'c' * 61} at 10:05:00Z"
    assert asked({"manager": "x", "fieldsV1": {"f:metadata": "odd"}}) == "by annotation"
    done = abort(drafted(trial(1), annotations={"abort": f"{CANARY}/1"}))
    assert done.status.rollout
    assert done.status.rollout.message.endswith(", by annotation")


def test_a_user_is_named_where_admission_holds_them_to_it() -> None:
    kubectl = written(annotations.ABORT, "kubectl-annotate", "2026-11-24T10:03:11Z")
    wish = {"abort": f"{CANARY}/1", "by": "alice"}
    assert asked(kubectl, audited=True, **wish) == "by alice at 10:03:11Z"
    assert asked(kubectl, audited=False, **wish) == "by kubectl-annotate at 10:03:11Z"  # anybody may write it
    # With two wishes open the name is that of the later one.
    both = {**wish, "promote": f"{CANARY}/1/full"}
    assert asked(kubectl, audited=True, **both) == "by kubectl-annotate at 10:03:11Z"


@pytest.mark.parametrize("audited", [False, True])
def test_commands_carry_the_name_that_admission_asks_for(audited: bool) -> None:
    command = observed(serving(), audited=audited).ask_by(annotations.PROMOTE, "a/1/3")
    name = ' claudeops.dev/by="$(kubectl auth whoami -o jsonpath={.status.userInfo.username})"' if audited else ""
    assert command == f"kubectl -n demo annotate --overwrite cld support claudeops.dev/promote=a/1/3{name}"


def test_what_a_person_ends_by_hand_names_them() -> None:
    full = move(drafted(trial(3), annotations={"promote": f"{CANARY}/1/full"}))
    assert full.events[0].note.endswith("; promoted by annotation")
    step = move(drafted(trial(3), annotations={"promote": f"{CANARY}/1/3"}))
    assert step.events[-1].note == f"{CANARY} continues at 50 % (step 4), by annotation"


def test_abort_before_the_first_request() -> None:
    done = abort(drafted(trial(None, canary_revision=None), annotations={"abort": f"{CANARY}/1"}))
    assert done.events[0].note == f"Aborted {CANARY} before its first request, by annotation"


@pytest.mark.parametrize(
    ("status", "value", "says"),
    [
        (serving(), f"{CANARY}/1/1", "no rollout is in progress"),
        (ended("RolledBack"), f"{CANARY}/1", "no rollout is in progress"),
        (
            ended("Promoted", replaced=Replaced(revision=STABLE, at=ago(3600))),
            f"{CANARY}/1",
            f"{CANARY} is promoted already. To go back to {STABLE}, apply its spec again:"
            f" kubectl -n demo get clr {STABLE} -o yaml shows it",
        ),
        (trial(1), f"{CANARY}/2", f"the rollout in progress is {CANARY}/1"),
        (trial(1), CANARY, f"the rollout in progress is {CANARY}/1"),
        (trial(1), "yes", f"the rollout in progress is {CANARY}/1"),
    ],
)
def test_a_stale_abort_is_told_once(status, value: str, says: str) -> None:
    draft = abort(drafted(status, annotations={"abort": value}))
    assert told(draft) == [Reason.ANNOTATION_IGNORED]
    assert draft.events[0].note == f"claudeops.dev/abort: {value} does nothing: {says}"
    assert active(draft.status) == active(status)
    assert told(abort(drafted(draft.status, annotations={"abort": value}))) == []


def test_an_abort_whose_status_was_lost_is_not_called_stale() -> None:
    draft = abort(drafted(ended("Aborted"), annotations={"abort": f"{CANARY}/1"}))
    assert told(draft) == []
    assert draft.status.handled == [f"abort={CANARY}/1"]


@pytest.mark.parametrize("outcome", ["RolledBack", "Aborted", "EvalFailed"])
def test_retry_of_what_failed(outcome: str) -> None:
    draft, again = retry_asked(drafted(ended(outcome), annotations={"retry": f"{CANARY}/1"}))
    assert again
    assert retry_asked(drafted(draft.status, annotations={"retry": f"{CANARY}/1"}))[1] is False


@pytest.mark.parametrize(
    ("status", "value", "says"),
    [
        (trial(1), f"{CANARY}/1", "no revision has failed"),
        (serving(), f"{STABLE}/1", "no revision has failed"),
        (ended("RolledBack"), f"{CANARY}/2", f"the last trial is {CANARY}/1"),
        (ended("RolledBack"), CANARY, f"the last trial is {CANARY}/1"),
    ],
)
def test_a_stale_retry_is_told_once(status, value: str, says: str) -> None:
    draft, again = retry_asked(drafted(status, annotations={"retry": value}))
    assert not again
    assert says in draft.events[0].note
    assert told(retry_asked(drafted(draft.status, annotations={"retry": value}))[0]) == []


def test_a_retry_of_what_is_no_longer_wanted() -> None:
    draft = replace(drafted(ended("RolledBack"), annotations={"retry": f"{CANARY}/1"}), wanted=THIRD)
    draft, again = retry_asked(draft)
    assert not again
    assert f"the spec asks for {THIRD} now" in draft.events[0].note


@pytest.mark.parametrize(
    ("status", "value", "says"),
    [
        (serving(), f"{CANARY}/1/1", "no rollout is in progress"),
        (trial(None), f"{CANARY}/1/0", f"{CANARY}/1 has not started its steps"),
        (trial(1), f"{CANARY}/1/2", f"the current step is {CANARY}/1/1"),
        (trial(1), f"{CANARY}/1", f"the current step is {CANARY}/1/1"),
        (trial(1), f"{CANARY}/full", f"the current step is {CANARY}/1/1"),
        (trial(1), f"{CANARY}/2/1", f"the current step is {CANARY}/1/1"),
        (trial(1), f"{THIRD}/1/full", f"the current step is {CANARY}/1/1"),
        (trial(1), f"{CANARY}/1/1", None),
        (trial(1), f"{CANARY}/1/full", None),
        (trial(None), f"{CANARY}/1/full", None),
    ],
)
def test_a_stale_promote_is_told_once(status, value: str, says: str | None) -> None:
    draft = ignore_promote(drafted(status, annotations={"promote": value}))
    assert [event.note.partition(" does nothing: ")[2] for event in draft.events] == ([says] if says else [])
    assert told(ignore_promote(drafted(draft.status, annotations={"promote": value}))) == [] or says is None


def test_promote_ends_a_pause() -> None:
    done = move(drafted(trial(3), annotations={"promote": f"{CANARY}/1/3"}))
    assert done.status.step
    assert done.status.step.index == 4
    assert done.status.handled == [f"promote={CANARY}/1/3"]


def test_promote_full() -> None:
    for index in (None, 1, 3):
        done = move(drafted(trial(index), annotations={"promote": f"{CANARY}/1/full"}))
        assert done.status.stable_revision == CANARY
        assert done.status.canary_revision is None
        assert done.status.rollout
        assert done.status.rollout.outcome == "Promoted"
        assert not done.backward


def test_promote_waits_while_paused() -> None:
    done = move(drafted(trial(3), raw(paused=True), annotations={"promote": f"{CANARY}/1/3"}))
    assert done.status == trial(3)
