"""The CSV files that the Console exports from its pages Usage and Cost, in the columns of today and of earlier years.

Both have a row for each day, API key, model and kind of use. Usage tells tokens and the id of the model; Cost tells US
dollars and the model's name for people. Columns that we do not use may be missing, more, or in another order.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from claude_operator.core.audit.keys import KeyUse, sum_known

__all__ = ["Export", "in_days", "merge", "newest_day", "read_export"]

Kind = Literal["usage", "cost"]

_DAY, _KEY, _WORKSPACE = "usage_date_utc", "api_key", "workspace"
_TOKENS = (
    "usage_input_tokens_no_cache",
    "usage_input_tokens_cache_write",  # until caches of an hour came
    "usage_input_tokens_cache_write_5m",
    "usage_input_tokens_cache_write_1h",
    "usage_input_tokens_cache_read",
    "usage_output_tokens",
)
_USAGE = frozenset({_DAY, "model_version", _KEY, "usage_output_tokens"})
_COST = frozenset({_DAY, "model", _KEY, "cost_usd"})
_HOW = "export it again in the Console: Usage or Cost, then Export"
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_DELIMITERS = ",;\t"
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?=$|[T ])", re.ASCII)
_WHOLE = re.compile(r"\d{1,18}(\.0)?", re.ASCII)
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+", re.ASCII)
_SHOWN = 60


class _Place(NamedTuple):
    day: dt.date
    model: str  # as the file calls it
    key: str
    key_id: str
    workspace: str


class _Sums(NamedTuple):
    tokens: int | None = None
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """One file. `rows`: sums by day, model, key and workspace."""

    kind: Kind
    rows: Mapping[_Place, _Sums]
    archived: frozenset[str] = frozenset()
    """Keys that the Console says are not active any more, by id or name."""


def read_export(data: bytes) -> Export:
    """A file of either kind; raises `ValueError` with the line that is wrong and what to do."""
    lines = _rows(_text(data))
    _, heading = next(lines, (1, []))
    columns = {name.strip().strip('"').lower(): number for number, name in enumerate(heading)}
    kind = _kind(columns)
    rows: dict[_Place, _Sums] = {}
    archived: set[str] = set()
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(heading):
            cause = "the file may be cut short, or was saved by another program"
            raise ValueError(f"line {line} has {len(cells)} cells where {len(heading)} are expected: {cause}; {_HOW}")
        row = {name: cells[number].strip() for name, number in columns.items()}
        try:
            place, sums = _read(row, kind)
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from None
        if place is None:
            continue
        rows[place] = _plus(rows.get(place, _Sums()), sums)
        if row.get("api_key_status") and row["api_key_status"].lower() != "active":
            archived.add(place.key_id or place.key)
    return Export(kind, rows, frozenset(archived))


def merge(exports: Sequence[Export], find_id: Callable[[str], str] = str, since: dt.date | None = None) -> list[KeyUse]:
    """What keys used from this day on, by key, workspace and model. A day that two files tell of counts once.

    `find_id` gives the id of a model by what a file calls it.
    """
    days: dict[_Place, _Sums] = {}
    archived = frozenset[str]().union(*(one.archived for one in exports))
    ids = _ids(place for export in exports for place in export.rows)
    for export in exports:
        in_file: dict[_Place, _Sums] = {}
        for told, sums in export.rows.items():
            key_id = told.key_id or ids.get((told.key, told.workspace), "")
            place = told._replace(model=find_id(told.model), key_id=key_id)
            in_file[place] = _plus(in_file.get(place, _Sums()), sums)
        for place, sums in in_file.items():
            days[place] = _larger(days.get(place, _Sums()), sums)
    found: dict[tuple[str, str, str, str], tuple[_Sums, dt.date, dt.date]] = {}
    for place, sums in days.items():
        if since is not None and place.day < since:
            continue
        group = (place.model, place.key, place.key_id, place.workspace)
        before, first, last = found.get(group, (_Sums(), place.day, place.day))
        found[group] = _plus(before, sums), min(first, place.day), max(last, place.day)
    return [
        KeyUse(model, key_id, key, workspace, sums.tokens, sums.usd, first, last, "csv",
               archived=bool({key_id or key, key} & archived))
        for (model, key, key_id, workspace), (sums, first, last) in found.items()
    ]  # fmt: skip


def newest_day(exports: Iterable[Export]) -> dt.date | None:
    """The last day that any of them knows; None where there are no rows."""
    return max((place.day for one in exports for place in one.rows), default=None)


def in_days(exports: Iterable[Export], days: int) -> dt.date | None:
    """The first of so many days, counted back from the newest one that the files know."""
    newest = newest_day(exports)
    return None if newest is None else newest - dt.timedelta(days=days - 1)


def _text(data: bytes) -> str:
    encoding = _ENCODINGS.get(data[:2], "utf-8-sig")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(f"is not text in UTF-8: {_HOW}, and do not save it with another program") from None


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows with the number of the line that each of them ends on."""
    first = text[: text.find("\n")] if "\n" in text else text
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} is not CSV ({error}): {_HOW}") from None


def _kind(columns: Mapping[str, int]) -> Kind:
    if columns.keys() >= _USAGE:
        return "usage"
    if columns.keys() >= _COST:
        return "cost"
    wanted, other = (_COST, "Cost") if "cost_usd" in columns else (_USAGE, "Usage")
    lacking = ", ".join(sorted(wanted - columns.keys()))
    raise ValueError(
        f"is no export of the Console's page {other}: its first line has no column {lacking}; {_HOW}, with all API keys"
    )


def _read(row: Mapping[str, str], kind: Kind) -> tuple[_Place | None, _Sums]:
    """A row; no place where it is of no model, as a cost of web searches may be."""
    name = row["model_version" if kind == "usage" else "model"]
    day = _date(row[_DAY])
    sums = _Sums(tokens=_count(row)) if kind == "usage" else _Sums(usd=_dollars(row["cost_usd"]))
    if not name:
        return None, sums
    return _Place(day, name, row[_KEY], row.get("api_key_id", ""), row.get(_WORKSPACE, "")), sums


def _date(text: str) -> dt.date:
    try:
        if _ISO.match(text):
            return dt.date.fromisoformat(text[:10])
    except ValueError:
        pass
    said = f"{_DAY} is {_quoted(text)}, which is not a date such as 2026-11-30"
    raise ValueError(f"{said}; {_HOW}, and do not save it with another program")


def _count(row: Mapping[str, str]) -> int:
    total = 0
    for name in _TOKENS:
        text = row.get(name, "")
        if text and not _WHOLE.fullmatch(text) and not _THOUSANDS.fullmatch(text):
            raise ValueError(f"{name} is {_quoted(text)}, which is not a number of tokens; {_HOW}")
        total += int(text.partition(".")[0].replace(",", "")) if text else 0
    return total


def _dollars(text: str) -> float:
    try:
        usd = float(text) if text else 0.0
    except ValueError:
        usd = math.nan
    if not math.isfinite(usd):
        raise ValueError(f"cost_usd is {_quoted(text)}, which is not a number of US dollars; {_HOW}")
    return usd


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _plus(one: _Sums, other: _Sums) -> _Sums:
    return _Sums(sum_known(one.tokens, other.tokens), sum_known(one.usd, other.usd))


def _larger(one: _Sums, other: _Sums) -> _Sums:
    tokens = [each.tokens for each in (one, other) if each.tokens is not None]
    dollars = [each.usd for each in (one, other) if each.usd is not None]
    return _Sums(max(tokens, default=None), max(dollars, default=None))


def _ids(places: Iterable[_Place]) -> dict[tuple[str, str], str]:
    """The id of a key by its name and workspace, where a file tells exactly one."""
    told: dict[tuple[str, str], set[str]] = {}
    for place in places:
        if place.key_id:
            told.setdefault((place.key, place.workspace), set()).add(place.key_id)
    return {names: next(iter(ids)) for names, ids in told.items() if len(ids) == 1}
