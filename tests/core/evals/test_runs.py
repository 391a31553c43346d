"""Every situation of one ClaudeEvalRun, and that a whole life of broken Jobs comes to one result."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from claude_operator.api.evals import EvalRunStatus
from claude_operator.core.evals.gate import Result, RunReason
from claude_operator.core.evals.runs import RunDecision, batch_pause, complete, decide_run, finished, watched_job

NOW = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)
LATER = "2026-11-20T12:00:20.000Z"
EARLIER = "2026-11-20T11:59:00.000Z"


def run(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "support-1-abc", "uid": "u1", "generation": 1}, "spec": {}, "status": status}


def job(
    *, attempt: int = 1, ended: str = "", uid: str = "u1", deleted: bool = False, why: tuple[str, str] = ("", "")
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": f"support-1-abc-{attempt}",
        "ownerReferences": [{"uid": uid, "controller": True}],
    }
    if deleted:
        metadata["deletionTimestamp"] = EARLIER
    conditions = [{"type": ended, "status": "True", "reason": why[0], "message": why[1]}] if ended else []
    conditions.append({"type": "FailureTarget", "status": "True"})
    return {"metadata": metadata, "status": {"conditions": conditions}}


def decide(run_: dict[str, Any], job_: dict[str, Any] | None) -> RunDecision:
    return decide_run(run_, job_, now=NOW)


def test_a_new_run_gets_a_job() -> None:
    for new in (run(), {"metadata": run()["metadata"], "spec": {}}):
        decision = decide(new, None)
        assert decision.create_job_attempt == 1
        assert (decision.status.phase, decision.status.attempts) == ("Pending", 1)
        assert decision.delete_job is None
        [condition] = decision.status.conditions
        assert (condition.type, condition.status, condition.reason) == ("Complete", "False", "Pending")


@pytest.mark.parametrize("phase", ["Passed", "Failed", "Inconclusive"])
@pytest.mark.parametrize("job_", [None, job(), job(ended="Failed"), job(ended="Complete")], ids=str)
def test_a_finished_run_is_left_alone(phase: str, job_: dict[str, Any] | None) -> None:
    for attempts in (0, 1, 3):
        stored = run(phase=phase, attempts=attempts, message="done", retryAt=EARLIER)
        decision = decide(stored, job_)
        assert decision == RunDecision(EvalRunStatus.model_validate(stored["status"]))


def test_a_run_that_is_being_deleted_is_left_alone() -> None:
    deleted = run()
    deleted["metadata"]["deletionTimestamp"] = EARLIER
    assert decide(deleted, None) == RunDecision(EvalRunStatus())


@pytest.mark.parametrize("phase", ["Pending", "Running", "Error"])
def test_an_active_job_is_waited_for(phase: str) -> None:
    """Also in phase Error, which the Job itself wrote: its pod may be tried again."""
    stored = run(phase=phase, attempts=1, done=3, retryAt=EARLIER)
    decision = decide(stored, job())
    assert decision == RunDecision(EvalRunStatus.model_validate(stored["status"]), requeue=15.0)


@pytest.mark.parametrize("phase", ["Pending", "Running", "Error"])
def test_a_job_whose_creation_was_not_written_down_is_adopted(phase: str) -> None:
    decision = decide(run(phase=phase, total=8, message="m"), job())
    assert decision.create_job_attempt is None
    assert (decision.status.attempts, decision.status.phase, decision.status.total) == (1, phase, 8)


@pytest.mark.parametrize("other", [job(uid="u0"), job(deleted=True), job(deleted=True, ended="Failed")], ids=str)
@pytest.mark.parametrize("stored", [run(), run(phase="Running", attempts=1)], ids=str)
def test_a_job_that_is_not_ours_or_is_going_is_waited_out(stored: dict[str, Any], other: dict[str, Any]) -> None:
    decision = decide(stored, other)
    assert decision == RunDecision(EvalRunStatus.model_validate(stored["status"]), requeue=5.0)


@pytest.mark.parametrize("phase", ["Pending", "Running"])
@pytest.mark.parametrize(
    ("job_", "reason", "message"),
    [
        (
            job(ended="Failed", why=("BackoffLimitExceeded", "Job has reached the specified backoff limit")),
            "JobEnded",
            "429; the Job failed and left no result"
            " (BackoffLimitExceeded: Job has reached the specified backoff limit)",
        ),
        (job(ended="Complete"), "JobEnded", "429; the Job completed and left no result"),
        (None, "JobVanished", "the Job was deleted before it had a result"),
    ],
    ids=["failed", "completed", "vanished"],
)
def test_a_job_without_a_result_is_an_error(phase: str, job_: Any, reason: str, message: str) -> None:
    decision = decide(run(phase=phase, attempts=1, message="429"), job_)
    assert (decision.status.phase, decision.status.reason, decision.status.message) == ("Error", reason, message)
    assert decision.status.retry_at == NOW + dt.timedelta(seconds=30)
    assert decision.requeue == 30.0
    assert decision.create_job_attempt is None
    [condition] = decision.status.conditions
    assert (condition.status, condition.reason, condition.message) == ("False", reason, message)


@pytest.mark.parametrize("job_", [None, job(ended="Failed")], ids=["vanished", "failed"])
def test_an_error_that_the_job_wrote_gets_its_time_and_keeps_its_words(job_: Any) -> None:
    decision = decide(run(phase="Error", attempts=1, reason="SetChanged", message="it changed"), job_)
    assert (decision.status.reason, decision.status.message) == ("SetChanged", "it changed")
    assert decision.status.retry_at == NOW + dt.timedelta(seconds=30)


@pytest.mark.parametrize(
    ("attempts", "wait"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 600), (7, 600), (5000, 600)]
)
def test_the_back_off_doubles_up_to_ten_minutes(attempts: int, wait: float) -> None:
    assert decide(run(phase="Running", attempts=attempts), None).requeue == wait


def test_an_error_waits_for_its_time() -> None:
    stored = run(phase="Error", attempts=1, retryAt=LATER)
    decision = decide(stored, job(ended="Failed"))
    assert decision == RunDecision(EvalRunStatus.model_validate(stored["status"]), requeue=20.0)


@pytest.mark.parametrize("old", [None, job(attempt=2, ended="Failed")], ids=["gone", "there"])
def test_another_attempt_begins_anew_and_takes_the_old_job_away(old: Any) -> None:
    stored = run(phase="Error", attempts=2, retryAt=EARLIER, message="m", reason="r", done=4, total=8)
    decision = decide(stored, old)
    assert decision.create_job_attempt == 3
    assert decision.delete_job == (old and "support-1-abc-2")
    status = decision.status
    assert (status.phase, status.attempts, status.message, status.reason) == ("Pending", 3, "", "")
    assert (status.done, status.total, status.retry_at, status.finished_at) == (0, 8, None, None)


@pytest.mark.parametrize("job_", [None, job(attempt=3, ended="Failed")], ids=["gone", "ended"])
def test_while_batches_are_under_way_there_is_no_job_until_its_time(job_: Any) -> None:
    waits = {"phase": "Running", "reason": "BatchRunning", "attempts": 3, "paidUSD": 1.5, "message": "5 open"}
    waits |= {"batches": ["b1", "b2"], "batchesAt": EARLIER}
    early = decide(run(**waits, retryAt=(NOW + dt.timedelta(seconds=40)).isoformat()), job_)
    assert (early.create_job_attempt, early.requeue) == (None, 40.0)
    assert (early.status.phase, early.status.message) == ("Running", "5 open")
    due = decide(run(**waits, retryAt=EARLIER), job_)
    assert due.create_job_attempt == due.status.attempts == 4
    assert due.delete_job == (job_ and "support-1-abc-3")
    assert (due.status.batches, due.status.paid_usd) == (["b1", "b2"], 1.5)
    assert due.status.batches_at is not None
    assert due.status.reason == ""


def test_a_job_that_looks_after_batches_is_waited_for() -> None:
    stored = run(phase="Running", reason="BatchRunning", attempts=3, retryAt=EARLIER)
    assert decide(stored, job(attempt=3)).create_job_attempt is None


def test_somebody_looks_after_batches_less_and_less_often() -> None:
    assert [batch_pause(since) for since in (0, 60, 400, 3600, 80_000)] == [30, 30, 100, 600, 600]


def test_the_watched_job_is_that_of_the_attempt() -> None:
    assert watched_job(run()) == "support-1-abc-1"
    assert watched_job(run(attempts=4)) == "support-1-abc-4"


def test_a_finished_status_is_complete() -> None:
    before = EvalRunStatus.model_validate(run(phase="Running", attempts=2, total=2, retryAt=LATER)["status"])
    before.conditions = complete(run(), before, NOW - dt.timedelta(hours=1))
    after = finished(run(), before, Result("Failed", RunReason.PASS_RATE_TOO_LOW, "Failed: too low"), NOW)
    assert (after.phase, after.attempts, after.finished_at, after.retry_at) == ("Failed", 2, NOW, None)
    [condition] = after.conditions
    assert (condition.status, condition.reason, condition.last_transition_time) == ("True", "PassRateTooLow", NOW)


def test_a_condition_keeps_its_time_while_it_stays_as_it_is() -> None:
    status = EvalRunStatus()
    status.conditions = complete(run(), status, NOW)
    [condition] = complete(run(), status, NOW + dt.timedelta(minutes=1))
    assert condition.last_transition_time == NOW


def test_a_life_with_broken_jobs_has_one_job_at_a_time_and_one_result() -> None:
    """Attempts 1 and 2 break, 3 passes; each decision is carried out twice, as after a crash."""
    now, stored, jobs, made = NOW, run(), {}, []
    for _ in range(40):
        decision = decide_run(stored, jobs.get(watched_job(stored)), now=now)
        for _ in range(2):
            if decision.create_job_attempt:
                one = job(attempt=decision.create_job_attempt)
                if jobs.setdefault(one["metadata"]["name"], one) is one:
                    made.append(decision.create_job_attempt)
            stored["status"] = decision.status.model_dump(by_alias=True, exclude_none=True, mode="json")
            if decision.delete_job:
                jobs.pop(decision.delete_job, None)
        assert len(jobs) <= 1
        if decision.requeue is None:
            break
        now += dt.timedelta(seconds=decision.requeue)
        attempts = stored["status"]["attempts"]
        if stored["status"]["phase"] == "Pending":
            stored["status"]["phase"] = "Passed" if attempts == 3 else "Running"
            jobs[watched_job(stored)] = job(attempt=attempts, ended="Complete" if attempts == 3 else "Failed")
    assert made == [1, 2, 3]
    assert stored["status"]["phase"] == "Passed"
