"""Counts by rule and model, for `GET /-/stats`."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

__all__ = ["Stats"]


class Stats:
    """Requests to /v1/messages since the start or the last reset; what breaks the API's rules is under `invalid`."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin at zero."""
        self._counts: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._errors: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._tokens: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self._invalid: Counter[str] = Counter()

    def invalid(self, kind: str) -> None:
        """Count a request that broke a rule of the API."""
        self._invalid[kind] += 1

    def request(self, rule: str, model: str) -> None:
        """Count a request that a scenario's rule applies to."""
        self._counts[rule, model]["requests"] += 1

    def error(self, rule: str, model: str, kind: str) -> None:
        """Count the error of such a request."""
        self._counts[rule, model]["errors"] += 1
        self._errors[rule, model][kind] += 1

    def answer(self, rule: str, model: str, what: str) -> None:
        """Count an answer as one of `refusals`, `brokenStreams`, `right`, `wrong`."""
        self._counts[rule, model][what] += 1

    def usage(self, rule: str, model: str, usage: dict[str, Any]) -> None:
        """The tokens of an answer."""
        for name, value in usage.items():
            if isinstance(value, int):
                self._tokens[rule, model][name] += value

    def document(self) -> dict[str, Any]:
        """The counts as JSON data."""
        names = ("requests", "errors", "refusals", "brokenStreams", "right", "wrong")
        rows = []
        for key, counts in sorted(self._counts.items()):
            more = {"errorsByType": dict(self._errors[key]), "tokens": dict(self._tokens[key])}
            rows.append({"rule": key[0], "model": key[1], **{name: counts[name] for name in names}, **more})
        total = {name: sum(counts[name] for counts in self._counts.values()) for name in names}
        return {"total": total, "rules": rows, "invalid": dict(self._invalid)}
