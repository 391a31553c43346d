"""RBAC no wider than needed: granted = used ∪ handed on ∪ `update` on the finalizers of owners."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.chart.conftest import Objects

from claude_operator.api.base import GROUP

Verbs = dict[tuple[str, str], set[str]]
READ = {"get", "list", "watch"}

# (API group, resource) -> verbs that the operator's own calls use.
USED: Verbs = {
    (GROUP, "claudedeployments"): READ,
    (GROUP, "claudedeployments/status"): {"patch"},
    (GROUP, "clauderevisions"): READ | {"create", "patch", "delete"},
    (GROUP, "clauderevisions/status"): {"patch"},
    (GROUP, "claudeevalsets"): READ,
    (GROUP, "claudeevalsets/status"): {"patch"},
    (GROUP, "claudeevalruns"): READ | {"create", "patch", "delete"},
    (GROUP, "claudeevalruns/status"): {"patch"},
    (GROUP, "claudemodels"): READ | {"create", "patch"},
    (GROUP, "claudemodels/status"): {"patch"},
    ("apps", "deployments"): READ | {"create", "patch"},
    ("policy", "poddisruptionbudgets"): READ | {"create", "patch"},
    ("rbac.authorization.k8s.io", "roles"): READ | {"create", "patch"},
    ("rbac.authorization.k8s.io", "rolebindings"): READ | {"create", "patch"},
    ("", "serviceaccounts"): READ | {"create", "patch"},
    ("", "services"): READ | {"create", "patch"},
    ("", "configmaps"): READ | {"create", "patch"},
    ("", "secrets"): READ | {"create", "patch"},
    ("", "pods"): READ,
    ("batch", "jobs"): READ | {"create", "delete"},
    ("events.k8s.io", "events"): {"create"},
}
# The same for the Roles that it makes: nobody may grant what they do not have.
HANDED_ON: Verbs = {
    ("", "configmaps"): READ,
    (GROUP, "clauderevisions"): {"get"},
    (GROUP, "claudeevalsets"): {"get"},
    (GROUP, "claudeevalruns"): {"get"},
    (GROUP, "claudeevalruns/status"): {"get", "patch"},
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


def test_cluster_role_grants_what_is_needed_and_no_more(template: Callable[..., Objects]) -> None:
    rules = role(template(), "ClusterRole", "claude-operator")
    assert granted(rules) == union(USED, HANDED_ON, OWNERS)
    assert not [rule for rule in rules if "*" in str(rule)]


def test_leases_are_written_in_its_own_namespace_alone(template: Callable[..., Objects]) -> None:
    objects = template()
    assert granted(role(objects, "Role", "claude-operator-leader")) == {
        ("coordination.k8s.io", "leases"): {"get", "create", "update"}
    }
    namespaced = [item for item in objects if item["kind"] in ("Role", "RoleBinding")]
    assert {item["metadata"]["namespace"] for item in namespaced} == {"claude-system"}


def test_people_get_no_more_than_the_kinds(template: Callable[..., Objects]) -> None:
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
