"""The gateway of a ClaudeDeployment: its pods, their Service, what they may read, and what they are told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from claude_operator.api.base import GROUP, seconds
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.gateway import (
    ADMIN_PORT,
    CLIENT_DIR,
    CLIENT_KEY,
    CLIENT_URL,
    CONFIG_DIR,
    CONFIG_KEY,
    DRILL_KEY,
    DRILL_SIGNATURE_KEY,
    EGRESS_KEY,
    EGRESS_SIGNATURE_KEY,
    GRADER_KEY,
    MEMORY,
    MIB,
    OPERATOR_DIR,
    OPERATOR_KEY,
    PRICES_KEY,
    PRICES_SIGNATURE_KEY,
    SERVICE_PORT,
    SIGNATURE_KEY,
    THROTTLE_KEY,
    THROTTLE_SIGNATURE_KEY,
    TLS_CERTIFICATE,
    TLS_DIR,
    TLS_KEY,
    GatewayConfig,
    dump_config,
    dump_drill,
    dump_egress,
    dump_prices,
    dump_throttle,
)
from claude_operator.core import names
from claude_operator.core.operator_key import sign_config, sign_drill, sign_egress, sign_prices, sign_throttle
from claude_operator.core.render.network import gateway_policy
from claude_operator.core.render.parts import (
    Object,
    Site,
    access,
    add_credentials,
    add_volume,
    address_args,
    child,
    pod_spec,
    probe,
    requirements,
)
from claude_operator.core.spec.quantity import quantity
from claude_operator.core.spec.site_options import EGRESS_OPTION, FORWARD_OPTION

__all__ = [
    "client_secret",
    "client_url",
    "config_map",
    "gateway_objects",
    "gateway_secret",
    "grader_secret",
    "has_operator_key",
    "reads_budgets",
    "reads_egress",
    "reads_grader_secret",
]

ANNOTATION_READS = f"{GROUP}/gateway-reads"
"""Of the pods' template: what they read in their config that earlier versions refuse."""
_GRACE = 30  # seconds beyond the longest response, for the drain to end by itself
_ROUTED = 2  # seconds after which kube-proxy sends a ready pod its connections: it gathers changes for a second
_KEYS = "operator"  # the volume with what the operator and graders show
_READS = "budgets"
_RESOURCES = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": f"{MEMORY // MIB}Mi"}}


def gateway_objects(owner: Mapping[str, Any], spec: DeploymentSpec, site: Site) -> list[Object]:
    """Everything `<name>-gateway` but the ConfigMap, in the order in which it is applied.

    `owner` is the ClaudeDeployment as the API server stores it. The pods read their config from the API, so nothing
    in their template follows the config: it changes without a restart.
    """
    name = owner["metadata"]["name"]
    gateway, graded = names.gateway_name(name), spec.evals is not None and spec.evals.live is not None
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [gateway]}
    return [
        *access(owner, gateway, names.labels(name, "gateway"), [rule | {"verbs": ["get", "list", "watch"]}]),
        _service(owner, spec),
        _deployment(owner, spec, site),
        _disruption_budget(owner),
        *([gateway_policy(owner, site.network, site.allowed_addresses, graded=graded)] if site.network else []),
    ]


def config_map(owner: Mapping[str, Any], config: GatewayConfig, operator_key: bytes) -> Object:
    """The ConfigMap `<name>-gateway` that the pods watch, signed; it holds no secret value."""
    data = {
        CONFIG_KEY: dump_config(config),
        EGRESS_KEY: dump_egress(config),
        PRICES_KEY: dump_prices(config),
        THROTTLE_KEY: dump_throttle(config),
        **({DRILL_KEY: dump_drill(config)} if config.drill else {}),
    }
    signatures = {
        SIGNATURE_KEY: sign_config(operator_key, data),
        EGRESS_SIGNATURE_KEY: sign_egress(operator_key, data),
        PRICES_SIGNATURE_KEY: sign_prices(operator_key, data),
        THROTTLE_SIGNATURE_KEY: sign_throttle(operator_key, data),
        **({DRILL_SIGNATURE_KEY: sign_drill(operator_key, data)} if config.drill else {}),
    }
    return _child(owner, "ConfigMap", "v1") | {"data": data | signatures}


def client_secret(owner: Mapping[str, Any], key: str) -> Object:
    """The Secret `<name>-client` for applications' `envFrom`. To be created once and never applied over."""
    metadata = owner["metadata"]
    name = names.client_secret(metadata["name"])
    url = client_url(owner)
    secret = child(owner, "Secret", "v1", name, names.labels(metadata["name"], "gateway"))
    return secret | {"type": "Opaque", "stringData": {CLIENT_URL: url, CLIENT_KEY: key}}


def client_url(owner: Mapping[str, Any], *, other: bool = False) -> str:
    """The base URL of applications, by `spec.gateway.tls` as it is stored; `other`: what it was before that changed."""
    metadata, tls = owner["metadata"], bool(((owner.get("spec") or {}).get("gateway") or {}).get("tls"))
    return names.gateway_url(metadata["name"], metadata["namespace"], tls=tls != other)


def gateway_secret(owner: Mapping[str, Any], key: str) -> Object:
    """The Secret `<name>-gateway`: what the pods share with the operator."""
    return _child(owner, "Secret", "v1") | {"type": "Opaque", "stringData": {OPERATOR_KEY: key}}


def grader_secret(owner: Mapping[str, Any], key: str) -> Object:
    """The Secret `<name>-grader`: what the pods share with those who grade answers, who get to read nothing else."""
    name = owner["metadata"]["name"]
    secret = child(owner, "Secret", "v1", names.grader_secret(name), names.labels(name, "gateway"))
    return secret | {"type": "Opaque", "stringData": {GRADER_KEY: key}}


def has_operator_key(template: Mapping[str, Any]) -> bool:
    """Whether pods of this template have the operator's key: those of earlier versions have not."""
    containers = (template.get("spec") or {}).get("containers") or ()
    mounts = [mount for container in containers for mount in container.get("volumeMounts") or ()]
    return any(mount.get("mountPath") == OPERATOR_DIR for mount in mounts)


def reads_grader_secret(template: Mapping[str, Any]) -> bool:
    """Whether pods of this template read the graders' key from its own Secret: earlier ones read it elsewhere."""
    volumes = (template.get("spec") or {}).get("volumes") or ()
    return any(one.get("name") == _KEYS and one.get("projected") for one in volumes)


def reads_budgets(template: Mapping[str, Any]) -> bool:
    """Whether pods of this template read budgets in their config: those of earlier versions refuse it."""
    return (template.get("metadata", {}).get("annotations") or {}).get(ANNOTATION_READS) == _READS


def reads_egress(template: Mapping[str, Any]) -> bool:
    """Whether pods of this template keep to the egress in their ConfigMap: those of earlier versions do not."""
    containers = (template.get("spec") or {}).get("containers") or ()
    return any(EGRESS_OPTION in (container.get("args") or ()) for container in containers)


def _child(owner: Mapping[str, Any], kind: str, api_version: str) -> Object:
    name = owner["metadata"]["name"]
    return child(owner, kind, api_version, names.gateway_name(name), names.labels(name, "gateway"))


def _selector(owner: Mapping[str, Any]) -> Object:
    return {"matchLabels": names.selector(owner["metadata"]["name"], "gateway")}


def _service(owner: Mapping[str, Any], spec: DeploymentSpec) -> Object:
    """Port 80 for clients, 443 with TLS. The admin port is not in it.

    It finds the pods' port by name: pods of before a change of TLS get no connections that they cannot read.
    """
    name = _port_name(spec)
    ports = [{"name": name, "port": 443 if spec.gateway.tls else 80, "targetPort": name}]
    selector = names.selector(owner["metadata"]["name"], "gateway")
    return _child(owner, "Service", "v1") | {"spec": {"selector": selector, "ports": ports}}


def _port_name(spec: DeploymentSpec) -> str:
    return "https" if spec.gateway.tls else "http"


def _disruption_budget(owner: Mapping[str, Any]) -> Object:
    budget = _child(owner, "PodDisruptionBudget", "policy/v1")
    return budget | {"spec": {"maxUnavailable": 1, "selector": _selector(owner)}}


def _deployment(owner: Mapping[str, Any], spec: DeploymentSpec, site: Site) -> Object:
    """One pod more for the time of a rollout, never one less. Without `spec.gateway.replicas` others scale it."""
    replicas = {} if spec.gateway.replicas is None else {"replicas": spec.gateway.replicas}
    return _child(owner, "Deployment", "apps/v1") | {
        "spec": {
            **replicas,
            "minReadySeconds": _ROUTED,
            "selector": _selector(owner),
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {
                    "labels": names.labels(owner["metadata"]["name"], "gateway"),
                    "annotations": {ANNOTATION_READS: _READS},
                },
                "spec": _pod(owner, spec, site),
            },
        }
    }


def _pod(owner: Mapping[str, Any], spec: DeploymentSpec, site: Site) -> Object:
    name = owner["metadata"]["name"]
    gateway = names.gateway_name(name)
    drain = math.ceil(seconds(spec.upstream.timeouts.total))
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": _selector(owner),
    }
    pod = pod_spec(
        site,
        gateway,
        _container(gateway, drain, spec, site),
        terminationGracePeriodSeconds=drain + _GRACE,
        topologySpreadConstraints=[spread],
    )
    # Only read until the first answer of the API server, so that a pod also starts while that is away.
    add_volume(pod, "config", CONFIG_DIR, configMap={"name": gateway, "optional": True})
    # Without the first a pod could neither know whose config it reads nor prove whose counts it shows. Without the
    # second it serves clients, and refuses grades.
    keys = [_key_file(gateway, OPERATOR_KEY), _key_file(names.grader_secret(name), GRADER_KEY, optional=True)]
    add_volume(pod, _KEYS, OPERATOR_DIR, projected={"sources": keys})
    add_credentials(pod, _upstream_key(spec), spec.env or [])
    if spec.gateway.auth.type == "ApiKey":
        # Not optional either: without it every client would be refused by a pod that calls itself ready.
        add_volume(pod, "client", CLIENT_DIR, secret={"secretName": names.client_secret(name)})
    if spec.gateway.tls is not None:
        items = [{"key": key, "path": key} for key in (TLS_CERTIFICATE, TLS_KEY)]
        add_volume(pod, "tls", TLS_DIR, secret={"secretName": spec.gateway.tls.secret_name, "items": items})
    return pod


def _key_file(secret: str, key: str, **further: Any) -> Object:
    return {"secret": {"name": secret, "items": [{"key": key, "path": key}], **further}}


def _container(config: str, drain: int, spec: DeploymentSpec, site: Site) -> Object:
    """The container without what all containers have. `drain`: seconds for calls in flight."""
    resources = _RESOURCES if spec.gateway.resources is None else spec.gateway.resources
    return {
        "name": "gateway",
        "args": [
            "gateway",
            f"--configmap={config}",
            EGRESS_OPTION,
            "--log-format=json",
            f"--drain-seconds={drain}",
            f"--memory-bytes={_memory(resources)}",
            *([f"--tls-dir={TLS_DIR}"] if spec.gateway.tls else []),
            *address_args(site),
            *(f"{FORWARD_OPTION}={name}" for name in site.forwarded_headers),
        ],
        "ports": [
            {"name": _port_name(spec), "containerPort": SERVICE_PORT},
            {"name": "admin", "containerPort": ADMIN_PORT},
        ],
        # Python takes one to three seconds to start, longer on a busy node; until then the other probes wait.
        "startupProbe": probe("/-/live", period=1, timeout=2, failures=60),
        "readinessProbe": probe("/-/ready", period=2, timeout=2, failures=3),
        "livenessProbe": probe("/-/live", period=10, timeout=5, failures=3),
        "resources": requirements(resources),
    }


def _memory(resources: Mapping[str, Any]) -> int:
    """Bytes that the gateway's process may take: the limit, else what is requested, but no less than by default."""
    limit, requested = (quantity((resources.get(kind) or {}).get("memory")) for kind in ("limits", "requests"))
    if isinstance(limit, Decimal) and limit >= 1:
        return int(limit)
    return max(int(requested), MEMORY) if isinstance(requested, Decimal) else MEMORY


def _upstream_key(spec: DeploymentSpec) -> Object | None:
    """Where the Claude API key is; with Passthrough the clients bring their own."""
    reference = spec.upstream.api_key_secret_ref
    if reference is None or spec.gateway.auth.type == "Passthrough":
        return None
    return {"name": reference.name, "key": reference.key}
