"""How old a model is, by `m.generation`, the numbers of its version."""

from __future__ import annotations

__all__ = ["BEFORE_4_6", "UP_TO_4_6"]


def _version(condition: str) -> str:
    """A condition over `v`, the numbers; false where they are not known, as of a preview."""
    known = "has(m.generation) && type(m.generation) == string && m.generation.matches('^[0-9]{1,4}([.][0-9]{1,4})?$')"
    return (
        f"({known} ? [m.generation.split('.').map(x, int(x))].exists(v, (v.size() > 1 || v[0] != 0)"
        f" && ({condition})) : false)"
    )


BEFORE_4_6 = _version("v[0] < 4 || (v[0] == 4 && (v.size() == 1 || v[1] < 6))")
UP_TO_4_6 = _version("v[0] < 4 || (v[0] == 4 && (v.size() == 1 || v[1] <= 6))")
