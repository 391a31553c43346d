"""What a sample is made of, whatever comes: it stays within its bounds, and breaks no call."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.upstream import MESSAGE, stream_events

from claude_operator.api.samples import LONGEST_PART
from claude_operator.gateway.sampled import AnswerTap, tail
from claude_operator.gateway.sse import AnswerSummary, SseRelay

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "tool_result", "thinking", "odd"]), "text": TEXTS},
    optional={"content": JSON},
)
MESSAGES = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant"])}, optional={"content": TEXTS | st.lists(BLOCKS, max_size=4) | JSON}
)


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@given(st.lists(MESSAGES | JSON, max_size=8), st.integers(1, 3000))
def test_a_question_of_any_shape_stays_within_its_bound(messages: list[Any], times: int) -> None:
    for asked in (messages, messages * (times // 100), [*messages, {"role": "user", "content": "\x00é🙂" * times}]):
        found, size, cut = tail(raw(asked))
        encoded = msgspec.json.encode(found)
        assert len(encoded) <= LONGEST_PART + 2 + len(found)  # brackets and commas
        assert size <= LONGEST_PART
        assert cut or len(found) == len(asked)
        assert not asked or found
        assert b'"source"' not in encoded


def test_the_question_stays_whatever_its_tools_were_told() -> None:
    used = {"type": "tool_use", "id": "t", "name": "read", "input": {"path": "x" * 9000}}
    told = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "y" * 40_000}]}
    asked = {"role": "user", "content": "What is in it?"}
    loop = [{"role": "assistant", "content": [used]}, {"role": "user", "content": [told]}] * 3
    found, _, cut = tail(raw([asked, *loop]))
    assert (found[0], len(found), cut) == (asked, 7, True)
    assert found[2]["content"][0]["content"].startswith("yyy")


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=20), st.lists(st.integers(1, 4000), max_size=10))
def test_a_stream_is_read_however_it_is_split(texts: list[str], cuts: list[int]) -> None:
    whole = b"".join(stream_events(*texts))
    places = sorted({0, len(whole), *(cut % len(whole) for cut in cuts)})
    tap = AnswerTap()
    relay = SseRelay(AnswerSummary(), None, tap)
    sent = b"".join(relay.feed(whole[a:b]) for a, b in pairwise(places)) + relay.finish()
    assert sent == whole
    assert (tap.text, tap.cut) == ("".join(texts), False)


@given(st.binary(max_size=300) | JSON.map(msgspec.json.encode))
def test_an_answer_of_any_shape_is_taken_or_marked(body: bytes) -> None:
    for tap in (AnswerTap(), AnswerTap()):
        tap.read_body(body)
        tap.read_events(b"event: content_block_delta\ndata: " + body + b"\n\n")
        assert tap.size <= LONGEST_PART


@pytest.mark.parametrize("unit", ["y", "\N{SNOWMAN}", "🙂"])
def test_a_long_answer_is_cut_at_its_bound(unit: str) -> None:
    streamed, whole = AnswerTap(), AnswerTap()
    streamed.read_events(b"".join(stream_events(*([unit * 1000] * 60))))
    whole.read_body(json.dumps({**MESSAGE, "content": [{"type": "text", "text": unit * 60_000}]}).encode())
    for tap in (streamed, whole):
        assert tap.cut
        assert LONGEST_PART // 5 < len(tap.text.encode()) <= LONGEST_PART


def test_calls_beyond_the_bound_are_left_out_and_the_others_whole() -> None:
    blocks = [{"type": "tool_use", "name": f"tool{n}", "input": {"text": "z" * 10_000}} for n in range(5)]
    tap = AnswerTap()
    tap.read_body(json.dumps({**MESSAGE, "content": blocks}).encode())
    assert tap.cut
    assert [call.name for call in tap.calls][:3] == ["tool0", "tool1", "tool2"]
    assert json.loads(tap.calls[0].input) == blocks[0]["input"]
