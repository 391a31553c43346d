"""The order of writes, and what one that fails does to the others."""

from __future__ import annotations

import contextlib
import logging

import pytest
from tests.shell.rig import KEY, Rig, on_trial, serving

from claude_operator.kube.client import KubeError
from claude_operator.replay.replay import replay

STATUS, CONFIG = ("apply status", "ClaudeDeployment"), ("apply", "ConfigMap")
LEDGER = ("apply", "the ledger")


def said_no(rig: Rig, verb: str, kind: str, error: KubeError, times: int = 1) -> None:
    """The API server refuses a verb on a kind so many times."""
    left = [times]

    def refuse(called: str, on: str, name: str) -> None:
        if (called, on) == (verb, kind) and not name.endswith("-ledger") and left[0]:
            left[0] -= 1
            raise error

    rig.kube.before = refuse


def written(rig: Rig) -> list[tuple[str, str]]:
    return [LEDGER if name.endswith("-ledger") else (verb, kind) for verb, kind, name in rig.kube.writes]


def fail(rig: Rig) -> None:
    """The canary fails as never seen before, and a reading is due."""
    rig.gateways.serve("gw-1", "canary", 0, 200)
    rig.gateways.serve("gw-1", "stable", 2000, 0)
    rig.wait(5)


CONFLICT = KubeError(409, "Conflict", "the object has been modified")
DENIED = KubeError(403, "Forbidden", "exceeded quota")


async def test_forward_the_status_is_written_before_the_config() -> None:
    rig = await serving()
    rig.kube.writes.clear()
    rig.say("Be brief.")
    await rig.settle()
    writes = written(rig)
    assert writes[0] == ("create", "ClaudeRevision")
    assert writes.index(STATUS) < writes.index(CONFIG)
    step, weights = rig.status.step, [arm.weight for arm in rig.gateways.config.arms]
    assert step is not None
    assert (step.weight, weights) == (10.0, [9000, 1000])


async def test_a_conflict_at_the_status_keeps_the_config_from_going_forward() -> None:
    rig = await serving()
    rig.say("Be brief.")
    await rig.one()  # the revision is made
    await rig.one()  # it goes on trial
    before = rig.gateways.config
    rig.kube.writes.clear()
    said_no(rig, *STATUS, CONFLICT, times=3)
    for _ in range(3):
        assert await rig.one() == 0.05
    assert written(rig) == []
    assert rig.gateways.config == before
    rig.kube.before = lambda *_: None
    await rig.settle()
    assert [arm.weight for arm in rig.gateways.config.arms] == [9000, 1000]


async def test_backward_the_config_is_written_before_the_status_and_the_event_comes_last() -> None:
    rig = await on_trial()
    fail(rig)
    await rig.one()
    writes = written(rig)
    assert writes[:3] == [CONFIG, LEDGER, STATUS]
    assert writes[-1] == ("create", "Event")
    config = rig.gateways.config
    assert [(arm.role, arm.weight) for arm in config.arms] == [("stable", 10_000)]
    assert config.settled is not None
    assert (config.settled.outcome, rig.status.canary_revision) == ("RolledBack", None)


async def test_a_ledger_that_cannot_be_written_holds_up_nothing() -> None:
    rig = await on_trial()
    fail(rig)

    def refuse(verb: str, kind: str, name: str) -> None:
        if name.endswith("-ledger"):
            raise DENIED

    rig.kube.before = refuse
    await rig.one()
    assert (written(rig)[:2], rig.condition("Promoted")[0]) == ([CONFIG, STATUS], "False")


async def test_a_ledger_is_taken_up_by_the_next_operator_and_says_what_was_judged() -> None:
    rig = await on_trial()
    for number in range(6):
        if number == 3:
            rig.start_operator()
            await rig.one()  # a baseline
        rig.gateways.serve("gw-1", "canary", 18, 1)
        rig.gateways.serve("gw-1", "stable", 200, 1)
        rig.wait(5)
        await rig.one()
    name = next(name for name in rig.kube.names("ConfigMap") if name.endswith("-1-ledger"))
    found = rig.kube.take("ConfigMap", name)
    assert [one["kind"] for one in found["metadata"]["ownerReferences"]] == ["ClaudeRevision"]
    ticks = list(replay(found["data"]["ticks.jsonl"].splitlines()))
    assert len(ticks) >= 6
    assert rig.status.judgement
    assert ticks[-1]["total"] == pytest.approx(rig.status.judgement.evidence, rel=1e-9)


async def test_a_ledger_is_forgotten_once_its_rollout_has_ended() -> None:
    rig = await on_trial()
    fail(rig)
    await rig.one()
    ledgers = rig.gatherer._sources.ledgers
    assert [name.endswith("-1-ledger") for name, _ in ledgers._known.values()] == [True]
    await rig.one()
    assert ledgers._known == {}


async def test_a_conflict_at_the_config_voids_a_rollback_and_the_next_pass_does_it() -> None:
    rig = await on_trial()
    fail(rig)
    said_no(rig, *CONFIG, CONFLICT)
    assert await rig.one() == 0.05
    assert written(rig) == []
    rig.wait(0.05)
    await rig.one()
    assert written(rig)[:3] == [CONFIG, LEDGER, STATUS]
    assert rig.condition("Promoted")[0] == "False"


async def test_a_rollback_whose_status_was_not_written_is_told_by_the_next_pass() -> None:
    rig = await on_trial()
    fail(rig)
    said_no(rig, *STATUS, CONFLICT)
    assert await rig.one() == 0.05
    assert written(rig) == [CONFIG, LEDGER]  # no Event of what the status does not say yet
    assert len(rig.gateways.config.arms) == 1
    rig.start_operator()  # another leader, which knows nothing
    await rig.settle()
    assert [arm.weight for arm in rig.gateways.config.arms] == [10_000]
    assert rig.status.rollouts[-1].outcome == "RolledBack"
    assert [rig.kube.take("Event", name)["reason"] for name in rig.kube.names("Event")].count("RolledBack") == 1


async def test_a_document_that_was_changed_meanwhile_is_not_written_over() -> None:
    rig = await on_trial()
    fail(rig)

    def somebody(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == CONFIG:
            rig.kube.before = lambda *_: None
            found = rig.kube.take("ConfigMap", "support-gateway")
            rig.kube.put({**found, "metadata": {**found["metadata"], "annotations": {"a": "b"}}})

    rig.kube.before = somebody
    assert await rig.one() == 0.05
    assert len(rig.gateways.config.arms) == 2
    await rig.one()
    assert len(rig.gateways.config.arms) == 1
    assert rig.kube.take("ConfigMap", "support-gateway")["metadata"]["annotations"] == {"a": "b"}


@pytest.mark.parametrize("kind", ["Deployment", "Service", "Role", "ServiceAccount", "PodDisruptionBudget"])
async def test_a_child_that_cannot_be_written_keeps_no_rollback_from_happening(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    rig = await on_trial()
    spoilt = rig.kube.take(kind, "support-gateway")
    spoilt["metadata"]["labels"] = {}
    rig.kube.put(spoilt)
    rig.children.look_at(rig.kube.take("ClaudeDeployment", "support"), spoilt)
    fail(rig)
    said_no(rig, "apply", kind, DENIED)
    with caplog.at_level(logging.WARNING):
        after = await rig.one()
    assert after is not None and after <= 5.0
    assert any("exceeded quota" in record.fields.get("error", "") for record in caplog.records)  # type: ignore[attr-defined]
    assert len(rig.gateways.config.arms) == 1
    assert rig.status.canary_revision is None
    await rig.one()
    assert rig.kube.take(kind, "support-gateway")["metadata"]["labels"]


async def test_a_revision_that_cannot_be_made_keeps_no_rollback_from_happening() -> None:
    rig = await on_trial()
    rig.say("Be quick.")  # in the same moment
    fail(rig)
    said_no(rig, "create", "ClaudeRevision", DENIED)
    assert await rig.one() is not None
    assert [arm.weight for arm in rig.gateways.config.arms] == [10_000]
    assert rig.status.rollouts[-1].outcome == "RolledBack"
    rig.kube.before = lambda *_: None
    await rig.settle()  # and is made later
    assert len(rig.kube.names("ClaudeRevision")) == 3


async def test_forward_nothing_is_told_of_a_revision_that_cannot_be_made() -> None:
    rig = await serving()
    rig.kube.writes.clear()
    rig.say("Be brief.")
    said_no(rig, "create", "ClaudeRevision", DENIED)
    with pytest.raises(KubeError, match="exceeded quota"):
        await rig.one()
    assert {write[:2] for write in rig.kube.writes} <= {STATUS, ("create", "Event")}
    assert rig.condition("Promoted") == (
        "Unknown",
        "WriteRefused",
        "the API server refuses the ClaudeRevision: exceeded quota (403 Forbidden)",
    )


async def test_a_revision_of_somebody_else_is_named_and_does_not_make_the_loop_spin() -> None:
    rig = await serving()
    rig.say("Be brief.")
    await rig.settle()
    stale = rig.status.canary_revision or ""
    found = rig.kube.take("ClaudeRevision", stale)
    rig.kube.drop("ClaudeRevision", stale)
    found["metadata"] = {"name": stale, "namespace": "demo"}
    found["spec"]["request"]["max_tokens"] += 1
    rig.kube.put(found)
    for _ in range(3):
        after = await rig.one()
    assert after is not None and after > 1.0
    status, reason, message = rig.condition("Accepted")
    assert (status, reason) == ("False", "NameTaken")
    assert f"ClaudeRevision {stale} has content that does not match its name" in message
    rig.kube.drop("ClaudeRevision", stale)
    await rig.settle()
    assert rig.condition("Accepted")[0] == "True"


async def test_an_event_that_cannot_be_written_fails_nothing() -> None:
    rig = await on_trial()
    fail(rig)
    said_no(rig, "create", "Event", DENIED, times=100)
    assert await rig.one() is not None
    assert rig.kube.names("ClaudeRevision")
    assert len(rig.gateways.config.arms) == 1


async def test_a_pass_in_which_nothing_changed_writes_nothing() -> None:
    rig = await serving()
    rig.kube.writes.clear()
    for _ in range(3):
        await rig.one()
        rig.wait(100)
    assert rig.kube.writes == []


async def test_a_field_that_is_over_is_taken_out_of_the_status() -> None:
    rig = await on_trial()
    assert "step" in rig.kube.take("ClaudeDeployment", "support")["status"]
    fail(rig)
    await rig.one()
    assert not {"step", "canaryRevision"} & set(rig.kube.take("ClaudeDeployment", "support")["status"])


async def test_old_revisions_go_and_those_that_serve_stay() -> None:
    rig = await serving(revisionHistoryLimit=1)
    first = rig.status.stable_revision
    for text in ("one", "two", "three"):
        rig.say(text)
        await rig.settle()
        rig.wait(1)
    kept = rig.kube.names("ClaudeRevision")
    assert {first, rig.status.canary_revision} <= set(kept)
    assert len(kept) == 3
    assert rig.kube.take("ClaudeRevision", first or "")["status"]["state"] == "Stable"


async def test_a_revision_that_went_before_its_status_was_written_fails_nothing() -> None:
    rig = await serving()
    rig.say("Be brief.")

    def gone(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("patch status", "ClaudeRevision"):
            rig.kube.before = lambda *_: None
            rig.kube.drop(kind, name)

    rig.kube.before = gone
    for _ in range(4):
        await rig.reconciler(KEY)
    assert ("patch status", "ClaudeRevision", rig.status.stable_revision) in rig.kube.calls


INVALID = KubeError(422, "Invalid", "ValidatingAdmissionPolicy 'freeze' denied the request")
BROKEN = KubeError(500, "InternalError", "failed calling webhook")


@pytest.mark.parametrize("error", [INVALID, DENIED, BROKEN], ids=["policy", "rights", "webhook"])
async def test_a_config_that_is_refused_is_told_while_the_canary_is_bad(error: KubeError) -> None:
    rig = await on_trial()
    fail(rig)
    said_no(rig, *CONFIG, error, times=1000)
    for _ in range(6):
        with pytest.raises(KubeError):
            await rig.one()
        rig.wait(0.5)
    assert [arm.weight for arm in rig.gateways.config.arms] == [9000, 1000]
    status, reason, message = rig.condition("GatewayReady")
    assert (status, reason) == ("False", "WriteRefused")
    assert message.startswith("the API server refuses the gateways' config, so they keep the last one: ")
    assert error.message in message
    status, reason, message = rig.condition("CanaryHealthy")
    assert (status, reason) == ("False", "ErrorsIncreased")
    assert message.startswith(
        "traffic must be taken back from the canary, but the API server refuses the gateways' config: "
    )
    assert rig.status.rollout is not None
    assert rig.status.rollout.outcome is None  # nothing is told as done that is not
    assert len(rig.events("WriteRefused")) == 1
    assert rig.events("RolledBack") == []
    rig.kube.before = lambda *_: None  # the policy goes
    await rig.settle()
    assert [arm.weight for arm in rig.gateways.config.arms] == [10_000]
    assert rig.condition("GatewayReady")[0] == "True"
    assert len(rig.events("RolledBack")) == 1
    assert len(rig.events("WriteRefused")) == 1
    counted = rig.metrics.registry.get_sample_value("claude_operator_write_failures_total", {"what": "config"})
    assert counted == 6.0


async def test_no_step_goes_on_over_a_config_that_is_refused() -> None:
    rig = await serving(strategy={"canary": {"steps": [{"setWeight": 1}, {"setWeight": 10}, {"setWeight": 50}]}})
    rig.say("Be brief.")
    said_no(rig, *CONFIG, INVALID, times=1000)
    for _ in range(20):
        with contextlib.suppress(KubeError):
            await rig.one()
        rig.wait(60)
    assert rig.status.step is None  # its weight 0 was not even written
    assert [arm.weight for arm in rig.gateways.config.arms] == [10_000]
    assert rig.condition("GatewayReady")[1] == "WriteRefused"
    assert len(rig.events("WriteRefused")) == 1
    rig.kube.before = lambda *_: None
    await rig.settle()
    assert rig.condition("GatewayReady")[0] == "True"
    assert rig.status.stable_revision == rig.gateways.config.arms[0].revision


async def test_a_status_that_is_refused_is_told_by_an_event_and_a_metric_and_stops_the_way_forward() -> None:
    rig = await serving()
    before = rig.gateways.config
    rig.say("Be brief.")
    said_no(rig, *STATUS, INVALID, times=1000)
    for _ in range(10):
        with pytest.raises(KubeError):
            await rig.one()
        rig.wait(60)
    assert rig.gateways.config == before
    (note,) = rig.events("WriteRefused")
    assert note.startswith("the API server refuses the status, so conditions are out of date: ")
    assert rig.metrics.registry.get_sample_value("claude_operator_write_failures_total", {"what": "status"}) == 10.0


async def test_a_status_that_is_refused_keeps_no_rollback_from_happening() -> None:
    rig = await on_trial()
    fail(rig)
    said_no(rig, *STATUS, INVALID, times=3)
    for _ in range(3):
        with pytest.raises(KubeError):
            await rig.one()
    assert [arm.weight for arm in rig.gateways.config.arms] == [10_000]
    assert len(rig.events("WriteRefused")) == 1
    await rig.settle()
    assert rig.status.rollouts[-1].outcome == "RolledBack"


async def test_an_api_server_that_is_away_is_no_refusal() -> None:
    rig = await on_trial()
    fail(rig)
    for error in (KubeError(0, "Unreachable", "no answer in time"), KubeError(429, "TooManyRequests", "busy")):
        said_no(rig, *CONFIG, error, times=5)
        for _ in range(5):
            with pytest.raises(KubeError):
                await rig.one()
    rig.kube.before = lambda *_: None
    await rig.settle()
    assert rig.events("WriteRefused") == []
    assert len(rig.events("RolledBack")) == 1


async def test_a_child_that_is_refused_is_told_once() -> None:
    rig = await serving()
    said_no(rig, "apply", "Deployment", DENIED, times=4)
    rig.edit(gateway={"replicas": 2})
    for _ in range(4):
        assert (await rig.one() or 99) <= 5.0
        rig.wait(5)
    assert rig.condition("GatewayReady")[1] == "WriteRefused"
    (note,) = rig.events("WriteRefused")
    assert note == "the API server refuses a part of the gateway: exceeded quota (403 Forbidden)"
    await rig.settle()
    assert rig.condition("GatewayReady")[1] == "GatewaysCurrent"
    assert len(rig.events("Recovered")) == 1


async def test_a_pass_that_cannot_decide_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = await serving()

    def crash(*_: object) -> None:
        raise IndexError("step 99 of 2")

    with monkeypatch.context() as patched:
        patched.setattr("claude_operator.shell.reconcile.decide", crash)
        for _ in range(5):
            with pytest.raises(IndexError):
                await rig.one()
    (note,) = rig.events("PassFailed")
    assert note.endswith("gateways keep serving: IndexError: step 99 of 2")
    await rig.one()
    assert rig.children.writes.refused(rig.kube.take("ClaudeDeployment", "support")["metadata"]["uid"]) == {}
