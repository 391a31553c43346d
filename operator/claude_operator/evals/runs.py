"""How a run is done, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from claude_operator.api.evals import EvalExecution, RunCalibration
from claude_operator.api.graders import Grader
from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.evals.budget import Budget, Estimate
from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.report import Graded
from claude_operator.evals.batches import Batcher
from claude_operator.evals.calibrating import Labels
from claude_operator.evals.costs import cost_of, input_tokens, output_tokens
from claude_operator.evals.keeping import Keeper

__all__ = ["Run"]


@dataclass(slots=True)
class Run:
    """How a run is done, and what is known of it while it goes on and afterwards."""

    execution: EvalExecution = field(default_factory=EvalExecution)
    graders: Sequence[Grader] = ()
    url: str = ""
    """Where questions are asked: an answer from elsewhere is another one."""
    keeper: Keeper | None = None
    paid: float = 0.0
    """US dollars that earlier attempts have paid."""
    tokens: int = 0
    """Tokens of models without a price that earlier runs under the same cap have used."""
    batcher: Batcher | None = None
    keep_text: bool = False
    prices: Book = field(default_factory=lambda: LIST_PRICES)
    """Those that hold instead of the list's."""
    estimated: Callable[[Estimate], None] = lambda _: None
    notes: Sequence[str] = ()
    """Sentences for the result's message."""
    progress: Callable[[int, int], None] = lambda _done, _total: None
    """Gets the number of items finished on all arms, each counted once an epoch, and how many there are."""
    labels: Labels | None = None
    calibration: RunCalibration | None = None
    """How far the graders agree with the labels."""
    budget: Budget = field(init=False)
    reused: int = 0
    graded: tuple[dict[str, list[Graded]], ...] = ()
    """By arm and item id, an answer an epoch; answers without their texts, unless they are kept."""

    def __post_init__(self) -> None:
        self.budget = Budget(self.execution, self.paid, self.tokens)

    def pay(self, answer: Answer, *, grader: bool = False) -> None:
        """Count what an answer costs."""
        self.budget.add(cost_of(answer, self.prices), input_tokens(answer) + output_tokens(answer), grader=grader)
