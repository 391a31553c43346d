"""Fixtures of the tests on a real API server without kubelets: one server for the run, a namespace for a test."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.apiserver.client import Client, wait_for
from tests.apiserver.process import Operator
from tests.apiserver.server import ApiServer, find_programs

HERE = Path(__file__).parent
CRDS = HERE.parents[1] / "crds"
OURS = ("ClaudeDeployment", "ClaudeEvalRun", "ClaudeRevision", "ClaudeEvalSet")
REMEDY = "run `make cluster-up`, or `tests/cluster/node/cluster build` alone"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder: `make check` leaves them out, `make test` has them."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("slow")
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(900))  # catches what hangs, however busy the machine


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of etcd, kube-apiserver and helm; without it the tests skip, unless the run must have them."""
    found = find_programs()
    if found is None:
        kind = bool(os.environ.get("CLUSTER_CONTEXT"))  # a kind cluster brings no programs to this machine
        if os.environ.get("CLAUDE_OPERATOR_REQUIRE_CLUSTER") == "1" and not kind:
            pytest.fail(f"etcd and kube-apiserver are not built: {REMEDY}", pytrace=False)
        pytest.skip(f"etcd and kube-apiserver are not built: {REMEDY}")
    return found


def started(programs: Path, folder: Path) -> ApiServer:
    """A server that runs, with the CRDs."""
    server = ApiServer(programs, folder)
    try:
        server.start()
        apply_crds(server.admin())
    except BaseException:
        server.stop()
        raise
    return server


def apply_crds(admin: Client) -> None:
    """Apply crds/ and wait until they are served."""
    bodies = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]
    for body in bodies:
        admin.apply(body)
    for body in bodies:
        name, kind = body["metadata"]["name"], body["spec"]["names"]["kind"]
        wait_for(lambda kind=kind: admin.list(kind) is not None, 60, f"{name} is not served")


@pytest.fixture(scope="session")
def server(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The server of the run. A test that stops or kills it brings it back before it ends."""
    running = started(programs, tmp_path_factory.mktemp("apiserver"))
    yield running
    running.stop()


@pytest.fixture
def own_server(programs: Path, tmp_path: Path) -> Iterator[ApiServer]:
    """A server of the test's own, for those that change what all namespaces share, such as the CRDs."""
    folder = tmp_path / "apiserver"
    folder.mkdir()
    running = started(programs, folder)
    yield running
    running.stop()


@pytest.fixture
def admin(server: ApiServer) -> Client:
    """A client of `server` that may do everything."""
    return server.admin()


@pytest.fixture
def namespace(server: ApiServer, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own on `server`; afterwards none of our objects is left in it."""
    name = new_namespace(server.admin(), request.node.name)
    yield name
    clear(server.admin(), name)


def new_namespace(admin: Client, title: str = "test") -> str:
    """Make a namespace and return its name."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower().removeprefix("test_")).strip("-")
    name = f"{words[:40].strip('-')}-{secrets.token_hex(3)}"
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


def clear(admin: Client, namespace: str) -> None:
    """Delete what another test's operator would work on: no controller does it here."""
    for kind in OURS:
        admin.delete_all(kind, namespace)


@pytest.fixture
def operate(server: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Callable[..., Operator]]:
    """`operate(*options, kubeconfig=None)` starts an operator; each is ended with the test."""
    made: list[Operator] = []

    def start(*options: str, kubeconfig: Path | None = None) -> Operator:
        one = Operator(kubeconfig or server.kubeconfig, namespace, tmp_path, *options)
        made.append(one)
        return one

    yield start
    for one in made:
        one.kill()
