"""Whole passes: what is counted of the evidence, and a run's loop."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.shell.fakes import FakeKube, SetClock
from tests.shell.rig import KEY, SITE, START, Rig, on_trial, serving
from tests.shell.test_runs import RUN_KEY, asked_run

from claude_operator.core.text import duration
from claude_operator.kube.client import KubeError
from claude_operator.kube.resources import JOBS
from claude_operator.shell.endings import Endings
from claude_operator.shell.keys import RUN, Key
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.reconcile import Reconciler, RunLoop

CONFLICT = KubeError(409, "Conflict", "the object has been modified")
STEPS = [{"setWeight": 10}, {"bake": {"minDuration": "2m"}}]
LOST = KubeError(0, "Unreachable", "no answer in time")


def lose_answer(rig: Rig, verb: str, kind: str, error: KubeError) -> None:
    """Carry one write out, and have its sender see an error all the same."""
    apply = rig.kube.apply

    async def once(resource: Any, body: Any, **options: Any) -> Any:
        answer = await apply(resource, body, **options)
        if (f"apply {options['subresource']}" if options.get("subresource") else "apply", resource.kind) == (
            verb,
            kind,
        ):
            rig.kube.apply = apply  # type: ignore[method-assign]
            raise error
        return answer

    rig.kube.apply = once  # type: ignore[method-assign]


def traffic(rig: Rig, canary: int = 50, stable: int = 450) -> None:
    rig.gateways.serve("gw-1", "canary", canary)
    rig.gateways.serve("gw-1", "stable", stable)


async def tick(rig: Rig) -> None:
    rig.wait(5)
    await rig.one()


async def test_each_request_is_counted_once_over_many_ticks() -> None:
    rig = await on_trial()
    for n in range(1, 6):
        traffic(rig)
        await tick(rig)
        assert (rig.counted("canary"), rig.counted("stable")) == ([50 * n, 0], [450 * n, 0])
    await tick(rig)
    assert rig.counted("canary") == [250, 0]


async def test_between_ticks_nothing_is_lost_and_nothing_is_read_early() -> None:
    rig = await on_trial()
    for _ in range(4):
        traffic(rig)
        rig.wait(1)
        await rig.one()
        assert rig.counted("canary") == [0, 0]
    rig.wait(1)
    await rig.one()
    assert rig.counted("canary") == [200, 0]


async def test_a_conflict_at_the_status_loses_no_increment() -> None:
    rig = await on_trial()
    traffic(rig)
    left = [3]

    def refuse(verb: str, kind: str, name: str) -> None:
        if verb == "apply status" and left[0]:
            left[0] -= 1
            raise CONFLICT

    rig.kube.before = refuse
    rig.wait(5)
    for _ in range(3):
        assert await rig.one() == 0.05
        assert rig.counted("canary") == [0, 0]
    await rig.one()
    assert rig.counted("canary") == [50, 0]


async def test_a_status_that_was_stored_though_its_answer_was_lost_counts_once() -> None:
    rig = await on_trial()
    traffic(rig)
    rig.wait(5)
    lose_answer(rig, "apply status", "ClaudeDeployment", LOST)
    with pytest.raises(KubeError, match="no answer"):
        await rig.one()
    assert rig.counted("canary") == [50, 0]
    traffic(rig)
    await rig.one()  # not due
    await tick(rig)
    assert rig.counted("canary") == [100, 0]


async def test_a_late_status_of_a_pass_before_counts_once() -> None:
    """Two passes get no answer, and it is the first one's write that arrives after all."""
    rig = await on_trial()
    traffic(rig)
    apply, late = rig.kube.apply, []

    async def lost(resource: Any, body: Any, **options: Any) -> Any:
        if options.get("subresource"):
            late.append((resource, body, options))
            raise LOST
        return await apply(resource, body, **options)

    rig.kube.apply = lost  # type: ignore[method-assign]
    for _ in range(2):
        rig.wait(5)
        with pytest.raises(KubeError):
            await rig.one()
        traffic(rig)
    rig.kube.apply = apply  # type: ignore[method-assign]
    resource, body, options = late[0]
    await apply(resource, body, **options)
    assert rig.counted("canary") == [50, 0]
    await tick(rig)
    assert rig.counted("canary") == [150, 0]


async def test_a_config_that_was_not_written_after_its_status_counts_nothing_twice() -> None:
    rig = await on_trial(strategy={"canary": {"steps": [{"setWeight": 10}, {"bake": {"minDuration": "1s", "minRequests": 60}}, {"setWeight": 50}, {"bake": {"minDuration": "1h"}}], "analysis": {"interval": "5s", "toleratedIncrease": "100%"}}})  # fmt: skip  # noqa: E501
    traffic(rig, canary=100, stable=900)
    rig.wait(5)

    def refuse(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("apply", "ConfigMap") and not name.endswith("-ledger"):
            rig.kube.before = lambda *_: None
            raise CONFLICT

    rig.kube.before = refuse
    assert await rig.one() == 0.05
    assert (rig.status.step and rig.status.step.weight, rig.counted("canary")) == (50, [100, 0])
    assert rig.gateways.config.arms[1].weight == 1000  # told, and not yet done
    await rig.one()
    assert rig.gateways.config.arms[1].weight == 5000
    await tick(rig)
    assert rig.counted("canary") == [100, 0]


async def test_a_new_process_goes_on_where_the_last_one_stopped() -> None:
    rig = await on_trial()
    traffic(rig)
    await tick(rig)
    traffic(rig, canary=7)
    rig.start_operator()
    await rig.one()  # at once, without waiting for the interval
    assert rig.counted("canary") == [57, 0]  # the 7 came meanwhile, and nothing counts twice
    traffic(rig, canary=5)
    await tick(rig)
    assert rig.counted("canary") == [62, 0]


async def test_a_new_process_counts_from_the_canarys_first_request_on() -> None:
    """It may die between the first weight and the first tick."""
    rig = await serving()
    rig.say("Be brief.")
    while not any(arm.role == "canary" and arm.weight for arm in rig.gateways.config.arms):
        await rig.one()
        rig.wait(0.3)
    assert rig.status.judgement is None
    traffic(rig, canary=7)
    rig.start_operator()
    await rig.one()
    assert rig.counted("canary") == [7, 0]


async def test_a_new_process_begins_with_a_baseline_where_the_gateways_keep_nothing() -> None:
    rig = await on_trial()
    traffic(rig)
    await tick(rig)
    rig.gateways.kept.clear()
    traffic(rig, canary=7)
    rig.start_operator()
    await tick(rig)
    judgement = rig.status.judgement
    assert judgement
    assert rig.counted("canary") == [50, 0]
    assert judgement.seen_since == judgement.last_tick  # which ends no bake
    traffic(rig, canary=5)
    await tick(rig)
    assert rig.counted("canary") == [55, 0]


async def test_a_status_that_another_leader_wrote_is_gone_on_from() -> None:
    """A process that stood still while another one led, and leads again."""
    rig = await on_trial()
    traffic(rig)
    await tick(rig)
    asleep = rig.gatherer, rig.reconciler
    rig.start_operator()
    traffic(rig, canary=7)
    await tick(rig)
    traffic(rig, canary=5)
    rig.gatherer, rig.reconciler = asleep
    await tick(rig)
    assert rig.counted("canary") == [62, 0]


@pytest.mark.parametrize("skew", [7200.0, -7200.0])
async def test_a_clock_that_is_set_ends_no_bake(skew: float) -> None:
    rig = await on_trial(strategy={"canary": {"steps": STEPS, "analysis": {"interval": "5s"}}})
    bake = 120.0 - 5.0  # on_trial waits for the first tick
    for moment in range(12):
        if moment == 3:
            rig.clock.skew = skew
        if moment == 6:
            rig.start_operator()  # whose clock is no better
        if moment == 9:
            rig.clock.skew = 0.0
        traffic(rig)
        await tick(rig)
    assert rig.status.step
    assert rig.status.step.index == 1
    assert f"bakes for {duration(bake - 12 * 5.0)} more" in rig.condition("Promoted")[2]
    judgement = rig.status.judgement
    assert judgement
    assert judgement.verdict == "Inconclusive"


async def test_a_pod_that_appears_later_counts_from_zero_even_if_first_seen_between_ticks() -> None:
    rig = await on_trial()
    rig.wait(2)
    rig.pod("gw-2")
    rig.gateways.serve("gw-2", "canary", 9)
    await rig.one()
    rig.gateways.serve("gw-2", "canary", 2)
    rig.wait(3)
    await rig.one()
    assert rig.counted("canary") == [11, 0]


async def test_a_restarted_gateway_and_a_terminating_one_are_counted() -> None:
    rig = await on_trial()
    traffic(rig, canary=10)
    await tick(rig)
    rig.gateways.boots["gw-1"] = "again"
    rig.gateways.counts["gw-1"].clear()
    traffic(rig, canary=4)
    await tick(rig)
    assert rig.counted("canary") == [14, 0]
    rig.pod("gw-1", deletionTimestamp="2026-11-24T10:00:00Z")
    rig.pod("gw-2")
    traffic(rig, canary=6)
    await tick(rig)
    assert rig.counted("canary") == [20, 0]


async def test_pods_that_cannot_be_listed_fail_the_pass_and_lose_nothing() -> None:
    rig = await on_trial()
    traffic(rig)
    rig.wait(5)

    def refuse(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("list", "Pod"):
            raise KubeError(503, "ServiceUnavailable", "try later")

    rig.kube.before = refuse
    with pytest.raises(KubeError, match="try later"):
        await rig.one()
    assert rig.kube.writes == []
    rig.kube.before = lambda *_: None
    await rig.one()
    assert rig.counted("canary") == [50, 0]


async def test_a_silent_pod_holds_and_its_counts_come_later() -> None:
    rig = await on_trial()
    rig.pod("gw-2")
    await tick(rig)
    rig.gateways.silent.add("gw-2")
    rig.gateways.serve("gw-2", "canary", 30)
    traffic(rig)
    await tick(rig)
    assert rig.counted("canary") == [50, 0]
    assert rig.status.judgement and rig.status.judgement.unreachable == ["gw-2"]
    rig.gateways.silent.clear()
    await tick(rig)
    assert rig.counted("canary") == [80, 0]


async def test_what_is_gone_has_no_pass() -> None:
    rig = await serving()
    rig.kube.drop("ClaudeDeployment", "support")
    rig.kube.writes.clear()
    assert await rig.one() is None
    assert rig.kube.writes == []


async def test_passes_are_counted_by_how_they_ended() -> None:
    async def conflict(key: Key) -> float | None:
        raise CONFLICT

    async def broken(key: Key) -> float | None:
        raise KubeError(500, "InternalError", "no")

    metrics = Metrics()
    both = Reconciler(conflict, broken, metrics)
    assert await both(KEY) == 0.05
    with pytest.raises(KubeError):
        await both(Key(RUN, "demo", "r"))
    page = metrics.page().decode()
    assert 'duration_seconds_count{kind="ClaudeDeployment",result="conflict"} 1.0' in page
    assert 'duration_seconds_count{kind="ClaudeEvalRun",result="error"} 1.0' in page


# ---------------------------------------------------------------------------------------------- a run's own loop


def run_loop(kube: FakeKube, clock: SetClock) -> RunLoop:
    return RunLoop(kube, SITE, clock, Endings())  # type: ignore[arg-type]


async def test_a_run_gets_one_job_and_then_nothing_is_written() -> None:
    kube, clock = FakeKube(), SetClock(START)
    asked_run(kube)
    loop = run_loop(kube, clock)
    assert await loop(RUN_KEY) is not None
    assert kube.writes == [("create", "Job", f"{RUN_KEY.name}-1"), ("apply status", "ClaudeEvalRun", RUN_KEY.name)]
    assert kube.take("ClaudeEvalRun", RUN_KEY.name)["status"]["attempts"] == 1
    for _ in range(3):
        clock.moment += dt.timedelta(seconds=20)
        await loop(RUN_KEY)
    assert len(kube.writes) == 2


def a_set(kube: FakeKube) -> str:
    """The eval set of the run; returns its name."""
    run = kube.take("ClaudeEvalRun", RUN_KEY.name)
    name = str(run["spec"]["setRef"])
    kube.put(
        {
            "apiVersion": run["apiVersion"],
            "kind": "ClaudeEvalSet",
            "metadata": {"name": name, "namespace": RUN_KEY.namespace},
            "spec": {"tests": []},
        }
    )
    return name


async def test_what_a_job_writes_into_is_there_before_the_job() -> None:
    kube = FakeKube()
    asked_run(kube)
    name = a_set(kube)
    kube.writes.clear()
    await run_loop(kube, SetClock(START))(RUN_KEY)
    stores = [("create", "ConfigMap", f"{RUN_KEY.name}-report")]
    stores += [("create", "Secret", f"{name}-eval-answers-{number}") for number in range(4)]
    assert kube.writes[:6] == [*stores, ("create", "Job", f"{RUN_KEY.name}-1")]


@pytest.mark.parametrize("status", [403, 409, 422])
async def test_a_job_is_made_where_nothing_can_be_kept(status: int) -> None:
    """By a quota, or because something else has the name: the Job says so."""
    kube = FakeKube()
    asked_run(kube)
    a_set(kube)

    def refuse(verb: str, kind: str, name: str) -> None:
        if verb == "create" and kind in ("Secret", "ConfigMap"):
            raise KubeError(status, "Forbidden", "exceeded quota")

    kube.before = refuse
    kube.writes.clear()
    await run_loop(kube, SetClock(START))(RUN_KEY)
    assert kube.writes[0] == ("create", "Job", f"{RUN_KEY.name}-1")


ENDED = KubeError(403, "Forbidden", "unable to create new content: it is being terminated", terminating=True)


@pytest.mark.parametrize("kind", ["ClaudeRevision", "Deployment", "ConfigMap", "Event"])
async def test_nothing_is_done_in_a_namespace_that_is_being_deleted_and_one_line_says_so(
    caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    rig = await serving()
    rig.say("Be brief.")
    for one in ("Deployment", "ConfigMap"):
        rig.kube.drop(one, "support-gateway")
    rig.start_operator()

    def refuse(verb: str, what: str, name: str) -> None:
        if what == kind and verb in ("create", "apply"):
            raise ENDED

    rig.kube.before = refuse
    with caplog.at_level("INFO"):
        for _ in range(5):
            after = await rig.one()
            rig.wait(61)
    assert after is None
    assert [one.message for one in caplog.records] == ["the namespace is being deleted: nothing more is done in it"]
    rig.kube.calls.clear()
    rig.kube.before = lambda *_: None
    found = rig.kube.take("ClaudeDeployment", "support")
    rig.kube.drop("ClaudeDeployment", "support")
    assert await rig.one() is None
    found["metadata"] = {name: found["metadata"][name] for name in ("name", "namespace")}
    rig.kube.put({**found, "status": {}})  # in another namespace of that name
    await rig.settle()
    assert rig.kube.names("Deployment") == ["support-gateway"]


async def test_a_run_in_a_namespace_that_is_being_deleted_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    kube, clock = FakeKube(), SetClock(START)
    asked_run(kube)
    loop = run_loop(kube, clock)

    def refuse(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "Job"):
            raise ENDED

    kube.before = refuse
    with caplog.at_level("INFO"):
        assert [await loop(RUN_KEY) for _ in range(3)] == [None] * 3
    assert len(caplog.records) == 1
    assert kube.writes == []


async def test_a_run_that_is_deleted_in_mid_pass_is_no_error() -> None:
    kube, clock = FakeKube(), SetClock(START)
    asked_run(kube)
    loop = run_loop(kube, clock)

    def delete(verb: str, kind: str, name: str) -> None:
        if verb == "apply status":
            kube.drop("ClaudeEvalRun", RUN_KEY.name)

    kube.before = delete
    assert await loop(RUN_KEY) is None


async def test_a_status_that_was_lost_after_the_job_was_made_makes_no_second_job() -> None:
    kube, clock = FakeKube(), SetClock(START)
    asked_run(kube)
    loop = run_loop(kube, clock)

    def refuse(verb: str, kind: str, name: str) -> None:
        if verb == "apply status":
            kube.before = lambda *_: None
            raise CONFLICT

    kube.before = refuse
    with pytest.raises(KubeError):
        await loop(RUN_KEY)
    await loop(RUN_KEY)
    assert kube.names("Job") == [f"{RUN_KEY.name}-1"]
    assert kube.take("ClaudeEvalRun", RUN_KEY.name)["status"]["attempts"] == 1


async def test_what_the_job_wrote_meanwhile_is_not_written_over() -> None:
    kube, clock = FakeKube(), SetClock(START)
    asked_run(kube)
    loop = run_loop(kube, clock)
    await loop(RUN_KEY)
    job = kube.take("Job", f"{RUN_KEY.name}-1")
    kube.put(
        {**job, "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}
    )

    def finishes(verb: str, kind: str, name: str) -> None:
        if verb == "apply status":
            kube.before = lambda *_: None
            found = kube.take("ClaudeEvalRun", RUN_KEY.name)
            kube.put({**found, "status": {**found["status"], "phase": "Passed"}})

    kube.before = finishes
    with pytest.raises(KubeError) as caught:
        await loop(RUN_KEY)
    assert caught.value.conflict
    assert await loop(RUN_KEY) is None
    assert kube.take("ClaudeEvalRun", RUN_KEY.name)["status"]["phase"] == "Passed"


async def test_an_attempt_that_broke_is_followed_by_another_and_its_job_goes() -> None:
    kube, clock = FakeKube(), SetClock(START)
    asked_run(kube)
    loop = run_loop(kube, clock)
    await loop(RUN_KEY)
    await kube.delete(JOBS, f"{RUN_KEY.name}-1", "demo")
    after = await loop(RUN_KEY)
    assert after is not None
    status = kube.take("ClaudeEvalRun", RUN_KEY.name)["status"]
    assert (status["phase"], "retryAt" in status) == ("Error", True)
    clock.moment += dt.timedelta(seconds=after + 1)
    await loop(RUN_KEY)
    status = kube.take("ClaudeEvalRun", RUN_KEY.name)["status"]
    assert (kube.names("Job"), status["attempts"], "retryAt" in status) == ([f"{RUN_KEY.name}-2"], 2, False)


async def test_a_run_of_a_deployment_mounts_what_its_env_refers_to() -> None:
    kube = FakeKube()
    asked_run(kube, env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "anthropic", "key": "api-key"}}}])
    await run_loop(kube, SetClock(START))(RUN_KEY)
    pod = kube.take("Job", f"{RUN_KEY.name}-1")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "support-eval"
    assert "anthropic" in str(pod["volumes"])


async def test_a_run_that_is_gone_has_no_pass() -> None:
    kube = FakeKube()
    assert await run_loop(kube, SetClock(START))(RUN_KEY) is None
    assert kube.writes == []
