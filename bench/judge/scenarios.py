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
    """

    name: str
    title: str
    null: bool = False
    families: tuple[str, ...] = ("errors",)
    requests_per_second: float = 50.0
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
    """Gateway pods; a failing conversation is counted once by each pod that it reaches."""
    units: int = 0
    """Sticky units, each wholly on one arm; 0 for a split of single requests."""
    units_cv: float = 0.0
    units_ttft_sd: float = 0.0
    units_cost_sd: float = 0.0
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
_NULL = Scenario("null", "no difference, errors 0.5 %", null=True, families=_ALL)
_BURSTY = replace(_NULL, burst=5.0, families=("errors",))
_WORSE = Scenario("", "")
_SLOW = Scenario("", "", families=("ttft",))
_DEAR = Scenario("", "", families=("cost",))
_QUIET = Scenario("", "", requests_per_second=5.0, step_seconds=3600.0)

SCENARIOS: tuple[Scenario, ...] = (
    _NULL,
    replace(_NULL, name="null-1.2", title="no difference, errors 1.2 %", errors=0.012, families=("errors",)),
    replace(_NULL, name="incident", title="shared 3-minute incident, +30 points", incident_seconds=180.0),
    replace(
        _NULL, name="drift", title="errors drift 0.2 → 2 %, time to first token × 1.5", errors=0.002, drift_to=0.02
    ),
    replace(_BURSTY, name="bursty-2", title="failures in bursts of 5, 2 pods", pods=2),
    replace(_BURSTY, name="bursty-10", title="failures in bursts of 5, 10 pods", pods=10),
    replace(
        _NULL,
        name="units",
        title="200 sticky units, error rates differ (CV 2)",
        families=("errors",),
        units=200,
        units_cv=2.0,
    ),
    replace(
        _NULL,
        name="units-slow",
        title="200 sticky units, speed and cost differ",
        families=("ttft", "cost"),
        units=200,
        units_ttft_sd=0.3,
        units_cost_sd=0.5,
    ),
    replace(_NULL, name="cold-cache", title="the canary's prompt cache is cold", cold_prefixes=1000),
    replace(_NULL, name="slowdown", title="both arms get 2 × slower", shared_slowdown=2.0),
    replace(_WORSE, name="errors+0.25", title="errors +0.25 points", excess_errors=0.0025),
    replace(_WORSE, name="errors+0.5", title="errors +0.5 points", excess_errors=0.005),
    replace(_WORSE, name="errors+2", title="errors +2 points", excess_errors=0.02),
    replace(_WORSE, name="errors+20", title="errors +20 points", excess_errors=0.20),
    replace(_WORSE, name="broken", title="every request fails", excess_errors=0.995),
    replace(
        _WORSE,
        name="units-errors+2",
        title="200 sticky units (CV 2), errors +2 points",
        excess_errors=0.02,
        units=200,
        units_cv=2.0,
    ),
    replace(_SLOW, name="ttft-1.1", title="time to first token × 1.1", ttft_factor=1.1),
    replace(_SLOW, name="ttft-1.3", title="time to first token × 1.3", ttft_factor=1.3),
    replace(_SLOW, name="ttft-2", title="time to first token × 2", ttft_factor=2.0),
    replace(_SLOW, name="slow-tail", title="5 % of requests 10 s slower", slow_share=0.05),
    replace(_DEAR, name="cost-1.3", title="cost × 1.3", cost_factor=1.3),
    replace(_DEAR, name="cost-2", title="cost × 2", cost_factor=2.0),
    replace(_QUIET, name="quiet-null", title="5 requests/s, 60-minute steps: no difference", null=True),
    replace(_QUIET, name="quiet-errors+2", title="5 requests/s: errors +2 points", excess_errors=0.02),
    replace(_QUIET, name="quiet-errors+20", title="5 requests/s: errors +20 points", excess_errors=0.20),
)
"""Rollouts with steps of fixed length, for all rules."""

_EXCESSES = ("0", "0.25", "0.5", "2", "20")


def _policy(name: str, title: str, **how: float | bool) -> tuple[Scenario, ...]:
    return tuple(
        replace(
            _WORSE,
            name=f"{name}+{points}",
            title=f"{title}, errors +{points} points",
            null=points == "0",
            excess_errors=float(points) / 100.0,
            families=(),
            **how,
        )
        for points in _EXCESSES
    )


POLICY: tuple[Scenario, ...] = (
    *_policy("adaptive", "50 requests/s, steps end on evidence", adaptive=True, step_seconds=3600.0),
    *_policy("fixed", "50 requests/s, 10-minute steps"),
    *_policy(
        "quiet-adaptive",
        "5 requests/s, steps end on evidence",
        adaptive=True,
        step_seconds=3600.0,
        requests_per_second=5.0,
    ),
    *_policy("quiet-fixed", "5 requests/s, 10-minute steps", requests_per_second=5.0),
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
