"""What is counted of a conversation when one of its calls ends, and whether it has to leave the canary."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from claude_operator.api.evidence import MOVED, PINNED, CacheState
from claude_operator.gateway.call import FEWEST_TOKENS, Call
from claude_operator.gateway.conversation_memory import Conversation, ConversationMemory
from claude_operator.gateway.eras import Eras
from claude_operator.gateway.hangs import HangLimits
from claude_operator.gateway.units import EraUnits, UnitKey, Values, count_unit, period_of, turn_bucket
from claude_operator.gateway.usage import cache_state

__all__ = ["FEWEST_TOKENS", "UnitAccounting"]

_Place = tuple[EraUnits, UnitKey]


class UnitAccounting:
    """The conversations of one process, as their calls end, or wait too long."""

    def __init__(self, memory: ConversationMemory, eras: Eras, limits: HangLimits) -> None:
        self._memory = memory
        self._eras = eras
        self._limits = limits

    def keep(self, call: Call) -> None:
        """Know a conversation by its name once the upstream has taken its client's key."""
        if call.is_known_by_name and call.known is not None and call.outcome in ("ok", "error"):
            call.known = self._memory.keep(call.known)

    def settle(self, call: Call) -> None:
        """Take a conversation off the canary that fails again and again; a retry is a failure too."""
        split, known = call.live.split if call.live else None, call.known
        if known is not None and call.outcome in ("ok", "error") and not call.is_retry:
            known.turns += 1
        if split is None or known is None or split.unit != "Conversation" or call.stratum == PINNED:
            return
        if call.outcome == "ok":
            self._memory.succeed(known)
        elif call.outcome == "error" and call.role == "canary" and known.revision == call.revision:
            failed = self._memory.fail(known, random.getrandbits(32))
            if split.rescue_after and failed >= split.rescue_after and split.stable != known.revision:
                self._memory.move(known, split.stable)

    def count(
        self, call: Call, kind: str, tokens: Mapping[str, int], cost: float | None, kept: bool | None = None
    ) -> None:
        """Count a logical request for its conversation.

        `kind` says what is bad about it, `cost` is the steady one, `kept` says whether it came in time.
        """
        if call.role == "stable" and call.outcome == "ok":
            self._limits.add(call.ttft if call.stream else call.duration, stream=call.stream)
        known, cache = call.known, cache_state(tokens)
        if known is None or call.outcome not in ("ok", "error", "overload", "canceled"):
            return
        place = self._place(call, known, cache)
        if place is None:
            return
        if call.outcome == "overload":
            self._count_bad(call, known, place, "overload")
            return
        if call.outcome in ("ok", "error"):
            counted = count_unit(*place, known.counted, _values(call, tokens, cost), kept)
            if counted != known.counted:
                known.counted = counted
                self._memory.tell(known)
            stopped = call.summary.stop_reason if call.outcome == "ok" else ""
            for each in (kind, "tool_use" if stopped == "tool_use" else "", "cache_write" if cache == "write" else ""):
                self._count_bad(call, known, place, each)
        # An answer in one piece that came after all is long, and may be wanted so.
        late = (call.stream or call.outcome != "ok") and call.waited > self._limits.of(stream=call.stream)
        if late and not call.hung:
            self._hang(call, known, place)

    def count_hung(self, calls: Iterable[Call]) -> None:
        """Count calls that still wait for their answer, longer than the limit."""
        for call in calls:
            known = call.known
            if known is None or call.is_retry or not call.is_evidence:
                continue
            place = self._place(call, known, "none")
            if place is not None:
                self._hang(call, known, place)

    def _hang(self, call: Call, known: Conversation, place: _Place) -> None:
        call.hung = True
        self._count_bad(call, known, place, "hung")

    def _count_bad(self, call: Call, known: Conversation, place: _Place, kind: str) -> None:
        """Count an event that is bad, where it is the first of its kind."""
        if kind and not self._was_bad(call, known, kind) and self._memory.go_bad(known, kind):
            units, key = place
            units.counters(key).first_bad[f"{kind}:{turn_bucket(call.turn)}"] += 1

    def _place(self, call: Call, known: Conversation, cache: CacheState) -> _Place | None:
        """Where a call counts; None where its conversation is of an era that is forgotten."""
        role = call.role
        if role is None:
            return None
        surface = MOVED if call.moved and call.stratum != PINNED else call.stratum
        drawn = known.drawn if known.drawn.era or surface not in (MOVED, PINNED) else call.drawn
        units = self._eras.units(drawn)
        if units is None:
            return None
        return units, UnitKey(call.revision, role, surface, period_of(call.turn), cache)

    def _was_bad(self, call: Call, known: Conversation, kind: str) -> bool:
        """Whether a user went bad in an earlier era of the same canary: its arm may be known by that."""
        live, drawn = call.live, known.drawn
        if live is None or live.split is None or live.split.unit != "User" or call.conversation is None:
            return False
        for earlier in self._eras.before(drawn):
            digest = live.assignment.digest(live.split.uid, f"{earlier.era}\0{call.conversation}")
            other = self._memory.find(digest)
            if other is not None and kind in other.bad:
                return True
        return False


def _values(call: Call, tokens: Mapping[str, int], cost: float | None) -> Values:
    """The quantities of a request; all but the first are those of complete answers."""
    if call.outcome != "ok":
        return Values(call.ttft)
    output = tokens["output"]
    return Values(call.ttft, call.duration, cost, output, call.time_per_output_token(output))
