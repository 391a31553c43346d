"""A later request is found by what it quotes, however its client writes it."""

from __future__ import annotations

import tracemalloc
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.core.request import quotes
from claude_operator.core.request.assignment import Assignment
from claude_operator.core.request.quotes import Answer, blocks_of, count_turns, read_turns

BASE = Assignment(b"secret").quoting("uid", "caller")
QUESTION = {"role": "user", "content": "Where is my order?"}
MORE = {"role": "user", "content": "17"}


def body(*messages: Any) -> dict[str, msgspec.Raw]:
    return {"messages": msgspec.Raw(msgspec.json.encode(messages))}


def text(*texts: str, **more: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": each, **more} for each in texts]


def said(*content: dict[str, Any], asked: Any = (QUESTION,), base: blake2b = BASE) -> int | None:
    """What the gateway remembers of an answer with these blocks."""
    answer = read_turns(body(*asked)).answer(base)
    assert answer is not None
    for block in blocks_of(msgspec.json.encode(content)):
        answer.add(block)
    return answer.digest()


def quoted(*messages: Any, base: blake2b = BASE) -> list[int]:
    """What the gateway looks for when a request has these messages."""
    return list(read_turns(body(*messages)).quotes(base))


TOOL = {"type": "tool_use", "id": "toolu_1", "name": "search", "input": {"q": "17"}}
SERVER_TOOL = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "s"}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "none"}]}


@pytest.mark.parametrize(
    ("answer", "sent_back"),
    [
        (text("Which one?"), "Which one?"),
        (text("Which one?"), text("Which one?")),
        (text("Which one?"), text("Which one?", cache_control={"type": "ephemeral"})),
        (text("Which one?"), " Which one?\n"),
        (text("Which", " one?"), text("Which one?")),
        (text("Which", "one?"), "Which\n\none?"),
        ([THOUGHT, *text("Which one?")], text("Which one?")),
        ([THOUGHT, *text("Which one?")], [THOUGHT, *text("Which one?")]),
        ([*text("Let me see."), TOOL], [TOOL]),
        ([THOUGHT, TOOL], [THOUGHT, *text("Let me see"), TOOL]),
        ([TOOL], [{**TOOL, "input": {}}]),
        ([SERVER_TOOL, *text("It says")], [SERVER_TOOL]),
    ],
)
def test_an_answer_is_found_however_its_client_sends_it_back(answer: Any, sent_back: Any) -> None:
    assert quoted(QUESTION, {"role": "assistant", "content": sent_back}, MORE) == [said(*answer)]


@pytest.mark.parametrize(
    "question",
    [
        {"role": "user", "content": text("Where is my order?")},
        {"role": "user", "content": text("Where is my order?", cache_control={"type": "ephemeral"})},
        {"content": "Where is my order?", "role": "user"},
        {"role": "user", "content": text("Where is my order? ")},
    ],
)
def test_the_message_before_it_may_be_written_in_other_ways(question: Any) -> None:
    assert quoted(question, {"role": "assistant", "content": "Which?"}, MORE) == [said(*text("Which?"))]


@pytest.mark.parametrize(
    ("other", "base"),
    [
        ([QUESTION, {"role": "assistant", "content": "Which?!"}, MORE], BASE),
        ([MORE, {"role": "assistant", "content": "Which?"}, MORE], BASE),
        ([QUESTION, {"role": "assistant", "content": [TOOL]}, MORE], BASE),
        ([QUESTION, {"role": "assistant", "content": "Which?"}, MORE], Assignment(b"secret").quoting("uid", "else")),
        ([QUESTION, {"role": "assistant", "content": "Which?"}, MORE], Assignment(b"secret").quoting("else", "caller")),
        ([QUESTION, {"role": "assistant", "content": "Which?"}, MORE], Assignment(b"else").quoting("uid", "caller")),
    ],
)
def test_others_are_not_taken_for_it(other: Any, base: blake2b) -> None:
    assert said(*text("Which?")) not in quoted(*other, base=base)


def test_images_are_told_apart_by_their_size_and_read_no_further() -> None:
    def asked(data: str) -> dict[str, Any]:
        image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
        return {"role": "user", "content": [image, *text("What is it?")]}

    found = {said(*text("A cat"), asked=[asked(data)]) for data in ("aaaa", "bbbb", "aaaaaaaa")}
    assert len(found) == 2


def test_the_last_answer_is_looked_for_first_and_then_the_first_one() -> None:
    one, two, three = ({"role": "assistant", "content": each} for each in ("one", "two", "three"))
    asked = [QUESTION, one, MORE, two, MORE, three, QUESTION]
    assert quoted(*asked) == [said(*text("three"), asked=[MORE]), said(*text("one"))]
    assert quoted(*asked[2:]) == [
        said(*text("three"), asked=[MORE]),
        said(*text("two"), asked=[MORE]),
    ]
    assert quoted(*asked[:5]) == [said(*text("two"), asked=[MORE]), said(*text("one"))]  # asked anew


def test_an_answer_that_the_client_began_is_known_by_the_whole() -> None:
    begun = {"role": "assistant", "content": "{"}
    whole = {"role": "assistant", "content": '{"a": 1}'}
    assert quoted(QUESTION, whole, MORE) == [said(*text('"a": 1}'), asked=[QUESTION, begun])]
    turns = read_turns(body(QUESTION, begun))
    assert turns.count == count_turns(body(QUESTION, begun)) == 0


def test_a_turn_in_several_messages_is_one() -> None:
    paused = {"role": "assistant", "content": [SERVER_TOOL]}
    asked = [QUESTION, paused, {"role": "assistant", "content": "Which?"}, MORE]
    assert count_turns(body(*asked)) == read_turns(body(*asked)).count == 1
    assert quoted(QUESTION, paused) == [said(SERVER_TOOL)]


@pytest.mark.parametrize("content", [[], text(" \n"), [THOUGHT]])
def test_an_answer_that_says_nothing_is_not_remembered(content: Any) -> None:
    assert said(*content) is None


@pytest.mark.parametrize("messages", [[], [7], "hello", None, [{"role": "assistant"}, QUESTION], [{"role": 7}]])
def test_what_cannot_be_read_quotes_nothing(messages: Any) -> None:
    request = {"messages": msgspec.Raw(msgspec.json.encode(messages))}
    assert list(read_turns(request).quotes(BASE)) == []
    count_turns(request)


@given(st.lists(st.text(), max_size=5), st.randoms(use_true_random=False))
def test_the_pieces_that_a_stream_comes_in_make_no_difference(texts: list[str], random: Any) -> None:
    whole, pieces = Answer(BASE, b"q"), Answer(BASE, b"q")
    joined = "".join(texts)
    whole.add_text(joined)
    while joined:
        cut = random.randint(1, len(joined))
        pieces.add_text(joined[:cut])
        joined = joined[cut:]
    assert whole.digest() == pieces.digest()


@given(st.lists(st.sampled_from(["user", "assistant", "system"]), max_size=12))
def test_both_ways_to_count_agree(roles: list[str]) -> None:
    request = body(*({"role": role, "content": "x"} for role in roles))
    assert count_turns(request) == read_turns(request).count


def test_a_large_question_costs_little_memory_beyond_itself() -> None:
    """A list of its words would take twenty times as much, and the gateway's limit with it."""
    text = "ab " * 1_000_000
    tracemalloc.start()
    try:
        told = quotes._words(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert told == b"ab" * 1_000_000
    assert peak < 3 * len(text)
