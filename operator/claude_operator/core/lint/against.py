"""What an edit of a ClaudeDeployment does to what is cached, told for its own request and for each subagent's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from claude_operator.api.base import seconds
from claude_operator.api.deployment import Canary
from claude_operator.core.catalogue.checks.check import CHECKS, check_asked
from claude_operator.core.catalogue.checks.row import Asked
from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.catalogue.lifecycle import NO_MODELS
from claude_operator.core.catalogue.table import Model
from claude_operator.core.lint.edit import Rewrite, find_rewrite
from claude_operator.core.lint.finding import Fault, Level
from claude_operator.core.lint.messages import split_message
from claude_operator.core.lint.prefix import Prompts, fields_of, served_requests
from claude_operator.core.lint.price import NO_SESSIONS, Bill, Sessions, bill_of, sentence
from claude_operator.core.text import duration

__all__ = ["Edit", "Side", "beside_faults", "edit_faults", "edits_of", "keeping"]

_REWRITE = "cache-rewrite"
_BESIDE = frozenset(check.id for check in CHECKS if check.where == "rollout") - {"cold-cache"}


@dataclass(frozen=True, slots=True)
class Side:
    """One side of an edit: a spec, of a ClaudeDeployment or a ClaudeRevision, and the texts of its promptFrom."""

    spec: Mapping[str, Any]
    prompts: Prompts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edit:
    """What one request writes again, and what that costs."""

    rewrite: Rewrite
    bill: Bill
    sessions: Sessions

    @property
    def sentence(self) -> str:
        """Whose it is, what is written again, and what it costs."""
        said = sentence(self.rewrite, self.bill, self.sessions)
        return f"subagent {self.rewrite.name}: {said}" if self.rewrite.name else said


def edits_of(
    old: Side,
    new: Side,
    sessions: Sessions = NO_SESSIONS,
    *,
    models: Mapping[str, Model] = NO_MODELS,
    book: Book = LIST_PRICES,
) -> list[Edit]:
    """What an edit does, for each request that both sides have. Empty where every cached prefix stays as it is.

    How many sessions call a subagent, and what they have cached, is not measured apart: of it nothing is multiplied.
    """
    before = {served.name: served for served in served_requests(old.spec, old.prompts, models)}
    merges = (fields_of(old.spec.get("overrides")), fields_of(new.spec.get("overrides")))
    found = []
    for served in served_requests(new.spec, new.prompts, models):
        earlier = before.get(served.name)
        rewrite = find_rewrite(earlier, served, merges) if earlier is not None else None
        if rewrite is not None:
            reached = NO_SESSIONS if served.name else sessions
            found.append(Edit(rewrite, bill_of(rewrite, served, reached, book), reached))
    return found


def beside_faults(old: Side, new: Side, today: dt.date, *, models: Mapping[str, Model] = NO_MODELS) -> Iterator[Fault]:
    """Checks of the table that need both sides; what an edit does to the cache is told by `edits_of`."""
    before = {served.name: served for served in served_requests(old.spec, old.prompts, models)}
    for served in served_requests(new.spec, new.prompts, models):
        earlier = before.get(served.name)
        if earlier is None or (served.name and "model" not in served.own):
            continue
        was = Asked(earlier.model, earlier.request, today)
        for one in check_asked(Asked(served.model, served.request, today, before=was)):
            if one.check_id in _BESIDE:
                yield Fault(one.check_id, Level.WARNING, served.path(one.path), split_message(one.message)[1])


def edit_faults(edits: Sequence[Edit]) -> list[Fault]:
    """The same as notes, at the first place of each that has changed."""
    return [
        Fault(_REWRITE, Level.NOTE, edit.rewrite.changes[0].path, f"{edit.rewrite.changes[0].what}; {edit.sentence}")
        for edit in edits
    ]


def keeping(spec: Mapping[str, Any]) -> str:
    """How long conversations stay on the revision that they began on, empty where they do not."""
    unit = fields_of(spec.get("assignment")).get("unit") or "Conversation"
    canary = fields_of(fields_of(spec.get("strategy")).get("canary"))
    age = fields_of(canary.get("drain")).get("maxAge") or Canary().drain_age
    try:
        lasts = seconds(str(age)) if unit == "Conversation" else 0.0
    except ValueError:
        lasts = 0.0
    if not lasts:
        return ""
    return (
        f"conversations stay on the revision that they began on for {duration(lasts)} after the promotion"
        " (strategy.canary.drain), and those that have ended by then pay nothing"
    )
