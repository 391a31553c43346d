"""Eval runs: the account that their Jobs use, the run itself, and the Job that asks and grades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from claude_operator.api.base import API_VERSION, GROUP
from claude_operator.api.deployment import DeploymentSpec, EnvVar, Upstream
from claude_operator.api.gateway import VOLUME_DIR
from claude_operator.api.prices import TokenPrices
from claude_operator.core import names
from claude_operator.core.evals.kept import slot_names
from claude_operator.core.evals.runs import BATCH_EXIT, EXIT_CODES
from claude_operator.core.render.network import eval_policy
from claude_operator.core.render.parts import (
    Object,
    Site,
    access,
    add_claim,
    add_credentials,
    address_args,
    child,
    pod_spec,
    requirements,
)
from claude_operator.core.spec.site_options import HOST_OPTION, PRICES_OPTION

__all__ = ["cancel_job", "eval_job", "eval_objects", "eval_run", "eval_stores"]

"""Exit codes of `claude-operator eval run` after which another pod would end the same way."""

NO_PRICES: Mapping[str, TokenPrices] = MappingProxyType({})
_DEADLINE = 4 * 3600  # seconds
_KEEP = 86400  # seconds that a finished Job and its log stay
_RETRIES = 2
_CANCEL_DEADLINE = 600  # seconds
_RESOURCES = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}


def eval_objects(
    owner: Mapping[str, Any],
    spec: DeploymentSpec,
    site: Site,
    *,
    set_config_maps: Sequence[str] = (),
    run: str | None = None,
) -> list[Object]:
    """Account, Role, RoleBinding and NetworkPolicy `<name>-eval`, none without `spec.evals`.

    `set_config_maps` are those that the set refers to; `run` is the name of the run that is asked for, if one is. Names
    of revisions and runs change with the content, so these two are granted by kind. What a Job writes beside the run's
    status is made by the operator, and granted by name: a right to create Secrets would be one to read any.
    """
    if spec.evals is None:
        return []
    name = owner["metadata"]["name"]
    rules = [
        _rule(GROUP, ["claudeevalsets"], ["get"], spec.evals.set_ref.name),
        _rule(GROUP, ["clauderevisions", "claudeevalruns"], ["get"]),
        _rule(GROUP, ["claudeevalruns/status"], ["patch"]),
    ]
    rules.append(_rule("", ["secrets"], ["get", "patch"], *slot_names(spec.evals.set_ref.name)))
    if run is not None:
        rules.append(_rule("", ["configmaps"], ["patch"], names.report_name(run)))
    if set_config_maps:
        rules.append(_rule("", ["configmaps"], ["get"], *set_config_maps))
    policies = [eval_policy(owner, site.network, site.allowed_addresses)] if site.network else []
    return [*access(owner, names.eval_account(name), names.labels(name, "eval"), rules), *policies]


def eval_stores(run: Mapping[str, Any], eval_set: Mapping[str, Any]) -> list[Object]:
    """The empty objects that a run's Job writes into: its report, and the Secrets with the set's answers.

    The Secrets do not have the labels of what the operator watches: it has no need to know what is in them.
    """
    deployment = run["spec"].get("deployment") or ""
    report = child(run, "ConfigMap", "v1", names.report_name(run["metadata"]["name"]), names.labels(deployment, "eval"))
    del report["metadata"]["labels"][names.LABEL_MANAGED_BY], report["metadata"]["labels"][names.LABEL_DEPLOYMENT]
    kept = ((eval_set.get("spec") or {}).get("execution") or {}).get("keepAnswers", True)
    labels = {names.LABEL_NAME: "claude-eval-answers", names.LABEL_INSTANCE: _label(eval_set["metadata"]["name"])}
    slots = slot_names(eval_set["metadata"]["name"]) if kept else ()
    secrets = [child(eval_set, "Secret", "v1", name, labels) for name in slots]
    for secret in secrets:  # the set is a user's: to block its deletion takes a right of its own
        secret["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = False
    return [report, *secrets]


def _label(name: str) -> str:
    """A name as the value of a label, which is shorter."""
    return name[:63].rstrip("-.")


def _rule(group: str, resources: list[str], verbs: list[str], *only: str) -> Object:
    rule: Object = {"apiGroups": [group], "resources": resources, "verbs": verbs}
    return rule | {"resourceNames": list(only)} if only else rule


def eval_run(
    owner: Mapping[str, Any],
    revision: str,
    baseline: str | None,
    set_name: str,
    set_hash: str,
    upstream_as_stored: Mapping[str, Any] | None,
) -> Object:
    """The ClaudeEvalRun of a set, with sha256 `set_hash` in hex, on a revision. Its spec never changes.

    `owner` is the ClaudeDeployment that it gates; `baseline` None where nothing serves yet.
    """
    name = owner["metadata"]["name"]
    upstream = {key: value for key, value in (upstream_as_stored or {}).items() if key != "apiKeyID"}
    mcp = ((owner.get("spec") or {}).get("evals") or {}).get("mcp")
    spec = {
        "deployment": name,
        "revision": revision,
        "baselineRevision": baseline,
        "setRef": set_name,
        "setHash": set_hash,
        "upstream": upstream or None,
        "mcp": mcp if mcp == "Off" else None,
        "attempt": 1,
    }
    run = child(
        owner, "ClaudeEvalRun", API_VERSION, names.eval_run_name(revision, set_hash), names.labels(name, "eval")
    )
    return run | {"spec": {field: value for field, value in spec.items() if value is not None}}


def eval_job(
    run: Mapping[str, Any],
    *,
    attempt: int,
    site: Site,
    account: str,
    env: Sequence[EnvVar],
    claim: str | None = None,
    prices: Mapping[str, TokenPrices] = NO_PRICES,
) -> Object:
    """The Job of a ClaudeEvalRun, `run` as the API server stores it, which owns it.

    `attempt` counts the Jobs of this run from 1; `account` is the ServiceAccount; `env` the deployment's; `claim` the
    PersistentVolumeClaim with the set's items; `prices` hold instead of the list's.
    """
    metadata = run["metadata"]
    job_labels = names.labels(run["spec"]["deployment"], "eval")
    job = child(run, "Job", "batch/v1", names.job_name(metadata["name"], attempt), job_labels)
    container = {
        "name": "eval",
        "args": [
            "eval",
            "run",
            f"--run={metadata['name']}",
            f"--run-uid={metadata['uid']}",
            f"--namespace={metadata['namespace']}",
            "--log-format=json",
            *address_args(site),
            *(f"{HOST_OPTION}={host}" for host in site.allowed_hosts),
            *([f"{PRICES_OPTION}={_json(prices)}"] if prices else []),
        ],
        "resources": requirements(_RESOURCES),
    }
    pod = pod_spec(site, account, container, restartPolicy="Never")
    add_credentials(pod, run["spec"].get("upstream", {}).get("apiKeySecretRef"), env)
    if claim is not None:
        add_claim(pod, "dataset", VOLUME_DIR, claim)
    template = {"metadata": {"labels": job_labels}, "spec": pod}
    return job | {
        "spec": {
            "backoffLimit": _RETRIES,
            "activeDeadlineSeconds": _DEADLINE,
            "ttlSecondsAfterFinished": _KEEP,
            "podFailurePolicy": {"rules": _failure_rules()},
            "template": template,
        }
    }


def cancel_job(run: Mapping[str, Any], batches: Sequence[str], *, site: Site) -> Object:
    """The Job that cancels the Message Batches of a run, `run` as it was stored before it was deleted.

    Nobody owns it, since the ClaudeDeployment may be gone as well: it goes by itself. It has no right in the cluster.
    """
    metadata, upstream = run["metadata"], run["spec"].get("upstream", {})
    labels = names.labels(run["spec"].get("deployment") or "", "eval")
    container = {
        "name": "cancel",
        "args": [
            "eval",
            "cancel",
            f"--base-url={upstream.get('baseURL') or Upstream().base_url}",
            "--log-format=json",
            *address_args(site),
            *(f"{HOST_OPTION}={host}" for host in site.allowed_hosts),
            "--",  # what a status says is no option
            *batches,
        ],
        "resources": requirements(_RESOURCES),
    }
    pod = pod_spec(site, "default", container, restartPolicy="Never") | {"automountServiceAccountToken": False}
    add_credentials(pod, upstream.get("apiKeySecretRef"), ())
    name = names.cancel_job_name(metadata["name"], metadata["uid"])
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": metadata["namespace"], "labels": labels},
        "spec": {
            "backoffLimit": _RETRIES,
            "activeDeadlineSeconds": _CANCEL_DEADLINE,
            "ttlSecondsAfterFinished": _CANCEL_DEADLINE,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _json(prices: Mapping[str, TokenPrices]) -> str:
    return msgspec.json.encode(prices, order="sorted").decode()


def _failure_rules() -> list[Object]:
    """What is final, or waits for a batch, is not tried again; a pod that had to leave its node counts for nothing."""
    codes = sorted([*(code for code in EXIT_CODES.values() if code), BATCH_EXIT])  # the API server wants them in order
    final = {"containerName": "eval", "operator": "In", "values": codes}
    disrupted = [{"type": "DisruptionTarget", "status": "True"}]
    return [{"action": "FailJob", "onExitCodes": final}, {"action": "Ignore", "onPodConditions": disrupted}]
