"""What becomes of one ClaudeEvalRun in a pass: a Job is made for it, waited for, and made again where it broke.

The phase that the Job writes is the only authority. A Job's own end says nothing of the evals: where it has left no
result the attempt is an error of the infrastructure, and another one follows.

The decision is carried out in this order, and each step may be done again: create the Job (one that exists already is
the wanted one), write the status fenced by the resourceVersion that was read (on 409 start again), delete the old Job.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from claude_operator.api.conditions import Condition
from claude_operator.api.evals import EvalRunStatus
from claude_operator.core.evals.asked import ONLY_THE_OPERATOR, spec_hash
from claude_operator.core.evals.gate import Result, RunReason
from claude_operator.core.names import is_controlled_by, job_name

__all__ = [
    "BATCH_EXIT",
    "EXIT_CODES",
    "FINAL",
    "INFRASTRUCTURE_EXIT",
    "RunDecision",
    "batch_ids",
    "batch_pause",
    "complete",
    "decide_run",
    "finished",
    "not_asked",
    "not_started",
    "postponed",
    "run_status",
    "watched_job",
]

EXIT_CODES = {"Passed": 0, "Failed": 100, "Inconclusive": 101}
"""Exit code of the Job by final phase."""
INFRASTRUCTURE_EXIT = 1
BATCH_EXIT = 75
"""Exit code of a Job that waits for Message Batches: another one looks for their results later."""
FINAL = frozenset(EXIT_CODES)

_BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_FIRST_RETRY, _LAST_RETRY = 30.0, 600.0
_LOOK_AGAIN = 15.0  # seconds after which a Job is looked at though no event came
_GONE_SOON = 5.0  # the same, while a Job is being deleted
_ASKED_SOON = 1.0  # seconds between two looks whether a status asks for a new run
_ALLOWED_SOON = 5.0  # seconds between two looks whether the Job may be made of a run that was asked for
_PATIENCE = 30.0  # seconds for the status to be written that asks for a run

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunDecision:
    """`status` as it should be, the Job to make and the Job to delete; `requeue` in seconds, None for no need."""

    status: EvalRunStatus
    create_job_attempt: int | None = None
    delete_job: str | None = None
    requeue: float | None = None


def run_status(run: Object) -> EvalRunStatus:
    """The status of a ClaudeEvalRun as stored."""
    return EvalRunStatus.model_validate(run.get("status") or {})


def batch_ids(status: EvalRunStatus) -> tuple[str, ...]:
    """The Message Batches under way; what cannot be an id is none: it would lead to another path."""
    return tuple(one for one in status.batches if _BATCH_ID.fullmatch(one))


def watched_job(run: Object) -> str:
    """Name of the Job that a decision needs to see."""
    return job_name(run["metadata"]["name"], max(1, run_status(run).attempts))


def decide_run(run: Object, job: Object | None, *, now: dt.datetime) -> RunDecision:
    """What to do for a run; `job` is the one that `watched_job` names, None where there is none."""
    status = run_status(run)
    if _is_over(status) or run["metadata"].get("deletionTimestamp"):
        return RunDecision(status)
    if job is not None and (job["metadata"].get("deletionTimestamp") or not _ours(job, run)):
        return RunDecision(status, requeue=_GONE_SOON)  # it may still write, or holds the name
    if status.attempts == 0:
        if job is None:
            return _attempt(run, status, 1, None, now)
        status = _adopted(run, status, now)
    ended = _ended(job)
    if job is not None and ended is None:
        return RunDecision(status, requeue=_LOOK_AGAIN)
    if status.reason == RunReason.BATCH_RUNNING and status.retry_at is not None:
        left = (status.retry_at - now).total_seconds()
        return RunDecision(status, requeue=left) if left > 0 else _attempt(run, status, status.attempts + 1, job, now)
    if status.phase == "Error":
        return _waiting(run, status, job, now)
    if ended is not None:
        return _error(run, status, RunReason.JOB_ENDED, _with_cause(ended, status), now)
    vanished = "the Job was deleted before it had a result"
    return _error(run, status, RunReason.JOB_VANISHED, vanished, now)


def not_started(run: Object, decision: RunDecision, why: str, *, now: dt.datetime) -> RunDecision:
    """What becomes of a decision whose Job the API server refuses: an error of the infrastructure, tried again."""
    return _error(run, decision.status, RunReason.JOB_REFUSED, f"the Job could not be created: {why}", now)


def postponed(run: Object, why: str, *, now: dt.datetime, again: float = _ALLOWED_SOON) -> RunDecision:
    """The Job may not be made yet; the status says why."""
    status = run_status(run).model_copy(update={"reason": str(RunReason.WAITING), "message": why})
    return RunDecision(_with_condition(run, status, now), requeue=again)


def not_asked(run: Object, *, soon: bool, now: dt.datetime) -> RunDecision:
    """Nobody asks for the run. `soon`: a status that does may be on its way, and is waited for."""
    status = run_status(run)
    condition = next((one for one in status.conditions if one.type == "Complete"), None)
    if soon and (condition is None or (now - condition.last_transition_time).total_seconds() < _PATIENCE):
        return postponed(run, "its ClaudeDeployment does not ask for it yet", now=now, again=_ASKED_SOON)
    update = {
        "phase": "Error",
        "reason": str(RunReason.NOT_ASKED),
        "message": ONLY_THE_OPERATOR,
        "finished_at": now,
        "retry_at": None,
    }
    return RunDecision(_with_condition(run, status.model_copy(update=update), now))


def batch_pause(since: float) -> float:
    """Seconds until somebody looks again after Message Batches that were submitted so many seconds ago."""
    return min(max(since / 4, _FIRST_RETRY), _LAST_RETRY)


def complete(run: Object, status: EvalRunStatus, now: dt.datetime) -> list[Condition]:
    """The conditions of a run in this status: `Complete` is True once nothing more happens to it."""
    value: Literal["True", "False"] = "True" if _is_over(status) else "False"
    before = next((one for one in status.conditions if one.type == "Complete"), None)
    since = before.last_transition_time if before and before.status == value else now
    condition = Condition(
        type="Complete",
        status=value,
        reason=status.reason or status.phase,
        message=status.message,
        observed_generation=int(run["metadata"].get("generation") or 0),
        last_transition_time=since,
    )
    return [*(one for one in status.conditions if one.type != "Complete"), condition]


def finished(run: Object, status: EvalRunStatus, result: Result, now: dt.datetime) -> EvalRunStatus:
    """The final status of a run, as its Job writes it."""
    update = result.fields | {
        "set_hash": run["spec"].get("setHash"),
        "finished_at": now,
        "retry_at": None,
    }
    return _with_condition(run, status.model_copy(update=update), now)


def _attempt(run: Object, status: EvalRunStatus, number: int, old: Object | None, now: dt.datetime) -> RunDecision:
    """The next Job, and a status as at the beginning."""
    fresh = EvalRunStatus(
        attempts=number,
        total=status.total,
        conditions=status.conditions,
        spec_hash=spec_hash(run["spec"]),
        paid_usd=status.paid_usd,
        batches=status.batches,
        batches_at=status.batches_at,
    )
    return RunDecision(
        _with_condition(run, fresh, now),
        create_job_attempt=number,
        delete_job=str(old["metadata"]["name"]) if old is not None else None,
        requeue=_LOOK_AGAIN,
    )


def _adopted(run: Object, status: EvalRunStatus, now: dt.datetime) -> EvalRunStatus:
    """The status where a Job was made and the write that says so was lost; what the Job has written is kept."""
    return _with_condition(run, status.model_copy(update={"attempts": 1}), now)


def _waiting(run: Object, status: EvalRunStatus, job: Object | None, now: dt.datetime) -> RunDecision:
    """A run in phase Error: another attempt when its time has come."""
    if status.retry_at is None:  # the Job wrote the phase
        return _error(run, status, status.reason or RunReason.JOB_ENDED, status.message, now)
    left = (status.retry_at - now).total_seconds()
    if left > 0:
        return RunDecision(status, requeue=left)
    return _attempt(run, status, status.attempts + 1, job, now)


def _error(run: Object, status: EvalRunStatus, reason: str, message: str, now: dt.datetime) -> RunDecision:
    """Phase Error, with the time of the next attempt: 30 s after the first, doubled each time, 10 minutes at most."""
    wait = min(_FIRST_RETRY * 2.0 ** min(status.attempts - 1, 10), _LAST_RETRY)
    update = {
        "phase": "Error",
        "reason": str(reason),
        "message": message,
        "finished_at": now,
        "retry_at": now + dt.timedelta(seconds=wait),
    }
    return RunDecision(_with_condition(run, status.model_copy(update=update), now), requeue=wait)


def _is_over(status: EvalRunStatus) -> bool:
    return status.phase in FINAL or (status.phase, status.reason) == ("Error", RunReason.NOT_ASKED)


def _with_condition(run: Object, status: EvalRunStatus, now: dt.datetime) -> EvalRunStatus:
    return status.model_copy(update={"conditions": complete(run, status, now)})


def _ended(job: Object | None) -> str | None:
    """How a Job ended, as a sentence, or None while it runs."""
    for condition in ((job or {}).get("status") or {}).get("conditions") or ():
        if condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed"):
            why = ": ".join(part for part in (condition.get("reason"), condition.get("message")) if part)
            how = "failed" if condition["type"] == "Failed" else "completed"
            return f"the Job {how} and left no result" + (f" ({why})" if why else "")
    return None


def _with_cause(ended: str, status: EvalRunStatus) -> str:
    """What the Job last reported says more than how it ended."""
    return f"{status.message}; {ended}" if status.message else ended


def _ours(job: Object, run: Object) -> bool:
    return is_controlled_by(job, run["metadata"]["uid"])
