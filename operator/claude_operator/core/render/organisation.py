"""The history of an organisation's usage: one pod with the admin key, its volume, and who may ask it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from claude_operator.api.base import seconds
from claude_operator.api.organisation import (
    ADMIN_KEY_FILE,
    HISTORY_DIR,
    HISTORY_PORT,
    PAGE_KEY,
    PAGE_KEY_FILE,
    STORE_URL_FILE,
    OrganizationSpec,
    SecretKey,
    Storage,
)
from claude_operator.core import names
from claude_operator.core.render.network import egress
from claude_operator.core.render.parts import (
    Object,
    Site,
    add_volume,
    address_args,
    child,
    pod_spec,
    probe,
    requirements,
)
from claude_operator.core.spec.site_options import HOST_OPTION

__all__ = ["history_claim", "history_objects", "history_secret"]

_RESOURCES = {"requests": {"cpu": "10m", "memory": "96Mi"}, "limits": {"memory": "384Mi"}}
_GRACE = 30  # seconds in which what is being written is finished
_DATABASE = "usage.db"


def history_objects(owner: Mapping[str, Any], spec: OrganizationSpec, site: Site, namespace: str) -> list[Object]:
    """All that the ClaudeOrganization owns and that is applied: `<name>-organization`, in the operator's namespace."""
    placed = _placed(owner, namespace)
    account = _child(placed, "ServiceAccount", "v1") | {"automountServiceAccountToken": False}
    return [account, _service(placed), *_policy(placed, site), _deployment(placed, spec, site)]


def history_claim(owner: Mapping[str, Any], spec: OrganizationSpec, namespace: str) -> Object | None:
    """The volume; None where the history is in PostgreSQL. Nobody owns it: it outlives the ClaudeOrganization."""
    if spec.history.postgres_url_secret_ref is not None:
        return None
    storage = spec.history.storage or Storage()
    claim = _child(_placed(owner, namespace), "PersistentVolumeClaim", "v1")
    del claim["metadata"]["ownerReferences"]
    wanted: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": storage.size}},
    }
    if storage.storage_class_name is not None:
        wanted["storageClassName"] = storage.storage_class_name
    return claim | {"spec": wanted}


def history_secret(owner: Mapping[str, Any], key: str, namespace: str) -> Object:
    """With the key by which the operator and the history know each other."""
    data = {PAGE_KEY: b64encode(key.encode()).decode()}
    return _child(_placed(owner, namespace), "Secret", "v1") | {"type": "Opaque", "data": data}


def _placed(owner: Mapping[str, Any], namespace: str) -> Mapping[str, Any]:
    """The owner, which has no namespace, as the owner of objects in this one."""
    return {**owner, "metadata": {**owner["metadata"], "namespace": namespace}}


def _child(owner: Mapping[str, Any], kind: str, api_version: str) -> Object:
    name = owner["metadata"]["name"]
    return child(owner, kind, api_version, names.organization_name(name), names.organization_labels(name))


def _service(owner: Mapping[str, Any]) -> Object:
    ports = [{"name": "admin", "port": HISTORY_PORT, "targetPort": "admin"}]
    selector = names.organization_selector(owner["metadata"]["name"])
    return _child(owner, "Service", "v1") | {"spec": {"selector": selector, "ports": ports}}


def _policy(owner: Mapping[str, Any], site: Site) -> list[Object]:
    """Who reaches the admin port of gateways reaches this one too."""
    if site.network is None:
        return []
    spec = {
        "podSelector": {"matchLabels": names.organization_selector(owner["metadata"]["name"])},
        "policyTypes": ["Ingress", "Egress"],
        "egress": egress(site.network, site.allowed_addresses),
        "ingress": [
            {"ports": [{"protocol": "TCP", "port": HISTORY_PORT}], "from": list(map(dict, site.network.admin_from))}
        ],
    }
    return [_child(owner, "NetworkPolicy", "networking.k8s.io/v1") | {"spec": spec}]


def _deployment(owner: Mapping[str, Any], spec: OrganizationSpec, site: Site) -> Object:
    """One pod, and none beside it while it is replaced: the file has one writer, and each pod would poll."""
    name = owner["metadata"]["name"]
    pod = pod_spec(site, names.organization_name(name), _container(spec, site))
    pod |= {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": _GRACE}
    url = spec.history.postgres_url_secret_ref
    _add_secret(pod, "admin", ADMIN_KEY_FILE, spec.admin_key_secret_ref)
    _add_secret(pod, "page", PAGE_KEY_FILE, SecretKey(name=names.organization_name(name), key=PAGE_KEY))
    if url is not None:
        _add_secret(pod, "store", STORE_URL_FILE, url)
    else:
        claim = {"claimName": names.organization_name(name)}
        pod["volumes"].append({"name": "history", "persistentVolumeClaim": claim})
        pod["containers"][0]["volumeMounts"].append({"name": "history", "mountPath": HISTORY_DIR})
    return _child(owner, "Deployment", "apps/v1") | {
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": names.organization_selector(name)},
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": names.organization_labels(name)}, "spec": pod},
        }
    }


def _add_secret(pod: Object, name: str, path: str, ref: SecretKey) -> None:
    file = PurePosixPath(path)
    items = [{"key": ref.key, "path": file.name}]
    add_volume(pod, name, str(file.parent), secret={"secretName": ref.name, "items": items})


def _container(spec: OrganizationSpec, site: Site) -> Object:
    inside = spec.history.postgres_url_secret_ref is None
    store = f"--store={HISTORY_DIR}/{_DATABASE}" if inside else f"--store-url-file={STORE_URL_FILE}"
    return {
        "name": "history",
        "args": [
            "organisation",
            "serve",
            f"--base-url={spec.base_url}",
            f"--key-file={ADMIN_KEY_FILE}",
            store,
            f"--reader-key-file={PAGE_KEY_FILE}",
            "--host=0.0.0.0",
            f"--port={HISTORY_PORT}",
            *([f"--poll-seconds={seconds(spec.poll_interval):g}"] if spec.poll_interval else []),
            "--log-format=json",
            *address_args(site),
            *(f"{HOST_OPTION}={host}" for host in site.allowed_hosts),
        ],
        "ports": [{"name": "admin", "containerPort": HISTORY_PORT}],
        "startupProbe": probe("/-/live", period=1, timeout=2, failures=60),
        "readinessProbe": probe("/-/ready", period=5, timeout=2, failures=3),
        "livenessProbe": probe("/-/live", period=10, timeout=5, failures=3),
        "resources": requirements(_RESOURCES),
    }
