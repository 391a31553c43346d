"""One line of ticks, checked: every refusal names the line and says what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from pydantic.alias_generators import to_camel

from claude_operator.api.evidence import TURNS
from claude_operator.api.status import Offsets
from claude_operator.core.judge.evidence.sample import NO_VALUES, Values
from claude_operator.core.judge.judges.comparisons import Comparison, Firsts
from claude_operator.core.judge.metrics import KINDS, METRICS, PERIODS, Binary, Quantity, metric_of

__all__ = ["EXAMPLE", "UNUSED_OFFSETS", "Line", "LineError", "Reader", "refuse"]

EXAMPLE = '{"t": 5, "weight": 0.01, "metrics": {"errors": {"stable": [500, 2], "canary": [5, 1]}}}'

UNUSED_OFFSETS = {"assignment", "errors_least", "weight"}
"""Fields of Offsets that no line has: nothing of the evidence of harm goes by them."""

_FIRST: Mapping[str, int] = {"timeToFirstToken": -31, "duration": -31, "cost": -62, "outputTokens": 0}
"""Bucket that a list of buckets begins with where `first` is left out: 1 ms, 1 ms, 1 micro-dollar, 1 token; else 0."""

_MOST = 10**15  # of one tick: what is larger is not a count
_LARGEST = 1e100  # of any sum: its square is finite
_FARTHEST = 10_000  # a bucket's index: 1.25 to this power is beyond every float
_PAIR = "write [requests, bad ones], for example [500, 2]"
_FIRSTS = 'write {"entries": [500, 90, 40], "bad": {"0": 2}}, entries of each period and first bad events by turn'
_TURNS = tuple(map(str, TURNS))
_VALUES = 'write {"count": 3, "lnSum": 1.2, "lnSumSq": 0.9, "buckets": [0, 2, 1]}'


class LineError(ValueError):
    """A line that cannot be read: which one, why, and what to write instead."""


class Line(NamedTuple):
    """One stratum of one tick. `judged`: what the operator made of the tick, empty where it was not the writer."""

    number: int
    t: float
    weight: float | None
    metrics: frozenset[str]
    comparisons: tuple[Comparison, ...]
    offsets: Offsets | None
    judged: Mapping[str, Any]


class Reader:
    """Reads the line of that number. `trusted`: the operator wrote it, who may count a bad event before its request."""

    def __init__(self, number: int, *, trusted: bool) -> None:
        self.number, self.trusted = number, trusted

    def line(self, document: dict[str, Any]) -> Line:
        if "t" not in document:
            self.refuse(f"t is missing: write seconds since the start, for example {EXAMPLE}")
        t = self.real(document["t"], "t")
        weight = document.get("weight")
        if weight is not None:
            weight = self.real(weight, "weight")
            if not 0.0 <= weight <= 1.0:
                self.refuse(f"weight {weight:g} is not a share: write 0.01 for 1 %")
        metrics = document.get("metrics")
        if not isinstance(metrics, dict):
            self.refuse(f"metrics is missing: write for example {EXAMPLE}")
        found = tuple(one for name, arms in metrics.items() if (one := self.comparison(name, arms)))
        judged: dict[str, Any] = {
            key: document[key] for key in ("evidence", "total", "verdict", "leading") if key in document
        }
        return Line(self.number, t, weight, frozenset(metrics), found, self.offsets(document.get("offsets")), judged)

    def comparison(self, name: str, arms: Any) -> Comparison | None:
        """None where there is nothing to compare."""
        kind = KINDS.get(name)
        if kind is None:
            self.refuse(f"there is no metric {name!r}: write one of {', '.join(METRICS)}")
        if not isinstance(arms, dict):
            self.refuse(f'{name} has no arms: write {{"stable": ..., "canary": ...}}')
        for arm in arms:
            if arm not in ("stable", "canary", "share", "conversations"):
                self.refuse(f"{name}: there is no arm {arm!r}: write stable or canary")
        by_unit = arms.get("conversations", False) is True
        if "share" in arms:
            return self.conversations(name, kind, arms)
        if isinstance(kind, Binary):
            ours, theirs = (self.pair(arms.get(arm), f"{name}.{arm}") for arm in ("canary", "stable"))
            return Comparison(name, ours, theirs, by_unit=by_unit) if ours[0] or ours[1] or theirs[1] else None
        own, its = (self.values(arms.get(arm), name, arm) for arm in ("canary", "stable"))
        return Comparison(name, own, its, by_unit=by_unit) if its.count else None

    def conversations(self, name: str, kind: Binary | Quantity, arms: dict[str, Any]) -> Comparison:
        share = self.real(arms["share"], f"{name}.share")
        if not 0.0 < share < 1.0:
            self.refuse(f"{name}.share {share:g} is not the canary's share of conversations: write 0.01 for 1 %")
        if not isinstance(kind, Binary) or not kind.event:
            self.refuse(f"{name}: only bad events are counted once a conversation: leave share out")
        ours, theirs = (self.firsts(arms.get(arm), f"{name}.{arm}") for arm in ("canary", "stable"))
        return Comparison(name, ours, theirs, share)

    def firsts(self, value: Any, where: str) -> Firsts:
        if value is None:
            return Firsts()
        bad = value.get("bad", {}) if isinstance(value, dict) else None
        entries = value.get("entries") if isinstance(value, dict) else None
        if not isinstance(entries, list) or len(entries) != len(PERIODS) or not isinstance(bad, dict):
            self.refuse(f"{where} is not of conversations: {_FIRSTS}")
        opening, early, late = (self.count(one, f"{where}.entries") for one in entries)
        for turn in bad:
            if turn not in _TURNS:
                self.refuse(f"{where}.bad: {turn!r} is not a turn: write one of {', '.join(_TURNS)}")
        found = {int(turn): n for turn, count in bad.items() if (n := self.count(count, f"{where}.bad"))}
        return Firsts((opening, early, late), found)

    def pair(self, value: Any, where: str) -> tuple[int, int]:
        if value is None:
            return 0, 0
        if not isinstance(value, list) or len(value) != 2:
            self.refuse(f"{where} is not a pair: {_PAIR}")
        requests, bad = (self.count(one, where) for one in value)
        if bad > requests and not self.trusted:
            self.refuse(f"{where}: {bad} bad of {requests} requests: {_PAIR}, the bad ones among the requests")
        return requests, bad

    def values(self, value: Any, name: str, arm: str) -> Values:
        where = f"{name}.{arm}"
        if value is None:
            return NO_VALUES
        if not isinstance(value, dict):
            self.refuse(f"{where} is a quantity, not a pair: {_VALUES}")
        if "count" not in value:
            self.refuse(f"{where}.count is missing: {_VALUES}")
        count = self.count(value["count"], f"{where}.count")
        if not count:
            return NO_VALUES
        sums = {}
        for key, needed in (("lnSum", True), ("lnSumSq", True), ("sum", False), ("sumSq", False)):
            if needed and key not in value:
                meaning = "the sum of the natural logarithms" + (", each squared" if key == "lnSumSq" else "")
                self.refuse(f"{where}.{key} is missing: it is {meaning}; {_VALUES}")
            sums[key] = self.real(value.get(key, 0.0), f"{where}.{key}")
        for key in ("lnSumSq", "sum", "sumSq"):
            if sums[key] < 0.0:
                self.refuse(f"{where}.{key} {sums[key]:g} is negative: write the sum of values that are not")
        buckets = self.buckets(value, where, _FIRST.get(metric_of(name), 0))
        if sum(buckets.values()) > count and not self.trusted:
            self.refuse(f"{where}: the buckets hold {sum(buckets.values())} values and count says {count}: count all")
        return Values(count, sums["lnSum"], sums["lnSumSq"], sums["sum"], sums["sumSq"], buckets)

    def buckets(self, value: dict[str, Any], where: str, first: int) -> dict[int, int]:
        """By index, without empty ones."""
        given = value.get("buckets") or []
        if isinstance(given, list):
            begin = value.get("first", first)
            if not isinstance(begin, int) or abs(begin) > _FARTHEST or len(given) > _FARTHEST:
                self.refuse(f"{where}.first is not a bucket: write the whole number i of 1.25^i, for example {first}")
            pairs = enumerate(given, begin)
        elif isinstance(given, dict):
            pairs = iter([(self.index(key, where), count) for key, count in given.items()])  # type: ignore[assignment]
        else:
            self.refuse(f"{where}.buckets is not a list: {_VALUES}")
        return {index: n for index, count in pairs if (n := self.count(count, f"{where}.buckets"))}

    def index(self, key: str, where: str) -> int:
        try:
            index = int(key)
        except ValueError:
            index = _FARTHEST + 1
        if abs(index) > _FARTHEST:
            self.refuse(f"{where}.buckets: {key!r} is not a bucket: write the whole number i of 1.25^i as the key")
        return index

    def offsets(self, value: Any) -> Offsets | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            self.refuse('offsets is not an object: write {"errors": 1.1, "timeToFirstToken": 0.0, "cost": 0.0}')
        found = Offsets(weight=0)
        for field in Offsets.model_fields.keys() - UNUSED_OFFSETS:
            name = to_camel(field)
            setattr(found, field, self.real(value.get(name, getattr(found, field)), f"offsets.{name}"))
        if not 0.0 < found.errors <= 1e6:
            self.refuse(f"offsets.errors {found.errors:g} is not a ratio of rates: write a number above 0, 1 for none")
        if max(abs(found.time_to_first_token), abs(found.cost)) > 100.0:
            self.refuse("offsets.timeToFirstToken and offsets.cost are differences of ln: write 0 for none")
        return found

    def count(self, value: Any, where: str) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(f"{where}: {_shown(value)} is not a count: write a whole number")
        if not 0 <= value <= _MOST:
            fault = "negative: write what the tick added" if value < 0 else f"more than {_MOST:.0e}"
            self.refuse(f"{where}: {_shown(value)} is {fault}")
        return value

    def real(self, value: Any, where: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
            self.refuse(f"{where}: {_shown(value)} is not a number: write a finite one")
        return float(value)

    def refuse(self, why: str) -> NoReturn:
        refuse(self.number, why)


def refuse(number: int, why: str) -> NoReturn:
    raise LineError(f"line {number}: {why}")


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "such a number"
    return text if len(text) <= 40 else f"{text[:39]}…"
