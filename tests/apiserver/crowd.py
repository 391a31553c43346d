"""Very many settled ClaudeDeployments: copies of one that an operator has settled, with all its children."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.apiserver.client import Client
from tests.apiserver.gateways import Gateways
from tests.apiserver.kubelet import make_pod, make_ready

from claude_operator.core import names
from claude_operator.core.operator_key import sign_config
from claude_operator.core.reconcile.client_key import Keys, derive

Object = dict[str, Any]

CHILDREN = (
    "ClaudeRevision", "ServiceAccount", "Role", "RoleBinding", "ConfigMap", "Service", "Secret", "Deployment",
    "PodDisruptionBudget",
)  # fmt: skip
_SERVERS_OWN = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink")


def multiply(
    admin: Client, namespace: str, model: str, copies: list[str], gateways: Gateways, threads: int = 8
) -> None:
    """Make a copy of `model` under each of these names, each with a gateway pod that answers."""
    owner = admin.take("ClaudeDeployment", model, namespace)
    uid = owner["metadata"]["uid"]
    children = [
        (kind, one) for kind in CHILDREN for one in admin.list(kind, namespace) if names.is_controlled_by(one, uid)
    ]

    (master,) = (
        base64.b64decode(one["data"]["master"])
        for one in admin.list("Secret", namespace)
        if "master" in (one.get("data") or {})
    )

    def copy(name: str) -> None:
        made = admin.create(_renamed(owner, model, name, {}), namespace)
        uids = {uid: made["metadata"]["uid"]}
        for kind, child in children:
            body = _renamed({"kind": kind, **child}, model, name, uids)
            if kind in ("ConfigMap", "Secret") and "data" in body:
                body["data"] = _own_data(body["data"], derive(master, made["metadata"]["uid"]))
            if kind == "Service":
                body["spec"] = {key: one for key, one in body["spec"].items() if not key.startswith("clusterIP")}
            stored = admin.create(body, namespace)
            if kind == "Deployment":
                make_ready(admin, {"spec": body["spec"], "metadata": stored["metadata"]})
            if kind == "ClaudeRevision" and child.get("status"):
                admin.patch(
                    kind, stored["metadata"]["name"], namespace, {"status": child["status"]}, subresource="status"
                )
        status = _renamed({"status": owner["status"]}, model, name, uids)["status"]
        admin.patch("ClaudeDeployment", name, namespace, {"status": status}, subresource="status")
        make_pod(admin, namespace, name, f"{name}-gateway-0", gateways.address(name))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(copy, copies))


def _own_data(data: dict[str, str], keys: Keys) -> dict[str, str]:
    """Data of a Secret or ConfigMap, with the keys of the copy."""
    if "signature" in data:
        return {**data, "signature": sign_config(keys.operator.encode(), data)}
    own = {"operator-key": keys.operator, "grader-key": keys.grader}
    return data | {name: base64.b64encode(own[name].encode()).decode() for name in own.keys() & data.keys()}


def _renamed(body: Object, model: str, name: str, uids: dict[str, str]) -> Object:
    """The object under another name, as it can be created."""
    text = json.dumps(body, ensure_ascii=False).replace(model, name)
    for old, new in uids.items():
        text = text.replace(old, new)
    found: Object = json.loads(text)
    if "metadata" in found:
        found["metadata"] = {key: one for key, one in found["metadata"].items() if key not in _SERVERS_OWN}
    return found
