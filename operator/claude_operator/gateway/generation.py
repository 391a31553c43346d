"""What is counted under one config generation."""

from __future__ import annotations

from claude_operator.api.gateway import CacheState, GenerationEvidence, Role, Stratum
from claude_operator.gateway.cell import Cell
from claude_operator.gateway.conversations import Conversations

__all__ = ["Generation"]


class Generation:
    """What is counted for requests that began under one config generation."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.conversations = Conversations()
        self._cells: dict[tuple[str, Role, str, CacheState], Cell] = {}
        self._wired: dict[tuple[str, Role, str, CacheState], Stratum] = {}  # those that nobody touched since
        self._whole: GenerationEvidence | None = None

    def cell(self, revision: str, role: Role, surface: str, cache: CacheState) -> Cell:
        """The counters of an arm and stratum, to be counted in at once and not to be kept."""
        key = (revision, role, surface, cache)
        self._wired.pop(key, None)
        self._whole = None
        cell = self._cells.get(key)
        if cell is None:
            cell = self._cells[key] = Cell()
        return cell

    def wire(self) -> GenerationEvidence:
        """As it travels. What did not change since the last time is the same object."""
        if self._whole is None:
            for key, cell in self._cells.items():
                if key not in self._wired:
                    self._wired[key] = Stratum(*key, cell.wire())
            self._whole = GenerationEvidence(self.number, [self._wired[key] for key in self._cells])
        return self._whole
