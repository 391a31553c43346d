"""Users' regular expressions: whatever they are, each gets an answer, and no process is left."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.waiting import until

from claude_operator.core.evals.checks import Check
from claude_operator.core.evals.sets import Item
from claude_operator.evals.patterns import InvalidPattern, Patterns

BROKEN_OFF = "was broken off: it takes more than 0.2 s or too much memory"
SLOW_TO_COMPILE = "(?i)" + "[\\x00-\U0010ffff]" * 340
SLOW_TO_SEARCH = "(a+)+$"
LONG = "a" * 60 + "b"


def items(*patterns: str) -> list[Item]:
    return [Item(str(n), b"[]", (Check("regex", one),), place=f"line {n}") for n, one in enumerate(patterns, 1)]


async def test_one_process_answers_all() -> None:
    async with Patterns() as patterns:
        await patterns.check(items("^(billing|other)$", r"\d{2}", "(?<!x)y"))
        assert await patterns.search(["^(billing|other)$", r"\d{2}"], "other") == {
            "^(billing|other)$": None,
            r"\d{2}": "",
        }
        assert await patterns.search(["^(billing|other)$"], "other.") == {"^(billing|other)$": ""}
        assert await patterns.search([r"\d{2}", "\ud800", "ö\u2028"], "12 \ud800 ö\u2028") == {
            r"\d{2}": None,
            "\ud800": None,
            "ö\u2028": None,
        }
        assert patterns.started == 1


async def test_none_is_started_where_none_is_needed() -> None:
    async with Patterns() as patterns:
        await patterns.check([Item("a", b"[]", (Check("is-json"),))])
        assert patterns.started == 0


async def test_a_slow_one_is_broken_off_and_the_others_are_tried() -> None:
    async with Patterns(limit=0.2) as patterns:
        found = await patterns.search(["a", SLOW_TO_SEARCH, "b$", "c"], LONG)
        assert found == {"a": None, SLOW_TO_SEARCH: BROKEN_OFF, "b$": None, "c": ""}
        assert await patterns.search([SLOW_TO_SEARCH], "aaa") == {SLOW_TO_SEARCH: None}
        assert patterns.started == 2


async def test_one_that_is_slow_to_compile_is_tried_once() -> None:
    assert len(SLOW_TO_COMPILE) <= 4096
    async with Patterns(limit=0.2) as patterns:
        await patterns.check(items("a", SLOW_TO_COMPILE, "b"))
        started = patterns.started
        for _ in range(5):
            assert await patterns.search(["a", SLOW_TO_COMPILE], "a") == {"a": None, SLOW_TO_COMPILE: BROKEN_OFF}
        assert patterns.started <= started + 1


async def test_one_that_is_slow_again_and_again_is_not_tried_for_ever() -> None:
    async with Patterns(limit=0.01) as patterns:
        for _ in range(30):
            found = await patterns.search([SLOW_TO_SEARCH], LONG)
            assert (found[SLOW_TO_SEARCH] or "").startswith("was broken off")
        assert patterns.started <= 11


async def test_one_that_wants_all_memory_is_broken_off() -> None:
    greedy = "(?:" * 40 + "a" + "{0,9999999})" * 40
    async with Patterns() as patterns:
        found = await patterns.search(["(?:(a)|b)*x", greedy, "b"], "ab" * 50_000)
        assert found["b"] is None
        assert patterns.started <= 3


async def test_an_invalid_one_is_named() -> None:
    async with Patterns() as patterns:
        with pytest.raises(InvalidPattern, match=r"line 2: '\(' is not a regular expression of Python's re: missing"):
            await patterns.check(items("a", "("))
        assert await patterns.search(["(", "a"], "a") == {
            "(": "is not a regular expression of Python's re: missing ), unterminated subpattern at position 0",
            "a": None,
        }
        with pytest.raises(InvalidPattern, match=r"line 1: '\(a{79}\.\.\.' is not"):
            await patterns.check(items("(" + "a" * 500))


async def test_a_search_that_is_cancelled_leaves_nothing_behind() -> None:
    async with Patterns(limit=60.0) as patterns:
        search = asyncio.create_task(patterns.search([SLOW_TO_SEARCH], LONG))
        process = await until(lambda: patterns._process)
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        assert process.returncode is not None
        assert await patterns.search(["a"], "a") == {"a": None}


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")  # of sets in sets, which re may read otherwise some day
@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.text("()[]{}*+?|^$.\\\\abcP<>=!0123", max_size=12), st.text("abc0", max_size=20)), max_size=8)
)
def test_answers_are_those_of_re(cases: list[tuple[str, str]]) -> None:
    async def ask() -> list[dict[str, str | None]]:
        async with Patterns() as patterns:
            return [dict(await patterns.search([pattern], text)) for pattern, text in cases]

    for (pattern, text), found in zip(cases, asyncio.run(ask()), strict=True):
        why = found[pattern]
        try:
            expected = re.search(pattern, text) is not None
        except (re.error, OverflowError, RecursionError):
            assert why is not None
            assert why.startswith("is not a regular expression")
        else:
            assert (why is None) is expected
