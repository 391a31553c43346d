"""Message threads: the API stores a conversation, so that a request needs to contain only its new messages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from claude_operator.simulator.errors import ApiError, of_status
from claude_operator.simulator.request import Request
from claude_operator.simulator.stream import Message

__all__ = ["Threads"]

_BETA = "message-threads-"
_TTL_SECONDS = 300.0  # after a thread's last answer
_INHERITED = ("system", "tools")  # taken from the request that created the thread; no other may send them
_FIXED = ("model", "output_config")  # the same in every request of a thread
_MAX_THREADS = 10_000  # answers that are stored


@dataclass(slots=True)
class _StoredThread:
    """A conversation up to an answer."""

    fields: dict[str, Any]
    messages: list[Any]
    until: float
    continued: bool = False


class Threads:
    """The conversations by the id of their last answer."""

    def __init__(self) -> None:
        self._threads: dict[str, _StoredThread] = {}

    def expand(self, request: Request, now: float) -> Request:
        """The request with its thread's earlier messages; raises ApiError where it cannot continue the thread."""
        thread = request.body.get("thread")
        if thread is None or not request.has_beta(_BETA):  # without its beta the field is one too many
            return request
        kind = thread.get("type") if isinstance(thread, dict) else None
        if kind not in ("create", "continue"):
            raise of_status(400, "thread.type: Input should be 'create' or 'continue'")
        if "context_management" in request.body:
            raise _error(400, "thread_unsupported_request", "thread: not supported together with context_management")
        if kind == "create":
            return request
        stored = self._find(thread.get("previous_message_id"), now)
        repeated = [name for name in _INHERITED if name in request.body]
        if repeated:
            raise of_status(
                400, f"{repeated[0]}: not permitted in a request that continues a thread, which keeps its own"
            )
        differing = [name for name in _FIXED if request.body.get(name) != stored.fields.get(name)]
        if differing:
            message = f"thread: differing fields: {', '.join(differing)}"
            raise _error(400, "thread_fingerprint_mismatch", message)
        messages = request.body.get("messages")
        if not isinstance(messages, list):
            return request
        kept = {name: stored.fields[name] for name in _INHERITED if name in stored.fields}
        return replace(request, body={**kept, **request.body, "messages": [*stored.messages, *messages]})

    def store(self, complete: Request, message: Message, now: float) -> None:
        """Store the conversation up to an answer; `complete` is its request with all earlier messages."""
        thread = complete.body.get("thread")
        if thread is None:
            return
        before = self._threads.get(str(thread.get("previous_message_id")))
        if before is not None:
            before.continued = True
        fields = {name: complete.body[name] for name in (*_INHERITED, *_FIXED) if name in complete.body}
        messages = [*complete.body["messages"], {"role": "assistant", "content": message.content}]
        self._threads[message.id] = _StoredThread(fields, messages, now + _TTL_SECONDS)
        if len(self._threads) > _MAX_THREADS:
            del self._threads[next(iter(self._threads))]

    def _find(self, message_id: object, now: float) -> _StoredThread:
        stored = self._threads.get(message_id) if isinstance(message_id, str) else None
        if stored is None or stored.until < now:
            raise _error(404, "thread_not_found", "thread: no thread is stored for previous_message_id")
        if stored.continued:
            raise _error(400, "thread_already_continued", "thread: the response has already been continued")
        return stored


def _error(status: int, code: str, message: str) -> ApiError:
    error = of_status(status, message)
    error.code = code
    return error
