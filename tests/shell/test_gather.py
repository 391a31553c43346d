"""What a pass sees, above all of what is broken or belongs to somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.shell.rig import KEY, SPEC, Rig, deployment, on_trial, secret, serving
from tests.shell.test_references import TESTS, eval_set

from claude_operator.api.evidence import BadConversation, Evidence, GenerationEvidence
from claude_operator.api.gateway import Auth, Settled, dump_config, parse_config
from claude_operator.core.judge.evidence.increments import PodReading
from claude_operator.core.operator_key import sign_config
from claude_operator.core.spec import revision
from claude_operator.core.spec.policy import Policy
from claude_operator.kube.client import KubeError


async def observed(rig: Rig) -> Any:
    seen = await rig.gatherer.gather(KEY)
    assert seen is not None
    return seen.observation


async def wanting() -> Rig:
    """A deployment in mid-rollout of which much is to be mended beside the decision."""
    rig = await on_trial()
    rig.kube.put(eval_set(**TESTS))
    rig.edit(evals={"setRef": {"name": "evals"}})
    for kind, name in (("ConfigMap", "support-gateway"), ("Deployment", "support-gateway")):
        found = rig.kube.take(kind, name)
        found["metadata"]["ownerReferences"] = []
        rig.kube.put(found)
    rig.start_operator()
    rig.kube.writes.clear()
    rig.kube.calls.clear()
    return rig


async def test_a_read_that_fails_leaves_neither_a_write_nor_a_task_behind() -> None:
    """Each read of a pass by itself, while those after it take long: they have ended, and the error is its own."""
    rig = await wanting()
    await rig.gatherer.gather(KEY)
    reads = len(rig.kube.calls)
    assert reads >= 20
    for number in range(reads):
        rig.start_operator()
        rig.kube.calls.clear()
        failure = KubeError(503, "ServiceUnavailable", f"read {number}")

        def refuse(verb: str, kind: str, name: str, number: int = number, failure: KubeError = failure) -> None:
            if len(rig.kube.calls) == number + 1:
                raise failure

        begun = itertools.count()
        rig.kube.delay = lambda number=number, begun=begun: 30.0 if next(begun) > number else 0.0
        rig.kube.before = refuse
        with pytest.raises(KubeError) as caught:
            await rig.one()
        assert caught.value is failure
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert rig.kube.writes == []
    rig.kube.before, rig.kube.delay = lambda *_: None, lambda: 0.0
    await rig.one()
    mended = {(verb, kind) for verb, kind, _ in rig.kube.writes}
    assert mended >= {("merge", "ConfigMap"), ("merge", "Deployment"), ("patch status", "ClaudeEvalSet")}


async def test_a_pass_that_is_cut_short_ends_its_reads() -> None:
    rig = await wanting()
    rig.kube.before = lambda *_: None

    async def silent(pods: Sequence[Mapping[str, Any]], **options: Any) -> list[PodReading]:
        """As gateways that take a connection and never answer."""
        await asyncio.sleep(1e6)
        return []

    rig.gateways.read = silent  # type: ignore[method-assign]
    task = asyncio.create_task(rig.one())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert rig.kube.writes == []


@pytest.mark.parametrize("metadata", [None, {"deletionTimestamp": "2026-11-24T10:00:00Z"}])
async def test_what_is_gone_or_going_is_not_looked_at(metadata: dict[str, str] | None) -> None:
    rig = Rig()
    if metadata:
        body = deployment()
        rig.kube.put({**body, "metadata": {**body["metadata"], **metadata}})
    assert await rig.gatherer.gather(KEY) is None


async def test_it_sees_what_there_is() -> None:
    rig = await on_trial()
    obs = await observed(rig)
    assert (obs.name, obs.generation, obs.problems) == ("support", 2, ())
    assert sorted(obs.revisions) == rig.kube.names("ClaudeRevision")
    assert obs.config == rig.gateways.config
    assert (obs.gateway.settled, obs.gateway.ready, [pod.name for pod in obs.gateway.pods]) == (True, 1, ["gw-1"])
    assert obs.gateway.pods[0].generation == obs.config.generation
    assert obs.increments is None  # not due


async def test_a_pod_that_starts_while_a_canary_is_live_is_told_of_the_others_within_a_second() -> None:
    """Before it is ready; and so are those that end as long as they answer."""
    rig = await on_trial()
    rig.kube.put({**rig.kube.take("Deployment", "support-gateway"), "status": {}})  # a pod is missing
    after = await rig.one()
    assert after is not None
    assert after <= 1.0
    rig.pod("gw-2", ready=False)
    rig.pod("gw-1", deletionTimestamp="2026-11-24T10:00:00Z")
    await rig.one()
    assert sorted(rig.gateways.asked) == ["gw-1", "gw-2"]
    assert all(peer.address and peer.key for peer in rig.gateways.asked.values())


async def test_revisions_and_runs_of_others_are_not_seen() -> None:
    rig = await serving()
    mine = rig.kube.names("ClaudeRevision")
    stranger = rig.kube.take("ClaudeRevision", mine[0])
    stranger["metadata"] = {**stranger["metadata"], "name": "support-0000000000", "ownerReferences": []}
    rig.kube.put(stranger)
    assert list((await observed(rig)).revisions) == mine


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"request": {"model": "m"}}, "spec.request.max_tokens"),
        ({"gateway": {"replicas": "two"}}, "spec.gateway.replicas"),
        ({"request": {}}, "spec.request"),
        ({"surprise": 1}, "spec.surprise"),
    ],
)
async def test_a_spec_that_cannot_be_read_is_a_problem_that_names_the_field(spec: dict[str, Any], place: str) -> None:
    rig = await serving()
    before = rig.gateways.config
    rig.edit(**spec)
    obs = await observed(rig)
    assert (obs.spec, obs.problems[0].reason) == (None, "InvalidSpec")
    assert obs.problems[0].message.startswith(place)
    await rig.settle(1)
    assert rig.condition("Accepted")[:2] == ("False", "InvalidSpec")
    assert rig.condition("Ready")[0] == "True"
    assert rig.gateways.config == before


async def test_a_spec_without_a_request_keeps_no_rollback_from_happening() -> None:
    rig = await on_trial()
    found = rig.kube.take("ClaudeDeployment", "support")
    rig.kube.put({**found, "spec": {}})
    rig.gateways.serve("gw-1", "canary", 0, 200)
    rig.gateways.serve("gw-1", "stable", 2000)
    rig.wait(5)
    await rig.one()
    assert len(rig.gateways.config.arms) == 1
    assert rig.status.rollouts[-1].outcome == "RolledBack"


async def test_a_status_that_cannot_be_read_counts_as_lost_and_stable_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    rig = await on_trial()
    stable = rig.status.stable_revision
    found = rig.kube.take("ClaudeDeployment", "support")
    found["status"]["rollout"]["outcome"] = "Vanished"  # as another version might write
    found["status"]["judgement"]["message"] = "quoted"
    rig.kube.put(found)
    with caplog.at_level(logging.ERROR):
        assert await rig.one() == 0.05
    assert rig.kube.take("ClaudeDeployment", "support")["status"] == {}
    await rig.one()
    assert caplog.records[0].fields["error"].startswith("status.rollout.outcome: ")  # type: ignore[attr-defined]
    assert "quoted" not in str(caplog.records[0].__dict__)
    weights = {arm.revision: arm.weight for arm in rig.gateways.config.arms}
    assert (weights.pop(stable or ""), sum(weights.values())) == (10_000, 0)
    await rig.settle()
    assert (rig.status.stable_revision, rig.status.step and rig.status.step.weight) == (stable, 10)


async def test_the_status_of_a_run_that_cannot_be_read_keeps_no_rollback_from_happening() -> None:
    rig = await on_trial()
    owner = rig.kube.take("ClaudeDeployment", "support")
    reference = {"kind": "ClaudeDeployment", "uid": owner["metadata"]["uid"], "controller": True}
    rig.kube.put(
        {
            "apiVersion": "claudeops.dev/v1alpha1",
            "kind": "ClaudeEvalRun",
            "metadata": {
                "name": "support-1-2",
                "namespace": "demo",
                "labels": {"claudeops.dev/deployment": "support"},
                "ownerReferences": [reference],
            },
            "spec": {},
            "status": {"phase": "Vanished"},
        }
    )
    rig.gateways.serve("gw-1", "canary", 0, 200)
    rig.gateways.serve("gw-1", "stable", 2000)
    rig.wait(5)
    assert (await observed(rig)).eval_runs["support-1-2"].phase == "Pending"
    await rig.one()
    assert len(rig.gateways.config.arms) == 1


def forged(rig: Rig, how: str) -> dict[str, str]:
    """Data of the ConfigMap, written by somebody who may write ConfigMaps alone."""
    data = rig.kube.take("ConfigMap", "support-gateway")["data"]
    config = rig.gateways.config
    mine = msgspec.structs.replace(config.upstream, base_url="http://mine.example.com")
    ended = Settled(config.arms[1].revision, 1, "Promoted", "Promoted")
    changes: dict[str, dict[str, Any]] = {
        "upstream": {"upstream": mine, "auth": Auth("None")},
        "verdict": {"settled": ended, "generation": config.generation + 1},
        "weights": {"arms": [msgspec.structs.replace(config.arms[1], weight=10_000, role="stable")]},
    }
    if how == "unreadable":
        return {**data, "config.json": '{"generation": "a lot"}'}
    if how == "no signature":
        return {"config.json": data["config.json"]}
    if how == "empty":
        return {}
    return {**data, "config.json": dump_config(msgspec.structs.replace(config, **changes[how]))}


FORGERIES = ["upstream", "verdict", "weights", "unreadable", "no signature", "empty"]


@pytest.mark.parametrize("how", FORGERIES)
async def test_a_config_of_somebody_else_is_put_back_and_the_rollout_goes_on(how: str) -> None:
    rig = await on_trial()
    before, status = rig.kube.take("ConfigMap", "support-gateway"), rig.status
    rig.kube.put({**before, "data": forged(rig, how)})
    assert (await observed(rig)).config == parse_config(before["data"]["config.json"])
    await rig.one()
    assert rig.kube.take("ConfigMap", "support-gateway")["data"] == before["data"]
    assert (rig.status.step, rig.status.canary_revision) == (status.step, status.canary_revision)
    (note,) = rig.events("ChildRestored")
    assert note.startswith("ConfigMap support-gateway was changed (data")
    await rig.settle()
    assert len(rig.events("ChildRestored")) == 1


@pytest.mark.parametrize("how", FORGERIES)
async def test_another_leader_believes_no_config_of_somebody_else_and_begins_the_steps_again(how: str) -> None:
    rig = await on_trial()
    stable, generation = rig.status.stable_revision, rig.gateways.config.generation
    found = rig.kube.take("ConfigMap", "support-gateway")
    rig.kube.put({**found, "data": forged(rig, how)})
    rig.start_operator()
    assert (await observed(rig)).config is None
    await rig.one()
    (note,) = rig.events("ChildRestored")
    assert "cannot be read" in note or "was not written by the operator" in note
    await rig.settle()
    config = rig.gateways.config
    assert config.generation > generation
    assert (config.upstream.base_url, config.auth.type) == ("https://api.anthropic.com", "ApiKey")
    assert rig.status.stable_revision == stable
    assert [arm.role for arm in config.arms] == ["stable", "canary"]
    assert rig.status.rollout is not None and rig.status.rollout.outcome is None
    assert rig.gateways.signed


@pytest.mark.parametrize("remembers", [True, False])
async def test_an_old_config_that_is_put_back_is_not_believed(remembers: bool) -> None:
    rig = await serving()
    old = rig.kube.take("ConfigMap", "support-gateway")["data"]
    rig.say("Be brief.")
    await rig.settle()
    now = rig.kube.take("ConfigMap", "support-gateway")
    generation = rig.gateways.config.generation
    assert generation > parse_config(old["config.json"]).generation + 1
    rig.gateways.serves = generation  # they refuse what is older
    rig.kube.put({**now, "data": old})
    if not remembers:
        rig.start_operator()
    await rig.settle()
    assert rig.gateways.config.generation == generation if remembers else rig.gateways.config.generation > generation
    assert [arm.role for arm in rig.gateways.config.arms] == ["stable", "canary"]
    assert len(rig.events("ChildRestored")) == 1


async def test_the_config_of_an_earlier_life_is_not_believed_once_this_one_has_its_own() -> None:
    rig = await on_trial()
    before = rig.kube.take("ConfigMap", "support-gateway")["data"]
    for kind, space, name in list(rig.kube.objects):
        if space == "demo" and kind != "Secret":
            rig.kube.drop(kind, name, space)
    rig.start_operator()
    rig.kube.put(deployment(upstream={**SPEC["upstream"], "baseURL": "https://new.example.com"}))
    await rig.settle()
    found = rig.kube.take("ConfigMap", "support-gateway")
    assert parse_config(before["config.json"]).generation > rig.gateways.config.generation
    for remembers in (True, False):
        rig.kube.put({**found, "metadata": {**found["metadata"], "ownerReferences": []}, "data": before})
        if not remembers:
            rig.start_operator()
        assert (await observed(rig)).config == (parse_config(found["data"]["config.json"]) if remembers else None)
        await rig.settle()
        assert rig.gateways.config.upstream.base_url == "https://new.example.com"
        assert [arm.weight for arm in rig.gateways.config.arms] == [10_000]


async def test_the_config_of_another_deployment_is_not_believed() -> None:
    rig = await on_trial()
    found = rig.kube.take("ConfigMap", "support-gateway")
    uid = rig.gateways.config.deployment.uid
    key = (await rig.children.operator_keys())("uid-of-another")
    document = found["data"]["config.json"].replace(uid, "uid-of-another").replace('"demo"', '"elsewhere"')
    data = {"config.json": document}
    rig.kube.put({**found, "data": data | {"signature": sign_config(key, data)}})
    rig.start_operator()
    assert (await observed(rig)).config is None


async def test_a_config_map_of_somebody_else_is_neither_read_nor_written() -> None:
    rig = Rig()
    rig.kube.put(secret())
    rig.kube.put(deployment())
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "support-gateway", "namespace": "demo"}}
    rig.kube.put({**theirs, "data": {"config.json": "theirs"}})
    assert await rig.one() == 15.0
    assert rig.condition("Accepted")[:2] == ("False", "NameTaken")
    assert [kind for verb, kind, _ in rig.kube.writes if kind != "Event"] == ["ClaudeDeployment"]
    assert rig.kube.take("ConfigMap", "support-gateway")["data"] == {"config.json": "theirs"}
    rig.kube.drop("ConfigMap", "support-gateway")
    await rig.settle()
    assert rig.condition("Accepted")[0] == "True"


async def test_a_config_map_that_somebody_else_puts_in_the_place_of_ours_is_told_and_does_not_make_the_loop_spin() -> (
    None
):
    rig = await serving()
    rig.kube.drop("ConfigMap", "support-gateway")
    rig.kube.put(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "support-gateway", "namespace": "demo"}}
    )
    for _ in range(3):
        after = await rig.one()
        assert after is not None and after >= 1.0
    assert rig.condition("Accepted")[:2] == ("False", "NameTaken")
    assert "data" not in rig.kube.take("ConfigMap", "support-gateway")


async def test_a_deleted_config_comes_back_as_it_was_and_the_rollout_goes_on() -> None:
    rig = await on_trial()
    before, status = rig.kube.take("ConfigMap", "support-gateway")["data"], rig.status
    rig.kube.drop("ConfigMap", "support-gateway")
    await rig.one()
    assert rig.kube.take("ConfigMap", "support-gateway")["data"] == before
    assert (rig.status.step, rig.status.canary_revision) == (status.step, status.canary_revision)
    assert len(rig.events("ChildRestored")) == 1
    await rig.settle()
    assert len(rig.events("ChildRestored")) == 1


async def test_another_leader_writes_a_deleted_config_above_what_the_pods_serve() -> None:
    rig = await on_trial()
    before = rig.gateways.config
    rig.kube.drop("ConfigMap", "support-gateway")
    rig.start_operator()
    await rig.one()
    assert rig.gateways.config.generation > before.generation
    assert [arm.revision for arm in rig.gateways.config.arms] == [arm.revision for arm in before.arms]
    assert [arm.weight for arm in rig.gateways.config.arms] == [10_000, 0]  # the canary begins its steps again


async def test_a_config_that_could_not_be_made_is_not_taken_for_one_that_was_deleted() -> None:
    rig = Rig()
    rig.kube.put(secret())
    rig.kube.put(deployment())

    def refuse(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "ConfigMap"):
            raise KubeError(403, "Forbidden", "no room for you")

    rig.kube.before = refuse
    for _ in range(3):
        with contextlib.suppress(KubeError):
            await rig.one()
    assert (await observed(rig)).config is None
    assert rig.events("ChildRestored") == []


@pytest.mark.parametrize("remembers", [True, False])
async def test_a_deleted_config_does_not_come_back_with_a_host_that_is_not_allowed(remembers: bool) -> None:
    rig = Rig()
    rig.policy = Policy(allowed_hosts=("api.anthropic.com",))
    rig.start_operator()
    rig.kube.put(secret())
    rig.kube.put(deployment())
    await rig.settle()
    before = rig.kube.take("ConfigMap", "support-gateway")["data"]
    rig.edit(upstream={**SPEC["upstream"], "baseURL": "https://evil.example.com"})
    await rig.one()
    assert rig.condition("Accepted")[:2] == ("False", "HostNotAllowed")
    rig.kube.drop("ConfigMap", "support-gateway")
    if not remembers:
        rig.start_operator()
    await rig.one()
    await rig.settle()
    if remembers:
        assert rig.kube.take("ConfigMap", "support-gateway")["data"] == before
    else:  # gateways serve from memory
        assert "support-gateway" not in rig.kube.names("ConfigMap")
        rig.edit(upstream=SPEC["upstream"] | {"baseURL": "https://api.anthropic.com"})
        await rig.settle()
    assert rig.gateways.config.upstream.base_url == "https://api.anthropic.com"
    assert rig.condition("Accepted")[0] == ("False" if remembers else "True")


async def test_a_gateway_deployment_of_somebody_else_says_nothing() -> None:
    rig = await serving()
    found = rig.kube.take("Deployment", "support-gateway")
    found["metadata"]["ownerReferences"][0] |= {"kind": "Rollout", "apiVersion": "argoproj.io/v1", "uid": "other"}
    rig.kube.put(found)
    assert (await observed(rig)).gateway.pods == ()


async def test_pods_that_serve_on_are_seen_though_their_deployment_is_gone_or_nobodys() -> None:
    rig = await serving()
    found = rig.kube.take("Deployment", "support-gateway")
    rig.kube.put({**found, "metadata": {**found["metadata"], "ownerReferences": []}})
    view = (await observed(rig)).gateway
    assert (view.settled, view.ready, len(view.pods)) == (True, 1, 1)
    rig.kube.drop("Deployment", "support-gateway")
    view = (await observed(rig)).gateway
    assert (view.settled, view.ready, len(view.pods)) == (False, 1, 1)


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        ({"observedGeneration": 9, "updatedReplicas": 2, "availableReplicas": 2, "replicas": 2}, True),
        ({"observedGeneration": 8, "updatedReplicas": 2, "availableReplicas": 2, "replicas": 2}, False),
        ({"observedGeneration": 9, "updatedReplicas": 1, "availableReplicas": 2, "replicas": 3}, False),
        ({"observedGeneration": 9, "updatedReplicas": 2, "availableReplicas": 1, "replicas": 2}, False),
        ({"observedGeneration": 9, "updatedReplicas": 2, "availableReplicas": 2, "replicas": 3}, False),
        (None, False),
    ],
)
async def test_the_gateways_are_settled_when_all_are_new_and_available(status: Any, settled: bool) -> None:
    rig = await serving()
    found = rig.kube.take("Deployment", "support-gateway")
    found["spec"]["replicas"], found["metadata"]["generation"] = 2, 9
    stored = rig.kube.objects["Deployment", "demo", "support-gateway"] = {**found, "status": status}
    assert stored
    seen = (await observed(rig)).gateway
    assert (seen.settled, seen.reads_budgets) == (settled, settled)
    del found["spec"]["template"]["metadata"]["annotations"]  # as an earlier version made it
    rig.kube.objects["Deployment", "demo", "support-gateway"] = {**found, "status": status}
    assert not (await observed(rig)).gateway.reads_budgets


async def test_pods_that_end_are_read_and_do_not_count_as_ready() -> None:
    rig = await on_trial()
    rig.pod("gw-2", deletionTimestamp="2026-11-24T10:00:00Z")
    rig.gateways.serve("gw-2", "canary", 5)
    rig.wait(5)
    obs = await observed(rig)
    assert ([pod.name for pod in obs.gateway.pods], obs.gateway.ready) == (["gw-1"], 1)
    assert obs.increments.traffic == 5


async def test_a_bad_conversation_that_two_pods_have_counted_is_one() -> None:
    rig = await on_trial()
    rig.pod("gw-2")
    read = rig.gateways.read

    async def shown(pods: Sequence[Mapping[str, Any]], **options: Any) -> list[PodReading]:
        """As the pods say, and that the canary's one bad conversation is the same in each."""
        return [replace(reading, evidence=_one_bad(reading.evidence)) for reading in await read(pods, **options)]

    rig.gateways.read = shown  # type: ignore[method-assign]
    for pod in ("gw-1", "gw-2"):
        rig.gateways.serve(pod, "canary", 4, 1)
    rig.wait(5)
    (found,) = (await observed(rig)).increments.samples.values()
    assert (found.counts.errors, found.counts.bad_errors) == (2, 1)


def _one_bad(evidence: Evidence | None) -> Evidence:
    assert evidence is not None
    (generation,) = evidence.generations
    (stratum,) = generation.strata
    counters = msgspec.structs.replace(stratum.counters, conversations=5, bad_conversations={"error": 1})
    strata = [msgspec.structs.replace(stratum, counters=counters)]
    row = BadConversation(generation.generation, stratum.revision, stratum.surface, "error", "d1", 1.0)
    return msgspec.structs.replace(evidence, generations=[GenerationEvidence(generation.generation, strata)], bad=[row])


async def test_what_is_remembered_of_deployments_that_are_gone_is_dropped() -> None:
    rig = await on_trial()
    uid = rig.kube.take("ClaudeDeployment", "support")["metadata"]["uid"]
    rig.gateways.serve("gw-1", "canary", 5)
    rig.gatherer.forget({uid})
    rig.wait(5)
    assert (await observed(rig)).increments.traffic == 5
    rig.gateways.keeps = False
    rig.gateways.kept.clear()
    rig.gatherer.forget(set())
    assert (await observed(rig)).increments.traffic == 0  # a baseline again


def killed(rig: Rig, at: dt.datetime) -> None:
    """The gateway's container was ended for lack of memory and runs again."""
    found = rig.kube.take("Pod", "gw-1")
    found["spec"] = {"containers": [{"name": "gateway", "resources": {"limits": {"memory": "512Mi"}}}]}
    end = {"reason": "OOMKilled", "exitCode": 137, "finishedAt": at.isoformat()}
    found["status"]["containerStatuses"] = [{"name": "gateway", "lastState": {"terminated": end}}]
    rig.kube.put(found)


def out_of_memory(rig: Rig) -> list[str]:
    found = [rig.kube.take("Event", name) for name in rig.kube.names("Event")]
    return [one["note"] for one in found if one["reason"] == "OutOfMemory"]


async def test_an_end_for_lack_of_memory_is_told_once_each() -> None:
    rig = await serving()
    killed(rig, rig.now)
    for _ in range(30):
        await rig.one()
        rig.wait(10)
    (note,) = out_of_memory(rig)
    assert note == (
        "container gateway of pod gw-1 used more memory than allowed (limit 512Mi) and was killed with all"
        " its open calls; raise spec.gateway.resources.limits.memory, or spec.gateway.replicas"
    )
    killed(rig, rig.now)
    await rig.one()
    assert len(out_of_memory(rig)) == 2
    rig.wait(300)
    rig.start_operator()
    await rig.one()
    assert len(out_of_memory(rig)) == 2


async def test_a_cause_is_told_by_the_condition_and_once_by_an_event_and_then_that_it_is_over() -> None:
    rig = await serving()
    found = rig.kube.take("Deployment", "support-gateway")
    failure = {"type": "ReplicaFailure", "status": "True", "message": 'forbidden: exceeded quota: "small"'}
    rig.kube.put({**found, "status": {**found["status"], "availableReplicas": 0, "conditions": [failure]}})
    rig.pod("gw-1", ready=False)
    for _ in range(3):
        assert (await rig.one() or 99) <= 2.0  # nobody is served
    status, reason, message = rig.condition("GatewayReady")
    assert (status, reason) == ("False", "PodsFailing")
    assert message == 'pods cannot be created: forbidden: exceeded quota: "small"; 0 pods ready'
    rig.pod("gw-1")
    rig.roll_out()
    await rig.settle()
    reasons = [rig.kube.take("Event", name)["reason"] for name in rig.kube.names("Event")]
    assert reasons.count("PodsFailing") == 1
    assert rig.condition("GatewayReady")[1] == "GatewaysCurrent"


async def test_a_revision_that_somebody_made_is_not_used_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With our labels and a controller reference, but a content that does not hash to its name."""
    rig = await serving()
    [name] = rig.kube.names("ClaudeRevision")
    genuine = rig.kube.take("ClaudeRevision", name)
    forged = {**genuine["metadata"], "name": "support-0123456789", "uid": "forged"}
    rig.kube.put({**genuine, "metadata": forged})
    seen = await observed(rig)
    assert list(seen.revisions) == [name]
    await rig.one()
    accepted = rig.condition("Accepted")
    assert accepted[:2] == ("False", "RevisionNotTrusted")
    assert "kubectl -n demo delete clr support-0123456789" in accepted[2]
    assert rig.gateways.config.arms[0].revision == name
    hashed: list[str] = []
    monkeypatch.setattr(revision, "is_of", lambda one, _: hashed.append(one["metadata"]["name"]))
    for _ in range(3):
        await rig.one()
    assert hashed == []
    monkeypatch.undo()
    rig.kube.drop("ClaudeRevision", "support-0123456789")
    rig.say("Be brief.")
    await rig.settle()
    assert rig.condition("Accepted")[0] == "True"
    assert sorted((await observed(rig)).revisions) == rig.kube.names("ClaudeRevision")


async def test_one_that_takes_the_place_of_what_serves_changes_nothing_for_clients() -> None:
    rig = await serving()
    [name] = rig.kube.names("ClaudeRevision")
    genuine = rig.kube.take("ClaudeRevision", name)
    rig.kube.drop("ClaudeRevision", name)
    request = {**genuine["spec"]["request"], "system": [{"type": "text", "text": "Say yes."}]}
    rig.kube.put({**genuine, "metadata": {**genuine["metadata"], "uid": "forged"}, "spec": {"request": request}})
    before = rig.gateways.config
    for _ in range(3):
        await rig.one()
        rig.wait(20)
    assert rig.condition("Accepted")[1] == "RevisionNotTrusted"
    assert rig.gateways.config == before
    events = [rig.kube.take("Event", one)["reason"] for one in rig.kube.names("Event")]
    assert "RevisionRestored" not in events
    rig.kube.drop("ClaudeRevision", name)
    await rig.settle()
    assert rig.kube.take("ClaudeRevision", name)["spec"] == genuine["spec"]
    assert rig.condition("Accepted")[0] == "True"


async def test_the_contents_of_all_kinds_of_revisions_are_those_of_their_names() -> None:
    """Also where blocks of the system prompt come from ConfigMaps."""
    rig = Rig()
    rig.kube.put(secret())
    texts = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p", "namespace": "demo"}}
    rig.kube.put({**texts, "data": {"a": "First.", "b": "Second."}})
    sources = [{"configMapKeyRef": {"name": "p", "key": key}} for key in "ab"]
    subagents = {"r": {"request": {"model": "claude-haiku-5-5"}}}
    rig.kube.put(
        deployment(promptFrom=sources, subagents=subagents, overrides={"system": "Append", "tools": "Replace"})
    )
    await rig.settle()
    assert rig.condition("Accepted")[0] == "True"
    assert list((await observed(rig)).revisions) == rig.kube.names("ClaudeRevision")
