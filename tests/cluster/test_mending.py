"""What somebody takes away is put back at once, and said; text of every kind is stored."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.cluster import apps, support
from tests.cluster.apps import Object, secret
from tests.cluster.pace import Pace
from tests.cluster.record import Record
from tests.cluster.rollouts import annotate, bake, begun, deployment, errs, scenario, start
from tests.cluster.support import find, get, kubectl, wait_for
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")

LONGEST = 5.0  # seconds until it is there again, on an idle machine
CHILDREN = {
    "Service": "app-gateway",
    "Secret": "app-client",
    "ServiceAccount": "app-gateway",
    "Role": "app-gateway",
    "RoleBinding": "app-gateway",
    "PodDisruptionBudget": "app-gateway",
    "NetworkPolicy": "app-gateway",
}
BRIEF = "Answer with one word: billing, delivery, returns or other."
PARTY = "🎉👩‍💻𝔘"  # beyond the BMP, and joined


def test_deleted_children_come_back_at_once(namespace: str) -> None:
    """Whether or not a rollout is under way; the client Secret with the same key, so that no application notices."""
    first = start(namespace, gateway={"replicas": 1})
    with Record(namespace) as record:
        all_come_back(namespace, record, before=0)
        support.apply(deployment("v2", [{"setWeight": 20}, {"pause": {}}], gateway={"replicas": 1}), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second), 60, "v2 did not come to its pause")
        all_come_back(namespace, record, before=1)
        assert record.status["canaryRevision"] == second
        assert record.rollout.get("outcome") is None
    assert apps.answered(namespace).revision in (first, second)


def all_come_back(namespace: str, record: Record, before: int) -> None:
    """Delete every child of these kinds, one after the other; `before`: Events about each that there are already."""
    for kind, name in CHILDREN.items():
        old = get(kind, name, namespace=namespace)
        with Pace() as pace:
            kubectl("delete", kind, name, "--wait=false", namespace=namespace)
            deleted = time.monotonic()
            new = wait_for(lambda: _another(kind, name, namespace, old), 30, f"{kind} {name} is gone", every=0.1)  # noqa: B023
            took = time.monotonic() - deleted
        print(f"{kind} {name} is there again after {took:.1f} s; the pace is {pace.slowest:.1f}")
        assert took <= pace.stretched(LONGEST), kind
        for part in ("data", "rules", "subjects", "roleRef"):
            assert new.get(part) == old.get(part)
    for kind, name in CHILDREN.items():
        wait_for(lambda: len(_about(record, kind, name)) > before, 10, f"nothing is said of {kind} {name}")  # noqa: B023
    time.sleep(1)
    told = {kind: _about(record, kind, name) for kind, name in CHILDREN.items()}
    assert {kind: len(notes) for kind, notes in told.items()} == dict.fromkeys(CHILDREN, before + 1), told


def _another(kind: str, name: str, namespace: str, old: Object) -> Any:
    found = find(kind, name, namespace=namespace)
    return found if found and found["metadata"]["uid"] != old["metadata"]["uid"] else None


def _about(record: Record, kind: str, name: str) -> list[str]:
    return [note for _, note in record.events(kind="Warning") if f"{kind} {name}" in note]


def test_lost_owner_references_do_not_disarm_the_rollback(namespace: str) -> None:
    """Those of the ConfigMap and of the gateways' Deployment, in mid-rollout: they are ours again, and it is served."""
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic, Pace() as pace:
        support.apply(deployment("v2-bad", [{"setWeight": 50}, bake(300, 10_000)]), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second), 60, "the canary does not bake")
        removal = json.dumps([{"op": "remove", "path": "/metadata/ownerReferences"}])
        lost = time.monotonic()
        for kind in ("configmap", "deployment"):
            kubectl("patch", kind, "app-gateway", "--type=json", "-p", removal, namespace=namespace)
        for kind in ("configmap", "deployment"):
            wait_for(lambda: _is_owned(kind, namespace), 30, f"the {kind} is nobody's")  # noqa: B023
        took = time.monotonic() - lost
        print(f"adopted after {took:.1f} s")
        scenario(errs("v2-bad", 1.0))
        wait_for(lambda: record.rollout.get("outcome"), 30, "no rollback", every=0.05)
        record.served_everywhere()
        back, enough = time.time(), len(traffic.answers) + 60
        wait_for(lambda: len(traffic.answers) > enough, 30)
        traffic.stop()
        assert record.rollout["outcome"] == "RolledBack"
    assert took <= pace.stretched(LONGEST)
    assert not traffic.failed(besides=[second])
    assert {one.revision for one in traffic.answers if one.began > back} == {first}


def _is_owned(kind: str, namespace: str) -> bool:
    owners = get(kind, "app-gateway", namespace=namespace)["metadata"].get("ownerReferences") or []
    return [one["kind"] for one in owners if one.get("controller")] == ["ClaudeDeployment"]


def test_text_beyond_the_basic_plane_is_served_judged_and_annotated(namespace: str) -> None:
    """In the prompt, in an eval's items and result, and in an annotation."""
    items = [("a", "I was charged twice.", "billing"), ("b", "Where is my parcel?", "delivery"), ("c", PARTY, PARTY)]
    tests = [{"id": one, "input": asked, "assert": [{"type": "equals", "value": said}]} for one, asked, said in items]
    eval_set = {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeEvalSet",
        "metadata": {"name": "questions"},
        "spec": {"tests": tests, "gate": {"passRate": 0.5}},
    }
    apps.apply(secret(), namespace)
    apps.apply(eval_set, namespace)
    apps.apply(apps.deployment(f"{BRIEF} {PARTY}", evals={"setRef": {"name": "questions"}}), namespace)
    revision = apps.promoted(namespace)
    assert apps.answered(namespace).revision == revision
    [run] = get("cer", namespace=namespace)
    assert run["status"]["phase"] == "Passed"
    [failed] = run["status"]["failedItems"]
    assert failed["id"] == "c"
    assert PARTY in failed["assertion"]

    annotate(namespace, "promote", PARTY)
    apps.apply(apps.deployment(f"{BRIEF} v2 {PARTY}", evals={"setRef": {"name": "questions"}}), namespace)
    wait_for(lambda: _stable(namespace) not in ("", revision), 60, "passes break at the annotation")


def _stable(namespace: str) -> str:
    return str(get("cld", "app", namespace=namespace)["status"].get("stableRevision") or "")


def test_the_number_of_pods_is_that_of_whoever_scales(namespace: str) -> None:
    """As an autoscaler does it; what the operator applies meanwhile leaves the number alone."""
    start(namespace, gateway={})

    def pods() -> int:
        """How many are wanted, once as many are ready."""
        found = get("deployment", "app-gateway", namespace=namespace)
        wanted = int(found["spec"]["replicas"])
        return wanted if found["status"].get("readyReplicas") == wanted else 0

    wait_for(lambda: pods() == 2, 60, "a new gateway has no 2 pods")
    for number in (3, 1):
        kubectl("scale", "deployment/app-gateway", f"--replicas={number}", namespace=namespace)
        wait_for(lambda: pods() == number, 120, f"there are not {number} pods")  # noqa: B023
        patch = json.dumps({"spec": {"gateway": {"resources": {"requests": {"cpu": f"{50 + number}m"}}}}})
        kubectl("patch", "cld", "app", "--type=merge", "-p", patch, namespace=namespace)
        time.sleep(3)
        wait_for(lambda: pods() == number, 120, "another template has another number")  # noqa: B023
    apps.answered(namespace)
