"""Whether a live object already is as wanted, so that nothing is written when nothing changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from claude_operator.core.spec.quantity import quantity

__all__ = ["covers", "differences", "excess", "lacks"]

_DEFAULTS: Mapping[str, Any] = {
    "dnsPolicy": "ClusterFirst",
    "enableServiceLinks": True,
    "procMount": "Default",
    "protocol": "TCP",
    "restartPolicy": "Always",
    "scheme": "HTTP",
    "schedulerName": "default-scheduler",
    "successThreshold": 1,
    "terminationGracePeriodSeconds": 30,
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
"""What the API server fills in where a pod template says nothing."""


def covers(live: Any, wanted: Any) -> bool:
    """Whether everything in `wanted` is in `live`, which may hold more: defaults, status, other people's fields.

    Lists must be of one length and agree in order, owner references aside: others may have added theirs. A
    container's `resources` must agree as a whole, so that a limit that was taken out is seen; of other mappings a key
    that is no longer wanted is not. `stringData` is never compared: the API server does not give it back.
    """
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            _field_covers(name, live.get(name), value) for name, value in wanted.items() if name != "stringData"
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(covers, live, wanted))
    return bool(live == wanted) and isinstance(live, bool) == isinstance(wanted, bool)


def excess(live: Any, wanted: Any) -> dict[str, Any]:
    """The merge patch that takes out of `live` what server-side apply leaves there of others, empty where nothing is.

    These are further entries of lists that are ours, and in a pod template, which is ours alone, everything that is
    neither wanted nor the API server's default: containers, environment, a command, a node selector.
    """
    return _excess(live, wanted, strict=False)


def lacks(live: Any, wanted: Any) -> bool:
    """Whether something that is wanted is missing, `excess` aside."""
    more = set(_leaves(excess(live, wanted), ()))
    return any(path not in more for path in _differing(live, wanted, ()))


def differences(live: Any, wanted: Any) -> list[str]:
    """Paths of the fields that are not as wanted, as in `spec.replicas`."""
    missing = [_path(path) for path in _differing(live, wanted, ())]
    added = [_path(path) for path in _leaves(excess(live, wanted), ())]
    return list(dict.fromkeys([*missing, *added]))


def _field_covers(name: str, live: Any, wanted: Any) -> bool:
    if name == "resources" and isinstance(wanted, dict):
        return _amounts(live or {}) == _amounts(wanted)
    if name == "sizeLimit":
        return quantity(live) == quantity(wanted)
    if name == "ownerReferences":
        return isinstance(live, list) and all(any(covers(one, mine) for one in live) for mine in wanted)
    return covers(live, wanted)


def _amounts(resources: dict[str, Any]) -> dict[str, Any]:
    """Requests and limits by value; what is empty is as good as absent."""
    return {
        kind: {name: quantity(amount) for name, amount in amounts.items()}
        for kind, amounts in resources.items()
        if amounts and isinstance(amounts, dict)
    }


def _excess(live: Any, wanted: Any, *, strict: bool) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for name, value in wanted.items():
        found = live.get(name)
        if name in ("ownerReferences", "stringData", "resources"):
            continue
        if isinstance(value, dict) and isinstance(found, dict):
            inner = _excess(found, value, strict=strict or (name == "spec" and "containers" in value))
            patch |= {name: inner} if inner else {}
        elif isinstance(value, list) and isinstance(found, list) and _has_more(found, value, strict=strict):
            patch[name] = value
    if strict:
        patch |= {name: None for name, found in live.items() if name not in wanted and not _is_default(live, name)}
    return patch


def _has_more(live: list[Any], wanted: list[Any], *, strict: bool) -> bool:
    if not covers(live, wanted):
        return True
    pairs = zip(live, wanted, strict=True)
    return any(isinstance(one, dict) and bool(_excess(one, mine, strict=strict)) for one, mine in pairs)


def _is_default(live: Mapping[str, Any], name: str) -> bool:
    """Whether a field that nobody asked for is what it would be anyhow."""
    value = live[name]
    if not value and not isinstance(value, bool):
        return True
    return bool(value == (live.get("serviceAccountName") if name == "serviceAccount" else _DEFAULTS.get(name, False)))


def _differing(live: Any, wanted: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The outermost fields that have to be written."""
    for name, value in wanted.items():
        found = live.get(name) if isinstance(live, dict) else None
        if name == "stringData" or _field_covers(name, found, value):
            continue
        if isinstance(value, dict) and isinstance(found, dict) and name != "resources":
            yield from _differing(found, value, (*path, name))
        else:
            yield (*path, name)


def _leaves(patch: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, value in patch.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name)


def _path(path: tuple[str, ...]) -> str:
    return ".".join(path)
