"""A CEL rule of a schema."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `x-kubernetes-validations`. `field` is the path below `self` that the error names."""

    rule: str
    message: str
    field: str | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, str]:
        """The rule as the schema holds it."""
        entry = {"rule": self.rule, "message": self.message}
        if self.field:
            entry["fieldPath"] = self.field
        if self.reason:
            entry["reason"] = self.reason
        return entry
