"""`eval run --run`: the Job of a ClaudeEvalRun. It reads what to ask, asks, and writes the run's status."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from claude_operator.api.base import seconds
from claude_operator.api.evals import EvalRunStatus, RealCalls
from claude_operator.core.evals.budget import Estimate
from claude_operator.core.evals.gate import Result, RunReason
from claude_operator.core.evals.outside import asked_at_most, called, calls_sentence
from claude_operator.core.evals.runs import (
    BATCH_EXIT,
    EXIT_CODES,
    FINAL,
    INFRASTRUCTURE_EXIT,
    batch_pause,
    complete,
    finished,
    run_status,
)
from claude_operator.core.spec.networks import ANYWHERE, AddressRules
from claude_operator.evals.ask import Asker, Infrastructure
from claude_operator.evals.batches import Batcher, Waiting
from claude_operator.evals.inputs import Inputs, JobPaths, NotReady, read_inputs
from claude_operator.evals.keeping import Keeper, Secrets, Unkept
from claude_operator.evals.patterns import InvalidPattern
from claude_operator.evals.reporting import store_report
from claude_operator.evals.session import Run, evaluate
from claude_operator.kube.client import Kube, KubeError
from claude_operator.kube.resources import CLAUDE_EVAL_RUNS
from claude_operator.log import Log

__all__ = ["run_job"]

_PROGRESS_SECONDS = 2.0
_PAUSE = 1.0  # seconds before a question is asked again
_WRITE_ATTEMPTS = 5
_WRITE_PAUSE = 1.0  # seconds, doubled each time


async def run_job(kube: Kube, paths: JobPaths, log: Log, rules: AddressRules = ANYWHERE) -> int:
    """Run the evals of one ClaudeEvalRun; the exit code gives the phase, 1 means that there is none yet.

    It asks only where `rules` permit.
    """
    try:
        run = await kube.get(CLAUDE_EVAL_RUNS, paths.name, paths.namespace)
        if run is None:
            log.event("the ClaudeEvalRun does not exist", "error", name=paths.name, namespace=paths.namespace)
            return INFRASTRUCTURE_EXIT
        if _is_another(run, paths, log):
            return INFRASTRUCTURE_EXIT
        if (phase := run_status(run).phase) in FINAL:
            log.event("the run has already ended", phase=phase)
            return EXIT_CODES[phase]
        return await _Job(kube, paths, run, log, rules).run()
    except KubeError as error:
        log.event("the Kubernetes API failed", "error", reason=str(error))
        return INFRASTRUCTURE_EXIT


def _is_another(run: Mapping[str, Any], paths: JobPaths, log: Log) -> bool:
    """Whether it is not the run that this Job was made for: the Job's key is not for that one's upstream."""
    found = run["metadata"]["uid"]
    if not paths.uid or found == paths.uid:
        return False
    log.event("another ClaudeEvalRun has this name now: delete this Job", "error", name=paths.name, uid=found)
    return True


class _Job:
    def __init__(self, kube: Kube, paths: JobPaths, run: dict[str, Any], log: Log, rules: AddressRules) -> None:
        self._kube, self._paths, self._run, self._log, self._rules = kube, paths, run, log, rules
        self._done = self._total = 0
        self._asking = Run()

    async def run(self) -> int:
        """Read, ask, judge, write."""
        try:
            inputs = await read_inputs(self._kube, self._paths, self._run)
        except NotReady as error:
            await self._write_failure("Error", error.reason, str(error))
            return INFRASTRUCTURE_EXIT
        self._total = len(inputs.items) * inputs.set.execution.epochs
        await self._begin(inputs)
        self._asking = await self._prepare(inputs)
        reporter = asyncio.create_task(self._report())
        try:
            result = await self._evaluate(inputs)
        except InvalidPattern as error:
            message = f"the ClaudeEvalSet {inputs.spec.set_ref}, {error}"
            await self._write_failure("Error", RunReason.INVALID_SET, message)
            return INFRASTRUCTURE_EXIT
        except Waiting as error:
            return await self._wait(error.message)
        except Infrastructure as error:
            await self._write_failure("Running", RunReason.INFRASTRUCTURE, str(error))
            return INFRASTRUCTURE_EXIT
        except asyncio.CancelledError:
            await self._write_failure("Running", RunReason.INFRASTRUCTURE, "the Job was stopped before the run ended")
            return INFRASTRUCTURE_EXIT
        finally:
            reporter.cancel()
            await asyncio.wait([reporter])
        return await self._finish(inputs, result)

    async def _prepare(self, inputs: Inputs) -> Run:
        """How the run is done, with the place where answers are kept."""
        execution = inputs.set.execution
        place = Secrets(self._kube, self._paths.namespace, inputs.spec.set_ref, inputs.set_uid)
        if not execution.keep_answers:
            try:
                await place.clear()
            except Unkept as error:  # there is none, or its content is still there
                self._log.event("kept answers are not cleared", reason=str(error))
        return Run(
            execution,
            inputs.set.graders or (),
            inputs.spec.upstream.base_url,
            keeper=Keeper(place) if execution.keep_answers else None,
            paid=run_status(self._run).paid_usd,
            keep_text=execution.keep_text,
            prices=self._paths.prices,
            estimated=self._log_estimate,
            progress=self._count_progress,
            notes=(inputs.changed,),
            labels=inputs.labels,
        )

    async def _wait(self, message: str) -> int:
        """Write that batches are under way, and when the next Job looks after them."""
        now = dt.datetime.now(dt.UTC)
        since = (now - (run_status(self._run).batches_at or now)).total_seconds()
        again = now + dt.timedelta(seconds=batch_pause(since))
        await self._write_failure("Running", RunReason.BATCH_RUNNING, message, again)
        return BATCH_EXIT

    async def _record_batches(self, ids: Sequence[str]) -> None:
        """Write them, with what those that are over have cost: who comes later does not see that any more.

        Raises KubeError: without its id a batch is paid for nothing.
        """
        moment = dt.datetime.now(dt.UTC).isoformat() if ids else None
        written = {"batches": list(ids), "batchesAt": moment, "paidUSD": self._numbers()["paidUSD"]}
        await self._patch(written)
        self._run["status"] |= {key: value for key, value in written.items() if value is not None}

    def _log_estimate(self, expected: Estimate) -> None:
        self._log.event("estimated", usd=round(expected.usd, 4), unpriced_tokens=expected.tokens)

    async def _evaluate(self, inputs: Inputs) -> Result:
        execution = inputs.set.execution
        async with Asker(
            inputs.spec.upstream.base_url,
            inputs.key,
            timeout=seconds(execution.timeout),
            open_calls=execution.max_concurrency,
            rules=self._rules,
            pause=_PAUSE,
        ) as asker:
            known = run_status(self._run).batches
            if self._asking.keeper and (known or execution.mode != "realtime"):
                self._asking.batcher = Batcher(asker, known, self._record_batches)
            return await evaluate(inputs.items, inputs.arms, asker.ask, inputs.set.gate, self._asking)

    def _count_progress(self, done: int, total: int) -> None:
        self._done, self._total = done, total

    def _numbers(self) -> dict[str, Any]:
        """How far the run has come, and what it has cost."""
        asking = self._asking
        return {
            "done": self._done,
            "total": self._total,
            "asked": asking.budget.asked,
            "reused": asking.reused,
            "paidUSD": round(asking.budget.paid, 6),
        }

    async def _report(self) -> None:
        """Write the progress while the run goes on."""
        reported = 0
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            if self._done == reported:
                continue
            reported = self._done
            try:
                await self._patch(self._numbers())
            except KubeError as error:
                if error.not_found:  # the run was deleted, and this Job goes with it
                    return
                self._log.event("the progress could not be written", "warning", reason=str(error))

    async def _begin(self, inputs: Inputs) -> None:
        """Write phase Running with what the run really calls, and clear what an earlier attempt left."""
        arms = [one.arm for one in inputs.arms.all]
        calls = called(arms, asked_at_most(inputs.set, inputs.items))
        status = run_status(self._run)
        now = dt.datetime.now(dt.UTC)
        fresh = EvalRunStatus(
            phase="Running", total=self._total, started_at=now, attempts=status.attempts, conditions=status.conditions
        )
        fresh.message, fresh.left_out = calls_sentence(calls), list(inputs.arms.left_out)
        fresh.real_calls = [
            RealCalls(kind=one.kind, name=one.name, requests=one.requests, max_uses=one.max_uses) for one in calls
        ]
        fresh.paid_usd = status.paid_usd
        fresh.batches, fresh.batches_at = status.batches, status.batches_at
        fresh.conditions = complete(self._run, fresh, now)
        fresh.spec_hash = status.spec_hash
        cleared: dict[str, Any] = dict.fromkeys(
            ("candidate", "baseline", "costUSD", "graderCostUSD", "calibration", "setHash", "finishedAt", "retryAt")
        )
        # The attempt is the controller's to count.
        await self._patch(cleared | {key: value for key, value in _stored(fresh).items() if key != "attempts"})
        self._run["status"] = _stored(fresh)
        self._log.event("asking", run=self._paths.name, items=self._total)
        if fresh.message:
            self._log.event("calls servers", "warning", what=fresh.message)

    async def _write_failure(
        self, phase: str, reason: RunReason, message: str, again: dt.datetime | None = None
    ) -> None:
        """Write why there is no result; if this fails, the exit code says so too."""
        self._log.event("no result", "error", reason=str(reason), why=message, phase=phase)
        status = run_status(self._run).model_copy(update={"phase": phase, "reason": str(reason), "message": message})
        conditions = complete(self._run, status, dt.datetime.now(dt.UTC))
        try:
            await self._patch(
                {
                    "phase": phase,
                    "reason": str(reason),
                    "message": message,
                    "retryAt": again.isoformat() if again else None,
                    **(self._numbers() if self._total else {}),
                    "conditions": [one.model_dump(by_alias=True, mode="json") for one in conditions],
                }
            )
        except KubeError as error:
            self._log.event("the status could not be written", "error", reason=str(error))

    async def _finish(self, inputs: Inputs, result: Result) -> int:
        """Write the report and the result, unless another Job of this run has written one first."""
        now, reported = dt.datetime.now(dt.UTC), False
        for attempt in range(_WRITE_ATTEMPTS):
            try:
                run = await self._kube.get(CLAUDE_EVAL_RUNS, self._paths.name, self._paths.namespace)
                if run is None:
                    self._log.event("the run was deleted", "error")
                    return INFRASTRUCTURE_EXIT
                if _is_another(run, self._paths, self._log):
                    return INFRASTRUCTURE_EXIT
                if (phase := run_status(run).phase) in FINAL:
                    self._log.event("the run has already ended", phase=phase)
                    return EXIT_CODES[phase]
                status = finished(run, run_status(run), result, now)
                graders = [f"{one.name}: {one.model}" for one in inputs.set.graders or ()]
                found = {"calibration": self._asking.calibration, "set_hash": inputs.content_hash}
                known = {"graders": graders, **found}
                status = status.model_copy(update=self._as_fields() | known)
                if not reported:
                    await self._store_report(inputs, result, status)
                    reported = True
                await self._patch({"retryAt": None} | _without(_stored(status), "attempts"))
                break
            except KubeError as error:
                self._log.event("the result could not be written", "warning", reason=str(error))
                if attempt == _WRITE_ATTEMPTS - 1:
                    return INFRASTRUCTURE_EXIT
                await asyncio.sleep(_WRITE_PAUSE * 2.0**attempt)
        self._log.event("ended", phase=result.phase, reason=str(result.reason), **self._as_fields())
        return EXIT_CODES[result.phase]

    def _as_fields(self) -> dict[str, Any]:
        """`_numbers` by the names of the status's fields."""
        numbers = self._numbers()
        numbers["paid_usd"] = numbers.pop("paidUSD")
        return numbers

    async def _store_report(self, inputs: Inputs, result: Result, status: EvalRunStatus) -> None:
        why = await store_report(self._kube, self._paths, inputs, (result, status), self._asking)
        if why:
            self._log.event("there is no report", "warning", reason=why)

    async def _patch(self, status: Mapping[str, Any]) -> None:
        await self._kube.patch_status(CLAUDE_EVAL_RUNS, self._paths.name, self._paths.namespace, status)


def _stored(status: EvalRunStatus) -> dict[str, Any]:
    return status.model_dump(by_alias=True, exclude_none=True, mode="json")


def _without(status: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key != name}
