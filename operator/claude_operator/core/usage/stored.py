"""The spend as it is stored: a JSON document in gzip, of bounded size."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import msgspec

from claude_operator.api.faults import decode as read_json
from claude_operator.api.packing import pack, unpack
from claude_operator.core.usage.amounts import Amounts, Key
from claude_operator.core.usage.ledger import Mark, Rows, Spend, largest

__all__ = ["SIZE", "decode", "encode"]

SIZE = 96 * 1024
"""Bytes, packed."""
_LARGEST = 8 * 1024 * 1024  # bytes, unpacked

_VERSION = 1
_STEPS = (32, 16, 8, 4, 1)  # rows of a day that are kept apart where there is no room for more

Row = tuple[int, ...]
"""Number of the key, and the amounts."""


class _Mark(msgspec.Struct, frozen=True, array_like=True):
    pod: str
    boot: str
    whole: bool
    gone: dt.datetime | None
    rows: list[Row]


class _Document(msgspec.Struct, frozen=True):
    version: int
    began: dt.datetime | None
    keys: list[Key]
    days: dict[str, list[Row]]
    marks: list[_Mark]


def encode(state: Spend) -> bytes:
    """As it is stored, empty for nothing.

    Where there is no room for all of it, rows are added up: first of days past, the oldest and cheapest before others,
    then of today and of the marks. No sum changes by that.
    """
    if state.began is None:
        return b""
    for smaller in _smaller(state):
        data = pack(_written(smaller))
        if len(data) <= SIZE:
            break
    return data


def decode(data: bytes) -> Spend:
    """As it was stored; raises `ValueError`."""
    if not data:
        return Spend()
    try:
        text = unpack(data, _LARGEST)
    except ValueError as error:
        raise ValueError(f"spend: {error}") from error
    found = read_json(text, _Document, "spend")
    if found.version != _VERSION:
        raise ValueError(f"spend: it is of version {found.version}, and this operator reads {_VERSION}")
    keys = found.keys
    try:
        days = {dt.date.fromisoformat(day).isoformat(): _rows(rows, keys) for day, rows in found.days.items()}
        marks = {(one.pod, one.boot): Mark(_rows(one.rows, keys), one.whole, one.gone) for one in found.marks}
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(f"spend: {error}") from error
    if any(moment is not None and moment.tzinfo is None for moment in (found.began, *(m.gone for m in marks.values()))):
        raise ValueError("spend: a time has no zone")
    return Spend(found.began, days, marks)


def _smaller(state: Spend) -> Iterable[Spend]:
    """The state itself, then ever smaller ones."""
    yield state
    newest = max(state.days, default="")
    for most in _STEPS:
        days = {day: rows if day == newest else largest(rows, most) for day, rows in state.days.items()}
        yield Spend(state.began, days, state.marks)
    days = {day: largest(rows, 1) for day, rows in state.days.items()}
    yield Spend(state.began, days, {process: mark.folded() for process, mark in state.marks.items()})


def _written(state: Spend) -> bytes:
    numbers: dict[Key, int] = {}

    def rows(found: Rows) -> list[Row]:
        return [(numbers.setdefault(key, len(numbers)), *amounts) for key, amounts in found.items()]

    days = {day: rows(found) for day, found in sorted(state.days.items())}
    marks = [
        _Mark(pod, boot, mark.whole, mark.gone, rows(mark.rows)) for (pod, boot), mark in sorted(state.marks.items())
    ]
    return msgspec.json.encode(_Document(_VERSION, state.began, list(numbers), days, marks))


def _rows(found: Iterable[Row], keys: list[Key]) -> Mapping[Key, Amounts]:
    rows = {}
    for number, *amounts in found:
        if number < 0 or min(amounts) < 0:
            raise ValueError("a number is negative")
        rows[keys[number]] = Amounts(*amounts)
    return rows
