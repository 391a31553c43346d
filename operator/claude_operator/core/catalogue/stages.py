"""How far a model is in its life: states in their order."""

from __future__ import annotations

from claude_operator.api.lifecycle import Stage
from claude_operator.core.catalogue.lifecycle import Lifecycle, LifecycleState

__all__ = ["has_reached"]

_RANK = {Lifecycle.LEGACY: 1, Lifecycle.DEPRECATED: 2, Lifecycle.RETIRED: 3}
_STAGES: dict[Stage, int] = {"Legacy": 1, "Deprecated": 2, "Retired": 3}


def has_reached(state: LifecycleState, stage: Stage) -> bool:
    """Whether a model is in this state or a later one; one that nothing is known of is not."""
    return _RANK.get(state.lifecycle, 0) >= _STAGES[stage]
