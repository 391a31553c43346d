"""The log line of a call. Never a prompt, an answer, a key or an e-mail."""

from __future__ import annotations

from typing import Any

from claude_operator.core.request.privacy import without_emails
from claude_operator.gateway.call import Call
from claude_operator.gateway.usage import loggable
from claude_operator.log import cut_text

__all__ = ["call_fields"]

_LONGEST = 256  # characters of a value that a client chose


def call_fields(call: Call) -> dict[str, Any]:
    """The fields of the line of an ended call."""
    deployment = call.live.config.deployment if call.live else None
    return {
        "request_id": _short(call.request_id),
        "method": call.method,
        "path": _short(call.path),
        "status": call.status,
        "outcome": call.outcome,
        "error": _short(call.error),
        "explanation": call.summary.explanation,
        "model": _short(call.answering_model),
        "stop_reason": _short(call.summary.stop_reason),
        "stream": call.stream,
        "usage": loggable(call.summary.usage) if call.summary.usage else None,
        "latency_ms": round(call.duration * 1e3, 3),
        "ttft_ms": round(call.ttft * 1e3, 3) if call.ttft else None,
        "overhead_ms": round(call.overhead * 1e3, 3) if call.overhead else None,
        "user_id": _short(call.user_id),
        "session_id": _short(call.session_id),
        "surface": call.surface,
        "subagent": _short(call.subagent),
        "deployment": f"{deployment.namespace}/{deployment.name}" if deployment else "",
        "revision": call.revision,
        "arm": call.role or "",
        "pinned": bool(call.choice and call.choice.pinned),
        "moved": call.moved,
        "turn": call.turn if call.known else None,
        "attempt": _short(call.attempt),
        "retry": call.is_retry,
        "config_generation": call.live.config.generation if call.live else None,
    }


def _short(value: str) -> str:
    """A client's or upstream's value, cut, without e-mail addresses and without what is not text."""
    return cut_text(without_emails(value[: 2 * _LONGEST]), _LONGEST)
