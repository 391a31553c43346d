"""What lint found: a line for each finding as compilers write them, facts for programs, and SARIF for CI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from rich.console import Group, RenderableType
from rich.text import Text

from claude_operator import __version__
from claude_operator.cli.view.paint import visible
from claude_operator.core.lint.against import Edit
from claude_operator.core.lint.finding import Finding, Level, path_text
from claude_operator.core.lint.lint import Report
from claude_operator.core.lint.rules import rules
from claude_operator.core.text import count

__all__ = ["edit_facts", "lint_facts", "lint_view", "sarif"]

Facts = dict[str, Any]

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
_STDIN = "-"


def lint_facts(report: Report, edits: Sequence[Facts] = ()) -> Facts:
    """What `--output json` prints."""
    return {
        "errors": report.count(Level.ERROR),
        "warnings": report.count(Level.WARNING),
        "checked": list(report.checked),
        "findings": [_finding(one) for one in report.findings],
        "edits": list(edits),
    }


def edit_facts(object_: str, against: str, edits: Sequence[Edit], note: str) -> Facts:
    """An edit of one object: what is written again by each of its requests."""
    return {
        "object": object_,
        "against": against,
        "rewrites": [_rewrite(edit) for edit in edits],
        "note": note if edits else "",
    }


def lint_view(facts: Facts) -> RenderableType:
    """The findings, then what an edit does, then how many."""
    facts = visible(facts)
    lines: list[RenderableType] = [_line(one) for one in facts["findings"]]
    for edit in facts["edits"]:
        lines += _edit(edit)
    return Group(*lines, _summary(facts))


def sarif(report: Report, folder: Path) -> Facts:
    """The findings as a SARIF 2.1.0 log; files below `folder` are named relative to it."""
    known = list(rules())
    places = {rule.id: number for number, rule in enumerate(known)}
    driver = {
        "name": "kubectl-claude-lint",
        "version": __version__,
        "rules": [
            {
                "id": rule.id,
                "shortDescription": {"text": rule.text},
                "defaultConfiguration": {"level": rule.level.value},
            }
            for rule in known
        ],
    }
    results = [_result(visible(_finding(one)), places, folder) for one in report.findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": _SARIF, "version": "2.1.0", "runs": [run]}


def _finding(one: Finding) -> Facts:
    return {
        "file": one.file,
        "line": one.place.line,
        "column": one.place.column,
        "level": one.level.value,
        "check": one.check,
        "object": one.object,
        "path": one.path,
        "message": one.message,
    }


def _rewrite(edit: Edit) -> Facts:
    rewrite, bill, sessions = edit.rewrite, edit.bill, edit.sessions
    return {
        "subagent": rewrite.name,
        "model": rewrite.model,
        "changes": [{"path": path_text(one.path), "what": one.what} for one in rewrite.changes],
        "sessions": sessions.number,
        "sessionsAreAtMost": sessions.most,
        "source": sessions.source,
        "tokensEach": bill.each,
        "tokensOnce": bill.once,
        "tokens": bill.total,
        "usdEach": _rounded(bill.usd_each),
        "usd": _rounded(bill.usd),
        "includesConversation": bill.is_whole,
        "message": edit.sentence,
    }


def _rounded(usd: float | None) -> float | None:
    return None if usd is None else round(usd, 4)


def _line(one: Facts) -> Text:
    path = f"{one['path']}: " if one["path"] else ""
    return Text.assemble(
        f"{one['file']}:{one['line']}:{one['column']}: ",
        (one["level"], _STYLES[one["level"]]),
        f": {path}{one['message']} ({one['check']})",
    )


def _edit(edit: Facts) -> list[RenderableType]:
    title = Text(f"\n{edit['object']} against {edit['against']}", style="bold")
    if not edit["rewrites"]:
        return [title, Text("  nothing that is cached is written again")]
    lines: list[RenderableType] = [title]
    for one in edit["rewrites"]:
        lines += [Text(f"  {change['what']} ({change['path']})") for change in one["changes"]]
        lines.append(Text(f"  {one['message']}", style="yellow"))
        if one["source"]:
            lines.append(Text(f"  sessions: {one['source']}"))
    return [*lines, Text(f"  {edit['note']}")] if edit["note"] else lines


def _summary(facts: Facts) -> Text:
    found, files = facts["errors"] + facts["warnings"], len(facts["checked"])
    said = f"{count(facts['errors'], 'error')}, {count(facts['warnings'], 'warning')} in {count(files, 'object')}"
    style = _STYLES["error"] if facts["errors"] else _STYLES["warning"] if found else "green"
    if not files:
        return Text("no objects of claudeops.dev in these files", style="yellow")
    return Text(said, style=style)


def _result(one: Facts, places: Mapping[str, int], folder: Path) -> Facts:
    located: Facts = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(one["file"], folder)},
            "region": {"startLine": one["line"], "startColumn": one["column"]},
        }
    }
    if one["path"]:
        located["logicalLocations"] = [{"fullyQualifiedName": one["path"], "kind": "member"}]
    path = f"{one['path']}: " if one["path"] else ""
    return {
        "ruleId": one["check"],
        "ruleIndex": places[one["check"]],
        "level": one["level"],
        "message": {"text": f"{path}{one['message']}"},
        "locations": [located],
        "partialFingerprints": {"object/v1": f"{one['object']} {one['path']} {one['check']}"},
    }


def _uri(file: str, folder: Path) -> str:
    """Relative to the folder where it is below it, else a file URI."""
    if file == _STDIN:
        return "stdin"
    path = Path(file)
    try:
        inner: PurePath = (folder / path).resolve().relative_to(folder.resolve())
    except ValueError:
        return (folder / path).resolve().as_uri()
    return quote(inner.as_posix())
