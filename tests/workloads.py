"""What controllers make of a Deployment: its ReplicaSet, and the references by which its pods are its own."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

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
