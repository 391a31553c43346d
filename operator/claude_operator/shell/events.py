"""Kubernetes Events about our objects, for `kubectl describe` and `kubectl events`."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

from claude_operator.api.base import GROUP
from claude_operator.kube.client import KubeError, Object
from claude_operator.kube.resources import EVENTS, Resource
from claude_operator.kube.times import micro_time
from claude_operator.log import fields
from claude_operator.shell.clock import SYSTEM_CLOCK, Clock

__all__ = ["Recorder"]

_log = logging.getLogger(__name__)

_NOTE = 1024  # bytes, the API's limit
_NAME, _WORD = 253, 128  # characters, the API's limits
_SUFFIX = 13 + 8  # characters: microseconds, then what keeps two processes apart
_SAME = 1_000_000  # microseconds: a clock that lags the last Event by less keeps the order
_PATIENCE = 3.0  # seconds: a pass does not wait longer for its Event
_REFERENCE = ("apiVersion", "kind")
_METADATA = ("name", "namespace", "uid", "resourceVersion")


class Creator(Protocol):
    """The one verb that a Recorder needs."""

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """Create an object; raises `KubeError`."""
        ...


class Recorder:
    """Writes Events as one replica, `instance`; `on_emit` gets the reason of each that was written."""

    def __init__(
        self,
        kube: Creator,
        *,
        instance: str,
        component: str = "claude-operator",
        clock: Clock = SYSTEM_CLOCK,
        on_emit: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._kube, self._on_emit, self._clock = kube, on_emit, clock
        self._controller = f"{GROUP}/{component}"
        self._instance = instance[:_WORD] or component
        self._last = 0

    async def emit(
        self,
        regarding: Mapping[str, Any],
        *,
        type: Literal["Normal", "Warning"],  # noqa: A002  # the API's name
        reason: str,
        note: str,
        action: str,
    ) -> None:
        """Write one Event; a failure is logged, since an Event is no reason to fail a pass.

        Raises `KubeError` where the namespace is being deleted: that ends the pass.
        """
        about = {name: regarding[name] for name in _REFERENCE if name in regarding}
        about |= {name: value for name in _METADATA if (value := regarding.get("metadata", {}).get(name))}
        now = self._clock.now()
        body = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                "name": f"{about.get('name', 'unknown')[: _NAME - 1 - _SUFFIX].rstrip('.-')}.{self._suffix(now)}",
                "namespace": about.get("namespace", "default"),  # an Event about a cluster-scoped object lives there
            },
            "eventTime": micro_time(now),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "regarding": about,
            "type": type,
            "reason": reason[:_WORD],
            "action": action[:_WORD],
            "note": _cut(note),
        }
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._kube.create(EVENTS, body)
        except (KubeError, TimeoutError) as error:
            if isinstance(error, KubeError) and error.terminating:
                raise
            if isinstance(error, KubeError) and error.conflict:  # the name is ours alone: a first try's answer was lost
                self._on_emit(reason)
                return
            status = error.status if isinstance(error, KubeError) else 0
            where = {"namespace": about.get("namespace"), "name": about.get("name")}
            _log.warning("an Event was not written", extra=fields(**where, reason=reason, status=status))
        else:
            self._on_emit(reason)

    def _suffix(self, now: dt.datetime) -> str:
        """Of a name that no other Event has, later than those before.

        `kubectl describe` shows Events in the order of their names. Two may be of the same microsecond, and a clock
        may be stepped back by less than a pass; a longer step back is believed.
        """
        micros = int(now.timestamp() * 1e6)
        self._last = self._last + 1 if micros <= self._last < micros + _SAME else micros
        return f"{self._last:013x}{uuid.uuid4().hex[:8]}"


def _cut(note: str) -> str:
    """At most `_NOTE` bytes, on a character's boundary."""
    data = note.encode("utf-8", "replace")
    if len(data) <= _NOTE:
        return data.decode()
    return data[: _NOTE - len("…".encode())].decode("utf-8", "ignore") + "…"
