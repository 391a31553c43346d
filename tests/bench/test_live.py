"""The table of how many verdicts live grading takes is what the judge's code gives."""

from __future__ import annotations

import random
from pathlib import Path

from bench.evals.live import MOST, row, verdicts_until_found

DOCS = Path(__file__).parents[2] / "docs" / "evals" / "live.md"


def test_the_documents_table_is_what_it_says() -> None:
    lines = DOCS.read_text().splitlines()
    assert row(0.02) in lines


def test_equal_arms_are_as_good_as_never_found_worse() -> None:
    source = random.Random(1)
    found = [verdicts_until_found(0.1, 0.1, source) for _ in range(60)]
    assert sum(one < MOST for one in found) <= 2
