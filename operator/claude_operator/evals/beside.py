"""Files that a set names, read from one folder: on a laptop that of the set, in a pod the mounted volume."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import ExitStack
from pathlib import Path

from claude_operator.core.evals.contents import LARGEST, SCHEME

__all__ = ["LARGEST_VOLUME", "Beside", "read_file"]

LARGEST_VOLUME = 32 * 1024 * 1024  # bytes of all files together that a set reads from a volume


class Beside:
    """Files in a folder and below it: what a set names is never read elsewhere, also where links lead there.

    `most` bounds their bytes together. `digests` has the sha256 of each that was read, by its name.
    """

    def __init__(self, folder: Path, what: str = "beside the set", *, most: int | None = None) -> None:
        self._folder, self.what, self._most = folder, what, most
        self._sizes: dict[str, int] = {}
        self.digests: dict[str, str] = {}

    def __call__(self, name: str) -> bytes | None:
        """A file's content, None where there is none of this name; raises ValueError."""
        try:
            root = self._folder.resolve()
            path = (root / name).resolve()
            inside = path.is_relative_to(root)
            if inside and not path.is_file():
                return None
        except (OSError, ValueError, RuntimeError):  # a name that is too long, a NUL, a loop of links
            return None
        if not inside:
            outside = "the set's folder" if self.what == "beside the set" else "the volume"
            raise ValueError(f"{SCHEME}{name} is outside of {outside}: put the file {self.what}")
        try:
            data = _read(root, path.relative_to(root).parts, self._most or LARGEST)
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from error
        self._count(name, data)
        return data

    def _count(self, name: str, data: bytes) -> None:
        self._sizes[name] = len(data)
        if self._most is not None and sum(self._sizes.values()) > self._most:
            raise ValueError(f"the files of the set have more than {self._most:,} bytes together: use fewer")
        self.digests[name] = hashlib.sha256(data).hexdigest()


def read_file(path: Path) -> bytes:
    """A file that was given by its path; raises ValueError."""
    try:
        return _whole(os.open(path, os.O_RDONLY | os.O_CLOEXEC), path, LARGEST)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def _read(root: Path, parts: tuple[str, ...], most: int) -> bytes:
    """A file below the root, without following a link that somebody has put there since the path was resolved."""
    with ExitStack() as stack:
        at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, at)
        for part in parts[:-1]:
            at = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            stack.callback(os.close, at)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe has nobody at its other end
        opened, path = os.open(parts[-1], flags, dir_fd=at), root.joinpath(*parts)
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise ValueError(f"{path} is not a file: put the content into one")
        return _whole(opened, path, most)


def _whole(opened: int, path: Path, most: int) -> bytes:
    """All of a file that is open."""
    with os.fdopen(opened, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{path} has more than {most:,} bytes: use a smaller file")
    return data
