"""`checklist`: what is open before a canary gets its first weight, and a person's word on an item."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

import click

from claude_operator.api.base import API_VERSION
from claude_operator.cli.cluster import Cluster
from claude_operator.cli.failure import Exit, Failure
from claude_operator.cli.options import Session, command, deployment
from claude_operator.cli.view.checklist import checklist_facts, checklist_view
from claude_operator.core.checklist.items import BY_ID
from claude_operator.core.checklist.signatures import LONGEST, content_hash

__all__ = ["checklist", "expiry"]

_EPILOG = """
It exits with 0 where every item has passed, is signed or does not apply, and with 1 otherwise.
"""


@click.command(short_help="Show the rollout checklist, or sign an item of it.", epilog=_EPILOG)
@deployment()
@click.argument("action", required=False, type=click.Choice(["sign"]), metavar="[sign")
@click.argument("item", required=False, metavar="ITEM]")
@click.option("--reason", metavar="TEXT", help="With sign: why, for those who read it later.")
@click.option("--until", metavar="DAYS|DATE", help="With sign: when it ends, such as 90d or 2027-03-01.")
@click.option("--not-applicable", is_flag=True, help="With sign: the item does not apply here.")
@command
def checklist(
    session: Session,
    name: str,
    action: str | None,
    item: str | None,
    reason: str | None,
    until: str | None,
    not_applicable: bool,
) -> Exit:
    """Show each item of the rollout checklist with how to fulfil it, or sign one in your own name.

    A signature is for the revision that the checklist is about now, and for no other.
    """
    obj = session.cluster.deployment(name)
    facts = checklist_facts(obj)
    if action is None:
        if reason or until or not_applicable:
            raise click.UsageError("--reason, --until and --not-applicable go with: sign ITEM")
        session.terminal.show(facts, checklist_view(facts))
        return Exit.DONE if facts["passed"] else Exit.FAILED
    if item is None or not reason or not until:
        raise click.UsageError("write: sign ITEM --until 90d --reason WHY")
    body = _signature(session.cluster, facts, item, reason, expiry(until, dt.datetime.now(dt.UTC)), not_applicable)
    made = session.cluster.kubectl.create(body)
    spec = made["spec"]
    what = "does not apply to" if not_applicable else "is signed for"
    said = f"{item} {what} {spec['revision']} by {spec['signedBy']}, until {spec['expiresAt'][:10]}"
    session.terminal.show({"signature": made["metadata"]["name"], **spec}, said)
    return Exit.DONE


def expiry(until: str, now: dt.datetime) -> dt.datetime:
    """When a signature ends: so many days from now, or at the end of a day (UTC). A year is the most."""
    days = until.removesuffix("d")
    if days != until and days.isascii() and days.isdecimal() and 1 <= int(days[:9]) <= LONGEST.days:
        return (now + dt.timedelta(days=int(days))).replace(microsecond=0)
    try:
        end = dt.datetime.combine(dt.date.fromisoformat(until), dt.time(23, 59, 59), dt.UTC)
    except ValueError:
        raise Failure(f"{until!r} is not a number of days up to {LONGEST.days} or a date; use e.g. 90d") from None
    if not now < end <= now + LONGEST:
        raise Failure(f"{until} is not between today and a year from now; use e.g. 90d")
    return end


def _signature(
    cluster: Cluster, facts: dict[str, Any], item: str, reason: str, expires: dt.datetime, not_applicable: bool
) -> dict[str, Any]:
    """The object; it goes when its revision goes."""
    known = [one["id"] for one in facts["items"]]
    if facts["revision"] is None or item not in known:
        raise Failure(f"there is no item {item!r} to sign; the items are: {', '.join(known) or 'not known yet'}")
    if not not_applicable and item in BY_ID and BY_ID[item].decided_by != "signature":
        raise Failure(
            f"{item} is read from the system, so nobody can sign that it has passed; if it does not apply, add"
            " --not-applicable"
        )
    user = cluster.kubectl.whoami()
    if not user:
        raise Failure("the API server does not tell your user name: `kubectl auth whoami` has to work")
    revision = cluster.revision(facts["revision"])
    metadata = revision["metadata"]
    owner = {"apiVersion": API_VERSION, "kind": "ClaudeRevision", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": API_VERSION,
        "kind": "ClaudeSignature",
        "metadata": {
            "name": f"{metadata['name']}-{item}-{secrets.token_hex(3)}",
            "namespace": facts["namespace"],
            "ownerReferences": [owner],
        },
        "spec": {
            "deployment": facts["name"],
            "item": item,
            "revision": metadata["name"],
            "contentHash": content_hash(revision["spec"]),
            "decision": "NotApplicable" if not_applicable else "Passed",
            "reason": reason,
            "signedBy": user,
            "expiresAt": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }
