"""PostgreSQL, by a URL as libpq reads it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from claude_operator.organisation.store import Connection, Store, StoreError

__all__ = ["open_postgres"]

_LOCK = 7_093_611_430_145  # any number that no other program takes
_CONNECT_SECONDS = 10
_URL = re.compile(r"postgres(ql)?://([^:@/?#\[\]]*(:[^:@/?#\[\]]*)?@)?[^@]*")
"""What libpq takes apart as it is meant; where it does not, it quotes parts of the password."""
_NOT_A_PERCENT_CODE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_IDLE, _INTERVAL, _COUNT = 30, 10, 3
"""A machine that is gone is noticed after a minute, by either side: the lock of a server that does not is held on."""


def open_postgres(url: str) -> Store:
    """The store in a database, whose tables are made where there are none; raises StoreError."""
    return Store(_Postgres(url))


class _Postgres(Connection):
    def __init__(self, url: str) -> None:
        if not _URL.fullmatch(url) or _NOT_A_PERCENT_CODE.search(url):
            raise StoreError(
                "the URL of the database cannot be read: write postgresql://USER:PASSWORD@HOST/NAME, with other"
                " characters than letters and digits in USER and PASSWORD as percent codes, as in %40 for @"
            )
        try:
            self._db = psycopg.connect(
                url,
                autocommit=True,
                connect_timeout=_CONNECT_SECONDS,
                application_name="claude-operator",
                tcp_user_timeout=60_000,
                keepalives_idle=_IDLE,
                keepalives_interval=_INTERVAL,
                keepalives_count=_COUNT,
            )
        except psycopg.Error as error:
            raise _told(error) from error
        for name, value in (("idle", _IDLE), ("interval", _INTERVAL), ("count", _COUNT)):
            self.rows(f"SET tcp_keepalives_{name} = {value}")
        if self.rows("SELECT pg_try_advisory_lock(?)", (_LOCK,)) != [(True,)]:
            self._db.close()
            raise StoreError("another process uses this database: run one, or give each organisation its own database")

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            found = self._db.execute(_dialect(statement), values)
            return found.fetchall() if found.description else []
        except psycopg.Error as error:
            raise _told(error) from error

    def many(self, statement: str, values: Iterable[Sequence[Any]]) -> None:
        try:
            with self._db.cursor() as cursor:
                cursor.executemany(_dialect(statement), values)
        except psycopg.Error as error:
            raise _told(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        try:
            with self._db.transaction():
                yield
        except psycopg.Error as error:
            raise _told(error) from error

    def has_tables(self) -> bool:
        return self.rows("SELECT to_regclass('setting') IS NOT NULL") == [(True,)]

    def close(self) -> None:
        self._db.close()


def _dialect(statement: str) -> Any:
    return statement.replace("?", "%s")


def _told(error: psycopg.Error) -> StoreError:
    """The first line: further ones may quote the connection."""
    said = str(error).strip().partition("\n")[0][:200]
    return StoreError(f"the database cannot be used: {said or type(error).__name__}")
