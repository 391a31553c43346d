"""The loop: takes samples of both arms, has them graded, and tells the gateways what came of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from claude_operator.api.evidence import Grade
from claude_operator.api.live import LiveGrading
from claude_operator.api.samples import Sample
from claude_operator.core.request.privacy import without_emails
from claude_operator.evals.live.batches import LONGEST, Batches
from claude_operator.evals.live.failed import FailedSample, failed_sample, kept
from claude_operator.evals.live.judging import Judge, Verdict
from claude_operator.evals.live.metrics import Metrics
from claude_operator.evals.live.pods import Place, Pods, Sent
from claude_operator.evals.live.quota import ROLES, Quota, Role
from claude_operator.evals.live.spending import Spending, State
from claude_operator.evals.live.store import NoStore, Store
from claude_operator.log import Log

__all__ = ["Memory", "Service", "Timing"]

_OPEN = 64  # samples that are graded at the same time
_KNOWN = 100_000  # conversations that are remembered as graded
_SENTENCE = 300  # characters of a sentence about trouble
_RESULTS = {True: "pass", False: "fail", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: between two looks at the gateways, two tries to tell a verdict, two writes; how long one is told, how
    long it waits for others, what is open at the end is waited for, and a pod whose port is closed."""

    poll: float = 3.0
    again: float = 1.0
    write: float = 10.0
    patience: float = 60.0
    batch: float = LONGEST
    end: float = 15.0
    gone: float = 10.0


@dataclass(slots=True)
class Memory:
    """What the grader remembers, and where."""

    store: Store
    state: State
    samples: list[FailedSample]
    changed: bool = False


@dataclass(slots=True)
class Service:
    """Grades until it is cancelled; verdicts that are there are then still told."""

    live: LiveGrading
    find: Callable[[], Awaitable[Sequence[Place]]]
    pods: Pods
    judge: Judge
    spending: Spending
    memory: Memory
    metrics: Metrics
    log: Log
    timing: Timing = field(default_factory=Timing)
    trouble: str = "it has not asked the gateways yet"
    """Why it does not grade now, empty where it does."""
    _quota: Quota = field(init=False)
    _batches: Batches = field(init=False)
    _open: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _grading: int = field(init=False, default=0)
    _known: OrderedDict[tuple[str, str], None] = field(init=False, default_factory=OrderedDict)
    _places: Sequence[Place] = field(init=False, default=())
    _roles: dict[str, Role] = field(init=False, default_factory=dict)
    _said: str | None = field(init=False, default=None)
    _forgotten: str = field(init=False, default="")
    """Why what was spent would be forgotten, empty where it would not."""
    _unknown: str = field(init=False, default="")
    """Why the last answer could not be graded, empty where it could."""

    def __post_init__(self) -> None:
        self._quota = Quota(self.live, time.monotonic())
        self._batches = Batches(self.timing.batch)

    async def run(self) -> None:
        """Until it is cancelled."""
        writer = asyncio.create_task(self._write_often())
        try:
            while True:
                await self._look()
                await asyncio.sleep(self.timing.poll)
        finally:
            writer.cancel()
            self._batches.close()
            await asyncio.wait([writer])
            await self._write()  # before the pod's time is over, whatever is open
            if self._open:
                _, late = await asyncio.wait(self._open, timeout=self.timing.end)
                for task in late:
                    task.cancel()
            await self._write()

    async def _look(self) -> None:
        """Take from the pods, in an order of chance, what is due of each arm."""
        self._places = await self.find()
        self.pods.forget(self._places)
        over = self.spending.over(dt.datetime.now(dt.UTC)) or self._forgotten
        now = time.monotonic()
        free = _OPEN - self._grading
        room = 0 if over else min(free, self.spending.room) if self.judge.asks else free
        wanted = self._quota.wanted(now, room)
        answered = 0
        for place in random.sample(list(self._places), len(self._places)):
            answered += await self._take(place, wanted)
        silent = len(self._places) - answered
        self.metrics.silent.inc(silent)
        nobody = "" if answered else f"none of {silent} gateway pods answers" if silent else "there is no gateway pod"
        self._tell(over or nobody or self._unknown)

    async def _take(self, place: Place, wanted: dict[Role, int]) -> bool:
        """Whether the pod answers. `wanted` is what is still due, and is taken down."""
        found = await self.pods.take(place, wanted["canary"], wanted["stable"], self._said or "")
        if found is None:
            return False
        now = time.monotonic()
        self._roles |= {one.revision: one.role for one in found.samples if one.role in ROLES}
        for counts, counter in (
            (found.conversations, self.metrics.conversations),
            (found.dropped, self.metrics.dropped),
        ):
            for revision, count in counts.items():
                if (role := self._roles.get(revision)) is not None:
                    counter.labels(role).inc(count)
                    if counts is found.conversations:
                        self._quota.see(role, count, now)
        for sample in found.samples:
            if sample.role in ROLES:
                wanted[sample.role] = max(0, wanted[sample.role] - 1)
                self._quota.take(sample.role, 1, now)
                self.metrics.samples.labels(sample.role).inc()
                self._begin(place, sample)
        return True

    def _begin(self, place: Place, sample: Sample) -> None:
        """Grade it, unless its conversation was graded before, in another pod perhaps."""
        key = (sample.revision, sample.conversation)
        if sample.conversation and key in self._known:
            self.metrics.repeated.labels(sample.role).inc()
            return
        self._known[key] = None
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        task = asyncio.create_task(self._settle(place, sample))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _settle(self, place: Place, sample: Sample) -> None:
        verdict = await self._verdict(sample)
        self.memory.changed = True
        self.metrics.grades.labels(sample.role, _RESULTS[verdict.passed]).inc()
        self.metrics.cost.set(self.memory.state.usd)
        self._unknown = verdict.why if verdict.passed is None else ""
        if verdict.passed is False and self.live.keep_failed:
            self._keep(failed_sample(sample, verdict.why, verdict.reason))
        if verdict.passed is not None:  # else it is evidence of nothing
            await self._batches.wait(sample.surface, sample.role)
        grade = Grade(sample.revision, verdict.passed, sample.surface, sample.id, sample.conversation)
        self.metrics.reports.labels(await self._report(place, grade)).inc()

    async def _verdict(self, sample: Sample) -> Verdict:
        self._grading += 1
        self.metrics.open.set(self._grading)
        try:
            return await self.judge.grade(sample)
        except Exception as error:  # what is wrong with one answer stops no other
            return Verdict(None, f"grading failed: {type(error).__name__}")
        finally:
            self._grading -= 1
            self.metrics.open.set(self._grading)

    async def _report(self, place: Place, grade: Grade) -> Sent:
        """Tell the pod that gave the sample; another where that is gone, and can never have heard of it."""
        begun, heard = time.monotonic(), False
        sent: Sent = "again"
        while (waited := time.monotonic() - begun) < self.timing.patience:
            sent = await self.pods.report(place, grade)
            if sent in ("counted", "dropped"):
                return sent
            heard = heard or sent == "again"
            others = [one for one in self._places if one != place]
            left = place not in self._places or waited > self.timing.gone
            if sent == "gone" and not heard and left and others:
                place = random.choice(others)
            await asyncio.sleep(self.timing.again)
        self.log.event("a verdict was not taken by any gateway", "warning", revision=grade.revision)
        return sent

    def _keep(self, one: FailedSample) -> None:
        self.memory.samples = kept([*self.memory.samples, one], self.live.keep_failed, time.time())
        self.metrics.kept.set(len(self.memory.samples))

    def _tell(self, trouble: str) -> None:
        """What keeps it from grading, once in the log."""
        self.trouble = without_emails(trouble)[:_SENTENCE]
        if self.trouble != self._said:
            self._said = self.trouble
            if self.trouble:
                self.log.event("not grading", "warning", reason=self.trouble)
            else:
                self.log.event("grading", gateways=len(self._places))

    async def _write_often(self) -> None:
        while True:
            await asyncio.sleep(self.timing.write)
            await self._write()

    async def _write(self) -> None:
        """Remember what was spent, and what failed. What cannot be written is tried again."""
        if not self.memory.changed:
            return
        self.memory.changed = False
        try:
            await self.memory.store.write(self.memory.state, self.memory.samples)
            self._forgotten = ""
        except NoStore as error:
            self.memory.changed = True
            self._forgotten = f"what is spent cannot be written down: {error}"
        except asyncio.CancelledError:
            self.memory.changed = True
            raise
