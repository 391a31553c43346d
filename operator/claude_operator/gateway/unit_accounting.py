"""What is counted of a conversation when one of its calls ends, and whether it has to leave the canary."""

from __future__ import annotations

import random
from collections.abc import Mapping

from claude_operator.api.evidence import MOVED, PINNED, CacheState
from claude_operator.gateway.call import Call
from claude_operator.gateway.conversation_memory import Conversation
from claude_operator.gateway.evidence import EvidenceStore
from claude_operator.gateway.units import EraUnits, UnitKey, Values, count_unit, period_of, turn_bucket
from claude_operator.gateway.usage import cache_state

__all__ = ["UnitAccounting"]

_MARK = 1 << 32


class UnitAccounting:
    """The conversations of one process, as their calls end."""

    def __init__(self, store: EvidenceStore) -> None:
        self._memory = store.memory
        self._eras = store.eras

    def settle(self, call: Call) -> None:
        """Take a conversation off the canary that fails again and again; a retry is a failure too."""
        split, known = call.live.split if call.live else None, call.known
        if split is None or known is None or split.unit != "Conversation" or call.stratum == PINNED:
            return
        if call.outcome == "ok":
            self._memory.succeed(known)
        elif call.outcome == "error" and call.role == "canary" and known.revision == call.revision:
            failed = self._memory.fail(known, random.getrandbits(32))
            if split.rescue_after and failed >= split.rescue_after and split.stable != known.revision:
                self._memory.move(known, split.stable)

    def count(self, call: Call, kind: str, tokens: Mapping[str, int], cost: float | None) -> None:
        """Count a logical request for its conversation; `kind` says what is bad about it, `cost` is the steady one."""
        known, cache = call.known, cache_state(tokens)
        found = self._stratum(call, cache)
        if known is None or found is None or call.outcome not in ("ok", "error"):
            return
        counted = count_unit(*found, known.counted, _values(call, tokens, cost))
        if counted != known.counted:
            known.counted = counted
            self._memory.tell(known)
        stopped = call.summary.stop_reason if call.outcome == "ok" else ""
        for each in (kind, "tool_use" if stopped == "tool_use" else "", "cache_write" if cache == "write" else ""):
            if each:
                self.go_bad(call, each, cache)

    def go_bad(self, call: Call, kind: str, cache: CacheState = "none") -> None:
        """Count an event of this kind if it is the conversation's first, also of a call that has not ended."""
        known, found = call.known, self._stratum(call, cache)
        if known is None or found is None or self._was_bad(call, known, kind) or not self._memory.go_bad(known, kind):
            return
        units, key = found
        units.counters(key).first_bad[f"{kind}:{turn_bucket(call.turn)}"] += 1

    def _stratum(self, call: Call, cache: CacheState) -> tuple[EraUnits, UnitKey] | None:
        """Where a call's conversation counts, None where it does not."""
        known, role = call.known, call.role
        if known is None or role is None:
            return None
        surface = MOVED if call.moved and call.stratum != PINNED else call.stratum
        drawn = known.drawn if known.drawn.era or surface not in (MOVED, PINNED) else call.drawn
        units = self._eras.units(drawn)
        return None if units is None else (units, UnitKey(call.revision, role, surface, period_of(call.turn), cache))

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
    streamed = call.ended - call.first_content if call.first_content else 0.0
    return Values(call.ttft, call.duration, cost, output, streamed / (output - 1) if output > 1 else None)
