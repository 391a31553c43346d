"""The admin endpoints tell what the simulator answered, as the API would."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from tests.organisation.rig import ADMIN_KEY, DAY, MIDNIGHT, World, organisation, scenario

from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.catalogue.table import find
from claude_operator.simulator.admin_book import _cents

KEY = "sk-ant-api03-support-123456789"
USAGE = "usage_report/messages?starting_at=2026-11-24T00:00:00Z"
ANALYTICS = {"anthropic-beta": "analytics-usage-cost-2026-08-24"}
RANGE = "starting_at=2026-11-24T00:00:00Z&ending_at=2026-11-26T00:00:00Z&time_bucket_width=1d"


async def get(world: World, path: str, key: str = ADMIN_KEY, **headers: str) -> tuple[int, dict[str, Any]]:
    sent = {"x-api-key": key} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with world.api.http.get(f"{world.api.url}/v1/organizations/{path}", headers=sent) as response:
        return response.status, await response.json()


async def test_buckets_are_shown_when_they_have_ended_and_the_lag_is_over() -> None:
    async with organisation(scenario(lag="5m")) as world:
        await world.use(KEY)
        for after, buckets in ((3600, 0), (3899, 0), (3900, 1), (7500, 2)):
            world.clock.now = MIDNIGHT + after
            _, page = await get(world, f"{USAGE}&bucket_width=1h")
            assert len(page["data"]) == buckets, after
        first, second = page["data"]
        assert first["results"][0]["output_tokens"] > 0
        assert first["results"][0]["api_key_id"] is None  # nobody asked for it
        assert second["results"] == []


async def test_groups_pages_and_the_end_of_a_cursor() -> None:
    async with organisation(scenario(cursorLife="1m")) as world:
        await world.use(KEY)
        await world.use("sk-ant-api03-other-0123456789")
        world.clock.now += 10 * 3600
        status, page = await get(world, f"{USAGE}&bucket_width=1h&limit=4&group_by[]=api_key_id&group_by[]=model")
        assert (status, len(page["data"]), page["has_more"]) == (200, 4, True)
        rows = page["data"][0]["results"]
        assert len({row["api_key_id"] for row in rows}) == 2
        assert {(row["model"], row["service_tier"]) for row in rows} == {("claude-haiku-5-5", None)}
        following = f"{USAGE}&bucket_width=1h&limit=4&page={page['next_page']}"
        _, more = await get(world, following)
        assert more["data"][0]["starting_at"] == "2026-11-24T04:00:00Z"
        world.clock.now += 61
        assert (await get(world, following))[0] == 400


@pytest.mark.parametrize(
    "query",
    [
        "usage_report/messages",
        f"{USAGE}&bucket_width=1w",
        f"{USAGE}&limit=32",
        f"{USAGE}&group_by[]=colour",
        f"{USAGE}&group_by[]=speed",
        f"{USAGE}&page=page_x",
        "cost_report?starting_at=yesterday",
        "cost_report?starting_at=2026-11-24T00:00:00Z&bucket_width=1h",
    ],
)
async def test_a_wrong_question_is_refused(query: str) -> None:
    async with organisation(scenario()) as world:
        status, answer = await get(world, query)
        assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


async def test_costs_are_cents_of_days_that_are_over_and_priority_tier_is_not_among_them() -> None:
    async with organisation(scenario(priorityKeys=["*committed*"])) as world:
        await world.use(KEY, model="claude-opus-5-5")
        await world.use("sk-ant-api03-committed-0123", model="claude-opus-5-5")
        _, today = await get(world, "cost_report?starting_at=2026-11-24T00:00:00Z")
        assert today["data"] == []
        world.clock.now += DAY + 3600
        _, page = await get(world, "cost_report?starting_at=2026-11-24T00:00:00Z&group_by[]=description")
        rows = page["data"][0]["results"]
        async with world.api.http.get(world.api.url + "/-/ledger") as response:
            ledger = (await response.json())["payments"]
        paid = [one["costUSD"] for one in ledger if one["costUSD"] is not None]
        assert len(paid) == 1
        assert float(sum(Decimal(row["amount"]) for row in rows)) == pytest.approx(paid[0] * 100)
        assert {row["token_type"] for row in rows} == {"uncached_input_tokens", "output_tokens"}
        _, used = await get(world, f"{USAGE}&group_by[]=service_tier")
        assert {row["service_tier"] for row in used["data"][0]["results"]} == {"standard", "priority"}


async def test_analytics_land_later_and_say_how_far_they_are() -> None:
    async with organisation(scenario(pageSize=1)) as world:
        await world.use(KEY)
        await world.use(KEY, model="claude-sonnet-5-5")
        assert (await get(world, f"analytics/usage?{RANGE}"))[0] == 404  # without the beta
        world.clock.now += 4 * 3600
        _, page = await get(world, f"analytics/usage?{RANGE}&group_by[]=model", **ANALYTICS)
        assert (page["data"], page["data_refreshed_at"]) == ([], "2026-11-24T00:00:00Z")
        world.clock.now += DAY
        _, page = await get(world, f"analytics/usage?{RANGE}&group_by[]=model", **ANALYTICS)
        assert (len(page["data"]), page["has_more"]) == (1, True)
        assert page["data"][0]["usage"]["requests"] == 1
        _, more = await get(world, f"analytics/usage?{RANGE}&group_by[]=model&page={page['next_page']}", **ANALYTICS)
        assert {page["data"][0]["group"]["model"], more["data"][0]["group"]["model"]} == {
            "claude-haiku-5-5",
            "claude-sonnet-5-5",
        }
        _, costs = await get(world, f"analytics/cost?{RANGE}&group_by[]=token_type", **ANALYTICS)
        assert costs["data"][0]["group"]["token_type"]
        world.clock.now += 3600
        assert (await get(world, f"analytics/usage?{RANGE}&page={page['next_page']}", **ANALYTICS))[0] == 410


async def test_who_may_not_ask_is_told_so() -> None:
    async with organisation(scenario()) as world:
        assert (await get(world, "me", KEY))[0] == 401
        assert (await get(world, "me"))[1]["name"] == "Simulated organisation"
        for account, words in (("individual", "individual accounts"), ("aws", "Claude Platform on AWS")):
            await world.api.steer(scenario(account=account))
            status, answer = await get(world, "me")
            assert status == 403
            assert words in answer["error"]["message"]


async def test_faults_happen_and_are_listed() -> None:
    async with organisation(scenario(requestsPerMinute=2)) as world:
        assert [(await get(world, "me"))[0] for _ in range(3)] == [200, 200, 429]
        world.clock.now += 61
        await world.api.steer(scenario(errorRate=1.0))
        assert (await get(world, "me"))[0] == 500
        await world.api.steer(scenario(breakRate=1.0))
        with pytest.raises(aiohttp.ClientError):
            await get(world, "me")
        polls = await world.polls()
    assert [poll["status"] for poll in polls] == [200, 200, 429, 500, 0]
    assert polls[3]["at"] - polls[0]["at"] == 61


async def test_keys_and_workspaces_are_listed() -> None:
    workspaces = [{"id": "wrkspc_search", "name": "Search", "keys": ["*search*"]}]
    async with organisation(scenario(workspaces=workspaces)) as world:
        await world.use("sk-ant-api03-search-0123456789")
        await world.use(KEY)
        _, first = await get(world, "api_keys?limit=1")
        _, second = await get(world, f"api_keys?limit=1&after_id={first['last_id']}")
        assert (first["has_more"], second["has_more"]) == (True, False)
        keys = [first["data"][0], second["data"][0]]
        assert {key["partial_key_hint"] for key in keys} == {"sk-ant-api03-sea...6789", "sk-ant-api03-sup...6789"}
        assert {key["workspace_id"] for key in keys} == {"wrkspc_search", None}
        assert (await get(world, "workspaces"))[1]["data"][0]["name"] == "Search"


async def test_batches_are_reported_at_their_tier() -> None:
    async with organisation(scenario()) as world:
        request = {"custom_id": "a", "params": {"model": "claude-haiku-5-5", "max_tokens": 9, "messages": [TEXT]}}
        headers = {"x-api-key": KEY, "anthropic-version": "2026-10-21"}
        url = f"{world.api.url}/v1/messages/batches"
        async with world.api.http.post(url, json={"requests": [request]}, headers=headers) as response:
            batch = (await response.json())["id"]
        world.clock.now += 60
        async with world.api.http.get(f"{url}/{batch}", headers=headers) as response:
            assert (await response.json())["processing_status"] == "ended"
        (entry,) = await world.book()
        assert entry["serviceTier"] == "batch"


TEXT = {"role": "user", "content": "Hello"}


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "claude-opus-5-5", "claude-fable-5-2", "claude-mythos-preview"])
@pytest.mark.parametrize("tier", ["standard", "batch", "priority"])
@pytest.mark.parametrize("fresh", [10, 90_000])
def test_cents_are_those_of_the_price_list(model: str, tier: str, fresh: int) -> None:
    known = find(model)
    assert known is not None
    usage = {
        "input_tokens": fresh,
        "cache_creation_input_tokens": 9000,
        "cache_read_input_tokens": 4000,
        "cache_creation": {"ephemeral_5m_input_tokens": 7000, "ephemeral_1h_input_tokens": 2000},
        "output_tokens": 77,
        "service_tier": tier,
        "inference_geo": "us",
    }
    expected = cost_usd(known, usage)
    found = sum(_cents(known, usage).values())
    assert float(found) == pytest.approx((expected or 0.0) * 100)
