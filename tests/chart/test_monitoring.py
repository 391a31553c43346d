"""Monitors, rules and dashboards as helm renders them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from tests.chart.conftest import CHART, Objects

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.core import names, render

pytestmark = pytest.mark.slow  # each runs helm

Helm = Callable[..., subprocess.CompletedProcess[str]]
Template = Callable[..., Objects]
KINDS = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
ON = "monitoring: {podMonitor: {enabled: true}, rules: {enabled: true}, dashboards: {enabled: true}}"
FILE = yaml.safe_load((CHART / "rules/claude-operator.yaml").read_text())["groups"]


def found(objects: Objects, kind: str, part: str = "") -> Objects:
    return [item for item in objects if item["kind"] == kind and part in item["metadata"]["name"]]


def test_nothing_is_made_unasked(template: Template) -> None:
    objects = template()
    assert not [item for item in objects if item["kind"] in KINDS]
    assert not found(objects, "ConfigMap", "dashboard")


def test_the_rules_are_the_files(template: Template) -> None:
    [rule] = found(template(ON), "PrometheusRule")
    assert rule["spec"]["groups"] == FILE
    values = (
        "monitoring: {rules: {enabled: true, labels: {release: stack}, alertLabels: {team: platform},"
        " disabled: [ClaudeGraderBehind], runbookPrefix: 'https://git.example.com/docs/'}}"
    )
    [rule] = found(template(values), "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "stack"
    rendered = {one["alert"]: one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one}
    wanted = {one["alert"]: one for group in FILE for one in group["rules"] if "alert" in one}
    assert wanted.keys() - rendered.keys() == {"ClaudeGraderBehind"}
    for name, one in rendered.items():
        assert one["labels"] == {**wanted[name]["labels"], "team": "platform"}
        assert one["annotations"]["runbook_url"] == f"https://git.example.com/docs/docs/runbooks.md#{name.lower()}"
        assert one["expr"] == wanted[name]["expr"]


def test_an_alert_that_does_not_exist_is_refused(helm: Helm) -> None:
    values = "monitoring: {rules: {enabled: true, disabled: [ClaudeGrader]}}"
    done = helm("template", "claude-operator", str(CHART), "--kube-version", "1.34.0", values=values)
    assert done.returncode != 0
    assert "'ClaudeGrader' is not an alert of this chart; write one of ClaudeNotServing, " in done.stderr


def test_the_dashboards_are_the_files(template: Template) -> None:
    values = (
        "monitoring: {dashboards: {enabled: true, namespace: grafana, labels: {grafana_dashboard: '1', a: b},"
        " annotations: {c: d}, folder: Apps}}"
    )
    files = {path.name: json.loads(path.read_text()) for path in (CHART / "dashboards").glob("*.json")}
    for given, space, folder in ((ON, "claude-system", "Claude"), (values, "grafana", "Apps")):
        maps = found(template(given), "ConfigMap", "dashboard")
        assert {key: json.loads(text) for item in maps for key, text in item["data"].items()} == files
        for item in maps:
            assert item["metadata"]["namespace"] == space
            assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
            assert item["metadata"]["annotations"]["grafana_folder"] == folder
    plain = template("monitoring: {dashboards: {enabled: true, folder: ''}}")
    assert not any(item["metadata"].get("annotations") for item in found(plain, "ConfigMap", "dashboard"))
    bare = found(template("monitoring: {dashboards: {enabled: true, labels: {grafana_dashboard: null}}}"), "ConfigMap")
    shown = [item["metadata"]["labels"] for item in bare if "dashboard" in item["metadata"]["name"]]
    assert shown and not any("grafana_dashboard" in labels for labels in shown)


def selects(monitor: dict[str, Any], labels: dict[str, str]) -> bool:
    selector = monitor["spec"]["selector"]
    assert {one["operator"] for one in selector["matchExpressions"]} == {"In"}
    return selector["matchLabels"].items() <= labels.items() and all(
        one["key"] in labels and labels[one["key"]] in one.get("values", [labels[one["key"]]])
        for one in selector["matchExpressions"]
    )


def test_the_pod_monitor_chooses_gateways_and_graders(template: Template) -> None:
    [monitor] = found(template(ON), "PodMonitor")
    assert monitor["spec"]["namespaceSelector"] == {"any": True}
    [narrow] = found(template(f"{{watchNamespaces: [a, b], {ON}}}"), "PodMonitor")
    assert narrow["spec"]["namespaceSelector"] == {"matchNames": ["a", "b", "claude-system"]}
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    request = {"model": "claude-opus-5-5", "max_tokens": 10}
    upstream = {"apiKeySecretRef": {"name": "a", "key": "b"}}
    spec = DeploymentSpec.model_validate({"request": request, "upstream": upstream})
    kind = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeDeployment"}
    owner = kind | {"metadata": {"name": "support", "namespace": "shop", "uid": "u"}}
    [gateway] = found(render.gateway_objects(owner, spec, render.Site("image", "Always")), "Deployment")
    pod = gateway["spec"]["template"]
    assert selects(monitor, pod["metadata"]["labels"])
    assert endpoint["port"] in [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
    assert selects(monitor, names.labels("support", "grader"))
    assert selects(monitor, names.organization_labels("main"))
    [relabeling] = endpoint["relabelings"]
    assert relabeling["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_instance"]
    assert pod["metadata"]["labels"][names.LABEL_INSTANCE] == "support"
    assert not selects(monitor, names.labels("support", "eval"))
    for item in found(template(), "Deployment"):
        assert not selects(monitor, item["spec"]["template"]["metadata"]["labels"])


def test_an_upgrade_that_reuses_the_values_of_an_earlier_version_is_rendered(template: Template) -> None:
    """`helm upgrade --reuse-values` brings no defaults of values that are new."""
    assert template("monitoring: null")
