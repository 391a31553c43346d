"""One look at the usage pages of a ClaudeDeployment's gateways."""

from __future__ import annotations

from dataclasses import dataclass

from claude_operator.api.usage import Usage

__all__ = ["READ_EVERY", "PodUsage", "UsageReading"]

READ_EVERY = 60.0
"""Seconds between two readings while calls come, unless the operator is told another number."""


@dataclass(frozen=True, slots=True)
class PodUsage:
    """What one pod has told."""

    pod: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class UsageReading:
    """The pages that were read. Pods that were not asked, or did not answer, have none."""

    pages: tuple[PodUsage, ...] = ()
    present: frozenset[str] = frozenset()
    """All pods that there are, whatever they told. One that is not among them has ended for good."""
