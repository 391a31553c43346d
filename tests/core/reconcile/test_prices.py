"""How many times as dear a canary is by the price lists: what the judge does not hold against it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.core.reconcile.rules.sample import CANARY, NEW, OLD, SITE, STABLE, ago, observed, raw, serving, trial

from claude_operator.api.conditions import Type
from claude_operator.api.gateway import dump_config, parse_config
from claude_operator.api.prices import TokenPrices
from claude_operator.api.status import DeploymentStatus, SoakStatus
from claude_operator.core.catalogue.lifecycle import from_spec
from claude_operator.core.catalogue.own_prices import lay_over
from claude_operator.core.catalogue.table import Model
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.price_list import parse_price_list
from claude_operator.core.reconcile.prices import cost_ratio, prices_to_serve

OPUS, SONNET = "claude-opus-5-5", "claude-sonnet-5-5"
UPSTREAM = {"upstream": {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}}


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


# ----------------------------------------------------------------------------------------------- prices of one's own

HALF = TokenPrices(2.0, 10.0, 0.1, 2.5, 4.0)
FILE = "models: {claude-opus-5-5: {input: 2, output: 10, cacheRead: 0.1, cacheWrite5M: 2.5, cacheWrite1H: 4}}"
MODELS = lay_over({}, parse_price_list(FILE))


def soaking() -> DeploymentStatus:
    status = serving()
    assert status.rollout is not None
    soak = SoakStatus(revision=STABLE, previous=CANARY, started_at=ago(60), until=ago(-600), max_increase=0.25)
    return status.model_copy(update={"soak": soak})


def live(obs: Observation, prices: dict[str, TokenPrices]) -> Observation:
    assert obs.config is not None
    return replace(obs, config=msgspec.structs.replace(obs.config, prices=prices or msgspec.UNSET))


@pytest.mark.parametrize(
    ("status", "before", "expected"),
    [
        (serving(), {}, {OPUS: HALF}),
        (serving(), {"x": HALF}, {OPUS: HALF}),
        # What is judged is judged by the prices that it began with: a rollout and a soak.
        (trial(1), {}, {}),
        (trial(1), {"x": HALF}, {"x": HALF}),
        (trial(None), {"x": HALF}, {"x": HALF}),
        (soaking(), {"x": HALF}, {"x": HALF}),
    ],
)
def test_new_prices_wait_for_the_end_of_what_is_judged(
    status: DeploymentStatus, before: dict[str, TokenPrices], expected: dict[str, TokenPrices]
) -> None:
    obs = live(observed(status, models=MODELS), before)
    assert prices_to_serve(obs, status) == expected


def test_prices_that_cannot_be_read_take_nothing_away() -> None:
    obs = live(observed(serving(), price_fault="prices.yaml is not UTF-8"), {OPUS: HALF})
    assert prices_to_serve(obs, serving()) == {OPUS: HALF}
    assert prices_to_serve(replace(obs, config=None), serving()) == {}
    config = decide(obs, SITE).config
    assert config is None or config.own_prices == {OPUS: HALF}


def test_new_prices_reach_the_gateways_in_a_document_of_their_own() -> None:
    obs = observed(serving(), raw("Be kind."), models=MODELS)
    decision = decide(obs, SITE)
    assert decision.config is not None
    assert obs.config is not None
    # Older gateways refuse fields that they do not know.
    assert parse_config(dump_config(decision.config)).own_prices == {}
    assert decision.config.own_prices == {OPUS: HALF}
    assert decision.config.generation == obs.config.generation + 1


@pytest.mark.parametrize("prices", [{"input": -1, "output": 1}, {"input": 12_000, "output": 60_000}])
def test_a_price_that_gateways_refuse_is_no_price(prices: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="prices are not from 0 to 10,000: write US dollars per million tokens"):
        from_spec({"id": "my-model", "pricesUSDPerMTok": prices})


def test_the_ratio_is_of_the_prices_that_gateways_count_by() -> None:
    """Sonnet 5.5 has 2 and 10 by the list: at half the price Opus 5.5 is as dear, whatever the file says by now."""
    revisions = {STABLE: spec(SONNET), CANARY: spec(OPUS)}
    obs = observed(trial(1), revisions=revisions, models=MODELS)
    assert cost_ratio(live(obs, {}), STABLE, CANARY) == pytest.approx(2.0)
    assert cost_ratio(live(obs, {OPUS: HALF}), STABLE, CANARY) == pytest.approx(1.0)


# ------------------------------------------------------------------------------------------------ no price at all

BEDROCK = "us.anthropic.claude-opus-4-8"


def told(obs: Observation, type_: Type) -> tuple[str, str, str]:
    found = next(one for one in decide(obs, SITE).status.conditions if one.type == type_)
    return found.status, found.reason, found.message


@pytest.mark.parametrize(
    ("model", "status", "reason"),
    [(BEDROCK, "Unknown", "UnknownModel"), ("claude-mythos-preview", "False", "Deprecated")],
)
def test_a_model_without_a_price_is_told(model: str, status: str, reason: str) -> None:
    request = {"model": model, "max_tokens": 10}
    found = told(observed(serving(), {"request": request, **UPSTREAM}), Type.MODEL_CURRENT)
    assert found[:2] == (status, reason)
    assert f"{model} has no price, so what its answers cost is not known" in found[2]


def test_a_known_model_without_a_price_is_not_shown_as_healthy() -> None:
    models = {"claude-next-1": Model(id="claude-next-1")}
    request = {"model": "claude-next-1", "max_tokens": 10}
    found = told(observed(serving(), {"request": request, **UPSTREAM}, models=models), Type.MODEL_CURRENT)
    assert found[:2] == ("Unknown", "PriceUnknown")


def test_prices_that_cannot_be_read_are_told() -> None:
    found = told(observed(serving(), price_fault="prices.yaml is not UTF-8"), Type.MODEL_CURRENT)
    assert found[:2] == ("Unknown", "PriceUnknown")
    assert "prices.yaml is not UTF-8" in found[2]


@pytest.mark.parametrize(("metrics", "said"), [(None, True), (["cost"], True), (["errors"], False)])
def test_the_judge_says_that_it_does_not_compare_cost(metrics: list[str] | None, said: bool) -> None:
    plan = {"metrics": [{"name": name} for name in metrics]} if metrics else {}
    status = trial(1)
    assert status.rollout is not None
    analysis = status.rollout.plan.analysis.model_validate(plan)
    rollout = status.rollout.model_copy(update={"plan": status.rollout.plan.model_copy(update={"analysis": analysis})})
    blind = {**NEW, "spec": {**NEW["spec"], "request": {**NEW["spec"]["request"], "model": BEDROCK}}}
    obs = observed(status.model_copy(update={"rollout": rollout}), revisions={STABLE: OLD, CANARY: blind})
    found = told(obs, Type.CANARY_HEALTHY)
    assert found[:2] == ("True", "Watching")
    assert (f"cost is not compared, since there is no price of {BEDROCK}" in found[2]) == said
