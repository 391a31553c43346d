"""What this process saw of the weights: since when they hold, and which conversations may be on which arm."""

from __future__ import annotations

from collections.abc import Callable

from claude_operator.api.evidence import GenerationEvidence
from claude_operator.api.gateway import BASIS_POINTS, GatewayConfig
from claude_operator.core.request.split import Split, split_of
from claude_operator.gateway.conversation_memory import BEFORE, ConversationMemory, Drawn
from claude_operator.gateway.units import EraUnits

__all__ = ["AFTERWARDS", "KEPT_ERAS", "Eras"]

KEPT_ERAS = 10
AFTERWARDS = 3600.0  # seconds that conversations of several arms are told apart after all are on one


class Eras:
    """The eras of one process. `drawn` is what a conversation belongs to that begins now."""

    def __init__(self, clock: Callable[[], float], memory: ConversationMemory) -> None:
        self.drawn = BEFORE
        self.home = ""
        """The arm of conversations that are not known, if all are known that began on another."""
        self._clock = clock
        self._memory = memory
        self._weights: dict[str, int] = {}
        self._split: Split | None = None
        self._units: dict[Drawn, EraUnits] = {}
        self._several = False
        self._until = 0.0

    @property
    def watches(self) -> bool:
        """Whether it matters which arm a conversation is on: there are several, or were a short time ago."""
        if self._several or not self._until:
            return self._several
        if self._clock() < self._until:
            return True
        self._end_watch()
        return False

    def enter(self, config: GatewayConfig) -> None:
        """Take in the config that is served from now on."""
        split = split_of(config)
        # A former arm comes and goes without a conversation being drawn otherwise.
        weights = {arm.revision: arm.weight for arm in config.arms if arm.role != "former"}
        if split is None:
            return
        self._split = split
        if weights != self._weights:
            self._weights = weights
            self.drawn = Drawn(config.generation, split.canary, split.weight)
            self._begin(self.drawn, weights)
        self._follow(split)

    def units(self, drawn: Drawn) -> EraUnits | None:
        """Where conversations of an era count, None where nothing is known of it."""
        if not drawn.era:
            return None
        found = self._units.get(drawn)
        if found is None:  # another process drew them
            found = self._begin(drawn, self._weights_of(drawn))
        return found

    def before(self, drawn: Drawn) -> list[Drawn]:
        """The eras of the same canary before one."""
        return [each for each in self._units if each.canary == drawn.canary and each.era < drawn.era]

    def evidence(self, generations: list[GenerationEvidence]) -> list[GenerationEvidence]:
        """The generations with the conversations of the last canary's eras and of those after it, in order."""
        counted = {each.generation: each for each in generations}
        last = max((drawn for drawn in self._units if drawn.canary), default=BEFORE)
        for drawn, units in self._units.items():
            if drawn.canary == last.canary or drawn > last:  # those of earlier canaries tell nothing any more
                counted[units.era] = units.evidence(counted.get(units.era))
        return [counted[number] for number in sorted(counted)]

    def _begin(self, drawn: Drawn, weights: dict[str, int] | None) -> EraUnits:
        """The units of an era, which go on where it comes back; of two with one number the later one holds."""
        begun = self._units.pop(drawn, None) or EraUnits(drawn.era, weights)
        self._units = {known: units for known, units in self._units.items() if known.era != drawn.era}
        self._units[drawn] = begun
        while len(self._units) > KEPT_ERAS:
            del self._units[min(self._units)]
        return begun

    def _weights_of(self, drawn: Drawn) -> dict[str, int] | None:
        """The weights of an era that this process did not see, as far as they are known."""
        if not drawn.canary:
            return None
        split, rest = self._split, BASIS_POINTS - drawn.weight
        if split is not None and drawn.canary == split.canary:
            return {drawn.canary: drawn.weight, split.stable: rest}
        if split is not None and drawn.canary == split.stable and split.former:  # it was promoted since
            return {drawn.canary: drawn.weight, split.former: rest}
        return {drawn.canary: drawn.weight}

    def _follow(self, split: Split) -> None:
        first, several = not self.home, not split.is_single
        if first and several:
            self._memory.is_complete = False
        is_moving = not (first or self._until or self.home in split.served)
        if not several and (self._several or is_moving):
            self._until = self._clock() + AFTERWARDS
        if split.former or first or not (several or self.watches):
            self.home = split.home
        # A user who is not known is drawn as before, so it does not matter who is forgotten.
        self._memory.live_at(self.home if split.unit == "Conversation" else "")
        self._several = several

    def _end_watch(self) -> None:
        self._until = 0.0
        self.home = next((revision for revision, weight in self._weights.items() if weight), self.home)
        self._memory.live_at(self.home)
        self._memory.forgot_some = False  # all are on one arm
        self._memory.complete()
