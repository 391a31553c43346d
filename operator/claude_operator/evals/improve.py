"""`eval improve`: has a model edit the prompt by what it fails, and judges each proposal on items that it never saw."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from claude_operator.api.evals import EvalGate
from claude_operator.api.gateway import Arm
from claude_operator.core.catalogue.checks.check import takes
from claude_operator.core.catalogue.cost import cost_usd
from claude_operator.core.evals.budget import Budget, Estimate
from claude_operator.core.evals.checks import REFUSAL
from claude_operator.core.evals.compare import Compared
from claude_operator.core.evals.editing import MOST_SHOWN, Proposal, Request, failures, longest, why_refused
from claude_operator.core.evals.gate import Result, RunReason, shared_out
from claude_operator.core.evals.improve import (
    Split,
    can_gain,
    fewest_held_out,
    find_gain,
    is_gain,
    shown_rate,
    split_items,
)
from claude_operator.core.evals.kept import answer_key, first_request, pack_answer, read_answer, request_digest
from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.prompt import Prompt, with_texts
from claude_operator.core.evals.report import Graded, outcomes_of
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm, prepare
from claude_operator.core.text import count
from claude_operator.evals.ask import Infrastructure, Rejected
from claude_operator.evals.costs import cost_of, input_tokens, output_tokens
from claude_operator.evals.keeping import Keeper
from claude_operator.evals.laptop import Tell, Work
from claude_operator.evals.session import Arms, Ask, Run, evaluate

__all__ = ["Improvement", "Plan", "Spent", "Trial", "improve"]

_LEAST_ANSWER = 4096  # tokens of a proposal with its reason, at most; more for a longer prompt
_MOST_ANSWER = 64_000
_REASON = 2_000  # tokens
_CHARACTERS = 3  # in one token
Watch = Callable[[str], Tell]
"""Takes what is asked now, and gives what is told how far it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who edits, how often, and what all of it may cost in US dollars."""

    editor: str
    max_cost: float
    rounds: int = 3
    candidates: int = 3

    @property
    def proposals(self) -> int:
        """How many can be made: each may err with its part of alpha."""
        return self.rounds * self.candidates


@dataclass(slots=True)
class Spent:
    """US dollars, and tokens of models without a price."""

    editor: float = 0.0
    answers: float = 0.0
    graders: float = 0.0
    tokens: int = 0

    @property
    def total(self) -> float:
        """All of it."""
        return self.editor + self.answers + self.graders


@dataclass(slots=True)
class Trial:
    """A proposal and what became of it, as far as it came."""

    name: str
    reason: str = ""
    texts: tuple[str, ...] = ()
    refused: str = ""
    """Why it was not asked anything."""
    rest: Result | None = None
    """Of the gate, on the items that are not held out."""
    graded: Mapping[str, list[Graded]] = field(default_factory=dict)
    gain: Compared | None = None
    """On the held-out items."""
    failed: str = ""
    """Why the held-out items rule it out, whatever the gain."""

    @property
    def is_better(self) -> bool:
        """Whether it may be written."""
        passed = self.rest is not None and self.rest.phase == "Passed"
        return passed and not self.failed and is_gain(self.gain)


@dataclass(frozen=True, slots=True)
class Improvement:
    """How it ended. `best` is None where no proposal is shown to be better; `why` says so in a sentence."""

    best: Trial | None
    why: str
    trials: Sequence[Trial]
    spent: Spent
    split: Split
    alpha: float
    """Of each proposal."""
    ended_early: bool = False
    """Whether the cost ended it before all proposals were made."""


class _Over(Exception):  # noqa: N818  (how it ends)
    """Nothing more may be asked within the cost."""


async def improve(work: Work, prompt: Prompt, plan: Plan, ask: Ask, keeper: Keeper, watch: Watch) -> Improvement:
    """Ask the set on the present prompt, then round by round have it edited and judge the proposals.

    A round begins with the prompt that did best so far on the items that the editor may see; what the held-out items
    said is told to nobody. It ends with the first round that has a proposal that is better. Raises Infrastructure,
    and ValueError where nothing can come of it.
    """
    return await _Improver(work, prompt, plan, ask, keeper, watch).run()


class _Improver:
    def __init__(self, work: Work, prompt: Prompt, plan: Plan, ask: Ask, keeper: Keeper, watch: Watch) -> None:
        self._work, self._prompt, self._plan = work, prompt, plan
        self._ask, self._keeper, self._watch = ask, keeper, watch
        self._present = work.candidates[0]
        self._execution = work.execution.model_copy(update={"max_cost_usd": plan.max_cost})
        self._split = split_items(work.items, work.spec.gate.cluster)
        self._gate = shared_out(work.spec.gate, plan.proposals)
        self._spent, self._trials = Spent(), list[Trial]()

    async def run(self) -> Improvement:
        self._check()
        try:
            lead = await self._ask_present()
            if why := self._nothing_to_gain(lead):
                return self._ended(why)
            for number in range(1, self._plan.rounds + 1):
                trials = await self._propose(number, lead)
                for trial in trials:
                    await self._judge(trial)
                if any(trial.is_better for trial in trials):
                    return self._ended("")
                if len(trials) < self._plan.candidates:
                    raise _Over
                lead = self._leading([lead, *trials])
        except _Over:
            return self._ended("", early=True)
        return self._ended("")

    def _check(self) -> None:
        """Raise ValueError where nothing can come of it, whatever is answered."""
        items = sum(not item.critical for item in self._split.held_out)
        needed = fewest_held_out(self._gate.alpha)
        if items < needed:
            raise ValueError(
                f"{count(items, 'item')} of the set can be held out, and with {count(self._plan.proposals, 'proposal')}"
                f" it takes {needed} at least to show that a prompt is better: add items, or make fewer proposals"
            )
        if not self._split.told:
            raise ValueError("all items of the set are held out, so an editor can see none: add others")
        if (length := sum(map(len, self._prompt.texts))) > longest(self._prompt.texts):
            raise ValueError(f"the prompt has {length:,} characters, which is too long to be edited as a whole")

    async def _ask_present(self) -> Trial:
        items = [*self._split.shown, *self._split.held_out]
        result, run = await self._evaluate("the present prompt", items, Arms(self._present), self._gate)
        if result.reason is RunReason.REQUEST_REJECTED:
            raise ValueError(result.message)
        return Trial("the present prompt", texts=self._prompt.texts, graded=run.graded[0])

    def _nothing_to_gain(self, present: Trial) -> str:
        if not failures(self._split.told, dict(present.graded)):
            return "the present prompt fails no item that an editor may see"
        if not can_gain(self._split.held_out, outcomes_of(present.graded), self._gate):
            return (
                "even a prompt that passes every held-out item would not be shown to be better than the present one:"
                " it fails too few of them"
            )
        return ""

    # ------------------------------------------------------------------------------------------------- proposals

    async def _propose(self, number: int, lead: Trial) -> list[Trial]:
        """The proposals of a round, fewer where the cost allows no more."""
        found = failures(self._split.told, dict(lead.graded))
        shown, limit = found[:MOST_SHOWN], longest(self._prompt.texts)
        names = [f"{number}.{place}" for place in range(1, self._plan.candidates + 1)]
        asked = [Request(lead.texts, shown, len(found) - len(shown), name, limit) for name in names]
        arm = _editor(self._plan.editor, asked[0])
        fitting = asked[: self._fitting(arm, asked)]
        url = self._work.base_url
        keys = {answer_key(request_digest(url, arm, _item(one)), 0): one for one in fitting}
        self._watch(f"round {number} of {self._plan.rounds}: {count(len(keys), 'proposal')} of {self._plan.editor}")
        async with self._keeper.open(lambda key: key in keys):  # whatever fails, the others are paid: keep them
            made = await asyncio.gather(
                *(self._edit(arm, key, one) for key, one in keys.items()), return_exceptions=True
            )
        trials = []
        for trial in made:
            if isinstance(trial, BaseException):
                raise trial
            before = [self._prompt.texts, *(one.texts for one in self._trials if one.texts)]
            if not trial.refused:
                items = [*self._split.shown, *self._split.held_out]
                trial.refused = why_refused(trial.texts, before, items, limit)
            self._trials.append(trial)
            trials.append(trial)
        return trials

    async def _edit(self, arm: PreparedArm, key: bytes, asked: Request) -> Trial:
        kept = self._keeper.find(key)
        answer = read_answer(kept) if kept is not None else None
        if answer is None:
            try:
                answer = await self._ask(arm, _item(asked))
            except Rejected as error:
                raise Infrastructure(
                    f"the API refuses the request of the editor {self._plan.editor}: {error}"
                ) from error
            self._pay_editor(answer)
            if (packed := pack_answer(answer)) is not None:
                self._keeper.add(key, packed)
        trial = Trial(asked.number)
        if answer.stop_reason == REFUSAL:
            trial.refused = "the editor refuses to write one"
        elif answer.stop_reason == "max_tokens":
            trial.refused = "the editor's answer was cut off"
        else:
            try:
                proposal: Proposal = asked.read(answer.text)
            except ValueError as error:
                trial.refused = str(error)
            else:
                trial.reason, trial.texts = proposal.reason, proposal.texts
        return trial

    def _pay_editor(self, answer: Answer) -> None:
        cost = cost_of(answer)
        self._spent.editor += cost or 0.0
        self._spent.tokens += input_tokens(answer) + output_tokens(answer) if cost is None else 0

    def _fitting(self, arm: PreparedArm, asked: Sequence[Request]) -> int:
        """How many proposals the cost allows, were each as long as it may be and none of them kept."""
        budget = Budget(self._execution, self._spent.total, self._spent.tokens)
        total, tokens = 0.0, 0
        for number, one in enumerate(asked):
            body = first_request(arm, _item(one)).body
            usage = {"input_tokens": len(body) // (_CHARACTERS - 1), "output_tokens": _most_tokens(one)}
            cost = cost_usd(self._plan.editor, usage)
            total, tokens = total + (cost or 0.0), tokens + (sum(usage.values()) if cost is None else 0)
            if budget.too_dear(Estimate(number + 1, total, total, tokens, tokens)):
                if not number:
                    raise _Over
                return number
        return len(asked)

    # --------------------------------------------------------------------------------------------------- judging

    async def _judge(self, trial: Trial) -> None:
        """The gate on what is not held out; where it passes, the held-out items."""
        if trial.refused:
            return
        present, split = self._present, self._split
        system = with_texts(self._prompt, trial.texts)
        request = {**present.arm.request, "system": system}
        arm = msgspec.structs.replace(present.arm, revision=f"proposal {trial.name}", request=request)
        arms = Arms(prepare(arm, self._work.env, takes), present)
        result, run = await self._evaluate(f"proposal {trial.name}", split.shown, arms, self._gate)
        trial.rest, trial.graded = result, run.graded[0]
        if result.phase != "Passed":
            return
        gate = self._gate.model_copy(update={"pass_rate": 0.0, "metrics": None, "on_inconclusive": "Block"})
        held, run = await self._evaluate(f"proposal {trial.name}, held-out items", split.held_out, arms, gate)
        if held.reason in (RunReason.REQUEST_REJECTED, RunReason.CRITICAL_ITEM_FAILED):
            trial.failed = held.message
            return
        ours, theirs = map(outcomes_of, run.graded)
        trial.gain = find_gain(split.held_out, ours, theirs, gate)

    def _leading(self, trials: Sequence[Trial]) -> Trial:
        """The one that did best on what an editor may see, the earliest of equals; one that failed the gate is none."""
        first, *others = trials
        able = [one for one in others if one.rest is not None and one.rest.phase != "Failed"]
        return max([first, *able], key=lambda one: shown_rate(self._split.told, outcomes_of(one.graded)))

    async def _evaluate(self, what: str, items: Sequence[Item], arms: Arms, gate: EvalGate) -> tuple[Result, Run]:
        """A run as `eval run -f` has it. Raises Infrastructure, and _Over where the cost ended it."""
        work, spent = self._work, self._spent
        before = spent.total
        run = Run(
            self._execution,
            work.spec.graders or (),
            work.base_url,
            self._keeper,
            before,
            spent.tokens,
            keep_text=True,
            progress=self._watch(what),
        )
        try:
            result = await evaluate(items, arms, self._ask, gate, run)
        finally:
            spent.graders += run.budget.graders
            spent.answers += run.budget.paid - before - run.budget.graders
            spent.tokens = run.budget.tokens
        if result.reason is RunReason.BUDGET_REACHED:
            raise _Over
        return result, run

    def _ended(self, why: str, *, early: bool = False) -> Improvement:
        better = [one for one in self._trials if one.is_better]
        best = max(better, key=lambda one: one.gain.status.lower if one.gain else 0.0, default=None)
        return Improvement(best, why, self._trials, self._spent, self._split, self._gate.alpha, early)


def _editor(model: str, asked: Request) -> PreparedArm:
    """The editor, as an arm is asked; all proposals of a round have the same blocks."""
    request: dict[str, Any] = {
        "model": model,
        "max_tokens": _most_tokens(asked),
        "system": [{"type": "text", "text": asked.system}],
        "output_config": {"format": {"type": "json_schema", "schema": msgspec.json.decode(asked.form)}},
    }
    return prepare(Arm("editor", "stable", 0, request), {})


def _most_tokens(asked: Request) -> int:
    return min(_MOST_ANSWER, max(_LEAST_ANSWER, _REASON + asked.limit // _CHARACTERS))


def _item(asked: Request) -> Item:
    return Item("editor", msgspec.json.encode([{"role": "user", "content": asked.text}]), ())
