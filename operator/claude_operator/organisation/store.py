"""What is kept, in SQLite or PostgreSQL: the same statements for both.

A store is used by one thread at a time. Each method is a transaction: a process that ends at any moment leaves all of
it or nothing.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from claude_operator.api.history import KeyRow, WorkspaceRow
from claude_operator.core.organisation.buckets import COST_DIMENSIONS, USAGE_DIMENSIONS, Bucket, CostRow, UsageRow
from claude_operator.organisation.schema import COUNTS, MIGRATIONS, VERSION

__all__ = ["Connection", "Store", "StoreError"]

_DAY = 86_400


class StoreError(Exception):
    """The store cannot be used now; the message says why, and what to do."""


class Connection(ABC):
    """A database: statements have `?` for values."""

    @abstractmethod
    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows, none where it has none."""

    @abstractmethod
    def many(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of several values."""

    @abstractmethod
    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing of what is run inside."""

    @abstractmethod
    def has_tables(self) -> bool:
        """Whether the tables were made."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it."""


class Store:
    """What is known of an organisation."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        try:
            self._migrate()
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def settings(self) -> dict[str, str]:
        """What was saved by name."""
        return dict(self._db.rows("SELECT name, value FROM setting"))

    def save(self, **settings: str) -> None:
        """Save texts by name."""
        with self._db.transaction():
            self._save(settings)

    def marks(self) -> dict[str, dict[int, int]]:
        """By series and start of each bucket, when it was read."""
        found: dict[str, dict[int, int]] = {}
        for series, start, read_at in self._db.rows("SELECT series, start, read_at FROM bucket"):
            found.setdefault(series, {})[start] = read_at
        return found

    def replace(self, series: str, buckets: Sequence[Bucket], read_at: int, *, costs: bool = False) -> None:
        """Put buckets in the place of what was known of them; most of them have not changed since they were read."""
        if not buckets:
            return
        table, insert = ("cost", _INSERT_COST) if costs else ("usage", _INSERT_USAGE)
        digests = {bucket.start: _digest(bucket) for bucket in buckets}
        with self._db.transaction():
            known = dict(self._db.rows(_DIGESTS, (series, min(digests), max(digests))))
            changed = [bucket for bucket in buckets if known.get(bucket.start) != digests[bucket.start]]
            self._db.many(_DELETE.format(table=table), [(series, bucket.start) for bucket in changed])
            self._db.many(insert, [_values(series, bucket.start, row) for bucket in changed for row in bucket.rows])
            self._db.many(_DELETE.format(table="bucket"), [(series, start) for start in digests])
            self._db.many(_MARK, [(series, start, read_at, digest) for start, digest in digests.items()])

    def save_keys(self, keys: Sequence[KeyRow]) -> None:
        """The API keys that the organisation has now. Those that it had stay known: their usage is."""
        with self._db.transaction():
            self._db.many("DELETE FROM api_key WHERE id = ?", [(key.id,) for key in keys])
            self._db.many(
                "INSERT INTO api_key (id, name, hint, workspace, status) VALUES (?, ?, ?, ?, ?)",
                [(key.id, key.name, key.hint, key.workspace, key.status) for key in keys],
            )

    def save_workspaces(self, rows: Sequence[WorkspaceRow]) -> None:
        """The workspaces that the organisation has now; those that it had stay known."""
        with self._db.transaction():
            self._db.many("DELETE FROM workspace WHERE id = ?", [(row.id,) for row in rows])
            self._db.many("INSERT INTO workspace (id, name) VALUES (?, ?)", [(row.id, row.name) for row in rows])

    def delete_before(self, kept: Mapping[str, int]) -> None:
        """Delete buckets that start earlier than is kept of their series."""
        with self._db.transaction():
            for table in ("usage", "cost", "bucket"):
                self._db.many(f"DELETE FROM {table} WHERE series = ? AND start < ?", list(kept.items()))  # noqa: S608

    def usage(self, series: str, start: int, end: int, width: int = _DAY) -> list[tuple[Any, ...]]:
        """Sums from `start` up to `end`: start of the span of `width`, key, workspace, model, tier, and the counts."""
        rows = self._db.rows(_SUM_USAGE, (width, width, series, start, end))
        return [(*row[:5], *(int(count) for count in row[5:])) for row in rows]

    def costs(self, series: str, start: int, end: int) -> dict[tuple[int, str, str, str], Decimal]:
        """US cents by start of the bucket, workspace, model and API key. Sums are exact: they are made here."""
        found: dict[tuple[int, str, str, str], Decimal] = {}
        for begun, workspace, model, key, cents in self._db.rows(_COSTS, (series, start, end)):
            group = (begun, workspace, model, key)
            found[group] = found.get(group, Decimal(0)) + Decimal(cents)
        return found

    def keys(self) -> list[KeyRow]:
        """All API keys that were ever listed."""
        rows = self._db.rows("SELECT id, name, hint, workspace, status FROM api_key ORDER BY id")
        return [KeyRow(id=row[0], name=row[1], hint=row[2], workspace=row[3], status=row[4]) for row in rows]

    def workspaces(self) -> list[WorkspaceRow]:
        """All workspaces that were ever listed."""
        return [WorkspaceRow(id=row[0], name=row[1]) for row in self._db.rows("SELECT id, name FROM workspace")]

    def _save(self, settings: Mapping[str, str]) -> None:
        self._db.many("DELETE FROM setting WHERE name = ?", [(name,) for name in settings])
        self._db.many("INSERT INTO setting (name, value) VALUES (?, ?)", list(settings.items()))

    def _migrate(self) -> None:
        known = int(self.settings().get("schema", "0")) if self._db.has_tables() else 0
        if known > VERSION:
            raise StoreError(
                f"the store has schema {known}, of a newer version than this one, which knows {VERSION}: run the newer"
                " version, or start with an empty store, which is filled from the API"
            )
        for number in range(known, VERSION):
            with self._db.transaction():
                for statement in MIGRATIONS[number]:
                    self._db.rows(statement)
                self._save({"schema": str(number + 1)})


_DELETE = "DELETE FROM {table} WHERE series = ? AND start = ?"
_MARK = "INSERT INTO bucket (series, start, read_at, digest) VALUES (?, ?, ?, ?)"
_DIGESTS = "SELECT start, digest FROM bucket WHERE series = ? AND start >= ? AND start <= ?"
_SUM_USAGE = (
    "SELECT start / ? * ?, api_key_id, workspace_id, model, service_tier, "  # noqa: S608  (names of ours)
    + ", ".join(f"SUM({name})" for name in COUNTS)
    + " FROM usage WHERE series = ? AND start >= ? AND start < ? GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"
)
_COSTS = (
    "SELECT start, workspace_id, model, api_key_id, cents FROM cost"
    " WHERE series = ? AND start >= ? AND start < ? ORDER BY 1, 2, 3, 4"
)


def _insert(table: str, names: Sequence[str]) -> str:
    columns = ("series", "start", *names)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


_INSERT_USAGE = _insert("usage", (*USAGE_DIMENSIONS, *COUNTS))
_INSERT_COST = _insert("cost", (*COST_DIMENSIONS, "cents"))


def _digest(bucket: Bucket) -> str:
    """The same for the same rows in whatever order."""
    return hashlib.blake2b("\n".join(sorted(map(repr, bucket.rows))).encode(), digest_size=16).hexdigest()


def _values(series: str, start: int, row: UsageRow | CostRow) -> tuple[Any, ...]:
    last = (str(row.cents),) if isinstance(row, CostRow) else row.counts
    return (series, start, *row.group, *last)
