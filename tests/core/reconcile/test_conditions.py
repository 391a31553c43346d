"""Every reason of a condition can be reached, and reads as a sentence."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from tests.core.reconcile import test_checklist as checklist
from tests.core.reconcile.rules.sample import (
    ANSWERED,
    CANARY,
    NEW,
    NOW,
    OLD,
    PLAN,
    SET,
    SITE,
    STABLE,
    STEPS,
    UNPROVEN,
    ago,
    ended,
    failed,
    judgement,
    observed,
    raw,
    serving,
    trial,
)
from tests.core.reconcile.rules.test_soak import soaking
from tests.core.reconcile.test_spending import spent

from claude_operator.api.conditions import Condition, Reason, Type
from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.evidence import Recent
from claude_operator.api.status import DeploymentStatus, Judgement, MetricState, Promotion, Rollout, SampleRatio
from claude_operator.api.sums import Score, UnitSums
from claude_operator.api.verdicts import ArmGrades, Grading
from claude_operator.core.catalogue.table import Model
from claude_operator.core.judge.metrics import METRICS
from claude_operator.core.names import eval_run_name
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.decision import Decision
from claude_operator.core.reconcile.events import transitions
from claude_operator.core.reconcile.gateway_config import desired_config
from claude_operator.core.reconcile.observation import GatewayPod, GatewayView
from claude_operator.core.reconcile.serving import failing
from claude_operator.core.spec.policy import Policy
from claude_operator.core.spec.validate import Problem
from claude_operator.core.usage.cache import CacheUsage, Entry, Lost, Sums
from claude_operator.core.usage.cold import Cause
from claude_operator.core.usage.latency import LatencyUsage, Series, Slot
from claude_operator.core.usage.state import Coverage, Usages, UsageState


def cached(
    *,
    calls: int = 100,
    read: int = 0,
    lost: int = 0,
    cause: Cause = Cause.VOLATILE_TEXT,
    usd: float = 0.0,
    silent: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Calls of stable, each with so many tokens read from the cache, and not read for this cause."""
    cold = {cause: Lost(calls, calls * lost, usd, 0, "system[0]")} if lost else {}
    written = 0 if cause is Cause.NOT_CACHED else calls * lost
    sums = Sums(calls, calls * (read + lost or 100), calls * read, written, cold)
    slots = {int(NOW.timestamp()) // 600 * 600: (Entry(STABLE, "chat", "p", sums),)}
    usage = UsageState(Usages(cache=CacheUsage({}, slots)), NOW, Coverage(0 if silent else 2, silent))
    return {"status": serving(), "usage": usage}


EVALS = raw(evals={"setRef": {"name": "support-evals"}})
BEHIND = raw(overrides={"system": "Append"}, promptFrom=[])
BEHIND["request"]["system"] = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]
DOUBTFUL = raw()
DOUBTFUL["request"]["betas"] = ["pdfs-2024-09-25"]
LAX = raw(evals={"setRef": {"name": "support-evals"}, "required": False})
RUN = eval_run_name(CANARY, SET.hash)
ONLY_TOOLS = Policy(allowed_hosts=("tools.example",))
UNWELL = GatewayView(False, 0, ())


def gated(spec: dict[str, Any] = EVALS, phase: str | None = None) -> dict[str, Any]:
    status = trial(None, canary_revision=None, rollout=Rollout(revision=CANARY, plan=PLAN, eval_run=RUN))
    runs = {RUN: EvalRunStatus(phase=phase, message="the scores")} if phase else {}  # type: ignore[arg-type]
    return {"status": status, "spec": spec, "eval_runs": runs}


def model(**dates: Any) -> dict[str, Any]:
    return {"status": serving(), "models": {"claude-opus-5-5": Model("claude-opus-5-5", line="opus", **dates)}}


def says(generation: int, **fields: Any) -> GatewayView:
    return GatewayView(True, 1, (GatewayPod("gateway-0", True, generation, **fields),))


def problem(reason: Reason) -> dict[str, Any]:
    return {"status": serving(), "problems": (Problem(reason, "spec.env: there is none; create it"),)}


def lagging(*generations: int | None, error: str = "") -> GatewayView:
    return GatewayView(True, 2, tuple(GatewayPod(f"gateway-{n}", True, g, error) for n, g in enumerate(generations)))


def harmed(leading: str, reason: str = "") -> Judgement:
    state = [MetricState(name=leading, evidence=1e6, canary=[58, 31], stable=[512, 4])]
    told = {"leading": leading, "reason": reason, "state": state, "message": f"{leading} is above its threshold"}
    return failed().model_copy(update=told)


def changed(name: str) -> Judgement:
    state = MetricState(name=name, evidence=50.0, canary=[58, 31], stable=[512, 4], score=Score(-161.0, 100.0))
    return judgement(asks=[name], state=[state])


def spending(usd: str | None, status: DeploymentStatus | None = None, action: str = "Warn", **more: Any) -> Any:
    budget = {"monthlyUSD": "2000", "action": action}
    return {"status": status or serving(), "spec": raw(budget=budget), "usage": usd and spent(usd, **more)}


def budgeted(within: int, over: int, ago: int = 0) -> dict[str, Any]:
    """A budget of 95 % and calls of stable's; `ago`: seconds since the last."""
    budget = {"surface": "chat", "metric": "duration", "max": "30s"}
    end = int(NOW.timestamp()) - ago
    slots = {Series(STABLE, "chat", "duration", 30.0): (Slot(end - 60, end, within, over),)}
    usage = UsageState(Usages(latency=LatencyUsage(slots)), NOW, Coverage(2))
    return {"status": serving(), "spec": raw(budgets=[budget]), "usage": usage}


OF_FEW_USERS = Rollout(revision=CANARY, plan=PLAN.model_copy(update={"unit": "User"}), started_at=NOW, busiest=0.8)
RUBRIC = {"rubric": ["It is right."], "graders": [{"name": "default", "model": "claude-haiku-4-5-20251001"}]}
GRADED = raw(evals={"setRef": {"name": "support-evals"}, "required": False, "live": RUBRIC})
UNGRADED = Rollout(
    revision=CANARY,
    plan=PLAN.model_copy(update={"grades": 30}),
    started_at=NOW,
    grading=Grading(step=1, canary=ArmGrades(since=ago(400))),
)
DAY = dt.timedelta(days=30)
TODAY = NOW.date()
FEW = MetricState(name="errors", evidence=1.0, canary=[2, 0], stable=[21, 0], units=UnitSums(3, 60, 150, 0))
CASES: list[tuple[Type, str, Reason, dict[str, Any]]] = [
    (Type.READY, "True", Reason.SERVING, {"status": serving()}),
    (Type.READY, "False", Reason.NO_REVISION, {"status": DeploymentStatus(), "gateway": UNWELL}),
    (Type.READY, "False", Reason.GATEWAY_UNAVAILABLE, {"status": serving(), "gateway": UNWELL}),
    (Type.READY, "False", Reason.CONFIG_PENDING, {"status": serving(), "gateway": says(0, weights={})}),
    (Type.READY, "False", Reason.NOT_SERVING, {"status": ended("RolledBack"), "gateway": says(1, weights={})}),
    (
        Type.READY,
        "False",
        Reason.REQUESTS_FAILING,
        {
            "status": serving(),
            "gateway": says(1, weights={STABLE: 10_000}, recent=Recent(10.0, 9, 5, {"error": 5}, "502 api_error")),
        },
    ),
    (
        Type.GATEWAY_READY,
        "False",
        Reason.REVISION_LOST,
        {
            "status": serving(),
            "config": None,
            "revisions": {},
            "gateway": GatewayView(True, 1, (GatewayPod("a", True, 7),)),
        },
    ),
    (Type.ACCEPTED, "True", Reason.VALID, {"status": serving()}),
    (Type.ACCEPTED, "True", Reason.BREAKPOINT_BEHIND_CLIENT, {"status": serving(), "spec": BEHIND}),
    (Type.ACCEPTED, "True", Reason.REQUEST_DOUBTFUL, {"status": serving(), "spec": DOUBTFUL}),
    (
        Type.ACCEPTED,
        "True",
        Reason.FIELD_REMOVED,
        {"status": serving(), "spec": raw(strategy={"canary": {"analysis": {"unit": "Request"}}})},
    ),
    (Type.ACCEPTED, "True", Reason.CRD_OUTDATED, {"status": serving(), "outdated": "ClaudeModel lacks spec.x"}),
    (
        Type.ACCEPTED,
        "False",
        Reason.INVALID_SPEC,
        {"status": serving(), "spec": raw(upstream={"baseURL": "https://a.example/v1"})},
    ),
    (
        Type.ACCEPTED,
        "False",
        Reason.INVALID_REQUEST,
        {"status": serving(), "spec": raw() | {"request": {"model": "claude-opus-5-5", "max_tokens": 10**9}}},
    ),
    (
        Type.ACCEPTED,
        "False",
        Reason.UNSUPPORTED_METRIC,
        {"status": serving(), "spec": raw(strategy={"canary": {"analysis": {"metrics": [{"name": "kindness"}]}}})},
    ),
    *(
        (Type.ACCEPTED, "False", reason, problem(reason))
        for reason in (
            Reason.SECRET_NOT_FOUND,
            Reason.CONFIG_MAP_NOT_FOUND,
            Reason.EVAL_SET_NOT_FOUND,
            Reason.INVALID_EVAL_SET,
            Reason.NAME_TAKEN,
            Reason.SECRET_NOT_ALLOWED,
            Reason.WRONG_KEY,
            Reason.REVISION_NOT_TRUSTED,
        )
    ),
    (
        Type.ACCEPTED,
        "False",
        Reason.HOST_NOT_ALLOWED,
        {"status": serving(), "policy": Policy(allowed_hosts=("proxy.example.com",))},
    ),
    (Type.ACCEPTED, "False", Reason.CONFIG_TOO_LARGE, {"status": serving(), "spec": raw("x" * 950 * 1024)}),
    (Type.ACCEPTED, "False", Reason.MODEL_REJECTED, model(retires=TODAY - DAY) | {"revisions": {STABLE: OLD}}),
    (Type.GATEWAY_READY, "True", Reason.GATEWAYS_CURRENT, {"status": ended("RolledBack")}),
    (Type.GATEWAY_READY, "False", Reason.HOST_NOT_ALLOWED, {"status": serving(), "policy": ONLY_TOOLS}),
    (
        Type.READY,
        "False",
        Reason.HOST_NOT_ALLOWED,
        {"status": serving(), "policy": ONLY_TOOLS, "gateway": GatewayView(True, 1, reads_egress=True)},
    ),
    (Type.GATEWAY_READY, "False", Reason.WRITE_REFUSED, {"status": serving(), "refused": {"config": "no (403)"}}),
    (Type.GATEWAY_READY, "False", Reason.WRITE_REFUSED, {"status": serving(), "refused": {"child": "no (403)"}}),
    (
        Type.GATEWAY_READY,
        "False",
        Reason.PODS_FAILING,
        {"status": serving(), "gateway": GatewayView(False, 0, (), "pods cannot be created: exceeded quota")},
    ),
    (Type.GATEWAY_READY, "False", Reason.ROLLING_OUT, {"status": serving(), "gateway": UNWELL}),
    (Type.GATEWAY_READY, "False", Reason.CONFIG_PENDING, {"status": ended("RolledBack"), "gateway": lagging(1, 0)}),
    (Type.GATEWAY_READY, "False", Reason.CONFIG_PENDING, {"status": ended("RolledBack"), "config": None}),
    (Type.GATEWAY_READY, "False", Reason.CONFIG_REFUSED, {"status": serving(), "gateway": lagging(0, 0, error="odd")}),
    (
        Type.GATEWAY_READY,
        "Unknown",
        Reason.NOT_YET_REPORTED,
        problem(Reason.NAME_TAKEN) | {"status": DeploymentStatus(), "config": None},
    ),
    (Type.EVAL_PASSED, "True", Reason.NO_GATE, {"status": trial(1)}),
    (Type.EVAL_PASSED, "True", Reason.NO_GATE, gated(raw())),
    (Type.EVAL_PASSED, "True", Reason.EVAL_PASSED, gated(phase="Passed")),
    (Type.EVAL_PASSED, "False", Reason.EVAL_FAILED, gated(phase="Failed")),
    (Type.EVAL_PASSED, "Unknown", Reason.EVAL_RUNNING, gated(phase="Running")),
    (Type.EVAL_PASSED, "Unknown", Reason.NOT_YET_REPORTED, gated()),  # there is no run yet
    (Type.EVAL_PASSED, "Unknown", Reason.EVAL_INCONCLUSIVE, gated(phase="Inconclusive")),
    (Type.EVAL_PASSED, "Unknown", Reason.EVAL_ERROR, gated(phase="Error")),
    (Type.EVAL_PASSED, "True", Reason.EVAL_NOT_REQUIRED, gated(LAX, phase="Failed")),
    (Type.EVAL_PASSED, "Unknown", Reason.NOT_YET_REPORTED, problem(Reason.NAME_TAKEN) | {"status": DeploymentStatus()}),
    (Type.CANARY_HEALTHY, "True", Reason.NO_CANARY, {"status": ended("Aborted")}),
    (Type.CANARY_HEALTHY, "True", Reason.WATCHING, {"status": trial(1)}),
    (Type.CANARY_HEALTHY, "True", Reason.WATCHING, {"status": trial(None)}),
    (Type.CANARY_HEALTHY, "False", Reason.ERRORS_INCREASED, {"status": trial(1, judgement=failed())}),
    *(
        (Type.CANARY_HEALTHY, "False", metric.reason, {"status": trial(1, judgement=harmed(name))})
        for name, metric in METRICS.items()
    ),
    *(
        (Type.CANARY_HEALTHY, "Unknown", METRICS[name].held, {"status": trial(1, judgement=changed(name))})
        for name in ("outputTokens", "overloads", "errors")
    ),
    *(
        (Type.CANARY_HEALTHY, "False", reason, {"status": trial(1, judgement=harmed("errors", reason))})
        for reason in (Reason.THRESHOLD_EXCEEDED, Reason.METRIC_WORSENED)
    ),
    (
        Type.CANARY_HEALTHY,
        "Unknown",
        Reason.METRIC_ERROR,
        {"status": trial(1, judgement=judgement(verdict="Error", message="complaints could not be measured"))},
    ),
    (
        Type.CANARY_HEALTHY,
        "Unknown",
        Reason.METRIC_NO_DATA,
        {"status": trial(1, judgement=judgement(reason="MetricNoData", message="complaints has no data"))},
    ),
    (
        Type.CANARY_HEALTHY,
        "Unknown",
        Reason.SHARED_INCIDENT,
        {"status": trial(1, judgement=judgement(shared="31 % of stable's requests fail"))},
    ),
    (
        Type.CANARY_HEALTHY,
        "Unknown",
        Reason.SPLIT_MISMATCH,
        {
            "status": trial(
                1, judgement=judgement(sample_ratio=SampleRatio(weight=1000, canary=400, stable=500, evidence=9))
            )
        },
    ),
    (
        Type.CANARY_HEALTHY,
        "Unknown",
        Reason.FEW_CONVERSATIONS,
        {"status": trial(1, judgement=judgement(requests=400, weight=1000, started_at=ago(600), state=[FEW]))},
    ),
    (
        Type.CANARY_HEALTHY,
        "False",
        Reason.EVERYTHING_FAILS,
        {"status": trial(1, judgement=failed().model_copy(update={"reason": "EverythingFails"}))},
    ),
    (Type.CANARY_HEALTHY, "True", Reason.SOAKING, {"status": soaking()}),
    (
        Type.CANARY_HEALTHY,
        "Unknown",
        Reason.NO_TRAFFIC,
        {"status": trial(1, judgement=judgement(verdict="NoData", message="no request seen on any arm"))},
    ),
    (
        Type.CANARY_HEALTHY,
        "Unknown",
        Reason.METRICS_UNREACHABLE,
        {"status": trial(1, judgement=judgement(unreachable=["gateway-0"]))},
    ),
    (Type.CANARY_HEALTHY, "Unknown", Reason.OVERLOADED, {"status": trial(1, judgement=judgement(overloaded=True))}),
    (
        Type.CANARY_HEALTHY,
        "Unknown",
        Reason.ACCOUNT_EXHAUSTED,
        {"status": trial(1, judgement=judgement(recent=[0, 0, 0, 5, 0, 0, 0, 20, 0, 0, 0, 0]))},
    ),
    (
        Type.CANARY_HEALTHY,
        "Unknown",
        Reason.NO_ANSWER,
        {"status": trial(1, judgement=judgement(last_answer=ago(20), waiting=9, oldest=15, message="it hangs"))},
    ),
    (
        Type.CANARY_HEALTHY,
        "True",
        Reason.STABLE_FAILING,
        {
            "status": trial(
                1,
                judgement=judgement(
                    shared="98 % of stable's requests fail", recent=[8, 0, 0, 0, 20, 20, 0, 0, 8, 0, 99, 98]
                ),
            )
        },
    ),
    (Type.PROMOTED, "True", Reason.PROMOTED, {"status": serving(), "spec": raw("Be kind.")}),
    (
        Type.PROMOTED,
        "Unknown",
        Reason.PROGRESSING,
        {"status": trial(1, rollout=Rollout(revision=CANARY, plan=UNPROVEN)), "increments": ANSWERED},
    ),
    (Type.PROMOTED, "Unknown", Reason.CRD_OUTDATED, {"status": trial(3), "outdated": "ClaudeModel lacks spec.x"}),
    (Type.PROMOTED, "Unknown", Reason.PAUSED, {"status": trial(3)}),
    (Type.PROMOTED, "Unknown", Reason.PAUSED, {"status": trial(1), "spec": raw(paused=True)}),
    (Type.PROMOTED, "Unknown", Reason.WAITING_FOR_GATEWAY, {"status": trial(1), "gateway": UNWELL}),
    (Type.PROMOTED, "Unknown", Reason.WAITING_FOR_EVAL, gated(phase="Running")),
    (Type.PROMOTED, "Unknown", Reason.EVAL_INCONCLUSIVE, gated(phase="Inconclusive")),
    (Type.PROMOTED, "Unknown", Reason.WAITING_FOR_EVIDENCE, {"status": trial(1, age=3)}),
    (Type.PROMOTED, "Unknown", Reason.FEW_USERS, {"status": trial(1, rollout=OF_FEW_USERS)}),
    (Type.PROMOTED, "Unknown", Reason.GRADES_MISSING, {"status": trial(1, rollout=UNGRADED), "spec": GRADED}),
    (
        Type.PROMOTED,
        "Unknown",
        Reason.INCONCLUSIVE,
        {"status": trial(1, 301, judgement=judgement(promotions=[Promotion(step=1, margin=0.05, logs=[0.0] * 7)]))},
    ),
    (Type.PROMOTED, "False", Reason.ROLLED_BACK, {"status": trial(1, judgement=failed())}),
    (Type.PROMOTED, "False", Reason.ABORTED, {"status": ended("Aborted")}),
    (Type.PROMOTED, "False", Reason.EVAL_FAILED, gated(phase="Failed")),
    (Type.PROMOTED, "False", Reason.REJECTED, problem(Reason.SECRET_NOT_FOUND)),
    (Type.WITHIN_BUDGET, "True", Reason.NO_BUDGET, {"status": serving()}),
    (Type.WITHIN_BUDGET, "True", Reason.WITHIN_BUDGET, budgeted(990, 10)),
    (Type.WITHIN_BUDGET, "False", Reason.OVER_BUDGET, budgeted(800, 200)),
    (Type.WITHIN_BUDGET, "False", Reason.RECOVERING, budgeted(800, 200, ago=600)),
    (Type.WITHIN_BUDGET, "Unknown", Reason.FEW_CALLS, budgeted(1, 1)),
    (Type.WITHIN_BUDGET, "Unknown", Reason.NO_TRAFFIC, budgeted(0, 0)),
    (Type.WITHIN_BUDGET, "Unknown", Reason.USAGE_UNKNOWN, budgeted(0, 0) | {"usage": None}),
    (Type.PROMOTED, "Unknown", Reason.OVER_BUDGET, budgeted(800, 200) | {"status": trial(1)}),
    (Type.MODEL_CURRENT, "True", Reason.ACTIVE, model()),
    (Type.MODEL_CURRENT, "False", Reason.LEGACY, model(superseded=TODAY - DAY)),
    (Type.MODEL_CURRENT, "False", Reason.DEPRECATED, model(deprecated=TODAY - DAY, retires=TODAY + DAY)),
    (Type.MODEL_CURRENT, "False", Reason.RETIRED, model(retires=TODAY - DAY)),
    (
        Type.MODEL_CURRENT,
        "Unknown",
        Reason.UNKNOWN_MODEL,
        {
            "status": serving(),
            "spec": raw() | {"request": {"model": "claude-of-next-year", "max_tokens": 10}},
        },
    ),
    (Type.MODEL_CURRENT, "Unknown", Reason.PRICE_UNKNOWN, {"status": serving(), "price_fault": "it is not UTF-8"}),
    (Type.WITHIN_COST, "True", Reason.NO_BUDGET, {"status": serving()}),
    (Type.WITHIN_COST, "True", Reason.COST_WITHIN_BUDGET, spending("1599.99")),
    (Type.WITHIN_COST, "True", Reason.COST_NEAR_BUDGET, spending("1600")),
    (Type.WITHIN_COST, "False", Reason.COST_OVER_BUDGET, spending("2000")),
    (Type.WITHIN_COST, "Unknown", Reason.COST_UNKNOWN, spending("1600", silent=1)),
    (Type.WITHIN_COST, "Unknown", Reason.COST_UNKNOWN, spending(None)),
    (Type.READY, "False", Reason.COST_OVER_BUDGET, spending("2000", action="Throttle")),
    (Type.PROMOTED, "Unknown", Reason.COST_OVER_BUDGET, spending("2000", trial(1), action="HoldRollouts")),
    (Type.PROMOTED, "Unknown", Reason.COST_UNKNOWN, spending(None, trial(1), action="HoldRollouts")),
    (
        Type.CHECKLIST_PASSED,
        "True",
        Reason.ITEMS_PASSED,
        checklist.ready(status=checklist.waiting(), spec=checklist.spec()),
    ),
    (Type.CHECKLIST_PASSED, "False", Reason.CHECKLIST_OPEN, {"status": serving()}),
    (
        Type.CHECKLIST_PASSED,
        "Unknown",
        Reason.CHECKLIST_UNKNOWN,
        checklist.ready(status=checklist.waiting(), spec=checklist.spec(), usage=None),
    ),
    (
        Type.CHECKLIST_PASSED,
        "Unknown",
        Reason.CHECKLIST_OFF,
        {"status": serving(), "spec": raw(checklist={"mode": "Off"})},
    ),
    (
        Type.PROMOTED,
        "Unknown",
        Reason.CHECKLIST_OPEN,
        {"status": trial(None), "spec": raw(checklist={"mode": "Enforce"})},
    ),
    (Type.CACHE_EFFECTIVE, "True", Reason.WARM, cached(read=2000)),
    (Type.CACHE_EFFECTIVE, "False", Reason.COLD, cached(lost=2000)),
    (Type.CACHE_EFFECTIVE, "False", Reason.NOT_CACHED, cached(lost=2000, cause=Cause.NOT_CACHED)),
    (Type.CACHE_EFFECTIVE, "True", Reason.NOT_CACHED, cached()),
    (Type.CACHE_EFFECTIVE, "Unknown", Reason.NO_TRAFFIC, cached(calls=3)),
    (Type.CACHE_EFFECTIVE, "Unknown", Reason.NO_TRAFFIC, cached(read=2000, silent=("gateway-0",))),
    (Type.CACHE_EFFECTIVE, "Unknown", Reason.NO_TRAFFIC, {"status": serving(), "usage": None}),
]


PAUSE = dt.timedelta(minutes=5)


def test_what_was_said_of_the_cache_stays_for_five_minutes() -> None:
    """Figures change with each reading, and status is not written for each."""
    warm, cold = (cached(**tokens)["usage"] for tokens in ({"read": 2000}, {"lost": 2000}))
    first = decided(serving(), usage=warm)
    soon = decided(first.status, usage=replace(cold, read_at=NOW + PAUSE - dt.timedelta(seconds=1)))
    unread = decided(first.status, usage=None)  # after a change of the leader
    for same in (soon, unread):
        assert same.status.cache == first.status.cache
        assert said(same, Type.CACHE_EFFECTIVE) == said(first, Type.CACHE_EFFECTIVE)
    later = decided(first.status, usage=replace(cold, read_at=NOW + PAUSE))
    assert said(later, Type.CACHE_EFFECTIVE).reason == Reason.COLD


@pytest.mark.parametrize("later", [dt.timedelta(minutes=16), -dt.timedelta(minutes=16)])
def test_what_was_said_of_the_cache_ends_where_nobody_reads_the_gateways(later: dt.timedelta) -> None:
    first = decided(serving(), usage=cached(read=2000)["usage"])
    unread = decided(first.status, usage=None, now=NOW + later)
    assert (said(unread, Type.CACHE_EFFECTIVE).status, said(unread, Type.CACHE_EFFECTIVE).reason) == (
        "Unknown",
        Reason.NO_TRAFFIC,
    )


@pytest.mark.parametrize("usage", [None, cached(read=2000)["usage"]])
def test_what_another_version_or_nobody_can_have_said_of_the_cache_is_left_out(usage: Any) -> None:
    first = decided(serving(), usage=cached(read=2000)["usage"]).status
    conditions = [one.model_copy(update={"reason": "Lukewarm"}) for one in first.conditions]
    assert said(decided(first.model_copy(update={"conditions": conditions}), usage=usage), Type.CACHE_EFFECTIVE)
    assert first.cache is not None
    cache = first.cache.model_copy(update={"at": dt.datetime.max.replace(tzinfo=dt.UTC)})
    assert said(decided(first.model_copy(update={"cache": cache}), usage=usage), Type.CACHE_EFFECTIVE)


def test_the_first_calls_are_told_at_once() -> None:
    few, more = cached(calls=3, read=2000)["usage"], cached(calls=4, read=2000)["usage"]
    first = decided(serving(), usage=few)
    assert said(first, Type.CACHE_EFFECTIVE).reason == Reason.NO_TRAFFIC
    soon = {"read_at": NOW + dt.timedelta(minutes=1)}
    assert decided(first.status, usage=replace(more, **soon)).status.cache == first.status.cache
    enough = decided(first.status, usage=replace(cached(lost=2000)["usage"], **soon))
    assert said(enough, Type.CACHE_EFFECTIVE).reason == Reason.COLD


def test_the_cache_of_another_stable_revision_is_judged_at_once() -> None:
    first = decided(serving(), usage=cached(read=2000)["usage"]).status
    assert first.cache is not None
    other = first.model_copy(update={"cache": first.cache.model_copy(update={"revision": "other"})})
    again = decided(other, usage=cached(lost=2000)["usage"])
    assert again.status.cache is not None
    assert again.status.cache.revision == STABLE
    assert said(again, Type.CACHE_EFFECTIVE).reason == Reason.COLD


def test_status_has_figures_for_people() -> None:
    usage = cached(read=9000, lost=1000, usd=0.75)["usage"]
    cache = decided(serving(), usage=usage).status.cache
    assert cache is not None
    told = cache.model_dump(by_alias=True, exclude_none=True, exclude={"at"})
    assert told == {
        "revision": STABLE,
        "hitRatio": "90 %",
        "surfaces": [
            {"surface": "chat", "hitRatio": "90 %", "calls": 100, "inputTokens": 1_000_000, "state": "Warm"},
        ],
        "prefixes": [
            {"prefix": "p", "surface": "chat", "hitRatio": "90 %", "calls": 100, "inputTokens": 1_000_000},
        ],
    }
    cold = decided(serving(), usage=cached(lost=2000, usd=0.75)["usage"]).status.cache
    assert cold is not None
    assert (cold.surfaces[0].cause, cold.surfaces[0].lost, cold.lost) == ("VolatileText", "$4.50/h", "$4.50/h")


def decided(status: DeploymentStatus, **fields: Any) -> Decision:
    spec = fields.pop("spec", None)
    return decide(observed(status, spec, **fields), SITE)


def said(decision: Decision, type_: Type) -> Condition:
    return next(one for one in decision.status.conditions if one.type == type_)


@pytest.mark.parametrize(("type_", "status", "reason", "world"), CASES)
def test_reason(type_: Type, status: str, reason: Reason, world: dict[str, Any]) -> None:
    one = said(decided(**world), type_)
    assert (one.status, one.reason) == (status, reason)
    assert one.observed_generation == 3
    assert " " in one.message
    assert one.message == one.message.strip()
    assert not one.message.endswith((".", ";", ":"))
    for odd in ("None", "{", "}", "  ", "<", "..."):
        assert odd not in one.message, one.message


THEIRS = {"type": "url", "name": "docs", "url": "https://elsewhere.example/mcp", "authorization_token": "$(DOCS)"}


@pytest.mark.parametrize("reads", [True, False])
def test_a_revision_that_keeps_an_mcp_server_that_is_not_allowed_is_named(reads: bool) -> None:
    """It has served since before the list was narrowed; the spec is as it should be."""
    kept = {**OLD, "spec": {"request": {**OLD["spec"]["request"], "mcp_servers": [THEIRS]}}}
    policy = Policy(allowed_hosts=("api.anthropic.com",))
    known = {"revisions": {STABLE: kept, CANARY: NEW}, "policy": policy}
    live = desired_config(observed(trial(1), **known), trial(1), accepted=True)
    assert live
    pods = (GatewayPod("gateway-0", True, live.generation),)
    decision = decided(trial(1), **known, config=live, gateway=GatewayView(True, 1, pods, reads_egress=reads))
    ready = said(decision, Type.GATEWAY_READY)
    assert (ready.status, ready.reason) == ("False", Reason.HOST_NOT_ALLOWED)
    does = "gateways send no $(NAME) to" if reads else "gateways of an earlier version still send $(NAME) to"
    where = f"{STABLE}, spec.request.mcp_servers[0].url: elsewhere.example is not an allowed host (api.anthropic.com)"
    assert ready.message.startswith(f"{does} an MCP server whose host is not allowed; it ends when a revision")
    assert where in ready.message
    assert CANARY not in ready.message
    assert said(decision, Type.ACCEPTED).status == said(decision, Type.READY).status == "True"
    promoted = said(decision, Type.PROMOTED)
    assert promoted.reason not in (Reason.WAITING_FOR_GATEWAY, Reason.HOST_NOT_ALLOWED)  # what mends it goes on


def test_what_clients_were_answered_is_said_as_it_was() -> None:
    """The gateway itself answers 502 where it may not connect, as well as 503 and 529."""
    for said in ("502 api_error", "503 api_error"):
        sentence = failing([Recent(10.0, 9, 8, {"unserved": 8}, said)])
        refusals = "8 of 9 requests failed in the last 10 s, most of them by refusals of the gateway itself"
        assert sentence == f"{refusals} (last answer: {said})"


EVENTS_ONLY = {
    Reason.REVISION_CREATED,
    Reason.REVISION_RESTORED,
    Reason.STATUS_NOT_TRUSTED,
    Reason.ROLLOUT_STARTED,
    Reason.WEIGHT_CHANGED,
    Reason.STEP_HELD,
    Reason.SUPERSEDED,
    Reason.PLAN_FIXED,
    Reason.CANARY_DIFFERS,
    Reason.ANNOTATION_IGNORED,
    Reason.RETRIED,
    Reason.RECOVERED,
    Reason.FOREIGN_POD,
    Reason.OUT_OF_MEMORY,
    Reason.PASS_FAILED,
    Reason.CHILD_RESTORED,
    Reason.CHILD_CONTESTED,
    Reason.CHILD_ADOPTED,
    Reason.GRADER_KEY_MOVED,
    Reason.SOAKED,
    Reason.DRAINING,
    Reason.DRAINED,
    Reason.MIGRATION_STARTED,
    Reason.MIGRATION_STOPPED,
    Reason.EVAL_RUN_REPLACED,
    Reason.EVAL_CALLS_SERVERS,
    Reason.DRILL_STARTED,
    Reason.DRILL_PASSED,
    Reason.DRILL_FAILED,
    Reason.DRILL_ABORTED,
    Reason.DRILL_SKIPPED,
    Reason.MODEL_RETIRES,
}


def test_every_reason_is_reached_above() -> None:
    """A reason that nothing gives is documentation of what never happens."""
    assert {reason for _, _, reason, _ in CASES} | EVENTS_ONLY == set(Reason)


def test_all_in_order() -> None:
    assert [one.type for one in decided(serving()).status.conditions] == list(Type)


def test_a_transition_has_a_time_of_its_own() -> None:
    before = decided(trial(1, age=3)).status
    later = NOW + dt.timedelta(seconds=90, microseconds=5)
    view = observed(before)
    same = decide(replace(view, now=later), SITE).status
    for one, was in zip(same.conditions, before.conditions, strict=True):
        assert one.last_transition_time == (was.last_transition_time if one.status == was.status else later)
    gone = decide(replace(view, now=later, gateway=UNWELL), SITE).status
    ready = next(one for one in gone.conditions if one.type == Type.READY)
    assert ready.last_transition_time == later.replace(microsecond=0)


def test_a_rejected_spec_names_what_goes_on_serving_and_where_a_canary_is_held() -> None:
    decision = decided(trial(1), problems=(Problem(Reason.SECRET_NOT_FOUND, "spec.env: no Secret docs"),))
    assert said(decision, Type.ACCEPTED).message == f"spec.env: no Secret docs; {STABLE} keeps serving"
    assert said(decision, Type.PROMOTED).message.endswith(f"{CANARY} is held at 10 %")


def test_what_failed_says_how_to_try_it_again() -> None:
    command = f"kubectl -n demo annotate --overwrite cld support claudeops.dev/retry={CANARY}/1"
    for outcome in ("RolledBack", "Aborted", "EvalFailed"):
        assert said(decided(ended(outcome)), Type.PROMOTED).message.endswith(command)


# ---------------------------------------------------------------------------------------------------- events


def conditions(**reasons: tuple[str, Reason]) -> DeploymentStatus:
    made = [
        Condition(type=type_, status=status, reason=reason, message="so it is", last_transition_time=NOW)  # type: ignore[arg-type]
        for type_, (status, reason) in reasons.items()
    ]
    return DeploymentStatus(conditions=made)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (("True", Reason.VALID), ("False", Reason.INVALID_SPEC), [(Reason.INVALID_SPEC, "Warning")]),
        (None, ("False", Reason.SECRET_NOT_FOUND), [(Reason.SECRET_NOT_FOUND, "Warning")]),
        (("False", Reason.INVALID_SPEC), ("False", Reason.NAME_TAKEN), [(Reason.NAME_TAKEN, "Warning")]),
        (("False", Reason.INVALID_SPEC), ("False", Reason.INVALID_SPEC), []),
        (("False", Reason.INVALID_SPEC), ("True", Reason.VALID), [(Reason.RECOVERED, "Normal")]),
        (None, ("True", Reason.VALID), []),
    ],
)
def test_transitions_are_told_once(before: Any, after: Any, expected: list[tuple[Reason, str]]) -> None:
    old = conditions(Accepted=before) if before else DeploymentStatus()
    events = transitions(observed(old), conditions(Accepted=after))
    assert [(event.reason, event.type) for event in events] == expected


@pytest.mark.parametrize(("policy", "warned"), [("Warn", 1), ("Ignore", 0)])
def test_a_state_that_the_policy_ignores_is_a_condition_and_no_event(policy: str, warned: int) -> None:
    old = conditions(ModelCurrent=("True", Reason.ACTIVE))
    now = conditions(ModelCurrent=("False", Reason.DEPRECATED))
    assert len(transitions(observed(old, raw(lifecycle={"onDeprecated": policy})), now)) == warned


def test_pods_that_start_for_the_first_time_are_no_incident() -> None:
    gone = conditions(Ready=("False", Reason.GATEWAY_UNAVAILABLE))
    assert transitions(observed(conditions(Ready=("False", Reason.NO_REVISION))), gone) == []
    assert len(transitions(observed(conditions(Ready=("True", Reason.SERVING))), gone)) == 1


def test_a_reason_of_another_version_is_no_trouble() -> None:
    old = conditions(Accepted=("True", Reason.VALID))
    old.conditions[0].reason = "FromTheFuture"
    events = transitions(observed(old), conditions(Accepted=("False", Reason.INVALID_SPEC)))
    assert [event.reason for event in events] == [Reason.INVALID_SPEC]


def test_the_samples_are_what_they_say() -> None:
    assert [step.action for step in STEPS].count("bake") == 2
    assert NEW["metadata"]["name"] == CANARY
