"""Fixtures of the tests on a real cluster: one cluster for the run, a namespace for a test."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cluster import rollouts, support

HERE = Path(__file__).parent
REMEDY = "run `make test`, or `make image` and then `hack/in-cluster .venv/bin/python -m pytest ...`"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, and give it the time that pods take."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("cluster")
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(900))  # catches what hangs, however busy the machine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failed test's report what its namespace and the operator have to say."""
    report = yield
    values = getattr(item, "funcargs", {})
    if report.failed and report.when != "teardown":
        if "namespace" in values:
            report.sections.append(("kubectl get", support.describe(values["namespace"])))
        if "operator" in values:
            report.sections.append(("the operator's last words", values["operator"].logs()))
    return report


def missing(what: str) -> None:
    """Skip, or fail where the run is about the cluster."""
    if os.environ.get("CLAUDE_OPERATOR_REQUIRE_CLUSTER") == "1":
        pytest.fail(f"{what}: {REMEDY}", pytrace=False)
    pytest.skip(f"{what}: {REMEDY}")


@pytest.fixture(scope="session")
def cluster() -> None:
    """The cluster that KUBECONFIG names, which is up; never one that the user has set for other work."""
    if not (os.environ.get("CLAUDE_OPERATOR_CLUSTER") and os.environ.get("KUBECONFIG")):
        missing("not in a cluster's network")
    support.wait("nodes", "--all", until="condition=Ready")


@pytest.fixture(scope="session")
def image(cluster: None) -> str:
    """The reference of the operator's image, which the cluster has."""
    reference = os.environ.get("CLAUDE_OPERATOR_IMAGE", "")
    if not reference:
        missing("no image is loaded")
    return reference


@contextmanager
def one_by_one(folders: pytest.TempPathFactory) -> Iterator[None]:
    """What the workers of a run share is made by one after the other."""
    folder = folders.getbasetemp()
    with ((folder.parent if support.WORKER else folder) / "installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def operator(image: str, tmp_path_factory: pytest.TempPathFactory) -> support.Operator:
    """The operator and the simulator, installed by the chart into claude-system; they stay for the next run."""
    with one_by_one(tmp_path_factory):
        installed = support.install(image)
        rollouts.scenario(at=support.SYSTEM)  # the examples ask this one
        if support.WORKER:
            support.install_simulator(image)
    return installed


@pytest.fixture
def kubectl(cluster: None) -> Callable[..., str]:
    """`kubectl(*args, input=None, namespace=None) -> str`; raises CommandError with `stderr`."""
    return support.kubectl


@pytest.fixture
def namespace(cluster: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, deleted afterwards without waiting; the simulator starts it without a fault."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower().removeprefix("test_")).strip("-")
    name = f"{words[:40].strip('-')}-{secrets.token_hex(3)}"
    support.kubectl("create", "namespace", name)
    support.wait_for(lambda: support.find("serviceaccount", "default", namespace=name), 30, "no service account came")
    if "operator" in request.fixturenames:
        rollouts.scenario()  # what an earlier test made fail may have the prompt of this one
    yield name
    support.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def crds(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The resource definitions of crds/, served; for tests that need no operator."""
    with one_by_one(tmp_path_factory):
        support.apply_crds()
