"""Reads what to grade and how; says why it cannot be done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from claude_operator.api.evals import EvalSetSpec
from claude_operator.api.faults import first_fault
from claude_operator.api.grading import GradingPlan, parse_plan, plan_hash
from claude_operator.api.live import LiveGrading
from claude_operator.core.catalogue.cost import Book, cost_usd
from claude_operator.core.catalogue.own_prices import book_of
from claude_operator.core.evals.live import LiveChecks, live_checks, same_model
from claude_operator.core.spec.policy import Policy

__all__ = ["InvalidPlan", "Plan", "read_plan"]


class InvalidPlan(ValueError):  # noqa: N818  (what it is)
    """It cannot be graded by this plan; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan, read."""

    source: GradingPlan
    live: LiveGrading
    checks: LiveChecks
    hash: str
    prices: Book
    """Those that hold instead of the list's."""


def read_plan(path: Path, policy: Policy) -> Plan:
    """Read a plan; raises InvalidPlan. No model grades its own answers, and each grader has a price."""
    try:
        text = path.read_text(encoding="utf-8")
        source = parse_plan(text)
        live = LiveGrading.model_validate(source.live)
        checks = live_checks(live, EvalSetSpec.model_validate(source.eval_set))
    except OSError as error:
        raise InvalidPlan(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise InvalidPlan(first_fault(error, "evals.live")) from error
    except ValueError as error:
        raise InvalidPlan(str(error)) from error
    if found := policy.host_problems([("spec.upstream.baseURL", source.base_url)]):
        raise InvalidPlan(found[0].message)
    prices = book_of(source.own_prices)
    _check_models(checks, source, prices)
    return Plan(source, live, checks, plan_hash(text), prices)


def _check_models(checks: LiveChecks, source: GradingPlan, prices: Book) -> None:
    for grader in checks.graders:
        for revision, models in source.arms.items():
            if not grader.own_model and any(same_model(grader.model, model) for model in models):
                raise InvalidPlan(
                    f"evals.live: graders, {grader.name}: {grader.model} is also the model of {revision}, and models"
                    " prefer their own answers: name another model, or write ownModel: true"
                )
        if cost_usd(grader.model, {"input_tokens": 1, "output_tokens": 1}, prices) is None:
            raise InvalidPlan(
                f"evals.live: graders, {grader.name}: {grader.model} has no price, so maxCostUSDPerDay cannot be"
                " kept: name a model that has one"
            )
