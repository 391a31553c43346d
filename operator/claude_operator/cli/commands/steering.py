"""`promote`, `abort`, `retry`: what a person asks of a rollout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from claude_operator.cli import wishes
from claude_operator.cli.asking import ask
from claude_operator.cli.deployment import phase_of
from claude_operator.cli.failure import Exit
from claude_operator.cli.options import Session, asks, command, deployment

__all__ = ["abort", "promote", "retry"]


@click.command(short_help="End the current step of a rollout.")
@deployment()
@click.option("--full", is_flag=True, help="Skip all steps that are left: the canary gets 100 %.")
@asks
@command
def promote(session: Session, name: str, full: bool, timeout: float) -> Exit:
    """End the current step of a rollout, also one that waits for a person or for evidence."""
    return _ask(session, name, lambda obj: wishes.promote(obj, full=full), timeout)


@click.command(short_help="Take the canary's traffic back.")
@deployment()
@asks
@command
def abort(session: Session, name: str, timeout: float) -> Exit:
    """Take the canary's traffic back and end the rollout.

    A revision that soaks after its promotion gives its traffic back to the one before.
    """
    return _ask(session, name, wishes.abort, timeout)


@click.command(short_help="Try a revision that failed again.")
@deployment()
@asks
@command
def retry(session: Session, name: str, timeout: float) -> Exit:
    """Try a revision again that was rolled back, aborted or failed its evals."""
    return _ask(session, name, wishes.retry, timeout)


def _ask(session: Session, name: str, choose: Callable[[Any], wishes.Wish], timeout: float) -> Exit:
    answer = ask(session.cluster, name, choose, timeout)
    phase = phase_of(answer.obj)
    facts = {"name": name, "message": answer.message, "phase": phase.name, "phaseMessage": phase.message}
    session.terminal.show(facts, answer.message)
    return Exit.DONE
