"""docs/evals.md tells what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from claude_operator.api.evals import EvalSetSpec
from claude_operator.core.evals.checks import LONGEST_PATTERN
from claude_operator.core.evals.checks import LONGEST_SEARCHED as LONGEST
from claude_operator.core.evals.gate import RunReason
from claude_operator.core.evals.runs import EXIT_CODES
from claude_operator.core.evals.sets import load_items
from claude_operator.evals.patterns import LIMIT

TEXT = (Path(__file__).parents[2] / "docs/evals.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", TEXT, re.DOTALL)


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
    documents = [yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml"]
    whole, dataset = (document["spec"] for document in documents)
    assert len(load_items(EvalSetSpec.model_validate(whole), None)) == 2
    [jsonl] = [text for kind, text in BLOCKS if text.startswith('{"id"')]
    assert len(load_items(EvalSetSpec.model_validate(dataset | {"defaultTest": {}}), jsonl)) == 1
