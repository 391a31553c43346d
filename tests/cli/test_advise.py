"""Advice as a person reads it, and its patches as kubectl reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.cli.test_views import GOLDEN, check
from tests.core.advice.cases import OPUS, cache, case, row, slow, spec

from claude_operator.cli.failure import Failure
from claude_operator.cli.view.advise import advise_facts, advise_view, patch_of, patch_text
from claude_operator.core.advice.advise import advise
from claude_operator.core.advice.case import Case
from claude_operator.core.usage.cold import Cause

ROOT = Path(__file__).parents[2]
CHAT, NIGHT = (1_300, 400, 0, 0, 0), (9_000, 700, 0, 0, 0)


def support() -> Case:
    """Three surfaces, a subagent, a cold cache."""
    rows = (
        row("chat", 3_000, CHAT),
        row("agent", 1_000, NIGHT, OPUS, "scout"),
        row("night", 1_500, NIGHT),
        row("other", 200, CHAT),
    )
    raw = spec(
        evals={"setRef": {"name": "support-set"}},
        subagents={"scout": {"request": {"model": OPUS, "max_tokens": 1024}}},
        budgets=[
            {"surface": "chat", "metric": "timeToFirstToken", "max": "2s"},
            {"surface": "agent", "metric": "duration", "max": "60s"},
            {"surface": "night", "metric": "throughput", "min": "100/h", "window": "24h"},
        ],
    )
    return case(raw, *rows, cache=cache(Cause.NOT_CACHED, lost=2_400 * 1_200))


def late() -> Case:
    """A surface over its budget, without evals."""
    raw = spec(budgets=[{"surface": "chat", "metric": "duration", "max": "8s", "percentile": 90}])
    return case(raw, row("chat", 3_000, CHAT), cache=cache(), latency=slow("duration", 8.0))


def young() -> Case:
    """The first hours."""
    return case(spec(), row("chat", 50, CHAT), days=1)


@pytest.mark.parametrize("make", [support, late, young])
def test_advice(make: object) -> None:
    one: Case = make()  # type: ignore[operator]
    facts = advise_facts("shop", "support", one, advise(one))
    check(advise_view(facts), facts, f"advise_{make.__name__}")  # type: ignore[attr-defined]


def test_a_patch_is_yaml_that_says_the_same() -> None:
    one = support()
    facts = advise_facts("shop", "support", one, advise(one))
    for number in range(1, len(facts["advice"]) + 1):
        assert yaml.safe_load(patch_text(patch_of(facts, number))) == facts["advice"][number - 1]["patch"]
    with pytest.raises(Failure, match="there is no advice 99; known are 1 to"):
        patch_of(facts, 99)
    nothing = advise_facts("shop", "support", young(), advise(young()))
    with pytest.raises(Failure, match="there is no advice"):
        patch_of(nothing, 1)


def test_text_that_steers_a_terminal_is_shown_and_stays_in_the_patch() -> None:
    block = {"type": "text", "text": "Help\u202e.\x1b[2J"}
    one = case(
        spec(request={"system": [block]}), row("chat", 3_000, CHAT), cache=cache(Cause.NOT_CACHED, lost=12_000_000)
    )
    facts = advise_facts("shop", "support", one, advise(one))
    (number,) = [found["number"] for found in facts["advice"] if found["lever"] == "Caching"]
    text = patch_text(patch_of(facts, number))
    assert not re.search("[\u202e\x1b]", text)
    assert yaml.safe_load(text)["spec"]["request"]["system"][0]["text"] == block["text"]


def test_the_example_of_the_docs_is_what_is_printed() -> None:
    shown = (ROOT / "docs/advise.md").read_text(encoding="utf-8")
    assert (GOLDEN / "advise_support.txt").read_text(encoding="utf-8") in shown
