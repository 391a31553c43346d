"""docs/evals.md and the pages beside it tell what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from claude_operator.__main__ import main
from claude_operator.api.evals import EvalSetSpec, EvalTestDefaults
from claude_operator.api.graders import LONGEST_VALUE, Grader
from claude_operator.core.evals.calibration import agree, sentence
from claude_operator.core.evals.checks import LONGEST_PATTERN
from claude_operator.core.evals.checks import LONGEST_SEARCHED as LONGEST
from claude_operator.core.evals.contents import LARGEST, Contents
from claude_operator.core.evals.formats.rows import FIELDS
from claude_operator.core.evals.formats.templates import FILTERS
from claude_operator.core.evals.gate import RunReason
from claude_operator.core.evals.graders.kinds import KINDS
from claude_operator.core.evals.graders.schemas import FORMATS
from claude_operator.core.evals.items import MOST_ITEMS
from claude_operator.core.evals.runs import EXIT_CODES
from claude_operator.core.evals.sets import LARGEST_SET, load_items
from claude_operator.evals.patterns import LIMIT

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {path.stem: path.read_text() for path in sorted((DOCS / "evals").glob("*.md"))}
INDEX = (DOCS / "evals.md").read_text()
TEXT = "\n".join(PAGES.values())


def blocks(page: str) -> list[tuple[str, str]]:
    """The kind and the text of each block of code of a page."""
    return re.findall(r"```(\w*)\n(.*?)```", PAGES[page], re.DOTALL)


def test_the_index_names_every_page() -> None:
    assert set(re.findall(r"^\| \[.*\]\(evals/(\w+)\.md\)", INDEX, re.MULTILINE)) == set(PAGES)


@pytest.mark.parametrize(
    "word",
    [*RunReason, *EXIT_CODES, f"{LONGEST:,} characters", f"{LIMIT:g} s", f"{LONGEST_PATTERN:,}"],
)
def test_every_word_is_there(word: str) -> None:
    assert word in TEXT


def test_every_phase_has_its_exit_code() -> None:
    assert {
        phase: int(code) for phase, code in re.findall(r"^\| `(\w+)` \| (\d+) \|", TEXT, re.MULTILINE)
    } == EXIT_CODES


def test_the_examples_are_valid() -> None:
    found = blocks("sets")
    [jsonl] = [text for kind, text in found if text.startswith('{"id"')]
    [table] = [text for kind, text in found if kind == "csv"]
    contents = Contents(
        {
            ("triage-questions", "items.jsonl"): jsonl,
            ("triage-table", "spring.csv"): table.replace("question", "input"),
            ("exam", "exam.jsonl"): '{"qid": 1, "question": "2+2?", "criterion": "4", "topic": "sums"}',
            ("receipts", "taxi.png"): b"\x89PNG\r\n\x1a\n",
            ("receipts", "hotel.pdf"): b"%PDF-1.7",
        },
        {"spring/items.jsonl": jsonl.encode()}.get,  # on the volume
    )
    specs = [yaml.safe_load(text)["spec"] for kind, text in found if kind == "yaml"]
    items = [load_items(EvalSetSpec.model_validate(spec), contents) for spec in specs]
    assert [len(one) for one in items] == [2, 2, 1, 1, 2, 1, 1]


def test_every_field_and_filter_and_column_of_a_set_is_told() -> None:
    told = PAGES["sets"]
    fields = [*FIELDS, *(field.alias or name for name, field in EvalTestDefaults.model_fields.items())]
    for word in (
        *fields,
        *FILTERS,
        "configMaps",
        "configMapKeyRef",
        "volume",
        "files",
        "8 MiB",
        "64 MiB",
        f"{MOST_ITEMS:,} items",
        "exercises",
    ):
        assert word in told, word
    assert (LARGEST, LARGEST_SET) == (8 << 20, 64 << 20)


def test_every_grader_is_told() -> None:
    told = PAGES["graders"]
    rows = dict(re.findall(r"^\| (`.*?`) \| (.*) \|$", told, re.MULTILINE))
    assert set(re.findall(r"`([\w-]+)`", " ".join(rows))) == set(KINDS)
    for word in (*FORMATS, *(field.alias or name for name, field in Grader.model_fields.items())):
        assert f"`{word}" in told, word
    assert f"{LONGEST_VALUE:,}" in told


def test_the_examples_of_graders_are_valid() -> None:
    [example] = [yaml.safe_load(text)["spec"] for kind, text in blocks("graders") if kind == "yaml"]
    [item] = load_items(EvalSetSpec.model_validate(example))
    assert [check.name for check in item.checks] == ["icontains-any", "not-contains", "latency", "llm-rubric"]
    assert (item.threshold, item.checks[-1].grader, item.checks[-1].weight) == (0.8, "default", 3)


def test_every_option_of_the_laptop_page_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    shown = ""
    for command in ("run", "show", "calibrate"):
        with pytest.raises(SystemExit):
            main(["eval", command, "--help"])
        shown += capsys.readouterr().out
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGES["laptop"]))
    assert {option for option in named if option not in shown} == set()


def test_the_sentence_on_a_grader_is_what_is_said() -> None:
    table = [(True, True)] * 32 + [(True, False)] * 3 + [(False, True)] + [(False, False)] * 14
    quoted = " ".join(" ".join(re.findall(r"^> (.*)$", PAGES["laptop"], re.MULTILINE)).split())
    assert quoted == sentence(agree(table))


def test_every_exit_code_is_on_the_laptop_page() -> None:
    assert set(re.findall(r"^\| (\d+) \|", PAGES["laptop"], re.MULTILINE)) == {"0", "100", "101", "1", "2"}
