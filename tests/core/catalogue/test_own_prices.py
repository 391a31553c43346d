"""Prices that an installation has negotiated: read, laid over the models, and told to gateways and Jobs."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from claude_operator.api.prices import PriceList, TokenPrices
from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.catalogue.lifecycle import Lifecycle, lifecycle_of
from claude_operator.core.catalogue.objects import model_objects, models_by_name
from claude_operator.core.catalogue.own_prices import book_of, lay_over, own_prices, parse_book
from claude_operator.core.catalogue.table import Model, Prices, find
from claude_operator.core.reconcile.price_list import parse_price_list

M = 1_000_000
WHOLE = "{input: 3.2, output: 16, cacheRead: 0.16, cacheWrite5M: 4, cacheWrite1H: 6.4}"
FILE = f"""
discount: 0.1
models:
  claude-opus-5-5: {WHOLE}
  us.anthropic.claude-opus-4-8: {{input: 5, output: 25, cacheRead: 0.5, cacheWrite5M: 6.25, cacheWrite1H: 10}}
"""


def test_what_a_file_says_is_what_calls_cost() -> None:
    """10 % off the list, but for the two models that the file names."""
    book = book_of(own_prices(lay_over({}, parse_price_list(FILE))))
    assert cost_usd("claude-opus-5-5", {"input_tokens": M}, book) == pytest.approx(3.2)
    assert cost_usd("claude-sonnet-5-5", {"input_tokens": M}, book) == pytest.approx(1.8)  # 0.9 x 2
    assert cost_usd("claude-haiku-4-5", {"output_tokens": M}, book) == pytest.approx(4.5)  # an alias: 0.9 x 5
    assert cost_usd("claude-haiku-5-5", {"input_tokens": 200_000}, book) == pytest.approx(0.09)  # 0.9 x 0.5 x 0.2
    assert cost_usd("us.anthropic.claude-opus-4-8", {"cache_read_input_tokens": M}, book) == pytest.approx(0.5)
    assert cost_usd("claude-mythos-preview", {"input_tokens": M}, book) is None  # a discount off an unknown price


def test_a_price_of_a_name_holds_for_all_names_of_the_model() -> None:
    for name in ("claude-haiku-4-5", "claude-haiku-4-5-20251001"):
        found = own_prices(lay_over({}, parse_price_list(f"models: {{{name}: {WHOLE}}}")))
        assert set(found) == {"claude-haiku-4-5", "claude-haiku-4-5-20251001"}


def test_nothing_is_told_that_is_as_in_the_list() -> None:
    cluster = models_by_name(one["spec"] for one in model_objects())
    assert own_prices(cluster) == own_prices({}) == own_prices(lay_over(cluster, PriceList())) == {}


def test_prices_of_a_persons_claude_model_are_told_too() -> None:
    mine = models_by_name([{"id": "claude-next-1", "pricesUSDPerMTok": {"input": 7, "output": 35}}])
    assert own_prices(mine) == {"claude-next-1": TokenPrices(7.0, 35.0)}
    # The installer's file comes before it.
    assert own_prices(lay_over(mine, parse_price_list(f"models: {{claude-next-1: {WHOLE}}}")))[
        "claude-next-1"
    ].input == pytest.approx(3.2)


def test_no_more_is_told_than_fits_an_argument() -> None:
    """Linux lets one have 128 KiB. What the shipped list has comes first."""
    long = Prices(*(9999.123456 for _ in range(5)))
    many = {f"{n:03}-" + "x" * 124: Model(id="x", prices=long) for n in range(1000)}
    told = own_prices(lay_over(many, PriceList(discount=0.1)))
    assert len(told) == 400
    assert "claude-opus-5-5" in told
    assert len(msgspec.json.encode(told)) < 128 * 1024


def test_a_price_makes_no_model_known() -> None:
    today = dt.date(2026, 11, 24)
    found = lay_over({}, parse_price_list(FILE))
    assert lifecycle_of("us.anthropic.claude-opus-4-8", today, found).lifecycle is Lifecycle.UNKNOWN
    assert lifecycle_of("claude-opus-5-5", today, found) == lifecycle_of("claude-opus-5-5", today)


def test_it_is_read_again_as_it_was_told() -> None:
    told = own_prices(lay_over({}, PriceList(discount=0.5)))
    book = parse_book(msgspec.json.encode(told).decode())
    assert book == book_of(told)
    haiku = find("claude-haiku-5-5")
    assert haiku is not None
    assert book["claude-haiku-5-5"].above_100k == Prices(0.25, 1.25, 0.3125, 0.5, 0.025)


@pytest.mark.parametrize("text", ["", "{}", "models: {}", "discount: 0"])
def test_a_file_that_says_nothing_changes_nothing(text: str) -> None:
    assert own_prices(lay_over({}, parse_price_list(text))) == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("- 1", "prices.yaml: must be an object with fields, not a list"),
        ("{", "prices.yaml: is not YAML at line"),
        ("models: {}\ndiscount: 0.1\ndiscount: 0.2", "prices.yaml: line 3: discount is written twice"),
        (f"models:\n  x: {WHOLE}\n  x: {WHOLE}", "prices.yaml: line 3: x is written twice"),
        ("discount: 15%", "prices.yaml: discount: must be a number, not text"),
        ("discount: 1", "prices.yaml: discount: must be less than 1.0"),
        ("discount: -0.1", "prices.yaml: discount: must be 0.0 or more"),
        ("discount: .nan", "prices.yaml: discount: must be a number, not text"),
        ("discounts: 0.1", "prices.yaml: discounts: is not a field here"),
        ("models: {x: {input: 1}}", "prices.yaml: models.x: output: is missing"),
        ("models: {x: {input: 1, output: 2}}", "models.x lacks cacheRead and cacheWrite5M and cacheWrite1H"),
        ("models: {x: {input: -1, output: 2}}", "prices.yaml: models.x: input: must be 0.0 or more"),
        ("models: {x: {input: 100000, output: 2}}", "prices.yaml: models.x: input"),
        ("models: {x: {input: true, output: 2}}", "prices.yaml: models.x: input: must be a number"),
        (f"models: {{claude-haiku-5-5: {WHOLE}}}", "models.claude-haiku-5-5 lacks above100K"),
        (f"models: {{x: {WHOLE[:-1]}, above100K: {{input: 1, output: 5}}}}}}", "models.x.above100K lacks cacheRead"),
        ("a: " + "x" * 70_000, "prices.yaml has more than 65536 bytes"),
        ("models: {" + ", ".join(f"m{n}: {WHOLE}" for n in range(201)) + "}", "has more than 200 models"),
    ],
)
def test_a_file_that_is_wrong_is_refused_whole(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"^prices\.yaml") as caught:
        parse_price_list(text)
    assert why in str(caught.value)


def test_a_model_without_a_price_stays_without_one_under_a_discount() -> None:
    found = lay_over({"x": Model(id="x")}, PriceList(discount=0.2))
    assert found["x"].prices is None
