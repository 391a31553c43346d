"""An operator among CustomResourceDefinitions older than itself: it says so, does no half of anything, and recovers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.apiserver.client import Client, wait_for
from tests.apiserver.conftest import CRDS, apply_crds, new_namespace
from tests.apiserver.definitions import change
from tests.apiserver.gateways import Gateways
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.objects import deployment, secret
from tests.apiserver.process import Operator
from tests.apiserver.server import ApiServer

Object = dict[str, Any]
COMMAND = "kubectl apply --server-side --force-conflicts -f crds/"
_API = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_OPENAPI = "/openapi/v3/apis/claudeops.dev/v1alpha1"


def age(admin: Client, plural: str, *fields: str) -> None:
    """Take fields, as in `spec.gateway.resources`, out of a definition, and wait until that is served."""

    def older(schema: Object) -> None:
        for field in fields:
            *path, last = field.split(".")
            del at(schema, path)["properties"][last]

    crd = change(admin, plural, older)
    kind = f"dev.claudeops.v1alpha1.{crd['spec']['names']['kind']}"
    for field in fields:
        *path, last = field.split(".")
        wait_for(
            lambda path=path, last=last: (
                last not in at(admin.call("GET", _OPENAPI)["components"]["schemas"][kind], path)["properties"]
            )
        )


def at(schema: Object, path: list[str]) -> Object:
    for name in path:
        schema = schema["properties"][name]
    return schema


class Aged:
    """A ClaudeDeployment on a server of which the test may age the definitions."""

    def __init__(self, admin: Client, namespace: str, operator: Operator) -> None:
        self.admin, self.namespace, self.operator = admin, namespace, operator

    def condition(self, type_: str) -> Object:
        status = self.admin.take("ClaudeDeployment", "support", self.namespace)["status"]
        return {one["type"]: one for one in status["conditions"]}[type_]

    def says(self, type_: str, status: str, reason: str) -> str:
        """Wait until the condition is that; its message."""

        def said() -> str:
            found = self.condition(type_)
            return str(found["message"]) if (found["status"], found["reason"]) == (status, reason) else ""

        try:
            return wait_for(said, 30)
        except AssertionError:
            raise AssertionError(f"{type_} is not {status} {reason}\n{self.operator.log()}") from None

    def events(self, reason: str) -> list[str]:
        return [one["note"] for one in self.admin.list("Event", self.namespace) if one["reason"] == reason]


@contextlib.contextmanager
def begun(server: ApiServer, folder: Path, **spec: Any) -> Iterator[Aged]:
    """An operator that starts where the definitions are old already."""
    admin = server.admin()
    namespace = new_namespace(admin, "aged")
    admin.create(secret(), namespace)
    admin.create(deployment(**spec), namespace)
    operator = Operator(server.kubeconfig, namespace, folder)
    operator.until_leading()
    with Gateways(admin, namespace) as gateways, Kubelet(admin, namespace, gateways.addresses):
        try:
            yield Aged(admin, namespace, operator)
        finally:
            operator.kill()


def test_the_served_definitions_are_ours(own_server: ApiServer, tmp_path: Path) -> None:
    with begun(own_server, tmp_path) as aged:
        aged.says("Ready", "True", "Serving")
        assert aged.says("Accepted", "True", "Valid")
        assert "older than this operator" not in aged.operator.log(10**6)


def test_a_field_that_is_dropped_in_silence_is_told_at_the_start_and_in_a_condition(
    own_server: ApiServer, tmp_path: Path
) -> None:
    age(own_server.admin(), "claudedeployments", "spec.gateway.resources")
    with begun(own_server, tmp_path, gateway={"resources": {"limits": {"memory": "1Gi"}}}) as aged:
        said = aged.says("Accepted", "True", "CRDOutdated")
        assert "ClaudeDeployment lacks spec.gateway.resources" in said
        assert COMMAND in said
        (line,) = [one for one in aged.operator.log(10**6).splitlines() if "shell.definitions" in one]
        assert "older than this operator: ClaudeDeployment lacks spec.gateway.resources" in line
        assert COMMAND in line
        aged.says("Ready", "True", "Serving")  # what does not need the field goes on
        wait_for(lambda: len(aged.events("CRDOutdated")) == 1)
        apply_crds(aged.admin)
        aged.says("Accepted", "True", "Valid")
        wait_for(lambda: aged.operator.probe("/readyz")[0] == 200)


def test_a_revision_that_would_lose_a_field_is_not_made_until_the_definition_is_there(
    own_server: ApiServer, tmp_path: Path
) -> None:
    age(own_server.admin(), "clauderevisions", "spec.overrides")
    with begun(own_server, tmp_path, overrides={"system": "Append"}) as aged:
        said = aged.says("Promoted", "Unknown", "WriteRefused")
        assert "would lose spec.overrides" in said
        assert COMMAND in said
        assert "ClaudeRevision lacks spec.overrides" in aged.says("Accepted", "True", "CRDOutdated")
        assert aged.admin.list("ClaudeRevision", aged.namespace) == []
        apply_crds(aged.admin)
        aged.says("Ready", "True", "Serving")
        (revision,) = aged.admin.list("ClaudeRevision", aged.namespace)
        assert revision["spec"]["overrides"] == {"system": "Append"}


def test_a_status_without_room_for_a_field_is_told_in_the_status_itself(own_server: ApiServer, tmp_path: Path) -> None:
    age(own_server.admin(), "claudedeployments", "status.rollout")
    with begun(own_server, tmp_path) as aged:
        said = aged.says("Promoted", "Unknown", "WriteRefused")
        assert "the rollout stands still" in said
        assert "ClaudeDeployment lacks status.rollout" in said
        assert COMMAND in said
        aged.says("Accepted", "True", "CRDOutdated")
        wait_for(lambda: aged.events("WriteRefused"), 30, "it is not told")
        time.sleep(3.0)
        assert len(aged.events("WriteRefused")) == 1
        apply_crds(aged.admin)
        aged.says("Promoted", "True", "Promoted")
        aged.says("Accepted", "True", "Valid")


def test_a_kind_that_is_not_installed_is_named_with_the_command(own_server: ApiServer, tmp_path: Path) -> None:
    admin = own_server.admin()
    admin.call("DELETE", f"{_API}/claudemodels.claudeops.dev")
    wait_for(lambda: not any("claudemodels" in one["metadata"]["name"] for one in admin.call("GET", _API)["items"]))
    operator = Operator(own_server.kubeconfig, new_namespace(admin, "none"), tmp_path)
    try:
        wait_for(lambda: "ClaudeModel is not installed" in operator.probe("/readyz")[1], 30)
        assert COMMAND in operator.probe("/readyz")[1]
        wait_for(lambda: COMMAND in operator.log(), 30, "it is not logged")
        assert (CRDS / "claudemodels.yaml").exists()
        apply_crds(admin)
        operator.until_leading()
    finally:
        operator.kill()


UNIT = {"type": "string", "enum": ["Conversation", "Request"], "default": "Conversation"}
_ANALYSIS = ["spec", "strategy", "canary", "analysis"]


def with_unit(admin: Client) -> None:
    """The definition of before spec.assignment, and wait until that is served."""
    age(admin, "claudedeployments", "spec.assignment", "spec.strategy.canary.drain", "spec.strategy.canary.rescueAfter")
    change(admin, "claudedeployments", lambda schema: at(schema, _ANALYSIS)["properties"].update(unit=UNIT))
    kind = "dev.claudeops.v1alpha1.ClaudeDeployment"
    wait_for(
        lambda: "unit" in at(admin.call("GET", _OPENAPI)["components"]["schemas"][kind], _ANALYSIS)["properties"], 30
    )


def analysis_of(found: Object) -> Object:
    analysis: Object = found["spec"]["strategy"]["canary"]["analysis"]
    return analysis


def test_an_object_with_a_unit_of_before_is_served_and_told_what_replaces_it(
    own_server: ApiServer, tmp_path: Path
) -> None:
    with_unit(own_server.admin())
    with begun(own_server, tmp_path, strategy={"canary": {"analysis": {"unit": "Request"}}}) as aged:
        stored = aged.admin.take("ClaudeDeployment", "support", aged.namespace)
        assert analysis_of(stored)["unit"] == "Request"
        said = aged.says("Accepted", "True", "CRDOutdated")
        assert "write spec.assignment.unit: Request" in said
        aged.says("Ready", "True", "Serving")
        (revision,) = aged.admin.list("ClaudeRevision", aged.namespace)
        apply_crds(aged.admin)
        aged.says("Accepted", "True", "Valid")
        take = lambda: aged.admin.take("ClaudeDeployment", "support", aged.namespace)  # noqa: E731
        wait_for(lambda: "unit" not in analysis_of(take()), 30, "the new definition is not in force")
        aged.admin.patch("ClaudeDeployment", "support", aged.namespace, {"spec": {"assignment": {"unit": "Request"}}})
        wait_for(lambda: '"unit":"Request"' in config_of(aged), 30)
        assert [one["metadata"]["name"] for one in aged.admin.list("ClaudeRevision", aged.namespace)] == [
            revision["metadata"]["name"]
        ]
        aged.says("Accepted", "True", "Valid")


def config_of(aged: Aged) -> str:
    return str(aged.admin.take("ConfigMap", "support-gateway", aged.namespace)["data"]["config.json"])


def test_what_is_left_out_of_the_spec_is_not_stored(own_server: ApiServer) -> None:
    """An operator of before would not know it."""
    admin = own_server.admin()
    namespace = new_namespace(admin, "fields")
    admin.create(deployment("plain"), namespace)
    plain = admin.take("ClaudeDeployment", "plain", namespace)["spec"]
    assert "assignment" not in plain
    assert not {"drain", "rescueAfter"} & set(plain["strategy"]["canary"])
    admin.create(deployment("given", assignment={}, strategy={"canary": {"drain": {}, "rescueAfter": 0}}), namespace)
    given = admin.take("ClaudeDeployment", "given", namespace)["spec"]
    assert given["assignment"] == {"unit": "Conversation"}
    assert given["strategy"]["canary"]["drain"] == {"maxAge": "1h"}
    assert given["strategy"]["canary"]["rescueAfter"] == 0
