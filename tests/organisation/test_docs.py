"""docs/organisation-history.md is in step with the program."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from claude_operator.api.history import Refusal
from claude_operator.core.organisation.polling import FEEDS, refused
from claude_operator.organisation.cli import _add_serve_arguments
from claude_operator.organisation.schema import VERSION
from claude_operator.organisation.sqlite import _Sqlite
from claude_operator.organisation.store import Store

PAGE = (Path(__file__).parents[2] / "docs/organisation-history.md").read_text()


def test_the_options_are_those_that_exist() -> None:
    parser = argparse.ArgumentParser()
    _add_serve_arguments(parser)
    known = {word for action in parser._actions for word in action.option_strings} - {"-h", "--help"}
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `--"))
    assert set(re.findall(r"--[a-z-]+", table)) == known


def test_the_tables_are_those_of_the_schema(tmp_path: Path) -> None:
    connection = _Sqlite(tmp_path / "history.db")
    store = Store(connection)
    tables = [name for (name,) in connection.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {name: [row[1] for row in connection.rows(f"PRAGMA table_info({name})")] for name in tables}
    store.close()
    rows = dict(re.findall(r"^\| `(\w+)` \| (`.*) \|$", PAGE.split("## The store")[1], re.MULTILINE))
    assert {name: re.findall(r"`(\w+)`", text.partition(":")[0]) for name, text in rows.items()} == columns
    assert f"(the version, {VERSION})" in PAGE


def test_every_series_is_named() -> None:
    assert {feed.series.name for feed in FEEDS if feed.series} <= set(re.findall(r"`([a-z]+/\w+)`", PAGE))


def test_every_refusal_has_a_sentence() -> None:
    for refusal in Refusal.__args__:  # type: ignore[attr-defined]
        assert len(refused(refusal, "HTTP 401")) > 40
