"""Whether caching is effective: the verdict and its sentences."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from claude_operator.core.usage.cache import CacheUsage, Entry, Lost, Sums
from claude_operator.core.usage.cache_verdict import judge_cache
from claude_operator.core.usage.cold import Cause

NOON = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)


def kept(*entries: Entry, ago: int = 1200) -> CacheUsage:
    begin = int(NOON.timestamp()) - ago
    return CacheUsage({}, {begin // 600 * 600: entries})


def entry(calls: int, read: int, *, lost: int = 0, cause: Cause = Cause.VOLATILE_TEXT, **more: Any) -> Entry:
    """`read` and `lost` are tokens of a call."""
    cold = {cause: Lost(calls, lost * calls, more.pop("usd", 0.0), 0, more.pop("where", ""), more.pop("hint", ""))}
    sums = Sums(calls, (read + lost + 100) * calls, read * calls, lost * calls, cold if lost else {})
    return Entry(more.pop("revision", "r1"), more.pop("surface", "chat"), "p", sums)


def test_nothing_is_known() -> None:
    verdict = judge_cache(None, "r1", None, NOON)
    assert (verdict.state, verdict.is_effective, verdict.hit_ratio) == ("NoTraffic", None, None)


@pytest.mark.parametrize(
    "state", [CacheUsage(), kept(entry(19, 0, lost=5000)), kept(entry(50, 0, lost=5000), ago=90_000)]
)
def test_too_little_traffic_says_nothing(state: CacheUsage) -> None:
    verdict = judge_cache(state, "r1", None, NOON)
    assert (verdict.state, verdict.is_effective) == ("NoTraffic", None)
    assert "fewer than 20 calls" in verdict.message


@pytest.mark.parametrize(
    ("one", "state", "effective"),
    [
        (entry(50, 2000), "Warm", True),
        (entry(50, 2000, lost=800), "Warm", True),
        (entry(50, 2000, lost=900), "Cold", False),
        (entry(50, 0, lost=2000), "Cold", False),
        (entry(50, 0, lost=190), "Warm", True),  # 9,500 tokens are not worth a word
        (entry(50, 0, lost=2000, cause=Cause.NOT_CACHED), "NotCached", False),
        (entry(50, 0), "NotCached", True),
        (entry(49, 0, lost=2000, cause=Cause.TTL_TOO_SHORT), "Warm", True),  # a quiet night
        (entry(50, 0, lost=2000, cause=Cause.TTL_TOO_SHORT), "Cold", False),
    ],
)
def test_verdicts(one: Entry, state: str, effective: bool) -> None:
    verdict = judge_cache(kept(one), "r1", None, NOON)
    assert (verdict.state, verdict.is_effective) == (state, effective)


def test_the_worst_surface_is_named_with_its_price_and_what_to_change() -> None:
    bad = entry(40, 200, lost=4000, usd=1.2, where="system[0]", hint="looks like a timestamp", surface="agent")
    less = entry(40, 200, lost=4000, usd=0.2, where="tools[1]", cause=Cause.TOOLS_REORDERED, surface="chat")
    verdict = judge_cache(kept(bad, less, entry(500, 3000, surface="mail")), "r1", None, NOON)
    assert verdict.message == (
        "surface agent of r1 reads 4.7 % of its input tokens from the cache: in 40 of 40 calls text before a breakpoint"
        " differs from call to call (system[0], looks like a timestamp). It costs $3.60 an hour: put what varies behind"
        " the last breakpoint, or into messages; 1 other surface reads too little too"
    )
    assert [one.surface for one in verdict.surfaces] == ["agent", "chat", "mail"]
    assert [one.state for one in verdict.surfaces] == ["Cold", "Cold", "Warm"]
    assert round(verdict.usd_per_hour, 2) == 4.2


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.NOT_CACHED])
def test_every_cause_has_a_sentence(cause: Cause) -> None:
    verdict = judge_cache(
        kept(entry(100, 0, lost=5000, cause=cause, usd=1.0, where="system[2]", hint="h")), "r1", None, NOON
    )
    assert verdict.state == "Cold"
    assert "{" not in verdict.message
    assert "It costs $" in verdict.message


def test_a_price_that_is_not_known_is_not_called_small() -> None:
    sums = Sums(50, 100_000, 0, 100_000, {Cause.VOLATILE_TEXT: Lost(50, 100_000, 0.0, 50)})
    verdict = judge_cache(kept(Entry("r1", "chat", "p", sums)), "r1", None, NOON)
    assert "tokens an hour, at a price that is not known" in verdict.message


def test_a_canary_has_gaps_by_intention() -> None:
    rare = entry(100, 0, lost=5000, cause=Cause.TTL_TOO_SHORT, revision="r2")
    volatile = entry(100, 0, lost=5000, revision="r2")
    assert judge_cache(kept(entry(50, 2000), rare), "r1", "r2", NOON).state == "Warm"
    assert judge_cache(kept(entry(50, 2000), volatile), "r1", "r2", NOON).state == "Cold"
    assert judge_cache(kept(entry(50, 2000), volatile), "r1", None, NOON).state == "Warm"  # it is not served any more


def test_what_stands_behind_the_breakpoint_is_no_fault() -> None:
    sums = Sums(50, 500_000, 100_000, 0, {})
    verdict = judge_cache(kept(Entry("r1", "chat", "p", sums)), "r1", None, NOON)
    assert (verdict.state, verdict.hit_ratio) == ("Warm", 0.2)
    said = "the rest stands behind the last breakpoint: where conversations have several turns, set cache_control in"
    assert f"{said} messages too" in verdict.message
