"""The poller, over HTTP, on the simulator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from tests.organisation.rig import (
    ADMIN_KEY,
    DAY,
    MIDNIGHT,
    World,
    booked_usage,
    history,
    organisation,
    scenario,
    stored_usage,
)

from claude_operator.organisation import client
from claude_operator.organisation import poller as module
from claude_operator.organisation.sqlite import open_sqlite
from claude_operator.organisation.store import Store

OpenStore = Callable[[], Store]
KEY = "sk-ant-api03-support-123456789"
FILLED = 1800.0
"""Seconds in which an empty store has read everything once."""


async def asked(world: World) -> list[str]:
    return [poll["path"].removeprefix("/v1/organizations/") for poll in await world.polls()]


async def test_usage_is_told_by_key_and_day(open_file: OpenStore) -> None:
    async with organisation(scenario()) as world:
        await world.use(KEY)
        world.clock.now += 2 * 3600
        await world.use(KEY, model="claude-sonnet-5-5")
        booked = booked_usage(await world.book())
        async with world.polling(open_file) as poller:
            await world.poll_until(poller, world.clock.now + FILLED)
            found = await world.stored(poller)
            assert poller.accepted
            assert poller.error == ""
            assert stored_usage(found) == booked  # of the hour that has not ended, from its minutes
            assert (found.complete_to, found.complete_from) == (MIDNIGHT + 7200, MIDNIGHT - 31 * DAY + 7200)
            assert found.usage_to is not None
            assert 7200 + FILLED - 900 < found.usage_to - MIDNIGHT < 7200 + FILLED
            assert found.cost_to == MIDNIGHT - DAY  # of the last day they are not whole yet
            assert found.name == "Simulated organisation"
            assert [key.hint for key in found.keys] == ["sk-ant-api03-sup...6789"]
            await world.poll_until(poller, MIDNIGHT + 5 * 3600)
            later = await world.stored(poller)
            assert stored_usage(later) == booked  # and now from the hour: once
            assert later.complete_to == MIDNIGHT + 4 * 3600


async def test_one_request_a_minute_also_in_a_process_that_is_started_again_and_again(open_file: OpenStore) -> None:
    async with organisation(scenario(requestsPerMinute=1)) as world:
        for _ in range(20):
            async with world.polling(open_file) as poller:
                for _ in range(3):
                    await poller.step()
        polls = await world.polls()
    assert len(polls) > 10
    assert {poll["status"] for poll in polls} == {200}
    assert min(after["at"] - before["at"] for before, after in pairwise(polls)) >= 60


async def test_an_organisation_without_news_is_asked_for_little(open_file: OpenStore) -> None:
    async with organisation(scenario()) as world, world.polling(open_file) as poller:
        await world.poll_until(poller, MIDNIGHT + 6 * 3600)
        paths = await asked(world)
    assert paths[0] == "me"
    assert all(6 <= paths.count(path) <= 7 for path in ("me", "api_keys", "workspaces"))
    assert len(paths) < 6 * 60 * 0.7


@pytest.mark.parametrize(
    ("fields", "key", "refusal", "words"),
    [
        ({}, None, "NoKey", "put one (sk-ant-admin…) into the Secret"),
        ({}, "sk-ant-api03-a-workspace-key", "WorkspaceKey", "the key is that of a workspace"),
        ({}, "something-else-0123456789", "InvalidKey", "put a valid admin key"),
        ({"account": "individual"}, ADMIN_KEY, "IndividualAccount", "set up an organisation in the Console"),
        ({"account": "aws"}, ADMIN_KEY, "ClaudePlatformOnAWS", "look at usage and cost in AWS Cost Explorer"),
    ],
)
async def test_a_key_that_cannot_do_is_refused_in_words(
    open_file: OpenStore, fields: dict[str, str], key: str | None, refusal: str, words: str
) -> None:
    async with organisation(scenario(**fields)) as world, world.polling(open_file) as poller:
        world.key = key
        await world.poll_until(poller, MIDNIGHT + 1000)
        assert poller.refusal == refusal
        assert not poller.accepted
        assert words in poller.error
        assert (key or "no key") not in world.output.getvalue()
        assert set(await asked(world)) <= {"me"}  # nothing else is asked with it
        assert len(await asked(world)) <= 4  # and that every five minutes
    found = history(open_file, world.clock.now)
    assert (found.usage, found.complete_to) == ([], None)


async def test_the_platform_on_aws_gets_no_key_at_all(open_file: OpenStore) -> None:
    url = "https://aws-external-anthropic.us-east-1.api.aws"
    async with organisation(scenario()) as world, world.polling(open_file, base_url=url) as poller:
        await poller.step()
        assert poller.refusal == "ClaudePlatformOnAWS"
        assert await asked(world) == []


async def test_another_key_counts_at_once(open_file: OpenStore) -> None:
    async with organisation(scenario()) as world:
        world.key = "sk-ant-api03-a-workspace-key"
        async with world.polling(open_file) as poller:
            await poller.step()
            assert poller.refusal == "WorkspaceKey"
            world.key = ADMIN_KEY
            await world.poll_until(poller, MIDNIGHT + 150)
            assert poller.accepted
            assert poller.refusal is None


async def test_another_key_counts_while_it_waits(open_file: OpenStore) -> None:
    async with organisation(scenario()) as world:
        world.key = "sk-ant-api03-a-workspace-key"
        async with world.polling(open_file) as poller:
            await poller.step()

            async def change(begin: float, end: float) -> None:
                world.key = ADMIN_KEY

            world.happens = change  # while the pause of five minutes lasts
            await world.poll_until(poller, MIDNIGHT + 150)
            assert poller.accepted


async def test_two_organisations_are_not_mixed(open_file: OpenStore) -> None:
    async with organisation(scenario()) as world:
        async with world.polling(open_file) as poller:
            await world.poll_until(poller, MIDNIGHT + 600)
            assert poller.accepted
        await world.api.steer(scenario(id="another"))
        async with world.polling(open_file) as poller:
            before = await asked(world)
            await world.poll_until(poller, MIDNIGHT + 1200)
            assert poller.refusal == "OtherOrganization"
            assert "use a key of the organisation that was stored" in poller.error
            assert set((await asked(world))[len(before) :]) == {"me"}


async def test_what_the_organisation_lacks_is_told_and_the_rest_is_read(open_file: OpenStore) -> None:
    async with organisation(scenario(analytics=False)) as world:
        await world.use(KEY)
        world.clock.now += DAY
        async with world.polling(open_file) as poller:
            await world.poll_until(poller, world.clock.now + FILLED)
            assert poller.error == ""
        found = history(open_file, world.clock.now)
        assert found.key_costs is None
        assert found.costs
        assert (await asked(world)).count("analytics/cost") == 1


async def test_usage_is_read_without_speed_when_its_beta_has_ended(open_file: OpenStore) -> None:
    async with organisation(scenario(fastMode=False)) as world:
        await world.use(KEY)
        world.clock.now += 2 * 3600
        async with world.polling(open_file) as poller:
            await world.poll_until(poller, world.clock.now + FILLED)
            assert poller.error == ""
            assert stored_usage(await world.stored(poller)) == booked_usage(await world.book())


async def test_a_month_of_analytics_is_read_week_after_week_at_once(open_file: OpenStore) -> None:
    async with organisation(scenario()) as world, world.polling(open_file) as poller:
        await world.poll_until(poller, MIDNIGHT + FILLED)
        paths = await asked(world)
    assert (paths.count("analytics/cost"), paths.count("analytics/usage")) == (5, 5)


async def test_answers_that_are_too_large_are_asked_for_in_smaller_pages(
    open_file: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_LARGEST", 8000)  # of 168 empty hours the answer is longer
    async with organisation(scenario()) as world:
        await world.use(KEY)
        world.clock.now += 2 * 3600
        async with world.polling(open_file) as poller:
            await world.poll_until(poller, world.clock.now + 2 * FILLED)
            assert stored_usage(await world.stored(poller)) == booked_usage(await world.book())
            assert poller.error == ""
            monkeypatch.setattr(client, "_LARGEST", 130)
            await world.poll_until(poller, world.clock.now + 4 * FILLED)
            assert "its answer is larger than" in poller.error
            assert poller.last_poll is not None
            assert poller.last_poll > world.clock.now - 2 * FILLED  # short lists are read all the same


async def test_late_usage_is_added(open_file: OpenStore) -> None:
    async with organisation(scenario(lateRate=1.0, lateBy="6h")) as world:
        await world.use(KEY)
        async with world.polling(open_file) as poller:
            await world.poll_until(poller, MIDNIGHT + 5 * 3600)
            assert (await world.stored(poller)).usage == []
            await world.poll_until(poller, MIDNIGHT + 8 * 3600)
        assert stored_usage(history(open_file, world.clock.now)) == booked_usage(await world.book())


async def test_an_api_that_fails_is_asked_less_and_less_often_and_read_when_it_is_back(open_file: OpenStore) -> None:
    async with organisation(scenario(errorRate=1.0)) as world, world.polling(open_file) as poller:
        await world.poll_until(poller, MIDNIGHT + 4 * 3600)
        assert "HTTP 500" in poller.error
        assert len(await world.polls()) < 12
        await world.api.steer(scenario())
        await world.poll_until(poller, MIDNIGHT + 8 * 3600)
        assert poller.error == ""


async def test_a_store_that_fails_is_told_and_opened_again(open_file: OpenStore) -> None:
    async with organisation(scenario()) as world:
        other = open_file()
        async with world.polling(open_file) as poller:
            await poller.step()
            assert "another process uses" in poller.error
            assert await world.polls() == []
            other.close()
            await world.poll_until(poller, MIDNIGHT + 200)
            assert poller.error == ""
            assert await world.polls()


async def test_pages_without_an_end_are_given_up(open_file: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_PAGES", 3)
    async with organisation(scenario(pageSize=100)) as world, world.polling(open_file) as poller:
        await world.poll_until(poller, MIDNIGHT + FILLED)  # the hours have eight pages
        assert "usage_report/messages: the API's pages have no end" in poller.error
        assert (await asked(world)).count("api_keys") == 1  # the rest is read
        assert (await world.stored(poller)).cost_to == MIDNIGHT - DAY


async def test_a_clock_that_is_far_ahead_deletes_nothing(open_file: OpenStore) -> None:
    async with organisation(scenario()) as world:
        await world.use(KEY)
        world.clock.now += 2 * 3600
        async with world.polling(open_file) as poller:
            await world.poll_until(poller, world.clock.now + FILLED)
            now = world.clock.now
            await world.api.steer(scenario(errorRate=1.0))  # as where certificates are no longer valid
            world.clock.now += 6 * 366 * DAY
            await world.poll_until(poller, world.clock.now + FILLED)
        assert stored_usage(history(open_file, now)) == booked_usage(await world.book())


async def test_a_lost_store_is_filled_again(tmp_path: Path) -> None:
    async with organisation(scenario()) as world:
        for _ in range(3):
            await world.use(KEY)
            world.clock.now += DAY
        found = []
        for name in ("lost.db", "new.db"):
            open_file = partial(open_sqlite, tmp_path / name)
            async with world.polling(open_file) as poller:
                await world.poll_until(poller, world.clock.now + FILLED)
            found.append(history(open_file, world.clock.now))
    assert found[0].usage
    assert found[0].costs
    for name in ("usage", "costs", "key_costs", "keys"):
        assert getattr(found[0], name) == getattr(found[1], name)
