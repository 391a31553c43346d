"""How fast the cluster is just now: the seconds that tests allow are those of an idle machine, and stretch with it."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Sequence

from tests.cluster.repeating import Repeating

IDLE = 0.1  # seconds that a write takes on an idle machine with two cores
_EVERY = 1.0  # seconds between two measurements
_PATIENCE = 60.0  # seconds


def slowness(writes: int = 1, kubectl: Sequence[str] = ("kubectl",)) -> float:
    """How many times as long as on an idle machine it takes now to write a ConfigMap with kubectl; at least 1.

    The slowest of so many writes counts. 1, too, where the API server does not answer.
    """
    return max(_write(kubectl) for _ in range(writes)) / IDLE


def _write(kubectl: Sequence[str]) -> float:
    name = f"pace-{secrets.token_hex(4)}"
    began = time.monotonic()
    try:
        _run(*kubectl, "create", "configmap", name)
        took = time.monotonic() - began
        _run(*kubectl, "delete", "configmap", name, "--wait=false")
    except subprocess.SubprocessError:
        return IDLE
    return max(took, IDLE)


def _run(*words: str) -> None:
    subprocess.run([*words, "--namespace=default"], check=True, capture_output=True, timeout=_PATIENCE)


class Pace(Repeating):
    """Measures once a second while entered. The API server has to answer meanwhile."""

    def __init__(self, kubectl: Sequence[str] = ("kubectl",)) -> None:
        super().__init__(_EVERY)
        self._kubectl = kubectl
        self.slowest = 1.0

    def once(self) -> None:
        """One measurement."""
        self.slowest = max(self.slowest, slowness(kubectl=self._kubectl))

    def stretched(self, seconds: float) -> float:
        """What takes so long on an idle machine, at the slowest that the cluster has been meanwhile."""
        return seconds * self.slowest
