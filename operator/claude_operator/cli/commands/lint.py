"""`lint`: what is wrong with manifests before they are applied, and what an edit costs in the prompt cache."""

from __future__ import annotations

import datetime as dt
import functools
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from claude_operator.cli.against import Earlier, earlier_of, side_of
from claude_operator.cli.failure import Exit
from claude_operator.cli.files import read_files
from claude_operator.cli.options import Session, command
from claude_operator.cli.view.lint import edit_facts, lint_facts, lint_view, sarif
from claude_operator.cli.view.paint import visible
from claude_operator.core.lint.against import beside_faults, edit_faults, edits_of, keeping
from claude_operator.core.lint.finding import Finding, Level, Place
from claude_operator.core.lint.lint import Report, lint_objects
from claude_operator.core.lint.sources import Found, Objects, read_sources

__all__ = ["lint"]

_NOTES = """
No cluster is asked, but by --against live and --against REVISION. ConfigMaps and ClaudeModels in the same files are
read: promptFrom, eval items, models of your own.

Ends with 0 where nothing is wrong, with 1 on an error (with --strict on a warning too), and with 2 where a file cannot
be read.
"""


@click.command(short_help="Check manifests without a cluster.", epilog=_NOTES)
@click.option("-f", "--filename", "files", multiple=True, required=True, metavar="FILE", help="File, folder, or -.")
@click.option("-R", "--recursive", is_flag=True, help="Look into the folders of a folder.")
@click.option("--strict", is_flag=True, help="End with 1 on warnings too.")
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The day for lifecycle states; today otherwise."
)
@click.option("--against", metavar="FILE|REVISION|live", help="Say what the edit does to the prompt cache.")
@click.option("--sessions", type=click.IntRange(min=0), metavar="N", help="With --against: so many sessions are live.")
@click.option(
    "--cached-tokens", type=click.IntRange(min=0), metavar="N", help="With --against: what each has in the cache."
)
@functools.partial(command, forms=("table", "json", "yaml", "sarif"))
def lint(
    session: Session,
    files: tuple[str, ...],
    recursive: bool,
    strict: bool,
    as_of: dt.datetime | None,
    against: str | None,
    sessions: int | None,
    cached_tokens: int | None,
) -> Exit:
    """Check ClaudeDeployments, ClaudeEvalSets and ClaudeModels in files, with line and column of each finding.

    The schema and rules of the API server, what the operator accepts, what the Claude API refuses, and prompt caching.
    With --against also what the edit costs once, in tokens that are written again instead of read.
    """
    if against is None and (sessions is not None or cached_tokens is not None):
        raise click.UsageError("--sessions and --cached-tokens go with --against")
    if against == "-" and "-" in files:
        raise click.UsageError("standard input is either what is linted or what it is compared with")
    today = as_of.date() if as_of is not None else dt.datetime.now(dt.UTC).date()
    sources, broken = read_files(files, recursive=recursive)
    objects = read_sources(sources)
    report = lint_objects(objects, today)
    unread = [Finding(name, Place(1, 1), "encoding", Level.ERROR, "", "", why) for name, why in broken]
    report = replace(report, findings=(*unread, *report.findings))
    edits = []
    if against is not None:
        sound = _sound(objects, report)
        for found, earlier in earlier_of(sound, against, session.cluster) if sound or not unread else ():
            earlier = _told(earlier, sessions, cached_tokens)
            new = side_of(found, objects)
            made = edits_of(earlier.side, new, earlier.sessions, models=objects.models, book=earlier.book)
            faults = list(beside_faults(earlier.side, new, today, models=objects.models))
            if session.terminal.form == "sarif":  # the others tell edits apart from findings
                faults += edit_faults(made)
            report = replace(report, findings=(*report.findings, *map(found.finding, faults)))
            edits.append(edit_facts(found.label, earlier.name, made, keeping(found.spec)))
    _show(session, report, edits)
    failed = report.count(Level.ERROR) or (strict and report.count(Level.WARNING))
    return Exit.FAILED if failed else Exit.DONE


def _show(session: Session, report: Report, edits: Sequence[dict[str, object]]) -> None:
    if session.terminal.form == "sarif":
        log = visible(json.dumps(sarif(report, Path.cwd()), indent=2, ensure_ascii=False))
        sys.stdout.write(f"{log}\n")
        return
    facts = lint_facts(report, edits)
    session.terminal.show(facts, lint_view(facts), wrap=False)


def _sound(objects: Objects, report: Report) -> list[Found]:
    """ClaudeDeployments of which enough can be read to compare them: their schema holds."""
    wrong = {(one.file, one.object) for one in report.findings if one.check.startswith(("schema-", "yaml-"))}
    return [one for one in objects.of_kind("ClaudeDeployment") if (one.source.name, one.label) not in wrong]


def _told(earlier: Earlier, sessions: int | None, cached: int | None) -> Earlier:
    """With what a person says of the sessions in place of what was measured."""
    if sessions is None and cached is None:
        return earlier
    known = earlier.sessions
    number = known.number if sessions is None else sessions
    return replace(
        earlier,
        sessions=replace(
            known,
            number=number,
            cached=known.cached if cached is None else cached,
            most=known.most and sessions is None,
            source="as given" if sessions is not None and cached is not None else known.source,
        ),
    )
