"""What becomes of promptfoo's configurations: a set that can be run, or the line that cannot be taken."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.__main__ import main
from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.sets import Item, load_items
from claude_operator.evals.files import read_set
from claude_operator.evals.grading import Grading
from claude_operator.evals.importer import Imported, import_config
from claude_operator.evals.patterns import Patterns

PNG = b"\x89PNG\r\n\x1a\n-"


@pytest.fixture
def write(tmp_path: Path):
    def writer(files: dict[str, str | bytes], name: str = "promptfooconfig.yaml") -> Path:
        for file, content in files.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / name

    return writer


def run_of(found: Imported, folder: Path) -> list[Item]:
    """The items as `eval run -f` reads what was written."""
    path = folder / "set.yaml"
    path.write_text(found.text)
    spec, contents = read_set(path, None)
    return load_items(spec, contents)


TABLE = """
description: Complaints, by hand
prompts: ['Which kind is this complaint? {{complaint}}']
providers:
  - id: anthropic:messages:claude-haiku-5-5
    config: {max_tokens: 32, temperature: 0}
tests: file://complaints.csv
outputPath: results.csv
"""
COMPLAINTS = (
    "\ufeffcomplaint,__expected,__metadata:topic,__description\r\n"
    "It does not print,equals: Hardware,printing,First\r\n"
    '"It crashes, always",Software,apps,\r\n'
)


def test_a_table_with_expected_columns(write, tmp_path: Path) -> None:
    found = import_config(write({"promptfooconfig.yaml": TABLE, "complaints.csv": COMPLAINTS}))
    assert found.not_taken == ()
    assert (
        'promptfooconfig.yaml:5: the provider is what is evaluated: write {"model": "claude-haiku-5-5"'
        in found.hints[0]
    )
    first, second = run_of(found, tmp_path)
    assert (first.id, second.id) == ("first", "row-3")
    assert b"Which kind is this complaint? It crashes, always" in second.messages
    assert [(check.type, check.value) for one in (first, second) for check in one.checks] == [
        ("equals", "Hardware"),
        ("equals", "Software"),
    ]
    assert first.metadata == {"topic": "printing"}
    [made] = yaml.safe_load_all(found.text)
    assert (made["kind"], made["metadata"]["name"]) == ("ClaudeEvalSet", "complaints-by-hand")


CODE = """
prompts:
  - file://prompts.txt
  - prompts.py:make
providers: [openai:gpt-4.1, anthropic:messages:claude-haiku-5-5, anthropic:messages:claude-opus-5-5]
defaultTest:
  options: {transform: output.trim()}
  assert:
    - type: javascript
      value: JSON.parse(output).colors.length === 2
    - {type: contains, value: "{{word}}"}
nunjucksFilters: {shout: ./shout.js}
tests:
  - vars: {word: one}
    assert:
      - {type: python, value: len(output) < 10}
      - {type: similar, value: Ahoy}
      - {type: icontains, value: ONE}
  - vars: {word: file://word.py}
  - file://more.js
"""


def test_each_thing_that_cannot_be_taken_is_named_with_its_line(write, tmp_path: Path) -> None:
    path = write({"promptfooconfig.yaml": CODE, "prompts.txt": "Say {{word}}\n---\nShout {{word}}\n"})
    found = import_config(path)
    lines = "\n".join(found.not_taken)
    for sentence in (
        "promptfooconfig.yaml:12: nunjucksFilters: write the values as they are to be into vars",
        "promptfooconfig.yaml:5: the provider openai:gpt-4.1: only Claude is asked: leave it out",
        "promptfooconfig.yaml:5: the provider anthropic:messages:claude-opus-5-5: a gate compares two revisions",
        "promptfooconfig.yaml:7: options.transform (output.trim()): write asserts that fit",
        "promptfooconfig.yaml:9: javascript (JSON.parse(output).colors.length === 2): code is not run in a gate; write"
        " is-json with a JSON Schema",
        "promptfooconfig.yaml:3: the prompt Shout {{word}} in prompts.txt: promptfoo compares prompts",
        "promptfooconfig.yaml:4: the prompt prompts.py:make: promptfoo compares prompts, a gate compares revisions",
        "promptfooconfig.yaml:16: python (len(output) < 10): code is not run in a gate; write a regex",
        "promptfooconfig.yaml:17: similar: write levenshtein, token-f1, or llm-rubric",
        "promptfooconfig.yaml:19: the var word (file://word.py): a program is not run: write the value itself",
        "promptfooconfig.yaml:20: tests from the program file://more.js: run it",
    ):
        assert sentence in lines
    [item] = run_of(found, tmp_path)
    assert [str(check) for check in item.checks] == ["contains: one", "icontains: ONE"]


CHAT = """
prompts: [file://chat.json]
providers: [{anthropic:messages:claude-haiku-5-5: {config: {max_tokens: 9}}}]
tests:
  - description: A picture
    vars: {question: What is it?, picture: file://pictures/cat.png}
    assert: [{type: icontains, value: cat}]
  - description: A picture
    vars: {question: [Where?, When?], picture: file://pictures/cat.png}
    threshold: 0.5
    assert: [{type: regex, value: '(?<animal>cat|dog)'}]
"""
MESSAGES = """[{"role": "user", "content": [
  {"type": "image", "source": {
    "type": "base64", "media_type": "image/jpeg", "data": "{{ read_file_base64(picture) }}"}},
  {"type": "text", "text": "{{question}}"}]}]"""


def test_a_chat_with_pictures_and_a_var_that_is_a_list(write, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"promptfooconfig.yaml": CHAT, "chat.json": MESSAGES, "pictures/cat.png": PNG}
    found = import_config(write(files))
    assert found.not_taken == ()
    items = run_of(found, tmp_path)
    assert [item.id for item in items] == ["a-picture", "a-picture-2", "a-picture-2-2"]
    assert all(b'"media_type":"image/png"' in item.messages for item in items)
    assert b"When?" in items[2].messages
    assert (items[1].threshold, items[1].checks[0].value) == (0.5, "(?P<animal>cat|dog)")
    assert [one["kind"] for one in yaml.safe_load_all(found.text)] == ["ClaudeEvalSet", "ConfigMap"]


def test_a_system_message_is_the_requests(write) -> None:
    chat = '[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "{{q}}"}]'
    config = "prompts: [file://chat.json]\ntests: [{vars: {q: Hi}, assert: [{type: is-json}]}]\n"
    found = import_config(write({"promptfooconfig.yaml": config, "chat.json": chat}))
    assert found.not_taken == (
        "promptfooconfig.yaml:1: the system message (Be brief.): it is part of the request, not of an item: write it"
        " into the request's system",
    )
    assert found.items == 1


def test_a_loop_in_a_chat_is_named(write) -> None:
    chat = '[{% for m in turns %}{"role": "{{m.role}}", "content": "{{m.content}}"}{% endfor %}]'
    config = "prompts: [file://chat.json]\ntests: [{vars: {q: Hi}, assert: [{type: is-json}]}]\n"
    found = import_config(write({"promptfooconfig.yaml": config, "chat.json": chat}))
    assert "write messages into each test: there are no loops" in found.not_taken[0]


def test_templates_of_asserts_shared_asserts_and_files(write, tmp_path: Path) -> None:
    config = """
prompts: ['{{body}}']
defaultTest: {assert: [{$ref: '#/assertionTemplates/kind'}], vars: {body: file://body.txt}}
tests:
  - {}
  - {vars: {body: Hi}, assert: [{type: not-contains, value: no, weight: 2}], metadata: {level: 3, tags: [a, b]}}
assertionTemplates: {kind: {type: icontains, value: please}}
"""
    path = write({"promptfooconfig.yaml": config, "body.txt": "Dear all\n"})
    found = import_config(path)
    assert found.not_taken == ()
    first, second = run_of(found, tmp_path)
    assert b"Dear all" in first.messages
    assert [str(check) for check in second.checks] == ["icontains: please", "not-contains: no"]
    assert second.metadata == {"level": "3", "tags": "a, b"}


GRADED = """
prompts: ['{{question}}']
defaultTest:
  assert:
    - {type: llm-rubric, value: Is kind, provider: anthropic:messages:claude-sonnet-5-5-20260301}
    - {type: model-graded-closedqa, value: Names a day}
tests:
  - vars: {question: When?}
    assert:
      - {type: is-json, value: file://schema.json}
      - {type: contains-json, value: {type: object, required: [day]}}
      - {type: is-valid-openai-tools-call}
      - {type: tool-call-f1, value: [find, pay]}
      - {type: not-icontains-any, value: "sorry, cannot"}
      - {type: equals, value: 2, threshold: 0.9}
      - {type: cost, threshold: 0.01}
    threshold: 0.5
"""


def test_graders_schemas_and_tool_calls(write, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"promptfooconfig.yaml": GRADED, "schema.json": '{"type": "object"}'}
    path = write(files)
    found = import_config(path)
    assert found.not_taken == ()
    [item] = run_of(found, tmp_path)
    assert [check.name for check in item.checks] == [
        "llm-rubric", "llm-rubric", "is-json", "contains-json", "is-valid-tool-call", "tool-call-f1",
        "not-icontains-any", "equals", "cost",
    ]  # fmt: skip
    assert (item.checks[6].value, item.checks[7].value) == (("sorry", "cannot"), "2")
    assert found.hints == ("promptfooconfig.yaml:15: the threshold of equals is left out: it holds or does not",)
    made = next(yaml.safe_load_all(found.text))
    assert made["spec"]["graders"] == [{"name": "default", "model": "claude-sonnet-5-5-20260301"}]
    other = import_config(path, grader="claude-opus-5-5-20260401")
    assert next(yaml.safe_load_all(other.text))["spec"]["graders"][0]["model"] == "claude-opus-5-5-20260401"


def test_a_rubric_needs_a_model_of_ours(write) -> None:
    text = GRADED.replace("anthropic:messages:claude-sonnet-5-5-20260301", "openai:gpt-4.1")
    found = import_config(write({"promptfooconfig.yaml": text, "schema.json": "{}"}))
    remedy = "give --grader MODEL, a pinned Claude model that is not the one that is evaluated"
    assert found.not_taken[:2] == (
        f"promptfooconfig.yaml:5: llm-rubric is graded by openai:gpt-4.1: {remedy}",
        f"promptfooconfig.yaml:6: model-graded-closedqa is graded by a default model of promptfoo: {remedy}",
    )


def test_files_of_a_larger_folder_are_read_where_that_is_allowed(write, tmp_path: Path) -> None:
    config = "prompts: ['{{a}}']\ntests: [{vars: {a: file://../data/a.txt}, assert: [{type: is-json}]}]\n"
    path = write({"evals/promptfooconfig.yaml": config, "data/a.txt": "text"}, "evals/promptfooconfig.yaml")
    assert "is outside of" in import_config(path).not_taken[0]
    found = import_config(path, root=tmp_path)
    assert (found.not_taken, found.items) == ((), 1)


def test_a_configuration_in_json_and_one_of_many_values(write) -> None:
    text = '{"prompts": ["{{q}} \\ud83d\\ude00"],\t"tests": [{"vars": {"q": 1}, "assert": [{"type": "is-json"}]}]}'
    assert import_config(write({"a.json": text}, "a.json")).items == 1
    tests = "".join(f"  - {{vars: {{q: {n}, r: [1, 2, 3, 4, 5]}}, assert: [{{type: is-json}}]}}\n" for n in range(1500))
    assert import_config(write({"a.yaml": f"prompts: ['{{{{q}}}}']\ntests:\n{tests}"}, "a.yaml")).items == 1500


def test_many_tests_go_into_config_maps(write, tmp_path: Path) -> None:
    rows = "q,__expected\n" + "".join(f"{'x' * 9000}{n},y\n" for n in range(250))
    found = import_config(write({"promptfooconfig.yaml": "prompts: ['{{q}}']\ntests: many.csv\n", "many.csv": rows}))
    assert (found.not_taken, found.items) == ((), 250)
    assert len(run_of(found, tmp_path)) == 250
    objects = list(yaml.safe_load_all(found.text))
    assert [one["kind"] for one in objects] == ["ClaudeEvalSet", "ConfigMap", "ConfigMap", "ConfigMap"]
    assert all(len(str(one)) < 1_000_000 for one in objects)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("tests: [{vars: {a: 1}}]", "a test without an assert: promptfoo counts it as passed; write what must hold"),
        ("tests: []", "there are no tests: write tests"),
        ("tests: 1\nprompts: [x]", "there are no tests: write tests"),
        ("tests: [{assert: x}]", r"1: assert \(x\): must be a list"),
        ("tests: [{vars: [1], assert: [{type: is-json}]}]", r"1: vars \(\[1\]\): must be an object with fields"),
        ("tests: [{assert: [{type: is-json}]}]\ndefaultTest: 1", r"2: defaultTest \(1\): must be an object"),
        ("prompts: [x]", "there are no tests: write tests"),
        ("tests: none.csv", "tests from none.csv: .*none.csv cannot be read: No such file"),
        ("tests: ../other.csv", "is outside of .*: give --root, a folder that has them all"),
        ("tests: 'https://docs.google.com/x'", "download them as CSV or JSONL"),
        ("tests: 'tests/*.yaml'", r"tests from several files \(tests/\*.yaml\): name each file"),
        ("tests: {path: make.py}", "tests that are generated: write them out"),
        ("tests: bad.csv", "tests from bad.csv: bad.csv is UTF-16: save it as UTF-8"),
        ("tests: [{assert: [{type: cost-of-living}]}]", "cost-of-living: write llm-rubric with what the answer must"),
        ("tests: [{assert: [{value: x}]}]", "an assert without a type"),
        (
            "tests: [{assert: [{type: is-json, transform: output.x}]}]",
            r"transform of is-json \(output.x\): code is not",
        ),
        (
            "tests: [{assert: [{type: equals, value: find, transform: 'output[0].name'}]}]",
            r"equals \(output\[0\].name\): it reads a call of a tool: write tool-call with",
        ),
        (
            "tests: [{assert: [{type: javascript, value: 'output[0].name === \"find\"'}]}]",
            r"javascript \(output\[0\].name === \"find\"\): it reads a call of a tool",
        ),
        (
            "tests: [{options: {transform: output.x}, assert: [{type: icontains, value: y}]}]",
            r"icontains after the transform output.x: code is not run",
        ),
        ("tests: [{assert: [{type: regex, value: '\\p{L}'}]}]", "does not exist in Python's regular expressions"),
        ("tests: [{assert: [{type: contains, value: file://x.js}]}]", "contains, value: a program is not run"),
        (
            "prompts: ['{{b}}']\ntests: [{vars: {a: 1}, assert: [{type: is-json}]}]",
            "yaml:2: a test: {{b}}: the item has no",
        ),
        ("scenarios: []\ntests: []", "scenarios: write their tests out"),
    ],
)
def test_what_is_not_taken(write, config: str, message: str) -> None:
    found = import_config(write({"promptfooconfig.yaml": config, "bad.csv": "q".encode("utf-16")}))
    assert found.items == 0
    assert re.search(message, "\n".join(found.not_taken)), found.not_taken


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.js", "", "is a program: write what it makes as YAML"),
        ("a.yaml", "a: [", "is not YAML at line"),
        ("a.yaml", "kind: ClaudeEvalSet\ntests: []", "is a ClaudeEvalSet already"),
        ("a.yaml", "a: 1", "is not a configuration of promptfoo: it has neither prompts, providers nor tests"),
        ("a.yaml", "[]", "is not a configuration of promptfoo"),
        ("a.yaml", "a: é".encode("latin-1"), "is not UTF-8 at line 1"),
        ("b.yaml", None, "cannot be read: No such file"),
    ],
)
def test_files_that_are_none(write, name: str, text: str | bytes | None, message: str) -> None:
    path = write({name: text} if text is not None else {}, name)
    with pytest.raises(ValueError, match=message):
        import_config(path)


def test_the_command(write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write({"promptfooconfig.yaml": TABLE, "complaints.csv": COMPLAINTS}))
    out = tmp_path / "out" / "set.yaml"
    assert main(["eval", "import", path]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["kind"] == "ClaudeEvalSet"
    assert main(["eval", "import", path, "-o", str(out)]) == 1
    assert "cannot be written: No such file" in capsys.readouterr().err
    out = tmp_path / "set.yaml"
    write({"promptfooconfig.yaml": TABLE.replace("providers:", "providers:\n  - openai:gpt-4.1")})
    assert main(["eval", "import", path, "-o", str(out)]) == 1
    said = capsys.readouterr().err
    assert "not taken: promptfooconfig.yaml:5: the provider openai:gpt-4.1: only Claude is asked" in said
    assert said.endswith("nothing is written: correct this, or give --partial to leave it out\n")
    assert not out.exists()
    assert main(["eval", "import", path, "-o", str(out), "--partial"]) == 0
    assert capsys.readouterr().err.endswith("set.yaml: 2 items\n")
    assert out.read_text().startswith(
        "# From promptfooconfig.yaml, written by claude-operator eval import.\n# Not taken:"
    )


@pytest.mark.parametrize("text", [TABLE, "providers: [!!js/function 'x']\ntests: []\n"])
def test_a_configuration_where_a_set_is_expected_names_the_way_over(write, text: str) -> None:
    with pytest.raises(ValueError, match="is a configuration of promptfoo: run `claude-operator eval import FILE"):
        read_set(write({"promptfooconfig.yaml": text}), None)


TEXTS = ["file://a.txt", "file://../x", "a.csv", "{{a}}", "anthropic:x", "openai:y", "is-json", "contains"]
KEYS = ["type", "value", "vars", "assert", "a", "id", "options", "raw", "role", "content"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6) | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=10,
)
FIELDS = ("prompts", "providers", "tests", "defaultTest", "assertionTemplates", "evaluateOptions", "description")


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1))
def test_whatever_a_configuration_says_is_a_set_or_sentences(
    tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("text")
    (folder / "a.csv").write_text("a,__expected\n1,2\n")
    path = folder / "promptfooconfig.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True))
    try:
        found = import_config(path)
    except ValueError as error:
        assert str(error).startswith(str(path))
        return
    assert found.items or found.not_taken
    if found.items:
        assert list(yaml.safe_load_all(found.text))


MEMBERS = """
prompts: ["{{q}}"]
defaultTest:
  options: {transform: "JSON.parse(output).answer"}
tests:
  - vars: {q: 1}
    assert:
      - {type: equals, value: yes, metric: right}
      - {type: contains, value: "a.b"}
      - {type: not-equals, value: no}
      - {type: starts-with, value: "("}
  - vars: {q: 2}
    options: {transform: "output.items[1]['the name']"}
    assert: [{type: equals, value: 5}]
  - vars: {q: 3}
    options: {transform: "return output.kind;"}
    assert: [{type: regex, value: "^[a-z]+$"}]
"""
COMPARED = """
prompts: ["{{q}}"]
tests:
  - vars: {q: 1}
    assert:
      - {type: javascript, value: "output.category === 'billing'"}
      - {type: javascript, value: "return JSON.parse(output).urgent == true;"}
      - {type: not-javascript, value: "output.score === 0.5"}
"""


@pytest.mark.parametrize(
    ("config", "item", "answer", "holds"),
    [
        (MEMBERS, 0, {"answer": "yes"}, [True, False, True, False]),
        (MEMBERS, 0, {"answer": "xa.bx"}, [False, True, True, False]),
        (MEMBERS, 0, {"answer": "no"}, [False, False, False, False]),
        (MEMBERS, 0, {"answer": "(axb"}, [False, False, True, True]),
        (MEMBERS, 0, {"other": "yes"}, [False] * 4),
        (MEMBERS, 0, "yes", [False] * 4),
        (MEMBERS, 1, {"items": [0, {"the name": 5}]}, [True]),
        (MEMBERS, 1, {"items": [0, {"the name": "5"}]}, [True]),
        (MEMBERS, 1, {"items": [{"the name": 5}]}, [False]),
        (MEMBERS, 2, {"kind": "abc"}, [True]),
        (MEMBERS, 2, {"kind": "ABC"}, [False]),
        (COMPARED, 0, {"category": "billing", "urgent": True, "score": 1}, [True, True, True]),
        (COMPARED, 0, {"category": "other", "urgent": False, "score": 0.5}, [False, False, False]),
        (COMPARED, 0, {"urgent": "true"}, [False, False, False]),
    ],
    ids=str,
)
async def test_a_member_of_the_answer(
    write, tmp_path: Path, config: str, item: int, answer: Any, holds: list[bool]
) -> None:
    found = import_config(write({"promptfooconfig.yaml": config}))
    assert found.not_taken == ()
    assert any("is taken as is-json with a JSON Schema" in hint for hint in found.hints)
    one = run_of(found, tmp_path)[item]
    async with Patterns() as patterns:
        outcome = await Grading(patterns).grade(one, Answer(json.dumps(answer), "end_turn", "", {}))
    assert [result.holds for result in outcome.results] == holds
    assert one.checks[0].metric == ("right" if (config, item) == (MEMBERS, 0) else "")


def test_asserts_of_all_tests_read_one_member(write) -> None:
    config = "defaultTest: {assert: [{type: is-json}]}\ntests: [{options: {transform: output.x}, vars: {a: b}}]"
    [told] = import_config(write({"promptfooconfig.yaml": config})).not_taken
    assert "options.transform (output.x): the asserts of defaultTest read another member" in told
