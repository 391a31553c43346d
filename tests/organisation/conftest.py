"""Stores of both kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.organisation.postgres import programs, running_postgres

from claude_operator.organisation.postgres import open_postgres
from claude_operator.organisation.sqlite import open_sqlite
from claude_operator.organisation.store import Store

OpenStore = Callable[[], Store]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    if programs() is None:
        pytest.skip("no PostgreSQL here: install Debian's package postgresql")
    with running_postgres() as url:
        yield url


@pytest.fixture
def open_file(tmp_path: Path) -> OpenStore:
    return lambda: open_sqlite(tmp_path / "history.db")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens the same store each time; it is empty at first."""
    if request.param == "sqlite":
        return lambda: open_sqlite(tmp_path / "history.db")
    url = request.getfixturevalue("postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return lambda: open_postgres(url)
