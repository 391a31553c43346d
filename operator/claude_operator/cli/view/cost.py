"""What calls cost: sums over ClaudeDeployments and days, and what is not in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from claude_operator.cli.failure import Failure
from claude_operator.cli.usage import Used
from claude_operator.cli.view.paint import table, visible
from claude_operator.core.text import count, minute, share
from claude_operator.core.usage.amounts import NOTHING, Amounts, Key, total
from claude_operator.core.usage.figures import dollars, figures
from claude_operator.core.usage.ledger import DAYS

__all__ = ["BY", "Question", "cost_facts", "cost_rows", "cost_view", "first_day"]

Facts = dict[str, Any]

BY = ("deployment", "namespace", "surface", "subagent", "model", "revision", "day")
"""What costs are told apart by; and `label:KEY`."""
_LABEL = "label:"
_PLACES = {"deployment": ("namespace", "name"), "revision": ("namespace", "revision")}
_NONE = "(none)"
_FIRST_READING = dt.timedelta(minutes=10)  # after a ClaudeDeployment is made, its record begins
_STALE = dt.timedelta(hours=1)  # without other figures
_AMOUNTS = {
    "calls": "calls",
    "unpricedCalls": "unpriced",
    "inputTokens": "input",
    "cacheReadTokens": "cache_read",
    "cacheWrite5mTokens": "cache_write_5m",
    "cacheWrite1hTokens": "cache_write_1h",
    "outputTokens": "output",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: sums by what, from which day on, and what day and time it is."""

    by: str
    since: dt.date
    now: dt.datetime

    @property
    def places(self) -> tuple[str, ...]:
        """The columns that tell rows apart."""
        return _PLACES.get(self.by, (self.by.removeprefix(_LABEL),))


def first_day(since: str | None, now: dt.datetime) -> dt.date:
    """The first day of `--since`: a date, or how many days with today; without it the first of the month, UTC."""
    today = now.astimezone(dt.UTC).date()
    if since is None:
        return today.replace(day=1)
    days = since.removesuffix("d")
    if days != since and days.isascii() and days.isdecimal() and int(days[:9]) >= 1:
        return today - dt.timedelta(days=min(int(days[:9]), 10 * DAYS) - 1)
    try:
        return dt.date.fromisoformat(since)
    except ValueError:
        raise Failure(f"{since!r} is not a number of days or a date; use e.g. 7d or {today.isoformat()}") from None


def cost_facts(used: Sequence[Used], question: Question) -> Facts:
    """What the view shows, and what `--output json` prints."""
    sums: dict[tuple[str, ...], Amounts] = {}
    for one in used:
        for place, amounts in _spent(one, question):
            sums[place] = sums.get(place, NOTHING).plus(amounts)
    ranked = sorted(sums, key=lambda place: place if question.by == "day" else (-sums[place].nano, place))
    known = [one for one in used if one.kept is not None]
    forecasts = [figures(one.kept.spend, question.now).forecast for one in known if one.kept is not None]
    told = [usd for usd in forecasts if usd is not None]
    return {
        "by": question.by,
        "since": question.since.isoformat(),
        "until": question.now.astimezone(dt.UTC).date().isoformat(),
        "rows": [dict(zip(question.places, place, strict=True)) | _written(sums[place]) for place in ranked],
        "total": _written(total(sums.values())),
        "forecast": {"costUSD": _usd(sum(told)) if told else None, "deployments": len(told), "of": len(used)},
        "unknown": [
            {"namespace": one.namespace, "name": one.name, "why": one.blind} for one in used if one.kept is None
        ],
        "notes": [note for one in known for note in _notes(one, question)],
    }


def cost_view(facts: Facts, question: Question) -> RenderableType:
    """The facts for a person."""
    facts = visible(facts)
    places = [place.upper() for place in question.places]
    made = table(*places, "CALLS", "INPUT", "CACHED", "OUTPUT", "UNPRICED", "COST")
    for column in made.columns[len(question.places) :]:
        column.justify = "right"
        column.no_wrap = True
    for row in facts["rows"]:
        made.add_row(*(row[place] for place in question.places), *_cells(row))
    if question.by == "deployment":
        for one in facts["unknown"]:
            made.add_row(one["namespace"], one["name"], *[""] * 5, Text("unknown", style="yellow"))
    if len(facts["rows"]) != 1:
        made.add_row("total", *[""] * (len(question.places) - 1), *_cells(facts["total"]), style="bold")
    lines: list[RenderableType] = [Text(f"{facts['since']} to {facts['until']}, days in UTC"), Text(), made]
    forecast = facts["forecast"]
    if forecast["costUSD"] is not None:
        part = (
            ""
            if forecast["deployments"] == forecast["of"]
            else f", of {forecast['deployments']} of {forecast['of']} ClaudeDeployments"
        )
        lines += [Text(), Text(f"forecast for {question.now:%B}{part}: {dollars(forecast['costUSD'])}")]
    warnings = [*_blind(facts), *facts["notes"]]
    if warnings:
        lines += [Text(), *(Text(one, style="yellow") for one in warnings)]
    return Group(*lines)


def cost_rows(facts: Facts, question: Question) -> tuple[list[str], list[list[object]]]:
    """The facts as CSV: headings and rows. A cost that is not known is empty."""
    headings = [*question.places, *_AMOUNTS, "costUSD"]
    rows = [[row[name] for name in headings] for row in facts["rows"]]
    if question.by == "deployment":
        rows += [[one["namespace"], one["name"], *[""] * (len(headings) - 2)] for one in facts["unknown"]]
    return headings, rows


def _spent(one: Used, question: Question) -> Iterator[tuple[tuple[str, ...], Amounts]]:
    """Each row of one that counts, and where it counts."""
    first, last = question.since.isoformat(), question.now.astimezone(dt.UTC).date().isoformat()
    if one.kept is None:
        return
    if question.by == "deployment":  # also one without calls
        yield (one.namespace, one.name), NOTHING
    for day, rows in one.kept.spend.days.items():
        if first <= day <= last:
            for key, amounts in rows.items():
                yield _place(one, day, key, question.by), amounts


def _place(one: Used, day: str, key: Key, by: str) -> tuple[str, ...]:
    if by.startswith(_LABEL):
        return (one.labels.get(by.removeprefix(_LABEL)) or _NONE,)
    found: dict[str, tuple[str, ...]] = {
        "deployment": (one.namespace, one.name),
        "namespace": (one.namespace,),
        "surface": (key.surface,),
        "subagent": (key.subagent or _NONE,),
        "model": (key.model,),
        "revision": (one.namespace, key.revision),
        "day": (day,),
    }
    return found[by]


def _notes(one: Used, question: Question) -> Iterator[str]:
    """What the sums of one leave out."""
    spend = one.kept.spend if one.kept else None
    where = f"{one.namespace}/{one.name}"
    if spend is not None and spend.began is not None and _is_late(one, spend.began, question):
        yield f"{where}: recorded since {minute(spend.began)}; what was before is unknown"
    if one.note:
        yield f"{where}: {one.note}"
    if one.read_at is not None and question.now - one.read_at > _STALE:
        yield (
            f"{where}: as of {minute(one.read_at)}; since then nothing was counted, or the operator is away, and then"
            " what calls cost meanwhile is unknown"
        )
    read, _, pods = one.read.partition(" of ")
    if pods and read != pods:
        yield f"{where}: read {one.read} gateways; what the others have counted is missing until they answer"
    if (question.now.astimezone(dt.UTC).date() - question.since).days >= DAYS:
        yield f"{where}: {DAYS} days are kept; what was before is unknown"


def _is_late(one: Used, began: dt.datetime, question: Question) -> bool:
    """Whether calls may have come in the days that are asked for, before the record began."""
    asked = dt.datetime.combine(question.since, dt.time(), dt.UTC)
    return began > max(asked, (one.created or asked) + _FIRST_READING)


def _blind(facts: Facts) -> Iterator[str]:
    unpriced = facts["total"]["unpricedCalls"]
    if unpriced:
        yield f"{count(unpriced, 'call')} without a known price: the dollars leave them out, and they are not free"
    for one in facts["unknown"]:
        yield f"{one['namespace']}/{one['name']}: unknown, not zero: {one['why']}"


def _written(amounts: Amounts) -> Facts:
    return {name: getattr(amounts, field) for name, field in _AMOUNTS.items()} | {"costUSD": _usd(amounts.usd)}


def _usd(usd: float) -> float:
    return round(usd, 9)


def _cells(row: Facts) -> list[RenderableType]:
    read = row["cacheReadTokens"]
    prompt = row["inputTokens"] + read + row["cacheWrite5mTokens"] + row["cacheWrite1hTokens"]
    unpriced = row["unpricedCalls"]
    return [
        f"{row['calls']:,}",
        f"{prompt:,}",
        share(read / prompt) if prompt else "",
        f"{row['outputTokens']:,}",
        Text(f"{unpriced:,}", style="yellow") if unpriced else "",
        dollars(row["costUSD"]),
    ]
