"""`cost`: what calls cost, by what, since when."""

from __future__ import annotations

import datetime as dt
import functools

import click

from claude_operator.cli.failure import Exit
from claude_operator.cli.options import Session, command, deployments
from claude_operator.cli.view.cost import BY, Question, cost_facts, cost_rows, cost_view, first_day

__all__ = ["cost"]

_NOTES = """
The figures are the gateways' own measure of POST /v1/messages, which the operator reads every minute and keeps for 40
days. What a price is not known of is counted as UNPRICED and never as free. Message Batches that pass through, eval
runs, live grading and traffic around the gateways are not in them.
"""


class _By(click.ParamType[str]):
    """One of the names, or `label:KEY`."""

    name = "what"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As it was given."""
        if value not in BY and (not value.startswith("label:") or value == "label:"):
            self.fail(f"{value!r} is none of {', '.join(BY)} and label:KEY", param, ctx)
        return value


@click.command(short_help="Show what calls cost.", epilog=_NOTES)
@deployments()
@click.option("-A", "--all-namespaces", is_flag=True, help="Without NAME: in all namespaces.")
@click.option("-l", "--selector", metavar="LABELS", help="Without NAME: those with these labels, as kubectl has it.")
@click.option(
    "--by",
    type=_By(),
    default="deployment",
    show_default=True,
    metavar="WHAT",
    help=f"What costs are told apart by: {', '.join(BY)}, or label:KEY for a label of the ClaudeDeployments.",
)
@click.option("--since", metavar="DAYS|DATE", help="For example 7d or 2026-11-01; the first of the month otherwise.")
@functools.partial(command, forms=("table", "json", "yaml", "csv"))
def cost(
    session: Session, names: tuple[str, ...], all_namespaces: bool, selector: str | None, by: str, since: str | None
) -> Exit:
    """Show what calls cost: of the ClaudeDeployments of a namespace, of some of them, or of all.

    Days are those of UTC.
    """
    if names and (all_namespaces or selector):
        raise click.UsageError("--all-namespaces and --selector go without NAME")
    now = dt.datetime.now(dt.UTC)
    question = Question(by, first_day(since, now), now)
    where = [*(["--all-namespaces"] if all_namespaces else []), *([f"--selector={selector}"] if selector else [])]
    used = session.cluster.usages(names, *where)
    facts = cost_facts(used, question)
    if session.terminal.form == "csv":
        session.terminal.rows(*cost_rows(facts, question))
        for note in [*(f"{one['namespace']}/{one['name']}: {one['why']}" for one in facts["unknown"]), *facts["notes"]]:
            session.terminal.warn(note)
    else:
        session.terminal.show(facts, cost_view(facts, question) if used else "no ClaudeDeployments found")
    return Exit.DONE
