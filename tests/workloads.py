"""What controllers make of a Deployment: its ReplicaSet, and the references by which its pods are its own."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from claude_operator.api.gateway import OPERATOR_DIR

Object = dict[str, Any]


def replica_set(deployment: Mapping[str, Any]) -> Object:
    """The ReplicaSet of the template that a Deployment has now; the API server gives it a UID."""
    template = copy.deepcopy(deployment["spec"]["template"])
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]
    metadata = deployment["metadata"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "labels": dict(template["metadata"]["labels"]),
            "ownerReferences": [controller({"apiVersion": "apps/v1", "kind": "Deployment", **deployment})],
        },
        "spec": {"replicas": 1, "selector": deployment["spec"]["selector"], "template": template},
    }


def take_out_operator_key(deployment: Object) -> None:
    """Make a gateway's template one of a version whose pods have no key of the operator."""
    pod = deployment["spec"]["template"]["spec"]
    pod["volumes"] = [one for one in pod["volumes"] if one["name"] != "operator"]
    (container,) = pod["containers"]
    container["volumeMounts"] = [one for one in container["volumeMounts"] if one["mountPath"] != OPERATOR_DIR]


def read_keys_from_one_secret(deployment: Object) -> None:
    """Make a gateway's template one of a version that has the graders' key in the gateway's Secret."""
    source = {"secretName": deployment["metadata"]["name"], "defaultMode": 0o440}
    pod = deployment["spec"]["template"]["spec"]
    others = [one for one in pod["volumes"] if one["name"] != "operator"]
    pod["volumes"] = [*others, {"name": "operator", "secret": source}]


def controller(owner: Mapping[str, Any]) -> Object:
    """The reference to what controls an object."""
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
