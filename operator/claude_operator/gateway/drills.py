"""Drills: a few requests are failed on purpose, so that the operator has a rollback to rehearse.

Each request is drawn by itself: no conversation is assigned to the arm that fails, and none is moved. What failed
counts as the request of a canary with the drill's own name, and nowhere else: not for conversations, not in usage, not
in latency budgets. A process keeps to its bound in requests and in time whatever becomes of the operator.

In a rehearsal the process makes the requests up. They are composed with the revision that serves, and go nowhere.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from claude_operator.api.evidence import OTHER, DrillNote
from claude_operator.api.gateway import BASIS_POINTS, Fault, GatewayConfig, Role
from claude_operator.core.request.compose import compose
from claude_operator.gateway.call import Call
from claude_operator.gateway.errors import UpstreamFailed
from claude_operator.gateway.generation import Generation
from claude_operator.gateway.live_config import LiveConfig

__all__ = ["Drills", "RehearsedFault"]

_MADE_UP = {"messages": msgspec.Raw(b'[{"role":"user","content":"A rehearsal: nobody asks this."}]')}
_PACE = 10  # made-up requests at a time
_KEPT = 8  # drills that are remembered, so that one that comes back does not begin again


class RehearsedFault(UpstreamFailed):
    """A failure that a drill asks for; in all but its text it is like one of the upstream."""

    status = 500
    kind = "api_error"

    def __init__(self) -> None:
        super().__init__("claude-operator fails this request on purpose, to rehearse a rollback: try again")


class _Drill:
    __slots__ = ("failed", "first", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.failed = 0
        self.first: float | None = None


class Drills:
    """Those of one process. `clock` gives monotonic seconds, `draw(n)` a random number below n."""

    def __init__(self, boot_id: str, clock: Callable[[], float], draw: Callable[[int], int] = random.randrange) -> None:
        self._boot, self._clock, self._draw = boot_id, clock, draw
        self._known: OrderedDict[str, _Drill] = OrderedDict()
        self._fault: Fault | None = None

    def enter(self, config: GatewayConfig) -> None:
        """Take in the config that is served from now on."""
        self._fault = config.drill or None
        if self._fault is not None:
            self._known.setdefault(self._fault.id, _Drill(self._clock()))
            self._known.move_to_end(self._fault.id)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)

    def strikes(self, call: Call) -> bool:
        """Whether a call that is about to go upstream fails instead; then it counts for the drill.

        Never one that its client sends again, or that chose its revision: a client that tries again is answered.
        """
        fault = self._fault
        if fault is None or fault.mode != "Live" or not _is_eligible(call) or not self._may_fail(fault):
            return False
        if self._draw(BASIS_POINTS) >= fault.weight:
            return False
        self._fail(fault)
        # Nothing is known of its conversation: it is on stable as it was.
        call.drill, call.known, call.conversation = fault.id, None, None
        return True

    def make_up(self, live: LiveConfig) -> None:
        """The requests of a second of a rehearsal, as far as one is under way."""
        fault, stable = self._fault, live.config.arm("stable")
        if fault is None or fault.mode != "Rehearsal" or stable is None or not self._in_time(fault):
            return
        for _ in range(_PACE):
            compose(live.arms[stable.revision], _MADE_UP)
            if self._draw(BASIS_POINTS) >= fault.weight:
                _count(live.evidence, fault.well, "stable", "ok")
            elif self._may_fail(fault):
                self._fail(fault)
                _count(live.evidence, fault.id, "canary", "error")

    def _fail(self, fault: Fault) -> None:
        known = self._known[fault.id]
        known.failed += 1
        if known.first is None:
            known.first = self._clock()

    def note(self) -> DrillNote:
        """What the operator is told."""
        last = self._fault.id if self._fault is not None else next(reversed(self._known), "")
        known = self._known.get(last)
        if known is None:
            return DrillNote()
        first = None if known.first is None else max(self._clock() - known.first, 0.0)
        return DrillNote(self._fault.id if self._fault is not None else "", last, known.failed, first)

    def _may_fail(self, fault: Fault) -> bool:
        return self._in_time(fault) and self._known[fault.id].failed < fault.allowed.get(self._boot, 0)

    def _in_time(self, fault: Fault) -> bool:
        return self._clock() - self._known[fault.id].since < fault.seconds


def _count(evidence: Generation, name: str, role: Role, outcome: str) -> None:
    counters = evidence.counters(name, role, OTHER, "none")
    counters.add(outcome, stop_reason="", tokens={}, ttft=None, duration=0.0, cost=None)
    counters.conversations += 1
    if outcome == "error":
        counters.bad_conversations[outcome] += 1


def _is_eligible(call: Call) -> bool:
    pinned = call.choice is not None and call.choice.pinned
    again = call.claims_retry or call.continues_thread
    return call.counted and call.role == "stable" and not (pinned or again or call.warms_cache)
