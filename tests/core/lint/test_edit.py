"""What an edit does to what is cached, held against the simulator's cache, and what that costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest
from tests.core.lint.cases import HAIKU, OPUS, SONNET, deployment

from claude_operator.core.catalogue.cost import Book
from claude_operator.core.catalogue.table import Prices, find
from claude_operator.core.catalogue.tokens import part_tokens
from claude_operator.core.lint.against import Edit, Side, beside_faults, edits_of, keeping
from claude_operator.core.lint.edit import Reach
from claude_operator.core.lint.finding import path_text
from claude_operator.core.lint.prefix import served_requests
from claude_operator.core.lint.price import NO_SESSIONS, Sessions, measured
from claude_operator.core.usage.cache import CacheUsage, Entry, Sums
from claude_operator.simulator.cache import PromptCache
from claude_operator.simulator.request import Request
from claude_operator.simulator.tokens import block_tokens

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
SHORT, HOUR = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
LIVE = Sessions(1_200, 41_000)


def block(text: str, times: int = 400, mark: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A system block of about six tokens times `times`."""
    return {"type": "text", "text": f"{text} answers now. " * times, **({"cache_control": mark} if mark else {})}


def tool(name: str, mark: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A tool of about 700 tokens."""
    made = {"name": name, "description": f"{name} does it. " * 150, "input_schema": {"type": "object"}}
    return {**made, **({"cache_control": mark} if mark else {})}


def side(spec: Mapping[str, Any] | None = None, **fields: Any) -> Side:
    return Side(deployment(spec, **fields)["spec"])


def edits(old: Side, new: Side, sessions: Sessions = NO_SESSIONS, **more: Any) -> list[Edit]:
    return edits_of(old, new, sessions, **more)


def edit(old: Side, new: Side, sessions: Sessions = NO_SESSIONS, **more: Any) -> Edit:
    (found,) = edits(old, new, sessions, **more)
    return found


def talk(number: int) -> list[dict[str, Any]]:
    """A conversation of its own, of about two thousand tokens."""
    text = f"conversation {number:03d} goes on and on. " * 200
    said = (("user", text), ("assistant", "Yes."), ("user", "And then?"))
    return [{"role": role, "content": [{"type": "text", "text": one}]} for role, one in said]


def asked(cache: PromptCache, one: Side, number: int, now: float) -> tuple[int, int]:
    """Tokens that the first request of a conversation reads and writes in the simulator."""
    body = {**one.spec["request"], "messages": talk(number)}
    model = find(body["model"])
    assert model is not None
    lookup = cache.look_up(Request(body), model, now)
    cache.write(lookup, now)
    return lookup.read, sum(lookup.written.values())


LONG = block("long")
AUTOMATIC = {"cache_control": SHORT}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # Automatic caching alone: every session writes all of it.
        (side(system=[block("one")], **AUTOMATIC), side(system=[block("two")], **AUTOMATIC)),
        # A breakpoint behind the system prompt: one write of it does for all.
        (
            side(system=[block("one", mark=SHORT)], **AUTOMATIC),
            side(system=[block("two", mark=SHORT)], **AUTOMATIC),
        ),
        # What stands before the change is still read.
        (
            side(system=[block("same", mark=HOUR), block("one", mark=SHORT)], **AUTOMATIC),
            side(system=[block("same", mark=HOUR), block("two", mark=SHORT)], **AUTOMATIC),
        ),
        (
            side(tools=[tool("book", SHORT)], system=[block("one")], **AUTOMATIC),
            side(tools=[tool("book", SHORT)], system=[block("two")], **AUTOMATIC),
        ),
        # The conversation alone.
        (
            side(system=[block("same", mark=SHORT)], output_config={"effort": "low"}, **AUTOMATIC),
            side(system=[block("same", mark=SHORT)], output_config={"effort": "high"}, **AUTOMATIC),
        ),
        (
            side(system=[block("same")], output_config={"effort": "low"}, **AUTOMATIC),
            side(system=[block("same")], output_config={"effort": "high"}, **AUTOMATIC),
        ),
        # A tail that every session writes itself.
        (
            side(system=[block("one", mark=SHORT), block("tail", 50)], **AUTOMATIC),
            side(system=[block("two", mark=SHORT), block("tail", 50)], **AUTOMATIC),
        ),
        # Tools in another order, another model of the same tokenizer.
        (
            side(tools=[tool("book"), tool("look", SHORT)], **AUTOMATIC),
            side(tools=[tool("look"), tool("book", SHORT)], **AUTOMATIC),
        ),
        (
            side(model=OPUS, system=[block("same", mark=SHORT)], **AUTOMATIC),
            side(model=SONNET, system=[block("same", mark=SHORT)], **AUTOMATIC),
        ),
    ],
)
def test_what_is_written_again_is_what_the_simulator_writes(old: Side, new: Side) -> None:
    cache, sessions = PromptCache(), 5
    cached = sum(asked(cache, old, 0, 0.0))
    for number in range(1, sessions):
        assert sum(asked(cache, old, number, 1.0)) == cached
    written = sum(asked(cache, new, number, 2.0)[1] for number in range(sessions))
    found = edit(old, new, Sessions(sessions, cached)).bill
    assert found.total == pytest.approx(written, rel=0.002)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (side(system=[LONG], **AUTOMATIC), side(system=[LONG], **AUTOMATIC)),
        (side(system=[LONG], max_tokens=5, **AUTOMATIC), side(system=[LONG], max_tokens=9, **AUTOMATIC)),
        (side(system=[LONG], **AUTOMATIC), side({"paused": True}, system=[LONG], stop_sequences=["x"], **AUTOMATIC)),
        (side(system=[block("long", mark=SHORT)]), side(system=[block("long", mark=HOUR)])),  # a breakpoint is no text
    ],
)
def test_what_changes_nothing_that_is_cached(old: Side, new: Side) -> None:
    assert edits(old, new) == []


@pytest.mark.parametrize(
    ("old", "new", "reach", "path", "said"),
    [
        (side(), side(model=HAIKU), Reach.ALL, "spec.request.model", "the cache of a model is its own"),
        (
            side(model="claude-sonnet-4-6"),
            side(model=SONNET),
            Reach.ALL,
            "spec.request.model",
            "counts other tokens for the same text",
        ),
        (side(), side(tools=[tool("a")]), Reach.ALL, "spec.request.tools[0]", "1 new or changed"),
        (side(tools=[tool("a")]), side(), Reach.ALL, "spec.request.tools", "1 gone or as before"),
        (
            side(tools=[tool("a"), tool("b")]),
            side(tools=[tool("b"), tool("a")]),
            Reach.ALL,
            "spec.request.tools[0]",
            "in another order",
        ),
        (
            side(system=[LONG]),
            side(system=[LONG, block("more")]),
            Reach.SYSTEM,
            "spec.request.system[1]",
            "a system block is added at the end",
        ),
        (
            side(system=[LONG, block("more")]),
            side(system=[LONG]),
            Reach.SYSTEM,
            "spec.request.system",
            "the last system block is removed",
        ),
        (side(), side(speed="fast"), Reach.SYSTEM, "spec.request.speed", "speed changes"),
        (
            side(),
            side({"overrides": {"system": "Append"}}),
            Reach.SYSTEM,
            "spec.overrides.system",
            "overrides.system Replace → Append",
        ),
        (side(), side(thinking={"type": "adaptive"}), Reach.MESSAGES, "spec.request.thinking", "stays cached"),
    ],
)
def test_from_where_on_nothing_is_read(old: Side, new: Side, reach: Reach, path: str, said: str) -> None:
    change = edit(old, new).rewrite.changes[0]
    assert (change.reach, path_text(change.path)) == (reach, path)
    assert said in change.what


def sized(tokens: int) -> list[dict[str, Any]]:
    """A system prompt of so many tokens."""
    return [{"type": "text", "text": "abc" * (tokens - 3)}]


def other(tokens: int) -> list[dict[str, Any]]:
    """Another of the same size."""
    return [{"type": "text", "text": "xyz" * (tokens - 3)}]


def test_the_sentence_of_an_edit() -> None:
    old, new = side(system=sized(4_000), **AUTOMATIC), side(system=other(4_000), **AUTOMATIC)
    assert edit(old, new, LIVE).sentence == (
        "rewrites 41k cached tokens in each of 1,200 live sessions: 49.2M tokens, about $236 once on claude-opus-5-5"
    )
    assert edit(old, new).sentence == (
        "rewrites about 4k tokens of tools and system, and what is cached of the conversation, in each live session:"
        " about $0.02 each on claude-opus-5-5, and more with the conversations"
    )
    assert edit(old, new, Sessions(10)).sentence == (
        "rewrites about 4k tokens of tools and system, and what is cached of the conversation, in each of 10 live"
        " sessions: at least 40k tokens, about $0.19 once on claude-opus-5-5, and more with the conversations"
    )
    assert edit(old, new, Sessions(0, 0, True)).sentence == "no session is live: nothing that is cached is lost"
    assert "at most 7 live sessions" in edit(old, new, Sessions(7, 41_000, True)).sentence
    marked = side(system=[{**other(4_000)[0], "cache_control": SHORT}], **AUTOMATIC)
    assert edit(old, marked, LIVE).sentence == (
        "writes about 4k tokens of tools and system once, and rewrites 37k cached tokens in each of 1,200 live"
        " sessions: 44.4M tokens, about $213 once on claude-opus-5-5"
    )
    effort = side(system=sized(4_000), output_config={"effort": "low"}, **AUTOMATIC)
    assert "rewrites 41k cached tokens" in edit(old, effort, LIVE).sentence  # nothing marks the end of system
    low = side(**{**marked.spec["request"], "output_config": {"effort": "low"}})
    assert edit(marked, low, LIVE).sentence == (
        "rewrites 37k cached tokens in each of 1,200 live sessions: 44.4M tokens, about $213 once on claude-opus-5-5"
    )
    assert edit(marked, low).sentence == "rewrites what is cached of the conversation in each live session"
    assert edit(side(system=sized(4_000)), side(system=other(4_000))).sentence == (
        "the revision sets no cache_control; what is cached of the conversation by clients is written again in each"
        " live session"
    )


def test_prices_are_those_of_the_entry_and_of_the_installation() -> None:
    def usd(**fields: Any) -> float | None:
        control = fields.pop("control", SHORT)
        old, new = (side(system=text, cache_control=control, **fields) for text in (sized(4_000), other(4_000)))
        return edit(old, new, Sessions(1_000, 10_000), **more).bill.usd

    more: dict[str, Any] = {}
    assert usd() == pytest.approx(10.0 * (5.0 - 0.2))
    assert usd(control=HOUR) == pytest.approx(10.0 * (8.0 - 0.2))
    assert usd(speed="fast") == pytest.approx(2 * 10.0 * (5.0 - 0.2))
    assert usd(inference_geo="us") == pytest.approx(1.1 * 10.0 * (5.0 - 0.2))
    assert usd(model="claude-of-our-own") is None
    book: Book = {OPUS: Prices(1.0, 1.0, cache_write_5m=2.0, cache_write_1h=3.0, cache_read=1.0)}
    more = {"book": book}
    assert usd() == pytest.approx(10.0)
    assert (
        "at a price that is not known"
        in edit(
            side(model="x", system=sized(2_000), **AUTOMATIC), side(model="x", system=other(2_000), **AUTOMATIC), LIVE
        ).sentence
    )


def test_a_large_prompt_has_the_prices_of_its_size() -> None:
    old, new = (side(model=HAIKU, system=text, **AUTOMATIC) for text in (sized(4_000), other(4_000)))
    small, large = (edit(old, new, Sessions(1, cached)).bill.usd for cached in (100_000, 100_001))
    assert small == pytest.approx(0.1 * (0.125 - 0.01))
    assert large == pytest.approx(0.100001 * (0.625 - 0.05))


def test_another_tokenizer_counts_other_tokens() -> None:
    old = side(model="claude-sonnet-4-6", system=sized(4_000), **AUTOMATIC)
    new = side(model=SONNET, system=sized(4_000), **AUTOMATIC)
    assert edit(old, new, Sessions(1, 30_000)).bill.each == 40_000
    assert edit(new, old, Sessions(1, 40_000)).bill.each == 30_000


def test_what_shows_beside_the_revision_that_serves() -> None:
    def found(old: Side, new: Side) -> list[tuple[str, str]]:
        faults = beside_faults(old, new, NOW.date())
        return [(one.check, path_text(one.path)) for one in faults]

    assert found(side(model="claude-sonnet-4-6"), side(model=SONNET)) == [("tokenizer", "spec.request.model")]
    assert found(side(), side(system=[block("other")])) == []
    assert found(side(), side(model=SONNET)) == []
    scout = {"subagents": {"scout": {"request": {"model": HAIKU}}}}
    older = {"subagents": {"scout": {"request": {"model": "claude-sonnet-4-6"}}}}
    assert found(side(older), side(scout)) == [("tokenizer", "spec.subagents.scout.request.model")]


def test_a_subagent_is_told_apart_and_not_multiplied() -> None:
    def with_scout(text: list[dict[str, Any]]) -> dict[str, Any]:
        return {"subagents": {"scout": {"request": {"model": HAIKU, "system": text}}}}

    old = side(with_scout(sized(4_000)), system=sized(900), **AUTOMATIC)
    new = side(with_scout(other(4_000)), system=sized(900), **AUTOMATIC)
    found = edit(old, new, LIVE)
    assert (found.rewrite.name, found.bill.total) == ("scout", None)
    assert path_text(found.rewrite.changes[0].path) == "spec.subagents.scout.request.system[0]"
    assert found.sentence.startswith("subagent scout: rewrites about 4k tokens")
    both = edits(old, side(with_scout(sized(4_000)), system=sized(900), tools=[tool("a")], **AUTOMATIC), LIVE)
    assert [one.rewrite.name for one in both] == ["", "scout"]  # it takes the tools of spec.request
    assert edits(old, side(system=sized(900), **AUTOMATIC)) == []  # one that is new or gone has nothing to compare


def test_texts_of_config_maps_are_part_of_the_prompt() -> None:
    prompt = [{"configMapKeyRef": {"name": "prompts", "key": "main"}, "cache_control": SHORT}]
    spec = deployment({"promptFrom": prompt})["spec"]
    olds, news = ({("prompts", "main"): text} for text in ("abc" * 4_000, "xyz" * 4_000))
    found = edit(Side(spec, olds), Side(spec, news))
    assert path_text(found.rewrite.changes[0].path) == "spec.promptFrom[0]"
    assert found.bill.once == pytest.approx(4_003)
    assert edits(Side(spec, olds), Side(spec, olds)) == []
    revision = {"request": {**spec["request"], "system": [
        {"type": "text", "text": "abc" * 4_000, "cache_control": SHORT}, *spec["request"]["system"]]}}  # fmt: skip
    assert edits(Side(revision), Side(spec, olds)) == []  # a ClaudeRevision has the texts in its system


def test_sizes_are_those_of_the_simulator() -> None:
    (served,) = served_requests(deployment(tools=[tool("book")], system=[block("é")])["spec"], {})
    assert served.model is not None
    parts = [*served.request["tools"], *served.request["system"]]
    assert [part.tokens for part in served.parts] == [block_tokens(part, served.model) for part in parts]
    older = find("claude-sonnet-4-6")
    assert part_tokens(parts[1], older) < part_tokens(parts[1], served.model)


def test_live_sessions_are_at_most_the_calls_of_the_last_hour() -> None:
    def entry(revision: str, calls: int, read: int, written: int) -> Entry:
        return Entry(revision, "chat", "p", Sums(calls, read + written, read, written))

    now = int(NOW.timestamp())
    slots = {
        now - 600: (entry("v1", 100, 3_900_000, 200_000), entry("v2", 50, 10, 10)),
        now - 7_200: (entry("v1", 9_000, 1, 1),),
    }
    assert measured(CacheUsage(slots=slots), "v1", NOW) == Sessions(
        100, 41_000, True, "100 calls of the stable revision in the last hour"
    )
    assert measured(CacheUsage(slots=slots), "v3", NOW).number == 0
    assert measured(CacheUsage(), None, NOW).number == 0


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, "for 1 h after the promotion"),
        ({"strategy": {"canary": {"drain": {"maxAge": "10m"}}}}, "for 10 min after"),
        ({"strategy": {"canary": {"drain": {"maxAge": "0s"}}}}, ""),
        ({"assignment": {"unit": "Request"}}, ""),
    ],
)
def test_how_long_conversations_stay(spec: dict[str, Any], said: str) -> None:
    found = keeping(spec)
    assert said in found
    assert bool(said) == bool(found)
