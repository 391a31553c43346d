"""The chart as helm renders it."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from tests.chart.conftest import CHART, Objects
from tests.netpol import Flow, Place, allowed

from claude_operator import __version__
from claude_operator.api.kinds import KINDS
from claude_operator.core.admission.table import POLICIES
from claude_operator.core.render import API_SERVER_PORTS, NetworkRules
from claude_operator.core.render.network import egress
from claude_operator.crds import cli
from claude_operator.simulator.scenario import parse

pytestmark = pytest.mark.slow  # each runs helm

Helm = Callable[..., subprocess.CompletedProcess[str]]
Template = Callable[..., Objects]
WHERE = ["claude-operator", str(CHART), "--kube-version", "1.34.0"]
PORTS = [f"--api-server-port={port}" for port in API_SERVER_PORTS]
SCENARIO = "rules: [{match: {model: claude-haiku-5-5}, errorRate: 0.3}]"
SIMULATOR = f"simulator: {{enabled: true, scenario: {{{SCENARIO}}}}}"


def one(objects: Objects, kind: str, name: str = "claude-operator") -> dict[str, Any]:
    found = [item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name]
    assert len(found) == 1, [(item["kind"], item["metadata"]["name"]) for item in objects]
    return found[0]


def leaves(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every value that the schema knows by name, with its schema."""
    for name, field in schema["properties"].items():
        if field.get("additionalProperties") is False and "requests" not in field["properties"]:
            yield from leaves(values.get(name, {}), field, f"{path}{name}.")
        else:
            yield f"{path}{name}", field


def test_lint(helm: Helm) -> None:
    done = helm("lint", "--strict", str(CHART), "--kube-version", "1.34.0", values=SIMULATOR)
    assert done.returncode == 0, done.stdout + done.stderr


def test_chart_and_program_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_values_schema_and_readme_agree() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    readme = dict(re.findall(r"^\| `([\w.]+)` \| `(.*)` \| .+ \|$", (CHART / "README.md").read_text(), re.MULTILINE))
    known = {path: field for path, field in leaves(values, schema) if path != "global"}
    assert list(known) == list(readme)
    for path, default in readme.items():
        value: Any = values
        for name in path.split("."):
            value = value[name]
        assert yaml.safe_load(default) == value, path
        assert known[path]["description"][-1] == ".", path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("replicas: two", "got string, want integer"),
        ("replica: 1", "additional properties 'replica' not allowed"),
        ("image: {pullPolicy: Sometimes}", "must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("image: {digest: abc}", "does not match pattern"),
        ("image: {repository: ''}", "minLength"),
        ("resources: {limit: {cpu: 1}}", "additional properties 'limit' not allowed"),
        ("simulator: {scenario: [1]}", "got array, want"),
        ("crds: {install: 'no'}", "got string, want boolean"),
        ("podLabels: {a: 1}", "got number, want string"),
        ("prometheus: {address: 'prometheus:9090'}", "does not match pattern"),
        ("prometheus: {address: 'http://me:pw@prometheus:9090'}", "does not match pattern"),
        ("security: {allowedHosts: ['https://api.anthropic.com']}", "does not match pattern"),
        ("security: {secretOptIn: true}", "additional properties 'secretOptIn' not allowed"),
        ("security: {maxSpecValues: -1}", "minimum"),
        ("admission: {enabled: maybe}", "boolean"),
        ("watchNamespaces: [Support]", "does not match pattern"),
        ("networkPolicy: {adminFrom: [{}]}", "minProperties"),
        ("networkPolicy: {apiServerPorts: []}", "minItems"),
        ("networkPolicy: {apiServerPorts: [65536]}", "maximum"),
        ("security: {allowedAddresses: [10.0.0.1]}", "does not match pattern"),
    ],
)
def test_wrong_values_are_refused(helm: Helm, values: str, message: str) -> None:
    done = helm("template", *WHERE, values=values)
    assert done.returncode != 0
    assert message in done.stderr


def test_pods_are_confined(template: Template) -> None:
    workloads = [item for item in template(SIMULATOR) if item["kind"] == "Deployment"]
    assert len(workloads) == 2
    for item in workloads:
        pod = item["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"requests", "limits"} <= container["resources"].keys()
            assert "readinessProbe" in container
    assert (
        one(workloads, "Deployment", "claude-simulator")["spec"]["template"]["spec"]["automountServiceAccountToken"]
        is False
    )


def test_operator_knows_its_own_image(template: Template) -> None:
    digest = "sha256:" + "0" * 64
    for values, image in (
        ("{}", f"claude-operator:{__version__}"),
        ("image: {repository: r/c, tag: t}", "r/c:t"),
        (f"image: {{repository: r/c, tag: t, digest: '{digest}'}}", f"r/c@{digest}"),
    ):
        pod = one(template(values), "Deployment")["spec"]["template"]["spec"]
        container = pod["containers"][0]
        env = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert container["image"] == env["OPERATOR_IMAGE"] == image
        assert {"POD_NAME", "POD_NAMESPACE", "IMAGE_PULL_POLICY"} <= env.keys()
        assert container["args"] == [
            "operator",
            "--lease=claude-operator",
            "--network-policies",
            *PORTS,
            "--signatures-held",
        ]


def test_operator_knows_where_prometheus_is(template: Template) -> None:
    flag = "--prometheus-address=http://prometheus.monitoring:9090"
    for values, expected in (("", []), ("prometheus: {address: 'http://prometheus.monitoring:9090'}", [flag])):
        [container] = one(template(values), "Deployment")["spec"]["template"]["spec"]["containers"]
        assert [word for word in container["args"] if "prometheus" in word] == expected


def test_operator_knows_what_the_installer_allows(template: Template) -> None:
    values = "security: {secretsOptIn: true, allowedHosts: [api.anthropic.com, '*.example.com', 'proxy.ai:8080']}"
    hosts = ("api.anthropic.com", "*.example.com", "proxy.ai:8080")
    for given, expected in (("", []), (values, ["--secrets-opt-in", *(f"--allowed-host={one}" for one in hosts)])):
        assert [word for word in args(template(given)) if "secrets" in word or "host" in word] == expected


def args(objects: Objects) -> list[str]:
    [container] = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    found: list[str] = container["args"]
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            "watchNamespaces: [a, b]",
            ["--watch-namespace=a", "--watch-namespace=b", "--network-policies", *PORTS],
        ),
        ("networkPolicy: {enabled: false, adminFrom: [{podSelector: {}}]}", []),
        (
            "{networkPolicy: {enabled: false}, security: {allowedAddresses: [10.0.0.0/8], deniedAddresses: ['::/0']}}",
            ["--allowed-address=10.0.0.0/8", "--denied-address=::/0"],
        ),
        ("{networkPolicy: {enabled: false}, audit: {enabled: true}}", ["--audited"]),
        (
            "{networkPolicy: {enabled: false}, prices: {configMap: negotiated}}",
            ["--prices=/etc/claude-operator/prices/prices.yaml"],
        ),
    ],
)
def test_values_become_options(template: Template, values: str, expected: list[str]) -> None:
    found = args(template(values))
    assert [word for word in found if word != "--signatures-held"] == ["operator", "--lease=claude-operator", *expected]


def test_signatures_count_where_admission_holds_their_authors(template: Template) -> None:
    for values, held in (("", True), ("signatures: {enabled: false}", False), ("crds: {install: false}", False)):
        objects = template(values)
        names = [item["metadata"]["name"] for item in objects if item["kind"] == "ValidatingAdmissionPolicy"]
        assert ("--signatures-held" in args(objects)) is held
        assert ("claude-operator-signatures" in names) is held


def test_prices_need_not_exist_for_the_operator_to_start(template: Template) -> None:
    pod = one(template("prices: {configMap: negotiated}"), "Deployment")["spec"]["template"]["spec"]
    assert {"name": "prices", "configMap": {"name": "negotiated", "optional": True}} in pod["volumes"]
    mounts = pod["containers"][0]["volumeMounts"]
    assert {"name": "prices", "mountPath": "/etc/claude-operator/prices", "readOnly": True} in mounts
    assert "prices" not in str(one(template(), "Deployment"))


def test_the_operator_always_reaches_the_admin_port(template: Template) -> None:
    prometheus = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    objects = template(f"networkPolicy: {{adminFrom: [{json.dumps(prometheus)}]}}")
    [option] = [word for word in args(objects) if word.startswith("--admin-from=")]
    first, operator = json.loads(option.partition("=")[2])
    assert first == prometheus
    assert operator["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "claude-system"}
    pods = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert operator["podSelector"]["matchLabels"].items() <= pods.items()


def test_two_replicas_may_be_evicted_one_at_a_time(template: Template) -> None:
    objects = template()
    deployment = one(objects, "Deployment")
    assert deployment["spec"]["replicas"] == 2
    assert one(objects, "PodDisruptionBudget")["spec"]["selector"] == deployment["spec"]["selector"]
    alone = template("replicas: 1")
    assert not [item for item in alone if item["kind"] == "PodDisruptionBudget"]


def test_services_reach_the_pods_they_are_for(template: Template) -> None:
    objects = template(SIMULATOR)
    for service, deployment in (
        ("claude-operator-metrics", "claude-operator"),
        ("claude-simulator", "claude-simulator"),
    ):
        spec = one(objects, "Service", service)["spec"]
        pod = one(objects, "Deployment", deployment)["spec"]["template"]
        assert spec["selector"].items() <= pod["metadata"]["labels"].items()
        assert spec["ports"][0]["targetPort"] in [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
        others = [item for item in objects if item["kind"] == "Deployment" and item["metadata"]["name"] != deployment]
        for other in others:
            assert not spec["selector"].items() <= other["spec"]["template"]["metadata"]["labels"].items()


def test_policies_let_in_what_the_pods_serve_and_out_what_gateways_may_call(template: Template) -> None:
    objects = template(SIMULATOR)
    policies = [item for item in objects if item["kind"] == "NetworkPolicy"]
    assert one(policies, "NetworkPolicy", "claude-operator")["spec"]["egress"] == egress(NetworkRules())
    somebody = Place("10.244.0.9", "any", {})
    for name in ("claude-operator", "claude-simulator"):
        labels = one(objects, "Deployment", name)["spec"]["template"]["metadata"]["labels"]
        pod = Place("10.244.0.5", "claude-system", labels)
        assert allowed(Flow(somebody, pod, 8081), policies)
        assert not allowed(Flow(somebody, pod, 9090), policies)
        assert not allowed(Flow(pod, Place("169.254.169.254"), 80), policies)
        assert allowed(Flow(pod, Place("10.96.0.1"), 443), policies) is (name == "claude-operator")
    assert not [item for item in template("networkPolicy: {enabled: false}") if item["kind"] == "NetworkPolicy"]


def test_the_policy_lets_out_what_the_installer_allows(template: Template) -> None:
    objects = template('security: {allowedAddresses: [169.254.7.0/24, "fe80::7/128"]}')
    found = one(objects, "NetworkPolicy", "claude-operator")["spec"]["egress"]
    assert found == egress(NetworkRules(), ("169.254.7.0/24", "fe80::7/128"))


def test_the_ports_of_the_api_server_are_the_same_for_all_pods(template: Template) -> None:
    for values, ports in (("", API_SERVER_PORTS), ("networkPolicy: {apiServerPorts: [8443]}", (8443,))):
        objects = template(values)
        rules = NetworkRules(api_server_ports=ports)
        assert one(objects, "NetworkPolicy", "claude-operator")["spec"]["egress"] == egress(rules)
        assert [word for word in args(objects) if "api-server" in word] == [
            f"--api-server-port={port}" for port in ports
        ]


def test_the_audit_holds_where_the_operator_works(template: Template) -> None:
    kinds = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    mine = lambda item: item["metadata"]["name"].endswith("-audit") and item["kind"] in kinds  # noqa: E731
    assert not [item for item in template() if mine(item)]
    found = {item["kind"]: item for item in template("audit: {enabled: true}") if mine(item)}
    assert found.keys() == kinds
    assert "matchResources" not in found["ValidatingAdmissionPolicyBinding"]["spec"]
    narrow = template("{audit: {enabled: true}, watchNamespaces: [a, b]}")
    binding = one(narrow, "ValidatingAdmissionPolicyBinding", "claude-operator-audit")
    [choice] = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert (choice["key"], choice["values"]) == ("kubernetes.io/metadata.name", ["a", "b"])


def test_the_limit_of_values_holds_where_the_operator_works_and_can_be_set(template: Template) -> None:
    policy = one(template(), "ValidatingAdmissionPolicy", "claude-operator-limits")
    assert "have 10000 values at most" in policy["spec"]["validations"][0]["message"]
    assert policy["spec"]["failurePolicy"] == "Fail"
    binding = one(template("watchNamespaces: [a]"), "ValidatingAdmissionPolicyBinding", "claude-operator-limits")
    [choice] = binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
    assert (choice["key"], choice["values"]) == ("kubernetes.io/metadata.name", ["a"])
    larger = one(template("security: {maxSpecValues: 70000}"), "ValidatingAdmissionPolicy", "claude-operator-limits")
    assert "70000" in str(larger["spec"]["validations"])
    assert "10000" not in str(larger["spec"])
    for off in ("security: {maxSpecValues: 0}", "crds: {install: false}"):
        assert not [item for item in template(off) if item["metadata"]["name"].endswith("-limits")]


def test_admission_holds_where_the_operator_works_and_can_be_left_out(template: Template) -> None:
    kinds = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    names = {f"claude-operator-{policy.suffix}" for policy in POLICIES}
    mine = lambda objects: [item for item in objects if item["metadata"]["name"] in names]  # noqa: E731
    found = mine(template())
    assert {(item["kind"], item["metadata"]["name"]) for item in found} == set(itertools.product(kinds, names))
    for policy in POLICIES:
        name = f"claude-operator-{policy.suffix}"
        stored = one(found, "ValidatingAdmissionPolicy", name)["spec"]
        assert stored == policy.policy_spec()
        assert one(found, "ValidatingAdmissionPolicyBinding", name)["spec"] == policy.binding_spec(name)
    for item in mine(template("watchNamespaces: [a, b]")):
        if item["kind"] == "ValidatingAdmissionPolicyBinding":
            [choice] = item["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"]
            assert (choice["key"], choice["values"]) == ("kubernetes.io/metadata.name", ["a", "b"])
    for off in ("admission: {enabled: false}", "crds: {install: false}"):
        assert not mine(template(off))


def test_what_is_optional_is_off(template: Template) -> None:
    kinds = {(item["kind"], item["metadata"]["name"]) for item in template()}
    assert ("Deployment", "claude-simulator") not in kinds
    assert not [kind for kind, _ in kinds if kind == "ServiceMonitor"]
    monitored = one(template("metrics: {serviceMonitor: {enabled: true, labels: {release: p}}}"), "ServiceMonitor")
    assert monitored["metadata"]["labels"]["release"] == "p"
    endpoint = {"port": "metrics", "path": "/metrics", "interval": "30s", "honorLabels": True}
    assert monitored["spec"]["endpoints"] == [endpoint]
    assert not [item for item in template("rbac: {create: false, aggregate: false}") if "Role" in item["kind"]]


@pytest.mark.parametrize("values", [SIMULATOR, f"simulator: {{enabled: true, scenario: '{SCENARIO}'}}"])
def test_scenario_reaches_the_simulator(template: Template, values: str) -> None:
    objects = template(values)
    scenario = one(objects, "ConfigMap", "claude-simulator")["data"]["scenario.yaml"]
    assert yaml.safe_load(scenario) == yaml.safe_load(SCENARIO)
    assert parse(scenario).rules  # the simulator takes it
    pod = one(objects, "Deployment", "claude-simulator")["spec"]["template"]["spec"]
    assert "--scenario=/etc/simulator/scenario.yaml" in pod["containers"][0]["args"]
    assert {"name": "scenario", "mountPath": "/etc/simulator", "readOnly": True} in pod["containers"][0]["volumeMounts"]
    plain = one(template("simulator: {enabled: true}"), "Deployment", "claude-simulator")
    assert "scenario" not in str(plain["spec"]["template"]["spec"])


def test_definitions_are_those_of_the_models(template: Template) -> None:
    found = {item["spec"]["names"]["kind"]: item for item in template() if item["kind"] == "CustomResourceDefinition"}
    assert found.keys() == {kind.kind for kind in KINDS}
    for kind in KINDS:
        rendered = found[kind.kind]
        assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert rendered == cli.crd(kind)
    assert not [item for item in template("crds: {install: false}") if item["kind"] == "CustomResourceDefinition"]


def test_names_follow_the_release(helm: Helm) -> None:
    done = helm("template", "blue", str(CHART), "--kube-version", "1.34.0", "--namespace", "n")
    objects = [item for item in yaml.safe_load_all(done.stdout) if item]
    account = one(objects, "ServiceAccount", "blue-claude-operator")
    binding = one(objects, "ClusterRoleBinding", "blue-claude-operator")
    assert account["metadata"]["namespace"] == "n"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "blue-claude-operator", "namespace": "n"}]
    given = helm("template", *WHERE, values="serviceAccount: {create: false, name: mine}").stdout
    objects = [item for item in yaml.safe_load_all(given) if item]
    assert not [item for item in objects if item["kind"] == "ServiceAccount"]
    assert one(objects, "ClusterRoleBinding")["subjects"][0]["name"] == "mine"
    assert one(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
