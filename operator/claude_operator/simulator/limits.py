"""The rate-limit headers: what is left in the current minute. Only a scenario's rateLimitRate refuses requests."""

from __future__ import annotations

import datetime

__all__ = ["RateLimits"]

_LIMITS = {"requests": 60_000, "input-tokens": 20_000_000, "output-tokens": 4_000_000}


class RateLimits:
    """Counts of the current minute; `now` in seconds since the epoch."""

    def __init__(self) -> None:
        self._minute = 0
        self._used = dict.fromkeys(_LIMITS, 0)

    def add(self, now: float, *, requests: int = 0, input_tokens: int = 0, output_tokens: int = 0) -> None:
        """Add to the current minute."""
        self._start_minute(now)
        for name, amount in zip(_LIMITS, (requests, input_tokens, output_tokens), strict=True):
            self._used[name] += amount

    def headers(self, now: float, *, exhausted: bool = False) -> dict[str, str]:
        """The API's headers; `exhausted` with a 429."""
        self._start_minute(now)
        reset = datetime.datetime.fromtimestamp((self._minute + 1) * 60, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        left = {name: 0 if exhausted else max(0, limit - self._used[name]) for name, limit in _LIMITS.items()}
        left |= {name: round(value, -3) for name, value in left.items() if name != "requests"}
        limits = _LIMITS | {"tokens": _LIMITS["input-tokens"] + _LIMITS["output-tokens"]}
        left["tokens"] = left["input-tokens"] + left["output-tokens"]
        result: dict[str, str] = {}
        for name, limit in limits.items():
            start = f"anthropic-ratelimit-{name}"
            result |= {f"{start}-limit": str(limit), f"{start}-remaining": str(left[name]), f"{start}-reset": reset}
        return result

    def _start_minute(self, now: float) -> None:
        if int(now // 60) != self._minute:
            self._minute = int(now // 60)
            self._used = dict.fromkeys(_LIMITS, 0)
