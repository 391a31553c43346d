"""Which arm a conversation is on: where it is drawn, and where it may stay."""

from __future__ import annotations

from dataclasses import dataclass

from claude_operator.api.gateway import BASIS_POINTS, Arm, Assigning, GatewayConfig, Unit
from claude_operator.core.request.assignment import in_canary

__all__ = ["Split", "is_served", "split_of"]


@dataclass(frozen=True, slots=True)
class Split:
    """How a config divides conversations. Revisions are empty where there is no such arm."""

    uid: str
    stable: str
    """Where conversations go that cannot stay: the arm that has no canary's risk."""
    canary: str
    """The canary while it has weight."""
    weight: int
    former: str
    served: frozenset[str]
    """The arms that conversations may be on."""
    unit: Unit
    rescue_after: int

    @property
    def is_single(self) -> bool:
        """Whether all are on one arm."""
        return len(self.served) < 2

    @property
    def home(self) -> str:
        """Where conversations are that began before any other arm was there."""
        return self.former or self.stable

    @property
    def draws(self) -> bool:
        """Whether new conversations are drawn by chance."""
        return bool(self.canary) and 0 < self.weight < BASIS_POINTS

    def draw_name(self, key: str) -> str:
        """The arm that a key draws; the same in every process."""
        if not self.draws:
            return self._all
        return self.canary if in_canary(self.uid, key, self.canary, self.weight) else self.stable

    def draw(self, number: int) -> str:
        """The arm that a number drawn from 0 to 9999 gives."""
        if not self.draws:
            return self._all
        return self.canary if number < self.weight else self.stable

    @property
    def _all(self) -> str:
        """The arm of all new conversations."""
        return self.canary if self.canary and self.weight == BASIS_POINTS else self.stable


def split_of(config: GatewayConfig) -> Split | None:
    """How a config divides conversations, None while nothing may serve."""
    if not config.arms:
        return None
    canary, former = config.arm("canary"), config.arm("former")
    live_canary = canary if canary is not None and canary.weight else None
    stable = config.arm("stable") or live_canary or config.arms[0]
    assigning = config.assignment if isinstance(config.assignment, Assigning) else Assigning()
    return Split(
        config.deployment.uid,
        stable.revision,
        live_canary.revision if live_canary else "",
        live_canary.weight if live_canary else 0,
        former.revision if former else "",
        frozenset(arm.revision for arm in config.arms if is_served(arm)) or frozenset((stable.revision,)),
        assigning.unit,
        assigning.rescue_after,
    )


def is_served(arm: Arm) -> bool:
    """Whether a conversation may stay on an arm: never on a canary whose traffic was taken back."""
    return arm.weight > 0 or arm.role != "canary"
