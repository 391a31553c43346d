"""Forged configs, pods and verdicts on a real cluster: none moves traffic, the upstream's key or a judgement."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest
from tests import admin_port
from tests.cluster import support
from tests.cluster.apps import plain
from tests.cluster.record import Record
from tests.cluster.rollouts import annotate, bake, begun, deployment, start
from tests.cluster.support import get, kubectl, wait_for
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")

GATEWAY = "app-gateway"


def answered(address: str, path: str, body: bytes | None = None, **headers: str) -> int:
    """The status of the admin port."""
    request = urllib.request.Request(f"http://{address}:9090{path}", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def pods(record: Record) -> dict[str, str]:
    """Addresses of the gateway pods by name."""
    return {name: pod["status"]["podIP"] for name, pod in record.pods.alive.items() if pod["status"].get("podIP")}


def test_evidence_and_grades_are_for_who_has_the_keys(namespace: str) -> None:
    revision = start(namespace)
    with Record(namespace) as record:
        wait_for(lambda: len(pods(record)) == 2, 60)
        secret = get("secret", GATEWAY, namespace=namespace)
        (one, address), (other, _) = pods(record).items()
        key = admin_port.key_in(secret)
        verdict = json.dumps({"revision": revision, "passed": True}).encode()
        for path in ("/-/evidence", "/-/evidence?since=&keep=1", "/-/evidence/cohorts", "/-/recent"):
            assert answered(address, path) == 401
            assert admin_port.read(address, path, pod=one, key=key)
            assert admin_port.read(address, path, pod=other, key=key) is None
            assert admin_port.read(address, path, pod=one, key=key[::-1]) is None
        assert answered(address, "/-/grades", verdict) == 401
        grader = plain(get("secret", "app-grader", namespace=namespace)["data"]["grader-key"])
        assert set(secret["data"]) == {"operator-key"}
        assert answered(address, "/-/grades", verdict, authorization=f"Bearer {grader}") == 204
        assert [answered(address, path) for path in ("/metrics", "/-/ready", "/-/live")] == [200, 200, 200]


def test_a_config_that_somebody_edits_sends_nothing_elsewhere_and_the_rollout_goes_on(namespace: str) -> None:
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=20) as traffic:
        steps = [{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}, bake(5, 10)]  # no step ends meanwhile
        support.apply(deployment("v2", steps), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second), 60, "the canary gets no traffic")
        before = get("configmap", GATEWAY, namespace=namespace)["data"]
        config = json.loads(before["config.json"])
        evil = {**config, "auth": {"type": "None"}, "upstream": {"baseURL": "http://127.0.0.1:9"}, "generation": 999}
        settled = {"revision": second, "attempt": 1, "outcome": "RolledBack", "reason": "x", "message": ""}
        for data in ({"config.json": json.dumps(evil)}, {"config.json": json.dumps({**config, "settled": settled})}):
            kubectl(
                "patch", "configmap", GATEWAY, "--type=merge", "-p", json.dumps({"data": data}), namespace=namespace
            )
            wait_for(lambda: get("configmap", GATEWAY, namespace=namespace)["data"] == before, 30, "it is not put back")
        annotate(namespace, "promote", f"{second}/1/1")
        wait_for(lambda: record.rollout.get("outcome") == "Promoted", 120, "the rollout does not go on")
        wait_for(lambda: len(record.events("ChildRestored")) >= 2, 20, "it is not told")
        assert not traffic.failed()
        assert len(record.events("ChildRestored")) == 2


def test_a_pod_with_the_gateways_labels_is_told_and_counts_nothing(namespace: str) -> None:
    start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=20) as traffic:
        real = get("pods", selector="claudeops.dev/deployment=app,app.kubernetes.io/component=gateway",
                   namespace=namespace)[0]  # fmt: skip
        container = real["spec"]["containers"][0]
        forged: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "forged", "labels": real["metadata"]["labels"]},
            "spec": {
                "securityContext": real["spec"]["securityContext"],
                "containers": [
                    {
                        "name": "forged",
                        "image": container["image"],
                        "imagePullPolicy": container["imagePullPolicy"],
                        "securityContext": container["securityContext"],
                        "args": ["simulator", "--port=9090"],
                    }
                ],
            },
        }
        del forged["metadata"]["labels"]["pod-template-hash"]  # else its ReplicaSet adopts it, and deletes one too many
        support.apply(forged, namespace)
        support.wait("pod/forged", until="condition=Ready", namespace=namespace)
        kubectl("annotate", "cld", "app", "example.com/look=now", namespace=namespace)
        wait_for(lambda: record.events("ForeignPod"), 60, "it is not told")
        assert "pod forged has the labels" in record.events("ForeignPod")[0][1]
        assert record.condition("GatewayReady")["status"] == "True"
        assert record.status["gateway"]["ready"] == 2
        assert not traffic.failed()
