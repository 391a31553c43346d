"""Verdicts on samples, each counted once however often it is reported, and of a conversation one a revision."""

from __future__ import annotations

from collections import OrderedDict

from claude_operator.api.evidence import OTHER, Grade
from claude_operator.gateway.live_config import LiveConfig

__all__ = ["Verdicts"]

_KNOWN = 50_000  # verdicts that are known to have come


class Verdicts:
    """What one gateway process was told."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def count(self, live: LiveConfig, grade: Grade) -> str:
        """Count a verdict and return what it was counted as, empty where it had come before.

        It counts in the current generation, even if an earlier one answered: the judge counts by revision.
        """
        marks = [(grade.revision, f"id:{grade.id}")] if grade.id else []
        if grade.conversation and grade.passed is not None:
            marks.append((grade.revision, f"conversation:{grade.conversation}"))
        if any(mark in self._known for mark in marks):
            return ""
        self._known.update(dict.fromkeys(marks))
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        result = "unknown" if grade.passed is None else "pass" if grade.passed else "fail"
        surface = grade.surface if grade.surface in live.surfaces else OTHER
        role = live.arms[grade.revision].arm.role
        live.evidence.counters(grade.revision, role, surface, "none").grades[result] += 1
        return result
