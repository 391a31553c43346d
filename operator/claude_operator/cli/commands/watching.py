"""`status`: what serves and how far the rollout is, once or until it ends."""

from __future__ import annotations

import datetime as dt

import click

from claude_operator.cli.cluster import CLD
from claude_operator.cli.failure import Exit
from claude_operator.cli.follow import follow
from claude_operator.cli.options import Session, Span, command, deployment
from claude_operator.cli.view.status import list_facts, list_view, status_facts, status_view

__all__ = ["status"]

_CODES = """
\b
Exit codes with --watch:
  0  the newest spec is promoted          5  aborted by a person
  1  the command failed                   6  the evals were not passed
  3  --timeout passed before the end      7  the spec is not accepted
  4  rolled back                          8  superseded by another revision

Without --watch the code is 0 when the status could be shown.
"""


@click.command(short_help="Show a rollout, once or until it ends.", epilog=_CODES)
@deployment(required=False)
@click.option("-w", "--watch", is_flag=True, help="Follow the rollout until it ends; its outcome is the exit code.")
@click.option("--timeout", type=Span(), help="With --watch: how long to follow it at most, for example 30m.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Without NAME: in all namespaces.")
@command
def status(session: Session, name: str | None, watch: bool, timeout: float | None, all_namespaces: bool) -> Exit:
    """Show a ClaudeDeployment: what serves, the rollout, its evidence and the last Events.

    Without NAME all ClaudeDeployments of the namespace are listed.
    """
    if timeout is not None and not watch:
        raise click.UsageError("--timeout needs --watch")
    if name is None:
        if watch:
            raise click.UsageError("--watch needs the NAME of a ClaudeDeployment")
        facts = list_facts(session.cluster.kubectl.list(CLD, *(["--all-namespaces"] if all_namespaces else [])))
        session.terminal.show(facts, list_view(facts) if facts else "no ClaudeDeployments found")
        return Exit.DONE
    if all_namespaces:
        raise click.UsageError("--all-namespaces goes without NAME")
    if watch:
        code, seen = follow(session.cluster, name, session.terminal, timeout)
        session.terminal.show(seen, status_view(seen, dt.datetime.now(dt.UTC)))
        if code == Exit.TIMED_OUT:
            session.terminal.fail(f"the rollout has not ended in {timeout:g} s")
        return code
    one = status_facts(session.cluster.deployment(name), session.cluster.events(name))
    session.terminal.show(one, status_view(one, dt.datetime.now(dt.UTC)))
    return Exit.DONE
