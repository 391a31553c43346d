"""One verdict: the checks and the models that grade, as at the gate, on an answer of live traffic."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anthropic
import msgspec

from claude_operator.api.samples import Sample
from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.evals.graders.check import Trial, Tried
from claude_operator.core.evals.live import LiveChecks
from claude_operator.core.evals.outcomes import Answer, ToolCall
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm
from claude_operator.core.request.error_text import redact
from claude_operator.evals.costs import cost_of
from claude_operator.evals.failures import Broken, Infrastructure, Rejected, first_line
from claude_operator.evals.graders import Ask, Graders
from claude_operator.evals.grading import Grading
from claude_operator.evals.live.spending import Spending
from claude_operator.evals.patterns import Patterns

__all__ = ["Judge", "Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an answer holds all checks; None where that could not be decided, and why."""

    passed: bool | None
    why: str = ""
    reason: str = ""
    """The grader's own words, which may quote the answer."""


@dataclass(slots=True)
class _Decided:
    """Patterns of which one that is broken off decides nothing; at the gate it fails the item."""

    patterns: Patterns

    async def tried(self, trials: Iterable[Trial], /) -> dict[Trial, Tried]:
        found = await self.patterns.tried(trials)
        if why := next((one.why for one in found.values() if one.outcome == "unknown"), ""):
            raise Infrastructure(f"a check of evals.live {why}")
        return found


class Judge:
    """Grades samples of both arms in the same way. `snapshots`: the model that each grader answers as."""

    def __init__(
        self,
        checks: LiveChecks,
        ask: Ask,
        patterns: Patterns,
        spending: Spending,
        snapshots: dict[str, str],
        *,
        prices: Book = LIST_PRICES,
    ) -> None:
        self._checks, self._ask, self._patterns, self._spending = checks, ask, patterns, spending
        self._prices = prices
        graders = Graders(checks.graders, self._paid, snapshots=snapshots, prices=prices)
        self._grading = Grading(_Decided(patterns), graders=graders, prices=prices)

    @property
    def asks(self) -> bool:
        """Whether a model grades, which costs something."""
        return bool(self._checks.graders)

    async def prepare(self) -> None:
        """Look at all patterns and schemas; raises InvalidPattern."""
        await self._patterns.check([self._item("live", b"[]")])

    async def grade(self, sample: Sample) -> Verdict:
        """Never raises for what the graders do."""
        if sample.cut_answer:  # what a check looks for may be at its end
            return Verdict(None, "the answer is longer than what is sampled of it")
        item = self._item(sample.id, msgspec.json.encode(sample.messages))
        try:
            outcome = await self._grading.grade(item, _answer(sample))
        except Infrastructure as error:
            return Verdict(None, _told(error).replace(f", asked about {item.shown},", ""))
        failed = next((result for result in outcome.results if not result.holds), None)
        return Verdict(outcome.passed, outcome.failed, failed.reason if failed else "")

    def _item(self, name: str, messages: bytes) -> Item:
        checks = self._checks
        return Item(name, messages, checks.checks, place="evals.live", threshold=checks.threshold)

    async def _paid(self, arm: PreparedArm, item: Item) -> Answer:
        if why := self._spending.begin(_now()):
            raise Infrastructure(why)
        try:
            answer = await self._ask(arm, item)
        except BaseException:
            self._spending.end(_now())
            raise
        self._spending.end(_now(), cost_of(answer, self._prices), answer.model)
        return answer


def _told(error: BaseException) -> str:
    """What an error says, without a word of a client's: the API quotes what it was sent."""
    text, cause = str(error), error.__cause__
    while cause is not None:
        if said := _said_by_the_api(cause):
            text = text.replace(said, redact(said) or "(what it says may be a client's words)")
        cause = cause.__cause__
    return text


def _said_by_the_api(error: BaseException) -> str:
    if isinstance(error, anthropic.APIStatusError):
        return first_line(error)
    if error.__cause__ is not None:
        return ""
    # With status 200 it is no exception of the SDK's.
    if isinstance(error, Rejected):
        return str(error)
    return str(error).partition(": ")[2] if isinstance(error, Broken) else ""


def _answer(sample: Sample) -> Answer:
    answer = sample.answer
    calls = tuple(ToolCall(one.name, _input(one.input)) for one in answer.calls)
    return Answer(answer.text, answer.stop_reason, answer.model, answer.usage, calls)


def _input(text: str) -> Any:
    with suppress(msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return msgspec.json.decode(text) if text else {}
    return text


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
