"""A rule of admission: the check it stands for, and what it looks at."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AdmissionRule"]


@dataclass(frozen=True, slots=True)
class AdmissionRule:
    """One check as CEL.

    `problems` is an expression over `r`, a request as it is served, and for a rule of a model over `m`, the spec of its
    ClaudeModel, and `now`, that object's status; it gives a list of `<field>: <what>: <what to write instead>`.
    `reads` are the fields of `r` that it looks at: a subagent that has none of them is the request's matter.
    """

    check: str
    reads: tuple[str, ...]
    problems: str
    of_dated: bool = False
    """Whether it is also about the ClaudeModel's id with a date."""
