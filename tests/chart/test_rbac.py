"""RBAC no wider than needed: granted = used ∪ `update` on the finalizers of owners, and what is handed on is used.

That `USED` is what the operator calls, `tests/apiserver/test_rights.py` shows from an API server's audit log.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.chart.conftest import Objects

from claude_operator.api.base import GROUP

Verbs = dict[tuple[str, str], set[str]]
Template = Callable[..., Objects]
READ = {"get", "list", "watch"}
RBAC = "rbac.authorization.k8s.io"

# (API group, resource) -> verbs that the operator's own calls use.
USED: Verbs = {
    (GROUP, "claudedeployments"): READ,
    (GROUP, "claudedeployments/status"): {"patch"},
    (GROUP, "claudesignatures"): {"list"},
    (GROUP, "clauderevisions"): READ | {"create", "patch", "delete"},
    (GROUP, "clauderevisions/status"): {"patch"},
    (GROUP, "claudeevalsets"): READ,
    (GROUP, "claudeevalsets/status"): {"patch"},
    (GROUP, "claudeevalruns"): READ | {"create", "patch", "delete"},
    (GROUP, "claudeevalruns/status"): {"patch"},
    ("apps", "deployments"): READ | {"create", "patch"},
    ("apps", "replicasets"): {"list"},
    ("policy", "poddisruptionbudgets"): READ | {"create", "patch"},
    ("networking.k8s.io", "networkpolicies"): READ | {"create", "patch"},
    ("rbac.authorization.k8s.io", "roles"): READ | {"create", "patch"},
    ("rbac.authorization.k8s.io", "rolebindings"): READ | {"create", "patch"},
    ("", "serviceaccounts"): READ | {"create", "patch"},
    ("", "services"): READ | {"create", "patch"},
    ("", "configmaps"): READ | {"create", "patch"},
    ("", "secrets"): READ | {"create", "patch"},
    ("", "pods"): {"list"},
    ("", "persistentvolumeclaims"): {"get"},
    ("batch", "jobs"): READ | {"create", "delete"},
    ("events.k8s.io", "events"): {"create"},
}
# Of the cluster, not of a namespace.
MODELS: Verbs = {
    (GROUP, "claudemodels"): {"list", "watch", "create", "patch"},
    (GROUP, "claudemodels/status"): {"patch"},
}
ORGANIZATIONS: Verbs = {
    (GROUP, "claudeorganizations"): {"list"},
    (GROUP, "claudeorganizations/status"): {"patch"},
    (GROUP, "claudeorganizations/finalizers"): {"update"},
}
CHECKLISTS: Verbs = {(GROUP, "claudechecklists"): {"list"}}
# The same for the Roles that it makes: nobody may grant what they do not have. The operator uses each of these too.
HANDED_ON: Verbs = {
    ("", "configmaps"): READ | {"patch"},
    ("", "secrets"): {"get", "patch"},
    (GROUP, "clauderevisions"): {"get"},
    (GROUP, "claudeevalsets"): {"get"},
    (GROUP, "claudeevalruns"): {"get"},
    (GROUP, "claudeevalruns/status"): {"patch"},
}
# Owners whose children block their deletion.
OWNERS: Verbs = {
    (GROUP, f"{plural}/finalizers"): {"update"} for plural in ("claudedeployments", "clauderevisions", "claudeevalruns")
}


def granted(rules: list[dict[str, Any]]) -> Verbs:
    """The verbs of some rules by group and resource."""
    table: Verbs = {}
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                table.setdefault((group, resource), set()).update(rule["verbs"])
    return table


def union(*tables: Verbs) -> Verbs:
    result: Verbs = {}
    for table in tables:
        for key, verbs in table.items():
            result.setdefault(key, set()).update(verbs)
    return result


def role(objects: Objects, kind: str, name: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = next(
        item["rules"] for item in objects if (item["kind"], item["metadata"]["name"]) == (kind, name)
    )
    return rules


NAMESPACED = union(USED, OWNERS)


def test_nothing_is_granted_only_to_be_handed_on() -> None:
    assert union(USED, HANDED_ON) == USED


def test_cluster_role_grants_what_is_needed_and_no_more(template: Template) -> None:
    rules = role(template(), "ClusterRole", "claude-operator")
    assert granted(rules) == union(NAMESPACED, MODELS, ORGANIZATIONS, CHECKLISTS)
    assert not [rule for rule in rules if "*" in str(rule)]


def test_in_some_namespaces_a_role_grants_the_same_there_and_nothing_of_the_cluster(template: Template) -> None:
    objects = template("watchNamespaces: [a, b]")
    mine = [item for item in objects if item["metadata"]["name"] == "claude-operator" and "Role" in item["kind"]]
    places = [(item["kind"], item["metadata"].get("namespace")) for item in mine]
    assert sorted(places) == [("Role", "a"), ("Role", "b"), ("RoleBinding", "a"), ("RoleBinding", "b")]
    for item in mine:
        if item["kind"] == "Role":
            assert granted(item["rules"]) == NAMESPACED
        else:
            assert item["roleRef"] == {"apiGroup": RBAC, "kind": "Role", "name": "claude-operator"}
            assert [one["namespace"] for one in item["subjects"]] == ["claude-system"]
    alone = template("{watchNamespaces: [a], crds: {install: false}, rbac: {aggregate: false}}")
    assert {item["kind"] for item in alone if "namespace" not in item["metadata"]} == set()
    assert {item["metadata"]["namespace"] for item in alone} == {"claude-system", "a", "default"}


def test_rights_to_policies_go_with_them(template: Template) -> None:
    rules = role(template("networkPolicy: {enabled: false}"), "ClusterRole", "claude-operator")
    assert ("networking.k8s.io", "networkpolicies") not in granted(rules)


def test_in_its_own_namespace_it_writes_its_lease_and_master_key_alone(template: Template) -> None:
    rules = role(template(), "Role", "claude-operator-leader")
    assert granted(rules) == {
        ("coordination.k8s.io", "leases"): {"get", "create", "update"},
        ("", "secrets"): {"get", "create"},
    }
    named = {verb: rule.get("resourceNames") for rule in rules for verb in rule["verbs"] if "secrets" in str(rule)}
    assert named == {"get": ["claude-operator-client-keys"], "create": None}  # a name cannot limit a creation


def test_elsewhere_it_reads_where_the_api_server_is_if_it_may(template: Template) -> None:
    objects = template()
    elsewhere = [item for item in objects if item["metadata"].get("namespace") == "default"]
    assert [item["kind"] for item in elsewhere] == ["Role", "RoleBinding"]
    assert granted(elsewhere[0]["rules"]) == {("discovery.k8s.io", "endpointslices"): {"list"}}
    assert elsewhere[1]["roleRef"]["name"] == elsewhere[0]["metadata"]["name"]
    without = template("rbac: {apiServerAddresses: false}")
    assert not [item for item in without if item["metadata"].get("namespace") == "default"]


def test_signing_is_a_right_of_its_own(template: Template) -> None:
    objects = template()
    assert granted(role(objects, "ClusterRole", "claude-operator-sign")) == {
        (GROUP, "claudesignatures"): {"create", "delete"}
    }
    assert (GROUP, "claudesignatures") not in granted(role(objects, "ClusterRole", "claude-operator-edit"))


def test_people_get_no_more_than_the_kinds(template: Template) -> None:
    objects = template()
    for name in ("claude-operator-view", "claude-operator-edit"):
        assert {group for group, _ in granted(role(objects, "ClusterRole", name))} == {GROUP}
    view = granted(role(objects, "ClusterRole", "claude-operator-view"))
    assert all(verbs == READ for verbs in view.values())
    edit = granted(role(objects, "ClusterRole", "claude-operator-edit"))
    # Status is the operator's; revisions, runs and models are made by it alone.
    write = {"create", "update", "patch", "delete", "deletecollection"}
    assert edit == {
        (GROUP, "claudedeployments"): write,
        (GROUP, "claudeevalsets"): write,
        (GROUP, "claudeevalruns"): {"delete", "deletecollection"},  # to have it asked again
    }
