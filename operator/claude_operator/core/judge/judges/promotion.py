"""May the canary have the next weight? Evidence that it does not cost more than is tolerated.

At weight w a canary whose share of bad requests is d above stable's raises that of all requests by w d. With B of all
requests tolerated, the next weight w' is safe where d < B / w'. Two e-processes against "d is that much or more",
averaged: the exact conditional test of `eprocess` with the ratio 1 + (B / w') / p as its null, p being stable's rate;
and, since stable is often too good to compare with, the plain likelihood ratio of the canary's own rate against B / w'.
A conversation is a trial each time that it enters a period of its turns, and goes bad once. Of gateways that do not
count conversations requests are, so a burst of errors can only make it wait.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from claude_operator.api.analysis import Analysis
from claude_operator.api.status import Judgement, Promotion
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.strata import Closed
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.judges.engine import offsets_at
from claude_operator.core.judge.sentences import number
from claude_operator.core.judge.stats.detectable import promotion_needed
from claude_operator.core.judge.stats.eprocess import stored
from claude_operator.core.text import count, duration

__all__ = ["advance", "advanced", "explain_missing", "margin_of", "needed", "new_promotion"]

_RATIOS = (1.0, 0.7, 0.4)  # of the canary's rate to stable's, where it is harmless
_SHARES = (0.5, 0.2, 0.05, 0.01)  # of the margin that the canary's own rate may be, where it is harmless
_SIZE = len(_RATIOS) + len(_SHARES)
_CONDITIONAL = 0.6  # of the evidence: where stable has errors of its own, only the comparison can show it
_LN_CAP = 690.0
_ERROR = "error"
_UNSEEN = 2.0  # bad requests of stable that are added to those seen: a rate that is taken too low proves too much

_Trials = tuple[int, int]
"""How many, and the bad ones."""


def margin_of(tolerated: float, next_weight: float) -> float:
    """Excess of bad requests to be ruled out, both as shares; 1 or more where nothing is asked."""
    return tolerated / next_weight if next_weight > 0 else 1.0


def new_promotion(step: int, margin: float, false_promotion_rate: float) -> Promotion:
    """Nothing shown yet; where the margin is 1 or more there is nothing to show."""
    given = margin >= 1.0
    threshold = 1.0 / false_promotion_rate
    evidence = threshold if given else 1.0
    return Promotion(step=step, margin=margin, evidence=evidence, threshold=threshold, shown=given, logs=[0.0] * _SIZE)


def advance(
    before: Judgement, strata: Closed, tick: Tick, analysis: Analysis, context: Context
) -> tuple[list[Promotion], list[int]]:
    """What is shown for each bake after these strata, and stable's trials and bad ones so far."""
    known = {(one.step, one.margin): one for one in before.promotions}
    exposure = offsets_at(before.offsets, context.weight).errors_least
    found = [
        known.get((bake.step, bake.margin)) or new_promotion(bake.step, bake.margin, analysis.false_promotion_rate)
        for bake in context.bakes
    ]
    trials, bad = before.stable_requests
    errors = next((one for one in before.state if one.name == "errors"), None)
    by_unit = bool(tick.units or (errors and errors.units.exposed))
    if tick.units and errors and errors.stable[0] and not errors.units.exposed:
        trials, bad = 0, 0  # gateways of before counted requests, which go bad more or less often
    for canary, stable, share in [*_trials(tick), *_requests(strata)]:
        found = [advanced(one, canary, stable, (trials, bad), exposure=exposure, share=share) for one in found]
        if share is not None or not by_unit:
            trials, bad = trials + stable[0], bad + stable[1]
    return found, [trials, bad]


def _requests(strata: Closed) -> Iterator[tuple[_Trials, _Trials, float | None]]:
    for _, period, arms in strata:
        if not period:
            ours, theirs = arms.canary.counts, arms.stable.counts
            yield (ours.judged, ours.errors), (theirs.judged, theirs.errors), None


def _trials(tick: Tick) -> Iterator[tuple[_Trials, _Trials, float | None]]:
    """Conversations that entered a period and first errors of both arms, by the share that was drawn with.

    Those that the canary got without a draw are held against the margin alone.
    """
    sums: dict[float, tuple[list[int], list[int]]] = {}
    for at, arms in tick.units.items():
        for known, sample in zip(sums.setdefault(at.share, ([0, 0], [0, 0])), arms, strict=True):
            known[0] += sample.entries
            known[1] += sample.bad(_ERROR)
    for share, (ours, theirs) in sorted(sums.items()):
        if any((*ours, *theirs)):
            yield (ours[0], ours[1]), (theirs[0], theirs[1]), share
    if tick.undrawn.entries or tick.undrawn.first_bad:
        yield (tick.undrawn.entries, tick.undrawn.bad(_ERROR)), (0, 0), None


def explain_missing(promotion: Promotion, judgement: Judgement, pace: float) -> str:
    """The excess that is not ruled out yet, and how many requests it may take; `pace`: canary requests a second."""
    margin = f"{100 * promotion.margin:.2g}"
    points = f"{margin} {'point' if margin == '1' else 'points'} more errors than stable"
    have = f"evidence {number(promotion.evidence)} of {number(promotion.threshold)}"
    return f"has not yet ruled out that the canary has {points} ({have}){_requests_missing(promotion, judgement, pace)}"


def _requests_missing(promotion: Promotion, judgement: Judgement, pace: float) -> str:
    """`; about 2,300 more canary requests, 46 min at this traffic`."""
    requests, bad = judgement.stable_requests
    share = judgement.weight / 10_000
    if not requests or not 0.0 < share < 1.0:
        return ""
    more = needed(promotion, bad / requests, share)  # guessing high while little is seen would ask for too many
    unit = "request"
    counted = next((one for one in judgement.state if one.units.canary and one.canary[0]), None)
    if counted is not None:
        unit = "conversation"
        more *= counted.canary[0] / counted.units.canary
        pace *= counted.canary[0] / max(judgement.requests, 1)
    if not math.isfinite(more):
        return ""
    digits = 10 ** max(math.floor(math.log10(max(more, 1.0))) - 1, 0)
    rounded = math.ceil(more / digits) * digits
    time = f", {duration(more / pace)} at this traffic" if pace > 0.0 else ""
    return f"; about {count(rounded, f'more canary {unit}')}{time}"


def advanced(
    promotion: Promotion,
    canary: tuple[int, int],
    stable: tuple[int, int],
    known: tuple[int, int],
    *,
    exposure: float = 1.0,
    share: float | None = None,
) -> Promotion:
    """After a stratum with (trials, bad ones) of each arm; `known` are those of stable before it.

    `exposure`: how many times as likely as stable's the canary's users were to meet a bad one before, at least.
    `share`: the canary's of conversations that were drawn; of requests it is that of those that came.
    """
    (n_canary, x_canary), (n_stable, x_stable) = canary, stable
    delta = promotion.margin * min(exposure, 1.0)  # of users who are lucky, less is to be expected
    if promotion.margin >= 1.0 or not (n_canary or x_canary or share):
        return promotion
    logs = list(promotion.logs)
    bad = x_canary + x_stable
    if bad and known[0] and (n_stable or share):
        ours, theirs = (n_canary, n_stable) if share is None else (share, 1.0 - share)
        part = ours * exposure / (ours * exposure + theirs)
        rate = min((known[1] + _UNSEEN) / (known[0] + _UNSEEN), 1.0)
        worst = 1.0 + promotion.margin / rate
        base = math.log1p((worst - 1.0) * part)
        for index, ratio in enumerate(_RATIOS):
            logs[index] += x_canary * math.log(ratio / worst) - bad * (math.log1p((ratio - 1.0) * part) - base)
    for index, of_margin in enumerate(_SHARES, len(_RATIOS)):
        good = n_canary - x_canary
        logs[index] += x_canary * math.log(of_margin) + good * (math.log1p(-of_margin * delta) - math.log1p(-delta))
    logs = stored(logs)
    conditional, absolute = logs[: len(_RATIOS)], logs[len(_RATIOS) :]
    evidence = _CONDITIONAL * _mean(conditional) + (1.0 - _CONDITIONAL) * _mean(absolute)
    shown = promotion.shown or evidence >= promotion.threshold
    return Promotion.made(
        step=promotion.step,
        margin=promotion.margin,
        evidence=evidence,
        threshold=promotion.threshold,
        shown=shown,
        logs=logs,
    )


def needed(promotion: Promotion, rate: float, share: float) -> float:
    """Canary requests that are still to be expected where the canary equals stable; infinite where none would do.

    `rate`: stable's share of bad requests, `share`: the canary's of all requests.
    """
    if promotion.shown:
        return 0.0
    conditional, absolute = promotion.logs[: len(_RATIOS)], promotion.logs[len(_RATIOS) :]
    # What the two best alternatives, which grow alike, lack for their part of the evidence to reach the threshold.
    lacks = math.log(promotion.threshold * len(_RATIOS) / _CONDITIONAL / 2.0) - max(conditional)
    compared = promotion_needed(rate, promotion.margin, share, math.exp(min(max(lacks, 0.0), _LN_CAP)))
    alone = math.inf
    if rate < promotion.margin < 1.0:
        divergence = (1.0 - rate) * math.log((1.0 - rate) / (1.0 - promotion.margin))
        divergence += rate * math.log(rate / promotion.margin) if rate > 0.0 else 0.0
        lacks = math.log(promotion.threshold * len(_SHARES) / (1.0 - _CONDITIONAL) / 2.0) - max(absolute)
        alone = max(lacks, 0.0) / divergence if divergence > 0.0 else math.inf
    return min(compared, alone)


def _mean(logs: list[float]) -> float:
    top = max(logs)
    return math.exp(min(top + math.log(math.fsum(math.exp(log - top) for log in logs) / len(logs)), _LN_CAP))
