"""Which conversation a call belongs to, and the arm that answers it.

Whatever the weights are now, a conversation stays on the arm that it began on. One without a name is found by the
answers that it quotes, as long as it matters: while there are several arms, and for a while afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from zlib import crc32

from multidict import MultiMapping

from claude_operator.api.gateway import BASIS_POINTS
from claude_operator.core.request.assignment import conversation_name, metadata_user_id, opening_name, user_name
from claude_operator.core.request.json_body import JsonObject
from claude_operator.core.request.quotes import Turns, count_turns, read_turns
from claude_operator.core.request.split import Split
from claude_operator.gateway import headers as names
from claude_operator.gateway.call import Call
from claude_operator.gateway.callers import Callers
from claude_operator.gateway.conversation_memory import BEFORE, Conversation, ConversationMemory, Drawn
from claude_operator.gateway.eras import Eras
from claude_operator.gateway.examples import Examples
from claude_operator.gateway.live_config import Choice, LiveConfig

__all__ = ["Asked", "Assigner"]

_ANY = 1 << 128


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says about who asks, in which conversation and whom."""

    fields: JsonObject
    session: str = ""
    user: str = ""
    """The header x-claude-user."""
    user_id: str = ""
    """`metadata.user_id`."""
    wanted: str = ""
    """The revision that it asks for."""

    @classmethod
    def of(cls, headers: MultiMapping[str], fields: JsonObject) -> Asked:
        """By a request's headers and body."""
        session, user, wanted = (headers.get(name, "") for name in (names.SESSION, names.USER, names.WANTED_REVISION))
        return cls(fields, session, user, metadata_user_id(fields) or "", wanted)


class Assigner:
    """Assigns the calls of one process. `draw(n)` gives a random number below n."""

    def __init__(
        self, memory: ConversationMemory, eras: Eras, callers: Callers, draw: Callable[[int], int] = random.randrange
    ) -> None:
        self._memory = memory
        self._eras = eras
        self._callers = callers
        self._examples = Examples()
        self._draw = draw

    def choose(self, live: LiveConfig, call: Call, asked: Asked) -> Choice | None:
        """The arm of a call, None where no revision may serve yet; the call then knows its conversation."""
        split = live.split
        if split is None:
            return None
        call.drawn = self._eras.drawn
        assigned = self._assign(split, live, call, asked)
        pinned = live.pinned(asked.wanted)
        if pinned and call.known is not None:
            if not call.turn:
                call.known.revision = pinned
            self._memory.leave_out(call.known, pinned)
        return Choice(live.arms[pinned or assigned], bool(pinned), bool(asked.wanted) and not pinned)

    def answered(self, call: Call) -> None:
        """Remember the answer of a conversation that has no name to be found by."""
        answer, known = call.answer, call.known
        if answer is None or known is None:
            return
        call.answer = None
        quote = answer.digest()
        if quote is not None:
            self._memory.keep(known)
            self._memory.quote(known, quote)

    def _assign(self, split: Split, live: LiveConfig, call: Call, asked: Asked) -> str:
        if split.unit == "Request":
            return self._begin(split, call)
        if split.unit == "User":
            return self._assign_user(split, live, call, asked)
        call.name_conversation(conversation_name(asked.session, asked.user_id))
        if call.conversation is None and self._eras.watches:
            return self._assign_quoting(split, live, call, asked)
        if call.conversation is None:
            call.name_conversation(opening_name(asked.fields, call.shown_key))
        if call.conversation is None:
            return self._begin(split, call)
        return self._assign_named(split, live, call, asked)

    def _assign_named(self, split: Split, live: LiveConfig, call: Call, asked: Asked) -> str:
        key = call.conversation or ""
        digest = live.assignment.digest(split.uid, key)
        known = self._memory.find(digest)
        turns = max(count_turns(asked.fields), call.continues_thread) if self._eras.watches else 0
        if turns and known is None and self._begins(live, call, read_turns(asked.fields)):
            turns = 0
        call.turn = max(turns, known.turns if known else 0)
        if known is None:
            revision, drawn, moved = (
                self._lost(split, call, key) if turns else (split.draw_name(key), call.drawn, False)
            )
            known = self._memory.make(digest, revision, drawn, moved=moved)
            self._keep(call, known)
        return self._continue(split, call, known)

    def _assign_quoting(self, split: Split, live: LiveConfig, call: Call, asked: Asked) -> str:
        """Find the conversation of a call without a name by what it quotes."""
        turns, base = read_turns(asked.fields), live.assignment.quoting(split.uid, call.shown_key)
        call.turn = max(turns.count, call.continues_thread)
        known = self._find_quoted(turns, base)
        if known is None and self._begins(live, call, turns):
            call.turn = 0
        if known is not None:
            revision = self._continue(split, call, known)
        elif not call.turn:
            revision = self._begin(split, call)
        else:
            key = opening_name(asked.fields, call.shown_key)
            call.name_conversation(key)
            revision, drawn, moved = self._lost(split, call, key or "")
            if not moved:
                return revision
            self._continue(split, call, self._memory.make(self._draw(_ANY), revision, drawn, moved=True))
        if call.known is not None and call.counted:
            call.conversation = f"conversation:{call.known.digest:032x}"
            call.answer = turns.answer(base)
        return revision

    def _begins(self, live: LiveConfig, call: Call, turns: Turns) -> bool:
        """Whether all the answers of a request are examples, as far as the last one tells."""
        if not turns.count or call.continues_thread:
            return not call.continues_thread
        last = next(turns.quotes(live.assignment.quoting(live.config.deployment.uid, call.shown_key)), None)
        if last is None:
            return False
        if call.counted and not call.claims_retry:
            self._examples.add(last, crc32(turns.question))
        return self._examples.has(last)

    def _find_quoted(self, turns: Turns, base: blake2b) -> Conversation | None:
        arm: str | None = None
        for quote in turns.quotes(base):
            found = self._memory.quoted(quote)
            if found is not None and found.conversation is not None:
                return found.conversation
            arm = found.revision if found is not None and not arm else arm
        if arm is None:
            return None
        # Several conversations had this answer. It is one of theirs, and nobody knows which; or where it was.
        return self._memory.make(self._draw(_ANY), arm or self._eras.home, BEFORE, moved=not arm)

    def _assign_user(self, split: Split, live: LiveConfig, call: Call, asked: Asked) -> str:
        """A user's arm is that of the present weights, and what is counted begins anew with them."""
        named = user_name(asked.user, asked.user_id) or conversation_name(asked.session, asked.user_id)
        call.name_conversation(named or opening_name(asked.fields, call.shown_key))
        if call.conversation is None:
            return self._begin(split, call)
        digest = live.assignment.digest(split.uid, f"{call.drawn.era}\0{call.conversation}")
        known = self._memory.find(digest)
        if known is None:
            known = self._memory.make(digest, split.draw_name(call.conversation), call.drawn)
            self._keep(call, known)
        call.turn = known.turns
        return self._continue(split, call, known)

    def _begin(self, split: Split, call: Call) -> str:
        """A conversation that nobody knows, unless its answer is quoted."""
        revision = split.draw(self._draw(BASIS_POINTS) if split.draws else 0)
        return self._continue(split, call, self._memory.make(self._draw(_ANY), revision, call.drawn))

    def _keep(self, call: Call, known: Conversation) -> None:
        """Know a conversation by its name from now on, or from when the upstream takes a key that is new."""
        call.is_known_by_name = call.counted
        if call.counted and (not call.callers or self._callers.identify(call.callers)):
            self._memory.keep(known)

    def _continue(self, split: Split, call: Call, known: Conversation) -> str:
        if known.revision not in split.served:
            self._memory.move(known, split.stable)
        if not split.is_single:
            self._memory.share(known)
        call.known, call.moved = known, known.moved
        return known.revision

    def _lost(self, split: Split, call: Call, key: str) -> tuple[str, Drawn, bool]:
        """Where a conversation is that began before and is not known, and whether it may have been elsewhere."""
        if not self._memory.is_complete:
            return split.draw_name(key), BEFORE, True
        home = self._eras.home
        if home not in split.served:
            return split.stable, BEFORE, True
        # A client that has renewed its key is a stranger, and its conversation may have been on any arm.
        return home, BEFORE, self._memory.forgot_some or bool(call.callers)
