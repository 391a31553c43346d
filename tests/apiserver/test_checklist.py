"""The rollout checklist on a real API server: who may sign, in whose name, and what the operator makes of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.client import ApiError, Client, is_refused, wait_for
from tests.apiserver.objects import says
from tests.apiserver.process import Operator, rendered
from tests.apiserver.server import ApiServer
from tests.apiserver.test_people import bind
from tests.apiserver.test_plugin import plugin, served, status
from tests.plugin import Plugin

__all__ = ["plugin"]  # a fixture

Object = dict[str, Any]


def signature(name: str, by: str) -> Object:
    spec = {
        "deployment": "support",
        "item": "workflow",
        "revision": "support-0123456789",
        "contentHash": f"sha256:{'0' * 64}",
        "decision": "Passed",
        "reason": "looked at with the team",
        "signedBy": by,
        "expiresAt": "2099-01-01T00:00:00Z",
    }
    return {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeSignature", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def policy(programs: Path, admin: Client, namespace: str) -> Iterator[None]:
    """The chart's policy of signatures, in force in the test's namespace, and its roles."""
    values = ("fullnameOverride=signed", f"watchNamespaces={{{namespace}}}")
    made = rendered(programs / "helm", "claude-system", *values, file="signatures.yaml")
    for one in rendered(programs / "helm", "claude-system"):
        if one["kind"] == "ClusterRole" and one["metadata"]["name"].endswith(("-view", "-edit", "-sign")):
            admin.apply(one)
    for one in made:
        admin.apply(one)
    tries = itertools.count()
    probe = lambda: admin.create(signature(f"probe-{next(tries)}", "nobody"), namespace)  # noqa: E731
    wait_for(lambda: is_refused(probe), 30, "the policy is not in force")
    admin.delete_all("ClaudeSignature", namespace)
    yield
    for one in made:
        admin.delete(one["kind"], one["metadata"]["name"])
    admin.delete_all("ClaudeSignature", namespace)


@pytest.mark.usefixtures("policy")
def test_who_signs_does_it_in_their_own_name(server: ApiServer, admin: Client, namespace: str) -> None:
    bind(admin, namespace, "edda", "claude-operator-view", "claude-operator-edit")
    bind(admin, namespace, "alice", "claude-operator-view", "claude-operator-sign")
    edda, alice = server.impersonate("edda"), server.impersonate("alice")
    try:
        wait_for(lambda: not is_refused(lambda: alice.create(signature("first", "alice"), namespace)), 30, "no rights")
        with pytest.raises(ApiError, match=r"spec\.signedBy has to be you: write alice"):
            alice.create(signature("forged", "edda"), namespace)
        assert is_refused(lambda: edda.create(signature("mine", "edda"), namespace)), "editing is no right to sign"
        later = {"spec": {"expiresAt": "2100-01-01T00:00:00Z"}}
        with pytest.raises(ApiError, match="delete it and sign again"):
            admin.patch("ClaudeSignature", "first", namespace, later)
        admin.patch("ClaudeSignature", "first", namespace, {"metadata": {"labels": {"team": "support"}}})
        alice.delete("ClaudeSignature", "first", namespace)
    finally:
        edda.close()
        alice.close()


@pytest.mark.usefixtures("policy")
def test_it_turns_from_blocking_to_passing_as_items_are_signed(
    admin: Client, namespace: str, operate: Callable[..., Operator], plugin: Plugin
) -> None:
    with served(admin, namespace, operate("--signatures-held"), checklist={"mode": "Enforce"}) as gateways:
        admin.patch("ClaudeDeployment", "support", namespace, {"spec": {"request": says("Be brief.")}})

        def condition(type_: str) -> Object:
            found: list[Object] = status(admin, namespace)["conditions"]
            return next(one for one in found if one["type"] == type_)

        wait_for(lambda: condition("Promoted")["reason"] == "ChecklistOpen", 60, "it is not held")
        assert "the first weight waits for the checklist" in condition("Promoted")["message"]
        print(plugin.run("checklist", "support", code=1))
        facts = plugin.facts("checklist", "support", code=1)
        open_items = [one["id"] for one in facts["items"] if one["result"] in ("Failed", "Unknown")]
        by_hand = {"primitive", "agent-loop", "workflow", "skills"}
        assert by_hand | {"eval-gate", "rollback"} <= set(open_items)
        no = ("checklist", "support", "sign", "eval-gate", "--until=90d", "--reason=no")
        assert "is read from the system" in plugin.run(*no, code=1)
        assert gateways.weight("support", "canary") == 0
        for item in open_items:
            waived = [] if item in by_hand else ["--not-applicable"]
            words = ("checklist", "support", "sign", item, "--until=90d", "--reason=a test without evals", *waived)
            print(said := plugin.run(*words))
            assert facts["revision"] in said
        wait_for(lambda: gateways.weight("support", "canary") > 0, 60, "the canary gets no weight")
        wait_for(lambda: condition("ChecklistPassed")["status"] == "True", 60, "it has not passed")
        print(plugin.run("checklist", "support"))
        made = [one["metadata"]["name"] for one in admin.list("ClaudeSignature", namespace)]
        assert len(made) == len(open_items)
        for name in made:  # what has a weight keeps it
            admin.delete("ClaudeSignature", name, namespace)
        wait_for(lambda: condition("ChecklistPassed")["status"] == "False", 60, "taken back, and still passed")
        assert gateways.weight("support", "canary") > 0
