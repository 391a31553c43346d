"""The slow way: gateway pods of this project's own code in one process, a call at a time, by a clock that is told.

What is real: the choice of the arm, the memory of conversations and what pods tell one another of it, the counting, and
the evidence as it travels. What is not: the network. A call begins and ends at one moment, and what pods have to tell
arrives before the next call.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from bench.judge.conversations.arms import Played, Step
from bench.judge.conversations.cases import Case
from bench.judge.conversations.hangs import PATIENCE
from bench.judge.conversations.messages import messages, quoting
from bench.judge.conversations.quantities import MODEL
from bench.judge.conversations.sessions import ERROR, HUNG, LIMITED, MAX_TOKENS, OK, REFUSAL, Drawn
from bench.judge.conversations.tally import CANARY, STABLE
from claude_operator.api.evidence import parse_evidence
from claude_operator.api.gateway import Arm, Assigning, Deployment, GatewayConfig, Upstream
from claude_operator.core.judge.evidence.increments import PodReading
from claude_operator.core.request.assignment import Assignment, cohort, rank
from claude_operator.core.request.quotes import Block
from claude_operator.gateway.accounting import Accounting
from claude_operator.gateway.assigner import Asked, Assigner
from claude_operator.gateway.attempts import BodySample
from claude_operator.gateway.call import Call
from claude_operator.gateway.credentials import Credentials
from claude_operator.gateway.evidence import EvidenceStore
from claude_operator.gateway.live_config import LiveConfig, build
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.sse import Message
from claude_operator.log import Log

__all__ = ["Gateways", "named"]

_UID = "0b2f4d3e-0000-4000-8000-000000000001"
_OUTCOMES = {OK: "ok", REFUSAL: "ok", MAX_TOKENS: "ok", ERROR: "error", LIMITED: "overload", HUNG: "canceled"}
_STATUS = {ERROR: 500, LIMITED: 429}
_STOPS = {REFUSAL: "refusal", MAX_TOKENS: "max_tokens"}
_KEY = b"an operator key of the benchmark"


def named(case: Case, drawn: Drawn) -> Drawn:
    """With the labels that the names of conversations draw in a gateway; one without a name keeps its own."""
    if case.unit == "Request":
        return drawn
    assignment, ranks = _assignment(), rank(CANARY)
    labels = drawn.label.copy()
    keys: dict[str, float] = {}
    for index in np.flatnonzero(_has_name(case, drawn)).tolist():
        name = _name(case, drawn, index)
        if name not in keys:
            key = assignment.key(name, "") or ""
            keys[name] = (ranks[cohort(_UID, key)] + 0.5) / 10_000
        labels[index] = keys[name]
    return replace(drawn, label=labels)


def _has_name(case: Case, drawn: Drawn) -> np.ndarray:
    return np.ones(len(drawn.begin), dtype=bool) if case.unit == "User" else drawn.named


def _name(case: Case, drawn: Drawn, conversation: int) -> str:
    return f"user:u{drawn.user[conversation]}" if case.unit == "User" else f"session:s{conversation}"


def _assignment() -> Assignment:
    return _build(
        GatewayConfig(1, _DEPLOYMENT, [_arm(STABLE, "stable", 10_000)], _UPSTREAM), _store(lambda: 0.0)
    ).assignment


_DEPLOYMENT = Deployment(name="app", namespace="bench", uid=_UID)
_UPSTREAM = Upstream(base_url="http://nowhere")


def _arm(revision: str, role: Any, weight: int) -> Arm:
    return Arm(revision=revision, role=role, weight=weight, request={"model": MODEL, "max_tokens": 64})


def _store(clock: Callable[[], float]) -> EvidenceStore:
    return EvidenceStore(clock)


def _build(config: GatewayConfig, store: EvidenceStore) -> LiveConfig:
    live = build(config, Credentials(operator_key=_KEY), store.begin)
    store.draw_with(live.assignment.mark)
    return live


class _NoMetrics(Metrics):
    """Counts nothing for Prometheus, which takes a third of the time."""

    def record(self, call: Call, tokens: Mapping[str, int], cost: float | None) -> None:
        """Leave a call out."""


class _NoLog(Log):
    """Writes nothing."""

    def write(self, msg: str, fields: Any) -> None:
        """Leave a line out."""


class _Pod:
    """One gateway process."""

    def __init__(self, number: int, clock: Callable[[], float], metrics: Metrics) -> None:
        self.boot = 0
        self.number = number
        self._born = clock()
        self._clock = clock
        self.store = _store(clock)
        self.label = 0
        self._others = count()
        self._accounting = Accounting(self.store, metrics, _NoLog(io.StringIO(), "json"))
        self._assigner = Assigner(self.store.memory, self.store.eras, self.store.callers, self._draw)
        self.store.memory.outgoing()
        self._live: LiveConfig | None = None

    def _draw(self, below: int) -> int:
        return self.label if below == 10_000 else (next(self._others) << 16) + self.number

    def serve(self, config: GatewayConfig) -> None:
        """Serve this config from now on."""
        self._live = _build(config, self.store)

    def learn(self, other: _Pod) -> None:
        """Ask another process for all that it knows."""
        after = ""
        while True:
            page = other.store.memory.pages(after)
            self.store.memory.learn(page.known)
            if not page.more:
                break
            after = page.known[-1].digest
        self.store.memory.complete()

    def begin(self, asked: Asked, now: float, *, attempt: int, body: bytes, surface: str) -> Call:
        """Choose the arm of a call."""
        live = self._live
        assert live is not None
        call = Call("POST", "/v1/messages", now, live, counted=True)
        call.surface, call.attempt, call.body = surface, str(attempt), BodySample.of(body)
        call.model = call.model_label = MODEL
        call.stream, call.sent = True, now
        call.choice = self._assigner.choose(live, call, asked)
        self._accounting.start(call)
        return call

    def hear(self, call: Call, tool: str) -> None:
        """Take in what an answer says, by which the next request is found."""
        if call.answer is not None:
            call.answer.add(Block("tool_use", id=tool))
        self._assigner.answered(call)

    def end(self, call: Call, outcome: int, message: Message | None, ttft: float, duration: float) -> None:
        """End a call now, so that it began a while ago."""
        call.ended = self._clock()
        call.began = call.sent = call.ended - duration
        call.first_content = call.began + ttft if outcome < ERROR else 0.0
        call.status, call.outcome = _STATUS.get(outcome, 200), _OUTCOMES[outcome]
        if message is not None:
            call.summary.add(message)
        if outcome == ERROR:
            call.error = call.summary.error = "api_error"
        self._accounting.finish(call)

    def reading(self, weights: dict[str, int]) -> PodReading:
        """What it shows, as it travels."""
        live = self._live
        assert live is not None
        document = self.store.document(
            live.config.generation, self._clock() - self._born, "", weights=weights, since="", units=True
        )
        return PodReading(f"gateway-{self.number}-{self.boot}", ready=True, evidence=parse_evidence(document))


class Gateways:
    """All pods of a rollout, and its calls in the order of time."""

    def __init__(self, case: Case, drawn: Drawn, played: Played, steps: Sequence[Step]) -> None:
        self._case, self._drawn, self._played, self._steps = case, drawn, played, steps
        self._now = -1.0
        self._metrics = _NoMetrics()
        self._generation = 0
        self._weights: dict[str, int] = {}
        self._pods = [_Pod(number, self._clock, self._metrics) for number in range(case.pods.count)]
        self._named = _has_name(case, drawn)
        self._answers = [0] * len(drawn.begin)
        self._quotes: dict[int, tuple[str, str]] = {}
        """The first and the last answer of conversations without a name."""
        self._canary = np.zeros(len(played.time), dtype=bool)
        self._excess = np.zeros(len(played.time))
        self._later = played.here.tolist()
        self._moved = np.zeros(len(drawn.begin), dtype=bool)
        self._hanging: list[tuple[float, _Pod, Call]] = []
        self._first_answers()
        self._serve(0.0)
        # Every pod has seen them, however many there are.
        for conversation in self._begun if case.unit == "Conversation" else ():
            for pod in self._pods:
                call = pod.begin(self._asked(conversation), self._now, attempt=0, body=b"", surface="other")
                pod.end(call, OK, None, 0.0, 1.0)

    def _clock(self) -> float:
        return self._now

    @property
    def played(self) -> Played:
        """What became of the calls so far, as the gateways had it."""
        return replace(self._played, canary=self._canary, excess=self._excess)

    def _first_answers(self) -> None:
        """What conversations that began before have in their history by now."""
        before = np.flatnonzero((self._drawn.time < 0.0) & (self._drawn.outcome[0] < ERROR))
        for conversation in self._drawn.conversation[before].tolist():
            self._answers[conversation] += 1
        earlier = self._drawn.conversation[self._drawn.time < 0.0]
        for ttft, pod in zip(self._drawn.ttft[0][before].tolist(), self._drawn.pod[before].tolist(), strict=True):
            self._pods[pod].store.hang_limits.add(ttft, stream=True)
        self._begun = np.flatnonzero(np.bincount(earlier, minlength=len(self._answers)) > 0).tolist()

    # --------------------------------------------------------------------------------------------------- readings

    def start(self) -> list[PodReading]:
        """Before the canary."""
        return self._read()

    def readings(self, last: int) -> Iterator[list[PodReading]]:
        """After each tick until before `last`."""
        place, times = 0, self._played.time.tolist()
        steps = [step.start for step in self._steps]
        for tick in range(last):
            end = (tick + 1) * self._case.tick_seconds
            while steps and steps[0] < end - 1e-9:
                place = self._until(place, times, steps[0])
                self._now = steps.pop(0)
                self._serve(self._steps[len(self._steps) - len(steps) - 1].weight)
            place = self._until(place, times, end)
            self._now = end
            self._restart()
            silent = self._case.pods.silent_first and not tick
            found = self._read()
            yield [replace(one, evidence=None) if silent and not index else one for index, one in enumerate(found)]

    def _read(self) -> list[PodReading]:
        """Of all pods, one after the other: what hangs is counted as they are read."""
        found = []
        for pod in self._pods:
            found.append(pod.reading(self._weights))
            self._tell()
        return found

    def _serve(self, weight: float) -> None:
        self._generation += 1
        canary = round(10_000 * weight)
        arms = [_arm(STABLE, "stable", 10_000 - canary)]
        arms += [_arm(CANARY, "canary", canary)] if canary else []
        assigning = Assigning(self._case.unit, self._case.rescue_after)
        surfaces = [name for name in self._drawn.surfaces if name != "other"]
        self._config = GatewayConfig(
            self._generation, _DEPLOYMENT, arms, _UPSTREAM, surfaces=surfaces, assignment=assigning
        )
        self._weights = {arm.revision: arm.weight for arm in arms}
        for pod in self._pods:
            pod.serve(self._config)

    def _restart(self) -> None:
        every = self._case.pods.restart_seconds
        if not every:
            return
        for index, pod in enumerate(self._pods):
            boot = math.floor((self._now + index * every / self._case.pods.count) / every)
            if boot != pod.boot:
                fresh = _Pod(index, self._clock, self._metrics)
                fresh.boot = boot
                fresh.serve(self._config)
                fresh.learn(self._pods[index - 1])
                self._pods[index] = fresh

    # ------------------------------------------------------------------------------------------------------ calls

    def _until(self, place: int, times: list[float], end: float) -> int:
        while place < len(times) and times[place] < end:
            self._leave(times[place])
            self._now = times[place]
            self._call(self._later[place], place)
            place += 1
        self._leave(end)
        return place

    def _leave(self, now: float) -> None:
        """End calls whose clients have waited long enough."""
        while self._hanging and self._hanging[0][0] <= now:
            self._now, pod, call = self._hanging.pop(0)
            pod.end(call, HUNG, None, 0.0, PATIENCE)

    def _call(self, index: int, place: int) -> None:
        drawn = self._drawn
        conversation = int(drawn.conversation[index])
        pod = self._pods[int(drawn.pod[index])]
        pod.label = int(drawn.label[conversation] * 10_000)
        asked, body = self._asked(conversation), str(index).encode()
        attempt, first = 0, OK
        while True:
            surface = drawn.surfaces[int(drawn.surface[conversation])]
            call = pod.begin(asked, self._now, attempt=attempt, body=body, surface=surface)
            canary = call.revision == CANARY
            outcome = self._end(pod, call, index, place, canary=canary, attempt=attempt)
            if not attempt:
                self._canary[place], first = canary, outcome
            self._tell()
            if outcome != ERROR or attempt >= self._case.retries:
                break
            attempt += 1
        self._answers[conversation] += outcome < ERROR
        failed = first in (ERROR, HUNG) and int(drawn.outcome[0][index]) not in (ERROR, HUNG)
        self._excess[place] = float(canary and failed)

    def _end(self, pod: _Pod, call: Call, index: int, place: int, *, canary: bool, attempt: int) -> int:
        drawn = self._drawn
        harmed = canary and self._steps[int(self._played.step[place]) - 1].weight >= self._case.harm.onset_weight - 1e-9
        column = int(harmed)
        outcome = int(drawn.outcome[column][index])
        if attempt and outcome == ERROR and (index * 7919 + attempt) % 2:
            outcome = OK  # every other retry of a failed request is answered
        prompt, output = int(drawn.prompt[column][index]), int(drawn.output[column][index])
        moved = bool(call.known is not None and call.known.moved)
        conversation = int(drawn.conversation[index])
        cold = bool(self._played.cold[place]) or (moved and not self._moved[conversation])
        self._moved[conversation] |= moved
        ttft, duration = float(drawn.ttft[column][index]), float(drawn.duration[column][index])
        if self._case.cached and cold:
            ttft, duration = 2.1 * ttft, duration + 1.1 * ttft
        if outcome < ERROR and not self._named[conversation]:
            said = f"toolu_{index}"
            self._quotes[conversation] = (self._quotes.get(conversation, (said, ""))[0], said)
            pod.hear(call, said)
        if outcome == HUNG:
            self._hanging.append((self._now + PATIENCE, pod, call))
            return outcome
        duration = duration if outcome < ERROR else ttft
        pod.end(call, outcome, self._message(outcome, index, prompt, output, cold=cold), ttft, duration)
        return outcome

    def _message(self, outcome: int, index: int, prompt: int, output: int, *, cold: bool) -> Message | None:
        if outcome >= ERROR:
            return None
        stop = _STOPS.get(outcome, "end_turn" if self._drawn.last[index] else "tool_use")
        usage = {"input_tokens": prompt, "output_tokens": output}
        if self._case.cached:
            kind = "cache_creation_input_tokens" if cold else "cache_read_input_tokens"
            usage = {"input_tokens": 0, kind: prompt, "output_tokens": output}
        return Message(model=MODEL, stop_reason=stop, usage=usage)

    def _asked(self, conversation: int) -> Asked:
        fields = {"messages": messages(self._answers[conversation])}
        if self._case.unit == "User":
            return Asked(fields, user=f"u{self._drawn.user[conversation]}")
        if self._case.unit == "Conversation" and self._named[conversation]:
            return Asked(fields, session=f"s{conversation}")
        if conversation in self._quotes:
            fields = {"messages": quoting(self._answers[conversation], *self._quotes[conversation])}
        return Asked(fields, user_id="everybody")

    def _tell(self) -> None:
        """Have every pod know what is new in another."""
        for pod in self._pods:
            if pod.store.memory.changed.is_set():
                news = pod.store.memory.outgoing()
                for other in self._pods:
                    if other is not pod:
                        other.store.memory.learn(news)
