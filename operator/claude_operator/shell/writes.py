"""What this process wrote of statuses, and what it could not write: known to later passes, by the owner's UID."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from claude_operator.core.spec.definitions import Definitions
from claude_operator.kube.errors import KubeError

__all__ = ["What", "Writes"]

What = Literal["config", "status", "child", "revision", "evalRun", "pass"]

_OWN = 16  # statuses of a ClaudeDeployment that are remembered; their events come within a second
_IN_A_ROW = 3  # failures of the server after which they are reported as a refusal is


@dataclass(slots=True)
class _Failure:
    """Writes of one kind that failed, without one in between that did not."""

    message: str
    times: int = 0
    reported: bool = False


class Writes:
    """Called in the loop of the passes, except `is_own`, which only reads and may be called in any thread."""

    def __init__(self) -> None:
        self._failures: dict[str, dict[What, _Failure]] = defaultdict(dict)
        self._own: dict[str, tuple[str, ...]] = {}
        self.definitions = Definitions()
        """What the cluster's CustomResourceDefinitions lack."""

    def failed(self, uid: str, what: What, error: KubeError) -> bool:
        """A write failed; True where this is to be reported, which it is once until one succeeds.

        A conflict or an object that went is for the next pass. A server that is away or busy is not a refusal; one that
        fails again and again, as it does where an admission webhook is down, is, and one that lacks a field.
        """
        if error.conflict or error.not_found or error.terminating or error.status in (0, 429):
            return False
        failure = self._failures[uid].setdefault(what, _Failure(""))
        lacking = self.definitions if error.undeclared else None
        failure.message, failure.times = lacking.sentence() if lacking else str(error), failure.times + 1
        if error.immutable:
            failure.message += ": somebody has set `immutable` on it. Delete it; the operator then makes it again"
        if failure.reported or (error.status >= 500 and failure.times < _IN_A_ROW and not error.undeclared):
            return False
        failure.reported = True
        return True

    def done(self, uid: str, what: What) -> None:
        """A write succeeded, or there is nothing to write any more."""
        self._failures[uid].pop(what, None)

    def refused(self, uid: str) -> dict[str, str]:
        """What cannot be written, and why."""
        return {what: one.message for what, one in self._failures.get(uid, {}).items() if one.reported}

    def own(self, uid: str, stored: Mapping[str, Any]) -> None:
        """A ClaudeDeployment as a write of its status by this process left it."""
        self._own[uid] = (*self._own.get(uid, ())[1 - _OWN :], str(stored["metadata"]["resourceVersion"]))

    def is_own(self, uid: str, version: str) -> bool:
        """Whether this process made that resourceVersion."""
        return version in self._own.get(uid, ())

    def forget(self, live: set[str]) -> None:
        """Drop what is known of owners that no longer exist; `live` are UIDs."""
        for known in (self._failures, self._own):
            for uid in known.keys() - live:
                known.pop(uid, None)
