"""docs/checks.md has the table as it is. UPDATE_GOLDENS=1 writes it."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

from tests.core.catalogue.check_examples import FINDS

from claude_operator.core.catalogue.checks.check import CHECKS

DOC = Path(__file__).parents[3] / "docs" / "checks.md"
HEAD = "| Check | Severity | Where | What it asks for | What it says, for example |\n|---|---|---|---|---|\n"


def table() -> str:
    rows = [
        f"| `{check.id}` | {check.severity} | {'' if check.where == 'spec' else check.where} |"
        f" {cell(inspect.getdoc(check.find) or '')} | {cell(FINDS[check.id].message)} |"
        for check in CHECKS
    ]
    return HEAD + "\n".join(rows) + "\n"


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("{{", "&#123;{")


def test_the_document_has_every_check_as_it_is() -> None:
    before = DOC.read_text()
    wanted = before[: before.index("-->") + 4] + "\n" + table()
    if os.environ.get("UPDATE_GOLDENS"):
        DOC.write_text(wanted)
    assert DOC.read_text() == wanted


def test_every_check_says_what_it_asks_for() -> None:
    assert [check.id for check in CHECKS if not inspect.getdoc(check.find)] == []
