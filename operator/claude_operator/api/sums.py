"""Sums that the judge remembers: names in code, short lists of numbers in status.

A list of another length is of another version, or damaged: then nothing is remembered, and the judge starts again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

__all__ = [
    "AnsweredRequests",
    "ArmRequests",
    "IncidentField",
    "IncidentSums",
    "Moments",
    "MomentsField",
    "RecentField",
    "RecentRequests",
    "RecentSums",
    "Score",
    "ScoreField",
    "SoakField",
    "SoakSums",
    "Streak",
    "StreakField",
    "Stretch",
    "UnitField",
    "UnitSums",
    "flat",
]

_Sums = TypeVar("_Sums", bound=tuple[Any, ...])


class Score(NamedTuple):
    """Of a quantity: by how much the canary's mean lies above stable's, and how much is known of that."""

    score: float = 0.0
    """Of logarithms: sum of difference / variance; the same below."""
    information: float = 0.0
    """Sum of 1 / variance."""
    prior: float = 0.0
    """Variance of the difference that is looked for."""
    raw_score: float = 0.0
    """The same three of raw values."""
    raw_information: float = 0.0
    raw_prior: float = 0.0


class Moments(NamedTuple):
    """Of a quantity: what one arm, or one revision, is like. Squares are those within strata."""

    values: float = 0.0
    mean: float = 0.0
    """Of logarithms; the same below."""
    freedom: float = 0.0
    """Degrees of freedom."""
    squares: float = 0.0
    raw_mean: float = 0.0
    """The same three of raw values."""
    raw_freedom: float = 0.0
    raw_squares: float = 0.0


class UnitSums(NamedTuple):
    """Of bad events that are counted once a conversation: what could have gone bad, and stable's rate of it."""

    canary: float = 0.0
    """Conversations that entered a period of their turns, each once a period."""
    stable: float = 0.0
    exposed: float = 0.0
    """First eight turns that stable answered, by its share of all."""
    early: float = 0.0
    """Stable's first bad events in those turns."""


class Streak(NamedTuple):
    """The canary's requests since it last answered one well."""

    seconds: float = 0.0
    """Since the first of them."""
    failed: float = 0.0
    conversations: float = 0.0
    """Those that failed for the first time."""
    openings: float = 0.0
    """Those of them whose first request failed."""
    stable: float = 0.0
    """Stable's requests meanwhile, and how many of those failed."""
    stable_failed: float = 0.0
    rescued: float = 0.0
    """Conversations that came to stable, for whatever reason, each once a period of its turns."""


class SoakSums(NamedTuple):
    """Of a soak: what the revision itself is like."""

    requests: float = 0.0
    """Since the evidence last spoke against harm."""
    total: float = 0.0
    """Bad events among those, or the sum of their ln."""
    moments: Moments = Moments()
    """Of a quantity: all of the revision's values."""


class ArmRequests(NamedTuple):
    """Requests of one arm, those before last forgotten by and by."""

    answered: float = 0.0
    """With the outcome `ok` or `error`."""
    errors: float = 0.0
    overloads: float = 0.0
    accounts: float = 0.0

    @property
    def all(self) -> float:
        """Requests that came to an end upstream."""
        return self.answered + self.overloads + self.accounts

    @property
    def failed(self) -> float:
        """Share of the answered requests that failed, 0 where there is none."""
        return self.errors / self.answered if self.answered > 0.0 else 0.0

    def share(self, number: float) -> float:
        """Of all its requests."""
        return number / self.all if self.all > 0.0 else 0.0


class AnsweredRequests(NamedTuple):
    """The same, of answered requests alone."""

    answered: float = 0.0
    errors: float = 0.0

    @property
    def failed(self) -> float:
        """Share of them that failed, 0 where there is none."""
        return self.errors / self.answered if self.answered > 0.0 else 0.0


class RecentRequests(NamedTuple):
    """The last requests of both arms, and what both did over the same seconds."""

    canary: ArmRequests = ArmRequests()
    stable: ArmRequests = ArmRequests()
    canary_meanwhile: AnsweredRequests = AnsweredRequests()
    stable_meanwhile: AnsweredRequests = AnsweredRequests()


class Stretch(NamedTuple):
    """A stretch of time of one arm: its seconds, requests, errors, times to first token and the sum of their ln."""

    seconds: float = 0.0
    requests: float = 0.0
    errors: float = 0.0
    times: float = 0.0
    ln_sum: float = 0.0


class RecentSums(NamedTuple):
    """The same of the last seconds."""

    requests: float = 0.0
    errors: float = 0.0
    times: float = 0.0
    ln_sum: float = 0.0


class IncidentSums(NamedTuple):
    """Stable before, and recently: whether it is worse than it was."""

    past: Stretch = Stretch()
    now: RecentSums = RecentSums()
    looks: float = 0.0
    variance: float = 0.0
    """Of ln, of a look's times to first token."""
    failing: float = 0.0
    """1 while errors are worse than they were."""
    slow: float = 0.0
    older: Stretch = Stretch()
    """What waits to become past, the older part and the newer one."""
    newer: Stretch = Stretch()


def flat(sums: Iterable[Any]) -> Iterator[float]:
    """The numbers in their order."""
    for one in sums:
        if isinstance(one, tuple):
            yield from flat(one)
        else:
            yield one


def _stored(sums: tuple[Any, ...]) -> list[float]:
    """Nothing seen is nothing stored."""
    numbers = list(flat(sums))
    return numbers if any(numbers) else []


def _filled(empty: _Sums, numbers: Iterator[Any]) -> _Sums:
    return type(empty)(*(_filled(one, numbers) if isinstance(one, tuple) else next(numbers) for one in empty))


def _reader(empty: tuple[Any, ...]) -> BeforeValidator:
    size = len(list(flat(empty)))

    def read(stored: Any) -> Any:
        if isinstance(stored, list):
            return _filled(empty, iter(stored)) if len(stored) == size else empty
        return stored

    return BeforeValidator(read)


_AS_LIST = (
    PlainSerializer(_stored, return_type=list[float]),
    WithJsonSchema({"type": "array", "items": {"type": "number"}}),
)

ScoreField = Annotated[Score, _reader(Score()), *_AS_LIST]
MomentsField = Annotated[Moments, _reader(Moments()), *_AS_LIST]
UnitField = Annotated[UnitSums, _reader(UnitSums()), *_AS_LIST]
StreakField = Annotated[Streak, _reader(Streak()), *_AS_LIST]
SoakField = Annotated[SoakSums, _reader(SoakSums()), *_AS_LIST]
RecentField = Annotated[RecentRequests, _reader(RecentRequests()), *_AS_LIST]
IncidentField = Annotated[IncidentSums, _reader(IncidentSums()), *_AS_LIST]
