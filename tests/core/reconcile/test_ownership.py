"""Whose an object of a child's name is."""

from __future__ import annotations

from typing import Any

import pytest

from claude_operator.core import names, render
from claude_operator.core.reconcile.ownership import Claim, adoption, claim, is_ours, refusal, written_by
from claude_operator.core.spec import revision

OWNER: dict[str, Any] = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeDeployment",
    "metadata": {"name": "support", "namespace": "demo", "uid": "new"},
}
MINE = names.owner_reference(OWNER)
DEAD = MINE | {"uid": "old"}
OTHER_NAME = DEAD | {"name": "sales"}
OTHER_GROUP = DEAD | {"apiVersion": "example.com/v1"}
ARGO = {"apiVersion": "argoproj.io/v1", "kind": "Rollout", "name": "support", "uid": "a", "controller": True}
BESIDE = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "b"}
LABELS = names.labels("support", "gateway")


def stored(kind: str = "Service", name: str = "support-gateway", *owners: Any, **metadata: Any) -> dict[str, Any]:
    known = {"name": name, "namespace": "demo", "uid": "u1", "resourceVersion": "7", "labels": LABELS}
    return {"apiVersion": "v1", "kind": kind, "metadata": known | {"ownerReferences": list(owners)} | metadata}


@pytest.mark.parametrize(
    ("owners", "metadata", "known", "expected"),
    [
        ([MINE], {}, (), Claim.OURS),
        ([MINE], {"labels": None}, (), Claim.OURS),
        ([MINE], {"deletionTimestamp": "2026-11-24T10:00:00Z"}, (), Claim.OURS),
        ([BESIDE, MINE], {}, (), Claim.OURS),
        ([], {}, (), Claim.ORPHAN),
        ([DEAD], {}, (), Claim.ORPHAN),
        ([MINE | {"controller": False}], {}, (), Claim.ORPHAN),
        ([BESIDE], {}, (), Claim.ORPHAN),
        ([], {"labels": {}}, ("u1",), Claim.ORPHAN),
        ([], {"labels": {}}, ("u2",), Claim.FOREIGN),
        ([DEAD], {"labels": None}, (), Claim.FOREIGN),
        ([], {"labels": names.labels("sales", "gateway")}, (), Claim.FOREIGN),
        ([], {"labels": LABELS | {names.LABEL_MANAGED_BY: "Helm"}}, (), Claim.FOREIGN),
        ([DEAD], {"deletionTimestamp": "2026-11-24T10:00:00Z"}, (), Claim.LEAVING),
        ([], {"deletionTimestamp": "2026-11-24T10:00:00Z"}, ("u1",), Claim.LEAVING),
        *[([one], {}, ("u1",), Claim.FOREIGN) for one in (OTHER_NAME, OTHER_GROUP, ARGO)],
    ],
)
def test_claim(owners: list[Any], metadata: dict[str, Any], known: tuple[str, ...], expected: Claim) -> None:
    found = stored("Service", "support-gateway", *owners, **metadata)
    assert claim(found, OWNER, known=known) is expected
    assert is_ours(found, OWNER, known=known) is (expected in (Claim.OURS, Claim.ORPHAN))


REQUEST = {"model": "claude-opus-5-5", "max_tokens": 100}
BLOCKS = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]


@pytest.mark.parametrize(
    "raw",
    [
        {"request": REQUEST},
        {"request": REQUEST | {"system": []}},
        {"request": REQUEST | {"system": BLOCKS}, "overrides": {"pin": "a"}},
        {"request": REQUEST, "promptFrom": [{"configMapKeyRef": {"name": "p", "key": "k"}}]},
        {"request": REQUEST | {"system": BLOCKS}, "promptFrom": [{"configMapKeyRef": {"name": "p", "key": "k"}}]},
        {"request": REQUEST, "subagents": {"a": {"request": REQUEST}}},
    ],
)
def test_a_revision_is_known_by_its_content_alone(raw: dict[str, Any]) -> None:
    parts = revision.content(raw, {("p", "k"): "from a file 🚲"})
    made = render.revision(OWNER, revision.name("support", parts), revision.revision_spec(parts))
    made["metadata"] = {"name": made["metadata"]["name"], "namespace": "demo", "uid": "u1"}
    assert claim(made, OWNER) is Claim.ORPHAN
    other = {**made, "spec": {**made["spec"], "request": REQUEST | {"max_tokens": 101}}}
    other["metadata"] = {**made["metadata"], "labels": LABELS}
    assert claim(other, OWNER) is Claim.FOREIGN
    assert "content that does not match its name" in refusal(other, OWNER)


def test_a_run_is_known_by_labels_deployment_and_the_set_that_it_is_named_after() -> None:
    run = render.eval_run(OWNER, "support-0123456789", None, "evals", "ab" * 32, {})
    run["metadata"] |= {"ownerReferences": [], "uid": "u1"}
    assert claim(run, OWNER) is Claim.ORPHAN
    for spoilt in (
        {**run, "metadata": {**run["metadata"], "labels": {}}},
        {**run, "spec": {**run["spec"], "setHash": "cd" * 32}},
        {**run, "spec": {**run["spec"], "revision": "support-9876543210"}},
        {**run, "spec": {**run["spec"], "deployment": "sales"}},
    ):
        assert claim(spoilt, OWNER) is Claim.FOREIGN


def test_adoption_takes_the_dead_owner_out_and_leaves_the_others() -> None:
    patch = adoption(stored("Secret", "support-client", BESIDE, DEAD), OWNER)
    assert patch["metadata"]["ownerReferences"] == [BESIDE, MINE]
    assert patch["metadata"]["resourceVersion"] == "7"
    half = adoption(stored("Secret", "support-client", MINE | {"controller": False}), OWNER)
    assert half["metadata"]["ownerReferences"] == [MINE]


def test_a_refusal_says_whose_it_is_and_what_helps() -> None:
    assert refusal(stored("Service", "support-gateway", ARGO), OWNER) == (
        "Service support-gateway belongs to Rollout support: rename the ClaudeDeployment, or remove that object"
    )
    assert "belongs to something else" in refusal(stored(labels={}), OWNER)
    assert "is being deleted; wait" in refusal(stored(deletionTimestamp="2026-11-24T10:00:00Z"), OWNER)


def test_who_wrote_last() -> None:
    entries = [
        {"manager": "kubectl-edit", "time": "2026-11-24T10:00:01Z"},
        {"manager": "argocd", "time": "2026-11-24T10:00:02Z"},
        {"manager": "kube-controller-manager", "time": "2026-11-24T10:00:05Z", "subresource": "status"},
        {"manager": "claude-operator", "time": "2026-11-24T10:00:09Z"},
    ]
    assert written_by(stored(managedFields=entries)) == "argocd"
    assert written_by(stored()) == ""
