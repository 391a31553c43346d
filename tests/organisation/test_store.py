"""Both stores keep what they are told, whole or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from claude_operator.api.history import KeyRow, WorkspaceRow
from claude_operator.core.organisation.buckets import Bucket, CostRow, UsageRow
from claude_operator.organisation.postgres import open_postgres
from claude_operator.organisation.schema import VERSION
from claude_operator.organisation.sqlite import backup, open_sqlite
from claude_operator.organisation.store import Store, StoreError

OpenStore = Callable[[], Store]
HOUR, DAY = 3600, 86_400


def used(key: str, tokens: int, tier: str = "standard") -> UsageRow:
    group = (key, "wrkspc_1", "", "", "claude-opus-5-5", tier, "0-200k", "global", "")
    return UsageRow(group, (tokens, 2 * tokens, 3, 4, 5, 6))


def paid(key: str, cents: str) -> CostRow:
    return CostRow((key, "wrkspc_1", "", "tokens", "output_tokens", "claude-opus-5-5", "", "", ""), Decimal(cents))


def test_a_bucket_is_replaced_and_counts_once(open_store: OpenStore) -> None:
    store = open_store()
    store.replace("usage/1h", [Bucket(0, (used("a", 10), used("b", 20))), Bucket(HOUR, (used("a", 1),))], 7200)
    store.replace("usage/1h", [Bucket(0, (used("a", 11),))], 9000)
    store.replace("usage/1d", [Bucket(0, (used("a", 99),))], 9000)
    store.close()
    store = open_store()
    assert store.marks() == {"usage/1h": {0: 9000, HOUR: 7200}, "usage/1d": {0: 9000}}
    group = ("a", "wrkspc_1", "claude-opus-5-5", "standard")
    assert store.usage("usage/1h", 0, DAY) == [(0, *group, 12, 24, 6, 8, 10, 12)]
    assert store.usage("usage/1h", 0, DAY, HOUR) == [
        (0, *group, 11, 22, 3, 4, 5, 6),
        (HOUR, *group, 1, 2, 3, 4, 5, 6),
    ]
    assert store.usage("usage/1h", HOUR, DAY, HOUR)[0][0] == HOUR
    store.close()


def test_a_bucket_that_has_not_changed_is_marked_and_not_written_again(open_file: OpenStore) -> None:
    store = open_file()
    buckets = [Bucket(n * HOUR, (used("a", n), used("b", n))) for n in range(100)]
    store.replace("usage/1h", buckets, 1)
    before = store._db.rows("SELECT MAX(rowid) FROM usage")
    buckets[7] = Bucket(7 * HOUR, (used("a", 1),))
    buckets[8] = Bucket(8 * HOUR, buckets[8].rows[::-1])
    store.replace("usage/1h", buckets, 2)
    assert set(store.marks()["usage/1h"].values()) == {2}
    assert store._db.rows("SELECT start, api_key_id FROM usage WHERE rowid > ?", before[0]) == [(7 * HOUR, "a")]
    store.close()


def test_numbers_are_exact(open_store: OpenStore) -> None:
    store = open_store()
    many = 2**52 + 1
    store.replace("usage/1h", [Bucket(n * HOUR, (used("a", many),)) for n in range(24)], 0)
    store.replace("cost/1d", [Bucket(0, (paid("a", "0.1"), paid("", "0.0000000000000001")))], 0, costs=True)
    store.replace("cost/1d", [Bucket(DAY, (paid("a", "0.1"),) * 3)], 0, costs=True)
    assert store.usage("usage/1h", 0, DAY)[0][5] == 24 * many
    costs = store.costs("cost/1d", 0, 2 * DAY)
    assert costs[DAY, "wrkspc_1", "claude-opus-5-5", "a"] == Decimal("0.3")
    assert costs[0, "wrkspc_1", "claude-opus-5-5", ""] == Decimal("0.0000000000000001")
    store.close()


def test_a_change_is_whole_or_nothing(open_store: OpenStore) -> None:
    store = open_store()
    store.replace("usage/1h", [Bucket(0, (used("a", 10),))], 1)
    broken = UsageRow(("too", "few"), (1, 2, 3, 4, 5, 6))
    with pytest.raises(StoreError):
        store.replace("usage/1h", [Bucket(0, (used("a", 11),)), Bucket(HOUR, (broken,))], 2)
    assert store.marks() == {"usage/1h": {0: 1}}
    assert store.usage("usage/1h", 0, DAY)[0][5] == 10
    store.save(last_request="1.5")  # it can be used after that
    assert store.settings() == {"schema": str(VERSION), "last_request": "1.5"}
    store.close()


def test_what_is_no_longer_kept_is_deleted(open_store: OpenStore) -> None:
    store = open_store()
    store.replace("usage/1h", [Bucket(0, (used("a", 1),)), Bucket(HOUR, (used("a", 2),))], 0)
    store.replace("usage/1d", [Bucket(0, (used("a", 3),))], 0)
    store.replace("cost/1d", [Bucket(0, (paid("a", "1"),))], 0, costs=True)
    store.delete_before({"usage/1h": HOUR, "cost/1d": HOUR})
    assert store.marks() == {"usage/1h": {HOUR: 0}, "usage/1d": {0: 0}}
    assert [row[5] for row in store.usage("usage/1h", 0, DAY)] == [2]
    assert store.costs("cost/1d", 0, DAY) == {}
    store.close()


def test_keys_stay_known_when_they_are_listed_no_more(open_store: OpenStore) -> None:
    store = open_store()
    store.save_keys([KeyRow(id="a", name="Ä", hint="sk-ant-api03-R2D...igAA", status="active"), KeyRow(id="b")])
    store.save_keys([KeyRow(id="a", name="B", workspace="w", status="archived")])
    store.save_workspaces([WorkspaceRow(id="w", name="Search")])
    store.save_workspaces([WorkspaceRow(id="w", name="Suche")])
    assert store.keys() == [KeyRow(id="a", name="B", workspace="w", status="archived"), KeyRow(id="b")]
    assert store.workspaces() == [WorkspaceRow(id="w", name="Suche")]
    store.close()


def test_only_one_process_uses_a_store(open_store: OpenStore) -> None:
    store = open_store()
    with pytest.raises(StoreError, match="another process uses"):
        open_store()
    store.close()
    open_store().close()


def test_a_store_of_a_newer_version_is_left_alone(open_store: OpenStore) -> None:
    store = open_store()
    store.save(schema="99")
    store.close()
    with pytest.raises(StoreError, match="schema 99, of a newer version"):
        open_store()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match=r"is damaged .* put a backup in its place"):
        open_sqlite(path)
    with pytest.raises(StoreError, match="cannot be opened"):
        open_sqlite(tmp_path / "no such folder" / "history.db")


def test_a_backup_is_made_of_a_store_in_use(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "history.db")
    store.replace("usage/1h", [Bucket(0, (used("a", 10),))], 1)
    target = tmp_path / "copy.db"
    target.write_text("an older one")
    backup(tmp_path / "history.db", target)
    store.replace("usage/1h", [Bucket(0, (used("a", 11),))], 2)
    store.close()
    copy = open_sqlite(target)
    assert copy.usage("usage/1h", 0, DAY)[0][5] == 10
    copy.close()
    with sqlite3.connect(target) as check:
        assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    check.close()
    with pytest.raises(StoreError, match="there is no store"):
        backup(tmp_path / "other.db", target)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.slow
def test_a_lost_connection_is_told_and_nothing_is_half_written(postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute("DROP SCHEMA public CASCADE")
        admin.execute("CREATE SCHEMA public")
        store = open_postgres(postgres)
        store.replace("usage/1h", [Bucket(0, (used("a", 10),))], 1)
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'claude-operator'"
        )
    with pytest.raises(StoreError, match="the database cannot be used"):
        store.replace("usage/1h", [Bucket(0, (used("a", 11),))], 2)
    store.close()
    store = open_postgres(postgres)
    assert store.usage("usage/1h", 0, DAY)[0][5] == 10
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://claude:se@cret@127.0.0.1/history",
        "postgresql://claude:se/cret@127.0.0.1/history",
        "postgresql://claude:se:cret@127.0.0.1/history",
        "postgresql://claude:se#cret@127.0.0.1/history",
        "postgresql://claude:se%cret@127.0.0.1/history",
        "postgresql:/claude:secret@127.0.0.1/history",
        "host=127.0.0.1 password='secret",
    ],
)
def test_a_url_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(StoreError, match="the URL of the database cannot be read: write postgresql://") as found:
        open_postgres(url)
    assert "cret" not in str(found.value)


@pytest.mark.slow
def test_a_server_that_is_gone_is_noticed(postgres: str) -> None:
    store = open_postgres(postgres)
    assert store._db.rows("SHOW tcp_keepalives_idle") == [("30",)]
    store.close()


@pytest.mark.slow
def test_a_wrong_password_is_told_without_it(postgres: str) -> None:
    with pytest.raises(StoreError, match="the database cannot be used") as found:
        open_postgres(postgres.replace("not-a-secret", "wrong-password"))
    assert "wrong-password" not in str(found.value)
