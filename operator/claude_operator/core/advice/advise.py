"""All advice for a ClaudeDeployment, the largest saving first, and what is missing for more."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from claude_operator.core.advice.advice import Advice, Found
from claude_operator.core.advice.caching import better_caching
from claude_operator.core.advice.case import LEAST_CALLS, LEAST_DAYS, Case
from claude_operator.core.advice.latency import faster
from claude_operator.core.advice.models import bill_now, less_effort, smaller_models
from claude_operator.core.advice.waiting import batches
from claude_operator.core.text import count, share
from claude_operator.core.usage.figures import dollars

__all__ = ["advise"]

_EXACT = 0.02  # that measured costs and the arithmetic may be apart without a word


def advise(case: Case) -> Found:
    """Nothing is advised before there is a day of traffic: a night is not like a day."""
    lacking = _lacking(case)
    if lacking:
        return Found(missing=(lacking,), lacks_data=True)
    levers = (smaller_models, less_effort, better_caching, batches, faster)
    found = list(itertools.chain.from_iterable(lever(case) for lever in levers))
    advice = sorted((one for one in found if isinstance(one, Advice)), key=lambda one: -(one.saves or 0.0))
    return Found(tuple(advice), (*_gaps(case), *(one for one in found if isinstance(one, str))))


def _lacking(case: Case) -> str:
    """Why there is too little to say anything; empty where there is enough."""
    calls = case.measured.calls
    if case.usages.spend.began is None:
        return "the operator has not read a gateway yet"
    if case.days < LEAST_DAYS:
        return f"{case.span} of calls are recorded, and a whole day is needed: ask again later"
    if calls < LEAST_CALLS:
        return f"{count(calls, 'call')} in {case.span}: {LEAST_CALLS} are needed"
    return ""


def _gaps(case: Case) -> Iterator[str]:
    """Traffic that the advice says nothing of, or not exactly."""
    measured, scopes = case.measured, list(case.scopes())
    own = {name for name, one in (case.spec.subagents or {}).items() if "model" in one.request}
    known = sum(scope.measured.calls for scope in scopes if not scope.subagent or scope.subagent in own)

    def part(calls: int) -> str:
        return f"{count(calls, 'call')} of {measured.calls:,} ({share(calls / measured.calls)})"

    if measured.unpriced:
        yield f"{part(measured.unpriced)} had no known price: their tokens are reckoned with by the list, if it has any"
    if case.folded.calls:
        yield f"{part(case.folded.calls)} are not kept apart by model, and are left out"
    rest = measured.calls - known - case.folded.calls
    if rest > 0:
        yield f"{part(rest)} were answered by models that the spec does not name now, and are left out"
    for scope in scopes:
        bill = bill_now(case, scope)
        if bill is not None and not scope.measured.unpriced and not scope.subagent:
            now, paid = sum(line.usd for line in bill.values()), scope.measured.usd / case.days
            if abs(now - paid) > _EXACT * paid:
                yield (
                    f"the gateways measured {dollars(paid)} a day for the calls of {scope.place}, and the arithmetic"
                    f" says {dollars(now)}: web searches, other prices at that time, or prompts of many sizes"
                )
