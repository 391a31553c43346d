"""The arms of a run, made ready to be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from claude_operator.api.deployment import McpCalls
from claude_operator.api.gateway import Arm
from claude_operator.core.catalogue.checks.check import takes
from claude_operator.core.evals.outside import without_calls
from claude_operator.core.request.compose import PreparedArm, prepare

__all__ = ["Arms", "arms_of", "made_ready"]


@dataclass(frozen=True, slots=True)
class Arms:
    """What is evaluated, and what it is compared with; `left_out` names what both are asked without."""

    candidate: PreparedArm
    baseline: PreparedArm | None = None
    left_out: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[PreparedArm, ...]:
        """The candidate first."""
        return (self.candidate,) if self.baseline is None else (self.candidate, self.baseline)


def arms_of(served: Sequence[Arm], mcp: McpCalls | None, env: Mapping[str, str]) -> Arms:
    """The candidate and, where there is one, the baseline, as they are served, `mcp` as `spec.evals.mcp` has it.

    Raises ValueError for a `$(NAME)` that has no value in `env`.
    """
    (candidate, left_out), *others = (made_ready(arm, mcp, env) for arm in served)
    baseline, besides = others[0] if others else (None, ())
    return Arms(candidate, baseline, tuple(dict.fromkeys((*left_out, *besides))))


def made_ready(arm: Arm, mcp: McpCalls | None, env: Mapping[str, str]) -> tuple[PreparedArm, tuple[str, ...]]:
    """An arm ready to be asked, and the names of what it is asked without."""
    bare, left_out = without_calls(arm) if mcp == "Off" else (arm, ())
    return prepare(bare, env, takes), left_out
