"""Calls that a gateway logged, such that they can be found again: request ids and what the API said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from claude_operator.core.judge.kinds import Binary
from claude_operator.core.judge.metrics import KINDS, metric_of

__all__ = ["telling_calls"]

Call = dict[str, Any]

_MOST = 5
_FIELDS = {
    "time": "time",
    "requestId": "request_id",
    "status": "status",
    "outcome": "outcome",
    "error": "error",
    "explanation": "explanation",
    "stopReason": "stop_reason",
    "ttftMs": "ttft_ms",
    "latencyMs": "latency_ms",
    "sessionId": "session_id",
}


def telling_calls(log: str, *, revision: str, metric: str | None) -> list[Call]:
    """The revision's calls that count against it in a metric: bad ones, the newest first, or the largest values."""
    calls = [one for one in _calls(log) if one.get("revision") == revision and one.get("arm") in ("canary", "stable")]
    kind = KINDS.get(metric or "errors")
    if isinstance(kind, Binary):
        bad = (one for one in calls if kind.event and kind.event in (one.get("outcome"), one.get("stop_reason")))
        found = sorted(bad, key=lambda one: str(one.get("time")), reverse=True)
    else:
        value = _VALUES.get(metric_of(metric or ""), _no_value)
        found = sorted((one for one in calls if value(one) > 0.0), key=value, reverse=True)
    return [{name: one.get(field) for name, field in _FIELDS.items()} for one in found[:_MOST]]


def _calls(log: str) -> Iterator[Mapping[str, Any]]:
    for line in log.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and found.get("request_id"):
            yield found


def _field(name: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda call: _number(call.get(name))


def _output_tokens(call: Mapping[str, Any]) -> float:
    usage = call.get("usage")
    return _number(usage.get("output_tokens")) if isinstance(usage, dict) else 0.0


def _no_value(call: Mapping[str, Any]) -> float:
    return 0.0


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


_VALUES: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "timeToFirstToken": _field("ttft_ms"),
    "duration": _field("latency_ms"),
    "timePerOutputToken": _field("latency_ms"),
    "cost": _output_tokens,
    "outputTokens": _output_tokens,
}
