"""The grader of live answers: one pod while a rollout is under way, what it may do, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.gateway import ADMIN_PORT, GRADER_KEY
from claude_operator.api.grading import GRADER_DIR, PLAN_DIR, PLAN_KEY, GradingPlan, dump_plan, plan_hash
from claude_operator.core import names
from claude_operator.core.render.network import grader_policy
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
from claude_operator.core.spec.site_options import HOST_OPTION

__all__ = ["grader_objects", "grader_store"]

_RESOURCES = {"requests": {"cpu": "20m", "memory": "96Mi"}, "limits": {"memory": "384Mi"}}
_GRACE = 30  # seconds in which verdicts that are on their way still arrive


def grader_objects(
    owner: Mapping[str, Any], spec: DeploymentSpec, site: Site, plan: GradingPlan | None, *, needed: bool
) -> list[Object]:
    """Everything `<name>-grader`, and the Service by which it finds the gateway's pods; nothing without a plan.

    `needed`: a rollout is under way. Between rollouts nothing is compared, and no pod holds the upstream's key.
    """
    if plan is None:
        return []
    name = owner["metadata"]["name"]
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [names.failed_samples(name)]}
    text = dump_plan(plan)
    config = _child(owner, "ConfigMap", "v1") | {"data": {PLAN_KEY: text}}
    return [
        *access(owner, names.grader_name(name), _labels(owner), [rule | {"verbs": ["get", "patch"]}]),
        _service(owner),
        config,
        *([grader_policy(owner, site.network, site.allowed_addresses)] if site.network else []),
        _deployment(owner, spec, site, plan_hash(text), needed=needed),
    ]


def grader_store(owner: Mapping[str, Any]) -> Object:
    """The empty Secret that the grader writes into.

    It does not have the labels of what the operator watches: what is in it is none of the operator's business.
    """
    name = owner["metadata"]["name"]
    labels = {names.LABEL_NAME: "claude-failed-samples", names.LABEL_INSTANCE: name}
    return child(owner, "Secret", "v1", names.failed_samples(name), labels)


def _labels(owner: Mapping[str, Any]) -> dict[str, str]:
    return names.labels(owner["metadata"]["name"], "grader")


def _child(owner: Mapping[str, Any], kind: str, api_version: str) -> Object:
    return child(owner, kind, api_version, names.grader_name(owner["metadata"]["name"]), _labels(owner))


def _service(owner: Mapping[str, Any]) -> Object:
    """Its name leads to the address of each gateway pod, also of one that is not ready: it may still have samples."""
    name = owner["metadata"]["name"]
    service = child(owner, "Service", "v1", names.gateway_pods(name), _labels(owner))
    ports = [{"name": "admin", "port": ADMIN_PORT, "targetPort": "admin"}]
    headless = {"clusterIP": "None", "publishNotReadyAddresses": True}
    return service | {"spec": {**headless, "selector": names.selector(name, "gateway"), "ports": ports}}


def _deployment(owner: Mapping[str, Any], spec: DeploymentSpec, site: Site, plan: str, *, needed: bool) -> Object:
    """A plan of another hash `plan` is a new pod, after the old one: each would grade, and pay, up to the limits."""
    name = owner["metadata"]["name"]
    pod = pod_spec(site, names.grader_name(name), _container(owner, site, plan), terminationGracePeriodSeconds=_GRACE)
    add_volume(pod, "plan", PLAN_DIR, configMap={"name": names.grader_name(name)})
    add_volume(pod, "grader", GRADER_DIR, secret={"secretName": names.grader_secret(name), "items": [_KEY]})
    reference = spec.upstream.api_key_secret_ref
    add_credentials(pod, {"name": reference.name, "key": reference.key} if reference else None, ())
    return _child(owner, "Deployment", "apps/v1") | {
        "spec": {
            "replicas": int(needed),
            "selector": {"matchLabels": names.selector(name, "grader")},
            "strategy": {"type": "Recreate"},
            "template": {"metadata": {"labels": _labels(owner)}, "spec": pod},
        }
    }


_KEY = {"key": GRADER_KEY, "path": GRADER_KEY}


def _container(owner: Mapping[str, Any], site: Site, plan: str) -> Object:
    metadata = owner["metadata"]
    return {
        "name": "grader",
        "args": [
            "grade",
            f"--plan-hash={plan}",
            f"--gateways={names.gateway_pods(metadata['name'])}.{metadata['namespace']}.svc:{ADMIN_PORT}",
            f"--secret={names.failed_samples(metadata['name'])}",
            f"--namespace={metadata['namespace']}",
            "--log-format=json",
            *address_args(site),
            *(f"{HOST_OPTION}={host}" for host in site.allowed_hosts),
        ],
        "ports": [{"name": "admin", "containerPort": ADMIN_PORT}],
        "startupProbe": probe("/-/live", period=1, timeout=2, failures=60),
        "readinessProbe": probe("/-/ready", period=5, timeout=2, failures=3),
        "livenessProbe": probe("/-/live", period=10, timeout=5, failures=3),
        "resources": requirements(_RESOURCES),
    }
