"""`advise`: what would change the bill, or bring a surface back into its latency budget."""

from __future__ import annotations

import datetime as dt
import sys

import click
from pydantic import ValidationError

from claude_operator.cli.cluster import Cluster
from claude_operator.cli.failure import Exit, Failure
from claude_operator.cli.kubectl import KubectlError, Object
from claude_operator.cli.options import Session, command, deployment
from claude_operator.cli.view.advise import advise_facts, advise_view, patch_of, patch_text
from claude_operator.core.advice.advise import advise as find_advice
from claude_operator.core.advice.case import Case

__all__ = ["advise"]

_NOTES = """
The figures are of the last seven days, today among them, as the gateways measured them, at your own prices where the
operator has told the gateways any. Nothing is changed. A patch that makes a new revision goes through its eval gate and
its canary like any other change. Where there is neither advice nor enough data for it, the command ends with 1.
"""


@click.command(short_help="Show what would change the bill.", epilog=_NOTES)
@deployment()
@click.option("--patch", type=click.IntRange(min=1), metavar="N", help="Print the patch of advice N alone, as YAML.")
@command
def advise(session: Session, name: str, patch: int | None) -> Exit:
    """Show what would change the bill of a ClaudeDeployment, with the arithmetic, and what each change risks.

    A smaller model, less effort, prompt caching, batches, and what helps a surface over its latency budget.
    """
    obj = session.cluster.deployment(name)
    case = _case(session, obj)
    found = find_advice(case)
    facts = advise_facts(obj["metadata"]["namespace"], name, case, found)
    if patch is not None:
        wanted = patch_of(facts, patch)
        if session.terminal.form == "json":
            session.terminal.show(wanted, "")
        else:
            sys.stdout.write(patch_text(wanted))
        return Exit.DONE
    session.terminal.show(facts, advise_view(facts))
    return Exit.DONE if found.advice or not found.lacks_data else Exit.FAILED


def _case(session: Session, obj: Object) -> Case:
    cluster: Cluster = session.cluster
    (used,) = cluster.usages([obj["metadata"]["name"]])
    if used.kept is None:
        raise Failure(f"nothing is known of what it uses: {used.blind}")
    stable = (obj.get("status") or {}).get("stableRevision")
    try:
        models = cluster.models()
    except KubectlError as error:
        models = {}
        session.terminal.warn(f"the shipped list of models is used, since ClaudeModels cannot be read: {error}")
    case = Case(obj["spec"], used.kept, stable, dt.datetime.now(dt.UTC), cluster.prices(obj), models)
    try:
        _ = case.spec
    except ValidationError as error:
        raise Failure(f"the spec cannot be read: {error.error_count()} fields are wrong; see Accepted") from error
    return case
