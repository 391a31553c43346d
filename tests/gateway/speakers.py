"""Conversations with gateways that have no ports: which arm each call gets, and what is counted of it."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

import msgspec
from tests.gateway.harness import CANARY, STABLE, make_arm, make_config
from tests.gateway.pod import MODEL, Pod

from claude_operator.api.evidence import UnitStratum, parse_evidence
from claude_operator.api.gateway import Arm
from claude_operator.core.request.quotes import Block
from claude_operator.gateway.assigner import Asked, Assigner
from claude_operator.gateway.call import Call
from claude_operator.gateway.credentials import Credentials
from claude_operator.gateway.live_config import build
from claude_operator.gateway.sse import Message

KEY = b"what the operator and the gateways share"


@dataclass
class Process(Pod):
    """A gateway process."""

    random: random.Random = field(default_factory=lambda: random.Random(0))

    def __post_init__(self) -> None:
        self.start()
        self.assigner = Assigner(self.store.memory, self.store.eras, self.store.callers, self.random.randrange)

    def run(self, generation: int, *arms: Arm, **more: Any) -> None:
        """Serve these arms."""
        config = make_config("http://upstream", *arms, generation=generation, surfaces=["chat"], **more)
        self.live = build(config, Credentials(operator_key=KEY), self.store.begin)

    def begin_call(self, messages: Any, *, attempt: str = "", body: Any = None, key: str = "", **asked: Any) -> Call:
        """One call that has gone upstream. `key`: the client's own, under Passthrough."""
        call = Call("POST", "/v1/messages", 1.0, self.live, counted=True, attempt=attempt, body=body)
        fields = {"messages": msgspec.Raw(json.dumps(messages).encode())}
        call.surface, call.model = "chat", MODEL
        call.callers = (self.live.assignment.caller(key),) if key else ()
        call.choice = self.assigner.choose(self.live, call, Asked(fields, **asked))
        self.accounting.start(call)
        return call

    def end_call(
        self, call: Call, outcome: str = "ok", *, stop_reason: str = "end_turn", usage: Any = None, error: str = ""
    ) -> None:
        """It ends; `error` is the type of the upstream's error."""
        call.summary.error = error
        call.status, call.outcome, call.ended = 200, outcome, 3.0
        call.summary.add(Message(model=MODEL, stop_reason=stop_reason if outcome == "ok" else None, usage=usage))
        self.accounting.finish(call)

    def call(self, messages: Any, answer: str = "", *, outcome: str = "ok", **asked: Any) -> Call:
        """One call from beginning to end, answered with this text."""
        call = self.begin_call(messages, **asked)
        if outcome == "ok" and call.answer is not None:
            call.answer.add(Block("text", text=answer))
            self.assigner.answered(call)
        self.end_call(call, outcome)
        return call

    def units(self) -> dict[int, list[UnitStratum]]:
        """By era."""
        evidence = parse_evidence(self.store.document(1, 1.0, "", since="", units=True))
        return {each.generation: each.units for each in evidence.generations}


def arms(weight: int) -> list[Arm]:
    return [make_arm(STABLE, "stable", 10_000 - weight), make_arm(CANARY, "canary", weight)]


def tell(*processes: Process) -> None:
    """All tell all others what is new."""
    for one in processes:
        told = one.store.memory.outgoing()
        for other in processes:
            if other is not one:
                other.store.memory.learn(told)


@dataclass
class Speaker:
    """A conversation that goes on with any process."""

    name: str
    named: bool
    key: str = ""
    messages: list[dict[str, str]] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)

    def say(self, process: Process, outcome: str = "ok") -> Call:
        turn = len(self.messages)
        asked = [*self.messages, {"role": "user", "content": f"{self.name} asks {turn}"}]
        answer = f"{self.name} hears {turn}"
        call = process.call(asked, answer, outcome=outcome, session=self.name if self.named else "", key=self.key)
        self.revisions.append(call.revision)
        if outcome == "ok":
            self.messages = [*asked, {"role": "assistant", "content": answer}]
        return call
