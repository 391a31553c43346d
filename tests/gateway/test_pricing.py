"""Costs that do not depend on how warm an arm's cache happens to be."""

from __future__ import annotations

from typing import Any

import pytest
from tests.gateway.harness import CANARY, STABLE
from tests.gateway.pod import MODEL, Pod

from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.catalogue.table import find
from claude_operator.gateway.pricing import HitRatio, steady_price
from claude_operator.gateway.usage import token_counts


def usage(read: int = 0, short: int = 0, long: int = 0, **more: Any) -> dict[str, Any]:
    split = {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long}
    counts = {"cache_read_input_tokens": read, "cache_creation_input_tokens": short + long, "cache_creation": split}
    return {"input_tokens": 50, "output_tokens": 200, **counts, **more}


COLD, WARM = usage(short=8000), usage(read=8000)


def steady(given: dict[str, Any], hit_ratio: float, model: str = MODEL) -> float | None:
    return steady_price(model, given, token_counts(given), cost_usd(model, given), hit_ratio)


@pytest.mark.parametrize("hit_ratio", [0.0, 0.25, 0.9, 1.0])
@pytest.mark.parametrize(
    ("read", "short", "long"),
    [(8000, 0, 0), (0, 8000, 0), (6000, 2000, 0), (0, 0, 8000), (5000, 750, 2250)],
)
def test_the_definition(read: int, short: int, long: int, hit_ratio: float) -> None:
    model = find(MODEL)
    assert model is not None
    prices = model.prices
    assert prices is not None
    assert prices.cache_read is not None
    assert prices.cache_write_5m is not None
    cached = 8000 * (hit_ratio * prices.cache_read + (1 - hit_ratio) * prices.cache_write_5m)
    expected = (50 * prices.input + 200 * prices.output + cached) / 1e6
    assert steady(usage(read, short, long), hit_ratio) == pytest.approx(expected, rel=1e-12)


def test_what_surrounds_the_tokens_stays_as_it_is() -> None:
    around = {"inference_geo": "us", "service_tier": "batch", "server_tool_use": {"web_search_requests": 3}}
    for ratio, same in ((1.0, WARM), (0.0, COLD)):
        for given in (COLD, WARM, usage(3000, 5000)):
            assert steady({**given, **around}, ratio) == pytest.approx(cost_usd(MODEL, {**same, **around}))


def test_without_cacheable_tokens_it_is_the_list_price() -> None:
    assert steady(usage(), 0.3) == cost_usd(MODEL, usage())


def test_iterations_are_repriced_each_by_its_own_model() -> None:
    entries = [{**COLD, "model": "claude-haiku-4-5"}, usage(read=3000, long=1000)]
    apart = [steady(COLD, 0.4, "claude-haiku-4-5"), steady(entries[1], 0.4)]
    assert None not in apart
    assert steady({**usage(), "iterations": entries}, 0.4) == pytest.approx(sum(each or 0.0 for each in apart))


def test_an_unknown_price_stays_unknown() -> None:
    assert steady(COLD, 0.5, "claude-unknown-9") is None
    assert steady({**WARM, "iterations": [7]}, 0.5) is None


def test_what_a_commitment_covers_is_compared_as_if_it_were_not() -> None:
    """Priority Tier is paid in advance: it adds nothing to the bill, and both arms are still compared."""
    covered = {**usage(3000, 5000), "service_tier": "priority"}
    assert cost_usd(MODEL, covered) is None
    assert steady(covered, 0.4) == steady(usage(3000, 5000), 0.4)


def test_a_write_that_the_api_does_not_split_is_as_long_as_the_request_asked() -> None:
    """Opus 5.5: a million tokens written for five minutes cost $5, for an hour $8."""
    pod = Pod()
    unsplit = {"input_tokens": 0, "cache_creation_input_tokens": 1_000_000}
    for ttl in ("5m", "1h"):
        call = pod.begin("session:a")
        call.cache_ttl = ttl
        pod.end(call, usage=dict(unsplit))
    counters = pod.counters()
    assert counters.cost.sum == pytest.approx(5.0 + 8.0)
    assert (counters.tokens["cacheWrite5m"], counters.tokens["cacheWrite1h"]) == (1_000_000, 1_000_000)


# ------------------------------------------------------------------------------------------ the hit ratio


def test_the_ratio_starts_at_a_half_and_goes_to_what_is_seen() -> None:
    ratio = HitRatio()
    assert ratio.value == 0.5
    ratio.add(token_counts(usage(short=200)))
    assert 0.4 < ratio.value < 0.5  # a few tokens move it a little
    for _ in range(200):
        ratio.add(token_counts(usage(read=9000, short=400, long=600)))
    assert ratio.value == pytest.approx(0.9, abs=0.001)


def warmed_up() -> Pod:
    """A process that has answered for a while, so that the ratio moves no more; on another surface."""
    pod = Pod()
    for _ in range(300):
        pod.settle("session:x", surface="other", usage=usage(read=7600, short=400))
    return pod


def mean_ln(pod: Pod, revision: str, name: str) -> float:
    """Over all cache states."""
    histograms = [getattr(counters, name) for counters in pod.all_counters(revision, "chat", 1).values()]
    mean: float = sum(each.ln_sum for each in histograms) / sum(each.count for each in histograms)
    return mean


def test_a_cold_arm_and_a_warm_arm_come_out_equal() -> None:
    pod = Pod()
    for _ in range(20):
        pod.settle("session:b", revision=CANARY, usage=COLD)
        pod.settle("session:a", usage=WARM)
        pod.store.hits = HitRatio()  # the same moment for both
    stable, canary = pod.counters(), pod.counters(CANARY)
    assert canary.cost.sum > 1.5 * stable.cost.sum
    assert canary.normalised_cost.sum == pytest.approx(stable.normalised_cost.sum)
    assert canary.normalised_cost.buckets == stable.normalised_cost.buckets


def test_over_a_whole_canary_what_remains_of_the_cold_start_is_small() -> None:
    pod = warmed_up()
    for number in range(100):
        pod.settle("session:b", revision=CANARY, usage=COLD if number < 20 else WARM)
        pod.settle("session:a", usage=usage(read=7600, short=400))
    assert mean_ln(pod, CANARY, "cost") - mean_ln(pod, STABLE, "cost") > 0.1
    assert abs(mean_ln(pod, CANARY, "normalised_cost") - mean_ln(pod, STABLE, "normalised_cost")) < 0.001


def test_a_longer_prompt_and_a_longer_answer_still_cost_more() -> None:
    pod = warmed_up()
    pod.settle("session:b", revision=CANARY, usage={**WARM, "output_tokens": 400})
    pod.settle("session:a", usage=WARM)
    stable, canary = pod.counters(), pod.counters(CANARY)
    assert canary.normalised_cost.sum > 1.3 * stable.normalised_cost.sum
    assert (stable.output_tokens.sum, canary.output_tokens.sum) == (200.0, 400.0)


def test_only_the_stable_arm_moves_the_ratio_and_generations_do_not_reset_it() -> None:
    pod = Pod()
    pod.settle("session:b", revision=CANARY, usage=COLD)
    assert pod.store.hits.value == 0.5
    pod.settle("session:a", usage=WARM)
    warm = pod.store.hits.value
    assert warm == 8500 / 9000
    pod.serve(2)
    pod.settle("session:b", revision=CANARY, usage=WARM)
    assert pod.store.hits.value == warm
    assert pod.counters(CANARY, generation=2).normalised_cost.sum == pytest.approx(steady(WARM, warm))


def test_only_complete_answers_have_a_normalised_cost_and_output() -> None:
    pod = Pod()
    for outcome in ("error", "canceled", "overload"):
        pod.settle("session:a", outcome, usage=usage(read=10))
    counters = pod.counters()
    assert counters.tokens["output"] == 600
    assert (counters.normalised_cost.count, counters.output_tokens.count) == (0, 0)
    pod.settle("session:a", usage=usage(read=10))
    assert (pod.counters().normalised_cost.count, pod.counters().output_tokens.count) == (1, 1)
