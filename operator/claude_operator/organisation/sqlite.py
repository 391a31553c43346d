"""SQLite: one file, one writer, a write-ahead log so that readers and backups wait for nobody."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from claude_operator.organisation.store import Connection, Store, StoreError

__all__ = ["backup", "open_sqlite"]

_BUSY_SECONDS = 30.0
_SYNCHRONOUS = "FULL"  # what was committed stays after a loss of power


def open_sqlite(path: Path) -> Store:
    """The store in a file, made where there is none; raises StoreError."""
    return Store(_Sqlite(path))


def backup(source: Path, target: Path) -> None:
    """Copy a store, also one that is in use, into a file that is complete or not there; raises StoreError."""
    if not source.is_file():
        raise StoreError(f"there is no store {source}: name the file that `organisation serve --store` has")
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        with _closing(sqlite3.connect(source, timeout=_BUSY_SECONDS)) as read, _closing(_plain(partial)) as write:
            read.backup(write)
        partial.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"{source} cannot be copied to {target}: {error}") from error


class _Sqlite(Connection):
    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, _lock(path)
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            self._lock.close()
            raise _told(path, error) from error
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={_SYNCHRONOUS}")
        except sqlite3.Error as error:
            self.close()
            raise _told(path, error) from error

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _told(self._path, error) from error

    def many(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        try:
            self._db.executemany(statement, values)
        except sqlite3.Error as error:
            raise _told(self._path, error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.rows("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self.rows("COMMIT")

    def has_tables(self) -> bool:
        return bool(self.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'setting'"))

    def close(self) -> None:
        self._db.close()
        self._lock.close()


def _lock(path: Path) -> Any:
    """Two processes would poll twice as often as the API allows."""
    file = None
    try:
        file = path.with_name(f"{path.name}.lock").open("w")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if file:
            file.close()
        raise StoreError(f"another process uses {path}: run one") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}") from error
    return file


def _told(path: Path, error: sqlite3.Error) -> StoreError:
    if "malformed" in str(error) or "not a database" in str(error):
        return StoreError(
            f"{path} is damaged ({error}): put a backup in its place, or remove it; it is then filled from the API"
        )
    return StoreError(f"{path} cannot be used: {error}")


@contextmanager
def _closing(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        yield connection
    finally:
        connection.close()


def _plain(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)
