"""The graders' key has a Secret of its own; an installation of before keeps its value, and no grader is refused."""

from __future__ import annotations

import pytest
from tests import workloads
from tests.shell.rig import Rig, secret, serving

from claude_operator.core.render import reads_grader_secret
from claude_operator.kube.client import KubeError

GATEWAY, GRADER = "support-gateway", "support-grader"
THEIRS = "b2Vpbg=="


async def installed_before(key: str = THEIRS) -> Rig:
    """A gateway as an earlier version left it, with this key for graders, and the new operator about to start."""
    rig = await serving()
    rig.kube.drop("Secret", GRADER)
    found = rig.kube.take("Secret", GATEWAY)
    rig.kube.put({**found, "data": {**found["data"], "grader-key": key}})
    found = rig.kube.take("Deployment", GATEWAY)
    workloads.read_keys_from_one_secret(found)
    rig.kube.put(found)
    rig.roll_out()
    rig.start_operator()
    rig.kube.writes.clear()
    return rig


def keys(rig: Rig) -> tuple[str | None, str]:
    """The graders' key, encoded, in the gateway's Secret and in its own."""
    return rig.kube.take("Secret", GATEWAY)["data"].get("grader-key"), rig.kube.take("Secret", GRADER)["data"][
        "grader-key"
    ]


async def test_each_key_is_in_a_secret_of_its_own() -> None:
    rig = await serving()
    assert set(rig.kube.take("Secret", GATEWAY)["data"]) == {"operator-key"}
    found = rig.kube.take("Secret", GRADER)
    assert set(found["data"]) == {"grader-key"}
    owner = rig.kube.take("ClaudeDeployment", "support")
    assert found["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]
    assert found["metadata"]["labels"] == rig.kube.take("Secret", GATEWAY)["metadata"]["labels"]
    order = [(kind, name) for _, kind, name in rig.kube.writes]
    assert order.index(("Secret", GRADER)) < order.index(("Deployment", GATEWAY))
    assert rig.events("GraderKeyMoved") == []


async def test_the_key_moves_and_stays_in_both_places_until_all_pods_are_new() -> None:
    rig = await installed_before()
    await rig.one()
    assert keys(rig) == (THEIRS, THEIRS)
    order = [(kind, name) for _, kind, name in rig.kube.writes]
    assert order.index(("Secret", GRADER)) < order.index(("Deployment", GATEWAY))
    assert reads_grader_secret(rig.kube.take("Deployment", GATEWAY)["spec"]["template"])
    for _ in range(3):  # the Deployment is not settled: an old pod is left
        rig.wait(61)
        await rig.one()
    assert keys(rig) == (THEIRS, THEIRS)
    rig.roll_out()
    rig.wait(61)
    await rig.one()
    assert keys(rig) == (None, THEIRS)
    rig.wait(61)
    await rig.one()
    assert keys(rig) == (None, THEIRS)
    (note,) = rig.events("GraderKeyMoved")
    assert "is now grader-key of the Secret support-grader" in note
    assert rig.events("ChildRestored") == []


async def test_the_pass_that_finds_the_pods_replaced_takes_the_key_out_of_the_old_place() -> None:
    """The last event of a rolling update is followed by a quiet time, in which nobody looks."""
    rig = await installed_before()
    await rig.one()
    await rig.one()
    assert keys(rig) == (THEIRS, THEIRS)
    rig.roll_out()
    await rig.one()
    assert keys(rig) == (None, THEIRS)


async def test_a_key_that_is_changed_while_pods_are_replaced_is_the_one_of_its_own_secret() -> None:
    rig = await installed_before()
    await rig.one()
    rig.kube.put({**rig.kube.take("Secret", GRADER), "data": {"grader-key": "bmV3"}})
    rig.start_operator()
    rig.wait(61)
    await rig.one()
    assert keys(rig) == (THEIRS, "bmV3")
    rig.roll_out()
    rig.wait(61)
    await rig.one()
    assert keys(rig) == (None, "bmV3")


async def test_after_a_downgrade_and_another_upgrade_the_key_that_pods_accept_holds() -> None:
    rig = await installed_before("bmV3")
    owner = rig.kube.take("Secret", GATEWAY)["metadata"]
    stale = {**secret(GRADER), "data": {"grader-key": THEIRS}}
    stale["metadata"] |= {name: owner[name] for name in ("labels", "ownerReferences")}
    rig.kube.put(stale)
    await rig.one()
    assert keys(rig) == ("bmV3", "bmV3")
    await rig.settle()
    rig.wait(61)
    await rig.one()
    assert keys(rig) == (None, "bmV3")
    assert len(rig.events("GraderKeyMoved")) == 1


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_secret_that_is_deleted_meanwhile_comes_back_with_the_key(restarted: bool) -> None:
    rig = await installed_before()
    derived = (await rig.children._keyring.keys(rig.kube.take("ClaudeDeployment", "support")["metadata"]["uid"])).grader
    await rig.one()
    rig.kube.drop("Secret", GRADER)
    if restarted:
        rig.start_operator()
    rig.wait(61)
    await rig.one()
    assert derived.startswith("gr-")
    assert keys(rig) == (THEIRS, THEIRS)


async def test_a_key_in_a_secret_that_has_lost_its_owner_moves_too() -> None:
    rig = await installed_before()
    found = rig.kube.take("Secret", GATEWAY)
    rig.kube.put({**found, "metadata": {**found["metadata"], "ownerReferences": []}})
    await rig.one()
    assert keys(rig) == (THEIRS, THEIRS)


async def test_a_key_that_cannot_be_moved_yet_is_told_and_moved_later() -> None:
    """The pods are replaced meanwhile, and serve clients: only grades wait."""
    rig = await installed_before()

    def refuse(verb: str, kind: str, name: str) -> None:
        if (verb, kind, name) == ("create", "Secret", GRADER):
            raise KubeError(403, "Forbidden", "exceeded quota")

    nothing, rig.kube.before = rig.kube.before, refuse
    for _ in range(3):
        await rig.one()
    assert "exceeded quota" in rig.condition("GatewayReady")[2]
    rig.roll_out()
    rig.kube.before = nothing
    rig.start_operator()
    await rig.one()
    assert keys(rig) == (THEIRS, THEIRS)
    rig.wait(61)
    await rig.one()
    assert keys(rig) == (None, THEIRS)


async def test_a_secret_of_somebody_else_in_its_place_leaves_everything_as_it_was() -> None:
    rig = await installed_before()
    rig.kube.put(secret(GRADER, password="bWluZQ=="))
    await rig.one()
    assert rig.condition("Accepted")[1] == "NameTaken"
    assert "Secret support-grader" in rig.condition("Accepted")[2]
    assert rig.kube.take("Secret", GRADER)["data"] == {"password": "bWluZQ=="}
    assert rig.kube.take("Secret", GATEWAY)["data"]["grader-key"] == THEIRS
    assert not reads_grader_secret(rig.kube.take("Deployment", GATEWAY)["spec"]["template"])
