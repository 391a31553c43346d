"""Cost of one call, each row reckoned by hand from the list prices per million tokens."""

from __future__ import annotations

import pytest

from claude_operator.core.catalogue.cost import at_standard_tier, cost_usd, price_ratio
from claude_operator.core.catalogue.table import Model, Prices, find

M = 1_000_000


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        # Opus 5.5: input 4, write 5 and 8, read 0.2, output 20.
        ("claude-opus-5-5", {"input_tokens": 1000, "output_tokens": 500}, 0.004 + 0.010),
        ("claude-opus-5-5", {"cache_read_input_tokens": M}, 0.2),
        ("claude-opus-5-5", {"cache_creation_input_tokens": M}, 5.0),
        (
            "claude-opus-5-5",
            {
                "cache_creation_input_tokens": 3000,
                "cache_creation": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
            },
            0.005 + 0.016,
        ),
        ("claude-opus-5-5", {"cache_creation": {"ephemeral_1h_input_tokens": M}}, 8.0),
        ("claude-opus-5-5", {"input_tokens": None, "cache_creation": None, "server_tool_use": None}, 0.0),
        # Cache reads are 0.025, 0.05 and 0.1 of input.
        ("claude-fable-5-2", {"cache_read_input_tokens": M}, 0.2),
        ("claude-sonnet-5-5", {"cache_read_input_tokens": M}, 0.1),
        ("claude-sonnet-4-6", {"cache_read_input_tokens": M}, 0.3),
        # By alias.
        ("claude-haiku-4-5", {"input_tokens": M, "output_tokens": M}, 1.0 + 5.0),
        # Haiku 5.5 above 100,000 prompt tokens of all kinds: five times as much, output too.
        ("claude-haiku-5-5", {"input_tokens": 100_000, "output_tokens": 1000}, 0.01 + 0.0005),
        ("claude-haiku-5-5", {"input_tokens": 100_001, "output_tokens": 1000}, 0.0500005 + 0.0025),
        ("claude-haiku-5-5", {"input_tokens": 60_000, "cache_read_input_tokens": 60_000}, 0.030 + 0.003),
        ("claude-haiku-5-5", {"input_tokens": 60_000, "cache_creation_input_tokens": 60_000}, 0.030 + 0.0375),
        ("claude-opus-5-5", {"input_tokens": 200_000}, 0.8),
        # Where and how it ran.
        ("claude-opus-5-5", {"input_tokens": M, "output_tokens": M, "service_tier": "batch"}, 2.0 + 10.0),
        ("claude-opus-5-5", {"input_tokens": M, "output_tokens": M, "speed": "fast"}, 8.0 + 40.0),
        ("claude-fable-5-2", {"input_tokens": M, "output_tokens": M, "speed": "fast"}, 16.0 + 80.0),
        ("claude-opus-5", {"input_tokens": M, "output_tokens": M, "speed": "fast"}, 10.0 + 50.0),
        ("claude-opus-5-5", {"input_tokens": M, "inference_geo": "us"}, 4.4),
        ("claude-opus-5-5", {"input_tokens": M, "inference_geo": "global", "speed": "standard"}, 4.0),
        ("claude-opus-5-5", {"cache_read_input_tokens": M, "inference_geo": "us", "service_tier": "batch"}, 0.11),
        # Web searches cost 10 a thousand, whatever the rest costs.
        ("claude-opus-5-5", {"server_tool_use": {"web_search_requests": 3}}, 0.03),
        ("claude-opus-5-5", {"server_tool_use": {"web_search_requests": 3}, "service_tier": "batch"}, 0.03),
        ("claude-opus-5-5", {"server_tool_use": {"web_fetch_requests": 9}}, 0.0),
        # Iterations stand in place of the top level, which leaves compaction out.
        (
            "claude-opus-5-5",
            {
                "input_tokens": 1000,
                "output_tokens": 100,
                "iterations": [
                    {"type": "compaction", "input_tokens": 100_000, "output_tokens": 2000},
                    {"type": "message", "input_tokens": 1000, "output_tokens": 100},
                ],
            },
            0.4 + 0.04 + 0.004 + 0.002,
        ),
        (
            "claude-opus-5-5",
            {"iterations": [{"model": "claude-sonnet-5-5", "input_tokens": M}, {"input_tokens": M}]},
            2.0 + 4.0,
        ),
        ("claude-opus-5-5", {"input_tokens": M, "iterations": []}, 4.0),
        # Each iteration has its own prompt, and so its own tier: 3 x 60,000 at 0.1, 120,000 at 0.5.
        (
            "claude-haiku-5-5",
            {"input_tokens": 180_000, "iterations": [{"input_tokens": 60_000}] * 3},
            3 * 0.006,
        ),
        (
            "claude-haiku-5-5",
            {"iterations": [{"input_tokens": 60_000}, {"cache_read_input_tokens": 120_000, "output_tokens": 1000}]},
            0.006 + 120_000 * 0.05 / M + 0.0025,
        ),
        # Writes of an hour in an iteration: 10,000 at 8; what the split lacks of the sum is for 5 minutes: 2,000 at 5.
        (
            "claude-opus-5-5",
            {
                "iterations": [
                    {"cache_creation_input_tokens": 12_000, "cache_creation": {"ephemeral_1h_input_tokens": 10_000}}
                ]
            },
            0.08 + 0.01,
        ),
        # All factors at once, on a cache write of an hour: 16 x 1.1 x 2; fast mode is not to be had in batches.
        (
            "claude-fable-5-2",
            {"cache_creation": {"ephemeral_1h_input_tokens": M}, "inference_geo": "us", "speed": "fast"},
            35.2,
        ),
        ("claude-haiku-5-5", {"input_tokens": 200_000, "service_tier": "batch", "inference_geo": "us"}, 0.055),
        ("claude-opus-4-8", {"output_tokens": M, "speed": "fast"}, 50.0),
        ("claude-mythos-5-2", {"cache_read_input_tokens": M, "speed": "fast"}, 0.4),
        # An iteration may say for itself how it ran: 4 x 2 and 4.
        ("claude-opus-5-5", {"iterations": [{"input_tokens": M, "speed": "fast"}, {"input_tokens": M}]}, 8.0 + 4.0),
        # The compaction is billed with the factors of the call: (0.4 + 0.02) x 1.1.
        (
            "claude-opus-5-5",
            {
                "inference_geo": "us",
                "iterations": [{"type": "compaction", "input_tokens": 100_000}, {"input_tokens": 5000}],
            },
            0.462,
        ),
        # Three searches beside 1.1 x 4: the factor is of tokens alone.
        (
            "claude-opus-5-5",
            {"input_tokens": M, "inference_geo": "us", "server_tool_use": {"web_search_requests": 3}},
            4.4 + 0.03,
        ),
    ],
)
def test_cost(model: str, usage: dict, usd: float) -> None:
    assert cost_usd(model, usage) == pytest.approx(usd, rel=1e-9)


@pytest.mark.parametrize("model", [None, "claude-never-1", "claude-mythos-preview", "claude-opus-4-1"])
def test_an_unknown_price_is_none_and_not_zero(model: str | None) -> None:
    assert cost_usd(model, {"input_tokens": 1}) is None


def test_a_part_without_a_price_is_none_only_where_it_was_used() -> None:
    model = Model(id="x", prices=Prices(input=1.0, output=5.0))
    assert cost_usd(model, {"input_tokens": M}) == pytest.approx(1.0)
    assert cost_usd(model, {"input_tokens": M, "cache_read_input_tokens": 1}) is None


def test_an_iteration_on_an_unknown_model_is_none() -> None:
    assert cost_usd("claude-opus-5-5", {"iterations": [{"model": "claude-never-1", "input_tokens": 1}]}) is None


_TABLE = """
claude-fable-5-2            8    10    16   0.2   40
claude-mythos-5-2           8    10    16   0.2   40
claude-fable-5-1           10  12.5    20  0.25   50
claude-mythos-5-1          10  12.5    20  0.25   50
claude-fable-5             10  12.5    20     1   50
claude-mythos-5            10  12.5    20     1   50
claude-opus-5-5             4     5     8   0.2   20
claude-opus-5               5  6.25    10   0.5   25
claude-opus-4-8             5  6.25    10   0.5   25
claude-opus-4-7             5  6.25    10   0.5   25
claude-opus-4-6             5  6.25    10   0.5   25
claude-opus-4-5-20251101    5  6.25    10   0.5   25
claude-sonnet-5-5           2   2.5     4   0.1   10
claude-sonnet-5             2   2.5     4   0.2   10
claude-sonnet-4-6           3  3.75     6   0.3   15
claude-sonnet-4-5-20250929  3  3.75     6   0.3   15
claude-haiku-4-5-20251001   1  1.25     2   0.1    5
"""


@pytest.mark.parametrize("row", _TABLE.split("\n")[1:-1])
def test_every_price_of_the_list(row: str) -> None:
    """A million tokens of one kind: input, 5m write, 1h write, read, output. Half of it in a batch."""
    model, *prices = row.split()
    buckets = [
        {"input_tokens": M},
        {"cache_creation_input_tokens": M, "cache_creation": {"ephemeral_5m_input_tokens": M}},
        {"cache_creation_input_tokens": M, "cache_creation": {"ephemeral_1h_input_tokens": M}},
        {"cache_read_input_tokens": M},
        {"output_tokens": M},
    ]
    for usage, price in zip(buckets, map(float, prices), strict=True):
        assert cost_usd(model, usage) == pytest.approx(price)
        assert cost_usd(model, {**usage, "service_tier": "batch"}) == pytest.approx(price / 2)


@pytest.mark.parametrize(
    ("prompt", "prices"), [(100_000, (0.1, 0.125, 0.2, 0.01, 0.5)), (100_001, (0.5, 0.625, 1.0, 0.05, 2.5))]
)
def test_both_tiers_of_haiku_5_5(prompt: int, prices: tuple[float, ...]) -> None:
    """The prompt is of one kind; 1,000 tokens of output have the price of its tier too."""
    kinds: list[dict] = [
        {"input_tokens": prompt},
        {"cache_creation_input_tokens": prompt},
        {"cache_creation": {"ephemeral_1h_input_tokens": prompt}},
        {"cache_read_input_tokens": prompt},
    ]
    for usage, price in zip(kinds, prices, strict=False):
        expected = (prompt * price + 1000 * prices[4]) / M
        assert cost_usd("claude-haiku-5-5", {**usage, "output_tokens": 1000}) == pytest.approx(expected)


def test_what_a_commitment_covers_has_no_price_of_its_own() -> None:
    covered = {"input_tokens": M, "service_tier": "priority"}
    assert cost_usd("claude-opus-4-8", covered) is None
    assert cost_usd("claude-opus-4-8", at_standard_tier(covered)) == pytest.approx(5.0)


@pytest.mark.parametrize("model", ["claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-4-7"])
def test_fast_mode_of_a_model_without_one_has_no_price(model: str) -> None:
    assert cost_usd(model, {"input_tokens": M, "speed": "fast"}) is None


@pytest.mark.parametrize(
    "model",
    [
        "claude-opus-4-6[1m]",
        "anthropic.claude-opus-4-6-v1",
        "us.anthropic.claude-opus-4-8",
        "claude-haiku-4-5@20251001",
    ],
)
def test_ids_of_other_platforms_have_no_price(model: str) -> None:
    assert cost_usd(model, {"input_tokens": 1}) is None


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"input_tokens": -1},
        {"input_tokens": 10**10},
        {"input_tokens": float("nan")},
        {"input_tokens": "5"},
        {"input_tokens": True},
        {"output_tokens": 10**9},  # $20,000 for one answer
        {"iterations": [7]},
        {"iterations": 7},
        {"cache_creation": [1]},
        {"server_tool_use": {"web_search_requests": -5}},
    ],
)
def test_a_usage_that_makes_no_sense_has_no_price(usage: dict) -> None:
    assert cost_usd("claude-opus-5-5", usage) is None


# ---------------------------------------------------------------------------------- prices of the installation's own

OWN = {
    "claude-opus-5-5": Prices(input=3.2, output=16.0, cache_read=0.16),
    "anthropic.claude-opus-4-8": Prices(input=5.0, output=25.0),
}


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        ("claude-opus-5-5", {"input_tokens": M, "output_tokens": M}, 3.2 + 16.0),
        ("claude-opus-5-5", {"input_tokens": M, "speed": "fast", "inference_geo": "us"}, 3.2 * 2 * 1.1),
        ("anthropic.claude-opus-4-8", {"input_tokens": M}, 5.0),
        ("claude-sonnet-5-5", {"input_tokens": M}, 2.0),  # those that are not named have the list's
        ("claude-sonnet-5-5", {"iterations": [{"model": "claude-opus-5-5", "input_tokens": M}]}, 3.2),
        ("claude-opus-5-5", {"cache_creation_input_tokens": 1}, None),  # its own prices lack that of writes
        ("anthropic.claude-opus-4-8", {"input_tokens": M, "speed": "fast"}, None),
    ],
)
def test_own_prices_hold_instead(model: str, usage: dict, usd: float | None) -> None:
    found = cost_usd(model, usage, OWN)
    assert found == (usd if usd is None else pytest.approx(usd))


# ------------------------------------------------------------------------------------------ ratios of price lists


@pytest.mark.parametrize(
    ("before", "after", "ratio"),
    [
        ("claude-opus-5-5", "claude-opus-5-5", 1.0),
        ("claude-sonnet-5-5", "claude-opus-5-5", 2.0),  # 4 / 2, 20 / 10, 0.2 / 0.1
        ("claude-opus-5-5", "claude-sonnet-5-5", 1.0),  # never less
        ("claude-opus-5-5", "claude-opus-5", 2.5),  # input 5 / 4, but reads 0.5 / 0.2
        ("claude-fable-5-2", "claude-fable-5", 5.0),  # input 10 / 8, but reads 1 / 0.2
        ("claude-haiku-5-5", "claude-sonnet-5-5", 20.0),  # of the cheaper tier: 2 / 0.1
        ("claude-haiku-4-5", "claude-haiku-5-5", 1.0),  # 0.1 / 1; above 100,000 tokens 0.5 / 1
    ],
)
def test_price_ratio(before: str, after: str, ratio: float) -> None:
    old, new = find(before), find(after)
    assert old is not None
    assert new is not None
    assert price_ratio(old.prices, new.prices) == pytest.approx(ratio)


def test_what_has_no_price_explains_nothing() -> None:
    opus = find("claude-opus-5-5")
    assert opus is not None
    assert price_ratio(None, opus.prices) == price_ratio(opus.prices, None) == 1.0
