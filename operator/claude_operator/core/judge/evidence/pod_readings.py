"""Looks at gateway pods, and which of them are believed to be what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from claude_operator.api.evidence import Evidence

__all__ = ["PodReading", "told_apart"]


@dataclass(frozen=True, slots=True)
class PodReading:
    """One look at one gateway pod. `evidence` is None where it did not answer, or is not to be believed."""

    pod: str
    ready: bool
    evidence: Evidence | None
    twins: tuple[str, ...] = ()
    """All pods that said that they are the same process, where that is why."""


def told_apart(readings: Sequence[PodReading]) -> list[PodReading]:
    """The readings, those of pods that say that they are one process without evidence: nobody knows whose it is.

    One of them may pose as the other, to have its counts left out. Where an address has changed hands between the
    listing and the look, the next look tells them apart.
    """
    pods: dict[str, set[str]] = {}
    for reading in readings:
        if reading.evidence:
            pods.setdefault(reading.evidence.boot_id, set()).add(reading.pod)
    twins = {name: tuple(sorted(names)) for names in pods.values() if len(names) > 1 for name in names}
    return [replace(one, evidence=None, twins=twins[one.pod]) if one.pod in twins else one for one in readings]
