"""`history`, `diff`, `why`: what was, and why."""

from __future__ import annotations

import datetime as dt

import click

from claude_operator.cli.calls import telling_calls
from claude_operator.cli.deployment import status_of
from claude_operator.cli.failure import Exit
from claude_operator.cli.kubectl import KubectlError
from claude_operator.cli.options import Session, command, deployment, revision
from claude_operator.cli.view import why as view
from claude_operator.cli.view.diff import diff_facts, diff_view
from claude_operator.cli.view.history import history_facts, history_view

__all__ = ["diff", "history", "why"]


@click.command(short_help="List revisions and how they ended.")
@deployment()
@command
def history(session: Session, name: str) -> Exit:
    """List the revisions of a ClaudeDeployment, the newest last."""
    facts = history_facts(session.cluster.deployment(name), session.cluster.revisions(name))
    session.terminal.show(facts, history_view(facts, dt.datetime.now(dt.UTC)))
    return Exit.DONE


@click.command(short_help="Compare two revisions.")
@revision("old")
@revision("new")
@command
def diff(session: Session, old: str, new: str) -> Exit:
    """Compare two revisions: parameters, system prompt and tools.

    In lines that were edited, what has gone stands in [-…-] and what is new in {+…+}.
    """
    before, after = session.cluster.revision(old), session.cluster.revision(new)
    facts = diff_facts(old, before["spec"], new, after["spec"])
    session.terminal.show(facts, diff_view(facts))
    return Exit.DONE


@click.command(short_help="Explain the last decision of a rollout.")
@deployment()
@click.option("--trial", metavar="REVISION[/ATTEMPT]", help="An earlier rollout instead of the present or last one.")
@click.option("--logs/--no-logs", default=True, help="Whether to look for request ids in the logs of the gateways.")
@command
def why(session: Session, name: str, trial: str | None, logs: bool) -> Exit:
    """Explain the last decision: which metric, how much, since when, and calls that show it.

    Request ids and what the API said come from the logs of the gateway pods, as far back as the cluster keeps them.
    """
    obj = session.cluster.deployment(name)
    chosen = view.chosen_trial(obj, trial)
    ledger = session.cluster.kubectl.find("configmap", view.ledger_of(chosen))
    judgement = view.judgement_of(status_of(obj), chosen)
    calls, note = [], ""
    begun = view.since(chosen, judgement)
    if logs and begun:
        try:
            log = session.cluster.gateway_logs(name, begun)
            calls = telling_calls(log, revision=chosen.revision, metric=judgement.leading if judgement else None)
        except KubectlError as error:
            note = f"the logs of the gateway pods cannot be read: {error}"
    facts = view.why_facts(obj, chosen, ledger, calls, note)
    session.terminal.show(facts, view.why_view(facts))
    return Exit.DONE
