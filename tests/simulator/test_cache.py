"""The prompt cache's numbers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.simulator.harness import Running, message

from claude_operator.core.catalogue.table import Model, find
from claude_operator.simulator.cache import PromptCache
from claude_operator.simulator.request import Request

SHORT = {"type": "ephemeral"}
LONG = {"type": "ephemeral", "ttl": "1h"}
FIRST, SECOND, OTHER = "first " * 500, "second " * 500, "other " * 500


def model(name: str = "claude-haiku-5-5") -> Model:
    found = find(name)
    assert found is not None
    return found


def text(words: str, control: Any = None) -> dict[str, Any]:
    return {"type": "text", "text": words} | ({"cache_control": control} if control else {})


class Asking:
    """A cache, and requests to it at times in seconds."""

    def __init__(self, most: int = 1000) -> None:
        self.cache = PromptCache(most)

    def __call__(self, now: float, name: str = "claude-haiku-5-5", **fields: Any) -> tuple[int, int, int, int]:
        """Tokens fresh, read, written for 5m, written for 1h."""
        lookup = self.cache.look_up(Request(message(**fields)), model(name), now)
        self.cache.write(lookup, now)
        assert lookup.usage["cache_creation_input_tokens"] == sum(lookup.written.values())
        return lookup.fresh, lookup.read, lookup.written["5m"], lookup.written["1h"]


async def test_two_calls_over_http_and_the_ttl(api: Running) -> None:
    body = message(system=[text(FIRST, SHORT)])
    _, first = await api.ask(body)
    written = first["usage"]["cache_creation_input_tokens"]
    assert written > 512
    assert first["usage"]["cache_creation"] == {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0}
    assert first["usage"]["cache_read_input_tokens"] == 0
    for _ in range(3):
        api.clock.now += 299  # each use lets it live on
        _, again = await api.ask(body)
        assert again["usage"]["cache_read_input_tokens"] == written
        assert again["usage"]["cache_creation_input_tokens"] == 0
        assert again["usage"]["input_tokens"] == first["usage"]["input_tokens"] < 20
    api.clock.now += 300
    _, late = await api.ask(body)
    assert late["usage"] == first["usage"]


def test_an_hour_lasts_an_hour() -> None:
    ask = Asking()
    fields = {"system": [text(FIRST, LONG)]}
    _, _, none, written = ask(0, **fields)
    assert (none, written > 512) == (0, True)
    assert ask(3599, **fields)[1] == written
    assert ask(3599 + 3600, **fields)[1:] == (0, 0, written)


def test_each_ttl_gets_its_part() -> None:
    ask = Asking()
    fields = {"system": [text(FIRST, LONG), text(SECOND, SHORT)]}
    fresh, read, short, long = ask(0, **fields)
    assert read == 0
    assert abs(long - 1000) < 20
    assert abs(short - 1167) < 20
    assert ask(100, **fields) == (fresh, short + long, 0, 0)
    assert ask(1000, **fields) == (fresh, long, short, 0)  # the five minutes are over, the hour is not


def test_a_prefix_is_exact() -> None:
    ask = Asking()
    _, _, written, _ = ask(0, system=[text(FIRST, SHORT)])
    assert ask(1, system=[text(FIRST + "!", SHORT)])[1] == 0
    assert ask(1, system=[text(FIRST, SHORT), text("more")])[1] == written
    tool = {"name": "look", "input_schema": {"type": "object"}}
    assert ask(1, system=[text(FIRST, SHORT)], tools=[tool])[1] == 0  # tools come before
    assert ask(1, name="claude-sonnet-5", system=[text(FIRST, SHORT)])[1] == 0


def test_a_growing_conversation_reads_what_it_wrote() -> None:
    ask = Asking()
    turns: list[dict[str, Any]] = [{"role": "user", "content": FIRST}]
    _, _, written, _ = ask(0, messages=turns, cache_control=SHORT)
    turns = [*turns, {"role": "assistant", "content": "ok"}, {"role": "user", "content": SECOND}]
    fresh, read, more, _ = ask(1, messages=turns, cache_control=SHORT)
    assert (fresh, read) == (0, written)
    assert abs(more - 1167) < 20
    assert ask(2, messages=turns, cache_control=SHORT) == (0, written + more, 0, 0)


def test_an_entry_is_looked_for_up_to_twenty_blocks_before() -> None:
    ask = Asking()
    _, _, written, _ = ask(0, system=[text(FIRST, SHORT)])

    def longer(blocks: int) -> list[dict[str, Any]]:
        return [text(FIRST), *[text("x")] * (blocks - 1), text("x", SHORT)]

    assert ask(1, system=longer(25))[1] == 0
    assert ask(1, system=longer(19))[1] == written


def test_what_changes_the_answer_invalidates_the_messages_alone() -> None:
    ask = Asking()
    fields = {"system": [text(FIRST, SHORT)], "messages": [{"role": "user", "content": [text(SECOND, SHORT)]}]}
    _, _, written, _ = ask(0, **fields)
    _, read, again, _ = ask(1, output_config={"effort": "low"}, **fields)
    assert 0 < read < written
    assert read + again == written


@pytest.mark.parametrize(("name", "words", "cached"), [
    ("claude-haiku-5-5", 300, True),
    ("claude-haiku-5-5", 200, False),
    ("claude-haiku-4-5", 2000, False),
    ("claude-haiku-4-5", 3000, True),
])  # fmt: skip
def test_a_small_prompt_is_not_cached(name: str, words: int, cached: bool) -> None:
    ask = Asking()
    fields = {"system": [text("first " * words, SHORT)]}
    assert (ask(0, name, **fields)[2] > 0) == cached
    assert (ask(1, name, **fields)[1] > 0) == cached


def test_memory_is_bounded_and_the_oldest_goes() -> None:
    ask = Asking(most=2)
    for number in range(3):
        ask(number, system=[text(f"{number}{FIRST}", SHORT)])
    assert len(ask.cache) == 2
    assert ask(4, system=[text(f"2{FIRST}", SHORT)])[1] > 0
    assert ask(5, system=[text(f"0{FIRST}", SHORT)])[1] == 0


def test_without_a_breakpoint_nothing_is_kept() -> None:
    ask = Asking()
    fresh, *rest = ask(0, system=FIRST)
    assert (fresh > 900, rest, len(ask.cache)) == (True, [0, 0, 0], 0)


async def test_counting_is_the_whole_prompt(api: Running) -> None:
    body = message(max_tokens=None, system=[text(FIRST, SHORT)])
    headers = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
    async with api.http.post(api.url + "/v1/messages/count_tokens", json=body, headers=headers) as response:
        counted = (await response.json())["input_tokens"]
    _, answer = await api.ask(body | {"max_tokens": 9})
    assert counted == answer["usage"]["input_tokens"] + answer["usage"]["cache_creation_input_tokens"]
