"""Whether a live object already is as wanted, so that nothing is written when nothing changed."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

__all__ = ["covers", "quantity"]

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,3})|([KMGTPE]i|[numkMGTPE]?))")
_SUFFIXES = {"": Decimal(1)}
_SUFFIXES |= {suffix: Decimal(1000) ** power for power, suffix in enumerate("numkMGTPE", -3) if power < 0}
_SUFFIXES |= {suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", 1)}
_SUFFIXES |= {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)}


def covers(live: Any, wanted: Any) -> bool:
    """Whether everything in `wanted` is in `live`, which may hold more: defaults, status, other people's fields.

    Lists must be of one length and agree in order. A container's `resources` must agree as a whole, so that a limit
    that was taken out is seen; of other mappings a key that is no longer wanted is not. `stringData` is never
    compared: the API server does not give it back.
    """
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            _field_covers(name, live.get(name), value) for name, value in wanted.items() if name != "stringData"
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(covers, live, wanted))
    return bool(live == wanted) and isinstance(live, bool) == isinstance(wanted, bool)


def _field_covers(name: str, live: Any, wanted: Any) -> bool:
    if name == "resources" and isinstance(wanted, dict):
        return _amounts(live or {}) == _amounts(wanted)
    if name == "sizeLimit":
        return quantity(live) == quantity(wanted)
    return covers(live, wanted)


def _amounts(resources: dict[str, Any]) -> dict[str, Any]:
    """Requests and limits by value; what is empty is as good as absent."""
    return {
        kind: {name: quantity(amount) for name, amount in amounts.items()}
        for kind, amounts in resources.items()
        if amounts and isinstance(amounts, dict)
    }


def quantity(amount: Any) -> Decimal | Any:
    """A Kubernetes quantity such as 0.5, "500m" or "128Mi" as a number; what is none is given back as it is."""
    match = _QUANTITY.fullmatch(str(amount)) if isinstance(amount, int | float | str) else None
    if match is None or isinstance(amount, bool):
        return amount
    number, exponent, suffix = match.groups()
    factor = Decimal(10) ** int(exponent) if exponent else _SUFFIXES[suffix]
    return Decimal(number) * factor
