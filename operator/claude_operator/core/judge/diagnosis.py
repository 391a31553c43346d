"""What is wrong in a judgement, classified once. Conditions, holds, Events and sentences render what is found here.

Only evidence of harm takes traffic back. Everything else that is found says that the canary cannot be judged now.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from claude_operator.api.conditions import Reason
from claude_operator.api.status import Judgement
from claude_operator.core.judge.effects import explain_change
from claude_operator.core.judge.evidence import recent
from claude_operator.core.judge.metrics import KINDS, MAIN_SHARE, METRICS
from claude_operator.core.judge.stats.detectable import fewest_bad
from claude_operator.core.judge.stats.sample_ratio import LIMIT
from claude_operator.core.text import count, duration, join_names, share

__all__ = [
    "Finding",
    "diagnose",
    "explain_failures",
    "explain_remedy",
    "explain_unnamed",
    "find",
    "is_suspicious",
    "is_uninformative",
    "reason_of",
]

_HANGS = 10.0  # seconds without an answer while requests wait for one
_SEVERAL, _LONG = 3, 120.0  # requests that wait, or seconds that one waits: a single long answer is nothing odd
_ENOUGH, _MANY = 20, 0.1  # requests, and the share of them without a name that is reported
_IN_FLIGHT = 3  # requests of the canary without an answer: their conversations are counted with it
_LONG_ENOUGH, _REQUESTS = 300.0, 100  # seconds, or requests of the canary, after which that is said


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. `healthy` answers the condition CanaryHealthy."""

    reason: Reason
    message: str
    healthy: Literal["True", "False", "Unknown"] = "Unknown"
    holds: bool = True
    """No step proceeds while this is so."""
    asks: bool = False
    """A person may let it pass."""


def diagnose(judgement: Judgement) -> tuple[Finding, ...]:
    """All that is wrong, the worst first: harm, then what is not known, then whose trouble it is; empty for nothing."""
    return tuple(found for find_one in _FINDINGS if (found := find_one(judgement)) is not None)


def find(judgement: Judgement, *reasons: Reason) -> Finding | None:
    """The first finding with one of these reasons."""
    return next((one for one in diagnose(judgement) if one.reason in reasons), None)


def reason_of(judgement: Judgement) -> Reason:
    """The reason of the worst finding; Watching where nothing is wrong."""
    return next((one.reason for one in diagnose(judgement)), Reason.WATCHING)


def explain_remedy(judgement: Judgement) -> str | None:
    """That stable fails and the canary does not, so that promoting the canary helps; None where that is not so."""
    found = find(judgement, Reason.STABLE_FAILING)
    return found.message if found else None


def explain_failures(judgement: Judgement) -> str | None:
    """That the canary's last requests failed too often to proceed, None where they did not."""
    lately = judgement.recent
    if not recent.is_failing(lately):
        return None
    canary = lately.canary
    return f"{round(canary.errors)} of the canary's last {count(round(canary.answered), 'request')} failed"


def explain_unnamed(judgement: Judgement) -> str | None:
    """That many requests do not say which conversation they belong to; None where most do, or that is not known yet."""
    ratio = judgement.sample_ratio
    if ratio is None or ratio.requests < _ENOUGH or ratio.unnamed < _MANY * ratio.requests:
        return None
    part = share(ratio.unnamed / ratio.requests)
    return (
        f"{part} of the requests do not name their conversation, so its later turns are found by the answers that they"
        " quote, which fails where answers are alike: send x-claude-session-id"
    )


def is_suspicious(judgement: Judgement) -> bool:
    """Whether there is so much evidence of harm that the next weight had better wait for it to become clear."""
    return judgement.evidence >= max(math.sqrt(judgement.threshold), 2.0)


def is_uninformative(judgement: Judgement) -> bool:
    """Whether the upstream is in such trouble that this time says nothing about a revision that serves alone."""
    return judgement.overloaded or recent.is_out_of_credit(judgement.recent)


# ------------------------------------------------------------------------------------------------------ findings


def _harm(judgement: Judgement) -> Finding | None:
    if judgement.verdict != "Fail":
        return None
    metric = KINDS.get(judgement.leading or "")
    stored = Reason(judgement.reason) if judgement.reason in set(Reason) else None
    reason = stored or (metric.reason if metric else Reason.ERRORS_INCREASED)
    return Finding(reason, judgement.message, "False")


def _unreachable(judgement: Judgement) -> Finding | None:
    if not judgement.unreachable:
        return None
    return Finding(Reason.METRICS_UNREACHABLE, f"no answer from ready gateway pods {join_names(judgement.unreachable)}")


def _metric_error(judgement: Judgement) -> Finding | None:
    if judgement.verdict != "Error" or judgement.unreachable:
        return None
    return Finding(Reason.METRIC_ERROR, judgement.message)


def _hanging(judgement: Judgement) -> Finding | None:
    """Requests of the canary, or of both arms, wait for an answer that does not come."""
    now = judgement.last_tick
    if now is None or not judgement.waiting or judgement.oldest < _HANGS:
        return None
    if judgement.waiting < _SEVERAL and judgement.oldest < _LONG:
        return None
    since = judgement.last_answer or judgement.started_at or now
    if (now - since).total_seconds() < _HANGS:
        return None
    wait = f"{count(judgement.waiting, 'request')} wait{'s' * (judgement.waiting == 1)} for an answer"
    both = f"; {judgement.waiting_stable:,} of stable wait too" if judgement.waiting_stable else ""
    silence = f"the oldest for {duration(judgement.oldest)}, and none was answered recently"
    return Finding(Reason.NO_ANSWER, f"the canary hangs: {wait}, {silence}{both}")


def _no_traffic(judgement: Judgement) -> Finding | None:
    if judgement.verdict != "NoData":
        return None
    moment = judgement.last_traffic or judgement.started_at
    since = f" since {moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else ""
    return Finding(Reason.NO_TRAFFIC, f"no request on either arm{since}, so there is nothing to judge")


def _account(judgement: Judgement) -> Finding | None:
    if not recent.is_out_of_credit(judgement.recent):
        return None
    cause = "the upstream refuses requests because the account is empty or at its usage limit"
    return Finding(Reason.ACCOUNT_EXHAUSTED, f"{cause}: add credit or raise the limit")


def _overload(judgement: Judgement) -> Finding | None:
    lately = judgement.recent
    if recent.is_limited(lately):
        part = share(lately.canary.share(lately.canary.overloads))
        remedy = "its model has a rate limit of its own: raise it before the canary gets more"
        whose = f"the upstream answers {part} of the canary's requests with 429 or 529 and not stable's"
        return Finding(Reason.OVERLOADED, f"{whose}: {remedy}")
    if not judgement.overloaded:
        return None
    return Finding(Reason.OVERLOADED, "the upstream answers much of the traffic with 429 or 529")


def _stable_failing(judgement: Judgement) -> Finding | None:
    """Stable alone is in trouble: the canary is the way out, so this holds nothing."""
    lately = judgement.recent
    if not recent.is_cured(lately):
        return None
    theirs, ours = share(lately.stable_meanwhile.failed), share(lately.canary_meanwhile.failed)
    message = f"{theirs} of stable's requests fail and {ours} of the canary's: promoting the canary ends this"
    return Finding(Reason.STABLE_FAILING, message, "True", holds=False)


def _shared(judgement: Judgement) -> Finding | None:
    if not judgement.shared or recent.is_cured(judgement.recent):
        return None
    message = f"{judgement.shared}; both arms may be affected, so the canary is neither blamed nor cleared"
    return Finding(Reason.SHARED_INCIDENT, message)


def _asked(judgement: Judgement) -> Finding | None:
    """A change that may be wanted."""
    changes = {name: said for name in judgement.asks if name in METRICS and (said := explain_change(judgement, name))}
    if not changes:
        return None
    reason = METRICS[next(iter(changes))].held
    return Finding(reason, "; ".join(changes.values()), asks=True)


def _sample_ratio(judgement: Judgement) -> Finding | None:
    """The arms get other shares of the conversations than they should."""
    ratio = judgement.sample_ratio
    if ratio is None or ratio.evidence < LIMIT or judgement.waiting >= _IN_FLIGHT:
        return None
    part = ratio.canary / max(ratio.canary + ratio.stable, 1.0)
    got = f"the canary gets {100 * part:.2g} % of the conversations at a weight of {ratio.weight / 100:g} %"
    why = f"; {unnamed}" if (unnamed := explain_unnamed(judgement)) else ""
    return Finding(Reason.SPLIT_MISMATCH, f"{got}, so the arms may not have the same users{why}")


def _few_conversations(judgement: Judgement) -> Finding | None:
    """Nothing but a canary that fails everything could be seen. A bake waits for its proof anyway."""
    now, since, share = judgement.last_tick, judgement.started_at, judgement.weight / 10_000
    if now is None or since is None or judgement.verdict not in ("Inconclusive", "Pass") or not 0.0 < share < 1.0:
        return None
    length, requests = (now - since).total_seconds(), judgement.requests
    counted = next((one for one in judgement.state if one.units.exposed), None)
    have, few = counted.canary[0] if counted else 0, fewest_bad(share, judgement.threshold / MAIN_SHARE)
    silent = counted is None and not requests and judgement.last_traffic == now
    if not (counted or silent) or have >= few or (length < _LONG_ENOUGH and requests < _REQUESTS):
        return None
    began = f"{count(have, 'conversation')} of the canary" if have else "no conversation"
    verb = "has" if have <= 1 else "have"
    seen = (
        f"{began} {verb} begun in {duration(length)}; the test can find nothing before there are {few} at this weight"
    )
    stays = "conversations that began before the canary stay on stable"
    remedy = "where each request can be judged for itself, set spec.assignment.unit: Request"
    return Finding(Reason.FEW_CONVERSATIONS, f"{seen}; {remedy if have else stays}", holds=False)


def _no_data(judgement: Judgement) -> Finding | None:
    """A metric with a threshold whose query finds nothing. A bake waits for it; a pause does not."""
    if judgement.reason != Reason.METRIC_NO_DATA:
        return None
    return Finding(Reason.METRIC_NO_DATA, judgement.message, holds=False)


_FINDINGS: tuple[Callable[[Judgement], Finding | None], ...] = (
    _harm,
    _unreachable,
    _metric_error,
    _hanging,
    _no_traffic,
    _account,
    _overload,
    _stable_failing,
    _shared,
    _asked,
    _sample_ratio,
    _few_conversations,
    _no_data,
)
