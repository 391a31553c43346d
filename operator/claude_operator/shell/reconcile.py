"""One pass: gather, decide, act. A conflict means that the world moved on, so it is read again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from claude_operator.api.deployment import EnvVar
from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.prices import TokenPrices
from claude_operator.core import names, render
from claude_operator.core.evals.asked import Standing
from claude_operator.core.evals.contents import claim_of
from claude_operator.core.evals.runs import (
    RunDecision,
    decide_run,
    not_asked,
    not_started,
    postponed,
    run_status,
    watched_job,
)
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.spec.policy import OPEN
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import BY_KIND, CLAUDE_EVAL_RUNS, CLAUDE_EVAL_SETS, JOBS
from claude_operator.shell.act import Actor
from claude_operator.shell.batch_cancels import BatchCancels
from claude_operator.shell.clock import Clock
from claude_operator.shell.deployment_series import DeploymentSeries
from claude_operator.shell.endings import Endings
from claude_operator.shell.gather import Gatherer, NoMasterKey
from claude_operator.shell.keys import DEPLOYMENT, Key
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.permits import Permits
from claude_operator.shell.stored_objects import UnreadableStatus

__all__ = ["DeploymentLoop", "Reconciler", "RunLoop"]

_CONFLICT = 0.05  # seconds until a pass that was overtaken is done again
_OVERTAKEN = 5  # times in a row, after which it is an error like any other


class DeploymentLoop:
    """The loop of a ClaudeDeployment."""

    def __init__(
        self, gatherer: Gatherer, actor: Actor, site: render.Site, endings: Endings, series: DeploymentSeries,
        note: Callable[[Observation], None] = lambda seen: None,
    ) -> None:  # fmt: skip
        """`series` shows what each pass has decided, `note` gets what it has seen."""
        self._gatherer, self._actor, self._site, self._endings = gatherer, actor, site, endings
        self._series, self._note = series, note

    async def __call__(self, key: Key) -> float | None:
        """One pass; returns the seconds until the next."""
        try:
            seen = await self._gatherer.gather(key)
        except UnreadableStatus as error:  # a conflict: the next pass begins with none
            self._series.drop(key)
            await self._actor.clear_status(error.owner)
            raise
        except NoMasterKey as error:
            self._series.drop(key)
            await self._actor.failed(error.owner, error)
            raise
        if seen is None:
            self._endings.drop(key)
            self._series.drop(key)
            return None
        uid = seen.observation.owner["metadata"]["uid"]
        if self._endings.has(key, uid):
            return None
        seen = await self._actor.repair(seen)
        self._note(seen.observation)
        try:
            decision = decide(seen.observation, self._site)
        except Exception as error:
            self._series.drop(key)  # what was true before is not known to be true now
            await self._actor.failed(seen.observation.owner, error)
            raise
        self._series.show(key, decision.status)
        self._gatherer.announce(seen, decision.status)
        try:
            after = await self._actor.act(seen, decision)
        except KubeError as error:
            if error.terminating:
                self._endings.add(key, uid)
                return None
            if error.not_found and await self._gatherer.gather(key) is None:
                return None  # deleted meanwhile
            raise
        self._gatherer.remember(seen)
        return after


class RunLoop:
    """The loop of a ClaudeEvalRun: it owns its Job."""

    def __init__(
        self,
        kube: Kube,
        site: render.Site,
        clock: Clock,
        endings: Endings,
        permits: Permits | None = None,
        prices: Callable[[], Mapping[str, TokenPrices]] = dict,
    ) -> None:
        self._kube, self.site, self._clock, self._endings = kube, site, clock, endings
        self._prices = prices
        self._permits = permits or Permits(kube, OPEN)
        self._cancels = BatchCancels(kube, self._permits)

    async def __call__(self, key: Key) -> float | None:
        """One pass; returns the seconds until the next."""
        run = await self._kube.get(CLAUDE_EVAL_RUNS, key.name, key.namespace)
        if run is None:
            await self._cancels.gone(key, self.site)
            self._endings.drop(key)
            return None
        uid = run["metadata"]["uid"]
        if self._endings.has(key, uid):
            return None
        try:
            return await self._pass(key, run)
        except KubeError as error:
            if error.terminating:
                self._endings.add(key, uid)
                return None
            if error.not_found and await self._kube.get(CLAUDE_EVAL_RUNS, key.name, key.namespace) is None:
                return None  # deleted meanwhile
            raise

    async def _pass(self, key: Key, run: Object) -> float | None:
        await self._cancels.see(key, run, self.site)
        job = await self._kube.get(JOBS, watched_job(run), key.namespace)
        decision = decide_run(run, job, now=self._clock.now())
        if decision.create_job_attempt is not None:
            decision = await self._begin(run, decision, decision.create_job_attempt)
        await self._status(run, decision.status)
        if decision.delete_job is not None:
            await self._kube.delete(JOBS, decision.delete_job, key.namespace)
        return decision.requeue

    async def _begin(self, run: Object, decision: RunDecision, attempt: int) -> RunDecision:
        """Make the Job, if the run is one that was asked for; returns what becomes of the decision."""
        eval_set = await self._kube.get(CLAUDE_EVAL_SETS, run["spec"]["setRef"], run["metadata"]["namespace"])
        claim = claim_of(eval_set["spec"]) if eval_set else None
        permit, now = await self._permits.ask(run, claim), self._clock.now()
        if permit.standing in (Standing.NOBODY, Standing.NOT_YET):
            return not_asked(run, soon=permit.standing is Standing.NOT_YET, now=now)
        if permit.withheld:
            return postponed(run, permit.withheld, now=now)
        try:
            await self._create_stores(run, eval_set)
            await self._create_job(run, attempt, permit.env, claim)
        except KubeError as error:
            if error.status == 0 or error.status >= 500 or error.terminating:
                raise  # the API server itself: the queue's back-off is for that; or the end of all
            return not_started(run, decision, str(error).partition("\n")[0], now=now)
        return decision

    async def _create_stores(self, run: Object, eval_set: Object | None) -> None:
        """Make what the Job writes into. Without it the Job goes on, and says what is not kept."""
        for store in render.eval_stores(run, eval_set) if eval_set else ():
            try:
                await self._kube.create(BY_KIND[store["kind"]], store)
            except KubeError as error:
                if error.status == 0 or error.status >= 500 or error.terminating:
                    raise

    async def _create_job(self, run: Object, attempt: int, env: Sequence[EnvVar], claim: str | None) -> None:
        account = names.eval_account(run["spec"]["deployment"])
        try:
            job = render.eval_job(
                run,
                attempt=attempt,
                site=self.site,
                account=account,
                env=env,
                claim=claim,
                prices=self._prices(),
            )
            await self._kube.create(JOBS, job)
        except KubeError as error:
            if not error.conflict:
                raise

    async def _status(self, run: Object, after: EvalRunStatus) -> None:
        if after == run_status(run):
            return
        metadata = {key: run["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
        body = {
            "apiVersion": CLAUDE_EVAL_RUNS.api_version,
            "kind": CLAUDE_EVAL_RUNS.kind,
            "metadata": metadata,
            "status": after.model_dump(by_alias=True, exclude_none=True, mode="json"),
        }
        await self._kube.apply(CLAUDE_EVAL_RUNS, body, field_manager=names.FIELD_MANAGER, subresource="status")


class Reconciler:
    """Gives each key to its loop, and counts."""

    def __init__(
        self,
        deployments: Callable[[Key], Awaitable[float | None]],
        runs: Callable[[Key], Awaitable[float | None]],
        metrics: Metrics,
    ) -> None:
        self._deployments, self._runs, self._metrics = deployments, runs, metrics
        self._conflicts: Counter[Key] = Counter()

    async def __call__(self, key: Key) -> float | None:
        """One pass over `key`."""
        begun = time.perf_counter()
        result = "error"
        try:
            loop = self._deployments if key.kind == DEPLOYMENT else self._runs
            after = await loop(key)
            result = "ok"
            self._conflicts.pop(key, None)
        except KubeError as error:
            self._conflicts[key] += error.conflict
            if not error.conflict or self._conflicts[key] > _OVERTAKEN:
                raise
            result, after = "conflict", _CONFLICT
        finally:
            self._metrics.reconcile_duration.labels(key.kind, result).observe(time.perf_counter() - begun)
        return after
