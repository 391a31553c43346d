"""The tables, the same in SQLite and PostgreSQL; docs/organisation-history.md describes them."""

from __future__ import annotations

from claude_operator.core.organisation.buckets import COST_DIMENSIONS, USAGE_DIMENSIONS

__all__ = ["COUNTS", "MIGRATIONS", "VERSION"]

COUNTS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "web_searches")


def _texts(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} TEXT NOT NULL" for name in names)


_FIRST = (
    "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE bucket (series TEXT NOT NULL, start BIGINT NOT NULL, read_at BIGINT NOT NULL, digest TEXT NOT NULL,"
    " PRIMARY KEY (series, start))",
    f"CREATE TABLE usage (series TEXT NOT NULL, start BIGINT NOT NULL, {_texts(USAGE_DIMENSIONS)},"
    f" {', '.join(f'{name} BIGINT NOT NULL' for name in COUNTS)})",
    "CREATE INDEX usage_bucket ON usage (series, start)",
    f"CREATE TABLE cost (series TEXT NOT NULL, start BIGINT NOT NULL, {_texts(COST_DIMENSIONS)}, cents TEXT NOT NULL)",
    "CREATE INDEX cost_bucket ON cost (series, start)",
    "CREATE TABLE api_key (id TEXT PRIMARY KEY, name TEXT NOT NULL, hint TEXT NOT NULL, workspace TEXT NOT NULL,"
    " status TEXT NOT NULL)",
    "CREATE TABLE workspace (id TEXT PRIMARY KEY, name TEXT NOT NULL)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""Statements that lead from each version of the schema to the next one."""
VERSION = len(MIGRATIONS)
