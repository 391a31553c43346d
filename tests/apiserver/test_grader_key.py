"""The graders' key in a Secret of its own, on a real API server: who may read the one may not read the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import workloads
from tests.apiserver.client import Client, is_refused, wait_for
from tests.apiserver.process import IMAGE, Operator, account, token_of
from tests.apiserver.server import ApiServer
from tests.apiserver.test_children import serving

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.core import names, render
from claude_operator.kube.resources import DEPLOYMENTS

Object = dict[str, Any]
GATEWAY, GRADER = "support-gateway", "support-grader"
THEIRS = "b2Vpbg=="
RBAC = "rbac.authorization.k8s.io"


def as_before(admin: Client, namespace: str) -> None:
    """What an earlier version would have left: one Secret with both keys, which the pods mount whole."""
    owner = admin.take("ClaudeDeployment", "support", namespace)
    spec = DeploymentSpec.model_validate(owner["spec"])
    objects = render.gateway_objects(owner, spec, render.Site(IMAGE, "IfNotPresent"))
    (old,) = (one for one in objects if one["kind"] == "Deployment")
    workloads.read_keys_from_one_secret(old)
    admin.patch("Secret", GATEWAY, namespace, {"data": {"grader-key": THEIRS}})
    admin.delete("Secret", GRADER, namespace)
    query = {"fieldManager": names.FIELD_MANAGER, "force": "true"}
    admin.call("PATCH", DEPLOYMENTS.path(namespace, GATEWAY), query, old, "application/apply-patch+yaml")
    assert not render.reads_grader_secret(admin.take("Deployment", GATEWAY, namespace)["spec"]["template"])


def test_the_key_moves_without_a_change_and_leaves_the_old_place_once_no_pod_reads_it_there(
    server: ApiServer, programs: Path, admin: Client, namespace: str, operate: Callable[..., Operator], tmp_path: Path
) -> None:
    config, _ = account(server, programs / "helm", namespace, tmp_path)  # the chart's rights are enough
    first = operate(kubeconfig=config)
    with serving(admin, namespace, first) as served:
        first.kill()
        as_before(admin, namespace)
        operate(kubeconfig=config).until_leading()

        def template() -> Object:
            found: Object = served.take("Deployment")["spec"]["template"]
            return found

        wait_for(lambda: render.reads_grader_secret(template()), 30, "the pods are not replaced")
        assert served.take("Secret", GRADER)["data"] == {"grader-key": THEIRS}
        (volume,) = (one for one in template()["spec"]["volumes"] if one["name"] == "operator")
        assert set(volume) == {"name", "projected"}  # what the earlier version applied is gone
        wait_for(lambda: "grader-key" not in served.take("Secret")["data"], 120, "the old place keeps the key")
        assert set(served.take("Secret")["data"]) == {"operator-key"}
        assert served.take("Secret", GRADER)["data"] == {"grader-key": THEIRS}
        (note,) = wait_for(lambda: served.events("GraderKeyMoved"), 10)
        assert "Secret support-grader" in note
        assert served.events() == []
        wait_for(lambda: served.condition("GatewayReady")[0] == "True", 30, "the gateway is not ready again")


def test_who_may_read_the_graders_key_reads_no_other(
    server: ApiServer, admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    where = {"name": "grader", "namespace": namespace}
    admin.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": where})
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [GRADER], "verbs": ["get"]}
    role = {"apiGroup": RBAC, "kind": "Role", "name": "grader"}
    subjects = [{"kind": "ServiceAccount", **where}]
    admin.create({"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": where, "rules": [rule]})
    binding = {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": where}
    admin.create({**binding, "subjects": subjects, "roleRef": role})
    grader = server.client(token_of(admin, "grader", namespace))
    with serving(admin, namespace, operate()) as served:
        found = wait_for(lambda: grader.take("Secret", GRADER, namespace), 30, "the Role is not in force")
        assert set(found["data"]) == {"grader-key"}
        for name in (GATEWAY, "support-client", "anthropic"):
            assert is_refused(lambda name=name: grader.take("Secret", name, namespace))
        others = served.take("Secret")["data"].values()
        assert not set(found["data"].values()) & set(others)
    grader.close()
