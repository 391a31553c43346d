"""Errors of calls to the API server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

__all__ = ["KubeError", "unreachable"]

_LONGEST = 1024  # characters of the server's message, which may quote what was sent


class KubeError(Exception):
    """The API server refused a call (`status` 4xx or 5xx), did not answer with JSON, or is unreachable (`status` 0)."""

    def __init__(
        self, status: int, reason: str, message: str, *, retry_after: float | None = None, terminating: bool = False
    ) -> None:
        super().__init__(f"{message} ({status} {reason})" if status else message)
        self.status, self.reason, self.message, self.retry_after = status, reason, message, retry_after
        self.terminating = terminating
        """The namespace is being deleted, or is gone: nothing can be made in it."""

    @property
    def conflict(self) -> bool:
        """Somebody else wrote first, or the name is taken (409)."""
        return self.status == 409

    @property
    def not_found(self) -> bool:
        """No such object, or no such resource type (404)."""
        return self.status == 404

    @property
    def undeclared(self) -> bool:
        """A field that the kind's schema does not have: the CustomResourceDefinition is older than the operator."""
        return "field not declared in schema" in self.message

    @property
    def immutable(self) -> bool:
        """Somebody has set `immutable` on a ConfigMap or Secret: nobody can change it any more."""
        return "is immutable when `immutable` is set" in self.message

    @property
    def gone(self) -> bool:
        """The continue token or resourceVersion is too old (410)."""
        return self.status == 410


def unreachable(host: str, error: BaseException) -> KubeError:
    """No answer came."""
    cause = "no answer in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}".rstrip(": ")
    return KubeError(0, "Unreachable", f"the Kubernetes API at {host} cannot be reached: {cause}")


def parse(data: bytes, *, call: str, host: str, status: int, phrase: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """An answer's object; raises `KubeError` for status 400 and up and for what is not a JSON object, never quoted."""
    answer = _object(data)
    if status >= 400:
        known = answer or {}
        message = str(known.get("message") or f"{call} failed")[:_LONGEST]
        raise KubeError(
            status,
            str(known.get("reason") or phrase),
            message,
            retry_after=_seconds(headers),
            terminating=_is_terminating(status, known.get("details")),
        )
    if answer is None:
        message = f"{call} was not answered with a JSON object: is {host} the address of a Kubernetes API server?"
        raise KubeError(status, "NotJSON", message)
    return answer


def _is_terminating(status: int, details: object) -> bool:
    if not isinstance(details, dict):
        return False
    if status == 404:
        return details.get("kind") == "namespaces"
    causes = details.get("causes") or ()
    return any(isinstance(one, dict) and one.get("reason") == "NamespaceTerminating" for one in causes)


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        return max(float(headers.get("Retry-After", "")), 0.0)
    except ValueError:  # a date, or nothing
        return None
