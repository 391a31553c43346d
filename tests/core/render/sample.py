"""A minimal and a full ClaudeDeployment, and all that is rendered for them."""

from __future__ import annotations

from typing import Any

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.gateway import Arm, Deployment, GatewayConfig
from claude_operator.api.grading import GradingPlan
from claude_operator.core import names, render

SITE = render.Site(
    image="registry.example.com/claude-operator:1.2.3", pull_policy="IfNotPresent", network=render.NetworkRules()
)
SET_HASH = "0123456789abcdef" * 4
Object = dict[str, Any]

MINIMAL: Object = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeDeployment",
    "metadata": {"name": "support", "namespace": "demo", "uid": "5d4c0a54-0000-4000-8000-000000000001"},
    "spec": {
        "request": {"model": "claude-opus-5-5", "max_tokens": 1024},
        "upstream": {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
    },
}
FULL: Object = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeDeployment",
    "metadata": {"name": "shop", "namespace": "demo", "uid": "5d4c0a54-0000-4000-8000-000000000002"},
    "spec": {
        "request": {"model": "claude-opus-5-5", "max_tokens": 1024},
        "upstream": {
            "baseURL": "https://claude.example.com",
            "apiKeySecretRef": {"name": "anthropic", "key": "production"},
            "timeouts": {"total": "1m30.5s"},
        },
        "env": [
            {"name": "DOCS_TOKEN", "valueFrom": {"secretKeyRef": {"name": "docs-mcp", "key": "token"}}},
            {"name": "CRM_TOKEN", "valueFrom": {"secretKeyRef": {"name": "crm", "key": "bearer"}}},
        ],
        "gateway": {
            "replicas": 5,
            "resources": {"requests": {"cpu": "0.5", "memory": "256Mi"}, "limits": {"cpu": 2}},
            "auth": {"type": "ApiKey"},
        },
        "evals": {
            "setRef": {"name": "shop-evals"},
            "live": {
                "rubric": ["It answers what was asked."],
                "graders": [{"name": "default", "model": "claude-haiku-5-5"}],
                "keepFailed": 20,
            },
        },
    },
}


def with_spec(owner: Object, **fields: Any) -> Object:
    """The deployment with some fields of its spec replaced."""
    return owner | {"spec": owner["spec"] | fields}


def spec_of(owner: Object) -> DeploymentSpec:
    return DeploymentSpec.model_validate(owner["spec"])


def gateway(owner: Object, site: render.Site = SITE) -> dict[str, Object]:
    """The gateway's objects by kind."""
    return {item["kind"]: item for item in render.gateway_objects(owner, spec_of(owner), site)}


def pod_of(workload: Object) -> Object:
    pod: Object = workload["spec"]["template"]["spec"]
    return pod


def everything(owner: Object) -> list[Object]:
    """All children, in the order of their making."""
    name, spec = owner["metadata"]["name"], spec_of(owner)
    revision = names.revision_name(name, "5f6d8c1a2b")
    config = GatewayConfig(
        generation=3,
        deployment=Deployment(name, "demo", owner["metadata"]["uid"]),
        arms=[Arm(revision, "stable", 10_000, {"model": "claude-opus-5-5"})],
    )
    objects = [
        render.config_map(owner, config, b"operator-key"),
        render.client_secret(owner, "key-of-clients"),
        render.gateway_secret(owner, "key-of-the-operator"),
        render.grader_secret(owner, "key-of-graders"),
        *render.gateway_objects(owner, spec, SITE),
        render.revision(owner, revision, {"request": owner["spec"]["request"], "subagents": None}),
        *render.eval_objects(
            owner,
            spec,
            SITE,
            set_config_maps=["shop-letters", "shop-questions"],
            run="shop-5f6d8c1a2b-7b9e21c3",
        ),
    ]
    if spec.evals is None or spec.evals.live is None:
        return objects
    plan = GradingPlan(
        Deployment(name, "demo", owner["metadata"]["uid"]),
        owner["spec"]["evals"]["live"],
        spec.upstream.base_url,
        arms={revision: ["claude-opus-5-5"]},
    )
    objects += render.grader_objects(owner, spec, SITE, plan, needed=True)
    run = render.eval_run(
        owner, revision, "shop-7b9e21c3d4", spec.evals.set_ref.name, SET_HASH, owner["spec"]["upstream"]
    )
    return [*objects, run, job(run, spec)]


def job(run: Object, spec: DeploymentSpec, site: render.Site = SITE, **more: Any) -> Object:
    """The first Job of a run, as if it had been stored."""
    stored = run | {"metadata": run["metadata"] | {"uid": "5d4c0a54-0000-4000-8000-00000000000f"}}
    account = names.eval_account(run["spec"]["deployment"])
    return render.eval_job(stored, attempt=1, site=site, account=account, env=spec.env or [], **more)
