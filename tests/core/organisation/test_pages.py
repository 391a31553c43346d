"""The API's answers, as its documents show them, and what is no such answer."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from claude_operator.core.organisation import pages
from claude_operator.core.organisation.buckets import Bucket, CostRow, UsageRow

DAY = 1_754_006_400  # 2025-08-01T00:00:00Z
USAGE: dict[str, Any] = {
    "uncached_input_tokens": 1500,
    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
    "cache_read_input_tokens": 200,
    "output_tokens": 501,
    "server_tool_use": {"web_search_requests": 10},
    "account_id": None,
    "api_key_id": "apikey_01",
    "workspace_id": "wrkspc_01",
    "model": "claude-opus-4-6",
    "service_tier": "standard",
    "context_window": "0-200k",
    "inference_geo": "global",
    "service_account_id": None,
    "a_field_of_next_year": 1,
}
GROUP = ("apikey_01", "wrkspc_01", "", "", "claude-opus-4-6", "standard", "0-200k", "global", "")


def report(*results: dict[str, Any], **fields: Any) -> bytes:
    bucket = {"starting_at": "2025-08-01T00:00:00Z", "ending_at": "2025-08-02T00:00:00Z", "results": list(results)}
    return msgspec.json.encode({"data": [bucket], "has_more": False, "next_page": None} | fields)


def test_usage_is_read() -> None:
    page = pages.usage_report(report(USAGE, has_more=True, next_page="page_1"))
    assert page.next == "page_1"
    assert page.buckets == (Bucket(DAY, (UsageRow(GROUP, (1500, 200, 500, 1000, 501, 10)),)),)
    assert pages.usage_report(report()).buckets == (Bucket(DAY),)  # nobody used anything


def test_rows_of_one_group_are_added() -> None:
    ((row,),) = (bucket.rows for bucket in pages.usage_report(report(USAGE, USAGE)).buckets)
    assert row.counts == (3000, 400, 1000, 2000, 1002, 20)


def test_costs_are_exact() -> None:
    line = {"currency": "USD", "description": "Claude", "token_type": "output_tokens", "workspace_id": None}
    page = pages.cost_report(report({**line, "amount": "123.78912"}, {**line, "amount": "0.0000000001"}))
    assert page.buckets == (
        Bucket(DAY, (CostRow(("", "", "Claude", "", "output_tokens", "", "", "", ""), Decimal("123.7891200001")),)),
    )


def test_analytics_are_rows_of_buckets() -> None:
    group = {"api_key_id": "apikey_01", "model": "m", "session_id": None}
    row = {"starting_at": "2025-08-01T00:00:00Z", "ending_at": "2025-08-02T00:00:00Z", "group": group}
    usage = {"uncached_input_tokens": 1, "output_tokens": 2, "requests": 3, "total_tokens": 3}
    page = pages.analytics_usage(
        msgspec.json.encode({"data": [{**row, "usage": usage}], "data_refreshed_at": "2025-08-02T04:00:00+00:00"})
    )
    assert page.complete_to == DAY + 28 * 3600
    assert page.buckets == (
        Bucket(DAY, (UsageRow(("apikey_01", "", "", "", "m", "", "", "", ""), (1, 0, 0, 0, 2, 0)),)),
    )
    nothing = pages.analytics_costs(b'{"data": [], "has_more": false, "next_page": null, "data_refreshed_at": null}')
    assert (nothing.buckets, nothing.complete_to) == ((), None)


def test_parts_of_a_bucket_become_one() -> None:
    one, other = UsageRow(("a",), (1, 0, 0, 0, 0, 0)), UsageRow(("b",), (2, 0, 0, 0, 0, 0))
    parts = (Bucket(DAY, (one,)), Bucket(0), Bucket(DAY, (other, one)))
    assert pages.merge(parts) == (Bucket(0), Bucket(DAY, (one, other)))


def test_lists_are_read() -> None:
    key = {"id": "apikey_01", "name": "Search", "partial_key_hint": "sk-ant-api03-R2D...igAA", "workspace_id": None}
    page = pages.api_keys(msgspec.json.encode({"data": [key], "has_more": True, "last_id": "apikey_01"}))
    assert (page.items[0].hint, page.items[0].workspace, page.next) == ("sk-ant-api03-R2D...igAA", "", "apikey_01")


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (pages.usage_report, b""),
        (pages.usage_report, b"<html>a proxy</html>"),
        (pages.usage_report, b"[]"),
        (pages.usage_report, b'{"data": {}}'),
        (pages.usage_report, b'{"has_more": false}'),
        (pages.usage_report, b"\xff"),
        (pages.usage_report, report({**USAGE, "output_tokens": -1})),
        (pages.usage_report, report({**USAGE, "output_tokens": 2**60})),
        (pages.usage_report, report({**USAGE, "output_tokens": 1.5})),
        (pages.usage_report, report(USAGE, has_more=True)),
        (pages.usage_report, b'{"data": [{"starting_at": "yesterday", "results": []}]}'),
        (pages.cost_report, report({"amount": "NaN"})),
        (pages.cost_report, report({"amount": "1e99"})),
        (pages.cost_report, report({"amount": "1e-999999999"})),
        (pages.cost_report, report({"amount": "0e999999999"})),
        (pages.cost_report, report({"amount": "ten"})),
        (pages.cost_report, report({"amount": "1", "currency": "EUR"})),
        (pages.api_keys, b'{"data": [{}]}'),
        (pages.organization, b"{}"),
    ],
)
def test_what_is_no_such_answer_counts_for_nothing(read: Callable[[bytes], pages.Page], data: bytes) -> None:
    with pytest.raises(ValueError, match="the API's answer"):
        read(data)
