"""Why a call found less in the cache than it could have: tables."""

from __future__ import annotations

import msgspec
import pytest

from claude_operator.api.gateway import Arm, Overrides
from claude_operator.core.request.compose import compose, prepare, raw_body
from claude_operator.core.request.prefix import Shape, shape_of
from claude_operator.core.usage.cold import Cause, Change, Placement, Seen, Tokens, compare, find_cause, lost_tokens

MARKED = {"cache_control": {"type": "ephemeral"}}
LISTS = Placement(in_lists=True, in_messages=False, lost=False)
MESSAGES = Placement(in_lists=False, in_messages=True, lost=False)
GAVE_WAY = Placement(in_lists=False, in_messages=True, lost=True)
NONE = Placement(in_lists=False, in_messages=False, lost=False)
HOUR = Placement(in_lists=True, in_messages=False, lost=False, ttl="1h")
WRITTEN = Tokens(read=0, written=2000, prefix=2000, minimum=512)
READ = Tokens(read=2000, written=0, prefix=2000, minimum=512)
GREW = Tokens(read=2000, written=300, prefix=2000, minimum=512)
NEITHER = Tokens(read=0, written=0, prefix=2000, minimum=512)
LITTLE = Tokens(read=0, written=0, prefix=300, minimum=512)
VOLATILE = Change(Cause.VOLATILE_TEXT, "system[0]")


@pytest.mark.parametrize(
    ("seen", "placed", "tokens", "said", "cause"),
    [
        (Seen(first=True), LISTS, WRITTEN, "", None),  # a new pod or revision starts cold
        (Seen(warming=True), LISTS, WRITTEN, "", None),  # began with the call that fills the cache
        (Seen(gap=10.0), LISTS, READ, "", None),
        (Seen(gap=10.0), LISTS, GREW, "", None),  # the conversation went on
        (Seen(change=VOLATILE), LISTS, WRITTEN, "", Cause.VOLATILE_TEXT),
        (Seen(change=VOLATILE), LISTS, GREW, "", Cause.VOLATILE_TEXT),  # an earlier breakpoint was read
        (Seen(change=VOLATILE), LISTS, READ, "", None),  # known to another gateway
        (Seen(change=None), LISTS, WRITTEN, "", None),
        (Seen(gap=299.0), LISTS, WRITTEN, "", Cause.UNEXPLAINED),
        (Seen(gap=301.0), LISTS, WRITTEN, "", Cause.TTL_TOO_SHORT),
        (Seen(gap=301.0), HOUR, WRITTEN, "", Cause.UNEXPLAINED),
        (Seen(gap=3601.0), LISTS, WRITTEN, "", None),  # no ttl is that long
        (Seen(gap=10.0), MESSAGES, WRITTEN, "", Cause.PREFIX_UNMARKED),
        (Seen(gap=10.0), MESSAGES, Tokens(0, 900, 300, 512), "", None),  # too short to be worth a breakpoint
        (Seen(gap=10.0), GAVE_WAY, WRITTEN, "", Cause.BREAKPOINT_DROPPED),
        (Seen(gap=10.0), LISTS, LITTLE, "", Cause.UNDER_MINIMUM),
        (Seen(first=True), LISTS, LITTLE, "", Cause.UNDER_MINIMUM),
        (Seen(gap=10.0), MESSAGES, LITTLE, "", None),  # a conversation that is short yet
        (Seen(gap=10.0), LISTS, NEITHER, "", Cause.UNEXPLAINED),  # the upstream has no cache
        (Seen(gap=10.0), NONE, NEITHER, "", Cause.NOT_CACHED),
        (Seen(first=True), NONE, NEITHER, "", None),
        (Seen(gap=10.0), NONE, LITTLE, "", None),  # nothing to cache
        (Seen(gap=10.0), NONE, Tokens(0, 0, 600, None), "", None),  # of a model that is not known, 1,024
        (Seen(gap=10.0), LISTS, GREW, "messages_changed", Cause.MESSAGES_CHANGED),
        (Seen(gap=10.0), LISTS, WRITTEN, "model_changed", Cause.MODEL_CHANGED),
        (Seen(first=True), LISTS, WRITTEN, "system_changed", Cause.VOLATILE_TEXT),
        (Seen(change=Change(Cause.TOOLS_REORDERED)), LISTS, WRITTEN, "tools_changed", Cause.TOOLS_REORDERED),
        (Seen(change=Change(Cause.CLIENT_BLOCK_FIRST)), LISTS, WRITTEN, "system_changed", Cause.CLIENT_BLOCK_FIRST),
        (Seen(gap=10.0), LISTS, READ, "messages_changed", None),  # all was read, whatever differs
        (Seen(gap=301.0), LISTS, WRITTEN, "previous_message_not_found", Cause.TTL_TOO_SHORT),
        (Seen(gap=301.0), LISTS, WRITTEN, "unavailable", Cause.TTL_TOO_SHORT),
    ],
)
def test_causes(seen: Seen, placed: Placement, tokens: Tokens, said: str, cause: Cause | None) -> None:
    assert find_cause(seen, placed, tokens, said) is cause


@pytest.mark.parametrize(
    ("cause", "tokens", "lost"),
    [
        (Cause.VOLATILE_TEXT, GREW, 300),
        (Cause.TTL_TOO_SHORT, WRITTEN, 2000),
        (Cause.UNDER_MINIMUM, LITTLE, 300),
        (Cause.NOT_CACHED, NEITHER, 2000),
        (Cause.PREFIX_UNMARKED, Tokens(0, 5000, 2000, 512), 2000),  # the conversation itself is written anyway
        (Cause.MESSAGES_CHANGED, Tokens(2000, 900, 2000, 512, missed=700), 700),
    ],
)
def test_what_could_have_been_read(cause: Cause, tokens: Tokens, lost: int) -> None:
    assert lost_tokens(cause, tokens) == lost


def shape(client: dict[str, object], ours: dict[str, object] | None = None, **overrides: str) -> Shape:
    """The shape of a client's request under a revision."""
    arm = Arm("r", "stable", 10_000, {"model": "m", **(ours or {})}, overrides=Overrides(**overrides))  # type: ignore[arg-type]
    composed = compose(prepare(arm, {}), raw_body({"messages": [], **client}))
    assert composed.prompt is not None
    return shape_of(composed.model, composed.prompt)


def system(*texts: str, marked: bool = True) -> dict[str, object]:
    blocks = [{"type": "text", "text": text} for text in texts]
    return {"system": [*blocks[:-1], blocks[-1] | (MARKED if marked else {})]}


def tools(*names: str, note: str = "") -> dict[str, object]:
    found = [{"name": name, "description": f"{note}{name}", "input_schema": {"type": "object"}} for name in names]
    return {"tools": [*found[:-1], found[-1] | MARKED]}


OURS = system("revision")


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (shape(system("a")), shape(system("a")), None),
        (shape(system("a")), shape(system("a", marked=False)), None),
        (
            shape(system("a", "1")),
            shape(system("a", "2")),
            Change(Cause.VOLATILE_TEXT, "system[1]", "looks like a number"),
        ),
        (
            shape(system("At 2026-11-30 10:00 hello")),
            shape(system("At 2026-11-30 10:01 hello")),
            Change(Cause.VOLATILE_TEXT, "system[0]", "looks like a timestamp"),
        ),
        (
            shape(system("req_0a1b hello")),
            shape(system("req_0a1c hello")),
            Change(Cause.VOLATILE_TEXT, "system[0]", "looks like a request id"),
        ),
        (shape(system("Ann")), shape(system("Bob")), Change(Cause.VOLATILE_TEXT, "system[0]")),
        (shape(system("a")), shape(system("a", "b")), Change(Cause.VOLATILE_TEXT, "system[1]")),
        (shape(tools("a", "b", "c")), shape(tools("b", "a", "c")), Change(Cause.TOOLS_REORDERED, "tools[0]")),
        (shape(tools("a", "b")), shape(tools("b", "a")), Change(Cause.TOOLS_REORDERED, "tools[0]")),
        (shape(tools("a", "b")), shape(tools("a")), Change(Cause.TOOLS_CHANGED, "tools[1]")),
        (
            shape({**tools("a", "b"), **system("s")}),
            shape({**tools("a"), **system("s")}),
            Change(Cause.TOOLS_CHANGED, "tools[1]"),
        ),
        (
            shape({"tools": [{"name": "a", "type": "x"}], **system("s")}),
            shape({"tools": [{"type": "x", "name": "a"}], **system("s")}),
            Change(Cause.TOOLS_CHANGED, "tools[0]", "the same JSON with its keys in another order"),
        ),
        (
            shape({"system": "Ticket"}, OURS, system="Append"),
            shape({"system": "Other"}, OURS, system="Append"),
            Change(Cause.CLIENT_BLOCK_FIRST, "system[0]"),
        ),
        (
            shape(system("Ticket"), OURS, system="Prepend"),
            shape(system("Other"), OURS, system="Prepend"),
            Change(Cause.VOLATILE_TEXT, "system[1]"),
        ),
        (
            shape({}, OURS, system="Append"),
            shape({"system": "x"}, OURS, system="Append"),
            Change(Cause.CLIENT_BLOCK_FIRST, "system[0]"),
        ),
    ],
)
def test_the_first_difference(before: Shape, after: Shape, change: Change | None) -> None:
    assert compare(before, after) == change


@pytest.mark.parametrize("length", range(2040, 2049))
def test_a_sample_that_ends_within_a_character_is_compared(length: int) -> None:
    before, after = (shape(system("x" * (length - 24) + "\u3042" * 2000 + end)) for end in ("1", "2"))
    assert compare(before, after) == Change(Cause.VOLATILE_TEXT, "system[0]", "looks like a number")


@pytest.mark.parametrize(
    "data", [b'"\xff"', b'[{"type":"text","text":"\xff"}]', b'[{"text":"\xff","cache_control":{}}]']
)
def test_bytes_that_are_no_text_have_a_shape(data: bytes) -> None:
    """The API answers such a request with 400: the gateway does not stand in its way."""
    body = {**raw_body({"messages": []}), "system": msgspec.Raw(data)}
    for ours in ({}, OURS):
        arm = Arm("r", "stable", 10_000, {"model": "m", **ours}, overrides=Overrides(system="Append"))
        composed = compose(prepare(arm, {}), body)
        assert composed.prompt is not None
        one = shape_of(composed.model, composed.prompt)
        assert compare(one, one) is None
        compare(shape(system("other"), ours, system="Append"), one)


def test_a_breakpoint_that_gave_way_before_the_first_difference_is_the_cause() -> None:
    def four(last: str) -> dict[str, object]:
        return {"system": [{"type": "text", "text": f"{n}{last}", **MARKED} for n in range(4)]}

    before, after = (shape(four(last), OURS, system="Prepend") for last in "ab")
    assert compare(before, after) == Change(Cause.BREAKPOINT_DROPPED, "system[1]")


def test_another_model_has_another_cache() -> None:
    before, after = shape(system("a")), shape({**system("b")}, {"model": "other"})
    assert compare(before, after) == Change(Cause.MODEL_CHANGED)
