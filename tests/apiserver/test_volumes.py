"""An eval set whose items are on a volume: its Job mounts it, and the operator says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.apiserver.client import Client, wait_for
from tests.apiserver.objects import claim, deployment, secret
from tests.apiserver.process import Operator
from tests.apiserver.test_hostile import eval_set

Object = dict[str, Any]

EVALS = {"setRef": {"name": "s"}}
ITEMS = {"dataset": {"volume": {"claimName": "exam", "path": "items.jsonl"}}}


def test_the_job_of_a_set_on_a_volume_mounts_it_read_only(
    admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    for body in (secret(), claim("exam"), {**eval_set("s", "."), "spec": ITEMS}, deployment(evals=EVALS)):
        admin.create(body, namespace)
    operate().until_leading()
    [job] = wait_for(lambda: admin.list("Job", namespace), 60, "there is no Job")
    [run] = [one["metadata"]["name"] for one in admin.list("ClaudeEvalRun", namespace)]
    pod = job["spec"]["template"]["spec"]
    assert {"name": "dataset", "persistentVolumeClaim": {"claimName": "exam", "readOnly": True}} in pod["volumes"]
    mount = {"name": "dataset", "mountPath": "/etc/claude-operator/dataset", "readOnly": True}
    assert mount in pod["containers"][0]["volumeMounts"]
    assert "items" not in (admin.take("ClaudeEvalSet", "s", namespace).get("status") or {}), "nobody knows yet"
    result = {"phase": "Passed", "finishedAt": "2026-11-20T12:00:00Z", "setHash": "f" * 64, "candidate": {"items": 7}}
    admin.patch("ClaudeEvalRun", run, namespace, {"status": result}, subresource="status")
    told = wait_for(lambda: admin.take("ClaudeEvalSet", "s", namespace).get("status"), 60, "the set says nothing")
    assert (told["items"], told["setHash"], told["run"]) == (7, "f" * 64, run)


def test_a_volume_that_is_not_there_or_not_labelled_is_named(
    admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    key = secret()
    key["metadata"]["labels"] = {"claudeops.dev/use": "upstream"}
    for body in (key, {**eval_set("s", "."), "spec": ITEMS}, deployment(evals=EVALS)):
        admin.create(body, namespace)
    operate("--secrets-opt-in").until_leading()

    def accepted() -> Object:
        conditions = (admin.take("ClaudeDeployment", "support", namespace).get("status") or {}).get("conditions") or ()
        return next((one for one in conditions if one["type"] == "Accepted"), {})

    wait_for(lambda: "there is no PersistentVolumeClaim exam; create it" in accepted().get("message", ""), 60)
    admin.create(claim("exam"), namespace)
    label = f"kubectl -n {namespace} label persistentvolumeclaim exam claudeops.dev/use=evals"
    wait_for(lambda: label in accepted().get("message", ""), 60)
    assert not admin.list("Job", namespace)
    admin.patch("PersistentVolumeClaim", "exam", namespace, {"metadata": {"labels": {"claudeops.dev/use": "evals"}}})
    wait_for(lambda: accepted().get("status") == "True", 60)
    wait_for(lambda: admin.list("Job", namespace), 60)
