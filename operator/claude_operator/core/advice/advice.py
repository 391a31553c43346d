"""One piece of advice, and what all of a ClaudeDeployment share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from claude_operator.core.advice.case import Case, Confidence

__all__ = ["LEAST_SAVED", "Advice", "Found", "gate_risk"]

LEAST_SAVED = 0.01
"""Dollars a day below which nothing is worth a word."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A change, what it would do, and what could get worse."""

    lever: str
    """SmallerModel, LowerEffort, Caching, Batches or Latency."""
    title: str
    arithmetic: tuple[str, ...]
    confidence: Confidence
    assumes: tuple[str, ...]
    risk: str
    patch: Mapping[str, Any]
    """A JSON merge patch of the ClaudeDeployment."""
    saves: float | None = None
    """Dollars a day; None where that is not known."""
    is_gated: bool = True
    """Whether it makes a new revision, which the eval gate and the canary see first."""


@dataclass(frozen=True, slots=True)
class Found:
    """Advice, and why there is not more of it."""

    advice: tuple[Advice, ...] = ()
    missing: tuple[str, ...] = ()
    lacks_data: bool = False
    """Whether there is too little to say anything."""


def gate_risk(case: Case, what: str) -> str:
    """What could get worse with a new revision, and what would see it."""
    evals = case.spec.evals
    if evals is None:
        gate = "spec.evals is not set, so only the canary would see it, and it sees no wrong answers: set evals first"
    elif evals.required:
        gate = f"the eval gate ({evals.set_ref.name}) has to pass first, and then the canary"
    else:
        gate = f"evals.required is false: the canary does not wait for {evals.set_ref.name}"
    return f"{what}: {gate}"
