"""What is rendered: as the goldens have it, owned, restricted, and granting no more than may be handed on."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.chart.test_rbac import HANDED_ON, granted
from tests.core.render.sample import FULL, MINIMAL, SITE, Object, everything, gateway, job, pod_of, spec_of, with_spec

from claude_operator.__main__ import make_parser
from claude_operator.api.evals import EvalRunSpec
from claude_operator.api.gateway import (
    CLIENT_DIR,
    CLIENT_KEY,
    ENV_DIR,
    GRADER_KEY,
    OPERATOR_DIR,
    OPERATOR_KEY,
    UPSTREAM_KEY_FILE,
    Deployment,
    Egress,
    GatewayConfig,
    parse_config,
)
from claude_operator.api.grading import GradingPlan, parse_plan, plan_hash
from claude_operator.api.prices import TokenPrices
from claude_operator.api.resources import RevisionSpec
from claude_operator.core import names, render
from claude_operator.core.catalogue.own_prices import parse_book
from claude_operator.core.catalogue.table import Prices
from claude_operator.gateway.cli import add_arguments

HERE = Path(__file__).parent
OWNERS = {"minimal": MINIMAL, "full": FULL}
both = pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)


@pytest.mark.parametrize("case", OWNERS)
def test_golden(case: str) -> None:
    """UPDATE_GOLDENS=1 writes the files anew; a changed pod template restarts every gateway on the next upgrade."""
    golden, objects = HERE / f"{case}.yaml", everything(OWNERS[case])
    if os.environ.get("UPDATE_GOLDENS"):
        golden.write_text(yaml.safe_dump_all(objects, sort_keys=False, width=120))
    assert list(yaml.safe_load_all(golden.read_text())) == objects


def leaves(value: Any) -> Iterator[Any]:
    """All values that hold no others."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


@both
def test_every_object_is_owned_labelled_and_whole(owner: Object) -> None:
    for item in everything(owner):
        metadata = item["metadata"]
        assert metadata["namespace"] == "demo"
        assert metadata["labels"][names.LABEL_DEPLOYMENT] == owner["metadata"]["name"]
        assert metadata["labels"][names.LABEL_MANAGED_BY] == "claude-operator"
        if item["kind"] != "Job":
            assert names.is_controlled_by(item, owner["metadata"]["uid"]), item["kind"]
        assert "status" not in item
        assert None not in leaves(item)


def test_a_run_owns_its_job() -> None:
    (made,) = (item for item in everything(FULL) if item["kind"] == "Job")
    (reference,) = made["metadata"]["ownerReferences"]
    assert (reference["kind"], reference["name"]) == ("ClaudeEvalRun", "shop-5f6d8c1a2b-01234567")
    assert made["metadata"]["name"] == "shop-5f6d8c1a2b-01234567-1"
    assert names.is_controlled_by(made, "5d4c0a54-0000-4000-8000-00000000000f")


@both
def test_pods_pass_the_restricted_standard(owner: Object) -> None:
    workloads = [item for item in everything(owner) if item["kind"] in ("Deployment", "Job")]
    assert workloads
    for pod in map(pod_of, workloads):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod.keys()
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert all("fieldRef" in one["valueFrom"] for one in container["env"]), "secrets travel as files"
            assert "envFrom" not in container
            assert container["image"] == SITE.image
            assert container["imagePullPolicy"] == SITE.pull_policy
        kinds = {kind for volume in pod["volumes"] for kind in volume} - {"name"}
        assert kinds <= {"configMap", "emptyDir", "projected", "secret"}
        mounted = [mount["name"] for mount in pod["containers"][0]["volumeMounts"]]
        assert mounted == [volume["name"] for volume in pod["volumes"]]
        assert all(source["defaultMode"] == 0o440 for source in files(pod))


def files(pod: Object) -> list[Object]:
    """The sources of all volumes that hold files from the API."""
    sources = ("configMap", "projected", "secret")
    return [volume[kind] for volume in pod["volumes"] for kind in sources if kind in volume]


@both
def test_roles_grant_what_may_be_handed_on(owner: Object) -> None:
    for role in (item for item in everything(owner) if item["kind"] == "Role"):
        for resource, verbs in granted(role["rules"]).items():
            assert verbs <= HANDED_ON.get(resource, set()), resource


def test_what_is_handed_on_is_used() -> None:
    rules = [rule for item in everything(FULL) if item["kind"] == "Role" for rule in item["rules"]]
    assert granted(rules) == HANDED_ON


def test_roles_name_the_objects_whose_names_stay() -> None:
    rules = [rule for item in everything(FULL) if item["kind"] == "Role" for rule in item["rules"]]
    named = {tuple(rule["resources"]): rule["resourceNames"] for rule in rules if "resourceNames" in rule}
    assert named[("claudeevalsets",)] == ["shop-evals"]
    configmaps = [rule.get("resourceNames") for rule in rules if rule["resources"] == ["configmaps"]]
    assert configmaps == [["shop-gateway"], ["shop-5f6d8c1a2b-7b9e21c3-report"], ["shop-letters", "shop-questions"]]
    secrets = [rule.get("resourceNames") for rule in rules if rule["resources"] == ["secrets"]]
    assert secrets == [[f"shop-evals-eval-answers-{number}" for number in range(4)], ["shop-failed-samples"]]


EVAL_SET = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeEvalSet",
    "metadata": {"name": "shop-evals", "namespace": "demo", "uid": "set"},
}
EVAL_RUN = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeEvalRun",
    "metadata": {"name": "shop-5f6d8c1a2b-7b9e21c3", "namespace": "demo", "uid": "run"},
    "spec": {"deployment": "shop"},
}


def test_what_a_job_writes_into_is_empty_and_goes_with_its_owner() -> None:
    """The operator does not watch it: it has no need to know what people have been answered."""
    report, *secrets = render.eval_stores(EVAL_RUN, EVAL_SET)
    assert (report["kind"], report["metadata"]["name"]) == ("ConfigMap", "shop-5f6d8c1a2b-7b9e21c3-report")
    assert [one["metadata"]["name"] for one in secrets] == [f"shop-evals-eval-answers-{number}" for number in range(4)]
    assert {one["kind"] for one in secrets} == {"Secret"}
    for one, owner in [(report, EVAL_RUN), *((secret, EVAL_SET) for secret in secrets)]:
        assert not {"data", "binaryData"} & set(one)
        assert names.is_controlled_by(one, owner["metadata"]["uid"])
        assert not {names.LABEL_MANAGED_BY, names.LABEL_DEPLOYMENT} & set(one["metadata"]["labels"])
    assert not any(one["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] for one in secrets)
    off = EVAL_SET | {"spec": {"execution": {"keepAnswers": False}}}
    assert render.eval_stores(EVAL_RUN, off) == [report]


def test_bindings_join_role_and_account() -> None:
    objects = everything(FULL)
    accounts = {item["metadata"]["name"] for item in objects if item["kind"] == "ServiceAccount"}
    assert accounts == {"shop-gateway", "shop-eval", "shop-grader"}
    assert {item["metadata"]["name"] for item in objects if item["kind"] == "Role"} == accounts
    for binding in (item for item in objects if item["kind"] == "RoleBinding"):
        name = binding["metadata"]["name"]
        assert binding["roleRef"]["name"] == name
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name, "namespace": "demo"}]
    assert {pod_of(item)["serviceAccountName"] for item in objects if item["kind"] in ("Deployment", "Job")} == accounts


@both
def test_the_gateway_command_takes_its_args(owner: Object) -> None:
    container = pod_of(gateway(owner)["Deployment"])["containers"][0]
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    command, *words = container["args"]
    args = parser.parse_args(words)
    assert (command, args.configmap) == ("gateway", names.gateway_name(owner["metadata"]["name"]))
    assert (args.log_format, args.drain_seconds) == ("json", 600 if owner is MINIMAL else 91)
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "http": args.port,
        "admin": args.admin_port,
    }
    assert pod_of(gateway(owner)["Deployment"])["terminationGracePeriodSeconds"] == args.drain_seconds + 30


def test_every_pod_knows_where_it_may_not_connect() -> None:
    networks = {"allowed_addresses": ("10.1.0.0/16",), "denied_addresses": ("192.0.2.7/32", "192.0.2.8/32")}
    site = replace(SITE, **networks, forwarded_headers=("x-team",))  # type: ignore[arg-type]
    assert "--forward-header=x-team" in pod_of(gateway(FULL, site)["Deployment"])["containers"][0]["args"]
    [run] = [item for item in everything(FULL) if item["kind"] == "ClaudeEvalRun"]
    wanted = ["--allowed-address=10.1.0.0/16", "--denied-address=192.0.2.7/32", "--denied-address=192.0.2.8/32"]
    for pod in (pod_of(gateway(FULL, site)["Deployment"]), pod_of(job(run, spec_of(FULL), site))):
        [container] = pod["containers"]
        assert [one for one in container["args"] if "-address=" in one] == wanted
        fields = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in container["env"]}
        assert fields == {"HOST_IP": "status.hostIP", "HOST_IPS": "status.hostIPs", "POD_NAME": "metadata.name"}


def test_with_tls_the_service_and_the_secret_lead_to_the_pods_that_have_it() -> None:
    owner = with_spec(FULL, gateway=FULL["spec"]["gateway"] | {"tls": {"secretName": "shop-tls"}})
    objects, pod = gateway(owner), pod_of(gateway(owner)["Deployment"])
    [container] = pod["containers"]
    assert objects["Service"]["spec"]["ports"] == [{"name": "https", "port": 443, "targetPort": "https"}]
    assert {"name": "https", "containerPort": 8080} in container["ports"]
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    folder = str(parser.parse_args(container["args"][1:]).tls_dir)
    [mount] = [one for one in container["volumeMounts"] if one["mountPath"] == folder]
    [volume] = [one["secret"] for one in pod["volumes"] if one["name"] == mount["name"]]
    assert volume["secretName"] == "shop-tls"
    assert [item["key"] for item in volume["items"]] == ["tls.crt", "tls.key"]  # and nothing else of that Secret
    secret = render.client_secret(owner, "k")
    assert secret["stringData"]["ANTHROPIC_BASE_URL"] == "https://shop-gateway.demo.svc"


def test_the_eval_command_takes_its_args() -> None:
    [made] = [item for item in everything(FULL) if item["kind"] == "Job"]
    words = pod_of(made)["containers"][0]["args"]
    args = make_parser(words).parse_args(words)
    assert (args.run_name, args.namespace) == (made["metadata"]["name"].rsplit("-", 1)[0], "demo")


# -------------------------------------------------------------------------------------------------- live grading


def grader(*, needed: bool = True, site: render.Site = SITE) -> dict[str, Object]:
    """The grader's objects by kind."""
    made = render.grader_objects(FULL, spec_of(FULL), site, PLAN, needed=needed)
    return {item["kind"]: item for item in made}


PLAN = GradingPlan(Deployment("shop", "demo", "uid"), FULL["spec"]["evals"]["live"], "https://claude.example.com")


def test_without_live_grading_there_is_no_grader() -> None:
    assert render.grader_objects(MINIMAL, spec_of(MINIMAL), SITE, None, needed=True) == []


def test_a_grader_runs_while_it_is_needed_and_never_two_at_a_time() -> None:
    for needed in (True, False):
        spec = grader(needed=needed)["Deployment"]["spec"]
        assert (spec["replicas"], spec["strategy"]) == (int(needed), {"type": "Recreate"})
        assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_the_grade_command_takes_its_args_and_finds_its_files() -> None:
    site = replace(SITE, allowed_addresses=("10.1.0.0/16",), allowed_hosts=("claude.example.com",))
    objects = grader(site=site)
    pod = pod_of(objects["Deployment"])
    [container] = pod["containers"]
    args = make_parser(container["args"]).parse_args(container["args"])
    [text] = objects["ConfigMap"]["data"].values()
    assert (args.plan_hash, parse_plan(text)) == (plan_hash(text), PLAN)
    assert args.gateways == [f"{objects['Service']['metadata']['name']}.demo.svc:9090"]
    assert (args.secret, args.namespace) == ("shop-failed-samples", "demo")
    assert (args.allowed_hosts, list(map(str, args.allowed_addresses))) == (["claude.example.com"], ["10.1.0.0/16"])
    where = paths(pod)
    assert (str(args.plan.parent), str(args.grader_key_file.parent)) == (where["plan"], where["grader"])
    assert str(args.upstream_key_file) == f"{where['upstream']}/api-key"
    assert [port["containerPort"] for port in container["ports"]] == [args.admin_port]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["plan"]["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    assert [item["key"] for item in volumes["grader"]["secret"]["items"]] == [GRADER_KEY]
    assert set(where) == {"tmp", "plan", "grader", "upstream"}  # neither the clients' keys nor values for $(NAME)


def test_another_plan_is_another_pod() -> None:
    other = render.grader_objects(
        FULL, spec_of(FULL), SITE, msgspec.structs.replace(PLAN, arms={"a": ["m"]}), needed=True
    )
    assert pod_of(other[-1]) != pod_of(grader()["Deployment"])


def test_a_grader_finds_every_gateway_pod_and_its_service_leads_nobody_elsewhere() -> None:
    service = grader()["Service"]["spec"]
    assert (service["clusterIP"], service["publishNotReadyAddresses"]) == ("None", True)
    assert service["selector"] == gateway(FULL)["Service"]["spec"]["selector"]
    assert service["ports"] == [{"name": "admin", "port": 9090, "targetPort": "admin"}]


def test_a_grader_may_read_and_write_its_one_secret_and_nothing_else() -> None:
    assert grader()["Role"]["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["secrets"],
            "resourceNames": ["shop-failed-samples"],
            "verbs": ["get", "patch"],
        }
    ]


def test_what_a_grader_writes_into_is_empty_and_not_watched() -> None:
    store = render.grader_store(FULL)
    assert (store["kind"], store["metadata"]["name"]) == ("Secret", "shop-failed-samples")
    assert not {"data", "stringData"} & set(store)
    assert names.is_controlled_by(store, FULL["metadata"]["uid"])
    assert not {names.LABEL_MANAGED_BY, names.LABEL_DEPLOYMENT} & set(store["metadata"]["labels"])


def test_the_service_has_no_admin_port_and_finds_the_pods() -> None:
    objects = gateway(FULL)
    service = objects["Service"]["spec"]
    assert service["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]
    template = objects["Deployment"]["spec"]["template"]
    for selector in (
        service["selector"],
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        pod_of(objects["Deployment"])["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ):
        assert selector.items() <= template["metadata"]["labels"].items()
        assert selector[names.LABEL_INSTANCE] == "shop"


def paths(pod: Object) -> dict[str, str]:
    """Where each of a pod's volumes is mounted."""
    return {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}


def test_secrets_are_files_where_the_gateway_looks() -> None:
    pod = pod_of(gateway(FULL)["Deployment"])
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    (item,) = volumes["upstream"]["secret"]["items"]
    assert f"{paths(pod)['upstream']}/{item['path']}" == UPSTREAM_KEY_FILE
    assert (paths(pod)["env"], paths(pod)["client"], paths(pod)["operator"]) == (ENV_DIR, CLIENT_DIR, OPERATOR_DIR)
    operator, grader = (source["secret"] for source in volumes["operator"]["projected"]["sources"])
    assert (operator["name"], operator["items"]) == ("shop-gateway", [{"key": OPERATOR_KEY, "path": OPERATOR_KEY}])
    assert (grader["name"], grader["items"]) == ("shop-grader", [{"key": GRADER_KEY, "path": GRADER_KEY}])
    assert ("optional" in operator, grader["optional"]) == (False, True)
    assert [source["secret"]["items"][0]["path"] for source in volumes["env"]["projected"]["sources"]] == [
        "DOCS_TOKEN",
        "CRM_TOKEN",
    ]
    assert not any("subPath" in mount for mount in pod["containers"][0]["volumeMounts"])


@pytest.mark.parametrize(
    ("auth", "mounted"),
    [("ApiKey", {"upstream", "client"}), ("None", {"upstream"}), ("Passthrough", set())],
)
def test_auth_decides_which_keys_a_pod_gets(auth: str, mounted: set[str]) -> None:
    pod = pod_of(gateway(with_spec(MINIMAL, gateway={"auth": {"type": auth}}))["Deployment"])
    assert set(paths(pod)) == mounted | {"tmp", "config", "operator"}


def test_only_the_configs_mount_is_optional() -> None:
    pod = pod_of(gateway(FULL)["Deployment"])
    assert [source.get("optional", False) for source in files(pod)] == [True, False, False, False, False]


def test_a_change_of_the_request_leaves_the_pods_alone() -> None:
    changed = with_spec(FULL, request={"model": "claude-haiku-5-5", "max_tokens": 1}, paused=True)
    assert gateway(changed) == gateway(FULL)


@pytest.mark.parametrize("resources", [{}, {"requests": {}}, {"limits": None}])
def test_empty_resources_are_rendered_as_none(resources: Object) -> None:
    pod = pod_of(gateway(with_spec(MINIMAL, gateway={"resources": resources}))["Deployment"])
    assert pod["containers"][0]["resources"] == {}


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("resources", "limit", "told"),
    [
        (None, "512Mi", 512 * MIB),
        ({"limits": {"memory": "1Gi"}}, "1Gi", 1024 * MIB),
        ({"limits": {"memory": "0.5Gi"}, "requests": {"memory": "2Mi"}}, "0.5Gi", 512 * MIB),
        ({"limits": {"memory": "300M"}}, "300M", 300_000_000),
        ({"limits": {"memory": 268435456}}, "268435456", 256 * MIB),
        ({"limits": {"memory": "1e9"}}, "1e9", 10**9),
        ({"limits": {"cpu": 1}}, None, 512 * MIB),
        ({}, None, 512 * MIB),
        ({"requests": {"memory": "2Gi"}}, None, 2048 * MIB),
        ({"requests": {"memory": "96Mi"}}, None, 512 * MIB),
        ({"limits": {"memory": 0}, "requests": {"memory": "96Mi"}}, "0", 512 * MIB),  # no limit either
    ],
)
def test_the_process_knows_the_limit_of_its_pod(resources: Object | None, limit: str | None, told: int) -> None:
    fields = {} if resources is None else {"gateway": {"resources": resources}}
    (container,) = pod_of(gateway(with_spec(MINIMAL, **fields))["Deployment"])["containers"]
    assert (container["resources"].get("limits") or {}).get("memory") == limit
    assert f"--memory-bytes={told}" in container["args"]


def test_config_map_holds_the_config_and_no_secret() -> None:
    made = next(item for item in everything(FULL) if item["kind"] == "ConfigMap")
    assert made["metadata"]["name"] == "shop-gateway"
    assert parse_config(made["data"]["config.json"]).arms[0].revision == "shop-5f6d8c1a2b"


def test_gateways_of_before_read_the_config_and_its_signature_as_ever() -> None:
    """They refuse a field that they do not know, and check the signature over `config.json` alone."""
    config = GatewayConfig(3, Deployment("shop", "demo", "uid"))
    limited = msgspec.structs.replace(config, egress=Egress(["a.example"], ["192.0.2.7/32"]))
    plain, told = (render.config_map(FULL, one, b"key")["data"] for one in (config, limited))
    assert (told["config.json"], told["signature"]) == (plain["config.json"], plain["signature"])
    assert json.loads(told["egress.json"]) == {"allowedHosts": ["a.example"], "deniedAddresses": ["192.0.2.7/32"]}
    assert told["egress-signature"] != plain["egress-signature"]


def test_who_keeps_to_an_egress_is_known_by_the_template() -> None:
    template = gateway(FULL)["Deployment"]["spec"]["template"]
    assert render.reads_egress(template)
    template["spec"]["containers"][0]["args"].remove("--signed-egress")
    assert not render.reads_egress(template)
    assert not render.reads_egress({})


def test_who_reads_budgets_is_known_by_the_template() -> None:
    template = gateway(FULL)["Deployment"]["spec"]["template"]
    assert render.reads_budgets(template)
    del template["metadata"]["annotations"]
    assert not render.reads_budgets(template)
    assert not render.reads_budgets({})


def test_an_eval_job_knows_the_hosts_and_a_gateways_pod_does_not() -> None:
    site = replace(SITE, allowed_hosts=("a.example",))
    [run] = [item for item in everything(FULL) if item["kind"] == "ClaudeEvalRun"]
    assert "--allowed-host=a.example" in pod_of(job(run, spec_of(FULL), site))["containers"][0]["args"]
    assert "a.example" not in str(gateway(FULL, site)["Deployment"])  # a change of it would replace every pod


def test_an_eval_job_knows_the_prices_that_are_not_the_lists() -> None:
    [run] = [item for item in everything(FULL) if item["kind"] == "ClaudeEvalRun"]
    own = {"claude-opus-5-5": TokenPrices(3.2, 16.0, cache_read=0.16)}
    [container] = pod_of(job(run, spec_of(FULL), prices=own))["containers"]
    [option] = [one for one in container["args"] if one.startswith("--own-prices=")]
    assert parse_book(option.partition("=")[2]) == {"claude-opus-5-5": Prices(3.2, 16.0, cache_read=0.16)}
    assert "--own-prices" not in str(job(run, spec_of(FULL)))


def test_client_secret_is_enough_for_an_sdk() -> None:
    secret = render.client_secret(MINIMAL, "key-of-clients")
    assert secret["metadata"]["name"] == "support-client"
    assert secret["stringData"] == {
        "ANTHROPIC_BASE_URL": "http://support-gateway.demo.svc",
        CLIENT_KEY: "key-of-clients",
    }


def test_no_evals_no_account() -> None:
    assert render.eval_objects(MINIMAL, spec_of(MINIMAL), SITE) == []
    configmaps = [
        rule
        for item in render.eval_objects(FULL, spec_of(FULL), SITE)
        for rule in item.get("rules", [])
        if "configmaps" in rule["resources"]
    ]
    assert configmaps == []


def test_revision_and_run_are_of_their_kinds() -> None:
    made = {item["kind"]: item for item in everything(FULL)}
    assert RevisionSpec.model_validate(made["ClaudeRevision"]["spec"]).subagents is None
    run = EvalRunSpec.model_validate(made["ClaudeEvalRun"]["spec"])
    assert (run.revision, run.baseline_revision) == ("shop-5f6d8c1a2b", "shop-7b9e21c3d4")
    assert (run.upstream.base_url, run.attempt) == ("https://claude.example.com", 1)


def test_a_first_run_has_no_baseline() -> None:
    run = render.eval_run(MINIMAL, "support-5f6d8c1a2b", None, "questions", "f" * 64, None)
    assert run["spec"] == {
        "deployment": "support",
        "revision": "support-5f6d8c1a2b",
        "setRef": "questions",
        "setHash": "f" * 64,
        "attempt": 1,
    }
    assert paths(pod_of(job(run, spec_of(MINIMAL)))) == {"tmp": "/tmp"}


def test_what_only_says_whose_a_key_is_makes_no_other_eval_run() -> None:
    upstream = {"baseURL": "https://claude.example.com"}
    runs = [
        render.eval_run(MINIMAL, "support-5f6d8c1a2b", None, "questions", "f" * 64, {**upstream, **more})
        for more in ({}, {"apiKeyID": "apikey_01"})
    ]
    assert runs[0] == runs[1]
    assert runs[0]["spec"]["upstream"] == upstream


def test_a_job_has_a_name_that_its_pods_can_have() -> None:
    run = {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeEvalRun",
        "metadata": {"name": "nightly." + "x" * 80, "namespace": "demo", "uid": "u1"},
        "spec": {"deployment": "shop", "revision": "shop-5f6d8c1a2b", "setRef": "shop-evals"},
    }
    made = render.eval_job(run, attempt=3, site=SITE, account="shop-eval", env=[])
    assert len(made["metadata"]["name"]) <= 63
    assert made["metadata"]["labels"][names.LABEL_DEPLOYMENT] == "shop"
    assert f"--run={run['metadata']['name']}" in pod_of(made)["containers"][0]["args"]
    assert f"--run-uid={run['metadata']['uid']}" in pod_of(made)["containers"][0]["args"]


def test_final_exit_codes_end_the_job_and_disruptions_do_not_count() -> None:
    (made,) = (item for item in everything(FULL) if item["kind"] == "Job")
    final, disrupted = made["spec"]["podFailurePolicy"]["rules"]
    assert (final["action"], final["onExitCodes"]["values"]) == ("FailJob", [75, 100, 101])
    assert final["onExitCodes"]["containerName"] == pod_of(made)["containers"][0]["name"]
    assert (disrupted["action"], disrupted["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert pod_of(made)["restartPolicy"] == "Never"
