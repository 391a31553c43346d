"""The gateway's own errors, in the API's envelope.

Refused            the gateway itself refuses the request
UpstreamFailed     no answer, or one that broke off
  UpstreamTimeout  connecting, a silence or the whole answer took too long
ClientGone         the client closed its connection
"""

from __future__ import annotations

import secrets

import msgspec

from claude_operator.api.gateway import BODY_LIMIT

__all__ = [
    "ClientGone",
    "Refused",
    "UpstreamFailed",
    "UpstreamTimeout",
    "envelope",
    "error_event",
    "new_request_id",
    "too_large",
]


_LASTING = frozenset((400, 401, 403, 404, 413, 431))


class Refused(Exception):  # noqa: N818  (an answer, not a fault)
    """Answered by the gateway itself with `status` and the API's `error.type`; `retry_after` in seconds, 0 for none.

    `retry` False says that the same request will be refused again until a person has changed something, or for longer
    than a client should wait.
    """

    code: str = ""
    """`error.details.error_code`, empty for none."""

    def __init__(self, status: int, kind: str, message: str, retry_after: int = 0, *, retry: bool = True) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.retry = retry and status not in _LASTING
        self.status = status
        self.kind = kind
        self.message = message

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that tell an SDK or Claude Code when to retry, or not to."""
        after = [("retry-after", str(self.retry_after))] if self.retry_after else []
        return after if self.retry else [*after, ("x-should-retry", "false")]


class UpstreamFailed(Exception):  # noqa: N818
    """The upstream gave no answer, or one that broke off. The message quotes nothing from the exchange."""

    status = 502
    kind = "api_error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UpstreamTimeout(UpstreamFailed):
    """One of the config's timeouts ran out."""

    status = 504
    kind = "timeout_error"


class ClientGone(Exception):  # noqa: N818
    """The client has closed its connection."""


def new_request_id() -> str:
    """An id in the API's form for an answer that the gateway gives itself."""
    return f"req_{secrets.token_hex(12)}"


def envelope(kind: str, message: str, request_id: str, code: str = "") -> bytes:
    """The API's error body; `code` is that of its details."""
    error: dict[str, object] = {"type": kind, "message": message}
    if code:
        error["details"] = {"error_code": code}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def error_event(kind: str, message: str, request_id: str) -> bytes:
    """The same as the last event of a stream."""
    return b"event: error\ndata: " + envelope(kind, message, request_id) + b"\n\n"


def too_large(size: int, composed: int, revision: str) -> Refused:
    """The answer to a request that its revision, of which clients may not know the name, makes too large."""
    named = f"revision {revision}" if revision else "the revision"
    return Refused(
        413,
        "request_too_large",
        f"the request has {size} bytes and {named} adds {composed - size}: send at least"
        f" {composed - BODY_LIMIT} bytes less, since the API accepts {BODY_LIMIT}",
    )
