"""The loop of a ClaudeEvalRun: which runs get a Job, and what becomes of the others."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.shell.fakes import FakeKube, SetClock
from tests.shell.rig import SITE, START, deployment, secret

from claude_operator.core.evals.asked import ONLY_THE_OPERATOR, spec_hash
from claude_operator.core.spec.policy import Policy
from claude_operator.kube.resources import BY_KIND
from claude_operator.shell.endings import Endings
from claude_operator.shell.keys import RUN, Key
from claude_operator.shell.permits import Permits
from claude_operator.shell.reconcile import RunLoop

RUN_KEY = Key(RUN, "demo", "support-1-00000000")
UPSTREAM = {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}
ACCEPTED = {"type": "Accepted", "status": "True", "reason": "Valid", "message": "fine", "observedGeneration": 1}


def asked_run(
    kube: FakeKube, *, accepted: dict[str, Any] | None = None, run: Any = (), baseline: str | None = None, **spec: Any
) -> None:
    """A run as the operator makes it, its ClaudeDeployment that asks for it, and the Secret; `run`: what is changed."""
    kube.put(secret())
    owner = kube.put(deployment(**spec))
    fields = {
        "deployment": "support",
        "revision": "support-1",
        "setRef": "s",
        "setHash": "0" * 64,
        "upstream": UPSTREAM,
        **({"baselineRevision": baseline} if baseline else {}),
    }
    rollout = {"revision": "support-1", "evalRun": RUN_KEY.name, "evalRunSpec": spec_hash(fields)}
    conditions = [{**ACCEPTED, **(accepted or {})}]
    kube.put({**owner, "status": {"rollout": rollout, "conditions": conditions}})
    reference = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeDeployment", "name": "support"}
    reference |= {"uid": owner["metadata"]["uid"], "controller": True}
    metadata = {"name": RUN_KEY.name, "namespace": "demo", "ownerReferences": [reference]}
    kube.put(
        {"apiVersion": "claudeops.dev/v1alpha1", "kind": RUN, "metadata": metadata, "spec": {**fields, **dict(run)}}
    )


def loop_of(kube: FakeKube, clock: SetClock | None = None, **policy: Any) -> RunLoop:
    return RunLoop(kube, SITE, clock or SetClock(START), Endings(), Permits(kube, Policy(**policy)))  # type: ignore[arg-type]


def status(kube: FakeKube) -> dict[str, Any]:
    found: dict[str, Any] = kube.take(RUN, RUN_KEY.name).get("status", {})
    return found


async def test_what_was_asked_gets_a_job() -> None:
    kube = FakeKube()
    asked_run(kube)
    await loop_of(kube)(RUN_KEY)
    assert kube.names("Job") == [f"{RUN_KEY.name}-1"]
    assert status(kube)["specHash"] == spec_hash(kube.take(RUN, RUN_KEY.name)["spec"])


OTHERS = [
    {"upstream": {"apiKeySecretRef": {"name": "database", "key": "password"}}},
    {"upstream": {**UPSTREAM, "baseURL": "https://yes.example.com"}},
    {"baselineRevision": "support-0"},
    {"setRef": "easy"},
    {"revision": "support-2"},
    {"deployment": "other"},
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
async def test_another_run_under_its_name_gets_none_and_is_told_why(other: dict[str, Any]) -> None:
    kube = FakeKube()
    asked_run(kube, run=other)
    assert await loop_of(kube)(RUN_KEY) is None
    assert kube.names("Job") == []
    found = status(kube)
    assert (found["phase"], found["reason"], found["message"]) == ("Error", "NotAsked", ONLY_THE_OPERATOR)
    assert [one["status"] for one in found["conditions"]] == ["True"]  # kubectl wait --for=condition=Complete ends
    kube.writes.clear()
    assert await loop_of(kube)(RUN_KEY) is None
    assert kube.writes == []


@pytest.mark.parametrize("controller", [{}, {"uid": "u-of-an-earlier-life"}, {"kind": "Deployment"}], ids=str)
async def test_a_run_by_hand_gets_none(controller: dict[str, str]) -> None:
    kube = FakeKube()
    asked_run(kube)
    run = kube.take(RUN, RUN_KEY.name)
    [reference] = run["metadata"]["ownerReferences"]
    run["metadata"]["ownerReferences"] = [{**reference, **controller}] if controller else []
    kube.put(run)
    assert await loop_of(kube)(RUN_KEY) is None
    assert (kube.names("Job"), status(kube)["reason"]) == ([], "NotAsked")


async def test_a_status_that_is_written_a_moment_later_is_waited_for_and_not_forever() -> None:
    kube, clock = FakeKube(), SetClock(START)
    asked_run(kube)
    owner = kube.take("ClaudeDeployment", "support")
    kube.put({**owner, "status": {}})
    loop = loop_of(kube, clock)
    assert await loop(RUN_KEY) == 1.0
    assert (status(kube)["phase"], status(kube)["reason"]) == ("Pending", "Waiting")
    clock.moment += dt.timedelta(seconds=20)
    kube.writes.clear()
    assert await loop(RUN_KEY) == 1.0
    assert kube.writes == []
    kube.put(owner)
    await loop(RUN_KEY)
    assert kube.names("Job") == [f"{RUN_KEY.name}-1"]
    late = FakeKube()
    asked_run(late)
    late.put({**owner, "status": {}})
    loop = loop_of(late, clock)
    await loop(RUN_KEY)
    clock.moment += dt.timedelta(seconds=31)
    assert await loop(RUN_KEY) is None
    assert (late.names("Job"), status(late)["reason"]) == ([], "NotAsked")


async def test_a_run_from_before_specs_were_compared_waits_for_its_deployment() -> None:
    kube, clock = FakeKube(), SetClock(START)
    asked_run(kube)
    owner = kube.take("ClaudeDeployment", "support")
    asked = owner["status"]["rollout"].pop("evalRunSpec")
    kube.put(owner)
    for _ in range(3):
        assert await loop_of(kube, clock)(RUN_KEY) == 5.0
        clock.moment += dt.timedelta(minutes=5)
    owner["status"]["rollout"]["evalRunSpec"] = asked
    kube.put(owner)
    await loop_of(kube, clock)(RUN_KEY)
    assert kube.names("Job")


@pytest.mark.parametrize(
    ("accepted", "says"),
    [
        ({"status": "False", "message": "spec.env is odd"}, "not accepted: spec.env is odd"),
        ({"observedGeneration": 0}, "has not been checked yet"),
    ],
)
async def test_nothing_of_a_spec_that_is_not_accepted_is_used(accepted: dict[str, Any], says: str) -> None:
    kube = FakeKube()
    asked_run(kube, accepted=accepted)
    assert await loop_of(kube)(RUN_KEY) == 5.0
    assert kube.names("Job") == []
    assert says in status(kube)["message"]
    owner = kube.take("ClaudeDeployment", "support")
    kube.put({**owner, "status": {**owner["status"], "conditions": [ACCEPTED]}})
    await loop_of(kube)(RUN_KEY)
    assert kube.names("Job")


async def test_a_secret_that_is_not_labelled_is_not_mounted() -> None:
    kube = FakeKube()
    asked_run(kube, env=[{"name": "T", "valueFrom": {"secretKeyRef": {"name": "anthropic", "key": "api-key"}}}])
    found = kube.take("Secret", "anthropic")
    for label in ("", "upstream", "env"):
        kube.put({**found, "metadata": {**found["metadata"], "labels": {"claudeops.dev/use": label}}})
        assert await loop_of(kube, secrets_opt_in=True)(RUN_KEY) == 5.0
        assert "claudeops.dev/use=" in status(kube)["message"]
        assert kube.names("Job") == []
    kube.put({**found, "metadata": {**found["metadata"], "labels": {"claudeops.dev/use": "upstream.env"}}})
    await loop_of(kube, secrets_opt_in=True)(RUN_KEY)
    assert kube.names("Job")


@pytest.mark.parametrize("what", ["upstream", "support-1", "support-0"])
async def test_a_host_that_is_not_allowed_is_not_asked(what: str) -> None:
    kube = FakeKube()
    asked_run(kube, baseline="support-0")
    url = "https://mcp.example.com"
    request = {"mcp_servers": [{"type": "url", "name": "m", "url": url}]}
    kube.put(
        {
            "apiVersion": "claudeops.dev/v1alpha1",
            "kind": "ClaudeRevision",
            "metadata": {"name": "support-1" if what == "upstream" else what, "namespace": "demo"},
            "spec": {"request": request},
        }
    )
    first, both = ("api.anthropic.com",), ("api.anthropic.com", "mcp.example.com")
    hosts = ("mcp.example.com",) if what == "upstream" else first
    assert await loop_of(kube, allowed_hosts=hosts)(RUN_KEY) == 5.0
    where = "spec.upstream.baseURL" if what == "upstream" else f"ClaudeRevision {what}, spec.request.mcp_servers[0].url"
    assert status(kube)["message"].startswith(f"{where}: ")
    assert "is not an allowed host" in status(kube)["message"]
    assert ("set spec.evals.required to false" in status(kube)["message"]) == (what == "support-0")
    assert kube.names("Job") == []
    await loop_of(kube, allowed_hosts=both)(RUN_KEY)
    assert kube.names("Job")


BATCHES = {
    "phase": "Running",
    "reason": "BatchRunning",
    "attempts": 1,
    "batches": ["msgbatch_01", "--base-url=x", "../a"],
}


def running_batches(kube: FakeKube, **fields: Any) -> None:
    """The run as its Job leaves it, which waits for Message Batches."""
    run = kube.take(RUN, RUN_KEY.name)
    waits = {"retryAt": (START + dt.timedelta(hours=1)).isoformat()}
    kube.put({**run, "status": {**run.get("status", {}), **BATCHES, **waits, **fields}})


def cancelling(kube: FakeKube) -> list[str]:
    """The Jobs that cancel."""
    return [name for name in kube.names("Job") if "-cancel-" in name]


async def test_the_batches_of_a_run_that_is_deleted_are_cancelled() -> None:
    kube = FakeKube()
    asked_run(kube)
    loop = loop_of(kube)
    await loop(RUN_KEY)
    running_batches(kube)
    await loop(RUN_KEY)
    assert cancelling(kube) == [], "it is alive"
    await kube.delete(BY_KIND[RUN], RUN_KEY.name, "demo")
    await loop(RUN_KEY)
    [name] = cancelling(kube)
    job = kube.take("Job", name)
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["args"][:3] == ["eval", "cancel", "--base-url=https://api.anthropic.com"]
    assert container["args"][-2:] == ["--", "msgbatch_01"], "what is no id is neither an option nor another path"
    assert "ownerReferences" not in job["metadata"], "the ClaudeDeployment may go with the run"
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    pod = job["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == ("default", False)
    assert pod["volumes"][-1]["secret"]["secretName"] == "anthropic"
    kube.writes.clear()
    await loop(RUN_KEY)
    assert kube.writes == [], "once is enough"


async def test_another_run_of_the_same_name_does_not_hide_that_the_first_is_gone() -> None:
    kube = FakeKube()
    asked_run(kube)
    loop = loop_of(kube)
    await loop(RUN_KEY)
    running_batches(kube)
    await loop(RUN_KEY)
    run = kube.take(RUN, RUN_KEY.name)
    await kube.delete(BY_KIND[RUN], RUN_KEY.name, "demo")
    own = {key: run["metadata"][key] for key in ("name", "namespace", "ownerReferences")}
    kube.put({**run, "metadata": own, "status": {}})
    await loop(RUN_KEY)
    assert len(cancelling(kube)) == 1


@pytest.mark.parametrize("fields", [{"batches": []}, {"phase": "Passed"}], ids=str)
async def test_what_is_over_is_not_cancelled(fields: dict[str, Any]) -> None:
    kube = FakeKube()
    asked_run(kube)
    loop = loop_of(kube)
    await loop(RUN_KEY)
    for more in ({}, fields):
        running_batches(kube, **more)
        await loop(RUN_KEY)
    await kube.delete(BY_KIND[RUN], RUN_KEY.name, "demo")
    await loop(RUN_KEY)
    assert cancelling(kube) == []


async def test_the_key_goes_nowhere_for_a_run_that_nobody_asked_for() -> None:
    """Who writes a run and its status by hand, and deletes it, would else choose where the key is sent."""
    kube = FakeKube()
    asked_run(kube, run={"upstream": {**UPSTREAM, "baseURL": "https://yes.example.com"}})
    running_batches(kube)
    loop = loop_of(kube)
    await loop(RUN_KEY)
    await kube.delete(BY_KIND[RUN], RUN_KEY.name, "demo")
    await loop(RUN_KEY)
    assert kube.names("Job") == []


async def test_a_key_that_may_not_be_used_any_more_cancels_nothing(caplog: pytest.LogCaptureFixture) -> None:
    kube = FakeKube()
    asked_run(kube)
    loop = loop_of(kube)
    await loop(RUN_KEY)
    running_batches(kube)
    await loop(RUN_KEY)
    await kube.delete(BY_KIND["Secret"], "anthropic", "demo")
    await kube.delete(BY_KIND[RUN], RUN_KEY.name, "demo")
    await loop(RUN_KEY)
    assert cancelling(kube) == []
    [told] = [one for one in caplog.records if "paid for nothing" in one.message]
    assert told.levelname == "WARNING"
