"""The number of gateway pods: the spec's where it has one, else that of whoever scales."""

from __future__ import annotations

from typing import Any

import pytest
from tests.shell.rig import Rig, deployment, secret

from claude_operator.core import names
from claude_operator.core.reconcile import ownership
from claude_operator.kube.client import KubeError

FIELD = ("spec", "replicas")


async def served(gateway: dict[str, Any]) -> Rig:
    rig = Rig()
    rig.kube.put(secret())
    rig.kube.put(deployment(gateway=gateway))
    await rig.settle()
    return rig


def replicas(rig: Rig) -> int:
    return int(rig.kube.take("Deployment", "support-gateway")["spec"]["replicas"])


def is_ours(rig: Rig) -> bool:
    return ownership.applies(rig.kube.take("Deployment", "support-gateway"), names.FIELD_MANAGER, FIELD)


def scale(rig: Rig, number: int) -> None:
    """As an autoscaler does."""
    found = rig.kube.take("Deployment", "support-gateway")
    found["spec"]["replicas"] = number
    rig.children.changed("demo", "support", "MODIFIED", "Deployment", rig.kube.put(found))


async def rest(rig: Rig) -> None:
    """Passes, among them one that looks at everything, and one of an operator that has just begun."""
    await rig.settle()
    rig.wait(61)
    await rig.settle()
    rig.start_operator()
    await rig.settle()


def restored(rig: Rig) -> list[str]:
    events = [rig.kube.take("Event", name) for name in rig.kube.names("Event")]
    return [one["note"] for one in events if one["reason"].startswith("Child")]


async def test_a_gateway_without_a_number_begins_with_two_and_stays_as_it_is_scaled() -> None:
    rig = await served({})
    assert (replicas(rig), is_ours(rig)) == (2, False)
    scale(rig, 7)
    await rest(rig)
    assert replicas(rig) == 7
    rig.edit(gateway={"auth": {"type": "None"}})  # another template is applied
    await rest(rig)
    assert replicas(rig) == 7
    assert restored(rig) == []


async def test_a_number_in_the_spec_is_kept_against_others() -> None:
    rig = await served({"replicas": 3})
    scale(rig, 7)
    await rest(rig)
    assert (replicas(rig), is_ours(rig)) == (3, True)
    assert restored(rig) == ["Deployment support-gateway was changed (spec.replicas) and is as wanted again"]


async def test_a_number_that_is_taken_out_of_the_spec_stays_until_somebody_scales() -> None:
    rig = await served({"replicas": 3})
    rig.edit(gateway={})
    await rest(rig)
    assert (replicas(rig), is_ours(rig)) == (3, False)
    scale(rig, 1)
    await rest(rig)
    assert replicas(rig) == 1
    rig.edit(gateway={"replicas": 4})
    await rest(rig)
    assert (replicas(rig), is_ours(rig)) == (4, True)
    assert restored(rig) == []


async def test_a_deleted_deployment_comes_back_with_the_number_that_it_had() -> None:
    rig = await served({})
    scale(rig, 5)
    await rig.settle()
    gone = rig.kube.take("Deployment", "support-gateway")
    rig.kube.drop("Deployment", "support-gateway")
    rig.children.changed("demo", "support", "DELETED", "Deployment", gone)
    await rig.settle()
    assert (replicas(rig), is_ours(rig)) == (5, False)
    assert len(restored(rig)) == 1


@pytest.mark.parametrize("applies", [1, 2, 3])
async def test_a_crash_between_the_applies_leaves_no_number_that_nobody_chose(applies: int) -> None:
    rig = Rig()
    rig.kube.put(secret())
    rig.kube.put(deployment(gateway={}))
    seen = 0

    def die(verb: str, kind: str, name: str) -> None:
        nonlocal seen
        if (verb, kind) == ("apply", "Deployment"):
            seen += 1
            if seen == applies:
                raise KubeError(500, "InternalError", "gone")

    rig.kube.before = die
    await rig.one()
    rig.kube.before = lambda verb, kind, name: None
    rig.start_operator()
    await rest(rig)
    assert (replicas(rig), is_ours(rig)) == (2, False)


async def test_who_scales_between_the_applies_is_not_written_over() -> None:
    rig = await served({"replicas": 3})
    rig.edit(gateway={})
    seen = 0

    def scale_now(verb: str, kind: str, name: str) -> None:
        nonlocal seen
        if (verb, kind) == ("apply", "Deployment"):
            seen += 1
            if seen == 1:
                scale(rig, 9)

    rig.kube.before = scale_now
    await rest(rig)
    assert (replicas(rig), is_ours(rig)) == (9, False)


async def test_a_deployment_that_is_scaled_to_nothing_says_so() -> None:
    rig = await served({})
    scale(rig, 0)
    rig.kube.drop("Pod", "gw-1")
    rig.roll_out = lambda: None  # type: ignore[method-assign]
    await rig.settle()
    ready = next(one for one in rig.status.conditions if one.type == "GatewayReady")
    assert (ready.status, ready.reason) == ("False", "PodsFailing")
    assert "kubectl -n demo scale deployment support-gateway --replicas=2" in ready.message
