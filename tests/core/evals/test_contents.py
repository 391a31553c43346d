"""What a set refers to: several ConfigMaps, vars, templates, files; and the hash over all of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.api.evals import EvalSetSpec
from claude_operator.core.evals import items as items_module
from claude_operator.core.evals.contents import LARGEST, Contents, config_maps, contents_of, item_keys
from claude_operator.core.evals.sets import Item, load_items, set_hash

IS_JSON = {"type": "is-json"}
COMMON = {"defaultTest": {"assert": [IS_JSON]}}
PNG = b"\x89PNG\r\n\x1a\n-"


def load(spec: dict[str, Any], texts: dict[tuple[str, str], str | bytes] | None = None) -> list[Item]:
    return load_items(EvalSetSpec.model_validate(spec), Contents(texts or {}))


def one(test: dict[str, Any], texts: dict[tuple[str, str], str | bytes] | None = None, **spec: Any) -> Item:
    [item] = load({"tests": [{"id": "a", "assert": [IS_JSON], **test}], **spec}, texts)
    return item


def said(item: Item) -> Any:
    return json.loads(item.messages)[0]["content"]


# -------------------------------------------------------------------------------------------- several sources


def dataset(*keys: str, **more: Any) -> dict[str, Any]:
    return {"dataset": {"configMaps": [{"name": f"m{n}", "key": key} for n, key in enumerate(keys)]}, **COMMON, **more}


def test_items_of_several_config_maps_in_their_order() -> None:
    spec = dataset("a.csv", "b.jsonl", "c.yaml", "d.json")
    items = load(
        spec,
        {
            ("m0", "a.csv"): "input,__expected\nHi,is-json\nHo,\n",
            ("m1", "b.jsonl"): '{"id": "line", "input": "L"}\n',
            ("m2", "c.yaml"): "- {id: y, input: no}\n",
            ("m3", "d.json"): '[{"input": "J"}]',
        },
    )
    assert [(item.id, said(item)) for item in items] == [
        ("row-1.2", "Hi"), ("row-1.3", "Ho"), ("line", "L"), ("y", "no"), ("row-4.1", "J"),
    ]  # fmt: skip
    assert items[0].place == "ConfigMap m0, key a.csv, line 2"
    assert item_keys(EvalSetSpec.model_validate(spec)) == [
        ("m0", "a.csv"), ("m1", "b.jsonl"), ("m2", "c.yaml"), ("m3", "d.json"),
    ]  # fmt: skip


def test_the_fields_of_a_dataset_have_names_of_their_own() -> None:
    fields = {"input": "question", "target": "criterion", "id": "qid", "metadata": ["topic"]}
    line = {"qid": 7, "question": "2+2?", "criterion": "{}", "topic": "sums", "level": 1, "critical": True}
    spec = {
        "dataset": {"configMapKeyRef": {"name": "m", "key": "k"}, "fields": fields},
        "defaultTest": {"assert": [{"type": "equals", "value": "{{target}} {{level}}"}]},
    }
    [item] = load(spec, {("m", "k"): json.dumps(line)})
    assert (item.id, said(item), item.checks[0].value, item.critical) == ("7", "2+2?", "{} 1", True)
    assert item.metadata == {"topic": "sums"}
    spec["dataset"]["fields"] = {}  # the names that inspect uses; no id is needed
    [item] = load(spec, {("m", "k"): '{"input": [{"role": "user", "content": "A"}], "target": "B", "level": 0}'})
    assert (item.id, said(item), item.checks[0].value) == ("row-1", "A", "B 0")


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("a.csv", "input\na,b\n", "ConfigMap m0, key a.csv, line 2 has 2 cells"),
        ("a.csv", "input".encode("utf-16"), "the key a.csv of the ConfigMap m0 is UTF-16: save it as UTF-8"),
        ("a.csv", "caf\xe9".encode("latin-1"), "the key a.csv of the ConfigMap m0 is not UTF-8 at line 1"),
        ("a.jsonl", "prompts: [a]\nproviders: [b]\n", "run `claude-operator eval import FILE -o set.yaml`"),
        ("a.yaml", "providers: [b]\ntests: []\n", "is a configuration of promptfoo"),
        ("a.json", '{"prompts": [], "tests": []}', "is a configuration of promptfoo"),
        ("a.yaml", "- {vars: {a: 1}, options: {transform: x}}\n", "line 1: options is a field of promptfoo's tests"),
        ("a.yaml", "- {id: a, input: x}\n- {id: a, input: y}\n", "key a.yaml, line 2: the id 'a' is already used at"),
        ("a.jsonl", '{"id": "a", "input": "{{x}}", "vars": {"y": 1}}', r"line 1: {{x}}: the item has no such var"),
        ("a.csv", "question\nHi\n", "line 2: exactly one of input and messages: write one, or defaultTest.input"),
    ],
)
def test_what_is_wrong_in_a_source_is_named(key: str, text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(dataset(key), {("m0", key): text})


def test_a_key_that_is_missing_or_does_not_say_what_it_is() -> None:
    with pytest.raises(ValueError, match=r"in the ConfigMap m0, key a.csv, which is missing: create it"):
        load(dataset("a.csv"))
    with pytest.raises(ValueError, match=r"ConfigMap m0, key a.txt: write format: JSONL, JSON, CSV or YAML"):
        load(dataset("a.txt"), {("m0", "a.txt"): ""})
    named = {"dataset": {"configMaps": [{"name": "m0", "key": "a.txt", "format": "CSV"}]}, **COMMON}
    assert load(named, {("m0", "a.txt"): "input\nHi\n"})
    with pytest.raises(ValueError, match="exactly one of configMapKeyRef, configMaps and volume"):
        load({"dataset": {}})
    old = {"dataset": {"configMapKeyRef": {"name": "m", "key": "a.csv"}}}
    with pytest.raises(ValueError, match=r"line 1 is not JSON .*CSV is read from dataset.configMaps: \[{name: m, key"):
        load(old, {("m", "a.csv"): "input\nHi\n"})


def test_an_item_without_asserts_but_with_a_target_is_told_how() -> None:
    with pytest.raises(ValueError, match=r"for the target write defaultTest: {assert: .*{{target}}"):
        load({"tests": [{"id": "a", "input": "x", "target": "y"}]})


# ------------------------------------------------------------------------------------------ vars and templates


def test_vars_are_filled_in_where_an_item_has_them() -> None:
    assert said(one({"input": "Hi {{name}}"})) == "Hi {{name}}", "as before there were vars"
    item = one(
        {
            "input": "Hi {{name}}",
            "vars": {"name": "Ada"},
            "assert": [{"type": "contains", "value": "{{name}} {{tone}}"}],
            "metadata": {"who": "{{name}}"},
            "toolResults": {"find": ["{{name}}", "none"]},
        },
        defaultTest={"vars": {"name": "Bob", "tone": "kind"}, "metadata": {"set": "s", "who": "x"}, "threshold": 0.5},
    )
    assert (said(item), item.checks[0].value, item.threshold) == ("Hi Ada", "Ada kind", 0.5)
    assert item.metadata == {"set": "s", "who": "Ada"}
    assert (item.tool_results, item.max_turns) == ({"find": ("Ada", "none")}, 10)
    hash(item)


def test_the_question_may_be_shared() -> None:
    shared = {"defaultTest": {"input": "Classify: {{text}}", "assert": [IS_JSON]}}
    items = load({"tests": [{"id": "a", "vars": {"text": "x"}}, {"id": "b", "input": "{{text}}"}], **shared})
    assert [said(item) for item in items] == ["Classify: x", "{{text}}"]
    with pytest.raises(ValueError, match=r"test 1 \(a\): {{text}}: the item has no such var \(it has none\)"):
        load({"tests": [{"id": "a"}], **shared})
    turns = [{"role": "user", "content": [{"type": "text", "text": "{{text}}"}]}]
    [item] = load(
        {"tests": [{"id": "a", "vars": {"text": 1}}], "defaultTest": {"messages": turns, "assert": [IS_JSON]}}
    )
    assert said(item) == [{"type": "text", "text": "1"}]


def test_asserts_of_all_items_come_before_their_own_where_it_says_so() -> None:
    own = {"type": "equals", "value": "x"}
    spec = {"tests": [{"id": "a", "input": "q", "assert": [own]}], "defaultTest": {"assert": [IS_JSON]}}
    [item] = load(spec)
    assert [check.type for check in item.checks] == ["equals"]
    spec["defaultTest"]["combine"] = "Append"
    [item] = load(spec)
    assert [check.type for check in item.checks] == ["is-json", "equals"]


def test_what_an_item_says_of_itself() -> None:
    item = one({"input": "q", "heldOut": True, "threshold": 0.2, "maxTurns": 3, "description": "For people"})
    assert (item.held_out, item.threshold, item.max_turns) == (True, 0.2, 3)
    assert one({"input": "q"}).max_turns == 1


# ------------------------------------------------------------------------------------------------------- files


def test_files_are_keys_of_the_config_maps_that_are_named() -> None:
    texts: dict[tuple[str, str], str | bytes] = {
        ("docs", "letter.txt"): b"\xef\xbb\xbfDear all\r\n",
        ("docs", "cat.jpg"): PNG,
        ("docs", "note.md"): "# Note",
    }
    picture = {"type": "image", "source": "{{picture}}"}
    again = {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "{{picture}}"}}
    note = {"type": "document", "source": "file://note.md"}
    item = one(
        {
            "messages": [{"role": "user", "content": [picture, note, {"type": "text", "text": "{{letter}}"}, again]}],
            "vars": {"letter": "file://letter.txt", "picture": "file://cat.jpg"},
        },
        texts,
        files=[{"name": "docs"}],
    )
    blocks = said(item)
    encoded = base64.b64encode(PNG).decode()
    assert blocks[0]["source"] == {"type": "base64", "media_type": "image/png", "data": encoded}, "what it is decides"
    assert blocks[1]["source"] == {"type": "text", "media_type": "text/plain", "data": "# Note"}
    assert blocks[2]["text"] == "Dear all"
    assert blocks[3] == blocks[0]


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            {"vars": {"a": "file://none.txt"}},
            "file://none.txt is not a key of the ConfigMaps that the set names: add it",
        ),
        (
            {"vars": {"a": "file://twice.txt"}},
            "file://twice.txt is a key of the ConfigMaps one and two: give one of them",
        ),
        ({"vars": {"a": "file://wide.txt"}}, "file://wide.txt is UTF-16: save it as UTF-8"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": "file://bad.png"}]}]},
            "file://bad.png is not a PNG, JPEG, GIF, WebP or PDF",
        ),
    ],
)
def test_files_that_cannot_be_used(test: dict[str, Any], message: str) -> None:
    texts: dict[tuple[str, str], str | bytes] = {
        ("one", "twice.txt"): "1",
        ("two", "twice.txt"): "2",
        ("one", "wide.txt"): "x".encode("utf-16"),
        ("one", "bad.png"): b"no",
    }
    with pytest.raises(ValueError, match=message):
        one({"input": "q", **test} if "messages" not in test else test, texts)


def test_the_value_of_a_text_check_is_never_a_file() -> None:
    assert (
        one({"input": "q", "assert": [{"type": "contains", "value": "file://x.txt"}]}).checks[0].value == "file://x.txt"
    )


def test_a_text_that_all_items_have_counts_for_each() -> None:
    lines = "\n".join(json.dumps({"id": str(n), "input": "{{letter}}"}) for n in range(100))
    spec = dataset("a.jsonl", defaultTest={"assert": [IS_JSON], "vars": {"letter": "file://letter.txt"}})
    with pytest.raises(ValueError, match=r"line 7\d: the items have more than 67,108,864 bytes together"):
        load(spec, {("m0", "a.jsonl"): lines, ("m0", "letter.txt"): "x" * 900_000})


def test_a_set_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes a set takes the operator's time: what is counted is the same on any machine."""
    assert (items_module.MOST_ITEMS, items_module._MOST_PAIRS) == (50_000, 20_000_000)
    monkeypatch.setattr(items_module, "MOST_ITEMS", 500)
    monkeypatch.setattr(items_module, "_MOST_PAIRS", 1000)
    with pytest.raises(ValueError, match="line 502: a set has at most 500 items: remove the others"):
        load(dataset("a.csv"), {("m0", "a.csv"): "input\n" + "x\n" * 501})
    asserts = [{"type": "contains", "value": f"{n} {{{{a}}}}"} for n in range(10)]
    shared = {"input": "{{a}}", "vars": {"a": "1"}, "assert": asserts}
    lines = "\n".join(json.dumps({"id": str(n), "input": "x"}) for n in range(20))
    with pytest.raises(ValueError, match="line 11: the items have too many asserts"):
        load(dataset("a.jsonl", defaultTest=shared), {("m0", "a.jsonl"): lines})
    plain = {"assert": [{"type": "contains", "value": str(n)} for n in range(10)]}
    assert len(load(dataset("a.jsonl", defaultTest=plain), {("m0", "a.jsonl"): lines})) == 20, "read once"
    with pytest.raises(ValueError, match=r"an item has more than 5,000 of {{...}}: write the text out"):
        one({"input": "{{a}}" * 5001, "vars": {"a": 1}})


# ------------------------------------------------------------------------------------------- from the cluster


def config_map(data: dict[str, str] | None = None, binary: dict[str, bytes] | None = None) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value).decode() for key, value in (binary or {}).items()}
    return {"data": data or {}, "binaryData": encoded}


def test_the_config_maps_of_a_set() -> None:
    spec = dataset("a.csv", "b.csv", files=[{"name": "docs"}, {"name": "m0"}])
    assert config_maps(spec) == ["m0", "m1", "docs"]
    assert config_maps({"dataset": {"configMapKeyRef": {"name": "m", "key": "k"}}}) == ["m"]
    assert config_maps({"dataset": "x", "files": [1, {}]}) == []
    found = {"m0": config_map({"a.csv": "A"}), "docs": config_map(binary={"x.png": PNG})}
    assert contents_of(spec, found).texts == {("m0", "a.csv"): "A", ("docs", "x.png"): PNG}
    old = {"dataset": {"configMapKeyRef": {"name": "m", "key": "k"}}}
    assert contents_of(old, {"m": config_map({"k": "A", "other": "B"})}).texts == {("m", "k"): "A"}


def test_what_is_too_large_or_not_base64() -> None:
    half = {name: config_map({"x": "y" * (LARGEST // 2 + 1)}) for name in ("a", "b")}
    with pytest.raises(ValueError, match=r"the ConfigMaps of the set have .* bytes together, more than 8,388,608"):
        contents_of({"files": [{"name": "a"}, {"name": "b"}]}, half)
    with pytest.raises(ValueError, match="the ConfigMap a, key x: binaryData is not base64"):
        contents_of({"files": [{"name": "a"}]}, {"a": {"binaryData": {"x": "é"}}})


def test_the_hash_covers_the_text_of_every_config_map() -> None:
    spec = dataset("a.csv", "b.csv")
    texts: dict[tuple[str, str], str | bytes] = {("m0", "a.csv"): "A", ("m1", "b.csv"): "B"}
    whole = set_hash(spec, Contents(texts))
    assert whole == "a" * 64 or len(whole) == 64
    assert set_hash(spec, Contents(dict(reversed(texts.items())))) == whole
    others = [{**texts, ("m1", "b.csv"): "C"}, {("m0", "a.csv"): "AB", ("m1", "b.csv"): ""}, {**texts, ("m1", "c"): ""}]
    assert len({whole, *(set_hash(spec, Contents(other)) for other in others)}) == 4


# ---------------------------------------------------------------------------------------------------- anything

TEXTS = st.text(max_size=8) | st.sampled_from(["{{a}}", "{{", "{%if%}", "file://x", "file://y.png", "\ud800"])
VALUES = st.recursive(
    TEXTS | st.none() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "source", "type"]), inner),
    max_leaves=6,
)
TESTS = st.fixed_dictionaries(
    {},
    optional={
        "id": TEXTS,
        "input": TEXTS,
        "messages": st.lists(st.dictionaries(TEXTS, VALUES, max_size=2), max_size=2) | VALUES,
        "vars": st.dictionaries(TEXTS, VALUES, max_size=2) | VALUES,
        "assert": st.lists(
            st.fixed_dictionaries({"type": st.sampled_from(["equals", "is-json"])}, optional={"value": TEXTS})
        ),
        "metadata": st.dictionaries(TEXTS, TEXTS, max_size=2) | VALUES,
        "toolResults": st.dictionaries(TEXTS, st.lists(TEXTS), max_size=2) | VALUES,
        "maxTurns": VALUES,
        "threshold": VALUES,
        "target": TEXTS,
    },
)


@settings(max_examples=300)
@given(st.lists(TESTS, max_size=3), st.binary(max_size=20), st.booleans())
def test_whatever_a_set_says_is_items_or_a_sentence(tests: list[dict[str, Any]], data: bytes, named: bool) -> None:
    spec = dataset("a.json") if not named else dataset("a.json", files=[{"name": "x"}])
    spec["dataset"]["fields"] = {"metadata": ["target"]} if named else {}
    try:
        items = load(spec, {("m0", "a.json"): json.dumps(tests), ("x", "x"): data, ("x", "y.png"): data})
    except ValueError as error:
        assert str(error).startswith(("ConfigMap m0, key a.json", "the key a.json")), error
        assert len(str(error)) < 3000
    else:
        for item in items:
            json.loads(item.messages)
            hash(item)
