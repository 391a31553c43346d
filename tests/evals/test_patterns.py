"""Users' regular expressions: whatever they are, each gets an answer, and no process is left."""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.waiting import until

from claude_operator.core.evals.checks import Check, Tried
from claude_operator.core.evals.sets import Item
from claude_operator.evals import patterns as module
from claude_operator.evals.patterns import InvalidPattern, Patterns

sys.path.append(str(Path(module.__file__).parent))
from pattern_worker import useless

INVALID = "is not a regular expression of Python's re:"
FOUND, MISSING = Tried("found"), Tried("missing")
BROKEN_OFF = Tried("unknown", "was broken off: it takes more than 0.2 s or too much memory")
SLOW_TO_COMPILE = "(?i)" + "[\\x00-\U0010ffff]" * 340
SLOW_TO_SEARCH = "(a+)+$"
LONG = "a" * 60 + "b"


def items(*patterns: str) -> list[Item]:
    return [Item(str(n), b"[]", (Check("regex", one),), place=f"line {n}") for n, one in enumerate(patterns, 1)]


async def test_one_process_answers_all() -> None:
    async with Patterns() as patterns:
        await patterns.check(items("^(billing|other)$", r"\d{2}", "(?<!x)y"))
        assert await patterns.search(["^(billing|other)$", r"\d{2}"], "other") == {
            "^(billing|other)$": FOUND,
            r"\d{2}": MISSING,
        }
        assert await patterns.search(["^(billing|other)$"], "other.") == {"^(billing|other)$": MISSING}
        assert await patterns.search([r"\d{2}", "\ud800", "ö\u2028"], "12 \ud800 ö\u2028") == {
            r"\d{2}": FOUND,
            "\ud800": FOUND,
            "ö\u2028": FOUND,
        }
        assert patterns.started == 1


async def test_none_is_started_where_none_is_needed() -> None:
    async with Patterns() as patterns:
        await patterns.check([Item("a", b"[]", (Check("is-json"),))])
        assert patterns.started == 0


async def test_a_slow_one_is_broken_off_and_the_others_are_tried() -> None:
    async with Patterns(limit=0.2) as patterns:
        found = await patterns.search(["a", SLOW_TO_SEARCH, "b$", "c"], LONG)
        assert found == {"a": FOUND, SLOW_TO_SEARCH: BROKEN_OFF, "b$": FOUND, "c": MISSING}
        assert await patterns.search([SLOW_TO_SEARCH], "aaa") == {SLOW_TO_SEARCH: FOUND}
        assert patterns.started == 2


async def test_one_that_is_slow_to_compile_is_tried_once() -> None:
    assert len(SLOW_TO_COMPILE) <= 4096
    async with Patterns(limit=0.2) as patterns:
        await patterns.check(items("a", SLOW_TO_COMPILE, "b"))
        started = patterns.started
        for _ in range(5):
            assert await patterns.search(["a", SLOW_TO_COMPILE], "a") == {"a": FOUND, SLOW_TO_COMPILE: BROKEN_OFF}
        assert patterns.started <= started + 1


async def test_one_that_is_slow_again_and_again_is_not_tried_for_ever() -> None:
    async with Patterns(limit=0.01) as patterns:
        for _ in range(30):
            found = await patterns.search([SLOW_TO_SEARCH], LONG)
            assert found[SLOW_TO_SEARCH].why.startswith("was broken off")
        assert patterns.started <= 11


async def test_one_that_wants_all_memory_is_broken_off() -> None:
    greedy = "(?:" * 40 + "a" + "{0,9999999})" * 40
    async with Patterns() as patterns:
        found = await patterns.search(["(?:(a)|b)*x", greedy, "b"], "ab" * 50_000)
        assert found["b"] == FOUND
        assert patterns.started <= 3


async def test_an_invalid_one_is_named() -> None:
    async with Patterns() as patterns:
        with pytest.raises(InvalidPattern, match=r"line 2: '\(' is not a regular expression of Python's re: missing"):
            await patterns.check(items("a", "("))
        assert await patterns.search(["(", "a"], "a") == {
            "(": Tried(
                "unknown",
                "is not a regular expression of Python's re: missing ), unterminated subpattern at position 0",
            ),
            "a": FOUND,
        }
        with pytest.raises(InvalidPattern, match=r"line 1: '\(a{79}\.\.\.' is not"):
            await patterns.check(items("(" + "a" * 500))


async def test_a_search_that_is_cancelled_leaves_nothing_behind() -> None:
    async with Patterns(limit=60.0) as patterns:
        search = asyncio.create_task(patterns.search([SLOW_TO_SEARCH], LONG))
        process = await until(lambda: patterns._processes["pattern"]._process)
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        assert process.returncode is not None
        assert await patterns.search(["a"], "a") == {"a": FOUND}


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")  # of sets in sets, which re may read otherwise some day
@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.text("()[]{}*+?|^$.\\\\abcP<>=!0123", max_size=12), st.text("abc0", max_size=20)), max_size=8)
)
def test_answers_are_those_of_re(cases: list[tuple[str, str]]) -> None:
    async def ask() -> list[dict[str, Tried]]:
        async with Patterns() as patterns:
            return [dict(await patterns.search([pattern], text)) for pattern, text in cases]

    for (pattern, text), found in zip(cases, asyncio.run(ask()), strict=True):
        outcome, why = found[pattern]
        try:
            expected = re.search(pattern, text) is not None
        except (re.error, OverflowError, RecursionError):
            assert why.startswith("is not a regular expression")
        else:
            assert outcome == ("found" if expected else "missing")


# ------------------------------------------------------------------------------------ patterns that decide nothing


@pytest.mark.parametrize(
    "pattern",
    [
        "(yes)*", "a?", ".*", "^", "$", "a|", "(?:)", "x{0,3}", r"\s*", "(?i)(a|b*)", "^(yes)*", "(yes)*$",
        r"^[\s\S]*$", "(?s)a*", "(?=a*)", "(?>a*)", "(a)?(b)?", "(?<!x)", "(?m)^", "(?!.*password)",
    ],
)  # fmt: skip
async def test_one_that_is_found_in_every_answer_is_refused(pattern: str) -> None:
    async with Patterns() as patterns:
        with pytest.raises(InvalidPattern, match=r"line 1: .* is found in every answer: write what to look for"):
            await patterns.check(items(pattern))


@pytest.mark.parametrize(
    "pattern",
    ["billing$^", "a^", "$a", "(a)^", "(?:a^|b^)", "/^billing$/", r"a\Zb", "b(a^)", "^^a$^", "a$.", "(?!)", "(a^)+"],
)
async def test_one_that_is_found_in_none_is_refused(pattern: str) -> None:
    async with Patterns() as patterns:
        with pytest.raises(InvalidPattern, match=r"line 1: .* can be found in no answer: correct what stands before"):
            await patterns.check(items(pattern))


async def test_those_that_decide_something_are_taken() -> None:
    fine = [
        "^$",
        "^(yes)*$",
        "^(?!.*password)",
        "^.*$",
        ".",
        r"\S",
        "a$\n",
        "(?m)a$\n^b",
        "(?m)a^",
        r"^\s*$",
        "^a*b",
        "(?!a)b",
        "a|b",
    ]
    async with Patterns() as patterns:
        await patterns.check(items(*fine))


TEXTS = ["".join(text) for size in range(7) for text in itertools.product("ab\n", repeat=size)] + ["zz", "z a\nb z"]


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from([*"ab^$|*?.()", "(?:", "(?!", "(?=", "[ab]", "\\S"]), min_size=1, max_size=6).map("".join)
)
def test_what_is_said_of_a_pattern_is_true(pattern: str) -> None:
    try:
        compiled = re.compile(pattern)
    except re.error:
        return
    why = useless(pattern)
    found = [bool(compiled.search(text)) for text in TEXTS]
    if why.startswith("is found in every"):
        assert all(found)
    elif why:
        assert not any(found)
    elif "(?!" not in pattern and "(?=" not in pattern:  # those can contradict themselves in any way
        assert True in found
        assert False in found
