"""What the simulated rollouts are like: rates, regressions and the ways in which a null can look like one."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["POLICY", "SCENARIOS", "Scenario", "find"]

WEIGHTS = (0.01, 0.10, 0.50)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of rollout. Rates are shares of requests, times are seconds, factors multiply the canary's samples.

    `null`: the canary is no worse than stable, so that every rollback is a false one.
    `families`: which rules are compared on it, by what they watch: errors, ttft, cost.
    `promised`: a small share of its rollouts is promised, so it takes all of them to tell.
    """

    name: str
    title: str
    null: bool = False
    families: tuple[str, ...] = ("errors",)
    promised: bool = False
    requests_per_second: float = 50.0
    tick_seconds: float = 15.0
    """How often the gateways are read; the operator does it every 5 s where nothing is said."""
    step_seconds: float = 600.0
    adaptive: bool = False
    """A step ends when the rule says so; `step_seconds` is then the longest that a step may take."""
    weights: tuple[float, ...] = WEIGHTS

    errors: float = 0.005
    excess_errors: float = 0.0
    drift_to: float | None = None
    """Both arms' error rate and time to first token drift over the planned rollout: to this rate, and to 1.5 times."""
    incident_seconds: float = 0.0
    incident_errors: float = 0.30
    burst: float = 0.0
    """Mean number of failed requests of a conversation that fails, 0 for independent requests."""
    pods: int = 1
    """Gateway pods; the failures of a conversation reach any of them."""
    units: int = 0
    """Sticky units, each wholly on one arm; 0 for a split of single requests."""
    units_cv: float = 0.0
    units_ttft_sd: float = 0.0
    units_cost_sd: float = 0.0
    cached: bool = False
    """Whether requests use the prompt cache; those that do not are like those that it serves."""
    cold_prefixes: int = 0
    """Prompt prefixes that the canary's cache starts without; 0 for a cache that is warm on both arms."""
    ttft_factor: float = 1.0
    slow_share: float = 0.0
    slow_seconds: float = 10.0
    shared_slowdown: float = 1.0
    cost_factor: float = 1.0

    refusals: float = 0.003
    max_tokens: float = 0.01
    overloads: float = 0.001
    hit_ratio: float = 0.97
    ttft_median: float = 0.787
    ttft_sigma: float = 0.6
    miss_ttft: float = 2.1
    cost_median: float = 0.01
    cost_sigma: float = 1.5
    miss_cost: float = 4.2

    @property
    def planned_seconds(self) -> float:
        """How long the rollout takes at fixed steps; drifts and incidents are placed in it."""
        return self.step_seconds * len(self.weights)


_ALL = ("errors", "ttft", "cost")
_NULL = Scenario("null", "no difference", null=True, families=_ALL, promised=True)
_NULLS: tuple[Scenario, ...] = (
    _NULL,
    replace(_NULL, name="null-1.2", title="no difference, errors 1.2 %", errors=0.012, families=("errors",)),
    replace(_NULL, name="bursty-2", title="failures in bursts of 5, 2 pods", burst=5.0, pods=2, families=("errors",)),
    replace(
        _NULL, name="bursty-10", title="failures in bursts of 5, 10 pods", burst=5.0, pods=10, families=("errors",)
    ),
    replace(_NULL, name="incident", title="shared 3-minute incident, +30 points", incident_seconds=180.0),
    replace(
        _NULL, name="drift", title="errors drift 0.2 → 2 %, time to first token × 1.5", errors=0.002, drift_to=0.02
    ),
    replace(
        _NULL,
        name="units",
        title="200 sticky units that differ in errors (CV 2), speed and cost",
        units=200,
        units_cv=2.0,
        units_ttft_sd=0.3,
        units_cost_sd=0.5,
    ),
    replace(_NULL, name="cold-cache", title="the canary's prompt cache is cold", cached=True, cold_prefixes=1000),
    replace(_NULL, name="slowdown", title="both arms get 2 × slower", shared_slowdown=2.0),
)
_NULL_5S = replace(_NULL, name="null-5s", title="no difference, read every 5 s", tick_seconds=5.0, families=())
_WORSE = Scenario("", "", tick_seconds=5.0)
_SLOW = replace(_WORSE, families=("ttft",))
_DEAR = replace(_WORSE, families=("cost",))


def _quiet(scenario: Scenario, tick_seconds: float) -> Scenario:
    return replace(
        scenario,
        name=f"quiet-{scenario.name}",
        requests_per_second=5.0,
        step_seconds=3600.0,
        tick_seconds=tick_seconds,
    )


_ERRORS_2 = replace(_WORSE, name="errors+2", title="errors +2 points", excess_errors=0.02, promised=True)
_ERRORS_20 = replace(_WORSE, name="errors+20", title="errors +20 points", excess_errors=0.20, promised=True)

SCENARIOS: tuple[Scenario, ...] = (
    *_NULLS,
    _NULL_5S,
    replace(_WORSE, name="errors+0.25", title="errors +0.25 points", excess_errors=0.0025, tick_seconds=15.0),
    replace(_WORSE, name="errors+0.5", title="errors +0.5 points", excess_errors=0.005, tick_seconds=15.0),
    _ERRORS_2,
    _ERRORS_20,
    replace(_WORSE, name="broken", title="every request fails", excess_errors=0.995, promised=True),
    replace(
        _WORSE,
        name="units-errors+2",
        title="200 sticky units (CV 2), errors +2 points",
        excess_errors=0.02,
        units=200,
        units_cv=2.0,
    ),
    replace(_SLOW, name="ttft-1.1", title="time to first token × 1.1", ttft_factor=1.1, tick_seconds=15.0),
    replace(_SLOW, name="ttft-1.3", title="time to first token × 1.3", ttft_factor=1.3),
    replace(_SLOW, name="ttft-2", title="time to first token × 2", ttft_factor=2.0),
    replace(_SLOW, name="slow-tail", title="5 % of requests 10 s slower", slow_share=0.05),
    replace(_DEAR, name="cost-1.3", title="cost × 1.3", cost_factor=1.3, tick_seconds=15.0),
    replace(_DEAR, name="cost-2", title="cost × 2", cost_factor=2.0),
    *(_quiet(one, 30.0) for one in _NULLS if one.name != "slowdown"),
    _quiet(_NULL_5S, 5.0),
    replace(_quiet(_ERRORS_2, 15.0), promised=False),
    replace(_quiet(_ERRORS_20, 15.0), promised=False),
)
"""Rollouts with steps of fixed length, for all rules."""

_EXCESSES = ("0", "0.25", "0.5", "2", "20")
_POLICIES = {
    "adaptive": (
        "50 requests/s, steps end on evidence",
        Scenario("", "", adaptive=True, step_seconds=3600.0, tick_seconds=5.0),
        ("0", "0.5"),
    ),
    "fixed": ("50 requests/s, 10-minute steps", Scenario("", ""), ()),
    "quiet-adaptive": (
        "5 requests/s, steps end on evidence",
        Scenario("", "", adaptive=True, step_seconds=3600.0, requests_per_second=5.0, tick_seconds=30.0),
        ("0.5", "2"),
    ),
    "quiet-fixed": ("5 requests/s, 10-minute steps", Scenario("", "", requests_per_second=5.0), ()),
}

POLICY: tuple[Scenario, ...] = tuple(
    replace(
        policy,
        name=f"{name}+{points}",
        title=f"{title}, errors +{points} points",
        null=points == "0",
        excess_errors=float(points) / 100.0,
        families=(),
        promised=points in promised,
    )
    for name, (title, policy, promised) in _POLICIES.items()
    for points in _EXCESSES
)
"""Whole policies, for this project's judge alone: does it promote, roll back or hold?"""


def find(names: list[str]) -> tuple[Scenario, ...]:
    """The scenarios of these names, in the usual order; all of them for none. Raises `ValueError` with the names."""
    every = (*SCENARIOS, *POLICY)
    unknown = sorted(set(names) - {one.name for one in every})
    if unknown:
        known = " ".join(one.name for one in every)
        raise ValueError(f"no scenario {', '.join(unknown)}; there are: {known}")
    return tuple(one for one in every if not names or one.name in names)
