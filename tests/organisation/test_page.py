"""The process as it is run: its page, its probes, its options, its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from tests.organisation.rig import ADMIN_KEY, World, organisation, scenario
from tests.ports import free_ports
from tests.waiting import until

from claude_operator.__main__ import main
from claude_operator.api.history import OTHER_KEY, History, UsagePage
from claude_operator.core.organisation.buckets import COST_DIMENSIONS, USAGE_DIMENSIONS, Bucket, CostRow, UsageRow
from claude_operator.organisation.page import read_history
from claude_operator.organisation.sqlite import open_sqlite
from claude_operator.organisation.store import Store

KEY = "sk-ant-api03-support-123456789"


@dataclass
class Serving:
    url: str
    process: asyncio.subprocess.Process
    http: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=lambda: {"authorization": "Bearer reader"})

    async def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        async with self.http.get(self.url + path, headers=headers or self.headers) as response:
            return response.status, await response.read()

    async def history(self) -> History:
        status, body = await self.get("/v1/history")
        assert status == 200, body
        return History.parse(body)


@asynccontextmanager
async def serving(world: World, folder: Path) -> AsyncIterator[Serving]:
    (port,) = free_ports(1)
    (folder / "key").write_text(f"{ADMIN_KEY}\n")
    (folder / "reader").write_text("reader\n")
    words = ["organisation", "serve", "--store", folder / "history.db", "--key-file", folder / "key"]
    words += ["--base-url", world.api.url, "--reader-key-file", folder / "reader"]
    words += ["--port", str(port), "--poll-seconds", "0.01", "--log-format", "json"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "claude_operator", *map(str, words), stdout=asyncio.subprocess.PIPE, env=os.environ
    )
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline())["message"] == "listening"
    try:
        async with aiohttp.ClientSession() as http:
            yield Serving(f"http://127.0.0.1:{port}", process, http)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_what_was_used_is_told_to_who_has_the_readers_key(tmp_path: Path) -> None:
    async with organisation(scenario()) as world:
        world.api.clock.now = time.time() - 7200  # the process goes by the real clock
        await world.use(KEY)
        world.api.clock.now = time.time()
        async with serving(world, tmp_path) as served:

            async def read() -> History | None:
                told = await served.history()
                return told if told.usage and told.key == "accepted" else None

            found = await until(read)
            (row,) = found.usage
            assert (row.model, row.tier, row.workspace) == ("claude-haiku-5-5", "standard", "")
            assert row.tokens.output > 0
            assert found.last_poll is not None
            status, body = await served.get("/v1/usage?width=1h")
            assert status == 200
            assert UsagePage.parse(body).rows[0].tokens == row.tokens
            for path, headers, expected in (
                ("/v1/history", {"authorization": "Bearer other"}, 401),
                ("/v1/usage", {"x": "y"}, 401),
                ("/v1/history?days=0", served.headers, 400),
                ("/v1/usage?width=1w", served.headers, 400),
                ("/v1/usage?from=0", served.headers, 400),
                ("/v1/usage?from=-1", served.headers, 400),
                ("/-/live", {"x": "y"}, 200),
                ("/-/ready", {"x": "y"}, 200),
            ):
                assert (await served.get(path, **headers))[0] == expected, path
            status, page = await served.get("/metrics", x="y")
            assert b'claude_organization_polls_total{feed="usage/1h",result="ok"}' in page
            served.process.send_signal(signal.SIGTERM)
            assert await served.process.wait() == 0
    assert main(["organisation", "backup", "--store", str(tmp_path / "history.db"), "--to", str(tmp_path / "b")]) == 0
    copy = open_sqlite(tmp_path / "b")
    assert copy.settings()["name"] == "Simulated organisation"
    copy.close()


def fill(store: Store, hours: int) -> None:
    """One token an hour for these hours, and 100 in the day before them, as days and hours report it."""

    def used(count: int) -> tuple[UsageRow, ...]:
        return (UsageRow(tuple("x" for _ in USAGE_DIMENSIONS), (count, 0, 0, 0, 0, 0)),)

    for number in range(hours):
        store.replace("usage/1h", [Bucket(86_400 + number * 3600, used(1))], 10**9)
    store.replace("usage/1d", [Bucket(0, used(100)), Bucket(86_400, used(24))], 10**9)


def test_a_day_is_told_once_from_hours_or_from_itself(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "history.db")
    fill(store, 30)
    found = read_history(store, 86_400 * 3.0, 5)
    assert [(row.start, row.tokens.input) for row in found.usage] == [(0, 100), (86_400, 24), (2 * 86_400, 6)]
    store.close()


@pytest.mark.parametrize(("first", "known", "tokens"), [(0, 5, 5), (-3, 5, 5), (1, 0, 0)])
def test_minutes_lead_on_from_the_last_hour_or_not_at_all(tmp_path: Path, first: int, known: int, tokens: int) -> None:
    store = open_sqlite(tmp_path / "history.db")
    fill(store, 24)
    end = 2 * 86_400
    used = UsageRow(tuple("x" for _ in USAGE_DIMENSIONS), (1, 0, 0, 0, 0, 0))
    for number in range(first, 5):
        store.replace("usage/1m", [Bucket(end + number * 60, (used,))], 10**9)
    found = read_history(store, end + 600.0, 5)
    store.close()
    assert (found.complete_to, found.usage_to) == (end, end + known * 60)
    assert sum(row.tokens.input for row in found.usage) == 100 + 24 + tokens


def test_a_gap_hides_nothing_of_today(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "history.db")
    fill(store, 24)
    today = 2 * 86_400
    used = UsageRow(tuple("x" for _ in USAGE_DIMENSIONS), (1, 0, 0, 0, 0, 0))
    for number in (0, 1, 3, 4):
        store.replace("usage/1h", [Bucket(today + number * 3600, (used,))], 10**9)
    found = read_history(store, today + 5 * 3600.0, 5)
    store.close()
    assert (found.complete_from, found.complete_to) == (today + 3 * 3600, today + 5 * 3600)
    assert [(row.start, row.tokens.input) for row in found.usage] == [(0, 100), (86_400, 24), (today, 4)]


def test_what_a_clock_that_was_ahead_has_read_is_not_known(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "history.db")
    fill(store, 24)
    for series, width in (("usage/1h", 3600), ("usage/1m", 60), ("cost/1d", 86_400)):
        store.replace(series, [Bucket(10**8 // width * width)], 10**9)
    found = read_history(store, 2 * 86_400.0, 5)
    store.close()
    assert (found.complete_to, found.usage_to, found.cost_to) == (2 * 86_400, 2 * 86_400, None)
    assert sum(row.tokens.input for row in found.usage) == 124


@pytest.mark.parametrize(("read", "known"), [(1, 1), (6, 2)])
def test_the_costs_of_a_day_are_known_some_hours_after_it(tmp_path: Path, read: int, known: int) -> None:
    store = open_sqlite(tmp_path / "history.db")
    store.replace("cost/1d", [Bucket(0), Bucket(86_400)], 2 * 86_400 + read * 3600, costs=True)
    found = read_history(store, 2 * 86_400 + 7 * 3600.0, 5)
    store.close()
    assert found.cost_to == known * 86_400


def test_costs_of_the_keys_that_are_not_told_one_by_one_are_one_row(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "history.db")
    fields = tuple("x" for _ in COST_DIMENSIONS[1:])
    rows = tuple(CostRow((f"apikey_{number}", *fields), Decimal("0.5")) for number in range(30))
    store.replace("analytics/cost", [Bucket(0, rows)], 10**9, costs=True)
    used = UsageRow(("apikey_7", *("x" for _ in USAGE_DIMENSIONS[1:])), (1, 0, 0, 0, 0, 0))
    store.replace("usage/1d", [Bucket(0, (used,))], 10**9)
    found = read_history(store, 2 * 86_400.0, 5).key_costs
    store.close()
    assert {(row.api_key, row.cents) for row in found or ()} == {("apikey_7", "0.5"), (OTHER_KEY, "14.5")}


def test_the_largest_keys_are_told_one_by_one(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "history.db")
    rows = []
    for number in range(300):
        group = (f"apikey_{number}", *("x" for _ in USAGE_DIMENSIONS[1:]))
        rows.append(UsageRow(group, (1000 - number, 0, 0, 0, 0, 0)))
    store.replace("usage/1h", [Bucket(0, tuple(rows))], 10**9)
    found = read_history(store, 3600.0, 1).usage
    store.close()
    assert len(found) == 201
    assert sum(row.tokens.input for row in found) == sum(row.counts[0] for row in rows)
    (other,) = (row for row in found if row.api_key == OTHER_KEY)
    assert other.tokens.input == sum(row.counts[0] for row in rows[200:])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host", "0.0.0.0"], "--reader-key-file is missing"),
        (["--base-url", "ftp://example.com"], "is not an http:// or https:// URL"),
        (["--allowed-host", "api.anthropic.com", "--base-url", "https://example.com"], "does not name"),
        (["--poll-seconds", "0"], "must be greater than 0"),
    ],
)
def test_options_that_cannot_work_are_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["organisation", "serve", "--store", str(tmp_path / "x"), "--key-file", str(tmp_path / "k"), *words])
    assert said in capsys.readouterr().err


def test_a_backup_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["organisation", "backup", "--store", str(tmp_path / "x"), "--to", str(tmp_path / "y")]) == 1
    assert "there is no store" in capsys.readouterr().out
