"""Rules of other tools and of the textbooks, each after its source, with one interface."""

from __future__ import annotations

from collections.abc import Mapping

from bench.judge.rivals.confidence import GuardedRollout, SafeRollout
from bench.judge.rivals.kayenta import Kayenta, error_percent, p95s
from bench.judge.rivals.sequential import GroupSequential, MixtureSprt, RepeatedZTest
from bench.judge.rivals.thresholds import ConsecutiveFailures, FailedChecks, FailureLimit, error_rate, p95, p95_ratio
from bench.judge.rules import RuleFactory

__all__ = ["RIVALS", "TITLES"]

ERROR_LIMIT = 0.01
# 1.4 times the 95th percentile of a stable that nothing ails: seconds, US dollars.
TTFT_BUDGET = 3.0
COST_BUDGET = 0.17

_ERRORS: Mapping[str, RuleFactory] = {
    "consecutive": lambda context: ConsecutiveFailures(context, error_rate, ERROR_LIMIT),
    "failure-limit": lambda context: FailureLimit(context, error_rate, ERROR_LIMIT),
    "failed-checks": lambda context: FailedChecks(context, error_rate, ERROR_LIMIT),
    "kayenta-step": lambda context: Kayenta(context, error_percent, each_minute=False),
    "kayenta-minute": lambda context: Kayenta(context, error_percent, each_minute=True),
    "z-test": RepeatedZTest,
    "msprt": MixtureSprt,
    "group-sequential": GroupSequential,
    "safe-rollout": SafeRollout,
    "guarded-rollout": GuardedRollout,
}


def _quantiles(quantity: str, budget: float) -> Mapping[str, RuleFactory]:
    return {
        "p95-budget": lambda context: ConsecutiveFailures(context, p95(quantity), budget),
        "p95-ratio": lambda context: ConsecutiveFailures(context, p95_ratio(quantity), 1.2),
        "kayenta-p95": lambda context: Kayenta(context, p95s(quantity), each_minute=True),
    }


RIVALS: Mapping[str, Mapping[str, RuleFactory]] = {
    "errors": _ERRORS,
    "ttft": _quantiles("ttft", TTFT_BUDGET),
    "cost": _quantiles("cost", COST_BUDGET),
}
"""By what they watch."""

TITLES: Mapping[str, str] = {
    "ours": "claude-operator's judge, α = 1 %",
    "ours-no-margins": "claude-operator's judge, maxIncrease 0 %",
    "ours-by-pod": "claude-operator's judge, failing conversations counted by pod",
    "consecutive": "errors > 1 %, 3 minutes in a row",
    "failure-limit": "errors > 1 %, Argo Rollouts failureLimit 3",
    "failed-checks": "errors > 1 %, Flagger threshold 5",
    "kayenta-step": "Kayenta's judge, at the end of a step",
    "kayenta-minute": "Kayenta's judge, every minute",
    "z-test": "z-test every minute, α = 5 %",
    "msprt": "mixture SPRT on pooled counts, α = 5 %",
    "group-sequential": "group-sequential (O'Brien-Fleming), α = 5 %",
    "safe-rollout": "GrowthBook's Safe Rollout, one-sided, α = 5 %",
    "guarded-rollout": "LaunchDarkly's guarded rollout, α = 5 %",
    "p95-budget": "95th percentile > budget, 3 minutes in a row",
    "p95-ratio": "95th percentile > 1.2 × stable's, 3 minutes in a row",
    "kayenta-p95": "Kayenta's judge on 95th percentiles, every minute",
}
