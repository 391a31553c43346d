"""Annotations by which a person asks for something: what they say, and that they were dealt with."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Literal

from claude_operator.api.base import GROUP
from claude_operator.api.conditions import Reason
from claude_operator.api.status import Rollout
from claude_operator.core.reconcile import ownership
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.observation import BY

__all__ = ["ABORT", "DRILL", "PROMOTE", "RETRY", "ask", "asked_by", "handled_entry", "ignore", "promotion"]

ABORT = f"{GROUP}/abort"
PROMOTE = f"{GROUP}/promote"
RETRY = f"{GROUP}/retry"
DRILL = f"{GROUP}/drill"

_LONGEST = 128  # characters of a value that can mean something
_QUOTED = 64


def ask(draft: Draft, annotation: str) -> str | None:
    """The value of an annotation that nothing has come of yet."""
    value = draft.obs.annotations.get(annotation)
    return value if value and not draft.has_handled(handled_entry(annotation, value)) else None


def asked_by(draft: Draft, annotation: str) -> str:
    """Who wrote an annotation that nothing has come of yet, and when: as far as the API server knows.

    The user where admission checks that name, and the annotation is the only one that it can be about; else the
    program, as it calls itself.
    """
    obs = draft.obs
    entry = ownership.annotated_by(obs.owner, annotation) or {}
    pending = [one for one in (ABORT, PROMOTE, RETRY, DRILL) if ask(draft, one)]
    user = obs.annotations.get(BY, "") if obs.audited and pending == [annotation] else ""
    who = "".join(char if char.isprintable() else "?" for char in user or str(entry.get("manager") or ""))
    if not who:
        return "by annotation"
    clock = re.search(r"T(\d\d:\d\d:\d\dZ)$", str(entry.get("time") or ""))
    return f"by {who[:_QUOTED]}" + (f" at {clock[1]}" if clock else "")


def handled_entry(annotation: str, value: str) -> str:
    """How status remembers it: what is longer than a name of a revision or step can be, by its hash."""
    known = value if len(value) <= _LONGEST else f"sha256:{sha256(value.encode('utf-8', 'replace')).hexdigest()}"
    return f"{annotation.partition('/')[2]}={known}"


def ignore(draft: Draft, annotation: str, value: str, present: str) -> Draft:
    """Say once that an annotation names something else than what there is."""
    shown = value if len(value) <= _LONGEST else f"{value[:_QUOTED]}… ({len(value):,} characters)"
    note = f"{annotation}: {shown} does nothing: {present}"
    return draft.handle(handled_entry(annotation, value)).record_event(Reason.ANNOTATION_IGNORED, note, warning=True)


def promotion(rollout: Rollout, what: int | Literal["full"]) -> str:
    """What `promote` has to say to end a step of this attempt, or all that is left of its steps."""
    return f"{rollout.trial}/{what}"
