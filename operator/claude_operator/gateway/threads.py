"""Message threads stay on the revision that they began on: the API keeps its system prompt and tools for them.

A process knows the threads that began in it, by the ids of their responses. When two revisions are served, the client
of any other thread gets an error that makes it send the whole conversation again. Clients of threads must be able to do
so anyway, for when the API has dropped a thread.
"""

from __future__ import annotations

from typing import NamedTuple

from claude_operator.core.request.split import is_served
from claude_operator.gateway.call import Call
from claude_operator.gateway.conversation_memory import Conversation
from claude_operator.gateway.errors import Refused
from claude_operator.gateway.live_config import Choice, LiveConfig

__all__ = ["THREAD", "Threads", "thread_not_found"]

THREAD = "thread:"
"""How the key of a conversation begins that is known by its thread alone."""

_LONGEST_ID = 256  # characters
_LIMIT = 20_000  # responses; the API forgets a thread five minutes after its last


class _ThreadOrigin(NamedTuple):
    revision: str
    conversation: str | None
    known: Conversation | None


class Threads:
    """The threads of one process."""

    def __init__(self) -> None:
        self._origins: dict[str, _ThreadOrigin] = {}

    def remember(self, call: Call) -> None:
        """Remember where a response of a thread came from, once its id is known."""
        message_id = call.summary.message_id
        if call.thread is None or not 0 < len(message_id) <= _LONGEST_ID or message_id in self._origins:
            return
        if call.conversation is None:
            call.name_conversation(THREAD + message_id)
        self._origins[message_id] = _ThreadOrigin(call.revision, call.conversation, call.known)
        if len(self._origins) > _LIMIT:
            del self._origins[next(iter(self._origins))]

    def choose_arm(self, live: LiveConfig, call: Call, choice: Choice) -> Choice:
        """The arm of a call that continues a thread: the one that the thread began on.

        Raises Refused when that arm is no longer served, or when this process does not know it.
        """
        origin = self._origins.get(call.thread.previous_message_id) if call.thread else None
        if origin is None:
            call.continues_unknown_thread = True
            if choice.pinned or live.split is None or live.split.is_single:
                return choice
            raise thread_not_found()
        if not call.is_named:
            call.conversation, call.known = origin.conversation, origin.known
            if origin.known is not None:
                call.turn = max(call.turn, origin.known.turns)
        if origin.revision == choice.arm.arm.revision:
            return choice
        arm = live.arms.get(origin.revision)
        if arm is None or not is_served(arm.arm):
            raise thread_not_found()
        if call.known is not None and call.known.revision != origin.revision:
            call.moved = call.known.moved = True  # this request is on another arm than its conversation
        return Choice(arm, choice.pinned, choice.pinned or choice.refused_pin)


def thread_not_found() -> Refused:
    """The API's error for a thread that it has dropped; clients then replay the conversation as a new one."""
    message = (
        "No usable thread was found for previous_message_id on the revisions being served: replay the full"
        ' conversation with `thread: {"type": "create"}`.'
    )
    refused = Refused(404, "not_found_error", message)
    refused.code = "thread_not_found"
    return refused
