"""Kubernetes quantities by value."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

__all__ = ["quantity"]

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,3})|([KMGTPE]i|[numkMGTPE]?))")
_SUFFIXES = {"": Decimal(1)}
_SUFFIXES |= {suffix: Decimal(1000) ** power for power, suffix in enumerate("numkMGTPE", -3) if power < 0}
_SUFFIXES |= {suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)}
_SUFFIXES |= {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)}


def quantity(amount: Any) -> Decimal | Any:
    """A Kubernetes quantity such as 0.5, "500m" or "128Mi" as a number; what is none is given back as it is."""
    match = _QUANTITY.fullmatch(str(amount)) if isinstance(amount, int | float | str) else None
    if match is None or isinstance(amount, bool):
        return amount
    number, exponent, suffix = match.groups()
    factor = Decimal(10) ** int(exponent) if exponent else _SUFFIXES[suffix]
    return Decimal(number) * factor
