"""`organization`: what an organisation's month costs, and whose that is."""

from __future__ import annotations

import click
from rich.console import Group
from rich.text import Text

from claude_operator.cli.cluster import COR
from claude_operator.cli.failure import Exit
from claude_operator.cli.options import Session, command
from claude_operator.cli.view.organization import organization_facts, organization_view

__all__ = ["organization"]


@click.command(short_help="Show what an organisation's month costs, and whose that is.")
@click.argument("name", required=False)
@command
def organization(session: Session, name: str | None) -> Exit:
    """Show what the month of a ClaudeOrganization costs, or of all, and whose its tokens are.

    The figures are the organisation's own, by API key. The kind belongs to the cluster: it takes a right to read it.
    """
    kubectl = session.cluster.kubectl
    found = [kubectl.get(COR, name)] if name else kubectl.list(COR)
    facts = [organization_facts(one) for one in found]
    views = [part for one in facts for part in (organization_view(one), Text())][:-1]
    session.terminal.show({"organizations": facts}, Group(*views) if views else "no ClaudeOrganizations found")
    return Exit.DONE
