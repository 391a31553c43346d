"""Objects whose namespace is being deleted: the API server takes no new objects there, and nothing is left to do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from claude_operator.log import fields
from claude_operator.shell.keys import Key

__all__ = ["Endings"]

_log = logging.getLogger(__name__)

_REPORT_AGAIN = 600.0  # seconds for which a namespace is not reported again


class Endings:
    """A namespace that is being deleted never comes back, so an object in it is done with, known by its UID."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._uids: dict[Key, str] = {}
        self._announced: dict[str, float] = {}

    def has(self, key: Key, uid: str) -> bool:
        """Whether this object's namespace is known to be going."""
        return self._uids.get(key) == uid

    def add(self, key: Key, uid: str) -> None:
        """This object's namespace turned out to be going; reported once for all objects in it."""
        self._uids[key] = uid
        now = self._clock()
        self._announced = {namespace: at for namespace, at in self._announced.items() if now - at < _REPORT_AGAIN}
        if key.namespace not in self._announced:
            message = "the namespace is being deleted: nothing more is done in it"
            _log.info(message, extra=fields(namespace=key.namespace))
        self._announced[key.namespace] = now

    def drop(self, key: Key) -> None:
        """The object no longer exists."""
        self._uids.pop(key, None)
