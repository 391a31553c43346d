"""What rendered objects share: metadata, access to the API, and pods that pass the restricted Pod Security Standard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from claude_operator.api.deployment import EnvVar
from claude_operator.api.gateway import ENV_DIR, UPSTREAM_KEY_FILE
from claude_operator.core import names
from claude_operator.core.spec.site_options import ALLOWED_OPTION, DENIED_OPTION

__all__ = [
    "API_SERVER_PORTS",
    "NetworkRules",
    "Object",
    "Site",
    "access",
    "add_claim",
    "add_credentials",
    "add_volume",
    "address_args",
    "child",
    "pod_spec",
    "probe",
    "requirements",
]

Object = dict[str, Any]

_USER = 65532  # the image's user, and the group that may read mounted secrets
_SECRET_MODE = 0o440
_OWN_FACTS = {"HOST_IP": "status.hostIP", "HOST_IPS": "status.hostIPs", "POD_NAME": "metadata.name"}
"""Variables of each pod: the addresses of its node, which it does not connect to for a user, and its name."""
API_SERVER_PORTS = (443, 6443)
"""Those of its Service and of most API servers."""
_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """What the installer decides of NetworkPolicies."""

    admin_from: tuple[Mapping[str, Any], ...] = ({"namespaceSelector": {}},)
    """NetworkPolicyPeers that reach the admin port of gateways: Prometheus, graders, and always the operator."""
    api_server_ports: tuple[int, ...] = API_SERVER_PORTS
    """Ports that pods may call everywhere, since the API server is at one of them."""


@dataclass(frozen=True, slots=True)
class Site:
    """What the operator's own pod runs, and so what its children run."""

    image: str
    pull_policy: str
    allowed_addresses: tuple[str, ...] = ()
    """Networks that they connect to although the rules of `core.spec.networks` refuse them."""
    denied_addresses: tuple[str, ...] = ()
    """Networks that they do not connect to, beside those of the rules."""
    forwarded_headers: tuple[str, ...] = ()
    """Headers that gateways send upstream beside those of the API."""
    network: NetworkRules | None = None
    """Who may call whom; None for no NetworkPolicies."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts that get secret values, as `core.spec.hosts` has them; any where there are none."""


def child(owner: Mapping[str, Any], kind: str, api_version: str, name: str, labels: Mapping[str, str]) -> Object:
    """An object in the owner's namespace that the owner controls, with metadata alone."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": dict(labels),
            "ownerReferences": [names.owner_reference(owner)],
        },
    }


def access(
    owner: Mapping[str, Any], name: str, labels: Mapping[str, str], rules: Sequence[Mapping[str, Any]]
) -> list[Object]:
    """A ServiceAccount, and the Role that grants it `rules`: all three named `name`."""
    account = child(owner, "ServiceAccount", "v1", name, labels)
    role = child(owner, "Role", f"{_RBAC}/v1", name, labels)
    binding = child(owner, "RoleBinding", f"{_RBAC}/v1", name, labels)
    subject = {"kind": "ServiceAccount", "name": name, "namespace": owner["metadata"]["namespace"]}
    return [
        # Only our own pods ask for the token: who else runs as this account does so by mistake.
        account | {"automountServiceAccountToken": False},
        role | {"rules": [dict(rule) for rule in rules]},
        binding | {"roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name}, "subjects": [subject]},
    ]


def address_args(site: Site) -> list[str]:
    """The arguments that say where a pod may connect."""
    return [
        *(f"{ALLOWED_OPTION}={network}" for network in site.allowed_addresses),
        *(f"{DENIED_OPTION}={network}" for network in site.denied_addresses),
    ]


def pod_spec(site: Site, account: str, container: Mapping[str, Any], **further: Any) -> Object:
    """A pod's spec: one container, no root, nothing to write to but /tmp; `further` are fields of its own."""
    whole = {
        **container,
        "env": [_field(name, path) for name, path in _OWN_FACTS.items()],
        "image": site.image,
        "imagePullPolicy": site.pull_policy,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108  the pod's own
    }
    return {
        **further,
        "serviceAccountName": account,
        "automountServiceAccountToken": True,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [whole],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }


def _field(name: str, path: str) -> Object:
    """A variable with a field of the pod's own."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def probe(path: str, *, period: int, timeout: int, failures: int) -> Object:
    """A probe of a container's admin port; times in seconds."""
    get = {"path": path, "port": "admin"}
    return {"httpGet": get, "periodSeconds": period, "timeoutSeconds": timeout, "failureThreshold": failures}


def requirements(resources: Mapping[str, Any]) -> Object:
    """A container's `resources`, amounts as text: requests and limits where there are any."""
    return {kind: {of: str(amount) for of, amount in amounts.items()} for kind, amounts in resources.items() if amounts}


def add_volume(spec: Object, name: str, path: str, **source: Mapping[str, Any]) -> None:
    """Mount a volume read-only at `path`; `source` is its one source, as in `secret={...}`."""
    modes = {kind: {**value, "defaultMode": _SECRET_MODE} for kind, value in source.items()}
    spec["volumes"].append({"name": name, **modes})
    # A whole directory, never a subPath: those do not follow changes.
    spec["containers"][0]["volumeMounts"].append({"name": name, "mountPath": path, "readOnly": True})


def add_claim(spec: Object, name: str, path: str, claim: str) -> None:
    """Mount a PersistentVolumeClaim read-only: so the kubelet gives none of its files another group either."""
    spec["volumes"].append({"name": name, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
    spec["containers"][0]["volumeMounts"].append({"name": name, "mountPath": path, "readOnly": True})


def add_credentials(spec: Object, key: Mapping[str, Any] | None, env: Sequence[EnvVar]) -> None:
    """Mount the upstream key (`key`: name and key of its Secret) and a file for each $(NAME).

    None of them is optional: a pod without its key could only fail requests, so it waits for the Secret while the
    pods that it was to replace serve on. A Secret that goes later leaves running pods with the files they have.
    """
    if key is not None:
        file = PurePosixPath(UPSTREAM_KEY_FILE)
        items = [{"key": key["key"], "path": file.name}]
        add_volume(spec, "upstream", str(file.parent), secret={"secretName": key["name"], "items": items})
    if env:
        add_volume(spec, "env", ENV_DIR, projected={"sources": [_env_file(variable) for variable in env]})


def _env_file(variable: EnvVar) -> Object:
    reference = variable.value_from.secret_key_ref
    return {"secret": {"name": reference.name, "items": [{"key": reference.key, "path": variable.name}]}}
