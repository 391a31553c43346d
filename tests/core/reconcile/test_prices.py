"""How many times as dear a canary is by the price lists: what the judge does not hold against it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.core.reconcile.rules.sample import CANARY, STABLE, observed, serving

from claude_operator.core.reconcile.prices import cost_ratio

OPUS, SONNET = "claude-opus-5-5", "claude-sonnet-5-5"


def spec(model: str, subagents: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    overlays = {name: {"request": request} for name, request in (subagents or {}).items()}
    return {"spec": {"request": {"model": model, **fields}, "subagents": overlays}}


@pytest.mark.parametrize(
    ("stable", "canary", "ratio"),
    [
        (spec(SONNET), spec(OPUS), 2.0),
        (spec(OPUS), spec(SONNET), 1.0),
        # Input is 5 / 4 and a read 0.5 / 0.2: the ratio of a warm conversation is near the latter.
        (spec(OPUS), spec("claude-opus-5"), 2.5),
        # Fast mode and geography were chosen as a model is.
        (spec(OPUS), spec(OPUS, speed="fast"), 2.0),
        (spec(OPUS), spec(OPUS, inference_geo="us"), 1.1),
        (spec(OPUS, speed="fast"), spec(OPUS), 1.0),
        (spec(OPUS, speed="fast"), spec(OPUS, speed="fast"), 1.0),
        (spec(SONNET), spec(OPUS, speed="fast", inference_geo="us"), 2 * 2 * 1.1),
        (spec(OPUS, speed="fast"), spec("claude-fable-5", inference_geo="us"), 5 * 1.1 / 2),  # reads 1 / 0.2
        # A model of a subagent's own, compared with the same subagent, or with the request that it had before.
        (spec(OPUS, {"look": {"model": SONNET}}), spec(OPUS, {"look": {"model": OPUS}}), 2.0),
        (spec(SONNET), spec(SONNET, {"look": {"model": OPUS}}), 2.0),
        (spec(OPUS), spec(OPUS, {"look": {"model": SONNET}}), 1.0),
        (spec(SONNET), spec("claude-never-1"), 1.0),
        ({}, spec(OPUS), 1.0),
    ],
)
def test_cost_ratio(stable: dict[str, Any], canary: dict[str, Any], ratio: float) -> None:
    obs = observed(serving(), revisions={STABLE: stable, CANARY: canary})
    assert cost_ratio(obs, STABLE, CANARY) == pytest.approx(ratio)
