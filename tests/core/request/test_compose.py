"""Composition: what a client sends under what a revision declares."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.counting import calls_of

from claude_operator.api.gateway import Arm, Overrides
from claude_operator.core.catalogue.checks.check import takes
from claude_operator.core.request.breakpoints import LIMIT, Breakpoint, keep_breakpoints
from claude_operator.core.request.compose import Composed, MissingName, compose, prepare, raw_body

SHORT = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
HELLO = [{"role": "user", "content": "Hello"}]
fields_of = msgspec.json.Decoder(dict[str, msgspec.Raw])


def arm(request: dict[str, Any], **more: Any) -> Arm:
    more = {"revision": "support-5f6d8c1a2b", "role": "stable", "weight": 10_000, **more}
    return Arm(request={"model": "claude-opus-5-5", "max_tokens": 64, **request}, **more)


def composed(revision: Arm, body: dict[str, Any] | bytes, **options: Any) -> Composed:
    fields = fields_of.decode(body) if isinstance(body, bytes) else raw_body(body)
    return compose(prepare(revision, {}, takes), fields, **options)


def sent(revision: Arm, body: dict[str, Any] | bytes, **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(composed(revision, body, **options).body)
    return result


def text(words: str, control: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "text", "text": words} | ({"cache_control": control} if control else {})


def tool(name: str, control: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "input_schema": {"type": "object"}} | ({"cache_control": control} if control else {})


# ---------------------------------------------------------------------------------------------- fields


def test_the_revision_wins_and_the_rest_passes_through() -> None:
    result = composed(
        arm({"system": [text("Be brief.")]}),
        {
            "model": "claude-haiku-5-5",
            "max_tokens": 9,
            "messages": HELLO,
            "from_the_future": {"a": [1]},
            "stream": True,
        },
    )
    assert json.loads(result.body) == {
        "model": "claude-opus-5-5",
        "max_tokens": 64,
        "messages": HELLO,
        "from_the_future": {"a": [1]},
        "stream": True,
        "system": [text("Be brief.")],
    }
    assert result.overridden == ("model", "max_tokens")
    assert result.model == "claude-opus-5-5"
    assert result.stream is True


def test_an_equal_value_is_not_overridden() -> None:
    body = b'{"model": "claude-opus-5-5", "max_tokens": 64, "thinking": { "type" : "adaptive" }, "messages": []}'
    result = composed(arm({"thinking": {"type": "adaptive"}}), body)
    assert result.overridden == ()
    assert result.stream is False


ODD = (
    b'[ {"role":"user",  "content":"\\u00e9\\/ \\ud83d\\ude00 caf\xc3\xa9\\t","role":"user"},\n'
    b'\t{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n",'
    b'"input":{"big":123456789012345678901234567890,"minus":-0,"float":1.0,"exp":1e400,"a":1,"a":2}}]} ]'
)


def test_messages_keep_every_byte() -> None:
    body = b'{"stream":false,"messages": ' + ODD + b' ,"x_float":1.10,"model":"m"}'
    result = composed(arm({"system": [text("s", HOUR)]}), body)
    fields = fields_of.decode(result.body)
    assert bytes(fields["messages"]) == ODD
    assert bytes(fields["x_float"]) == b"1.10"
    assert ODD in result.body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda name: name not in {"model", "max_tokens"}), json_values), st.booleans())
@settings(max_examples=60)
def test_any_field_the_revision_leaves_alone_keeps_its_bytes(fields: dict[str, Any], ascii_only: bool) -> None:
    body = json.dumps(fields, ensure_ascii=ascii_only, indent=1).encode("utf-8", "surrogatepass")
    try:
        before = fields_of.decode(body)
    except msgspec.DecodeError:
        return  # a lone surrogate is not JSON text
    after = fields_of.decode(composed(arm({}), body).body)
    assert {name: bytes(raw) for name, raw in after.items() if name in before} == {
        name: bytes(raw) for name, raw in before.items()
    }


def test_nothing_the_revision_does_not_declare_is_added() -> None:
    assert set(sent(arm({}), {"messages": HELLO})) == {"model", "max_tokens", "messages"}
    assert set(sent(arm({"thinking": None}), {"messages": HELLO})) == {"model", "max_tokens", "messages"}


@pytest.mark.parametrize("name", ["messages", "stream"])
def test_a_revision_may_not_declare_what_is_the_clients(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} comes from the client"):
        prepare(arm({name: []}), {})


def test_a_subagent_overlays_the_request() -> None:
    revision = arm(
        {"system": [text("base")]},
        betas=["one-2026-01-01"],
        subagents={
            "researcher": {"model": "claude-haiku-5-5", "betas": ["two-2026-01-01"]},
            "writer": {"system": [text("w")]},
        },
    )
    prepared = prepare(revision, {})
    researcher = compose(prepared, raw_body({"messages": HELLO}), subagent="researcher")
    writer = compose(prepared, raw_body({"messages": HELLO}), subagent="writer")
    assert (researcher.model, researcher.betas) == ("claude-haiku-5-5", ("two-2026-01-01",))
    assert json.loads(researcher.body)["system"] == [text("base")]
    assert (writer.model, writer.betas) == ("claude-opus-5-5", ("one-2026-01-01",))
    assert json.loads(writer.body)["system"] == [text("w")]


def test_an_unknown_subagent_gets_the_request_and_is_named() -> None:
    result = composed(arm({}), {"messages": HELLO}, subagent="nobody")
    assert result.model == "claude-opus-5-5"
    assert result.overridden == ("x-claude-subagent",)


# ------------------------------------------------------------------------------------- system and tools


@pytest.mark.parametrize(
    ("mode", "client", "expected", "overridden"),
    [
        ("Replace", "theirs", ["ours"], ("system",)),
        ("Replace", [text("theirs")], ["ours"], ("system",)),
        ("Replace", None, ["ours"], ()),
        ("Prepend", "theirs", ["ours", "theirs"], ()),
        ("Prepend", [text("a"), text("b")], ["ours", "a", "b"], ()),
        ("Append", "theirs", ["theirs", "ours"], ()),
        ("Append", "", ["ours"], ()),
        ("Append", None, ["ours"], ()),
    ],
)
def test_system_meets_the_clients(mode: Any, client: Any, expected: list[str], overridden: tuple[str, ...]) -> None:
    revision = arm({"system": [text("ours")]}, overrides=Overrides(system=mode))
    result = composed(revision, {"messages": HELLO, "system": client})
    assert [block["text"] for block in json.loads(result.body)["system"]] == expected
    assert result.overridden == overridden


def test_a_client_string_keeps_its_escapes() -> None:
    revision = arm({"system": [text("ours")]}, overrides=Overrides(system="Prepend"))
    result = composed(revision, b'{"messages":[],"system":"caf\\u00e9 \\/ "}')
    assert rb'{"type":"text","text":"caf\u00e9 \/ "}' in result.body


def test_a_declared_system_string_is_one_block() -> None:
    assert sent(arm({"system": "ours"}), {"messages": HELLO})["system"] == [text("ours")]


def test_the_clients_system_and_tools_stay_where_the_revision_has_none() -> None:
    body = {"messages": HELLO, "system": "theirs", "tools": [tool("a")]}
    result = composed(arm({}), body)
    assert json.loads(result.body)["system"] == "theirs"
    assert json.loads(result.body)["tools"] == [tool("a")]
    assert result.overridden == ()


def test_a_tool_of_the_revision_displaces_the_clients_of_that_name() -> None:
    revision = arm({"tools": [tool("look_up")]}, overrides=Overrides(tools="Append"))
    result = composed(revision, {"messages": HELLO, "tools": [tool("look_up"), tool("other")]})
    assert [each["name"] for each in json.loads(result.body)["tools"]] == ["other", "look_up"]
    assert result.overridden == ("tools.look_up",)


@pytest.mark.parametrize("system", [7, [7], {"a": 1}])
def test_what_cannot_be_merged_is_left_for_the_api_to_refuse(system: Any) -> None:
    revision = arm({"system": [text("ours")]}, overrides=Overrides(system="Prepend"))
    merged = sent(revision, {"messages": HELLO, "system": system})["system"]
    assert merged[0] == text("ours")
    assert len(merged) == 2


# ------------------------------------------------------------------------------------------ breakpoints


def marked(*controls: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [text(str(number), control)]} for number, control in enumerate(controls)]


def test_the_revisions_earliest_breakpoints_make_room() -> None:
    revision = arm({"tools": [tool("a", SHORT)], "system": [text("one", SHORT), text("two", SHORT)]})
    result = composed(revision, {"messages": marked(SHORT, SHORT, None)})
    body = json.loads(result.body)
    assert body["tools"] == [tool("a")]
    assert body["system"] == [text("one", SHORT), text("two", SHORT)]
    assert result.overridden == ("tools[0].cache_control",)


def test_four_of_the_client_leave_none_of_ours() -> None:
    revision = arm({"system": [text("one", SHORT), text("two", HOUR)], "cache_control": SHORT})
    result = composed(revision, {"messages": marked(SHORT, SHORT, SHORT, SHORT, None)})
    body = json.loads(result.body)
    assert body["system"] == [text("one"), text("two")]
    assert "cache_control" not in body
    assert set(result.overridden) == {"system[0].cache_control", "system[1].cache_control", "cache_control"}


def test_our_short_breakpoint_gives_way_before_the_clients_hour() -> None:
    result = composed(arm({"system": [text("one", HOUR), text("two", SHORT)]}), {"messages": marked(HOUR)})
    assert json.loads(result.body)["system"] == [text("one", HOUR), text("two")]
    assert result.overridden == ("system[1].cache_control",)


def test_our_hour_gives_way_after_the_clients_short_breakpoint() -> None:
    revision = arm({"system": [text("ours", HOUR)]}, overrides=Overrides(system="Append"))
    result = composed(revision, {"messages": HELLO, "system": [text("theirs", SHORT)]})
    assert json.loads(result.body)["system"] == [text("theirs", SHORT), text("ours")]
    assert result.overridden == ("system[0].cache_control",)


def test_breakpoints_of_undeclared_lists_count_and_stay() -> None:
    tools = [tool(name, SHORT) for name in "abc"]
    result = composed(arm({"system": [text("x", SHORT), text("y", SHORT)]}), {"messages": HELLO, "tools": tools})
    body = json.loads(result.body)
    assert body["tools"] == tools
    assert body["system"] == [text("x"), text("y", SHORT)]


def test_the_automatic_breakpoint_of_the_client_counts() -> None:
    revision = arm({"system": [text(str(number), SHORT) for number in range(4)]})
    result = composed(revision, {"messages": HELLO, "cache_control": SHORT})
    assert result.overridden == ("system[0].cache_control",)
    assert json.loads(result.body)["cache_control"] == SHORT


def test_our_automatic_breakpoint_gives_way_to_an_explicit_last_block() -> None:
    result = composed(arm({"cache_control": SHORT}), {"messages": marked(HOUR)})
    assert "cache_control" not in json.loads(result.body)
    assert result.overridden == ("cache_control",)


def test_a_breakpoint_inside_a_tool_result_counts() -> None:
    nested = [{"type": "tool_result", "tool_use_id": "t", "content": [text(str(number), SHORT) for number in range(3)]}]
    revision = arm({"system": [text("one", SHORT), text("two", SHORT)]})
    result = composed(revision, {"messages": [{"role": "user", "content": nested}]})
    assert result.overridden == ("system[0].cache_control",)


@pytest.mark.parametrize(
    ("request_", "client", "ttl"),
    [
        ({"system": [text("one")]}, {}, "5m"),
        ({"system": [text("one", SHORT)]}, {}, "5m"),
        ({"system": [text("one", HOUR)]}, {}, "1h"),
        ({"tools": [tool("a", HOUR)], "system": [text("one", SHORT)]}, {}, "1h"),
        ({"cache_control": HOUR}, {}, "1h"),
        ({}, {"messages": marked(HOUR)}, "1h"),
        ({"system": [text("one", SHORT)]}, {"messages": marked(HOUR)}, "1h"),  # ours gives way
        ({"system": [text("one", HOUR)]}, {"system": [text("theirs", SHORT)]}, "1h"),  # replaced
        ({"cache_control": HOUR}, {"messages": marked(SHORT)}, "5m"),  # ours gives way
        ({}, {"cache_control": HOUR}, "1h"),
    ],
)
def test_the_longest_ttl_is_told(request_: dict[str, Any], client: dict[str, Any], ttl: str) -> None:
    assert composed(arm(request_), {"messages": HELLO} | client).cache_ttl == ttl


def nests(blocks: list[Any]) -> dict[str, Any]:
    """Where the API takes blocks with breakpoints within another: the names are those of block types."""
    document = {"type": "document", "source": {"type": "content", "content": blocks}}
    definition = [
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": block}} for block in blocks
    ]
    return {
        "document": [document],
        "search_result": [{"type": "search_result", "source": "https://a", "title": "t", "content": blocks}],
        "tool_result": [{"type": "tool_result", "tool_use_id": "t", "content": [document]}],
        "web_fetch_tool_result": [
            {
                "type": "web_fetch_tool_result",
                "tool_use_id": "t",
                "content": {"type": "r", "url": "u", "content": document},
            }
        ],
        "tool_search_tool_result": [{"type": "x", "content": {"type": "y", "tool_references": blocks}}],
        "tool_addition": definition,
    }


@pytest.mark.parametrize("place", nests([]))
def test_a_breakpoint_counts_wherever_the_api_takes_one(place: str) -> None:
    revision = arm({"system": [text("one", SHORT), text("two", SHORT)]})
    blocks = nests([text(str(number), SHORT) for number in range(3)])[place]
    result = composed(revision, {"messages": [{"role": "user", "content": blocks}]})
    assert result.overridden == ("system[0].cache_control",)
    assert json.loads(result.body)["messages"] == [{"role": "user", "content": blocks}]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "id": "t", "name": "n", "input": {"content": [text(str(n), SHORT) for n in range(4)]}},
        {"type": "from_2031", "source": {"content": [1, text("x", SHORT)]}, "content": 7},
    ],
)
def test_free_data_has_no_breakpoints(block: dict[str, Any]) -> None:
    revision = arm({"system": [text("one", SHORT), text("two", SHORT)]})
    assert composed(revision, {"messages": [{"role": "assistant", "content": [block]}]}).overridden == ()


def test_a_request_that_only_warms_the_cache_stays_one() -> None:
    result = composed(arm({"max_tokens": 2048}), {"max_tokens": 0, "messages": HELLO})
    assert json.loads(result.body)["max_tokens"] == 0
    assert result.overridden == ()
    assert sent(arm({"max_tokens": 2048}), {"max_tokens": 1, "messages": HELLO})["max_tokens"] == 2048


CREATE, CONTINUE = {"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}
PROMPT = {"system": [text("ours", SHORT)], "tools": [tool("a", SHORT)], "thinking": {"type": "adaptive"}}


@pytest.mark.parametrize("mode", ["Replace", "Prepend", "Append"])
def test_a_thread_gets_system_and_tools_once(mode: Any) -> None:
    revision = arm(PROMPT, overrides=Overrides(system=mode, tools=mode))
    first = sent(revision, {"messages": HELLO, "thread": CREATE})
    assert (first["system"], first["tools"]) == (PROMPT["system"], PROMPT["tools"])
    then = composed(revision, {"messages": HELLO, "thread": CONTINUE})
    assert json.loads(then.body) == {
        "model": "claude-opus-5-5", "max_tokens": 64, "thinking": {"type": "adaptive"}, "messages": HELLO,
        "thread": CONTINUE,
    }  # fmt: skip
    assert then.overridden == ()


def test_what_a_client_repeats_in_its_thread_is_the_apis_to_refuse() -> None:
    then = composed(arm(PROMPT), {"messages": HELLO, "thread": CONTINUE, "system": "theirs"})
    assert json.loads(then.body)["system"] == "theirs"
    assert then.overridden == ()


@pytest.mark.parametrize("thread", [None, {"type": "create"}, {"type": 7}, "continue", {}])
def test_only_a_continued_thread_goes_without(thread: Any) -> None:
    assert sent(arm(PROMPT), {"messages": HELLO, "thread": thread})["system"] == PROMPT["system"]


def test_breakpoints_within_a_thread_are_those_of_the_request() -> None:
    revision = arm({"system": [text("ours", SHORT)], "cache_control": SHORT})
    body = {"messages": marked(SHORT, SHORT, SHORT, None), "thread": CONTINUE}
    assert composed(revision, body).overridden == ()
    result = composed(revision, {**body, "messages": marked(SHORT, SHORT, SHORT, SHORT, None)})
    assert result.overridden == ("cache_control",)


ASKS = [*HELLO, {"role": "assistant", "content": "The answer is"}]


@pytest.mark.parametrize(
    ("model", "fields", "dropped"),
    [
        ("claude-opus-5-5", {"temperature": 0.2, "top_p": 0.9, "top_k": 4}, ("temperature", "top_p", "top_k")),
        ("claude-opus-5-5", {"temperature": 1}, ("temperature",)),
        ("claude-opus-5-5", {"thinking": {"type": "enabled", "budget_tokens": 2048}}, ("thinking",)),
        ("claude-opus-5-5", {"thinking": {"type": "adaptive"}}, ()),
        ("claude-opus-5-5", {"messages": ASKS}, ("messages[1]",)),
        ("claude-opus-9", {"top_k": 4, "messages": ASKS}, ("top_k",)),
        ("claude-opus-4-5-20251101", {"top_k": 4, "messages": ASKS, "thinking": {"type": "enabled"}}, ()),
        ("something-else", {"top_k": 4, "messages": ASKS, "thinking": {"type": "enabled"}}, ()),
    ],
)
@pytest.mark.parametrize("unsupported", ["Drop", "Pass"])
def test_what_the_model_refuses_is_dropped_where_the_revision_says_so(
    model: str, fields: dict[str, Any], dropped: tuple[str, ...], unsupported: Any
) -> None:
    body = {"messages": HELLO, **fields}
    result = composed(arm({"model": model}, overrides=Overrides(unsupported=unsupported)), body)
    got = json.loads(result.body)
    if unsupported == "Pass":
        assert result.overridden == ()
        assert {name: got[name] for name in fields} == fields
        return
    assert result.overridden == dropped
    assert got["messages"] == (HELLO if "messages[1]" in dropped else body["messages"])
    assert {name for name in fields if name not in got} == {name for name in dropped if "[" not in name}


def test_what_the_revision_declares_itself_is_never_dropped() -> None:
    revision = arm({"thinking": {"type": "enabled"}, "temperature": 0.5}, overrides=Overrides(unsupported="Drop"))
    result = composed(revision, {"messages": HELLO, "thinking": {"type": "disabled"}})
    assert (json.loads(result.body)["thinking"], json.loads(result.body)["temperature"]) == ({"type": "enabled"}, 0.5)
    assert result.overridden == ("thinking",)


@pytest.mark.parametrize("messages", ["x", [7], [], [{"role": "assistant", "content": "a"}], [{"role": 7}]])
def test_messages_of_which_nothing_would_be_left_are_the_apis_to_refuse(messages: Any) -> None:
    result = composed(arm({}, overrides=Overrides(unsupported="Drop")), {"messages": messages})
    assert (json.loads(result.body)["messages"], result.overridden) == (messages, ())


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "tell me of cache_control"}],
        [{"role": "user", "content": [text("tell me of cache_control")]}],
        [{"role": "user", "content": [{"type": "text", "text": "x", "cache_control": None}]}],
        [{"role": "user", "content": [{"type": "tool_result", "content": 'a "cache_control" in text'}]}],
        "cache_control",
        [{"cache_control": 1, "content": [{"cache_control": 7}]}],
    ],
)
def test_words_and_nonsense_are_no_breakpoints(messages: Any) -> None:
    revision = arm({"system": [text(str(number), SHORT) for number in range(4)]})
    result = composed(revision, {"messages": messages})
    assert result.overridden == ()
    assert json.loads(result.body)["messages"] == messages


places = st.sampled_from(["tools", "system", "messages"])


@given(
    st.lists(st.tuples(places, st.sampled_from(["5m", "1h"]), st.booleans()), max_size=9),
    st.none() | st.sampled_from(["5m", "1h"]),
    st.booleans(),
)
def test_what_is_kept_is_legal_whenever_the_clients_part_is(
    drawn: list[tuple[str, str, bool]], automatic: str | None, last: bool
) -> None:
    order = {"tools": 0, "system": 1, "messages": 2}
    drawn.sort(key=lambda item: order[item[0]])
    points = [Breakpoint(w, number, ttl, ours and w != "messages") for number, (w, ttl, ours) in enumerate(drawn)]
    if automatic:
        points.append(Breakpoint("cache_control", 0, automatic, True))
    kept = keep_breakpoints(points, last_is_marked=last)
    theirs = [point for point in points if not point.ours]
    assert [point for point in kept if not point.ours] == theirs
    assert len(kept) <= max(LIMIT, len(theirs))
    legal = [point.ttl for point in theirs] == sorted(point.ttl for point in theirs)
    if legal:
        ttls = [point.ttl for point in kept]
        assert ttls == sorted(ttls)  # "1h" sorts before "5m"


# --------------------------------------------------------------------------------- tokens, betas, count


SERVER = {"type": "url", "name": "docs", "url": "https://mcp.example.com/$(DOCS)", "authorization_token": "$(DOCS)"}


def test_names_are_replaced_in_tokens_alone() -> None:
    revision = arm({"system": [text("$(DOCS)")], "mcp_servers": [SERVER]})
    body = json.loads(compose(prepare(revision, {"DOCS": "s3cr$et\\"}), raw_body({"messages": HELLO})).body)
    assert body["mcp_servers"] == [{**SERVER, "authorization_token": "s3cr$et\\"}]
    assert body["system"] == [text("$(DOCS)")]


def test_a_missing_name_says_where_and_what() -> None:
    with pytest.raises(MissingName, match=r"mcp_servers 'docs' refers to \$\(DOCS\).*spec.env"):
        prepare(arm({"mcp_servers": [SERVER]}), {"OTHER": "x"})


@pytest.mark.parametrize(
    ("request_fields", "betas", "expected"),
    [
        ({}, [], ()),
        ({}, ["b", "a", "b"], ("b", "a")),
        ({"mcp_servers": [{"type": "url", "name": "d"}]}, [], ("mcp-client-2025-11-20",)),
        ({"mcp_servers": [{"type": "url", "name": "d"}]}, ["mcp-client-2026-09-15"], ("mcp-client-2026-09-15",)),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, ["x"], ("x", "compact-2026-01-12")),
        ({"betas": ["inside"]}, ["beside"], ("beside", "inside")),
    ],
)
def test_betas(request_fields: dict[str, Any], betas: list[str], expected: tuple[str, ...]) -> None:
    result = composed(arm(request_fields, betas=betas), {"messages": HELLO})
    assert result.betas == expected
    assert "betas" not in json.loads(result.body)


def test_count_tokens_gets_only_what_it_takes() -> None:
    revision = arm(
        {
            "system": [text("s")],
            "tools": [tool("a")],
            "thinking": {"type": "adaptive"},
            "service_tier": "auto",
            "metadata": {"user_id": "x"},
        }
    )
    body = {"model": "other", "messages": HELLO, "speed": "fast"}
    result = composed(revision, body, count_tokens=True)
    assert set(json.loads(result.body)) == {"model", "messages", "speed", "system", "tools", "thinking"}
    assert result.overridden == ("model",)


def work(turns: int, words: str, *controls: dict[str, Any] | None) -> int:
    """The function calls that it takes to compose a conversation of so many turns."""
    said = [{"role": "user", "content": [text(words)]} for _ in range(turns)]
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": [*said, *marked(*controls)]}).encode()
    prepared = prepare(arm({"system": [text("be brief", HOUR)], "tools": [tool("a")]}), {})
    fields = fields_of.decode(body)
    return calls_of(lambda: compose(prepared, fields))


def test_the_work_does_not_grow_with_the_conversation() -> None:
    """How long it takes, `python -m bench.gateway.cost` measures."""
    assert work(10, "Hi") == work(400, "Where is my order, please? " * 40) < 200


def test_with_breakpoints_the_work_grows_with_the_turns_and_not_with_the_text() -> None:
    assert work(100, "Hi", None, SHORT) == work(100, "Where is my order, please? " * 40, None, SHORT)
    assert work(200, "Hi", None, SHORT) - work(100, "Hi", None, SHORT) < 100 * 20
