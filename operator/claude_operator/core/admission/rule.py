"""A rule of admission: the check it stands for, what it looks at, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AdmissionRule"]


@dataclass(frozen=True, slots=True)
class AdmissionRule:
    """One row of the table of checks as CEL.

    `problems` is an expression over `r`, a request as it is served, and, where the rule is of a model, over `m`, the
    spec of its ClaudeModel, and `variables.now`, that object's status. It gives a list of texts, each
    `<field>: <what>: <what to write instead>`. `reads` are the fields of `r` that it looks at: a subagent that sets
    none of them is the request's matter.
    """

    check: str
    reads: tuple[str, ...]
    problems: str
    of_model: bool = False
    of_dated: bool = False
    """Whether it is also about the ClaudeModel's id with a date behind it."""
