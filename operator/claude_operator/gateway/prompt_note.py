"""What is known of a call's prompt beside the request, which does not live as long."""

from __future__ import annotations

from typing import NamedTuple

from claude_operator.core.usage.cold import Placement, Seen

__all__ = ["PrefixUse", "PromptNote"]


class PrefixUse:
    """A prefix that was used: `name` stands for it, the same in every process, and is empty for no prefix."""

    __slots__ = ("answered", "calls", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        """Answers."""
        self.answered: float | None = None
        """When the last call that was answered had been sent: an entry's time counts from there."""


class PromptNote(NamedTuple):
    """`size` is the prefix's bytes, and `share` its part of the body."""

    use: PrefixUse
    placed: Placement
    seen: Seen
    size: int
    share: float
