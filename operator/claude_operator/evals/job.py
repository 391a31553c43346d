"""`eval run --run`: the Job of a ClaudeEvalRun. It reads what to ask, asks, and writes the run's status."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from claude_operator.api.base import seconds
from claude_operator.api.resources import EvalRunSpec, EvalRunStatus, EvalSetSpec
from claude_operator.core import revision
from claude_operator.core.compose import PreparedArm, prepare
from claude_operator.core.evalgate import Result, RunReason
from claude_operator.core.evalrun import EXIT_CODES, FINAL, INFRASTRUCTURE_EXIT, complete, finished, run_status
from claude_operator.core.evalset import Item, load_items, set_hash
from claude_operator.evals.ask import Asker, Infrastructure
from claude_operator.evals.files import api_key, directory, first_error
from claude_operator.evals.log import Log
from claude_operator.evals.session import Arms, evaluate
from claude_operator.kube.client import Kube, KubeError
from claude_operator.kube.resources import CLAUDE_EVAL_RUNS, CLAUDE_EVAL_SETS, CLAUDE_REVISIONS, CONFIG_MAPS, Resource

__all__ = ["Places", "run_job"]

_PROGRESS_SECONDS = 2.0
_WRITE_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Places:
    """The run, and where its Job finds the key and the values of `$(NAME)`."""

    name: str
    namespace: str
    upstream_key: Path
    env: Path


class _NotReady(Exception):  # noqa: N818  (what the run is)
    """The run cannot begin: phase Error, and another attempt later."""

    def __init__(self, reason: RunReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Everything that a run needs, read once."""

    spec: EvalRunSpec
    set: EvalSetSpec
    items: list[Item]
    arms: Arms
    key: str


async def run_job(kube: Kube, places: Places, log: Log) -> int:
    """Run the evals of one ClaudeEvalRun; the exit code tells the phase, 1 that there is none yet."""
    try:
        run = await kube.get(CLAUDE_EVAL_RUNS, places.name, places.namespace)
        if run is None:
            log.event("no such ClaudeEvalRun", "error", name=places.name, namespace=places.namespace)
            return INFRASTRUCTURE_EXIT
        if (phase := run_status(run).phase) in FINAL:
            log.event("the run has ended already", phase=phase)
            return EXIT_CODES[phase]
        return await _Job(kube, places, run, log).run()
    except KubeError as error:
        log.event("the Kubernetes API failed", "error", reason=str(error))
        return INFRASTRUCTURE_EXIT


class _Job:
    def __init__(self, kube: Kube, places: Places, run: dict[str, Any], log: Log) -> None:
        self._kube, self._places, self._run, self._log = kube, places, run, log
        self._done = 0

    async def run(self) -> int:
        """Read, ask, judge, write."""
        try:
            inputs = await self._inputs()
        except _NotReady as error:
            await self._tell("Error", error.reason, str(error))
            return INFRASTRUCTURE_EXIT
        await self._begin(len(inputs.items))
        reporter = asyncio.create_task(self._report())
        try:
            result = await self._evaluate(inputs)
        except Infrastructure as error:
            await self._tell("Running", RunReason.INFRASTRUCTURE, str(error))
            return INFRASTRUCTURE_EXIT
        except asyncio.CancelledError:
            await self._tell("Running", RunReason.INFRASTRUCTURE, "the Job was told to stop")
            return INFRASTRUCTURE_EXIT
        finally:
            reporter.cancel()
            await asyncio.wait([reporter])
        return await self._finish(result)

    async def _evaluate(self, inputs: _Inputs) -> Result:
        execution = inputs.set.execution
        async with Asker(
            inputs.spec.upstream.base_url,
            inputs.key,
            timeout=seconds(execution.timeout),
            open_calls=execution.max_concurrency,
        ) as asker:
            return await evaluate(
                inputs.items,
                inputs.arms,
                asker.ask,
                inputs.set.gate,
                concurrency=execution.max_concurrency,
                progress=self._progressed,
            )

    async def _inputs(self) -> _Inputs:
        try:
            spec = EvalRunSpec.model_validate(self._run["spec"])
        except ValidationError as error:
            raise _NotReady(RunReason.NOT_FOUND, f"the run's spec cannot be read: {first_error(error)}") from error
        stored = await self._read(CLAUDE_EVAL_SETS, spec.set_ref)
        set_spec, items = await self._items(spec, stored["spec"])
        env = directory(self._places.env)
        candidate = self._arm(await self._read(CLAUDE_REVISIONS, spec.revision), env)
        baseline = None
        if spec.baseline_revision:
            baseline = self._arm(await self._read(CLAUDE_REVISIONS, spec.baseline_revision), env)
        key = api_key(self._places.upstream_key)
        if not key:
            raise _NotReady(RunReason.INFRASTRUCTURE, "the Secret of spec.upstream.apiKeySecretRef holds no key")
        return _Inputs(spec, set_spec, items, Arms(candidate, baseline), key)

    async def _items(self, spec: EvalRunSpec, stored: Mapping[str, Any]) -> tuple[EvalSetSpec, list[Item]]:
        try:
            set_spec = EvalSetSpec.model_validate(stored)
        except ValidationError as error:
            said = f"the ClaudeEvalSet {spec.set_ref} cannot be read: {first_error(error)}"
            raise _NotReady(RunReason.INVALID_SET, said) from error
        jsonl = None
        if set_spec.dataset is not None:
            reference = set_spec.dataset.config_map_key_ref
            config_map = await self._read(CONFIG_MAPS, reference.name)
            jsonl = (config_map.get("data") or {}).get(reference.key)
        try:
            items = load_items(set_spec, jsonl)
        except ValueError as error:
            raise _NotReady(RunReason.INVALID_SET, f"ClaudeEvalSet {spec.set_ref}: {error}") from error
        if spec.set_hash and spec.set_hash != (now := set_hash(stored, jsonl)):
            said = (
                f"the ClaudeEvalSet {spec.set_ref} has changed since this run was made (now {now[:8]}, then"
                f" {spec.set_hash[:8]}): make a new ClaudeEvalRun, or put the earlier content back"
            )
            raise _NotReady(RunReason.SET_CHANGED, said)
        return set_spec, items

    async def _read(self, resource: Resource, name: str) -> dict[str, Any]:
        found = await self._kube.get(resource, name, self._places.namespace)
        if found is None:
            raise _NotReady(RunReason.NOT_FOUND, f"the {resource.kind} {name} does not exist: create it")
        return found

    def _arm(self, stored: Mapping[str, Any], env: Mapping[str, str]) -> PreparedArm:
        """A revision exactly as the gateway would serve it."""
        try:
            return prepare(revision.arm(stored, "canary", 0), env)
        except ValueError as error:  # MissingName as well
            raise _NotReady(RunReason.INFRASTRUCTURE, str(error)) from error

    # ----------------------------------------------------------------------------------------------- status

    def _progressed(self, done: int) -> None:
        self._done = done

    async def _report(self) -> None:
        """Write how far the run has come, while it runs."""
        told = 0
        while True:
            await asyncio.sleep(_PROGRESS_SECONDS)
            if self._done == told:
                continue
            told = self._done
            try:
                await self._patch({"done": told})
            except KubeError as error:
                self._log.event("progress was not written", "warning", reason=str(error))

    async def _begin(self, total: int) -> None:
        """Phase Running; what an earlier attempt left is taken back."""
        status = run_status(self._run)
        now = dt.datetime.now(dt.UTC)
        fresh = EvalRunStatus(
            phase="Running", total=total, started_at=now, attempts=status.attempts, conditions=status.conditions
        )
        fresh.conditions = complete(self._run, fresh, now)
        cleared: dict[str, Any] = dict.fromkeys(("candidate", "baseline", "finishedAt", "retryAt"))
        # The attempt is the controller's to count.
        await self._patch(cleared | {key: value for key, value in _stored(fresh).items() if key != "attempts"})
        self._run["status"] = _stored(fresh)
        self._log.event("asking", run=self._places.name, items=total)

    async def _tell(self, phase: str, reason: RunReason, message: str) -> None:
        """Write why there is no result; this may fail, the exit code says the same."""
        self._log.event("no result", "error", reason=str(reason), phase=phase)
        status = run_status(self._run).model_copy(update={"phase": phase, "reason": str(reason), "message": message})
        conditions = complete(self._run, status, dt.datetime.now(dt.UTC))
        try:
            await self._patch(
                {
                    "phase": phase,
                    "reason": str(reason),
                    "message": message,
                    "conditions": [one.model_dump(by_alias=True, mode="json") for one in conditions],
                }
            )
        except KubeError as error:
            self._log.event("the status was not written", "error", reason=str(error))

    async def _finish(self, result: Result) -> int:
        """Write the result, unless another Job of this run has written one first."""
        now = dt.datetime.now(dt.UTC)
        for attempt in range(_WRITE_ATTEMPTS):
            try:
                run = await self._kube.get(CLAUDE_EVAL_RUNS, self._places.name, self._places.namespace)
                if run is None:
                    self._log.event("the run was deleted", "error")
                    return INFRASTRUCTURE_EXIT
                if (phase := run_status(run).phase) in FINAL:
                    self._log.event("the run has ended already", phase=phase)
                    return EXIT_CODES[phase]
                status = finished(run, run_status(run), result, now)
                status.done = status.total if result.candidate else self._done
                await self._patch({"retryAt": None} | _without(_stored(status), "attempts"))
                break
            except KubeError as error:
                self._log.event("the result was not written", "warning", reason=str(error))
                if attempt == _WRITE_ATTEMPTS - 1:
                    return INFRASTRUCTURE_EXIT
                await asyncio.sleep(2.0**attempt)
        self._log.event("ended", phase=result.phase, reason=str(result.reason))
        return EXIT_CODES[result.phase]

    async def _patch(self, status: Mapping[str, Any]) -> None:
        await self._kube.patch_status(CLAUDE_EVAL_RUNS, self._places.name, self._places.namespace, status)


def _stored(status: EvalRunStatus) -> dict[str, Any]:
    return status.model_dump(by_alias=True, exclude_none=True, mode="json")


def _without(status: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key != name}
