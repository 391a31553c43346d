"""Readings of the evidence that this process remembers, so that a new leader can continue from its predecessor's."""

from __future__ import annotations

from collections import OrderedDict

from claude_operator.api.evidence import Before, GenerationEvidence

__all__ = ["KEPT", "Readings"]

KEPT = 32


class Readings:
    """The last `KEPT` readings; the least recently used is dropped first. They share what did not change."""

    def __init__(self, boot_id: str) -> None:
        self._boot_id = boot_id
        self._taken = 0
        self._kept: OrderedDict[int, Before] = OrderedDict()

    def keep(self, uptime: float, generations: list[GenerationEvidence], bad_count: int) -> int:
        """Remember a reading; returns its number, counted from 1."""
        self._taken += 1
        self._kept[self._taken] = Before(self._taken, uptime, generations, bad_count)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._taken

    def find(self, since: str) -> Before | None:
        """The reading `<boot id>.<number>`, None where it is another process's or was dropped. Counts as its use."""
        boot_id, _, number = since.rpartition(".")
        if boot_id != self._boot_id or not (number.isascii() and number.isdecimal() and len(number) < 16):
            return None
        before = self._kept.get(int(number))
        if before is not None:
            self._kept.move_to_end(before.reading)
        return before
