"""Message threads: what the API holds of a conversation, so that a request needs to bring its new messages only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from claude_operator.simulator.errors import ApiError, of_status
from claude_operator.simulator.request import Request
from claude_operator.simulator.stream import Message

__all__ = ["Threads"]

_BETA = "message-threads-"
_SECONDS = 300.0  # that a thread is held after its last answer
_KEPT = ("system", "tools")  # taken from the request that created the thread; no other may send them
_FIXED = ("model", "output_config")  # the same in every request of a thread
_MOST = 10_000  # answers that are held


@dataclass(slots=True)
class _Held:
    """A conversation up to an answer."""

    fields: dict[str, Any]
    messages: list[Any]
    until: float
    continued: bool = False


class Threads:
    """The conversations by the id of the answer that they end with."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def whole(self, request: Request, now: float) -> Request:
        """The request with all that its thread holds; raises ApiError where it cannot go on from there."""
        thread = request.body.get("thread")
        if thread is None or not request.has_beta(_BETA):  # without its beta the field is one too many
            return request
        kind = thread.get("type") if isinstance(thread, dict) else None
        if kind not in ("create", "continue"):
            raise of_status(400, "thread.type: Input should be 'create' or 'continue'")
        if "context_management" in request.body:
            raise _refused(400, "thread_unsupported_request", "thread: not supported together with context_management")
        if kind == "create":
            return request
        held = self._found(thread.get("previous_message_id"), now)
        repeated = [name for name in _KEPT if name in request.body]
        if repeated:
            raise of_status(
                400, f"{repeated[0]}: not permitted in a request that continues a thread, which keeps its own"
            )
        differing = [name for name in _FIXED if request.body.get(name) != held.fields.get(name)]
        if differing:
            message = f"thread: differing fields: {', '.join(differing)}"
            raise _refused(400, "thread_fingerprint_mismatch", message)
        messages = request.body.get("messages")
        if not isinstance(messages, list):
            return request
        kept = {name: held.fields[name] for name in _KEPT if name in held.fields}
        return replace(request, body={**kept, **request.body, "messages": [*held.messages, *messages]})

    def keep(self, whole: Request, message: Message, now: float) -> None:
        """Hold the conversation up to an answer; `whole` is its request with all that came before."""
        thread = whole.body.get("thread")
        if thread is None:
            return
        before = self._held.get(str(thread.get("previous_message_id")))
        if before is not None:
            before.continued = True
        fields = {name: whole.body[name] for name in (*_KEPT, *_FIXED) if name in whole.body}
        messages = [*whole.body["messages"], {"role": "assistant", "content": message.content}]
        self._held[message.id] = _Held(fields, messages, now + _SECONDS)
        if len(self._held) > _MOST:
            del self._held[next(iter(self._held))]

    def _found(self, message_id: object, now: float) -> _Held:
        held = self._held.get(message_id) if isinstance(message_id, str) else None
        if held is None or held.until < now:
            raise _refused(404, "thread_not_found", "thread: nothing is held for previous_message_id")
        if held.continued:
            raise _refused(400, "thread_already_continued", "thread: the response has already been continued")
        return held


def _refused(status: int, code: str, message: str) -> ApiError:
    error = of_status(status, message)
    error.code = code
    return error
