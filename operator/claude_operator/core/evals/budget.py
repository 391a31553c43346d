"""What a run may cost: estimated before it begins, counted while it goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from claude_operator.api.evals import EvalExecution
from claude_operator.core.catalogue.cost import LIST_PRICES, Book, cost_usd
from claude_operator.core.evals.outcomes import Outcome
from claude_operator.core.text import count

__all__ = ["Budget", "Estimate", "Question", "estimate", "unpriced_tokens"]

_CHARACTERS = 4  # of a request in one token, about
_MOST_CHARACTERS = 8  # and never more
_ANSWER_TOKENS = 300  # of an answer, about


@dataclass(frozen=True, slots=True)
class Question:
    """A request that will be sent `times` times."""

    body: bytes
    times: int = 1


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will cost: about, and at least (all of the prompt read from the cache, and short answers).

    In US dollars, and in tokens where there is no price. `requests` has how many are sent.
    """

    requests: int = 0
    usd: float = 0.0
    least_usd: float = 0.0
    tokens: int = 0
    least_tokens: int = 0

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def __str__(self) -> str:
        """For a person."""
        if not self.requests:
            return "nothing: all answers are kept"
        known = f"about {_dollars(self.usd)}, at least {_dollars(self.least_usd)}" if self.usd else ""
        unknown = f"about {self.tokens:,} tokens of models without a list price" if self.tokens else ""
        return f"{' and '.join(filter(None, (known, unknown)))}, for {count(self.requests, 'request')}"


def _dollars(usd: float) -> str:
    """US dollars for a person, small sums with more digits."""
    return f"${usd:.2f}" if usd >= 1 else f"${usd:.4f}"


class _Body(msgspec.Struct):
    model: str = ""
    max_tokens: int = _ANSWER_TOKENS
    speed: str | None = None
    inference_geo: str | None = None


_body = msgspec.json.Decoder(_Body)


def estimate(questions: Iterable[Question], prices: Book = LIST_PRICES) -> Estimate:
    """What these will cost, by the length of the requests."""
    requests, usd, least_usd, tokens, least_tokens = 0, 0.0, 0.0, 0, 0
    for one in questions:
        requests += one.times
        fields = _body.decode(one.body)
        input_tokens, answer = len(one.body) // _CHARACTERS, min(_ANSWER_TOKENS, max(0, fields.max_tokens))
        least = len(one.body) // _MOST_CHARACTERS
        ran = {"speed": fields.speed, "inference_geo": fields.inference_geo}
        cost = cost_usd(fields.model, {"input_tokens": input_tokens, "output_tokens": answer, **ran}, prices)
        if cost is None:
            tokens += one.times * (input_tokens + answer)
            least_tokens += one.times * least
        else:
            usd += one.times * cost
            least_usd += one.times * (cost_usd(fields.model, {"cache_read_input_tokens": least, **ran}, prices) or 0.0)
    return Estimate(requests, usd, least_usd, tokens, least_tokens)


def unpriced_tokens(outcome: Outcome) -> int:
    """Tokens of models without a known price."""
    tokens = outcome.input_tokens + outcome.output_tokens if outcome.cost_usd is None else 0
    graders = outcome.grader_input_tokens + outcome.grader_output_tokens
    return tokens + (graders if outcome.grader_cost_usd is None else 0)


class Budget:
    """Counts what is paid; `paid` US dollars and `tokens` of models without a price before this Job began."""

    def __init__(self, execution: EvalExecution, paid: float = 0.0, tokens: int = 0) -> None:
        self._most_usd, self._most_tokens = execution.max_cost_usd, execution.max_tokens
        self.paid, self.tokens, self.asked = paid, tokens, 0
        self.graders = 0.0
        """US dollars of what is paid here that graders took."""
        self._mine, self._my_tokens = 0.0, 0

    def add(self, cost_usd: float | None, tokens: int, *, grader: bool = False) -> None:
        """Count an answer as soon as it is there: it is paid, whatever becomes of it."""
        self.asked += not grader
        self.paid += cost_usd or 0.0
        self._mine += cost_usd or 0.0
        self.graders += (cost_usd or 0.0) if grader else 0.0
        self.tokens += tokens if cost_usd is None else 0
        self._my_tokens += tokens if cost_usd is None else 0

    def over(self, open_calls: int = 0) -> str:
        """Why nothing more may be asked while `open_calls` are not answered yet; empty where one more may."""
        share = (open_calls + 1) / self.asked if self.asked else 0.0
        if self.paid + self._mine * share > self._most_usd:
            return f"${self.paid:.2f} of execution.maxCostUSD {self._most_usd:g} are spent: raise it"
        if self.tokens + self._my_tokens * share > self._most_tokens:
            return (
                f"{self.tokens:,} of execution.maxTokens {self._most_tokens:,} are used up by answers of models"
                " without a known price: raise it"
            )
        return ""

    def too_dear(self, run: Estimate) -> str:
        """Why a run would cost too much whatever happens; empty where it may not."""
        if run.least_usd > 0 and self.paid + run.least_usd > self._most_usd:
            paid = f" beside ${self.paid:.2f} that are spent" if self.paid else ""
            return (
                f"it would cost at least ${run.least_usd:.2f} and about ${run.usd:.2f}{paid}, more than"
                f" execution.maxCostUSD {self._most_usd:g}: raise it"
            )
        if run.least_tokens > 0 and self.tokens + run.least_tokens > self._most_tokens:
            return (
                f"it would take at least {run.least_tokens:,} tokens of models without a known price, more than"
                f" execution.maxTokens {self._most_tokens:,}: raise it"
            )
        return ""

    def epochs_left(self, most: int, usd: float, tokens: int) -> int:
        """How many of `most` further epochs fit that cost `usd` and `tokens` each."""
        fits = [float(most)]
        if usd:
            fits.append((self._most_usd - self.paid) / usd)
        if tokens:
            fits.append((self._most_tokens - self.tokens) / tokens)
        return max(0, int(min(fits)))
