"""Cost of one call, each row reckoned by hand from the list prices per million tokens."""

from __future__ import annotations

import pytest

from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.catalogue.table import Model, Prices

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
        ("claude-opus-5-5", {}, 0.0),
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
