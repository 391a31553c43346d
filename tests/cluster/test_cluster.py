"""The cluster does what the other tests rely on: pods run the image, Services have names, wrong objects are refused."""

from __future__ import annotations

import json
import urllib.request

import pytest
from tests.cluster.support import CommandError, apply, find, kubectl, wait, wait_for

SERVER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "server", "labels": {"app": "server"}},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "server",
                "command": ["python", "-m", "http.server", "8000", "--directory", "/opt/claude-operator/package/bin"],
                "readinessProbe": {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1},
                "securityContext": {
                    "readOnlyRootFilesystem": True,
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "server"},
    "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8000}]},
}


def test_a_pod_of_the_image_serves_by_its_services_name(image: str, namespace: str) -> None:
    pod = json.loads(json.dumps(SERVER))
    pod["spec"]["containers"][0]["image"] = image
    apply({"apiVersion": "v1", "kind": "List", "items": [pod, SERVICE]}, namespace)
    wait("pod/server", until="condition=Ready", namespace=namespace)

    def listing() -> str:
        try:
            with urllib.request.urlopen(f"http://server.{namespace}.svc/", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    assert "claude-operator" in wait_for(listing, 10, "the Service does not answer")


def test_the_image_runs_as_its_own_user_on_a_read_only_file_system(image: str, namespace: str) -> None:
    pod = json.loads(json.dumps(SERVER))
    [container] = pod["spec"]["containers"]
    container |= {"image": image, "args": ["--version"]}
    del container["command"], container["readinessProbe"]
    pod["spec"]["restartPolicy"] = "Never"
    apply(pod, namespace)
    wait("pod/server", until="jsonpath={.status.phase}=Succeeded", namespace=namespace)
    assert kubectl("logs", "server", namespace=namespace).startswith("claude-operator ")


def test_a_refused_object_tells_why_and_an_absent_one_is_none(namespace: str) -> None:
    with pytest.raises(CommandError) as refusal:
        apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "Wrong"}, "spec": {}}, namespace)
    assert 'Pod "Wrong" is invalid' in refusal.value.stderr
    assert find("pod", "absent", namespace=namespace) is None
