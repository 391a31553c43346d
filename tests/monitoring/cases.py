"""Series for each alert, with the minutes at which it fires and at which it does not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.monitoring.promtool import alerts

_STEP = 2  # samples a minute
WHO = 'namespace="shop",name="support"'
_LEADER = 'claude_operator_leader{namespace="claude-system",job="claude-operator-metrics",pod="a"}'
_OPERATOR = {"namespace": "claude-system", "job": "claude-operator-metrics"}


@dataclass(frozen=True)
class Case:
    """Series in promtool's notation, one sample each half a minute."""

    alert: str
    series: dict[str, str]
    firing: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=lambda: {"namespace": "shop", "name": "support"})
    why: str = ""
    interval: str = "30s"

    @property
    def name(self) -> str:
        return f"{self.alert} {self.why}".strip()

    def test(self) -> dict[str, Any]:
        """As `promtool test rules` reads it."""
        series = {_LEADER: "1x20000"} | self.series
        expected = {minute: [] for minute in self.silent} | {minute: [self._alert()] for minute in self.firing}
        return {
            "name": self.name,
            "interval": self.interval,
            "input_series": [{"series": one, "values": values} for one, values in series.items() if values],
            "promql_expr_test": [
                {"expr": self._asked(), "eval_time": minute, "exp_samples": samples}
                for minute, samples in expected.items()
            ],
        }

    def _asked(self) -> str:
        """The alert alone: others may fire with it. Without one, all."""
        return f'ALERTS{{alertstate="firing",alertname=~"{self.alert or ".*"}"}}'

    def _alert(self) -> dict[str, Any]:
        labels = {"alertname": self.alert, "alertstate": "firing", **self.labels, **alerts()[self.alert]["labels"]}
        return {"labels": f"ALERTS{{{','.join(f'{label}={value!r}' for label, value in labels.items())}}}", "value": 1}


def _condition(alert: str, type_: str, status: str, reason: str, waits: int, *others: str) -> list[Case]:
    """It fires once the condition has stood for so many minutes, and ends two minutes after it; not with the others."""
    name = lambda one: f'claude_operator_condition{{{WHO},type="{type_}",status="{status}",reason="{one}"}}'  # noqa: E731
    lasts = waits + 10
    during = (f"{waits + 1}m", f"{lasts}m")
    before, after = (f"{waits - 1}m",) if waits else (), f"{lasts + 4}m"
    values = f"1x{lasts * _STEP} stale"
    return [
        Case(alert, {name(reason): values}, firing=during, silent=(*before, after)),
        *([_brief(alert, name(reason), waits)] if waits else []),
        *(Case(alert, {name(one): values}, silent=during, why=f"not with {one}") for one in others),
    ]


def _brief(alert: str, condition: str, waits: int) -> Case:
    """It ends half a minute early: another reason stands in its place."""
    samples = waits * _STEP
    other = condition.replace('reason="', 'reason="Other')
    series = {
        condition: f"1x{samples - 2} stale",
        re.sub('status="[^"]*"', 'status="True"', other): f"_x{samples} 1x20",
    }
    return Case(alert, series, silent=(f"{waits}m", f"{waits + 1}m", f"{waits + 3}m"), why="not if it ends early")


def _gap() -> Case:
    """The leader's series end, and another one's begin a minute later: the alert goes on."""
    condition = f'claude_operator_condition{{{WHO},type="Ready",status="False",reason="NotServing",pod='
    series = {f'{condition}"a"}}': "1x20 stale", f'{condition}"b"}}': "_x24 1x20"}
    return Case("ClaudeNotServing", series, firing=("10m", "11m", "12m", "13m"), why="also while the leader changes")


def _cost_gap(alert: str, window: str, minutes: int) -> Case:
    """The leader's series end after so many minutes, and another one's begin a minute and a half later."""
    values = {"a": f"{{}}x{2 * minutes} stale", "b": f"_x{2 * minutes + 4} {{}}x20"}
    series = {}
    for pod, one in values.items():
        series[f'claude_operator_cost_usd{{{WHO},window="{window}",pod="{pod}"}}'] = one.format(101)
        series[f'claude_operator_monthly_budget_usd{{{WHO},pod="{pod}"}}'] = one.format(100)
    firing = tuple(f"{minutes + more}m" for more in range(4))
    return Case(alert, series, firing=firing, why="also while the leader changes")


def _organization(alert: str, type_: str, waits: int) -> list[Case]:
    """A condition is not True for ten minutes longer than the alert waits; then it is, and another leader tells so."""
    name = f'claude_organization_condition{{name="acme",type="{type_}",pod='
    lasts, labels = 2 * (waits + 10), {"name": "acme"}
    series = {f'{name}"a"}}': f"1x20 0x{lasts} stale", f'{name}"b"}}': f"_x{20 + lasts + 4} 1x20"}
    during, beside = (f"{waits + 12}m", f"{waits + 19}m"), ("9m", f"{waits + 8}m", f"{waits + 25}m")
    other = {'claude_organization_condition{name="acme",type="KeyAccepted",pod="a"}': "0x400"}
    return [
        Case(alert, series, firing=during, silent=beside, labels=labels),
        Case(alert, other, silent=during, labels=labels, why="not for another condition"),
    ]


def _share(alert: str, outcome: str, bad: int, tolerated: int) -> list[Case]:
    """Of 60 requests in half a minute so many are bad from the 20th minute to the 60th."""
    counter = f'claude_gateway_requests_total{{{WHO},arm="stable",outcome='

    def series(count: int) -> dict[str, str]:
        most = 80 * count
        return {
            f'{counter}"ok"}}': "0+60x240",
            f'{counter}"{outcome}"}}': f"0x40 0+{count}x80 {most}x120",
        }

    return [
        Case(alert, series(bad), firing=("45m", "60m"), silent=("19m", "80m")),
        Case(alert, series(tolerated), silent=("45m", "60m"), why="tolerated"),
    ]


def _model(days: int) -> dict[str, str]:
    """A model that ends so many days after the beginning."""
    return {f'claude_operator_model_retirement_timestamp_seconds{{{WHO},model="claude-x"}}': f"{days * 86400}x240"}


def _unpriced(reason: str) -> str:
    return f'claude_gateway_unpriced_total{{{WHO},arm="stable",model="claude-x",reason="{reason}"}}'


def _cost(window: str) -> str:
    return f'claude_operator_cost_usd{{{WHO},window="{window}"}}'


def _operator(name: str, values: str, labels: str = "") -> dict[str, str]:
    return {f'{name}{{namespace="claude-system",job="claude-operator-metrics",pod="a"{labels}}}': values}


_BUDGET = f'{WHO},surface="chat",metric="timeToFirstToken"'
_MISSED = {"namespace": "shop", "name": "support", "surface": "chat", "metric": "timeToFirstToken", "max": "1.5"}


def _budget(phases: tuple[tuple[int, int, int], ...], percentile: float = 95, most: str = "1.5") -> dict[str, str]:
    """Phases of so many samples, with so many calls over the limit and within it in each."""
    over, within, sums = [], [], [0, 0]
    for samples, bad, good in phases:
        over.append(f"{sums[0]}+{bad}x{samples - 1}")
        within.append(f"{sums[1]}+{good}x{samples - 1}")
        sums = [sums[0] + bad * samples, sums[1] + good * samples]
    counter = f'claude_gateway_budget_calls_total{{{_BUDGET},arm="stable",max="{most}",within='
    target = f'claude_operator_budget_target{{{_BUDGET},percentile="{percentile}",max="{most}"}}'
    return {
        f'{counter}"false"}}': " ".join(over),
        f'{counter}"true"}}': " ".join(within),
        target: f"{percentile / 100}x20000",
    }


def _two(slow: int) -> dict[str, str]:
    """Budgets of 1 s at percentile 50 and of 3 s at percentile 95, with so many calls in a hundred over 3 s."""
    samples = 96 * 12
    return _budget(((samples, 49, 51),), 50, "1") | _budget(((samples, slow, 100 - slow),), 95, "3")


_FAST, _SLOW = "ClaudeLatencyBudgetBurnsFast", "ClaudeLatencyBudgetBurns"
BUDGETS = [
    # Percentile 95, after 6 hours without a miss. 73 % miss for 70 minutes: in the last hour a share of 0.73 t / 60,
    # above 14.4 x 5 % = 72 % after 59.2 minutes. Five minutes' share is below it 0.1 minutes after the end.
    Case(
        _FAST,
        _budget(((720, 0, 100), (140, 73, 27), (120, 0, 100))),
        why="1 h and 5 min",
        labels=_MISSED,
        firing=("421m", "429m"),
        silent=("360m", "400m", "418m", "432m", "480m"),
    ),
    Case(_FAST, _budget(((720, 0, 100), (240, 71, 29))), why="not at 71 %", silent=("421m", "470m")),
    # 31 % miss for 7 hours: 0.31 t / 6 h is above 6 x 5 % = 30 % after 5.81 hours; half an hour's share is below it one
    # minute after the end.
    Case(
        _FAST,
        _budget(((720, 0, 100), (840, 31, 69), (120, 0, 100))),
        why="6 h and 30 min",
        labels=_MISSED,
        firing=("710m", "775m"),
        silent=("360m", "600m", "705m", "783m", "830m"),
    ),
    # Percentile 50 allows half of the calls, so that nothing burns 14.4 times as fast: 90 % are enough.
    Case(
        _FAST,
        _budget(((120, 0, 100), (140, 95, 5), (120, 0, 100)), percentile=50),
        why="percentile 50",
        labels=_MISSED,
        firing=("119m", "129m"),
        silent=("115m", "132m"),
    ),
    # Nine calls in an hour, all over the limit.
    Case(_FAST, _budget(((13, 1, 0),)), why="not with few calls", interval="5m", silent=("60m",)),
    # Two of a hundred: percentile 99.9 allows one in a thousand, which a hundred cannot tell.
    Case(
        _FAST,
        _budget(((1, 0, 0), (1, 2, 98), (60, 0, 0)), percentile=99.9),
        why="not with few calls for percentile 99.9",
        silent=("1m", "2m", "4m"),
    ),
    # 8 % miss: 0.08 t / 72 h is above 5 % after 45 hours. Six hours' share is below it 2.25 hours after the end.
    Case(
        _SLOW,
        _budget(((72 * 12, 0, 100), (60 * 12, 8, 92), (24 * 12, 0, 100))),
        labels=_MISSED,
        interval="5m",
        firing=("119h", "131h"),
        silent=("72h", "116h", "136h"),
    ),
    # Two budgets of one metric: 49 % of the calls take longer than 1 s, which percentile 50 allows. 4 % longer than 3 s
    # are what percentile 95 allows, and 10 % are not.
    Case(_SLOW, _two(4), why="not with two budgets that are kept", interval="5m", silent=("70h", "80h")),
    Case(
        _SLOW,
        _two(10),
        why="the one of two budgets that is missed",
        labels={**_MISSED, "max": "3"},
        interval="5m",
        firing=("70h", "80h"),
    ),
]

_MODEL = {"namespace": "shop", "name": "support", "model": "claude-x"}
CASES = [
    _gap(),
    *_condition("ClaudeNotServing", "Ready", "False", "NotServing", 2, "ConfigPending", "NoRevision"),
    *_condition("ClaudeRequestsFailing", "Ready", "False", "RequestsFailing", 1),
    *_share("ClaudeErrorRateHigh", "error", bad=6, tolerated=2),
    *_share("ClaudeUpstreamOverloaded", "overload", bad=10, tolerated=4),
    *_share("ClaudeAccountExhausted", "account", bad=1, tolerated=0),
    Case(
        "ClaudeGatewayRefusing",
        {f'claude_gateway_refused_total{{{WHO},status="529"}}': "0x20 0+10x40 400x60"},
        firing=("20m", "30m"),
        silent=("9m", "12m", "45m"),
    ),
    Case(
        "ClaudeGatewayRefusing",
        {f'claude_gateway_refused_total{{{WHO},status="401"}}': "0+10x100"},
        silent=("20m", "45m"),
        why="not for a client's wrong key",
    ),
    *_condition("ClaudeGatewayConfigRefused", "GatewayReady", "False", "ConfigRefused", 5),
    *_condition("ClaudeGatewayNotCurrent", "GatewayReady", "False", "PodsFailing", 15, "NotYetReported"),
    *_condition("ClaudeCanaryRolledBack", "Promoted", "False", "RolledBack", 0, "Aborted"),
    *_condition("ClaudeRolloutStuck", "Promoted", "Unknown", "Inconclusive", 60, "Paused", "WaitingForEvidence"),
    *_condition("ClaudeSpecNotAccepted", "Accepted", "False", "InvalidSpec", 15),
    *_condition("ClaudeEvalGateUndecided", "EvalPassed", "Unknown", "EvalError", 30, "EvalRunning"),
    *_condition("ClaudeEvidenceMissing", "CanaryHealthy", "Unknown", "MetricsUnreachable", 5, "NoTraffic"),
    *_condition("ClaudeGradesMissing", "CanaryHealthy", "Unknown", "GradesMissing", 15),
    Case(
        "ClaudeGraderBehind",
        {
            f'claude_grader_samples_total{{{WHO},arm="stable"}}': "0+2x240",
            f'claude_grader_dropped_total{{{WHO},arm="stable"}}': "0x20 0+5x120 600x100",
        },
        firing=("45m", "60m"),
        silent=("15m", "100m"),
    ),
    Case("ClaudeModelRetires", _model(30), firing=("10m", "60m"), silent=("4m",), labels=_MODEL),
    Case("ClaudeModelRetires", _model(31), silent=("10m", "60m"), why="not before"),
    Case("ClaudeModelRetiresSoon", _model(7), firing=("10m", "60m"), silent=("4m",), labels=_MODEL),
    Case("ClaudeModelRetiresSoon", _model(8), silent=("10m", "60m"), why="not before"),
    *_condition("ClaudeModelRetired", "ModelCurrent", "False", "Retired", 5, "Legacy"),
    Case(
        "ClaudeTrafficUnpriced",
        {_unpriced("no_price"): "0x20 0+1x40 40x300"},
        firing=("20m", "60m"),
        silent=("9m", "100m"),
        labels=_MODEL,
    ),
    Case(
        "ClaudeTrafficUnpriced",
        {_unpriced("priority_tier"): "0+1x100"},
        silent=("20m", "45m"),
        why="not of the Priority Tier",
    ),
    *_condition("ClaudeCacheCold", "CacheEffective", "False", "Cold", 30),
    Case(
        "ClaudeCostOverBudget",
        {_cost("month"): "99x40 100x40 1x40", f"claude_operator_monthly_budget_usd{{{WHO}}}": "100x200"},
        firing=("26m", "38m"),
        silent=("19m", "24m", "45m"),
    ),
    _cost_gap("ClaudeCostOverBudget", "month", 10),
    _cost_gap("ClaudeCostForecastOverBudget", "forecast", 70),
    Case("ClaudeCostOverBudget", {_cost("month"): "1000x80"}, silent=("30m",), why="not without a budget"),
    Case(
        "ClaudeCostForecastOverBudget",
        {_cost("forecast"): "100x40 101x160 80x40", f"claude_operator_monthly_budget_usd{{{WHO}}}": "100x300"},
        firing=("82m", "95m"),
        silent=("19m", "79m", "105m"),
    ),
    *_organization("ClaudeOrganizationNotReady", "Ready", 60),
    *_organization("ClaudeOrganizationOverBudget", "WithinCost", 15),
    Case(
        "ClaudeOperatorWithoutLeader",
        {_LEADER: "1x20 0x20 1x40"},
        firing=("13m", "20m"),
        silent=("10m", "11m", "25m"),
        labels=_OPERATOR,
    ),
    Case("ClaudeOperatorWithoutLeader", {_LEADER: ""}, firing=("3m", "20m"), silent=("1m",), labels={}, why="scraped"),
    Case(
        "ClaudeOperatorWithoutLeader",
        {_LEADER: "1x20 stale", _LEADER.replace('"a"', '"b"'): "0x20 0x1 1x40"},
        silent=("10m", "13m", "20m"),
        why="not where another takes over",
    ),
    Case(
        "ClaudeOperatorWithoutLeader",
        {_LEADER: "1x40 stale", _LEADER.replace('"claude-system"', '"other"'): "1x400"},
        firing=("23m", "30m", "79m"),
        silent=("20m", "22m", "82m"),
        labels=_OPERATOR,
        why="of one of two releases, for an hour",
    ),
    Case(
        "ClaudeOperatorWithoutLeader",
        {_LEADER: "1x40 stale"},
        firing=("23m", "30m", "74m"),
        silent=("20m", "22m"),
        labels=_OPERATOR,
        why="no longer scraped",
    ),
    Case(
        "ClaudeOperatorWithoutLeader",
        {_LEADER: "1x40 stale"},
        firing=("82m", "180m"),
        labels={},
        why="no longer scraped, after an hour",
    ),
    Case(
        "ClaudeOperatorBlind",
        _operator("claude_operator_blind_seconds", "0x20 0+30x20 0x40"),
        labels=_OPERATOR,
        firing=("14m", "20m"),
        silent=("10m", "11m", "25m"),
    ),
    Case(
        "ClaudeOperatorPassesFail",
        _operator(
            "claude_operator_reconcile_duration_seconds_count",
            "0x20 0+1x80 80x80",
            ',kind="ClaudeDeployment",result="error"',
        ),
        firing=("30m", "50m"),
        silent=("10m", "20m", "65m"),
        labels={**_OPERATOR, "kind": "ClaudeDeployment"},
    ),
    Case(
        "ClaudeOperatorWritesFail",
        _operator("claude_operator_write_failures_total", "0x20 0+1x80 80x80", ',what="config"'),
        firing=("30m", "50m"),
        silent=("10m", "15m", "70m"),
        labels={**_OPERATOR, "what": "config"},
    ),
    Case(
        "ClaudeOperatorQueueLong",
        _operator("claude_operator_queue_depth", "0x20 80x60 0x40"),
        labels=_OPERATOR,
        firing=("26m", "40m"),
        silent=("15m", "42m"),
    ),
    *BUDGETS,
]


def document(rules: str, cases: Sequence[Case], interval: str) -> dict[str, Any]:
    """A file for `promtool test rules`."""
    return {"rule_files": [rules], "evaluation_interval": interval, "tests": [case.test() for case in cases]}
