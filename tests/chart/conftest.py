"""Helm, as the tests of the chart use it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CHART = Path(__file__).parents[2] / "charts/claude-operator"
Objects = list[dict[str, Any]]


def find_helm() -> str | None:
    """Helm of the PATH, or the one that was built for the project's own cluster."""
    cache = Path(os.environ.get("TESTCLUSTER_DIR") or "~/.cache/claude-operator/cluster").expanduser()
    return shutil.which("helm") or next(map(str, sorted(cache.glob("bin-*/helm"), reverse=True)), None)


@pytest.fixture(scope="session")
def helm() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs helm and returns the finished process; without helm the tests skip, unless a cluster is required."""
    program = find_helm()
    if program is None:
        missing = "helm is not installed: `make cluster-up` builds it, or put it into the PATH"
        if os.environ.get("CLAUDE_OPERATOR_REQUIRE_CLUSTER"):
            pytest.fail(missing)
        pytest.skip(missing)

    def run(*args: str, values: str = "") -> subprocess.CompletedProcess[str]:
        command = [program, *args, "--values", "-"] if values else [program, *args]
        return subprocess.run(command, input=values, capture_output=True, text=True, timeout=300, check=False)

    return run


@pytest.fixture(scope="session")
def template(helm: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., Objects]:
    """The chart's objects for some values (YAML)."""

    def run(values: str = "", *args: str) -> Objects:
        where = ["claude-operator", str(CHART), "--namespace", "claude-system", "--kube-version", "1.34.0"]
        done = helm("template", *where, *args, values=values)
        assert done.returncode == 0, done.stderr
        return [item for item in yaml.safe_load_all(done.stdout) if item]

    return run
