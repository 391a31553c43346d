"""Keeps answers while a run goes on, so that one that dies does not ask, and pay, again: in Secrets or in a folder.

Keeping is never in the way of a run: what cannot be read is asked again, what cannot be written is told and forgotten.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from claude_operator.core.evals.kept import (
    BATCH_BYTES,
    SLOT_BYTES,
    batch_age,
    batch_name,
    oldest_first,
    pack_batch,
    read_batch,
    slot_names,
)
from claude_operator.core.names import is_controlled_by
from claude_operator.kube.errors import KubeError
from claude_operator.kube.resources import SECRETS

if TYPE_CHECKING:  # it takes long to import, and a laptop has no use for it
    from claude_operator.kube.client import Kube

__all__ = ["Folder", "Keeper", "Place", "Secrets", "Unkept"]

_DAYS = 30
_RETENTION = _DAYS * 86400.0  # seconds
_SOON = 3.0  # seconds between two writes
_MANY = 50  # values that are written at once, before that
_FOLDER_BYTES = 256 << 20
_SUFFIX = ".answers"
_TRIES = 3  # of a write that another Job was in the way of


class Unkept(Exception):  # noqa: N818  (what became of it)
    """A place cannot be read or written now."""


class Place(Protocol):
    """Where batches are. Each method raises Unkept."""

    async def read(self) -> list[bytes]:
        """All batches that are not too old."""
        ...

    async def write(self, batch: bytes) -> None:
        """Store a batch whole or not at all; the oldest go where there is no room."""
        ...


class Keeper:
    """Values by key, of which those that are `wanted` are read when it begins. Writes go on in the background."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: dict[bytes, bytes] = {}
        self._new: dict[bytes, bytes] = {}
        self._many, self._writing = asyncio.Event(), asyncio.Lock()
        self.trouble = ""
        """Why values may not be kept, empty where they are."""

    @asynccontextmanager
    async def open(self, wanted: Callable[[bytes], bool]) -> AsyncIterator[None]:
        """Read, and write until the end, also where that is an exception or a cancellation."""
        await self._read(wanted)
        writer = asyncio.create_task(self._write_often())
        try:
            yield
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
            await asyncio.shield(self.flush())

    def find(self, key: bytes) -> bytes | None:
        """The value that was kept."""
        return self._known.get(key)

    def add(self, key: bytes, value: bytes) -> None:
        """Keep a value."""
        self._known[key] = self._new[key] = value
        if len(self._new) >= _MANY:
            self._many.set()

    async def flush(self) -> None:
        """Write what is new."""
        async with self._writing:
            while self._new:
                taken = dict(list(self._new.items())[:_MANY])
                try:
                    for batch in _batches(taken):
                        await self._place.write(batch)
                except Unkept as error:
                    self.trouble = str(error)
                    return
                self.trouble = ""
                for key in taken:
                    self._new.pop(key, None)

    async def _read(self, wanted: Callable[[bytes], bool]) -> None:
        try:
            for batch in await self._place.read():
                self._known |= {key: value for key, value in read_batch(batch).items() if wanted(key)}
        except Unkept as error:
            self.trouble = str(error)

    async def _write_often(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SOON):  # in Python 3.11 wait_for can lose a cancellation, and never end
                    await self._many.wait()
            self._many.clear()
            await asyncio.shield(self.flush())


def _batches(values: Mapping[bytes, bytes]) -> list[bytes]:
    """Values in batches of a good size; one that alone is too large is left out."""
    packed = pack_batch(values)
    if len(packed) <= BATCH_BYTES:
        return [packed]
    if len(values) == 1:
        return [packed] if len(packed) <= SLOT_BYTES else []
    items = list(values.items())
    half = len(items) // 2
    return _batches(dict(items[:half])) + _batches(dict(items[half:]))


class Secrets:
    """Batches in the Secrets that the operator has made for the set with this name and UID."""

    def __init__(self, kube: Kube, namespace: str, set_name: str, set_uid: str) -> None:
        self._kube, self._namespace, self._uid = kube, namespace, set_uid
        self._names = slot_names(set_name)
        self._sizes: dict[str, dict[str, int]] = {}
        """Of the batches in bytes, by slot and name; only of Secrets that are there and the set's."""

    async def read(self) -> list[bytes]:
        """As Place has it."""
        found: list[bytes] = []
        for slot in self._names:
            found += (await self._look(slot)).values()
        return found

    async def write(self, batch: bytes) -> None:
        """As Place has it. Other Jobs write, too: each adds keys of its own, and nobody replaces a whole Secret."""
        name, slot = batch_name(time.time(), batch), self._names[0]
        if len(self._sizes) < len(self._names):
            await self.read()
        for _ in range(_TRIES):
            slot, leaving = self._make_room(len(batch))
            body = {
                "metadata": {"namespace": self._namespace, "name": slot},
                "data": {name: base64.b64encode(batch).decode(), **dict.fromkeys(leaving)},
            }
            try:
                await self._kube.merge(SECRETS, body)
            except KubeError as error:
                if error.status not in (413, 422):
                    raise Unkept(_why(slot, error)) from error
                await self._look(slot)  # another Job has filled it
                continue
            self._sizes[slot] = {key: size for key, size in self._sizes[slot].items() if key not in leaving}
            self._sizes[slot][name] = len(batch)
            return
        raise Unkept(f"the Secret {slot} is full: others write into it at the same time")

    async def clear(self) -> None:
        """Take out all that is kept, of each Secret that is there."""
        trouble: Unkept | None = None
        for slot in self._names:
            try:
                await self._look(slot)
                if self._sizes[slot]:
                    await self._kube.merge(
                        SECRETS, {"metadata": {"namespace": self._namespace, "name": slot}, "data": None}
                    )
            except Unkept as error:
                trouble = error
            except KubeError as error:
                trouble = Unkept(_why(slot, error))
        if trouble:
            raise trouble

    async def _look(self, slot: str) -> dict[str, bytes]:
        """What a slot holds, without what is too old."""
        try:
            secret = await self._kube.get(SECRETS, slot, self._namespace)
        except KubeError as error:
            raise Unkept(_why(slot, error)) from error
        if secret is None:
            raise Unkept(f"the Secret {slot} does not exist: the operator makes it before the run's Job")
        if not is_controlled_by(secret, self._uid):
            raise Unkept(f"the Secret {slot} is not the eval set's: delete or rename it")
        data = secret.get("data") or {}
        self._sizes[slot] = {name: len(text) * 3 // 4 for name, text in data.items()}
        now, found = time.time(), {}
        for name, text in data.items():
            age = batch_age(name, now)
            if age is not None and age <= _RETENTION:
                with contextlib.suppress(binascii.Error, ValueError):
                    found[name] = base64.b64decode(text)
        return found

    def _make_room(self, size: int) -> tuple[str, list[str]]:
        """The slot to write so many bytes into, and the batches that leave it: what is too old, then the oldest."""
        now = time.time()
        old = {
            slot: [name for name in sizes if (age := batch_age(name, now)) is None or age > _RETENTION]
            for slot, sizes in self._sizes.items()
        }
        for slot, sizes in self._sizes.items():
            if sum(sizes.values()) - sum(sizes[name] for name in old[slot]) + size <= SLOT_BYTES:
                return slot, old[slot]
        slot, _ = next(iter(oldest_first(self._sizes)))
        left, leaving = dict(self._sizes[slot]), list[str]()
        for name in sorted(left):
            if sum(left.values()) + size <= SLOT_BYTES:
                break
            leaving.append(name)
            del left[name]
        return slot, leaving


def _why(slot: str, error: KubeError) -> str:
    return f"the Secret {slot}: {str(error).partition(chr(10))[0]}"


class Folder:
    """Batches in files of a folder, which is made."""

    def __init__(self, path: Path, most: int = _FOLDER_BYTES) -> None:
        self._path, self._most = path, most

    async def read(self) -> list[bytes]:
        """As Place has it."""
        return await asyncio.to_thread(self._read)

    async def write(self, batch: bytes) -> None:
        """As Place has it."""
        await asyncio.to_thread(self._write, batch)

    def _read(self) -> list[bytes]:
        now = time.time()
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            kept = [file for file in self._files() if _is_fresh(file, now)]
            return [file.read_bytes() for file in kept]
        except OSError as error:
            raise Unkept(f"{self._path} cannot be read: {error.strerror}") from error

    def _write(self, batch: bytes) -> None:
        now = time.time()
        try:
            with tempfile.NamedTemporaryFile(dir=self._path, prefix=".", delete=False) as file:
                file.write(batch)
            Path(file.name).replace(self._path / (batch_name(now, batch) + _SUFFIX))
            sizes = {file: file.stat().st_size for file in self._files()}
            for old in list(sizes):
                if _is_fresh(old, now) and sum(sizes.values()) <= self._most:
                    break
                del sizes[old]
                old.unlink(missing_ok=True)
        except OSError as error:
            raise Unkept(f"{self._path} cannot be written: {error.strerror}") from error

    def _files(self) -> list[Path]:
        """The batches, the oldest first."""
        return sorted(file for file in self._path.iterdir() if file.name.endswith(_SUFFIX))


def _is_fresh(file: Path, now: float) -> bool:
    age = batch_age(file.name.removesuffix(_SUFFIX), now)
    return age is not None and age <= _RETENTION
