"""Where the grader remembers: its Secret, or on a laptop a file."""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from claude_operator.api.grading import SAMPLES_KEY, STATE_KEY
from claude_operator.core.names import is_controlled_by
from claude_operator.evals.live.failed import FailedSample, pack_samples, read_samples
from claude_operator.evals.live.spending import State
from claude_operator.kube.errors import KubeError
from claude_operator.kube.resources import SECRETS

if TYPE_CHECKING:  # it takes long to import, and a laptop has no use for it
    from claude_operator.kube.client import Kube

__all__ = ["FileStore", "NoStore", "SecretStore", "Store", "samples_in"]


class NoStore(Exception):  # noqa: N818  (what is the case)
    """What is remembered cannot be read or written now; says why."""


class Store(Protocol):
    """Each method raises NoStore."""

    async def read(self) -> tuple[State, list[FailedSample]]:
        """What is remembered."""
        ...

    async def write(self, state: State, samples: list[FailedSample]) -> None:
        """Remember this instead."""
        ...


class SecretStore:
    """In the Secret that the operator has made for the ClaudeDeployment with this UID."""

    def __init__(self, kube: Kube, namespace: str, name: str, uid: str) -> None:
        self._kube, self._namespace, self._name, self._uid = kube, namespace, name, uid

    async def read(self) -> tuple[State, list[FailedSample]]:
        """As Store has it. Samples that are damaged are none; a cost that cannot be read is not none."""
        try:
            secret = await self._kube.get(SECRETS, self._name, self._namespace)
        except KubeError as error:
            raise NoStore(self._why(error)) from error
        if secret is None:
            raise NoStore(f"the Secret {self._name} does not exist: the operator makes it, wait a moment")
        if not is_controlled_by(secret, self._uid):
            raise NoStore(f"the Secret {self._name} is not the ClaudeDeployment's: delete or rename it")
        data = secret.get("data") or {}
        try:
            state = _state(base64.b64decode(data.get(STATE_KEY) or ""))
        except (ValueError, binascii.Error) as error:
            raise NoStore(f"{STATE_KEY} of the Secret {self._name} cannot be read: remove that key") from error
        return state, samples_in(data)

    async def write(self, state: State, samples: list[FailedSample]) -> None:
        """As Store has it."""
        kept = base64.b64encode(pack_samples(samples)).decode() if samples else None
        data = {STATE_KEY: base64.b64encode(msgspec.json.encode(state)).decode(), SAMPLES_KEY: kept}
        try:
            await self._kube.merge(
                SECRETS, {"metadata": {"namespace": self._namespace, "name": self._name}, "data": data}
            )
        except KubeError as error:
            raise NoStore(self._why(error)) from error

    def _why(self, error: KubeError) -> str:
        return f"the Secret {self._name}: {str(error).partition(chr(10))[0]}"


def samples_in(data: Mapping[str, Any]) -> list[FailedSample]:
    """The samples in a Secret's data; none where they are damaged."""
    with contextlib.suppress(ValueError, binascii.Error):
        if text := data.get(SAMPLES_KEY):
            return read_samples(base64.b64decode(text))
    return []


class FileStore:
    """In a file, which also holds the samples; for a laptop."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> tuple[State, list[FailedSample]]:
        """As Store has it."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_Document)
        except FileNotFoundError:
            return State(), []
        except (OSError, msgspec.MsgspecError) as error:
            raise NoStore(f"{self._path} cannot be read: remove it") from error
        return found.state, found.samples

    async def write(self, state: State, samples: list[FailedSample]) -> None:
        """As Store has it."""
        new = self._path.with_name(f".{self._path.name}.new")
        try:
            new.touch(mode=0o600)
            new.write_bytes(msgspec.json.encode(_Document(state, samples)))
            new.replace(self._path)
        except OSError as error:
            raise NoStore(f"{self._path} cannot be written: {error.strerror}") from error


class _Document(msgspec.Struct):
    state: State
    samples: list[FailedSample]


def _state(data: bytes) -> State:
    try:
        return msgspec.json.decode(data, type=State) if data else State()
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
