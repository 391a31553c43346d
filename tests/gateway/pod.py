"""What one gateway process counts, without its ports: calls that have ended go in, wire documents come out."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.gateway.harness import CANARY, STABLE, make_arm, make_config

from claude_operator.api.evidence import PINNED, Cohorts, Counters, parse_cohorts, parse_evidence
from claude_operator.api.gateway import Assigning
from claude_operator.gateway.accounting import Accounting
from claude_operator.gateway.attempts import BodySample
from claude_operator.gateway.call import Call
from claude_operator.gateway.credentials import Credentials
from claude_operator.gateway.evidence import EvidenceStore
from claude_operator.gateway.live_config import Choice, build
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.sse import Message
from claude_operator.log import Log

MODEL = "claude-opus-5-5"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Pod:
    """One accounting with its store. `serve` begins a config generation."""

    clock: Clock = field(default_factory=Clock)
    output: io.StringIO = field(default_factory=io.StringIO)
    assignment: Assigning | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        self.start()
        self.serve(1)

    def start(self) -> None:
        self.store = EvidenceStore(self.clock)
        self.metrics = Metrics()
        self.accounting = Accounting(self.store, self.metrics, Log(self.output, "json"))

    def serve(self, generation: int, key: bytes = b"", **more: Any) -> None:
        """`key` is the one that the operator shares with the gateways."""
        arms = (make_arm(weight=9000), make_arm(CANARY, "canary", 1000))
        config = make_config(
            "http://upstream", *arms, generation=generation, surfaces=["chat"], assignment=self.assignment, **more
        )
        self.live = build(config, Credentials(operator_key=key), self.store.begin)
        self.store.draw_with(self.live.assignment.mark)

    def begin(
        self,
        key: str | None = "session:a",
        *,
        revision: str = STABLE,
        surface: str = "chat",
        attempt: str = "0",
        caller: str = "",
        body: bytes = b"a body",
    ) -> Call:
        """One call that has gone upstream."""
        choice = Choice(self.live.arms[revision], pinned=surface == PINNED)
        call = Call("POST", "/v1/messages", 1.0, self.live, choice=choice, counted=True)
        call.conversation, call.attempt, call.surface = key, attempt, surface
        call.model = call.model_label = MODEL
        call.callers, call.body = (caller,) if caller else (), BodySample.of(body)
        self.accounting.start(call)
        return call

    def end(
        self,
        call: Call,
        outcome: str = "ok",
        *,
        stop_reason: str = "end_turn",
        usage: dict[str, Any] | None = None,
        ttft: float = 0.0,
        error: str = "",
    ) -> None:
        """It ends; `error` is the type of the upstream's error."""
        call.status, call.outcome = 200, outcome
        call.first_content, call.ended = 1.0 + ttft if ttft else 0.0, 3.0
        call.summary.add(Message(model=MODEL, stop_reason=stop_reason if outcome == "ok" else None, usage=usage))
        call.error = call.summary.error = error
        self.accounting.finish(call)

    def settle(
        self,
        key: str | None = "session:a",
        outcome: str = "ok",
        *,
        stop_reason: str = "end_turn",
        usage: dict[str, Any] | None = None,
        ttft: float = 0.0,
        error: str = "",
        **more: Any,
    ) -> None:
        """One call from beginning to end."""
        self.end(self.begin(key, **more), outcome, stop_reason=stop_reason, usage=usage, ttft=ttft, error=error)

    def counters(self, revision: str = STABLE, surface: str = "chat", generation: int = 1) -> Counters:
        """The only stratum of a revision and surface."""
        (counters,) = self.all_counters(revision, surface, generation).values()
        return counters

    def all_counters(self, revision: str, surface: str, generation: int) -> dict[str, Counters]:
        """By cache state."""
        (found,) = (
            each
            for each in parse_evidence(self.store.document(generation, 1.0, "")).generations
            if each.generation == generation
        )
        return {
            stratum.cache: stratum.counters
            for stratum in found.strata
            if (stratum.revision, stratum.surface) == (revision, surface)
        }

    def cohorts(self) -> Cohorts:
        return parse_cohorts(self.store.cohorts())
