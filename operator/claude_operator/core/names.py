"""Names, labels and owner references of everything the operator makes: functions of the owner, so nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Literal

from claude_operator.api.base import GROUP

__all__ = [
    "FIELD_MANAGER",
    "LABEL_COMPONENT",
    "LABEL_DEPLOYMENT",
    "LABEL_INSTANCE",
    "LABEL_MANAGED_BY",
    "LABEL_NAME",
    "NAME_MAX",
    "SCALE_MANAGER",
    "cancel_job_name",
    "client_secret",
    "eval_account",
    "eval_run_name",
    "failed_samples",
    "gateway_name",
    "gateway_pods",
    "gateway_url",
    "grader_name",
    "grader_secret",
    "is_controlled_by",
    "job_name",
    "labels",
    "organization_labels",
    "organization_name",
    "organization_selector",
    "owner_reference",
    "report_name",
    "revision_name",
    "selector",
    "usage_name",
]

FIELD_MANAGER = "claude-operator"
SCALE_MANAGER = "claude-operator-replicas"
"""Keeps the number of gateway pods that the spec leaves open, until somebody else scales."""

LABEL_DEPLOYMENT = f"{GROUP}/deployment"
LABEL_NAME = "app.kubernetes.io/name"
LABEL_INSTANCE = "app.kubernetes.io/instance"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_COMPONENT = "app.kubernetes.io/component"

NAME_MAX = 63  # a Job's name becomes a label value on its pods
_HASH = 8

Component = Literal["gateway", "eval", "grader", "ledger", "usage"]


def gateway_name(name: str) -> str:
    """Name of everything around the gateway of the ClaudeDeployment `name`."""
    return f"{name}-gateway"


def client_secret(name: str) -> str:
    """Name of the Secret that applications read their base URL and key from."""
    return f"{name}-client"


def gateway_pods(name: str) -> str:
    """Name of the Service by which the grader finds the pods of the gateway."""
    return f"{name}-gateway-pods"


def grader_name(name: str) -> str:
    """Name of everything around the grader of live answers."""
    return f"{name}-grader"


def grader_secret(name: str) -> str:
    """Name of the Secret with the key of programs that report grades."""
    return grader_name(name)


def failed_samples(name: str) -> str:
    """Name of the Secret that the grader writes: what it has spent, and the failed samples that it keeps."""
    return f"{name}-failed-samples"


def organization_name(name: str) -> str:
    """Name of everything around the history of the ClaudeOrganization `name`, in the operator's namespace."""
    return f"{name}-organization"


def usage_name(name: str) -> str:
    """Name of the ConfigMap with what was used and paid."""
    return f"{name}-usage"


def eval_account(name: str) -> str:
    """Name of the ServiceAccount, Role and RoleBinding of eval Jobs."""
    return f"{name}-eval"


def revision_name(name: str, digest10: str) -> str:
    """Name of a revision: `digest10` is the first ten hex digits of its content's sha256."""
    return f"{name}-{digest10}"


def eval_run_name(revision: str, set_hash: str) -> str:
    """Name of the run of a set, known by its sha256 in hex, on a revision."""
    return f"{revision}-{set_hash[:_HASH]}"


def report_name(run: str) -> str:
    """Name of the ConfigMap with the report of a run."""
    return f"{run}-report"


def job_name(run: str, attempt: int) -> str:
    """Name of a run's Job, at most 63 characters: a longer run name is cut and gets a hash."""
    return _job_name(run, f"-{attempt}")


def cancel_job_name(run: str, uid: str) -> str:
    """Name of the Job that cancels the Message Batches of the run that had this UID."""
    return _job_name(run, f"-cancel-{uid[:_HASH]}")


def _job_name(run: str, suffix: str) -> str:
    room = NAME_MAX - len(suffix)
    # A run's name may hold dots, a Job's pods must not: their name is a host name.
    plain = run.replace(".", "-")
    if plain == run and len(run) <= room:
        return run + suffix
    digest = sha256(run.encode()).hexdigest()[:_HASH]
    return f"{plain[: room - _HASH - 1].rstrip('-')}-{digest}{suffix}"


def gateway_url(name: str, namespace: str, *, tls: bool = False) -> str:
    """Base URL for any Anthropic SDK inside the cluster."""
    return f"{'https' if tls else 'http'}://{gateway_name(name)}.{namespace}.svc"


def selector(name: str, component: Component) -> dict[str, str]:
    """What tells one deployment's pods from all others; immutable in a Deployment."""
    return {LABEL_NAME: f"claude-{component}", LABEL_INSTANCE: name}


def labels(name: str, component: Component) -> dict[str, str]:
    """Labels of every object made for the ClaudeDeployment `name`."""
    return selector(name, component) | {
        LABEL_MANAGED_BY: FIELD_MANAGER,
        LABEL_COMPONENT: component,
        LABEL_DEPLOYMENT: name,
    }


def organization_selector(name: str) -> dict[str, str]:
    """What tells the pod of a ClaudeOrganization's history from all others."""
    return {LABEL_NAME: "claude-organization", LABEL_INSTANCE: name}


def organization_labels(name: str) -> dict[str, str]:
    """Labels of every object made for the ClaudeOrganization `name`; no ClaudeDeployment has them."""
    return organization_selector(name) | {LABEL_MANAGED_BY: FIELD_MANAGER, LABEL_COMPONENT: "organization"}


def owner_reference(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The reference by which a child says that `obj`, as the API server stores it, controls it."""
    metadata = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_controlled_by(obj: Mapping[str, Any], uid: str) -> bool:
    """Whether the owner with this UID controls `obj`."""
    references = obj.get("metadata", {}).get("ownerReferences") or []
    return any(reference.get("controller") and reference.get("uid") == uid for reference in references)
