"""`kubectl claude` on a real API server, by kubectl itself, with the operator as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.client import Client, is_refused, wait_for
from tests.apiserver.gateways import Gateways
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.objects import deployment, says, secret
from tests.apiserver.process import Operator, rendered
from tests.apiserver.server import ApiServer, environment
from tests.apiserver.test_people import bind
from tests.plugin import Plugin, Watching

from claude_operator.api.usage import UsageRow

Object = dict[str, Any]


@pytest.fixture
def plugin(server: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Plugin]:
    path = f"{Path(server.kubectl[0]).parent}:{os.environ['PATH']}"
    found = Plugin(tmp_path / "bin", namespace, environment(server.kubeconfig, {"HOME": str(tmp_path)}), path)
    yield found
    found.end_all()


@contextmanager
def served(admin: Client, namespace: str, operator: Operator, **spec: Any) -> Iterator[Gateways]:
    """A ClaudeDeployment that serves its first revision."""
    admin.create(secret(), namespace)
    admin.create(deployment(**spec), namespace)
    operator.until_leading()
    with Gateways(admin, namespace) as gateways, Kubelet(admin, namespace, gateways.addresses):
        wait_for(lambda: status(admin, namespace)["rollout"]["outcome"] == "Promoted", 60, operator.log())
        yield gateways


def status(admin: Client, namespace: str) -> Object:
    found: Object = admin.take("ClaudeDeployment", "support", namespace)["status"]
    return found


def begin(admin: Client, namespace: str, gateways: Gateways, text: str = "Be brief.") -> str:
    """Another prompt is on trial, with a tenth of the traffic; returns its revision."""
    admin.patch("ClaudeDeployment", "support", namespace, {"spec": {"request": says(text)}})
    wait_for(lambda: gateways.weight("support", "canary") == 1000, 60, "no canary")
    return str(
        wait_for(lambda: (status(admin, namespace).get("step") or {}).get("index") == 1 and canary(admin, namespace))
    )


def canary(admin: Client, namespace: str) -> str:
    return str(status(admin, namespace)["canaryRevision"])


def test_a_rollout_is_shown_and_aborted_and_tried_again(
    admin: Client, namespace: str, operate: Callable[..., Operator], plugin: Plugin
) -> None:
    with served(admin, namespace, operate()) as gateways:
        assert "no rollout is in progress" in plugin.run("abort", "support", code=1)
        revision = begin(admin, namespace, gateways)
        facts = plugin.facts("status", "support")
        assert (facts["canaryRevision"], facts["step"]["weight"], facts["phase"]) == (revision, 10, "InProgress")
        shown = plugin.run("status", "cld/support")
        assert f"{namespace}/support  InProgress" in shown
        assert "1 of 2: bake at 10 %" in shown
        assert "RolloutStarted" in shown
        assert revision in plugin.run("status")
        assert plugin.run("abort", "support").startswith(f"Aborted {revision} at 10 %, by kubectl-claude")
        assert plugin.facts("status", "support")["phase"] == "Aborted"
        assert plugin.run("status", "support", "--watch", code=5).count(f"Aborted {revision}")
        assert plugin.run("retry", "support") == f"trying {revision} again, attempt 2\n"


def test_a_rollout_is_watched_until_it_is_rolled_back(
    admin: Client, namespace: str, operate: Callable[..., Operator], plugin: Plugin
) -> None:
    with served(admin, namespace, operate()) as gateways:
        revision = begin(admin, namespace, gateways)
        watching = plugin.start("status", "support", "--watch", "--timeout=5m")
        terminal = Watching(plugin, "status", "support", "--watch", "--timeout=5m")
        with suppress(KeyError):  # it may be taken back before the last of them
            for _ in range(20):
                gateways.serve("support", "stable", 90)
                gateways.serve("support", "canary", 2, 8)
        assert f"{namespace}/support" in terminal.end(4)
        out, err = watching.communicate(timeout=300)
        assert watching.returncode == 4, f"{out}\n{err}"
        assert f"RolledBack: Rolled back {revision} at 10 %: errors " in out
        assert f"{namespace}/support  RolledBack" in out
        why = plugin.facts("why", "support")
        assert (why["outcome"], why["judgement"]["leading"], why["judgement"]["verdict"]) == (
            "RolledBack",
            "errors",
            "Fail",
        )
        assert why["ledger"] == f"{revision}-1-ledger"
        assert why["course"][-1]["verdict"] == "Fail"
        assert "Rolled back" in plugin.run("history", "support")


def test_a_watch_ends_in_its_time_and_one_of_a_promotion_with_success(
    admin: Client, namespace: str, operate: Callable[..., Operator], plugin: Plugin
) -> None:
    with served(admin, namespace, operate()) as gateways:
        assert plugin.facts("status", "support", "--watch")["phase"] == "Promoted"
        begin(admin, namespace, gateways)
        assert "has not ended in 2 s" in plugin.run("status", "support", "--watch", "--timeout=2s", code=3)
        watching = plugin.start("status", "support", "--watch", "--output=json")
        assert "continues with step" not in plugin.run("promote", "support", "--full")
        out, err = watching.communicate(timeout=300)
        assert watching.returncode == 0, err
        assert json.loads(out)["phase"] == "Promoted"


def test_a_rollout_is_paused_and_goes_on_step_by_step(
    admin: Client, namespace: str, operate: Callable[..., Operator], plugin: Plugin
) -> None:
    with served(admin, namespace, operate(), strategy=STEP_BY_STEP) as gateways:
        revision = begin(admin, namespace, gateways)
        assert plugin.run("pause", "support").startswith("support is paused. Paused: spec.paused holds")
        assert "resume support" in plugin.run("promote", "support", code=1)
        assert "already" in plugin.run("pause", "support")
        assert plugin.run("resume", "support").startswith("support is not paused")
        said = plugin.run("promote", "support")  # the weight is a step of its own, and may be over by then
        assert said in [f"{revision}/1 continues with step {step} at 50 %\n" for step in (2, 3)]
        wait_for(lambda: status(admin, namespace)["step"]["index"] == 3)
        assert plugin.run("promote", "support").startswith(f"Promoted {revision} to 100 %")
        assert "no rollout is in progress" in plugin.run("promote", "support", code=1)


STEP_BY_STEP = {"canary": {"steps": [{"setWeight": 10}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]}}
PROMPT = {"metadata": {"name": "prompt"}, "apiVersion": "v1", "kind": "ConfigMap"}
FROM_PROMPT = [{"configMapKeyRef": {"name": "prompt", "key": "a"}}, {"configMapKeyRef": {"name": "prompt", "key": "b"}}]


def test_undo_finds_the_same_revision_though_the_text_of_its_config_map_has_changed(
    admin: Client, namespace: str, operate: Callable[..., Operator], plugin: Plugin
) -> None:
    admin.create({**PROMPT, "data": {"a": "Be kind.", "b": "Be brief."}}, namespace)
    request = {"model": "claude-opus-5-5", "max_tokens": 100, "system": [{"type": "text", "text": "Say hello."}]}
    with served(admin, namespace, operate(), request=request, promptFrom=FROM_PROMPT) as gateways:
        first = status(admin, namespace)["stableRevision"]
        assert "no revision that served before" in plugin.run("undo", "support", code=1)
        admin.patch("ConfigMap", "prompt", namespace, {"data": {"b": "Be very brief."}})
        change = {"request": {"model": "claude-sonnet-5-5"}, "overrides": {"system": "Append"}}
        admin.patch("ClaudeDeployment", "support", namespace, {"spec": change})
        wait_for(lambda: gateways.weight("support", "canary") == 1000, 60, "no canary")
        shown = plugin.run("undo", "support", "--dry-run")
        assert "~ Be [-very -]brief." in shown
        assert admin.get("ConfigMap", f"{first}-prompts", namespace) is None
        assert f"support has the content of {first} again" in plugin.run("undo", "support")
        kept = admin.take("ConfigMap", f"{first}-prompts", namespace)
        assert kept["data"] == {"0.txt": "Be kind.", "1.txt": "Be brief."}
        spec = admin.take("ClaudeDeployment", "support", namespace)["spec"]
        assert [one["configMapKeyRef"]["name"] for one in spec["promptFrom"]] == ["prompt", f"{first}-prompts"]
        assert spec["request"] == request
        assert "overrides" not in spec
        assert status(admin, namespace)["stableRevision"] == first
        assert len(admin.list("ClaudeRevision", namespace)) == 2
        assert plugin.run("undo", "support", f"--to={first}") == f"the spec is that of {first}\n"
        names = [one["revision"] for one in plugin.facts("history", "support")]
        diff = plugin.run("diff", *names)
        assert "~ model: [-claude-opus-5-5-]{+claude-sonnet-5-5+}" in diff
        assert "~ Be {+very +}brief." in diff


def test_who_keeps_the_spec_in_git_is_told(
    admin: Client, namespace: str, operate: Callable[..., Operator], plugin: Plugin
) -> None:
    with served(admin, namespace, operate()):
        assert "applied" not in plugin.run("pause", "support")
        path = f"/apis/claudeops.dev/v1alpha1/namespaces/{namespace}/claudedeployments/support"
        body = {**deployment(), "spec": {"paused": True}}
        query = {"fieldManager": "argocd-controller", "force": "true"}
        admin.call("PATCH", path, query, body, "application/apply-patch+yaml")
        assert "warning: Argo CD keeps this ClaudeDeployment" in plugin.run("resume", "support")


def test_faults_are_sentences(admin: Client, namespace: str, plugin: Plugin) -> None:
    assert plugin.run("status") == "no ClaudeDeployments found\n"
    missing = plugin.run("status", "nobody", code=1)
    assert missing == 'error: the API server refused: claudedeployments.claudeops.dev "nobody" not found\n'
    assert "there is no ClaudeRevision a" in plugin.run("diff", "a", "b", code=1)
    assert "context" in plugin.run("status", "--context=nowhere", code=1)
    assert "is not a duration" in plugin.run("abort", "support", "--timeout=soon", code=2)
    assert "forbidden" in plugin.run("status", "support", "--as=nobody", code=1)
    admin.create(deployment(), namespace)
    assert plugin.facts("status", "support")["phase"] == "Unknown"
    assert "nothing was decided" in plugin.run("why", "support", code=1)
    late = plugin.run("pause", "support", "--timeout=1s", code=3)
    assert "the operator has not looked at it in 1 s" in late
    unwatched = plugin.run("status", "support", "--watch", "--timeout=1s", code=3)
    assert "the operator has not looked at the newest spec yet" in unwatched


def test_kubectl_completes_commands_options_and_names(admin: Client, namespace: str, plugin: Plugin) -> None:
    admin.create(deployment(), namespace)
    command = ["kubectl", "__complete", "claude"]

    def completed(*words: str) -> list[str]:
        done = subprocess.run([*command, *words], env=plugin.environment, check=True, capture_output=True, text=True)
        return [line.partition("\t")[0] for line in done.stdout.splitlines()]

    assert {"abort", "status", "undo"} <= set(completed(""))
    assert "--watch" in completed("status", "--w")
    assert "support" in completed("abort", f"--namespace={namespace}", "s")


def test_with_the_audit_events_name_the_person(
    admin: Client, namespace: str, operate: Callable[..., Operator], plugin: Plugin, programs: Path
) -> None:
    for one in rendered(programs / "helm", "claude-system"):
        if one["kind"] == "ClusterRole" and one["metadata"]["name"].endswith(("-view", "-edit")):
            admin.apply(one)
    bind(admin, namespace, "alice", "system:aggregate-to-view", "claude-operator-view", "claude-operator-edit")
    values = ("audit.enabled=true", "fullnameOverride=plugin", f"watchNamespaces={{{namespace}}}")
    policies = rendered(programs / "helm", "claude-system", *values, file="audit.yaml")
    query, forged = {"dryRun": "All"}, {"metadata": {"annotations": {"claudeops.dev/by": "the-king"}}}
    path = f"/apis/claudeops.dev/v1alpha1/namespaces/{namespace}/claudedeployments/support"

    def forge() -> Object:
        return admin.call("PATCH", path, query, forged, "application/merge-patch+json")

    try:
        with served(admin, namespace, operate("--audited")) as gateways:
            revision = begin(admin, namespace, gateways)
            for one in policies:
                admin.apply(one)
            wait_for(lambda: is_refused(forge), 30, "the policy is not in force")
            assert plugin.run("abort", "support", "--as=alice").startswith(f"Aborted {revision} at 10 %, by alice at")
            assert "attempt 2" in plugin.run("retry", "support", "--as=alice")
    finally:
        for one in policies:
            admin.delete(one["kind"], one["metadata"]["name"])


def test_costs_outlive_operators_and_a_configmap_that_is_deleted(
    admin: Client, namespace: str, operate: Callable[..., Operator], plugin: Plugin
) -> None:
    first = operate()
    with served(admin, namespace, first) as gateways:
        pod, name = gateways.pods["support"], "support-usage"

        def costs(calls: int, what: str) -> None:
            pod.usage = [UsageRow("r1", "stable", "chat", "", "claude-opus-5-5", calls, cost_usd=calls * 0.25)]

            def told() -> bool:
                total = plugin.facts("cost", "support", "--since", "2d")["total"]  # a month may end meanwhile
                assert total["calls"] <= calls
                return bool((total["calls"], total["costUSD"]) == (calls, calls * 0.25))

            wait_for(told, 150, what)

        costs(3, "what calls cost is not kept")
        admin.delete("ConfigMap", name, namespace)
        costs(5, "a record that was deleted is not written again")
        first.kill()
        second = operate()
        second.until_leading()
        costs(9, "another operator does not go on")
        month = plugin.facts("cost", "support")["total"]["costUSD"]
        wait_for(lambda: second.metric("claude_operator_cost_usd", 'window="month"') == month)
    assert status(admin, namespace)["cost"]["gateways"] == "1 of 1"
    assert "REVISION" in plugin.run("cost", "--by", "revision")
    assert (
        plugin.run("cost", "--by", "label:team", "--since", "2d", "-o", "csv").splitlines()[1].startswith("(none),9,0,")
    )
