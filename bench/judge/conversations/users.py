"""What the operator knows of users from the hour before the canary: by how much those that it gets differ."""

from __future__ import annotations

import numpy as np

from bench.judge.conversations.cases import Case
from bench.judge.conversations.quantities import price
from bench.judge.conversations.sessions import ERROR, Drawn
from bench.judge.ticks import Floats, Ints
from claude_operator.api.status import Offsets
from claude_operator.core.judge.evidence import offset

__all__ = ["offsets"]


def offsets(case: Case, drawn: Drawn) -> list[Offsets]:
    """For each weight, a user being a cohort; nothing where users are not what is drawn."""
    if case.unit != "User":
        return []
    before = np.flatnonzero((drawn.time < 0.0) & (drawn.outcome[0] <= ERROR))
    user = drawn.user[drawn.conversation[before]]
    complete = drawn.outcome[0][before] < ERROR
    ttft = np.log(drawn.ttft[0][before])
    cost = np.log(price(drawn.prompt[0][before], drawn.output[0][before]))
    history = offset.CohortHistory(_rows(user, complete, ttft, cost))
    labels = np.zeros(int(user.max(initial=0)) + 1)
    labels[user] = drawn.label[drawn.conversation[before]]  # one a user
    within = float(np.var(ttft)), float(np.var(cost))
    found = []
    for weight in case.weights:
        high, low = (
            offset.estimate(
                history,
                lambda one, weight=weight: bool(labels[one] < weight),
                ttft_within=within[0],
                cost_within=within[1],
                caution=caution,
            )
            for caution in (offset.CAUTION, -offset.CAUTION)
        )
        found.append(
            Offsets(
                weight=round(10_000 * weight),
                errors=high.errors,
                errors_least=low.errors,
                time_to_first_token=high.time_to_first_token,
                cost=high.cost,
            )
        )
    return found


def _rows(user: Ints, complete: np.ndarray, ttft: Floats, cost: Floats) -> dict[int, offset.Row]:
    """By user: requests, errors, and count and sum of the logarithms of both quantities."""
    size = int(user.max(initial=0)) + 1
    requests, served = np.bincount(user, minlength=size), np.bincount(user[complete], minlength=size)
    sums = [np.bincount(user[complete], one[complete], size) for one in (ttft, cost)]
    return {
        one: (requests[one], requests[one] - served[one], served[one], sums[0][one], served[one], sums[1][one])
        for one in np.flatnonzero(requests).tolist()
    }
