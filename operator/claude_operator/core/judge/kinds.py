"""What a metric is: events of which conversations or requests are bad, or a quantity that may not grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Offsets
from claude_operator.core.judge.evidence.sample import Counts, Sample
from claude_operator.core.judge.stats import eprocess

__all__ = ["CACHES", "PASSES", "Binary", "Mode", "Quantity"]

CACHES = ("read", "write", "none")

Mode = Literal["Enforce", "DryRun", "Hold"]

PASSES = "promote if that is meant"
"""What a person can do about a change that holds."""


@dataclass(frozen=True, slots=True)
class Binary:
    """Requests that went wrong in one way.

    `weight`: share of the false rollback rate, before normalisation. `event`: what gateways call a conversation's first
    such event. Where none counts conversations: `among` the requests that could, `bad` those that did,
    `bad_conversations` the conversations that did.
    """

    weight: float
    reason: Reason
    label: str
    event: str = ""
    among: Callable[[Counts], int] = lambda counts: 0
    bad: Callable[[Counts], int] = lambda counts: 0
    bad_conversations: Callable[[Counts], int] | None = None
    two_sided: bool = False
    """It should neither rise nor fall, and one such event alone is nothing bad."""
    warms_up: bool = False
    needs_budget: bool = False
    """It is about spec.budgets."""
    flags: str = ""
    """What has a 1 for each bad event and a 0 for each good one, compared by period and cache as quantities are; empty:
    the counts of events are compared."""
    exposure: Callable[[Offsets], float] = lambda offsets: 1.0
    """How many times as likely as stable's the canary's users were to meet a bad event before there was a canary."""
    headline: bool = False
    """Its smallest increase that could be seen by now is reported."""
    mode: Mode = "Enforce"
    """Where a plan names none."""
    by_conversation: bool = False
    """Only conversations are counted: there is no share of requests to hold against a limit."""
    held: Reason = Reason.METRIC_CHANGED
    """Why a rollout holds, where its mode is Hold."""
    remedy: str = PASSES
    """What is said then."""

    @property
    def grid(self) -> eprocess.Grid:
        """Alternatives of its test."""
        return eprocess.SIDES if self.two_sided else eprocess.RISE

    def events(self, sample: Sample, *, conversations: bool = False, caches: Sequence[str] = CACHES) -> tuple[int, int]:
        """(requests, bad events) of an arm. `conversations`: one with several bad requests is one event."""
        if self.flags:
            values = sample.quantity(self.flags, caches)
            return values.count, round(values.sum)
        count = self.bad_conversations if conversations and self.bad_conversations else self.bad
        return self.among(sample.counts), count(sample.counts)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A positive quantity. `by_cache`: answers from the prompt cache are compared with their like only.

    Fields of the same name mean what they do for `Binary`.
    """

    weight: float
    reason: Reason
    label: str
    unit: str
    by_cache: bool
    raw: bool = False
    """Raw values count too, not only their logarithms."""
    max_increase: str = "10%"
    offset: Callable[[Offsets], float] = lambda offsets: 0.0
    """By how much the canary's users had a larger mean ln before there was a canary."""
    priced: bool = False
    """What the models' price lists explain of it is not harm."""
    mode: Mode = "Enforce"
    by_conversation: bool = False
    held: Reason = Reason.METRIC_CHANGED
    remedy: str = PASSES
    ways: tuple[str, str, str] | None = None
    """In mode Hold it should neither rise nor fall: what changes, and the words for more and for less."""
