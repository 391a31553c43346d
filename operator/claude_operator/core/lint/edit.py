"""What an edit of a request does to what the prompt cache has of it: from where on it is written again.

The API keeps exact prefixes in the order tools, system, messages. A change of the model or of a tool leaves nothing of
them, one of a system block what stands before it, and one of `thinking` or `tool_choice` all but the conversation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from claude_operator.core.catalogue.tokens import characters_per_token, has_newer_tokenizer
from claude_operator.core.lint.finding import Path
from claude_operator.core.lint.prefix import Part, Served

__all__ = ["Change", "Reach", "Rewrite", "find_rewrite"]

_LOOKBACK = 20  # blocks before a breakpoint at which the API looks for an entry
_OF_TOOLS = ("mcp_servers",)
_OF_SYSTEM = ("speed",)
_OF_MESSAGES = ("tool_choice", "thinking", "output_config")
_MERGES = ("tools", "system")


class Reach(IntEnum):
    """From where on nothing is read any more."""

    ALL = 0
    SYSTEM = 1
    """From a system block on."""
    MESSAGES = 2
    """The conversation alone."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference that the cache notices: where it is written, and in words."""

    reach: Reach
    path: Path
    what: str
    place: int | None = None
    """The first system block that differs."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What the first request of each live session writes again after an edit."""

    name: str
    """The subagent; empty for the application's own request."""
    model: str
    changes: tuple[Change, ...]
    """The furthest reaching first."""
    once: int
    """Tokens of tools and system that are written once, since a breakpoint behind them lets all sessions read them."""
    each: int
    """Tokens of tools and system that every session writes again; its conversation comes on top."""
    spared: int
    """Of what a session has in the cache: tokens that it does not write again itself."""
    listed: int
    """All of tools and system, before the edit: what is cached beyond them is the conversation."""
    is_marked: bool
    """Whether the request sets a breakpoint itself, before or after the edit; clients may set some of their own."""
    ttl: str
    """How long the entries live that are written; empty where the request sets no breakpoint."""
    growth: float
    """Tokens of the same text after the edit to those before it: another tokenizer counts others."""
    is_partial: bool
    """Whether texts of promptFrom are not known, so that the tokens are too few."""

    @property
    def reach(self) -> Reach:
        """From where on nothing is read any more."""
        return self.changes[0].reach


def find_rewrite(
    old: Served, new: Served, overrides: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
) -> Rewrite | None:
    """What an edit makes the API write again; None where every cached prefix stays as it is."""
    changes = sorted([*_changes(old, new), *_merges(*overrides)], key=lambda change: change.reach)
    if not changes:
        return None
    kept, all_tokens = _kept(old, new, changes), new.tokens()
    is_shared = changes[0].reach is not Reach.MESSAGES and new.marked_tokens >= max(new.minimum, 1)
    tail = all_tokens - new.marked_tokens
    return Rewrite(
        name=new.name,
        model=new.model_id,
        changes=tuple(changes),
        once=max(new.marked_tokens - kept, 0) if is_shared else 0,
        each=tail if is_shared else max(all_tokens - kept, 0),
        spared=max(old.tokens() - tail, 0) if is_shared else kept,
        listed=old.tokens(),
        is_marked=any(one.automatic or one.marked_tokens >= max(one.minimum, 1) for one in (old, new)),
        ttl=_ttl(new),
        growth=characters_per_token(old.model) / characters_per_token(new.model),
        is_partial=old.unknown or new.unknown,
    )


def _changes(old: Served, new: Served) -> Iterator[Change]:
    if old.model_id != new.model_id and (old.model is None or old.model != new.model):
        other = has_newer_tokenizer(old.model) != has_newer_tokenizer(new.model)
        more = ", which counts other tokens for the same text" if other else ""
        said = f"model {old.model_id} → {new.model_id}{more}: the cache of a model is its own"
        yield Change(Reach.ALL, new.path(("model",)), said)
    tools = _different(_of(old, "tools"), _of(new, "tools"))
    if tools is not None:
        yield Change(Reach.ALL, _named(new, "tools", tools), _tools_said(old, new))
    for name in _OF_TOOLS:
        if old.request.get(name) != new.request.get(name):
            yield Change(Reach.ALL, new.path((name,)), f"{name} changes, and its tools stand before all else")
    for name in _OF_SYSTEM:
        if old.request.get(name) != new.request.get(name):
            yield Change(Reach.SYSTEM, new.path((name,)), f"{name} changes", 0)
    system = _different(_of(old, "system"), _of(new, "system"))
    if system is not None:
        yield Change(Reach.SYSTEM, _named(new, "system", system), _system_said(old, new, system), system)
    for name in _OF_MESSAGES:
        if old.request.get(name) != new.request.get(name):
            yield Change(
                Reach.MESSAGES,
                new.path((name,)),
                f"{name} changes: what a breakpoint behind tools and system covers stays cached",
            )


def _merges(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in _MERGES:
        before, after = old.get(name) or "Replace", new.get(name) or "Replace"
        if before != after:
            reach = Reach.ALL if name == "tools" else Reach.SYSTEM
            said = f"overrides.{name} {before} → {after}: what clients send stands elsewhere"
            yield Change(reach, ("spec", "overrides", name), said, 0)


def _kept(old: Served, new: Served, changes: Iterable[Change]) -> int:
    """Tokens of tools and system that an entry of before still covers, and a breakpoint of now finds."""
    first = min(change.reach for change in changes)
    if first is Reach.ALL:
        return 0
    places = [change.place for change in changes if change.reach is Reach.SYSTEM and change.place is not None]
    tools = len(_of(old, "tools"))
    end = tools + min(places) if first is Reach.SYSTEM else len(old.parts)
    found = [
        old.tokens(mark + 1)
        for mark in old.marks
        if mark < end and old.tokens(mark + 1) >= old.minimum and any(0 <= at - mark <= _LOOKBACK for at in new.marks)
    ]
    return max(found, default=0)


def _ttl(new: Served) -> str:
    ttls = [part.ttl for part in new.parts if part.ttl]
    return "1h" if "1h" in [*ttls, new.automatic] else (ttls[-1] if ttls else new.automatic or "")


def _of(served: Served, where: str) -> list[Part]:
    return [part for part in served.parts if part.where == where]


def _different(old: list[Part], new: list[Part]) -> int | None:
    """The place of the first part that differs; None where both are the same."""
    for number, (one, other) in enumerate(zip(old, new, strict=False)):
        if one.plain != other.plain:
            return number
    return None if len(old) == len(new) else min(len(old), len(new))


def _named(new: Served, where: str, place: int) -> Path:
    """Where a part is written; the list where it has gone."""
    return new.path((where, place)) if place < len(_of(new, where)) else new.path((where,))


def _tools_said(old: Served, new: Served) -> str:
    before, after = ([part.plain for part in _of(one, "tools")] for one in (old, new))
    if sorted(before) == sorted(after):
        return "tools stand in another order, and the cache takes them for others: keep the order"
    gone, came = len(set(before) - set(after)), len(set(after) - set(before))
    told = [f"{number} {word}" for number, word in ((came, "new or changed"), (gone, "gone or as before")) if number]
    return f"tools change ({', '.join(told)}), and they stand before all else"


def _system_said(old: Served, new: Served, place: int) -> str:
    before, after = len(_of(old, "system")), len(_of(new, "system"))
    if place >= before:
        return "a system block is added at the end" if after == before + 1 else "system blocks are added at the end"
    if place >= after:
        return "the last system block is removed" if after == before - 1 else "the last system blocks are removed"
    return f"system block {place + 1} of {after} changes"
