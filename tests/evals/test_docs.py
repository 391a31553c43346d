"""docs/evals.md and the pages beside it tell what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from claude_operator.api.evals import EvalSetSpec
from claude_operator.core.evals.checks import LONGEST_PATTERN
from claude_operator.core.evals.checks import LONGEST_SEARCHED as LONGEST
from claude_operator.core.evals.contents import Contents
from claude_operator.core.evals.gate import RunReason
from claude_operator.core.evals.runs import EXIT_CODES
from claude_operator.core.evals.sets import _KINDS, load_items
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
    [*RunReason, *EXIT_CODES, *_KINDS, f"{LONGEST:,} characters", f"{LIMIT:g} s", f"{LONGEST_PATTERN:,}"],
)
def test_every_word_is_there(word: str) -> None:
    assert word in TEXT


def test_every_phase_has_its_exit_code() -> None:
    assert {
        phase: int(code) for phase, code in re.findall(r"^\| `(\w+)` \| (\d+) \|", TEXT, re.MULTILINE)
    } == EXIT_CODES


def test_the_examples_are_valid() -> None:
    documents = [yaml.safe_load(text) for kind, text in blocks("sets") if kind == "yaml"]
    whole, dataset = (document["spec"] for document in documents)
    assert len(load_items(EvalSetSpec.model_validate(whole))) == 2
    [jsonl] = [text for kind, text in blocks("sets") if text.startswith('{"id"')]
    assert (
        len(load_items(EvalSetSpec.model_validate(dataset), Contents({("triage-questions", "items.jsonl"): jsonl})))
        == 1
    )
