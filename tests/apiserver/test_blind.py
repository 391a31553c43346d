"""A leader that does not see says so, sees by other means, gives way where it has none, and sees again by itself."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver import conftest
from tests.apiserver.client import Client, wait_for
from tests.apiserver.gateways import Gateways
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.objects import deployment, says, secret
from tests.apiserver.process import Operator, account, bind
from tests.apiserver.proxy import Proxy
from tests.apiserver.server import ApiServer
from tests.cluster.pace import Pace


def replicas(admin: Client, namespace: str, name: str = "support") -> Any:
    return admin.take("Deployment", f"{name}-gateway", namespace)["spec"]["replicas"]


def scale(admin: Client, namespace: str, count: int, name: str = "support") -> None:
    admin.patch("ClaudeDeployment", name, namespace, {"spec": {"gateway": {"replicas": count}}})


def holder(admin: Client, namespace: str) -> Any:
    return admin.take("Lease", "claude-operator", namespace)["spec"]["holderIdentity"]


def given_way(operator: Operator) -> float:
    """How often it stopped leading because it could not see; on a busy machine it may lose the Lease besides."""
    return operator.metric("claude_operator_leaderships_lost_total", 'reason="blind"')


def begun(admin: Client, namespace: str, operator: Operator) -> None:
    """It leads, sees, and follows an edit."""
    operator.until_leading()
    wait_for(lambda: replicas(admin, namespace) == 1, 60, "no gateway was made")
    wait_for(lambda: operator.probe("/readyz")[0] == 200)
    scale(admin, namespace, 2)
    wait_for(lambda: replicas(admin, namespace) == 2, 20, "an edit was not seen")


def prepared(admin: Client, namespace: str) -> None:
    admin.create(secret(), namespace)
    admin.create(deployment(), namespace)


def test_the_crd_is_deleted_and_applied_again(own_server: ApiServer, tmp_path: Path) -> None:
    admin = own_server.admin()
    namespace = conftest.new_namespace(admin)
    prepared(admin, namespace)
    operator = Operator(own_server.kubeconfig, namespace, tmp_path)
    try:
        begun(admin, namespace, operator)
        admin.delete("CustomResourceDefinition", "claudedeployments.claudeops.dev")
        wait_for(lambda: operator.probe("/readyz")[0] == 503, 60, "it says that it is well")
        wait_for(lambda: "ClaudeDeployment have not been seen" in operator.probe("/readyz")[1], 20)
        assert operator.probe("/healthz")[0] == 200
        wait_for(lambda: not operator.leads(), 60, "it leads though it cannot see")
        wait_for(lambda: holder(admin, namespace) == "", 20, "the Lease was not given up")
        conftest.apply_crds(admin)
        admin.create(deployment("other"), namespace)
        wait_for(lambda: replicas(admin, namespace, "other") == 1, 60, "it does not work again")
        wait_for(lambda: operator.probe("/readyz")[0] == 200, 60)
        scale(admin, namespace, 3, "other")
        wait_for(lambda: replicas(admin, namespace, "other") == 3, 20, "an edit was not seen")
        assert operator.stop() == 0
    except AssertionError as error:
        raise AssertionError(f"{error}\n{operator.log()}") from error
    finally:
        operator.kill()


def test_rights_are_taken_and_given_back(
    server: ApiServer, admin: Client, namespace: str, programs: Path, tmp_path: Path, operate: Callable[..., Operator]
) -> None:
    kubeconfig, binding = account(server, programs / "helm", namespace, tmp_path)
    prepared(admin, namespace)
    operator = operate(kubeconfig=kubeconfig)
    try:
        begun(admin, namespace, operator)
        admin.delete("ClusterRoleBinding", binding)
        wait_for(lambda: operator.probe("/readyz")[0] == 503, 60, "it says that it is well")
        wait_for(lambda: not operator.leads(), 60, "it leads though it cannot see")
        assert "403" in operator.probe("/readyz")[1] or "forbidden" in operator.probe("/readyz")[1]
        scale(admin, namespace, 4)
        time.sleep(20)
        assert operator.process.poll() is None
        assert operator.probe("/healthz")[0] == 200
        bind(admin, namespace)
        wait_for(lambda: replicas(admin, namespace) == 4, 30, "the edit of that time is not seen")
        wait_for(lambda: operator.probe("/readyz")[0] == 200, 60)
        assert given_way(operator) == 1
    except AssertionError as error:
        raise AssertionError(f"{error}\n{operator.log()}") from error


def test_only_watches_are_denied(
    server: ApiServer, admin: Client, namespace: str, programs: Path, tmp_path: Path, operate: Callable[..., Operator]
) -> None:
    """It lists instead, and leads on."""
    kubeconfig, role = account(server, programs / "helm", namespace, tmp_path)
    prepared(admin, namespace)
    operator = operate(kubeconfig=kubeconfig)
    try:
        begun(admin, namespace, operator)
        rules = admin.take("ClusterRole", role)["rules"]
        fewer = [{**one, "verbs": [verb for verb in one["verbs"] if verb != "watch"]} for one in rules]
        admin.patch("ClusterRole", role, None, {"rules": fewer})
        wait_for(lambda: operator.probe("/readyz")[0] == 503, 60, "it says that it is well")
        scale(admin, namespace, 5)
        wait_for(lambda: replicas(admin, namespace) == 5, 20, "lists do not stand in")
        wait_for(operator.leads, 20)
        blind = operator.metric("claude_operator_blind_seconds")
        time.sleep(2)
        assert operator.metric("claude_operator_blind_seconds") > blind > 0
        admin.patch("ClusterRole", role, None, {"rules": rules})
        wait_for(lambda: operator.probe("/readyz")[0] == 200, 60)
        assert given_way(operator) == 0
    except (AssertionError, KeyError) as error:
        raise AssertionError(f"{error}\n{operator.log()}") from error


def test_connections_go_into_a_black_hole(
    server: ApiServer, admin: Client, namespace: str, tmp_path: Path, operate: Callable[..., Operator]
) -> None:
    prepared(admin, namespace)
    with Proxy(server, tmp_path) as proxy:
        operator = operate(kubeconfig=proxy.kubeconfig)
        try:
            begun(admin, namespace, operator)
            proxy.dig()
            wait_for(lambda: not operator.leads(), 10, "it leads without a Lease")
            wait_for(lambda: operator.probe("/readyz")[0] == 503, 30, "it says that it is well")
            assert operator.probe("/healthz")[0] == 200
            scale(admin, namespace, 6)
            time.sleep(5)
            proxy.fill()
            wait_for(lambda: replicas(admin, namespace) == 6, 15, "the edit of that time is not seen")
            wait_for(lambda: operator.probe("/readyz")[0] == 200, 30)
            assert operator.process.poll() is None
            wait_for(operator.leads, 20)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{operator.log()}") from error


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_an_outage_of_the_api_server_restarts_no_process(own_server: ApiServer, tmp_path: Path, how: str) -> None:
    admin = own_server.admin()
    namespace = conftest.new_namespace(admin)
    prepared(admin, namespace)
    operator = Operator(own_server.kubeconfig, namespace, tmp_path)
    try:
        begun(admin, namespace, operator)
        if how == "killed":
            own_server.kill_api()
        else:
            own_server.freeze_api()
        wait_for(lambda: not operator.leads(), 10, "it leads without a Lease")
        wait_for(lambda: operator.probe("/readyz")[0] == 503, 30, "it says that it is well")
        assert operator.probe("/healthz")[0] == 200
        time.sleep(8)
        if how == "killed":
            own_server.start_api()
        else:
            own_server.thaw_api()
        scale(admin, namespace, 3)
        began = time.monotonic()
        with Pace(own_server.kubectl) as pace:
            wait_for(lambda: replicas(admin, namespace) == 3, 30, "it does not work again")
            took = time.monotonic() - began
        assert took < pace.stretched(12)
        wait_for(lambda: operator.probe("/readyz")[0] == 200, 30)
        assert given_way(operator) == 0
        assert operator.stop() == 0
    except (AssertionError, OSError) as error:
        raise AssertionError(f"{error}\n{operator.log()}") from error
    finally:
        operator.kill()


def test_a_fifth_of_all_calls_fails_and_a_rollout_goes_on(
    server: ApiServer, admin: Client, namespace: str, tmp_path: Path, operate: Callable[..., Operator]
) -> None:
    steps = [{"setWeight": 10}, {"pause": {"duration": "2s"}}, {"setWeight": 50}, {"pause": {"duration": "2s"}}]
    strategy = {"canary": {"steps": steps, "analysis": {"interval": "1s"}}}
    admin.create(secret(), namespace)
    admin.create(deployment(strategy=strategy), namespace)
    with (
        Proxy(server, tmp_path) as proxy,
        Gateways(admin, namespace) as gateways,
        Kubelet(admin, namespace, gateways.addresses),
    ):
        operator = operate(kubeconfig=proxy.kubeconfig)
        try:
            operator.until_leading()
            proxy.fail = 0.2
            stable = wait_for(
                lambda: admin.take("ClaudeDeployment", "support", namespace)["status"]["stableRevision"], 60
            )
            admin.patch("ClaudeDeployment", "support", namespace, {"spec": {"request": says("Be brief.")}})

            def promoted() -> bool:
                with contextlib.suppress(KeyError):  # no step ends without answers of the canary
                    share = gateways.weight("support", "canary") // 1000
                    gateways.serve("support", "stable", 10 - share)
                    gateways.serve("support", "canary", share)
                found = admin.take("ClaudeDeployment", "support", namespace)["status"]
                return bool(found["stableRevision"] != stable)

            wait_for(promoted, 60, "the rollout does not go on")
        except AssertionError as error:
            status = json.dumps(admin.take("ClaudeDeployment", "support", namespace).get("status"))
            raise AssertionError(f"{error}\n{status}\n{operator.log()}") from error
        wait_for(lambda: proxy.failed > 10, 60, "hardly any call has failed")
        wait_for(lambda: operator.metric("claude_operator_api_retries_total") > 0, 60, "nothing was tried again")
