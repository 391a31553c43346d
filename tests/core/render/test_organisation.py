"""What is run for a ClaudeOrganization: one restricted pod without rights, its volume, and who may ask it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.core.render.sample import SITE
from tests.netpol import Flow, Place, allowed

from claude_operator.__main__ import make_parser
from claude_operator.api.organisation import HISTORY_PORT, OrganizationSpec
from claude_operator.core import names, render
from claude_operator.core.organisation.polling import PERIOD

OWNER = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeOrganization",
    "metadata": {"name": "acme", "uid": "uid-1"},
}
PLAIN = {"adminKeySecretRef": {"name": "admin", "key": "key"}}
POSTGRES = {**PLAIN, "history": {"postgresURLSecretRef": {"name": "db", "key": "url"}}}


def spec(**fields: Any) -> OrganizationSpec:
    return OrganizationSpec.model_validate({**PLAIN, **fields})


def made(wanted: OrganizationSpec, site: render.Site = SITE) -> dict[str, Any]:
    return {one["kind"]: one for one in render.history_objects(OWNER, wanted, site, "claude-system")}


def pod(wanted: OrganizationSpec, site: render.Site = SITE) -> dict[str, Any]:
    found: dict[str, Any] = made(wanted, site)["Deployment"]["spec"]["template"]["spec"]
    return found


def test_all_of_it_is_the_organisations_in_the_operators_namespace_and_none_is_a_deployments() -> None:
    for one in made(spec(), replace(SITE, network=render.NetworkRules())).values():
        metadata = one["metadata"]
        assert (metadata["name"], metadata["namespace"]) == ("acme-organization", "claude-system")
        assert metadata["ownerReferences"][0]["kind"] == "ClaudeOrganization"
        assert names.LABEL_DEPLOYMENT not in metadata["labels"]


def test_one_pod_at_a_time_without_rights_token_or_root() -> None:
    deployment = made(spec())["Deployment"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    found = pod(spec())
    assert found["automountServiceAccountToken"] is False
    assert found["securityContext"]["runAsNonRoot"] is True
    [container] = found["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "Role" not in made(spec()) and made(spec())["ServiceAccount"]["automountServiceAccountToken"] is False


def test_the_volume_is_nobodys_and_is_what_the_pod_writes_to() -> None:
    wanted = spec(history={"storage": {"size": "5Gi", "storageClassName": "fast"}})
    claim = render.history_claim(OWNER, wanted, "claude-system")
    assert claim is not None
    assert "ownerReferences" not in claim["metadata"]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "5Gi"}},
        "storageClassName": "fast",
    }
    plain = render.history_claim(OWNER, spec(), "claude-system")
    assert plain is not None and "storageClassName" not in plain["spec"]
    found = pod(wanted)
    mounts = {one["name"]: one for one in found["containers"][0]["volumeMounts"]}
    assert [name for name, one in mounts.items() if not one.get("readOnly")] == ["tmp", "history"]
    assert {"name": "history", "persistentVolumeClaim": {"claimName": "acme-organization"}} in found["volumes"]
    assert f"--store={mounts['history']['mountPath']}/usage.db" in found["containers"][0]["args"]


def test_postgres_takes_its_url_from_a_file_and_no_volume() -> None:
    wanted = OrganizationSpec.model_validate(POSTGRES)
    assert render.history_claim(OWNER, wanted, "claude-system") is None
    found = pod(wanted)
    assert {one["name"] for one in found["volumes"]} == {"tmp", "admin", "page", "store"}
    assert not [one for one in found["containers"][0]["args"] if one.startswith("--store=")]


def test_no_secret_stands_in_arguments_or_environment() -> None:
    container = pod(OrganizationSpec.model_validate(POSTGRES))["containers"][0]
    assert {one["name"] for one in container["env"]} == {"HOST_IP", "HOST_IPS", "POD_NAME"}


def test_who_reaches_its_port() -> None:
    rules = render.NetworkRules()
    policy = made(spec(), replace(SITE, network=rules))["NetworkPolicy"]
    history = Place("10.244.0.5", "claude-system", names.organization_labels("acme"))
    operator = Place("10.244.0.8", "claude-system", {"app.kubernetes.io/name": "claude-operator"})
    assert allowed(Flow(operator, history, HISTORY_PORT), [policy])
    assert allowed(Flow(history, Place("160.79.104.10"), 443), [policy])
    assert not allowed(Flow(operator, history, 8080), [policy])
    assert not allowed(Flow(history, Place("169.254.169.254"), 80), [policy])
    assert not allowed(Flow(Place("203.0.113.9"), history, HISTORY_PORT), [policy])
    tight = replace(SITE, network=render.NetworkRules(({"podSelector": {"matchLabels": {"app": "prometheus"}}},)))
    assert not allowed(Flow(operator, history, HISTORY_PORT), [made(spec(), tight)["NetworkPolicy"]])


def test_the_command_takes_its_args_and_finds_its_files() -> None:
    site = replace(SITE, allowed_addresses=("10.1.0.0/16",), allowed_hosts=("claude.example.com",))
    for fields in (PLAIN, POSTGRES, {**PLAIN, "pollInterval": "5m"}):
        found = pod(OrganizationSpec.model_validate(fields), site)
        [container] = found["containers"]
        args = make_parser(container["args"]).parse_args(container["args"])
        folders = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        assert (str(args.key_file.parent), str(args.reader_key_file.parent)) == (folders["admin"], folders["page"])
        where = args.store_url_file or args.store
        assert str(where.parent) == folders["store" if fields is POSTGRES else "history"]
        assert (args.host, args.port, args.base_url) == ("0.0.0.0", HISTORY_PORT, "https://api.anthropic.com")
        assert args.poll_seconds == (300 if "pollInterval" in fields else PERIOD)
        assert (args.allowed_hosts, list(map(str, args.allowed_addresses))) == (["claude.example.com"], ["10.1.0.0/16"])
