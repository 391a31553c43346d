"""`anthropic-beta`: the client's values and the revision's in one header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["united"]

_DATE = re.compile(r"-\d{4}-?\d{2}-?\d{2}")


def united(theirs: Iterable[str], ours: Sequence[str]) -> tuple[list[str], bool]:
    """The client's betas, then the revision's, each once, and whether one of the client's was dropped.

    Of two versions of one beta the revision's stays. `theirs` are header values, each a list with commas.
    """
    named = {_name(beta) for beta in ours}
    sent = [beta.strip() for value in theirs for beta in value.split(",")]
    kept = [beta for beta in sent if beta and (beta in ours or _name(beta) not in named)]
    displaced = len(kept) < sum(map(bool, sent))
    return list(dict.fromkeys([*kept, *ours])), displaced


def _name(beta: str) -> str:
    """A beta without the date that is its version."""
    return _DATE.sub("", beta)
