"""Whether a live object already is as wanted, so that nothing is written when nothing changed."""

from __future__ import annotations

from typing import Any

from claude_operator.core.quantity import quantity

__all__ = ["covers"]


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
