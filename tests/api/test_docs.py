"""The pages of docs/ that describe the API say all that is there."""

from __future__ import annotations

import re
from pathlib import Path

from claude_operator.api.conditions import Reason, Type
from claude_operator.api.kinds import KINDS, object_schema
from claude_operator.crds.reference import reference

DOCS = Path(__file__).parents[2] / "docs"


def test_reference_has_every_field_and_every_rule() -> None:
    page = reference({kind.kind: object_schema(kind) for kind in KINDS})
    for field in (
        "spec.strategy.canary.steps[].bake.minRequests",
        "spec.subagents{}.request",
        "spec.gateway.resources.limits",
        "status.conditions[].reason",
    ):
        assert f"| `{field}` |" in page
    assert "| `spec.strategy.canary.steps[]` | a step must have exactly one of setWeight, pause and bake" in page
    assert "| `metadata.name` | metadata.name must be at most 40 characters" in page
    for row in re.findall(r"^\|.*\|$", page, re.MULTILINE):
        assert len(re.findall(r"(?<!\\)\|", row)) in (3, 4), row


def test_conditions_page_has_every_type_and_reason() -> None:
    page = (DOCS / "conditions.md").read_text()
    documented = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert set(documented) == {*Type, *Reason}
    headings = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert [heading for heading in headings if heading != "Events"] == list(Type)


def test_conditions_page_says_what_to_do_about_every_reason() -> None:
    page = (DOCS / "conditions.md").read_text()
    for row in re.findall(r"^\| `\w+` \|.*$", page, re.MULTILINE):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 3, row
        assert all(len(cell) > 3 for cell in cells), row


def test_what_was_tried_names_tests_that_are_there() -> None:
    page = (DOCS / "rollouts.md").read_text()
    section = page[page.index("## When something dies") : page.index("## When somebody changes")]
    rows = [row for row in section.splitlines() if row.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        assert row.count(" | ") == 3, row
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row.rpartition(" | ")[2])
        assert named, row
        for file, name in named:
            text = (DOCS.parent / "tests" / file).read_text()
            assert re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), f"{file}::{name}"


def test_the_page_about_the_inside_names_modules_that_are_there() -> None:
    page = (DOCS / "architecture.md").read_text()
    package = DOCS.parent / "operator/claude_operator"
    known = {path.name for path in package.rglob("*.py")}
    named = set(re.findall(r"[\w/]+\.py\b", page))
    assert len(named) > 30
    assert not [one for one in named if not ((package / one).exists() if "/" in one else one in known)]
    folders = set(re.findall(r"\b(?:core|shell|gateway)/[\w/]*/(?=[\s,`])", page))
    assert folders
    assert not [one for one in folders if not (package / one).is_dir()]


def test_conditions_are_counted_right() -> None:
    number = {7: "Seven", 8: "Eight", 9: "Nine", 10: "Ten", 11: "Eleven"}[len(Type)]
    assert f"{number} [conditions]" in (DOCS.parent / "README.md").read_text()
