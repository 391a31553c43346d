"""Hands that delete and edit what the operator owns, on a real API server: mended at once, and told once."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.client import Client, at_rest, wait_for
from tests.apiserver.gateways import Gateways
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.objects import deployment, says, secret
from tests.apiserver.process import Operator, account
from tests.apiserver.server import ApiServer
from tests.apiserver.starts import passes

from claude_operator.core import names

Object = dict[str, Any]
PARTS = ("ServiceAccount", "Role", "RoleBinding", "Service", "PodDisruptionBudget", "Deployment", "ConfigMap")
SOON = 5.0  # seconds within which what somebody broke is whole again
_FIRST = "support-gateway"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_POLICY = "ValidatingAdmissionPolicy"


class Served:
    """A ClaudeDeployment that serves, beside what a test does to it."""

    def __init__(self, admin: Client, namespace: str, gateways: Gateways) -> None:
        self.admin, self.namespace, self.gateways = admin, namespace, gateways

    def take(self, kind: str, name: str = _FIRST) -> Object:
        return self.admin.take(kind, name, self.namespace)

    def events(self, reason: str = "ChildRestored") -> list[str]:
        found = self.admin.list("Event", self.namespace)
        return [one["note"] for one in found if one["reason"] == reason]

    def condition(self, type_: str) -> tuple[str, str, str]:
        status = self.take("ClaudeDeployment", "support")["status"]
        found = {one["type"]: one for one in status["conditions"]}[type_]
        return found["status"], found["reason"], found["message"]

    def weights(self) -> list[int]:
        config = json.loads(self.take("ConfigMap")["data"]["config.json"])
        return [arm["weight"] for arm in config["arms"]]

    def settled(self) -> None:
        """It serves, and nothing has been written for a while."""
        wait_for(lambda: self.condition("Ready")[0] == self.condition("GatewayReady")[0] == "True")
        at_rest(lambda: self.take("ClaudeDeployment", "support")["metadata"]["resourceVersion"])


@contextmanager
def serving(admin: Client, namespace: str, operator: Operator, **spec: Any) -> Iterator[Served]:
    admin.create(secret(), namespace)
    admin.create(deployment(**spec), namespace)
    operator.until_leading()
    with Gateways(admin, namespace) as gateways, Kubelet(admin, namespace, gateways.addresses):
        served = Served(admin, namespace, gateways)
        try:
            served.settled()
            yield served
        finally:
            operator.kill()  # before the gateways that it reads


def test_every_child_that_is_deleted_or_changed_is_back_at_once_and_told_once(
    server: ApiServer, programs: Path, admin: Client, namespace: str, operate: Callable[..., Operator], tmp_path: Path
) -> None:
    config, _ = account(server, programs / "helm", namespace, tmp_path)  # the chart's rights are enough
    operator = operate(kubeconfig=config)
    took: dict[str, float] = {}
    with serving(admin, namespace, operator) as served:
        for kind in PARTS:
            old = served.take(kind)["metadata"]["uid"]
            began = time.monotonic()
            admin.delete(kind, _FIRST, namespace)
            wait_for(lambda kind=kind, old=old: served.take(kind)["metadata"]["uid"] != old, SOON)
            took[f"{kind} deleted"] = time.monotonic() - began
        for kind in PARTS:
            began = time.monotonic()
            admin.patch(kind, _FIRST, namespace, {"metadata": {"labels": {names.LABEL_DEPLOYMENT: None}}})
            wait_for(lambda kind=kind: served.take(kind)["metadata"]["labels"].get(names.LABEL_DEPLOYMENT), SOON)
            took[f"{kind} changed"] = time.monotonic() - began
        wait_for(lambda: len(served.events()) >= 2 * len(PARTS), SOON, "not all is told")
        version = served.take("Service")["metadata"]["resourceVersion"]
        time.sleep(3.0)  # nothing more is told or written
        said = served.events()
        assert sorted(one.partition(" ")[0] for one in said) == sorted([*PARTS, *PARTS]), said
        assert sum("was deleted" in one for one in said) == len(PARTS)
        assert sum("was changed (metadata.labels.claudeops.dev/deployment)" in one for one in said) == len(PARTS)
        assert served.take("Service")["metadata"]["resourceVersion"] == version
        served.settled()
    print({what: round(seconds, 2) for what, seconds in took.items()})


def test_what_others_add_to_gateway_pods_is_taken_out_and_a_restart_by_hand_stays(
    admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    sidecar = {"name": "sidecar", "image": "localhost/none"}
    proxy = {"name": "HTTPS_PROXY", "value": "http://elsewhere"}
    with serving(admin, namespace, operate()) as served:
        template = served.take("Deployment")["spec"]["template"]
        annotations, before = template["metadata"]["annotations"], template["spec"]
        pod = json.loads(json.dumps(before))
        pod["containers"] = [sidecar, {**pod["containers"][0], "env": [proxy], "command": ["sleep"]}]
        pod |= {"hostNetwork": True, "nodeSelector": {"a": "b"}, "volumes": [*pod["volumes"], {"name": "v"}]}
        body = {"metadata": {"name": _FIRST}, "apiVersion": "apps/v1", "kind": "Deployment"}
        ports = [{**port, "hostPort": port["containerPort"]} for port in pod["containers"][1]["ports"]]
        pod["containers"][1]["ports"] = ports
        admin.apply({**body, "spec": {"template": {"spec": pod}}}, namespace)
        wait_for(lambda: served.take("Deployment")["spec"]["template"]["spec"] == before, SOON)
        stamp = {"kubectl.kubernetes.io/restartedAt": "now"}
        admin.patch("Deployment", _FIRST, namespace, {"spec": {"template": {"metadata": {"annotations": stamp}}}})
        extra = {"name": "more", "port": 99, "targetPort": 99, "protocol": "TCP"}
        live = served.take("Service")["spec"]["ports"]
        admin.patch("Service", _FIRST, namespace, {"spec": {"ports": [extra, *live]}})
        wait_for(lambda: served.take("Service")["spec"]["ports"] == live, SOON)
        wait_for(lambda: len(served.events()) >= 2, SOON, "not all is told")
        time.sleep(2.0)
        template = served.take("Deployment")["spec"]["template"]
        assert template["metadata"]["annotations"] == annotations | stamp
        assert template["spec"] == before
        of_pods, of_service = sorted(served.events())
        assert of_pods.startswith("Deployment support-gateway was changed (spec.template.spec.containers, ")
        assert of_pods.endswith(" by test and is as wanted again")
        assert of_service.startswith("Service support-gateway was changed (spec.ports)")


def test_a_client_secret_comes_back_with_its_key_even_where_nobody_saw_it_go(
    admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    operator = operate()
    with serving(admin, namespace, operator) as served:
        first = served.take("Secret", "support-client")
        admin.delete("Secret", "support-client", namespace)
        wait_for(lambda: served.take("Secret", "support-client")["data"] == first["data"], SOON)
        mine = {"ANTHROPIC_API_KEY": "bWluZQ=="}
        before = at_rest(lambda: passes(operator))
        admin.patch("Secret", "support-client", namespace, {"data": mine})
        wait_for(lambda: passes(operator) > before, 20, "the change is not looked at")
        at_rest(lambda: passes(operator))
        admin.delete("Secret", "support-client", namespace)
        wait_for(lambda: served.take("Secret", "support-client")["data"] == first["data"] | mine, SOON)
        operator.kill()
        admin.delete("Secret", "support-client", namespace)
        operate().until_leading()
        wait_for(lambda: served.take("Secret", "support-client")["data"] == first["data"], 30)
        wait_for(lambda: len(served.events()) == 3, SOON)
        assert sum("they get 401 until they read the new one" in one for one in served.events()) == 1


def test_a_wiped_status_is_written_again_at_once(
    admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    with serving(admin, namespace, operate()) as served:
        before = served.take("ClaudeDeployment", "support")["status"]
        for wiped in (dict.fromkeys(before), {"conditions": None, "stableRevision": None}):
            admin.patch("ClaudeDeployment", "support", namespace, {"status": wiped}, subresource="status")
            wait_for(lambda: served.condition("Ready")[0] == "True", SOON)

            def stable() -> str:
                return str(served.take("ClaudeDeployment", "support")["status"]["stableRevision"])

            wait_for(lambda stable=stable: stable() == before["stableRevision"], SOON)


@pytest.mark.parametrize("references", [[], ["dead"]], ids=["orphaned", "restored under another UID"])
def test_what_an_earlier_life_left_is_adopted_and_serves_on(
    admin: Client, namespace: str, operate: Callable[..., Operator], references: list[str]
) -> None:
    operator = operate()
    with serving(admin, namespace, operator) as served:
        stable = served.take("ClaudeDeployment", "support")["status"]["stableRevision"]
        key, config = served.take("Secret", "support-client")["data"], served.take("ConfigMap")["data"]
        children = [(kind, _FIRST) for kind in PARTS] + [("Secret", "support-client"), ("ClaudeRevision", stable)]
        wait_for(lambda: served.events("RevisionCreated"), SOON)
        operator.kill()
        admin.delete("ClaudeDeployment", "support", namespace)
        for kind, name in children:
            owner = served.take(kind, name)["metadata"]["ownerReferences"][0]
            left = [{**owner, "uid": uid} for uid in references]
            admin.patch(kind, name, namespace, {"metadata": {"ownerReferences": left}})
        uid = admin.create(deployment(), namespace)["metadata"]["uid"]
        operate().until_leading()

        def owners() -> set[str]:
            return {
                one["uid"] for kind, name in children for one in served.take(kind, name)["metadata"]["ownerReferences"]
            }

        wait_for(lambda: owners() == {uid}, 30, "not everything was adopted")
        wait_for(lambda: served.condition("Ready")[0] == "True", 30)
        assert served.take("Secret", "support-client")["data"] == key
        assert (
            json.loads(served.take("ConfigMap")["data"]["config.json"])["arms"]
            == json.loads(config["config.json"])["arms"]
        )
        assert served.condition("Accepted")[0] == "True"
        assert len(served.events("RevisionCreated")) == 1  # of the first life
        wait_for(lambda: len(served.events("ChildAdopted")) == 1, SOON)


@pytest.mark.parametrize("kind", ["ConfigMap", "Deployment"])
def test_a_bad_canary_is_taken_back_though_an_owner_reference_was_lost(
    admin: Client, namespace: str, operate: Callable[..., Operator], kind: str
) -> None:
    with serving(admin, namespace, operate()) as served:
        admin.patch("ClaudeDeployment", "support", namespace, {"spec": {"request": says("Be brief.")}})
        wait_for(lambda: served.weights() == [9000, 1000], 30)
        admin.patch(kind, _FIRST, namespace, {"metadata": {"ownerReferences": None}})

        def taken_back() -> bool:
            with contextlib.suppress(KeyError):  # it has no arm any more
                served.gateways.serve("support", "stable", 200)
                served.gateways.serve("support", "canary", 0, 30)
            return served.weights() == [10_000]

        wait_for(taken_back, 30, "the canary was not taken back", every=0.5)
        uid = served.take("ClaudeDeployment", "support")["metadata"]["uid"]
        wait_for(lambda: names.is_controlled_by(served.take(kind), uid), SOON, "it is nobody's")
        wait_for(lambda: len(served.events("ChildAdopted")) == 1, SOON)
        wait_for(lambda: len(served.events("RolledBack")) == 1, SOON)


def policy(name: str, namespace: str, *, group: str, resource: str, when: str) -> tuple[Object, Object]:
    """A ValidatingAdmissionPolicy that refuses what `when` says of objects in a namespace, and its binding."""
    api = {"apiVersion": "admissionregistration.k8s.io/v1"}
    rule = {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": f"!({when})", "message": "the configuration is frozen"}],
    }
    here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": here}
    made = {**api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}
    return made, {**api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": binding}


@pytest.mark.parametrize("what", ["config", "status"])
def test_a_write_that_a_policy_refuses_is_told_and_done_once_the_policy_is_gone(
    admin: Client, namespace: str, operate: Callable[..., Operator], what: str
) -> None:
    name = f"frozen-{namespace}"
    group, resource, when = {
        "config": ("", "configmaps", "object.metadata.name == 'support-gateway'"),
        "status": ("claudeops.dev", "claudedeployments/status", "object.metadata.name == 'support'"),
    }[what]
    operator = operate()
    with serving(admin, namespace, operator) as served:
        admin.patch("ClaudeDeployment", "support", namespace, {"spec": {"request": says("Be brief.")}})
        wait_for(lambda: served.weights() == [9000, 1000], 30)
        served.gateways.serve("support", "stable", 200)
        for body in policy(name, namespace, group=group, resource=resource, when=when):
            plural = "validatingadmissionpolicies" if body["kind"] == _POLICY else "validatingadmissionpolicybindings"
            admin.call("POST", f"{_ADMISSION}/{plural}", body=body)
        try:
            probe = {"data": {"x": "y"}} if what == "config" else {"status": {"canaryRevision": None}}
            wait_for(lambda: refused(served, what, probe), 30, "the policy is not in force")

            def harmed() -> list[str]:
                with contextlib.suppress(KeyError):
                    served.gateways.serve("support", "stable", 100)
                    served.gateways.serve("support", "canary", 0, 30)
                time.sleep(0.5)
                return served.events("WriteRefused")

            (note,) = wait_for(harmed, 40, "nothing was told")
            assert "the configuration is frozen" in note
            time.sleep(4.0)
            assert len(served.events("WriteRefused")) == 1
            wait_for(lambda: operator.metric("claude_operator_write_failures_total") >= 2, 30, "it is not tried again")
            if what == "config":
                wait_for(lambda: served.condition("GatewayReady")[:2] == ("False", "WriteRefused"), SOON)
                wait_for(lambda: served.condition("CanaryHealthy")[:2] == ("False", "ErrorsIncreased"), SOON)
                assert served.events("RolledBack") == []
                assert served.weights() == [9000, 1000]
            else:
                wait_for(lambda: served.weights() == [10_000], 30, "the config waits for the status")
        finally:
            for kind in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
                admin.call("DELETE", f"{_ADMISSION}/{kind}/{name}")
        wait_for(lambda: served.weights() == [10_000], 70, "not taken back once the policy was gone")
        wait_for(lambda: served.condition("Promoted")[:2] == ("False", "RolledBack"), 70)
        wait_for(lambda: served.condition("GatewayReady")[0] == "True", 20)
        assert len(served.events("WriteRefused")) == 1


def refused(served: Served, what: str, probe: Object) -> bool:
    """Whether the policy is in force, tried without a trace."""
    where = f"/api/v1/namespaces/{served.namespace}/configmaps/{_FIRST}"
    if what == "status":
        where = f"/apis/claudeops.dev/v1alpha1/namespaces/{served.namespace}/claudedeployments/support/status"
    try:
        served.admin.call("PATCH", where, {"dryRun": "All"}, probe, "application/merge-patch+json")
    except AssertionError as error:
        return "frozen" in str(error)
    return False
