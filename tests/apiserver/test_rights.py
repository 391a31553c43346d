"""The chart's rights on a real API server: enough for all that the operator does, and no verb more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.client import wait_for
from tests.apiserver.conftest import clear, new_namespace
from tests.apiserver.gateways import Gateways
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.objects import claim, deployment, says, secret
from tests.apiserver.process import Operator, rendered, token_of
from tests.apiserver.server import ApiServer
from tests.chart.test_rbac import granted, union

Object = dict[str, Any]
Verbs = dict[tuple[str, str], set[str]]

ALONE = ("rbac.aggregate=false", "crds.install=false")
NOT_SEEN: Verbs = {  # granted, and not among the calls here
    # Asked for by an admission plugin that this API server does not run (OwnerReferencesPermissionEnforcement).
    ("claudeops.dev", "claudedeployments/finalizers"): {"update"},
    ("claudeops.dev", "clauderevisions/finalizers"): {"update"},
    ("claudeops.dev", "claudeevalruns/finalizers"): {"update"},
    ("claudeops.dev", "clauderevisions"): {"get"},  # where a name is taken; and handed on to eval Jobs
}
OF_CLUSTER: Verbs = {  # the same, with rights in all namespaces
    ("claudeops.dev", "claudeorganizations/finalizers"): {"update"},  # as above
    ("", "persistentvolumeclaims"): {"patch"},  # where a volume is to grow, which takes a StorageClass that allows it
}
_FAILED = ("FailureTarget", "Failed")


class Tenants:
    """A release in one namespace that works in another; a third is not its."""

    def __init__(self, server: ApiServer, helm: Path, folder: Path) -> None:
        self.server, self.admin, self.folder, self.helm = server, server.admin(), folder, helm
        self.release, self.inside, self.outside = (
            new_namespace(self.admin, title) for title in ("release", "in", "out")
        )

    def install(self, *values: str) -> list[Object]:
        """Apply what the chart grants; returns it."""
        objects = rendered(self.helm, self.release, *ALONE, *values)
        for one in objects:
            self.admin.apply(one)
        return objects

    def operator(self, *options: str) -> Operator:
        """The operator with the rights of the release's service account."""
        config = self.folder / "release.kubeconfig"
        config.write_text(json.dumps(self.server.config(token_of(self.admin, "claude-operator", self.release))))
        return Operator(config, self.release, self.folder, "--network-policies", *options)

    def calls(self) -> list[Object]:
        return self.server.audited("claude-operator", self.release)

    def refused(self) -> list[str]:
        """What was asked for without a right to it."""
        return [
            f"{one['verb']} {one['requestURI']}" for one in self.calls() if one["responseStatus"].get("code") == 403
        ]

    def asked(self, resource: str) -> list[Object]:
        """The calls about a kind."""
        return [one for one in self.calls() if one.get("objectRef", {}).get("resource") == resource]

    def used(self) -> Verbs:
        """The verbs that were asked for, by group and resource."""
        found: Verbs = {}
        for one in self.calls():
            if (about := one.get("objectRef")) and about.get("resource"):
                resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
                made = one["responseStatus"].get("code") == 201  # by an apply, which takes the right to create
                verbs = {one["verb"], "create"} if made else {one["verb"]}
                found.setdefault((about.get("apiGroup", ""), resource), set()).update(verbs)
        return found

    def status(self, namespace: str = "") -> Object:
        found: Object = self.admin.take("ClaudeDeployment", "support", namespace or self.inside).get("status") or {}
        return found

    def condition(self, type_: str) -> Object:
        found: Object = {one["type"]: one for one in self.status()["conditions"]}[type_]
        return found

    def trial(self, besides: str) -> Object | None:
        """The rollout of another revision that is under way, as the status has it: the config is written before it."""
        rollout: Object = self.status()["rollout"]
        return rollout if rollout["revision"] != besides and "outcome" not in rollout else None


@pytest.fixture
def tenants(server: ApiServer, programs: Path, tmp_path: Path) -> Iterator[Tenants]:
    made = Tenants(server, programs / "helm", tmp_path)
    for model in made.admin.list("ClaudeModel"):  # those of an earlier test's operator would not be made again
        made.admin.delete("ClaudeModel", model["metadata"]["name"])
    yield made
    if made.admin.get("ClaudeOrganization", "acme"):
        made.admin.delete("ClaudeOrganization", "acme")
    for namespace in (made.release, made.inside, made.outside):
        clear(made.admin, namespace)


def mend_and_adopt(it: Tenants) -> None:
    """People delete parts and take their owners away."""
    admin, inside = it.admin, it.inside
    for kind in ("Service", "Secret", "NetworkPolicy", "Role"):
        name = "support-client" if kind == "Secret" else "support-gateway"
        uid = admin.take(kind, name, inside)["metadata"]["uid"]
        admin.delete(kind, name, inside)
        wait_for(lambda kind=kind, name=name, uid=uid: admin.take(kind, name, inside)["metadata"]["uid"] != uid)
        admin.patch(kind, name, inside, {"metadata": {"ownerReferences": []}})
        wait_for(lambda kind=kind, name=name: admin.take(kind, name, inside)["metadata"]["ownerReferences"])


def gate(it: Tenants) -> str:
    """A revision is gated by a run, whose first Job fails; returns the run's name."""
    admin, inside = it.admin, it.inside
    admin.create(claim("exam"), inside)
    items = {"dataset": {"volume": {"claimName": "exam", "path": "items.jsonl"}}}
    kind = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeEvalSet"}
    admin.create({**kind, "metadata": {"name": "questions"}, "spec": items}, inside)
    gated = {"request": says("Gated."), "evals": {"setRef": {"name": "questions"}, "required": True}}
    admin.patch("ClaudeDeployment", "support", inside, {"spec": gated})
    run = str(wait_for(lambda: admin.list("ClaudeEvalRun", inside))[0]["metadata"]["name"])
    revision = admin.take("ClaudeEvalRun", run, inside)["spec"]["revision"]
    for kind_, name in (("ClaudeEvalRun", run), ("ClaudeRevision", revision)):
        admin.patch(kind_, name, inside, {"metadata": {"ownerReferences": []}})
        wait_for(lambda kind_=kind_, name=name: admin.take(kind_, name, inside)["metadata"]["ownerReferences"])
    job = wait_for(lambda: admin.get("Job", f"{run}-1", inside))
    conditions = [{"type": type_, "status": "True", "reason": "BackoffLimitExceeded"} for type_ in _FAILED]
    begun = {"startTime": job["metadata"]["creationTimestamp"], "conditions": conditions}
    admin.patch("Job", f"{run}-1", inside, {"status": begun}, subresource="status")
    wait_for(lambda: admin.take("ClaudeEvalRun", run, inside)["status"]["phase"] == "Error")
    past = {"retryAt": "2020-01-01T00:00:00Z"}
    admin.patch("ClaudeEvalRun", run, inside, {"status": past}, subresource="status")
    wait_for(lambda: admin.get("Job", f"{run}-2", inside), 60)
    wait_for(lambda: f"delete {run}-1" in [f"{one['verb']} {one['objectRef'].get('name')}" for one in it.asked("jobs")])
    ended = {"phase": "Inconclusive", "finishedAt": "2020-01-01T00:00:00Z", "candidate": {"items": 7}}
    admin.patch("ClaudeEvalRun", run, inside, {"status": ended}, subresource="status")
    wait_for(lambda: admin.take("ClaudeEvalSet", "questions", inside)["status"]["items"] == 7)
    return run


def roll_out(it: Tenants, gateways: Gateways) -> None:
    """Revisions come and go; those beyond the limit are deleted, and runs with them."""
    for text in ("One.", "Two.", "Three."):
        body = {"request": says(text), "evals": None, "revisionHistoryLimit": 0}
        before = str(it.status()["rollout"]["revision"])
        it.admin.patch("ClaudeDeployment", "support", it.inside, {"spec": body})
        wait_for(lambda: gateways.weight("support", "canary") > 0, 60)
        rollout = wait_for(lambda before=before: it.trial(before), 30)
        assert rollout
        full = {"claudeops.dev/promote": f"{rollout['revision']}/{rollout['attempt']}/full"}
        it.admin.patch("ClaudeDeployment", "support", it.inside, {"metadata": {"annotations": full}})
        wait_for(
            lambda rollout=rollout: (
                it.status()["stableRevision"] == rollout["revision"]
                and gateways.weight("support", "canary") == 0
            ),
            15,
        )  # fmt: skip


def organize(it: Tenants) -> None:
    """A history is made for a ClaudeOrganization."""
    key = {"name": "admin-key", "key": "key"}
    it.admin.create({**secret("admin-key"), "stringData": {"key": "sk-ant-admin01-any"}}, it.release)
    kind = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeOrganization"}
    it.admin.create({**kind, "metadata": {"name": "acme"}, "spec": {"adminKeySecretRef": key}})
    for part in ("PersistentVolumeClaim", "Service", "Deployment", "NetworkPolicy"):
        wait_for(lambda part=part: it.admin.get(part, "acme-organization", it.release), 60)
    found = wait_for(lambda: it.admin.take("ClaudeOrganization", "acme")["status"]["conditions"], 60)
    assert [one["reason"] for one in found] == ["Starting", "NotTried", "NothingToCompare"]


@pytest.mark.parametrize("named", [True, False], ids=["watchNamespaces", "all namespaces"])
def test_the_chart_grants_what_is_used_and_nothing_else(tenants: Tenants, named: bool) -> None:
    it, admin = tenants, tenants.admin
    objects = it.install(*([f"watchNamespaces={{{it.inside}}}"] if named else []))
    if named:
        assert not [one["kind"] for one in objects if one["kind"].startswith("Cluster")]
    for namespace in (it.inside, it.outside) if named else (it.inside,):
        admin.create(secret(), namespace)
        admin.create(deployment(), namespace)
    operator = it.operator(*([f"--watch-namespace={it.inside}"] if named else []))
    try:
        operator.until_leading()
        with Gateways(admin, it.inside) as gateways, Kubelet(admin, it.inside, gateways.addresses):
            wait_for(lambda: it.condition("Ready")["status"] == "True")
            mend_and_adopt(it)
            run = gate(it)
            roll_out(it, gateways)
            if not named:
                organize(it)
            wait_for(lambda: admin.get("ClaudeEvalRun", run, it.inside) is None, 60)
            assert operator.stop() == 0
    except (AssertionError, KeyError) as error:
        raise AssertionError(f"{error!r}\n{it.status()}\n{operator.log()}") from error
    finally:
        operator.kill()
    assert it.refused() == []
    rights = [granted(one["rules"]) for one in objects if one["kind"] in ("Role", "ClusterRole")]
    assert union(it.used(), NOT_SEEN, {} if named else OF_CLUSTER) == union(*rights)
    if named:
        assert it.status(it.outside) == {}
        assert admin.list("Deployment", it.outside) == []
        assert "ClaudeModels are not read" in operator.log(10**6)
        assert "ClaudeOrganizations are left alone, because --watch-namespace is set" in operator.log(10**6)


def test_a_namespace_without_rights_holds_up_no_other(tenants: Tenants) -> None:
    it, admin = tenants, tenants.admin
    it.install(f"watchNamespaces={{{it.inside}}}")
    for namespace in (it.inside, it.outside):
        admin.create(secret(), namespace)
        admin.create(deployment(), namespace)
    operator = it.operator(f"--watch-namespace={it.inside}", f"--watch-namespace={it.outside}")
    try:
        operator.until_leading()
        wait_for(lambda: admin.get("Deployment", "support-gateway", it.inside))
        wait_for(lambda: operator.metric("claude_operator_namespaces_away") == 1)
        wait_for(lambda: "in some namespaces are left alone until they can be read" in operator.log(), 20)
        assert admin.get("Deployment", "support-gateway", it.outside) is None
        it.install(f"watchNamespaces={{{it.inside},{it.outside}}}")
        wait_for(lambda: admin.get("Deployment", "support-gateway", it.outside), 60)
        wait_for(lambda: operator.metric("claude_operator_namespaces_away") == 0)
        # Rights that go later end the work in that namespace, and after a while nowhere else.
        admin.delete("RoleBinding", "claude-operator", it.outside)
        wait_for(lambda: operator.metric("claude_operator_namespaces_away") == 1, 60)
        admin.patch("ClaudeDeployment", "support", it.inside, {"spec": {"gateway": {"replicas": 3}}})
        wait_for(lambda: admin.take("Deployment", "support-gateway", it.inside)["spec"]["replicas"] == 3, 60)
    except (AssertionError, KeyError) as error:
        raise AssertionError(f"{error!r}\n{operator.log()}") from error
    finally:
        operator.kill()
