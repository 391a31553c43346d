"""The operator reads the history of a process that reads the simulator: whose usage is whose, and why it knows none."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.organisation.rig import organisation, scenario
from tests.organisation.test_page import serving
from tests.waiting import until

from claude_operator.api.history import CostRow, History
from claude_operator.core.organisation.attribution import Holder, Tokens, attribute, key_of
from claude_operator.core.organisation.reading import Reading, reading_of
from claude_operator.shell.organisation_reader import HistoryReader
from claude_operator.simulator.admin_book import key_id

SHARED, OWN, ELSEWHERE = (f"sk-ant-api03-{word}-0123456789abcdef" for word in ("Shared", "Own", "Nobodys"))
MODEL = "claude-haiku-5-5"


async def test_usage_of_this_hour_is_attributed_by_key_and_hint(tmp_path: Path) -> None:
    async with organisation(scenario(lag="0s")) as world, HistoryReader() as reader:
        world.api.clock.now = time.time() - 180  # the process goes by the real clock
        for key in (SHARED, SHARED, OWN, ELSEWHERE):
            await world.use(key)
        world.api.clock.now = time.time()
        async with serving(world, tmp_path) as served:

            async def read() -> Reading | None:
                found = await reader.read(served.url, "reader")
                return found if found and len(found.usage) == 3 else None

            found = await until(read)
            assert await reader.read(served.url, "another key") is None
    assert found.usage_until is not None and found.tried and not found.refusal and not found.why
    assert key_of(OWN, found.keys) == key_id(OWN)
    tokens = {one.key: one.tokens for one in found.usage}
    day = found.usage[0].slot.day
    half = Tokens(*(number // 2 for number in tokens[key_id(SHARED)]))
    holders = [
        *(Holder("shop", name, key_id(SHARED), {(day, MODEL): half}, day) for name in ("a", "b")),
        Holder("shop", "c", key_of(OWN, found.keys)),
    ]
    whose = attribute(found.usage, holders)
    assert [sum(one.all for one in part.values()) for part in whose.of] == [half.all, half.all, tokens[key_id(OWN)].all]
    assert set(whose.rest) == {key_id(ELSEWHERE)}


async def test_why_a_history_knows_nothing_is_read(tmp_path: Path) -> None:
    async with organisation(scenario(account="individual")) as world, HistoryReader() as reader:
        async with serving(world, tmp_path) as served:

            async def read() -> Reading | None:
                found = await reader.read(served.url, "reader")
                return found if found and found.refusal else None

            found = await until(read)
        assert (found.refusal, found.usage_until) == ("IndividualAccount", None)
        assert "individual account" in found.why
        assert await reader.read(served.url, "reader") is None  # it has ended


def test_a_key_that_no_answer_has_come_to_is_not_accepted() -> None:
    assert not reading_of(History(last_poll=1.0)).tried
    assert reading_of(History(key="accepted")).tried


@pytest.mark.parametrize("cents", ["ten", "NaN", "Infinity"])
def test_an_amount_that_is_none_counts_for_nothing(cents: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of cents"):
        reading_of(History(costs=[CostRow(start=0, cents=cents)]))
