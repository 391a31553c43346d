"""`audit`: what uses which model, and how long that model is still there."""

from __future__ import annotations

import datetime as dt
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from claude_operator.cli.audited import DAYS, Read, keys_of, notes_of, read, uses_of
from claude_operator.cli.failure import Exit, Failure
from claude_operator.cli.options import Session, command
from claude_operator.cli.view.audit import Facts, Scope, audit_facts, audit_rows, audit_view
from claude_operator.cli.view.cost import first_day
from claude_operator.core.audit.console import Export, read_export
from claude_operator.core.audit.report import Audit, Limit, audit, limit_of
from claude_operator.core.audit.uses import serving
from claude_operator.core.text import count, join_names

__all__ = ["audit_command", "scope_of"]

_LARGEST = 256 * 1024 * 1024  # bytes of a file
_NOTES = """
A model is Retired, Deprecated, Legacy, Active or Unknown, by the ClaudeModels of the cluster and the catalogue of this
program. What a ClaudeDeployment's spec asks for, what serves, what grades and what keys used counts; revisions that are
only kept do not. Deprecated models work until they are retired; requests for Retired models fail.
"""


class _Limits(click.ParamType[Limit]):
    """A state, or a number of days."""

    name = "limit"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Limit:
        """As it is meant."""
        if isinstance(value, Limit):
            return value
        try:
            return limit_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Date(click.ParamType[dt.date]):
    """A date such as 2026-11-30."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        """As it is meant."""
        if isinstance(value, dt.date):
            return value
        try:
            return dt.date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date; use e.g. 2026-11-30", param, ctx)


@click.command("audit", short_help="Show what uses which model, and until when it can.", epilog=_NOTES)
@click.option("-A", "--all-namespaces", is_flag=True, help="In all namespaces.")
@click.option(
    "-l", "--selector", metavar="LABELS", help="Only ClaudeDeployments with these labels, and their eval sets."
)
@click.option("--history", is_flag=True, help="Also revisions that are only kept, for undo.")
@click.option("--as-of", type=_Date(), metavar="DATE", help="States of this day instead of today (UTC).")
@click.option(
    "--since", metavar="DAYS|DATE", help="Use since then, e.g. 7d; the last 30 days of each source otherwise."
)
@click.option(
    "--usage-csv",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="An export of the Console's page Usage or Cost; may be given several times.",
)
@click.option(
    "--cluster-key",
    "ours",
    multiple=True,
    metavar="NAME|ID",
    help="An API key that gateways of this cluster use, where that cannot be found out; may be given several times.",
)
@click.option("--no-cluster", is_flag=True, help="Read only the files of --usage-csv.")
@click.option(
    "--fail-on",
    "limits",
    multiple=True,
    type=_Limits(),
    metavar="STATE|DAYS",
    help="End with 9 if what is in use is Legacy, Deprecated, Retired (or worse), Unknown, or retired within so many"
    " days; may be given several times.",
)
@functools.partial(command, forms=("table", "json", "yaml", "csv"))
def audit_command(
    session: Session,
    all_namespaces: bool,
    selector: str | None,
    history: bool,
    as_of: dt.date | None,
    since: str | None,
    files: tuple[Path, ...],
    ours: tuple[str, ...],
    no_cluster: bool,
    limits: tuple[Limit, ...],
) -> Exit:
    """Show which ClaudeDeployments, revisions, graders and API keys use which model, by state and days left."""
    if no_cluster and not files:
        raise click.UsageError("--no-cluster needs --usage-csv: there is nothing else to read")
    if no_cluster and (all_namespaces or selector or history):
        raise click.UsageError("--all-namespaces, --selector and --history go without --no-cluster")
    today = dt.datetime.now(dt.UTC).date()
    where = [*(["--all-namespaces"] if all_namespaces else []), *([f"--selector={selector}"] if selector else [])]
    exports = [_export(path) for path in files]
    found = Read() if no_cluster else read(session.cluster, *where)
    begin = first_day(since, dt.datetime.now(dt.UTC)) if since is not None else None
    uses = uses_of(found, begin or today - dt.timedelta(days=DAYS - 1))
    keys = keys_of(found, uses, exports, begin, ours)
    result = audit(uses if history else serving(uses), keys, as_of or today, found.models)
    facts = audit_facts(result, scope_of(found, [_named(path) for path in files], with_cluster=not no_cluster))
    _show(session, facts)
    return _end(session, result, limits, found)


def _export(path: Path) -> Export:
    try:
        data = sys.stdin.buffer.read(_LARGEST + 1) if str(path) == "-" else _read(path)
    except OSError as error:
        raise Failure(f"{_named(path)} cannot be read: {error.strerror or error}") from None
    if len(data) > _LARGEST:
        raise Failure(f"{_named(path)} has more than {_LARGEST >> 20} MiB: export fewer days at once")
    try:
        return read_export(data)
    except ValueError as error:
        raise Failure(f"{_named(path)}: {error}") from None


def _named(path: Path) -> str:
    return "standard input" if str(path) == "-" else str(path)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST + 1)


def scope_of(found: Read, files: Sequence[str], *, with_cluster: bool) -> Scope:
    """What was looked at."""
    return Scope(
        len(found.deployments) if with_cluster else None,
        len(found.eval_sets) if with_cluster else None,
        files,
        [one.name for one in found.organizations],
        notes_of(found),
        found.unread,
    )


def _show(session: Session, facts: Facts) -> None:
    if session.terminal.form != "csv":
        session.terminal.show(facts, audit_view(facts))
        return
    session.terminal.rows(*audit_rows(facts))
    for note in [*(f"not complete: {one}" for one in facts["unread"]), *facts["notes"]]:
        session.terminal.warn(note)


def _end(session: Session, result: Audit, limits: Sequence[Limit], found: Read) -> Exit:
    """The exit code. An audit that is not complete has not shown that nothing is wrong."""
    broken = result.broken(limits)
    if broken:
        models = join_names(dict.fromkeys(row.model_id for row in broken))
        session.terminal.fail(f"{count(len(broken), 'use')} beyond --fail-on: {models}")
        return Exit.FOUND
    if limits and found.unread:
        session.terminal.fail("nothing was found beyond --fail-on, but the audit is not complete")
        return Exit.FAILED
    return Exit.DONE
