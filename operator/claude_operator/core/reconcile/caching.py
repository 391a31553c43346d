"""`status.cache` and the condition CacheEffective: how well prompts are cached, for people."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from claude_operator.api.cache_status import CachePrefix, CacheStatus, CacheSurface
from claude_operator.api.conditions import Condition, Reason, Type
from claude_operator.api.moments import to_millisecond
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.text import share
from claude_operator.core.usage.cache_verdict import CacheVerdict, PrefixFigures, SurfaceFigures, judge_cache
from claude_operator.core.usage.figures import are_fresh, dollars

__all__ = ["CacheReport", "report_cache"]

_STALE = dt.timedelta(minutes=15)  # after which a report says nothing of now
_REASONS = frozenset(Reason)  # another version of the operator may have written others
_ANSWERS: dict[bool | None, Literal["True", "False", "Unknown"]] = {True: "True", False: "False", None: "Unknown"}
_NOT_READ = "what gateways have used has not been read yet"


@dataclass(frozen=True, slots=True)
class CacheReport:
    """What the status says of the cache."""

    cache: CacheStatus | None
    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str


def report_cache(obs: Observation, now: DeploymentStatus) -> CacheReport:
    """The report; what was said stays for five minutes, and for 15 while nothing is known, as after a change of the
    leader. The first calls after a time without traffic are told at once."""
    usage, before = obs.usage, obs.status
    said = next((one for one in before.conditions if one.type == Type.CACHE_EFFECTIVE and one.reason in _REASONS), None)
    holds = said is not None and _still_holds(obs, now.stable_revision)
    if said is not None and holds and said.reason != Reason.NO_TRAFFIC:
        return _repeat(before.cache, said)
    if usage is None:
        return CacheReport(before.cache, "Unknown", Reason.NO_TRAFFIC, _NOT_READ)
    if usage.coverage.silent and not usage.coverage.read:
        return CacheReport(before.cache, "Unknown", Reason.NO_TRAFFIC, "no gateway pod says what it has used")
    verdict = judge_cache(usage.cache, now.stable_revision, now.canary_revision, usage.read_at)
    if said is not None and holds and verdict.state == said.reason:
        return _repeat(before.cache, said)
    cache = _status(verdict, now.stable_revision, usage.read_at) if now.stable_revision else None
    return CacheReport(cache, _ANSWERS[verdict.is_effective], Reason(verdict.state), verdict.message)


def _still_holds(obs: Observation, stable: str | None) -> bool:
    """Whether the last report is new enough, and about the revision that serves."""
    cache = obs.status.cache
    if cache is None or cache.revision != stable:
        return False
    if obs.usage is None:
        return abs(obs.now - cache.at) < _STALE
    return are_fresh(cache.at, obs.usage.read_at)


def _repeat(cache: CacheStatus | None, said: Condition) -> CacheReport:
    return CacheReport(cache, said.status, Reason(said.reason), said.message)


def _status(verdict: CacheVerdict, revision: str, at: dt.datetime) -> CacheStatus:
    return CacheStatus(
        revision=revision,
        hit_ratio=None if verdict.hit_ratio is None else share(verdict.hit_ratio),
        lost=_per_hour(verdict.usd_per_hour),
        surfaces=[_surface(one) for one in verdict.surfaces],
        prefixes=[_prefix(one) for one in verdict.prefixes],
        at=to_millisecond(at),
    )


def _surface(one: SurfaceFigures) -> CacheSurface:
    return CacheSurface(
        surface=one.surface,
        hit_ratio=share(one.hit_ratio),
        calls=one.calls,
        input_tokens=one.input,
        state=one.state,
        cause=one.cause or None,
        lost=_per_hour(one.usd_per_hour),
    )


def _prefix(one: PrefixFigures) -> CachePrefix:
    ratio = share(one.hit_ratio)
    return CachePrefix(prefix=one.prefix, surface=one.surface, hit_ratio=ratio, calls=one.calls, input_tokens=one.input)


def _per_hour(usd: float) -> str | None:
    return f"{dollars(usd)}/h" if usd >= 0.005 else None
