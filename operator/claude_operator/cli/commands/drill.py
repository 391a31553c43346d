"""`drill`: rehearse the rollback, and what came of it."""

from __future__ import annotations

import datetime as dt
import functools
import time
from collections.abc import Mapping
from typing import Any

import click

from claude_operator.cli import wishes
from claude_operator.cli.asking import ask
from claude_operator.cli.deployment import status_of
from claude_operator.cli.failure import Exit, Failure
from claude_operator.cli.options import Session, Span, command, deployment
from claude_operator.cli.view.drill import drill_facts, drill_view
from claude_operator.cli.waiting import until

__all__ = ["drill"]

Object = Mapping[str, Any]

_WAIT = 15 * 60.0  # seconds: a drill has ten minutes
_ANSWER = 60.0  # seconds until the operator has begun it
_NOTES = """
Without --live gateways make the requests up, and no user notices. With --live at most five requests of users fail, with
a 500 that SDKs try again; a request that is tried again is answered. No drill begins during a rollout, and a change of
the spec ends one at once. docs/drill.md has all of it.
"""


@click.command(short_help="Rehearse the rollback.", epilog=_NOTES)
@deployment()
@click.option("--live", is_flag=True, help="With requests of users, of which at most five fail.")
@click.option("--last", is_flag=True, help="Only show what came of the last one.")
@click.option(
    "--timeout",
    type=Span(),
    default=_WAIT,
    show_default="15m",
    help="How long to wait for the result; 0 does not wait.",
)
@functools.partial(command)
def drill(session: Session, name: str, live: bool, last: bool, timeout: float) -> Exit:
    """Rehearse the rollback of a ClaudeDeployment: how soon harm is noticed, and how soon every gateway acts.

    Gateways fail a few requests on purpose and count them as a canary's. The operator has to notice and to take the
    traffic back, as it would from a bad revision.
    """
    if last and live:
        raise click.UsageError("--last only shows what came of the last drill: it goes without --live")
    if last:
        return _show(session, session.cluster.deployment(name))
    end = time.monotonic() + timeout
    now = dt.datetime.now(dt.UTC)
    answer = ask(session.cluster, name, lambda obj: wishes.drill(obj, now, live=live), min(timeout, _ANSWER))
    if not timeout:
        session.terminal.show({"name": name, "message": answer.message}, answer.message)
        return Exit.DONE
    number = _number(answer.obj)
    session.terminal.line(answer.message)

    def over() -> Object | None:
        obj = session.cluster.deployment(name)
        found = status_of(obj).drill
        return obj if found is None or found.running is None or found.number != number else None

    after = until(over, max(end - time.monotonic(), 0.0))
    if after is None:
        raise Failure(f"the drill has not ended in {timeout:g} s: `kubectl claude drill {name} --last`", Exit.TIMED_OUT)
    return _show(session, after, number)


def _number(obj: Object) -> int:
    found = status_of(obj).drill
    return found.number if found is not None else 0


def _show(session: Session, obj: Object, number: int | None = None) -> Exit:
    """The last drill, or the one of this number: its result is the exit code."""
    facts = drill_facts(obj, number)
    session.terminal.show(facts, drill_view(facts, dt.datetime.now(dt.UTC)))
    if facts["result"] == "Passed":
        return Exit.DONE
    return Exit.ABORTED if facts["result"] == "Aborted" else Exit.FAILED
