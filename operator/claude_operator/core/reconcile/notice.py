"""What status remembers to have said of a trial, so that it is said once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, get_args

__all__ = ["Notice"]

Kind = Literal["held", "plan", "soak", "failing", "checklist"]


@dataclass(frozen=True, slots=True)
class Notice:
    """One entry of `status.handled`: `<kind>:<revision>/<attempt>:<detail>`."""

    kind: Kind
    trial: str
    """`<revision>/<attempt>`."""
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.trial}:{self.detail}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The notice that an entry is; None for an annotation, or what another version wrote."""
        kind, _, rest = text.partition(":")
        trial, colon, detail = rest.partition(":")
        known = next((one for one in get_args(Kind) if one == kind), None)
        return cls(known, trial, detail) if known is not None and colon else None
