"""The two pages of a ledger as they are found before the next tick is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from claude_operator.api.status import MetricState
from claude_operator.core.judge.ledger.lines import read_json, write_json

__all__ = ["EARLIER", "ROLLOUT", "SIZE", "TICKS", "Pages", "found", "readable"]

TICKS, EARLIER = "ticks.jsonl", "earlier.jsonl"
SIZE = 48 * 1024
"""Bytes of a page, at most."""

ROLLOUT = ("ledger", "deployment", "revision", "attempt", "startedAt")
"""What tells one rollout from another: these keys are the first of a header."""

_DAMAGE = ValueError, TypeError, KeyError, AttributeError


class Pages(NamedTuple):
    """What is kept of them, as text."""

    earlier: str = ""
    page: str = ""
    follows: bool = False
    """Whether a replay of `page` comes to the memory that the next tick begins with."""
    foreign: bool = False
    """Whether the ledger is another rollout's."""


def readable(data: Mapping[str, str]) -> dict[str, str]:
    """A ledger that comes from elsewhere: of a page with a line that is no JSON, only the first, which tells whose."""
    damaged = {key for key in (TICKS, EARLIER) if not _is_json(data.get(key, ""))}
    return {key: text.partition("\n")[0] if key in damaged else text for key, text in data.items()}


def found(
    data: Mapping[str, str],
    *,
    head: Mapping[str, Any],
    memory: Sequence[MetricState],
    recorded: float | None,
    at: float,
) -> Pages:
    """Without what is damaged, of another rollout, or newer than `recorded`; never raises for what `data` holds.

    `head` is what the header of a page says besides the memory; the next tick is at `at` and begins with `memory`.
    """
    earlier, page = data.get(EARLIER, ""), data.get(TICKS, "")
    if recorded is not None and recorded < at and _left(earlier, page, head, memory, recorded):
        return Pages(earlier, page, follows=True)
    before, present = _page(earlier, head, recorded), _page(page, head, recorded)
    if present is None:
        foreign = bool(page.strip()) and not _same(page, head)
        return Pages(before.text if before and not foreign else "", foreign=foreign)
    follows = present.last == recorded and at > present.last and _leads_to(present.header, head, memory)
    return Pages(before.text if before else "", present.text, follows)


def _is_json(text: str) -> bool:
    try:
        return all(isinstance(read_json(line), dict) for line in text.splitlines())
    except ValueError:
        return False


def _left(earlier: str, page: str, head: Mapping[str, Any], memory: Sequence[MetricState], recorded: float) -> bool:
    """Whether both are, by their first and last lines, as they were left at `recorded`, and the next tick follows.

    What is only kept is not parsed: a tick must not cost as much as all that went before it.
    """
    start = write_json({key: head[key] for key in ROLLOUT})[:-1]
    lines = _lines(page, start)
    if not lines or (earlier and not _lines(earlier, start)):
        return False
    if not lines[-1].startswith(f'{{"t":{write_json(recorded)},"weight":'):
        return False
    header = next(line for line in reversed(lines) if line.startswith(start))
    try:
        return _leads_to(read_json(header), head, memory)
    except _DAMAGE:
        return False


def _lines(text: str, start: str) -> list[str]:
    """Of a page whose lines look as they are written here, `start` being that of headers; otherwise none."""
    *lines, rest = text.split("\n")
    if rest or not text.startswith(start) or len(text) > SIZE or not text.isascii():
        return []
    return lines if all(line.startswith(('{"t":', start)) and line.endswith("}") for line in lines) else []


class _Page(NamedTuple):
    """A page's text, its last header and the time of its last tick."""

    text: str
    header: Mapping[str, Any]
    last: float


def _page(text: str, head: Mapping[str, Any], recorded: float | None) -> _Page | None:
    """The page without what is newer than `recorded`; None where it is damaged, empty or of another rollout."""
    try:
        return _read(text, head, recorded)
    except _DAMAGE:
        return None


def _read(text: str, head: Mapping[str, Any], recorded: float | None) -> _Page | None:
    kept: list[str] = []
    header: Mapping[str, Any] = {}
    last = 0.0
    waiting: tuple[str, Mapping[str, Any]] | None = None  # a header stays only where a tick follows
    for line in text.splitlines():
        one = read_json(line)
        if "ledger" in one:
            if not _alike(one, head):
                return None
            waiting = line, one
            continue
        t = one["t"]
        if not isinstance(t, int | float) or not isinstance(one["metrics"], dict):
            return None
        if recorded is None or t > recorded:
            break
        if waiting:
            kept.append(waiting[0])
            header, waiting = waiting[1], None
        if not header:
            return None
        kept.append(line)
        last = t
    if not kept or len(text) > SIZE or not text.isascii():
        return None
    _edges(header)  # damaged ones are found here
    return _Page("\n".join([*kept, ""]), header, last)


def _leads_to(header: Mapping[str, Any], head: Mapping[str, Any], memory: Sequence[MetricState]) -> bool:
    """Whether a replay from `header` comes to `memory`, and judges as `head` says."""
    if any(header.get(key) != value for key, value in head.items()):
        return False
    edges = _edges(header)
    return all(edges.get(state.name, []) == state.edges for state in memory)


def _edges(header: Mapping[str, Any]) -> dict[str, Sequence[int]]:
    """By metric; raises one of `_DAMAGE`."""
    return {state["name"]: state.get("edges", []) for state in header["state"]}


def _alike(header: Mapping[str, Any], head: Mapping[str, Any]) -> bool:
    return all(header.get(key) == head[key] for key in ROLLOUT)


def _same(text: str, head: Mapping[str, Any]) -> bool:
    """Whether a page that cannot be used is at least of this rollout."""
    try:
        return _alike(read_json(text.split("\n", 1)[0]), head)
    except _DAMAGE:
        return False
