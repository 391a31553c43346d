"""The spend as it is stored: a JSON document in gzip, of bounded size."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import msgspec

from claude_operator.api.packing import pack
from claude_operator.core.usage.amounts import Amounts, Key
from claude_operator.core.usage.ledger import Mark, Rows, Spend, largest
from claude_operator.core.usage.packed import read_packed

__all__ = ["SIZE", "decode", "encode"]

SIZE = 96 * 1024
"""Bytes, packed."""
_LARGEST = 8 * 1024 * 1024  # bytes, unpacked

_VERSION = 1
_STEPS = (64, 32, 16, 8, 4, 1)  # rows of a day past that are kept apart where there is no room for more
_ROOM = 1.2  # times the size: what is thought to need more is not packed

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

    Where there is no room for all of it, rows are added up: first of days past, the cheapest before others; then of the
    marks, so that what comes is not kept apart. No sum changes by that.
    """
    if state.began is None:
        return b""
    data = pack(_written(state))
    a_row = len(data) / max(_size(state), 1)
    for smaller in _smaller(state):
        if len(data) <= SIZE:
            break
        if _size(smaller) * a_row <= _ROOM * SIZE:  # else it is not worth to be tried
            data = pack(_written(smaller))
    return data


def decode(data: bytes) -> Spend:
    """As it was stored; raises `ValueError`."""
    if not data:
        return Spend()
    found = read_packed(data, _Document, "spend", largest=_LARGEST)
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
    """Ever smaller ones; the last one fits whatever there is."""
    newest = max(state.days, default="")
    folded = {process: mark.folded() for process, mark in state.marks.items()}
    for marks in (state.marks, folded):
        for most in _STEPS:
            days = {day: rows if day == newest else largest(rows, most) for day, rows in state.days.items()}
            yield Spend(state.began, days, marks)
    yield Spend(state.began, {day: largest(rows, 1) for day, rows in state.days.items()}, folded)


def _size(state: Spend) -> int:
    """Its rows."""
    return sum(map(len, state.days.values())) + sum(len(mark.rows) for mark in state.marks.values())


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
