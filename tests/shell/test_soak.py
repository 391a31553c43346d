"""A soak in the shell: what is read, that nothing is counted twice, and the order of writes when it breaches."""

from __future__ import annotations

from tests.shell.rig import NAME, SPEC, Rig, on_trial

from claude_operator.api.status import MetricState
from claude_operator.kube.client import KubeError

CONFLICT = KubeError(409, "Conflict", "the object has been modified")


async def promoted() -> Rig:
    """The second revision has just been promoted by a person, after a tick of both arms, and soaks for an hour."""
    canary = {**SPEC["strategy"]["canary"], "soak": {"duration": "1h"}}
    rig = await on_trial(strategy={"canary": canary})
    rig.gateways.serve("gw-1", "canary", 100)
    rig.gateways.serve("gw-1", "stable", 796, 4)
    rig.wait(5)
    await rig.one()
    assert rig.status.rollout
    found = rig.kube.take("ClaudeDeployment", NAME)
    value = f"{rig.status.rollout.revision}/1/full"
    found["metadata"]["annotations"] = {"claudeops.dev/promote": value}
    rig.kube.put(found)
    await rig.one()
    assert rig.status.soak, rig.status
    rig.kube.writes.clear()
    return rig


def judged(rig: Rig) -> MetricState:
    soak = rig.status.soak
    assert soak
    assert soak.judgement
    return next(one for one in soak.judgement.state if one.name == "errors")


async def test_the_counters_are_read_at_the_interval() -> None:
    rig = await promoted()
    assert judged_nothing(rig)
    rig.gateways.serve("gw-1", "stable", 99, 1)
    rig.wait(1)
    assert (await rig.one() or 0) <= 4.0
    assert judged_nothing(rig)
    rig.wait(4)
    assert 4.9 < (await rig.one() or 0) <= 5.0
    assert (judged(rig).canary, judged(rig).stable) == ([100, 1], [800, 4])
    assert rig.condition("CanaryHealthy")[1] == "Soaking"
    assert rig.condition("Promoted")[0] == "True"


def judged_nothing(rig: Rig) -> bool:
    soak = rig.status.soak
    return bool(soak and soak.judgement and not soak.judgement.state)


async def test_a_tick_that_was_not_stored_is_counted_by_the_next_and_one_that_was_is_not() -> None:
    rig = await promoted()
    rig.gateways.serve("gw-1", "stable", 100)
    rig.wait(5)
    left = [1]

    def refuse(verb: str, kind: str, name: str) -> None:
        if verb == "apply status" and left[0]:
            left[0] -= 1
            raise CONFLICT

    rig.kube.before = refuse
    await rig.one()
    assert judged_nothing(rig)
    await rig.one()
    assert judged(rig).canary == [100, 0]
    rig.wait(5)
    rig.gateways.serve("gw-1", "stable", 50)
    await rig.one()
    assert judged(rig).canary == [150, 0]


async def test_a_breach_writes_the_config_first() -> None:
    rig = await promoted()
    before = rig.status.soak
    assert before
    rig.gateways.serve("gw-1", "stable", 60, 40)
    rig.wait(5)
    await rig.one()
    order = [(verb, kind) for verb, kind, _ in rig.kube.writes]
    assert order[:2] == [("apply", "ConfigMap"), ("apply status", "ClaudeDeployment")]
    assert [(arm.revision, arm.weight) for arm in rig.gateways.config.arms] == [(before.previous, 10_000)]
    assert rig.status.rollouts[-1].outcome == "RolledBack"
    assert rig.condition("Promoted")[:2] == ("False", "RolledBack")
    assert rig.status.soak is None
