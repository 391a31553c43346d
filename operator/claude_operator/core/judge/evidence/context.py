"""What surrounds a tick: the weight that is live, the bakes that wait, and what was known before the rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from claude_operator.api.gateway import Unit
from claude_operator.api.status import Offsets
from claude_operator.core.judge.evidence.sample import Values

__all__ = ["NO_CONTEXT", "Bake", "Context"]


@dataclass(frozen=True, slots=True)
class Bake:
    """A step that waits for evidence. `margin`: excess of bad requests that the weight after it does not stand."""

    step: int
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What surrounds a tick. `weight` in basis points, `generation` the config's that brought it."""

    weight: int = 0
    generation: int | None = None
    bakes: Sequence[Bake] = ()
    """The present one and the next: what is seen now speaks for later steps too."""
    history: Mapping[str, Values] = field(default_factory=dict)
    """Stable's values up to now by quantity, wanted while it has no edges yet."""
    offsets: Sequence[Offsets] = ()
    """How the canary's users differed before, by weight, where that was read now."""
    unit: Unit = "Conversation"
    """What is drawn."""
    price_ratio: float = 1.0
    """How many times as dear as stable's the canary's model is by the price lists."""


NO_CONTEXT = Context()
