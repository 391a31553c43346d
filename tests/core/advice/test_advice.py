"""Advice: its arithmetic is what calls cost, its patches are accepted, and none of them makes the bill larger."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.advice.cases import HAIKU, OPUS, SONNET, STABLE, cache, case, row, slow, spec, spend, usage
from tests.core.usage.readings import NOON

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evidence import OTHER
from claude_operator.api.prices import TokenPrices
from claude_operator.core.advice.advice import Advice
from claude_operator.core.advice.advise import advise
from claude_operator.core.advice.caching import with_breakpoint
from claude_operator.core.advice.case import Case
from claude_operator.core.advice.models import bill_now, cheaper_models
from claude_operator.core.advice.patches import merged, objections
from claude_operator.core.advice.waiting import throughput_patch
from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.catalogue.lifecycle import Lifecycle, lifecycle_of
from claude_operator.core.catalogue.own_prices import book_of
from claude_operator.core.catalogue.table import all_models
from claude_operator.core.spec.validate import problems
from claude_operator.core.text import tokens_text
from claude_operator.core.usage.cache import CacheUsage, Entry, Lost, Sums
from claude_operator.core.usage.cold import Cause
from claude_operator.core.usage.state import Usages

TODAY = NOON.date()
CHAT = (900, 400, 3_000, 100, 0)
SCOPE_CALLS = 10_000


def levers(found: tuple[Advice, ...]) -> dict[str, list[Advice]]:
    by: dict[str, list[Advice]] = {}
    for one in found:
        by.setdefault(one.lever, []).append(one)
    return by


def accepted(one: Case, advice: Advice) -> DeploymentSpec:
    """The spec after the patch, which the operator takes."""
    after = DeploymentSpec.model_validate(merged(one.raw, advice.patch["spec"]))
    assert problems(after, today=TODAY) == []
    return after


# ------------------------------------------------------------------------------------------------------ properties

models = st.sampled_from([one.id for one in all_models() if one.prices is not None])
counts = st.integers(0, 40_000)
token_counts = st.tuples(counts, counts, counts, counts, counts)


@settings(max_examples=60, deadline=None)
@given(model=models, tokens=token_counts, calls=st.integers(100, 50_000), geo=st.sampled_from(["us", None]))
def test_the_arithmetic_is_what_calls_cost_and_no_patch_makes_the_bill_larger(
    model: str, tokens: Any, calls: int, geo: str | None
) -> None:
    where = {"inference_geo": geo} if geo else {}
    one = case(spec(request={"model": model, **where}), row("chat", calls, tokens, model))
    scope = next(one.scopes())
    assert scope.measured.calls == 7 * calls
    now = bill_now(one, scope)
    usd = cost_usd(model, usage(tokens) | where)
    assert now is not None and usd is not None
    assert sum(line.usd for line in now.values()) * one.days == pytest.approx(7 * calls * usd)
    for other, move in cheaper_models(one, scope):
        if any(move.then[kind].tokens != line.tokens for kind, line in move.now.items()):
            continue  # 30 % more tokens have a test of their own
        then = cost_usd(other.id, usage(tokens) | where)
        assert then is not None and move.after * one.days == pytest.approx(7 * calls * then)
    for advice in advise(one).advice:
        assert advice.saves is None or advice.saves > 0
        if not problems(one.spec, today=TODAY):
            accepted(one, advice)
        assert objections(one, advice.patch) == []


@settings(max_examples=40, deadline=None)
@given(
    cause=st.sampled_from([Cause.NOT_CACHED, Cause.PREFIX_UNMARKED, Cause.TTL_TOO_SHORT, Cause.CLIENT_BLOCK_FIRST]),
    lost=st.integers(0, 10**9),
    written=st.integers(0, 10**9),
    marked=st.booleans(),
    append=st.booleans(),
)
def test_caching_is_advised_only_where_it_costs_less(
    cause: Cause, lost: int, written: int, marked: bool, append: bool
) -> None:
    block = {"type": "text", "text": "Help."} | ({"cache_control": {"type": "ephemeral"}} if marked else {})
    more = {"overrides": {"system": "Append"}} if append else {}
    found = cache(cause, lost=lost, written=written)
    one = case(spec(request={"system": [block]}, **more), row("chat", 3_000, CHAT), cache=found)
    for advice in levers(advise(one).advice).get("Caching", []):
        assert advice.saves is not None and advice.saves > 0
        assert objections(one, advice.patch) == []
        assert accepted(one, advice) != one.spec


# ---------------------------------------------------------------------------------------------------------- models


def test_a_smaller_model_is_reckoned_to_the_cent() -> None:
    one = case(spec(), row("chat", SCOPE_CALLS, (1_000, 500, 0, 0, 0)))
    smaller = levers(advise(one).advice)["SmallerModel"]
    assert [advice.patch["spec"]["request"]["model"] for advice in smaller] == [HAIKU, SONNET]
    # 7 days of calls in 6.5 days: 70,000 calls, 70M input tokens at 4 and 2 dollars, 35M output tokens at 20 and 10.
    assert smaller[1].saves == pytest.approx((70 * (4 - 2) + 35 * (20 - 10)) / 6.5)
    assert smaller[1].arithmetic == (
        "10.77M input tokens a day × $4/M = $43.08; on claude-sonnet-5-5: × $2/M = $21.54",
        "5.385M output tokens a day × $20/M = $107.69; on claude-sonnet-5-5: × $10/M = $53.85",
        "$150.77 - $75.38 = $75.38 a day, $2,261.54 in 30 days",
    )
    assert (smaller[1].confidence.level, smaller[1].confidence.why) == ("High", "70,000 calls in 6.5 days")


@pytest.mark.parametrize("model", [one.id for one in all_models() if one.prices])
def test_what_is_not_active_is_never_advised(model: str) -> None:
    rows = row("chat", SCOPE_CALLS, CHAT, model), row("agent", SCOPE_CALLS, CHAT, OPUS, "scout")
    one = case(spec(request={"model": model}, subagents={"scout": {"request": {"model": OPUS}}}), *rows)
    for advice in advise(one).advice:
        for part in (advice.patch["spec"], *(advice.patch["spec"].get("subagents") or {}).values()):
            name = (part.get("request") or {}).get("model")
            if name:
                assert lifecycle_of(name, TODAY).lifecycle is Lifecycle.ACTIVE
                assert "mythos" not in name or "mythos" in model


def test_a_model_that_would_refuse_the_request_is_not_offered_and_the_reason_is_told() -> None:
    old = "claude-opus-4-6"
    one = case(spec(request={"model": old, "tool_choice": {"type": "any"}}), row("chat", SCOPE_CALLS, CHAT, old))
    found = advise(one)
    offered = [advice.patch["spec"]["request"]["model"] for advice in levers(found.advice)["SmallerModel"]]
    assert offered == [HAIKU]
    assert any("claude-sonnet-5-5 would cost less, but" in text and "tool_choice" in text for text in found.missing)


def test_more_tokens_of_a_newer_tokenizer_are_in_the_arithmetic() -> None:
    old = "claude-sonnet-4-6"
    one = case(spec(request={"model": old}), row("chat", SCOPE_CALLS, (1_000, 500, 0, 0, 0), old))
    (advice,) = [a for a in levers(advise(one).advice)["SmallerModel"] if SONNET in a.title]
    assert advice.saves == pytest.approx((70 * (3 - 1.3 * 2) + 35 * (15 - 1.3 * 10)) / 6.5)
    assert "30 % more tokens" in advice.assumes[0]


def test_a_subagent_has_a_model_of_its_own() -> None:
    rows = row("chat", SCOPE_CALLS, CHAT), row("agent", SCOPE_CALLS, CHAT, OPUS, "scout")
    one = case(spec(subagents={"scout": {"request": {"max_tokens": 512}}}), *rows)
    found = levers(advise(one).advice)
    patches = [advice.patch["spec"]["subagents"]["scout"]["request"] for advice in found["SubagentModel"]]
    assert patches == [{"model": HAIKU}, {"model": SONNET}]
    assert {advice.confidence.why for advice in found["SmallerModel"]} == {"140,000 calls in 6.5 days"}
    own = case(spec(subagents={"scout": {"request": {"model": OPUS}}}), *rows)
    found = levers(advise(own).advice)
    assert {advice.confidence.why for advice in found["SmallerModel"]} == {"70,000 calls in 6.5 days"}


def test_own_prices_come_before_the_list() -> None:
    one = case(spec(), row("chat", SCOPE_CALLS, (1_000, 500, 0, 0, 0)))
    book = book_of({SONNET: TokenPrices(3.9, 19.9, 0.1, 2.5, 4.0)})
    own = Case(one.raw, one.usages, one.stable, one.now, book)
    (advice,) = [a for a in levers(advise(own).advice)["SmallerModel"] if SONNET in a.title]
    assert advice.saves == pytest.approx((70 * 0.1 + 35 * 0.1) / 6.5)


def test_a_models_price_for_long_prompts_is_that_of_the_mean_prompt() -> None:
    one = case(spec(), row("chat", SCOPE_CALLS, (120_000, 500, 0, 0, 0)))
    (advice,) = [a for a in levers(advise(one).advice)["SmallerModel"] if HAIKU in a.title]
    assert "× $0.5/M" in advice.arithmetic[0]
    assert any("above 100,000 tokens claude-haiku-5-5 costs 5 times as much" in text for text in advice.assumes)


def test_tokens_that_cost_nothing_are_no_fault() -> None:
    one = case(spec(), row("chat", SCOPE_CALLS, (1_000, 500, 0, 0, 0)))
    free = Case(one.raw, one.usages, one.stable, one.now, book_of({SONNET: TokenPrices(1.0, 0.0, 0.1, 2.5, 4.0)}))
    (advice,) = [a for a in levers(advise(free).advice)["SmallerModel"] if SONNET in a.title]
    assert advice.saves == pytest.approx((70 * 3 + 35 * 20) / 6.5)
    assert not any("times as many" in text for text in advice.assumes)


OLD = "claude-sonnet-4-5-20250929"


@pytest.mark.parametrize(
    ("fields", "more", "listed"),
    [
        (
            {},
            {},
            "tool_choice of type any or tool, no sampling parameters (temperature, top_p, top_k),"
            " no thinking of type disabled or enabled and no assistant's message at the end",
        ),
        (
            {"thinking": {"type": "adaptive"}, "tool_choice": {"type": "auto"}},
            {},
            "sampling parameters (temperature, top_p, top_k) and no assistant's message at the end",
        ),
        ({}, {"overrides": {"unsupported": "Drop"}}, "tool_choice of type any or tool"),
    ],
    ids=["nothing", "declared", "dropped"],
)
def test_what_clients_send_and_the_smaller_model_refuses_is_assumed_away(
    fields: dict[str, Any], more: dict[str, Any], listed: str
) -> None:
    one = case(spec(request={"model": OLD, **fields}, **more), row("chat", SCOPE_CALLS, CHAT, OLD))
    (advice,) = [a for a in levers(advise(one).advice)["SmallerModel"] if SONNET in a.title]
    (told,) = [text for text in advice.assumes if text.startswith("clients send no")]
    them = "them" if " and no " in listed else "it"
    assert told == f"clients send no {listed}: {OLD} takes {them}, {SONNET} refuses the call"


def test_nothing_is_assumed_of_clients_where_both_models_take_the_same() -> None:
    one = case(spec(), row("chat", SCOPE_CALLS, CHAT))
    for advice in levers(advise(one).advice)["SmallerModel"]:
        assert not any(text.startswith("clients send no") for text in advice.assumes)


# ---------------------------------------------------------------------------------------------------------- effort


@pytest.mark.parametrize("own", [{"output_config": {"effort": "medium"}}, {"model": OPUS}])
def test_less_effort_saves_nothing_of_subagents_that_the_patch_does_not_reach(own: dict[str, Any]) -> None:
    rows = row("chat", SCOPE_CALLS, CHAT), row("agent", SCOPE_CALLS, CHAT, OPUS, "scout")
    one = case(spec(subagents={"scout": {"request": own}}), *rows)
    (advice,) = [a for a in levers(advise(one).advice)["LowerEffort"] if "subagents" not in a.patch["spec"]]
    assert advice.saves == pytest.approx(0.1 * 70_000 * 400 / 6.5 * 20 / 1e6)


def test_effort_goes_down_one_level_and_the_format_stays() -> None:
    config = {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}}
    one = case(spec(request={"output_config": config}), row("chat", SCOPE_CALLS, CHAT))
    (advice,) = levers(advise(one).advice)["LowerEffort"]
    assert advice.patch == {"spec": {"request": {"output_config": config | {"effort": "medium"}}}}
    assert (advice.confidence.level, advice.saves) == ("Low", pytest.approx(0.1 * 70_000 * 400 / 6.5 * 20 / 1e6))


@pytest.mark.parametrize(
    ("model", "effort"), [(OPUS, "low"), ("claude-haiku-4-5-20251001", None), ("claude-unheard-of-9", "high")]
)
def test_effort_stays_where_there_is_no_lower_one_or_nothing_is_known(model: str, effort: str | None) -> None:
    config = {"output_config": {"effort": effort}} if effort else {}
    one = case(spec(request={"model": model, **config}), row("chat", SCOPE_CALLS, CHAT, model))
    assert "LowerEffort" not in levers(advise(one).advice)


# --------------------------------------------------------------------------------------------------------- caching


def test_a_breakpoint_is_reckoned_with_a_write_for_each_life_of_an_entry() -> None:
    found = cache(Cause.NOT_CACHED, lost=2_400 * 5_000)
    one = case(spec(), row("chat", 3_000, (5_500, 400, 0, 0, 0)), cache=found)
    (advice,) = levers(advise(one).advice)["Caching"]
    # 24 writes of an hour's entries cost less than 288 of five minutes': 8 dollars instead of 5, 24 times 5,000 tokens.
    day = 24 / (24 - 1 / 6)
    writes = 24 / day * 5_000
    then = (writes * 8 + (12e6 - writes) * 0.2) / 1e6
    assert advice.saves == pytest.approx((12 * 4 - then) * day)
    control = advice.patch["spec"]["request"]["system"][0]["cache_control"]
    assert control == {"type": "ephemeral", "ttl": "1h"}
    assert not any("the most" in text for text in advice.assumes)
    assert any("sent at the same time" in text for text in advice.assumes)


TOOL = {"name": "find", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("raw", "is_offered"),
    [
        (spec(), True),
        (spec(overrides={"system": "Append"}), False),
        (spec(overrides={"system": "Prepend"}), False),
        (spec(request={"system": None, "tools": [TOOL]}), False),
        (spec(request={"tools": [TOOL]}, overrides={"tools": "Prepend"}), True),
    ],
    ids=["replace", "append", "prepend", "tools-alone", "tools-and-system"],
)
def test_a_breakpoint_is_offered_only_where_no_block_of_the_clients_is_in_its_way(
    raw: dict[str, Any], is_offered: bool
) -> None:
    raw["request"] = {name: value for name, value in raw["request"].items() if value is not None}
    found = advise(case(raw, row("chat", 3_000, CHAT), cache=cache(Cause.NOT_CACHED, lost=2_400 * 5_000)))
    assert ("Caching" in levers(found.advice)) is is_offered
    assert any("no field of the spec changes this" in text for text in found.missing) is not is_offered


def test_a_breakpoint_is_set_in_the_system_of_each_subagent_too() -> None:
    block = {"type": "text", "text": "Look."}
    marked = {"type": "text", "text": "Go.", "cache_control": {"type": "ephemeral"}}
    subagents = {
        "scout": {"request": {"system": [block, block]}},
        "clerk": {"request": {"max_tokens": 64}},
        "judge": {"request": {"system": [marked]}},
    }
    one = case(spec(subagents=subagents), row("chat", 3_000, CHAT))
    control = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert with_breakpoint(one, "1h") == {
        "spec": {
            "request": {"system": [{"type": "text", "text": "Help."} | control]},
            "subagents": {"scout": {"request": {"system": [block, block | control]}}},
        }
    }


@pytest.mark.parametrize(
    ("prices", "named"),
    [
        (TokenPrices(4.0, 20.0, 0.2, 5.0, None), "1h cache write"),
        (TokenPrices(4.0, 20.0, None, None, 8.0), "5m cache write and cache read"),
    ],
)
def test_caching_is_not_reckoned_with_a_price_that_is_not_known(prices: TokenPrices, named: str) -> None:
    one = case(spec(), row("chat", 3_000, CHAT), cache=cache(Cause.NOT_CACHED, lost=2_400 * 5_000))
    found = advise(Case(one.raw, one.usages, one.stable, one.now, book_of({OPUS: prices})))
    assert "Caching" not in levers(found.advice)
    assert f"cache: the price of {OPUS} for {named} is not known, so nothing can be compared" in found.missing


def test_prefixes_that_do_not_come_again_are_no_reason_for_a_breakpoint() -> None:
    ((begin, (entry,)),) = cache(Cause.NOT_CACHED, lost=2_400 * 5_000).slots.items()
    other = Entry(STABLE, "chat", OTHER, entry.sums)

    def saved(*entries: Entry) -> list[float | None]:
        found = CacheUsage(slots={begin: entries})
        advice = advise(case(spec(), row("chat", 3_000, (5_500, 400, 0, 0, 0)), cache=found)).advice
        return [one.saves for one in levers(advice).get("Caching", [])]

    assert saved(other) == []
    assert saved(entry, other) == saved(entry) != []


def test_an_hour_is_advised_where_it_costs_less_than_it_saves() -> None:
    block = {"type": "text", "text": "Help.", "cache_control": {"type": "ephemeral"}}
    raw = spec(request={"system": [block]})

    def saved(lost: int, written: int) -> float | None:
        found = cache(Cause.TTL_TOO_SHORT, lost=lost, written=written)
        advice = levers(advise(case(raw, row("chat", 3_000, CHAT), cache=found)).advice).get("Caching", [])
        return advice[0].saves if advice else None

    found = cache(Cause.TTL_TOO_SHORT, lost=10_000_000, written=12_000_000)
    (advice,) = levers(advise(case(raw, row("chat", 3_000, CHAT), cache=found)).advice)["Caching"]
    assert advice.confidence.level == "Low"
    assert any("clients set no cache_control of five minutes before the revision's" in text for text in advice.assumes)
    assert any("in messages stays as it is" in text for text in advice.assumes)
    day = 24 / (24 - 1 / 6)
    assert saved(10_000_000, 12_000_000) == pytest.approx((12 * 5 - 2 * 8 - 10 * 0.2) * day)
    assert saved(3_000_000, 12_000_000) is None  # 9 million tokens would cost 3 dollars more, 3 million save 4.80


def test_the_revisions_blocks_come_first_where_the_clients_differ() -> None:
    found = cache(Cause.CLIENT_BLOCK_FIRST, lost=10_000_000, where="system[0]")
    one = case(spec(overrides={"system": "Append"}), row("chat", 3_000, CHAT), cache=found)
    (advice,) = levers(advise(one).advice)["Caching"]
    assert advice.patch == {"spec": {"overrides": {"system": "Prepend"}}}


def test_a_cause_that_no_field_mends_is_told_with_what_to_do() -> None:
    found = cache(Cause.VOLATILE_TEXT, lost=10_000_000, where="system[1]")
    missing = advise(case(spec(), row("chat", 3_000, CHAT), cache=found)).missing
    assert any("no field of the spec changes this" in text and "behind the last breakpoint" in text for text in missing)


# --------------------------------------------------------------------------------------------------------- batches


def test_batches_are_for_surfaces_whose_budgets_are_all_of_throughput() -> None:
    rows = row("chat", 3_000, CHAT), row("night", 3_000, CHAT), row("mixed", 3_000, CHAT), row("other", 3_000, CHAT)
    night = {"surface": "night", "metric": "throughput", "min": "90/h", "window": "24h", "percentile": 90}
    budgets = [
        {"surface": "chat", "metric": "duration", "max": "30s"},
        night,
        {"surface": "mixed", "metric": "throughput", "min": "90/h"},
        {"surface": "mixed", "metric": "duration", "max": "30s"},
    ]
    one = case(spec(budgets=budgets), *rows)
    (advice,) = levers(advise(one).advice)["Batches"]
    bill = cost_usd(OPUS, usage(CHAT)) or 0.0
    assert advice.saves == pytest.approx(21_000 * bill / 6.5 / 2)
    assert "surface night" in advice.title
    assert advice.patch == {"spec": {"budgets": budgets}}
    assert not advice.is_gated
    (told,) = [text for text in advise(one).missing if text.startswith("batches:")]
    assert "21,000 calls" in told
    assert told.endswith("give the surface of those a budget of throughput, and send x-claude-surface")


def test_a_throughput_budget_stays_as_it_is_and_the_surfaces_others_go() -> None:
    kept = {"surface": "chat", "metric": "throughput", "min": "7/h", "window": "24h", "percentile": 90}
    slow_one = {"surface": "chat", "metric": "duration", "max": "2s"}
    other = {"surface": "agent", "metric": "duration", "max": "60s"}
    calls = row("chat", 3_000, CHAT)
    assert throughput_patch(case(spec(budgets=[slow_one, kept, other]), calls), "chat", 21_000) == {
        "spec": {"budgets": [kept, other]}
    }
    assert throughput_patch(case(spec(budgets=[slow_one, other]), calls), "chat", 21_000) == {
        "spec": {"budgets": [other, {"surface": "chat", "metric": "throughput", "min": "134/h"}]}
    }


# --------------------------------------------------------------------------------------------------------- latency


def test_a_surface_over_its_budget_gets_every_lever_that_its_metric_has() -> None:
    def titles(metric: str) -> list[str]:
        raw = spec(budgets=[{"surface": "chat", "metric": metric, "max": "2s"}])
        found = cache(Cause.NOT_CACHED, lost=2_400 * 1_200)
        one = case(raw, row("chat", SCOPE_CALLS, CHAT), cache=found, latency=slow(metric, 2.0))
        offered = levers(advise(one).advice)["Latency"]
        assert all(accepted(one, advice) for advice in offered)
        assert all("70 %" in advice.arithmetic[0] for advice in offered)
        return [next(w for w in _WORDS if w in advice.title) for advice in offered]

    of_all = ["effort", "breakpoint", "easy questions"]
    assert titles("timeToFirstToken") == of_all
    assert titles("duration") == [*of_all, "same time", "stream", "Batches"]


_WORDS = ("effort", "breakpoint", "easy questions", "same time", "stream", "Batches")


@pytest.mark.parametrize(
    ("cause", "prefix", "calls", "is_offered"),
    [
        (Cause.NOT_CACHED, "abc", 20, True),
        (Cause.PREFIX_UNMARKED, "abc", 20, True),
        (Cause.NOT_CACHED, "abc", 19, False),
        (Cause.NOT_CACHED, OTHER, 2_400, False),
        (Cause.VOLATILE_TEXT, "abc", 2_400, False),
        (None, "abc", 0, False),
    ],
)
def test_a_breakpoint_is_offered_against_latency_where_calls_were_cold_for_want_of_one(
    cause: Cause | None, prefix: str, calls: int, is_offered: bool
) -> None:
    ((begin, (entry,)),) = cache().slots.items()
    cold = {cause.value: Lost(calls, calls * 1_200, 0.0, 0, "")} if cause else {}
    sums = Sums(3_000, 3_000 * 1_700, 0, 0, cold)
    found = CacheUsage(slots={begin: (Entry(STABLE, entry.surface, prefix, sums),)})
    words = "Write cache_control." if is_offered else "Help."  # text that names the field is no breakpoint
    system = [{"type": "text", "text": words}]
    raw = spec(request={"system": system}, budgets=[{"surface": "chat", "metric": "duration", "max": "2s"}])
    one = case(raw, row("chat", SCOPE_CALLS, CHAT), cache=found, latency=slow("duration", 2.0))
    titles = [advice.title for advice in levers(advise(one).advice)["Latency"]]
    assert any("breakpoint" in title for title in titles) is is_offered


@pytest.mark.parametrize("name", ["easy-chat", "worker-chat"])
def test_a_subagent_that_the_spec_has_keeps_its_model(name: str) -> None:
    budgets = [{"surface": "chat", "metric": "duration", "max": "2s"}]
    raw = spec(budgets=budgets, subagents={name: {"request": {"model": SONNET}}})
    one = case(raw, row("chat", SCOPE_CALLS, CHAT), latency=slow("duration", 2.0))
    offered = [advice.patch["spec"].get("subagents") or {} for advice in levers(advise(one).advice)["Latency"]]
    assert {key for one in offered for key in one} == {"easy-chat", "worker-chat"} - {name}


def test_a_surface_within_its_budget_gets_none() -> None:
    raw = spec(budgets=[{"surface": "chat", "metric": "duration", "max": "2s"}])
    one = case(raw, row("chat", SCOPE_CALLS, CHAT), latency=slow("duration", 2.0, within=1_000, over=0))
    assert "Latency" not in levers(advise(one).advice)


# ------------------------------------------------------------------------------------------------------------ gaps


@pytest.mark.parametrize(
    ("usages", "why"),
    [
        (Usages(), "the operator has not read a gateway yet"),
        (Usages(spend(row("chat", 10_000, CHAT), days=1)), "0.0 s of calls are recorded, and a whole day is needed"),
        (Usages(spend(row("chat", 3, CHAT))), "21 calls in 6.5 days: 100 are needed"),
    ],
)
def test_there_is_no_advice_without_data(usages: Usages, why: str) -> None:
    found = advise(Case(spec(), usages, STABLE, NOON))
    assert (found.advice, found.lacks_data) == ((), True)
    assert found.missing[0].startswith(why)


def test_what_is_left_out_is_told() -> None:
    rows = (
        row("chat", 1_000, CHAT),
        row("chat", 1_000, CHAT, "claude-fable-5"),
        row("chat", 1_000, CHAT, "claude-unheard-of-9"),
        row("other", 1_000, CHAT, "other"),
    )
    missing = " ".join(advise(case(spec(), *rows)).missing)
    assert "7,000 calls of 28,000 (25 %) are not kept apart by model" in missing
    assert "14,000 calls of 28,000 (50 %) were answered by models that the spec does not name now" in missing
    assert "14,000 calls of 28,000 (50 %) had no known price" in missing
    unheard = spec(request={"model": "claude-unheard-of-9"})
    found = advise(case(unheard, row("chat", 1_000, CHAT, "claude-unheard-of-9")))
    assert any("the price of claude-unheard-of-9 is not known" in text for text in found.missing)
    assert "SmallerModel" not in levers(found.advice)


def test_a_merge_patch_replaces_lists_and_removes_what_is_null() -> None:
    assert merged({"a": {"b": 1, "c": [1, 2]}, "d": 1}, {"a": {"c": [3], "e": {"f": None, "g": 1}}, "d": None}) == {
        "a": {"b": 1, "c": [3], "e": {"g": 1}}
    }


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (9_200_000, "9.2M"),
        (18_400, "18.4k"),
        (812, "812"),
        (23.4567e12, "23,457G"),
        (23_456_700_000_000, "23,457G"),
        (3.21e9, "3.21G"),
        (0.5, "0.5"),
    ],
)
def test_numbers_of_tokens(tokens: float, text: str) -> None:
    assert tokens_text(tokens) == text
