"""What a laptop's files may hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_operator.api.gateway import Overrides
from claude_operator.core.evals.sets import load_items
from claude_operator.evals.files import api_key, directory, read_request, read_set
from claude_operator.evals.laptop import Options, load

EXAMPLES = Path(__file__).parents[2] / "examples"
BARE_SET = "tests: [{id: a, input: x, assert: [{type: is-json}]}]\n"
DATASET = "dataset: {configMapKeyRef: {name: q, key: k}}\n"
REQUEST = "model: claude-haiku-5-5\nmax_tokens: 16\nbetas: [one]\n"
DEPLOYMENT = """
apiVersion: v1
kind: ConfigMap
metadata: {name: prompts}
data: {system.md: "From the map."}
---
apiVersion: claudeops.dev/v1alpha1
kind: ClaudeDeployment
metadata: {name: support}
spec:
  request: {model: claude-haiku-5-5, max_tokens: 16, system: [{type: text, text: Own.}]}
  promptFrom: [{configMapKeyRef: {name: prompts, key: system.md}, cache_control: {type: ephemeral}}]
  subagents: {small: {request: {max_tokens: 8}}}
  overrides: {tools: Append}
"""


@pytest.fixture
def write(tmp_path: Path):
    def writer(text: str, name: str = "file.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return writer


def test_the_examples_work_as_they_are() -> None:
    spec, contents = read_set(EXAMPLES / "03-canary-with-evals", None)
    assert (len(spec.tests or ()), contents.texts) == (8, {})
    assert read_request(EXAMPLES / "03-canary-with-evals").arm.revision == "triage"
    assert read_request(EXAMPLES / "02-tools-caching-mcp").arm.request["tools"]
    with pytest.raises(ValueError, match="2 objects of kind ClaudeDeployment in one file or folder"):
        read_request(EXAMPLES / "04-deprecated-model")


def test_a_deployment_is_the_revision_that_it_would_be(write) -> None:
    file = read_request(write(DEPLOYMENT))
    assert file.arm.revision == "support"
    assert file.arm.request["system"] == [
        {"type": "text", "text": "From the map.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Own."},
    ]
    assert file.arm.subagents == {"small": {"max_tokens": 8}}
    assert file.arm.overrides == Overrides(tools="Append")
    assert file.base_url is None
    url = DEPLOYMENT + "  upstream: {baseURL: http://one.example}\n"
    assert read_request(write(url)).base_url == "http://one.example"


def test_a_bare_request_and_a_bare_set(write) -> None:
    arm = read_request(write(REQUEST, "draft.yaml")).arm
    assert (arm.revision, arm.request, arm.betas) == ("draft", {"model": "claude-haiku-5-5", "max_tokens": 16}, ["one"])
    spec, contents = read_set(write(BARE_SET), None)
    assert (spec.tests is not None, contents.texts) == (True, {})


def test_a_dataset_is_in_the_same_file_or_given(write) -> None:
    item = '{"id": "a"}'
    config_map = f"---\nkind: ConfigMap\nmetadata: {{name: q}}\ndata: {{k: '{item}'}}\n"
    assert read_set(write(DATASET + config_map), None)[1].texts == {("q", "k"): item}
    assert read_set(write(DATASET), write("given", "items.jsonl"))[1].texts == {("q", "k"): b"given"}


SOURCES = "dataset: {configMaps: [{name: q, key: items.csv}]}\n"


def test_what_a_set_names_is_beside_it(write, tmp_path: Path) -> None:
    write("input,letter,__expected\r\n{{letter}},file://docs/letter.txt,contains: Dear\r\n", "items.csv")
    (tmp_path / "docs").mkdir()
    write("\ufeffDear all", "docs/letter.txt")
    [item] = load_items(*read_set(write(SOURCES), None))
    assert item.messages == b'[{"role":"user","content":"Dear all"}]'


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "link.txt"])
def test_what_a_set_names_is_not_read_elsewhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("sk-secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    tests = f"tests: [{{id: a, input: '{{{{a}}}}', vars: {{a: 'file://{name}'}}, assert: [{{type: is-json}}]}}]"
    (folder / "set.yaml").write_text(tests)
    with pytest.raises(ValueError, match="is outside of the set's folder: put the file beside the set"):
        load_items(*read_set(folder / "set.yaml", None))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("input\nHi\n".encode("utf-16"), "the key items.csv of the ConfigMap q is UTF-16: save it as UTF-8"),
        ("input\ncafé\n".encode("latin-1"), "is not UTF-8 at line 2 .*probably Latin-1 or Windows-1252"),
    ],
)
def test_a_table_of_another_encoding(write, tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "items.csv").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        load_items(*read_set(write(SOURCES), None))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Service", "has no eval set: write a ClaudeEvalSet, or its spec"),
        ("a: [", "is not YAML"),
        (
            "tests: [{id: a, input: x, assert: [{type: vibes}]}]",
            r"tests\[0\].assert\[0\].type: unknown assert type 'vibes'",
        ),
        (DATASET, "in the ConfigMap q: put it into the same file or folder, or give --jsonl"),
        ("kind: ClaudeEvalSet\n---\nkind: ClaudeEvalSet", "2 objects of kind ClaudeEvalSet"),
    ],
)
def test_a_set_that_cannot_be_read(write, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_set(write(text), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Service", "has no request: write a ClaudeDeployment, a ClaudeRevision, or a bare request"),
        ("model: x", "max_tokens: is missing; add it"),
        ("a: b: c", "is not YAML at line 1, column 5: mapping values are not allowed here"),
        ("kind: ClaudeDeployment\nspec: {request: {}}", "request.model: is missing; add it"),
        ("kind: ClaudeDeployment\nspec: [1]", "spec of the ClaudeDeployment must be an object with fields"),
        ("kind: ClaudeRevision\nmetadata: x", "metadata of the ClaudeRevision must be an object with fields"),
        ("kind: ConfigMap\ndata: [1]", "data of the ConfigMap must be an object with fields"),
        (
            DEPLOYMENT.replace("kind: ConfigMap", "kind: Other"),
            "promptFrom reads key system.md of the ConfigMap prompts",
        ),
        (DEPLOYMENT.replace("tools: Append", "tools: Add"), "overrides.tools: "),
    ],
)
def test_a_request_that_cannot_be_read(write, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_request(write(text))


def test_files_that_are_not_there(write, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none.yaml cannot be read"):
        read_request(tmp_path / "none.yaml")
    with pytest.raises(ValueError, match="leave out --jsonl"):
        read_set(write(BARE_SET), write("", "items.jsonl"))
    assert api_key(tmp_path / "none") is None
    assert directory(tmp_path / "none") == {}


def test_values_are_files_but_not_the_kubelets_own(write, tmp_path: Path) -> None:
    write("tok\n", "DOCS")
    write("x", "..data")
    assert directory(tmp_path) == {"DOCS": "tok"}


def options(write, tmp_path: Path, base_url: str | None = None, request: str = REQUEST) -> Options:
    set_file, file = write(BARE_SET, "set.yaml"), write(request, "request.yaml")
    return Options(set_file, (file,), base_url=base_url, upstream_key=tmp_path / "key", env=tmp_path / "env")


def test_where_it_asks_and_with_which_key(write, tmp_path: Path) -> None:
    variables = {"ANTHROPIC_API_KEY": "sk-1"}
    assert load(options(write, tmp_path), variables).base_url == "https://api.anthropic.com"
    variables["ANTHROPIC_BASE_URL"] = "http://two.example"
    assert load(options(write, tmp_path), variables).base_url == "http://two.example"
    url = DEPLOYMENT + "  upstream: {baseURL: http://one.example}\n"
    assert load(options(write, tmp_path, request=url), variables).base_url == "http://one.example"
    work = load(options(write, tmp_path, "http://three.example", url), variables)
    assert (work.base_url, work.key) == ("http://three.example", "sk-1")
    write("sk-2\n", "key")
    assert load(options(write, tmp_path), variables).key == "sk-2"


def test_no_key_says_where_to_put_it(write, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set ANTHROPIC_API_KEY or give --upstream-key-file"):
        load(options(write, tmp_path), {})


def test_a_wrong_item_names_the_file(write, tmp_path: Path) -> None:
    given = options(write, tmp_path)
    given.set_file.write_text("tests: [{id: a, input: x}]")
    with pytest.raises(ValueError, match=r"set.yaml: test 1 \(a\): nothing is checked"):
        load(given, {"ANTHROPIC_API_KEY": "sk-1"})
