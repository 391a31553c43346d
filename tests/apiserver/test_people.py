"""What people with the chart's roles may do, and whose name stands beside what they ask for: by impersonation."""

from __future__ import annotations

import base64
import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.client import KINDS, ApiError, Client, is_refused, wait_for
from tests.apiserver.gateways import Gateways
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.objects import deployment, says, secret
from tests.apiserver.process import Operator, rendered
from tests.apiserver.server import ApiServer

Object = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
BY, ABORT, PROMOTE = "claudeops.dev/by", "claudeops.dev/abort", "claudeops.dev/promote"
OURS = ("ClaudeDeployment", "ClaudeRevision", "ClaudeEvalSet", "ClaudeEvalRun")


def bind(admin: Client, namespace: str, user: str, *roles: str) -> None:
    """Give a user ClusterRoles in a namespace."""
    for role in roles:
        name = f"{user}-{role.replace(':', '-')}"
        subject = {"kind": "User", "name": user, "apiGroup": RBAC}
        body = {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": {"name": name}}
        to = {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}
        admin.create({**body, "subjects": [subject], "roleRef": to}, namespace)


@pytest.fixture
def people(server: ApiServer, programs: Path, admin: Client, namespace: str) -> Iterator[Callable[[str], Client]]:
    """`people(name)`: vera views and edda edits, with the cluster's own roles of these names and the chart's."""
    for one in rendered(programs / "helm", "claude-system"):
        if one["kind"] == "ClusterRole" and one["metadata"]["name"].endswith(("-view", "-edit")):
            admin.apply(one)
    # No controller collects them into `view` and `edit` here.
    bind(admin, namespace, "vera", "system:aggregate-to-view", "claude-operator-view")
    bind(admin, namespace, "edda", "system:aggregate-to-edit", "system:aggregate-to-view", "claude-operator-view",
         "claude-operator-edit")  # fmt: skip
    with contextlib.ExitStack() as made:

        def named(user: str) -> Client:
            client = server.impersonate(user)
            made.callback(client.close)
            tries = [lambda: client.list("ClaudeDeployment", namespace)]
            if user != "vera":
                path = KINDS["ClaudeDeployment"].path(namespace)
                tries.append(lambda: client.call("POST", path, {"dryRun": "All"}, deployment("probe")))
            for one in tries:
                wait_for(lambda one=one: not is_refused(one), 30, f"the rights of {user} are not in force")
            return client

        yield named


def test_who_views_sees_what_runs_and_no_secret(
    admin: Client, namespace: str, people: Callable[[str], Client], operate: Callable[..., Operator]
) -> None:
    vera, hidden = people("vera"), "not-for-viewers-7d1f"
    admin.create({**secret(), "stringData": {"api-key": hidden}}, namespace)
    admin.create(deployment(), namespace)
    operate().until_leading()
    with Gateways(admin, namespace) as gateways, Kubelet(admin, namespace, gateways.addresses):
        wait_for(lambda: admin.take("ClaudeDeployment", "support", namespace)["status"]["stableRevision"])
        client_key = wait_for(lambda: admin.take("Secret", "support-client", namespace)["data"]["ANTHROPIC_API_KEY"])
    seen = [vera.list(kind, namespace) for kind in (*OURS, "ConfigMap", "Deployment", "Pod", "Service")]
    assert seen[0]
    for value in (hidden, base64.b64decode(client_key).decode()):
        for form in (value, base64.b64encode(value.encode()).decode()):
            assert form not in str(seen)
    assert is_refused(lambda: vera.list("Secret", namespace))
    assert is_refused(lambda: vera.take("Secret", "support-client", namespace))
    for kind in OURS:
        assert is_refused(lambda kind=kind: vera.delete_all(kind, namespace))
    assert is_refused(lambda: vera.patch("ClaudeDeployment", "support", namespace, {"spec": {"paused": True}}))


def test_who_edits_makes_deployments_and_sets_and_nothing_that_gates_them(
    admin: Client, namespace: str, people: Callable[[str], Client]
) -> None:
    edda = people("edda")
    edda.create(deployment(), namespace)
    kind = {"apiVersion": "claudeops.dev/v1alpha1", "metadata": {"name": "mine"}}
    edda.create(
        {**kind, "kind": "ClaudeEvalSet", "spec": {"tests": [{"id": "a", "input": "b", "assert": []}]}}, namespace
    )
    revision = {**kind, "kind": "ClaudeRevision", "spec": {"request": {"model": "claude-opus-5-5", "max_tokens": 1}}}
    run = {**kind, "kind": "ClaudeEvalRun", "spec": {"revision": "r", "setRef": "mine", "setHash": "0" * 64}}
    for body in (revision, run):
        assert is_refused(lambda body=body: edda.create(body, namespace)), body["kind"]
    stable = {"status": {"stableRevision": "mine"}}
    assert is_refused(lambda: edda.patch("ClaudeDeployment", "support", namespace, stable, subresource="status"))
    merge = {"metadata": {"labels": {"a": "b"}}}
    for body in (revision, run):
        admin.create(body, namespace)
        assert is_refused(lambda body=body: edda.patch(body["kind"], "mine", namespace, merge)), body["kind"]
    passed = {"status": {"phase": "Passed"}}
    assert is_refused(lambda: edda.patch("ClaudeEvalRun", "mine", namespace, passed, subresource="status"))


class Asked:
    """A ClaudeDeployment with a canary, and what people write on it."""

    def __init__(self, admin: Client, namespace: str) -> None:
        self.admin, self.namespace = admin, namespace

    def is_on_trial(self) -> bool:
        status = self.admin.take("ClaudeDeployment", "support", self.namespace)["status"]
        return status["rollout"]["revision"] != status["stableRevision"] and "outcome" not in status["rollout"]

    def trial(self) -> str:
        rollout = self.admin.take("ClaudeDeployment", "support", self.namespace)["status"]["rollout"]
        return f"{rollout['revision']}/{rollout['attempt']}"

    def annotate(self, who: Client, manager: str = "kubectl-annotate", **annotations: str | None) -> None:
        body = {"metadata": {"annotations": {f"claudeops.dev/{name}": value for name, value in annotations.items()}}}
        path = f"/apis/claudeops.dev/v1alpha1/namespaces/{self.namespace}/claudedeployments/support"
        who.call("PATCH", path, {"fieldManager": manager}, body, "application/merge-patch+json")

    def settled(self) -> bool:
        """Something has come of every wish."""
        found = self.admin.take("ClaudeDeployment", "support", self.namespace)
        asked = found["metadata"].get("annotations") or {}
        return all(f"promote={asked[name]}" in found["status"]["handled"] for name in {PROMOTE} & asked.keys())

    def condition(self, type_: str) -> Object:
        found = self.admin.take("ClaudeDeployment", "support", self.namespace)["status"]["conditions"]
        return {one["type"]: one for one in found}[type_]

    def events(self, reason: str) -> list[str]:
        return [one["note"] for one in self.admin.list("Event", self.namespace) if one["reason"] == reason]


@contextlib.contextmanager
def trying(admin: Client, namespace: str, operator: Operator) -> Iterator[Asked]:
    admin.create(secret(), namespace)
    admin.create(deployment(), namespace)
    operator.until_leading()
    with Gateways(admin, namespace) as gateways, Kubelet(admin, namespace, gateways.addresses):
        wait_for(lambda: admin.take("ClaudeDeployment", "support", namespace)["status"]["stableRevision"])
        wait_for(lambda: gateways.weight("support", "stable") == 10_000)
        admin.patch("ClaudeDeployment", "support", namespace, {"spec": {"request": says("Be brief.")}})
        wait_for(lambda: gateways.weight("support", "canary") > 0, 60)
        asked = Asked(admin, namespace)
        wait_for(asked.is_on_trial, 30, "the status does not follow the config")
        yield asked


def test_events_give_the_program_that_asked_and_when(
    admin: Client, namespace: str, people: Callable[[str], Client], operate: Callable[..., Operator]
) -> None:
    with trying(admin, namespace, operate()) as it:
        it.annotate(people("edda"), abort=it.trial(), by="the-king")  # nobody checks that name
        [note] = wait_for(lambda: it.events("Aborted"))
        before, _, who = note.partition(", by kubectl-annotate at ")
        assert before.startswith("Aborted support-")
        assert len(who) == len("12:03:11Z")
        assert "the-king" not in note
        trial = it.trial()
        it.annotate(people("edda"), "dashboard", retry=trial)
        [note] = wait_for(lambda: it.events("Retried"))
        assert ", attempt 2, by dashboard at " in note


def test_with_the_audit_everybody_writes_their_own_name(
    admin: Client, namespace: str, people: Callable[[str], Client], operate: Callable[..., Operator], programs: Path
) -> None:
    values = ("audit.enabled=true", "fullnameOverride=audited", f"watchNamespaces={{{namespace}}}")
    policies = rendered(programs / "helm", "claude-system", *values, file="audit.yaml")
    bind(admin, namespace, "alice", "claude-operator-edit", "claude-operator-view")
    alice, edda = people("alice"), people("edda")
    try:
        with trying(admin, namespace, operate("--audited")) as it:
            for one in policies:
                admin.apply(one)
            tries = itertools.count()
            probe = lambda: it.annotate(edda, promote=f"probe-{next(tries)}")  # noqa: E731
            wait_for(lambda: is_refused(probe), 30, "the policy is not in force")
            wait_for(it.settled, 30)  # of two wishes that are new at once a name would be the later one's
            trial = it.trial()
            with pytest.raises(ApiError, match=r"claudeops\.dev/by has to name you, alice, where you promote, abort"):
                it.annotate(alice, abort=trial)
            for name in ("edda", "", "system:admin"):
                assert is_refused(lambda name=name: it.annotate(alice, abort=trial, by=name))
            assert is_refused(lambda: it.annotate(alice, by="alice"))  # a name alone
            admin.patch("ClaudeDeployment", "support", namespace, {"metadata": {"labels": {"a": "b"}}})  # anything else
            assert it.events("Aborted") == []

            it.annotate(alice, abort=trial, by="alice")
            [note] = wait_for(lambda: it.events("Aborted"))
            assert ", by alice at " in note
            wait_for(lambda: "kubectl auth whoami" in it.condition("Promoted")["message"], 30)
            for change in ({"by": "edda"}, {"by": None}):  # what was asked keeps its name
                assert is_refused(lambda change=change: it.annotate(edda, **change))
            it.annotate(edda, retry=trial, by="edda")
            [note] = wait_for(lambda: it.events("Retried"))
            assert ", by edda at " in note
            it.annotate(edda, retry=None, abort=None, promote=None, by=None)  # tidied up
            other = deployment("other")
            other["metadata"]["annotations"] = {PROMOTE: "other-0123456789/1/full", BY: "alice"}
            assert is_refused(lambda: edda.create(other, namespace))  # a forged wish laid down ahead
            edda.create(deployment("other"), namespace)
    finally:
        for one in policies:
            admin.delete(one["kind"], one["metadata"]["name"])
