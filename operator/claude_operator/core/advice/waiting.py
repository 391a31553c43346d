"""Message Batches at half the price, for the calls of surfaces where nobody waits."""

from __future__ import annotations

import math
from collections.abc import Iterator

from claude_operator.api.evidence import OTHER
from claude_operator.core.advice.advice import LEAST_SAVED, Advice
from claude_operator.core.advice.bills import Bill, Line, Move, bill_of, prompt_of
from claude_operator.core.advice.case import LEAST_CALLS, Case
from claude_operator.core.advice.patches import objections
from claude_operator.core.catalogue.cost import prices_at, request_factor
from claude_operator.core.spec.budgets import THROUGHPUT
from claude_operator.core.usage.amounts import Amounts, total

__all__ = ["batches", "surface_bill", "throughput_patch"]

_HALF = 0.5


def batches(case: Case) -> Iterator[Advice | str]:
    """For each surface with budgets of throughput alone; or why there is no such advice.

    Gateways count a call under its surface where a budget names that, and else as `other`.
    """
    budgets = case.spec.budgets or ()
    budgeted = {one.surface for one in budgets}
    waited_for = {one.surface for one in budgets if one.metric != THROUGHPUT}
    unnamed = 0
    for surface in sorted({key.surface for key in case.rows}):
        measured = total(amounts for key, amounts in case.rows.items() if key.surface == surface)
        if surface in ("", OTHER) or surface not in budgeted:
            unnamed += measured.calls
        elif surface not in waited_for and measured.calls >= LEAST_CALLS:
            found = _batch(case, surface, measured)
            if found is not None:
                yield found
    if unnamed >= LEAST_CALLS:
        yield (
            f"batches: {unnamed:,} calls name no surface that a budget knows, so nobody can say which of them can wait:"
            " give the surface of those a budget of throughput, and send x-claude-surface"
        )


def surface_bill(case: Case, surface: str) -> dict[str, Bill] | None:
    """By model; None where the price of one is not known."""
    by_model: dict[str, list[Amounts]] = {}
    for key, amounts in case.rows.items():
        if key.surface == surface and amounts.calls:
            by_model.setdefault(key.model, []).append(amounts)
    factor, found = request_factor(case.spec.request.model_dump(exclude_unset=True)), {}
    for model, parts in by_model.items():
        amounts = total(parts)
        prices = prices_at(case.model(model) or model, prompt_of(amounts), case.book)
        bill = None if prices is None else bill_of(amounts, case.days, prices, factor)
        if bill is None:
            return None
        found[model] = bill
    return found


def throughput_patch(case: Case, surface: str, calls: int) -> dict[str, object]:
    """A budget by which the operator shows whether batches come in time, and no other of the surface."""
    rate = max(1, math.floor(calls / case.days / 24.0))
    budgets = [
        one for one in case.raw.get("budgets") or [] if one.get("surface") != surface or one.get("metric") == THROUGHPUT
    ]
    if all(one.get("surface") != surface for one in budgets):
        budgets.append({"surface": surface, "metric": THROUGHPUT, "min": f"{rate}/h"})
    return {"spec": {"budgets": budgets}}


def _batch(case: Case, surface: str, measured: Amounts) -> Advice | None:
    bills = surface_bill(case, surface)
    if not bills:
        return None
    moves = [
        Move(bill, {kind: Line(one.tokens, one.price * _HALF) for kind, one in bill.items()}, "in a batch")
        for bill in bills.values()
    ]
    patch = throughput_patch(case, surface, measured.calls)
    saved = sum(move.saved for move in moves)
    if saved < LEAST_SAVED or objections(case, patch):
        return None
    told = [f"{model}: {text}" for model, move in zip(bills, moves, strict=True) for text in move.sentences()]
    return Advice(
        lever="Batches",
        title=f"send the calls of surface {surface} as Message Batches",
        arithmetic=tuple(told if len(bills) > 1 else moves[0].sentences()),
        confidence=case.confidence(measured.calls).at_most("Medium"),
        assumes=(
            "nobody waits for these answers, since throughput is all that the surface has a budget of: a batch may take"
            " up to 24 hours",
            "as much is read from the cache as now",
        ),
        risk=(
            "late answers: the surface's budget shows them in WithinBudget. The spec stays as it is. The application"
            " has to send the batches and to put model, system and tools into them itself: the gateway passes them"
            " through without a revision, so evals and canary do not see them"
        ),
        patch=patch,
        saves=saved,
        is_gated=False,
    )
