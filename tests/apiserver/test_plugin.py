"""`kubectl claude` on a real API server, by kubectl itself, with the operator as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.client import Client, wait_for
from tests.apiserver.gateways import Gateways
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.objects import deployment, says, secret
from tests.apiserver.process import Operator
from tests.apiserver.server import ApiServer, environment

ROOT = Path(__file__).parents[2]
Object = dict[str, Any]


class Plugin:
    """`kubectl claude`, as a person has it: kubectl and kubectl-claude in PATH, a kubeconfig, a namespace."""

    def __init__(self, server: ApiServer, namespace: str, folder: Path) -> None:
        self.kubectl = server.kubectl[0]
        self.namespace = namespace
        for name, entry in (("kubectl-claude", "main"), ("kubectl_complete-claude", "complete")):
            script = folder / name
            script.write_text(
                f"#!{sys.executable}\nimport sys\nfrom claude_operator.cli.main import {entry}\nsys.exit({entry}())\n"
            )
            script.chmod(0o755)
        more = {"PATH": f"{folder}:{Path(self.kubectl).parent}:{os.environ['PATH']}", "HOME": str(folder)}
        self.environment = environment(server.kubeconfig, {**more, "PYTHONPATH": str(ROOT / "operator")})

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The command, begun."""
        command = [self.kubectl, "claude", words[0], f"--namespace={self.namespace}", *words[1:]]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(command, env=self.environment, text=True, **pipes)

    def run(self, *words: str, code: int = 0) -> str:
        """What the command prints; it ends with `code`, and what an error says is in the result too."""
        process = self.start(*words)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"{process.returncode}: {out}\n{err}"
        return out + err

    def facts(self, *words: str, code: int = 0) -> Any:
        """Its result as JSON."""
        process = self.start(*words, "--output=json")
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"{process.returncode}: {out}\n{err}"
        return json.loads(out)


@pytest.fixture
def plugin(server: ApiServer, namespace: str, tmp_path: Path) -> Plugin:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Plugin(server, namespace, folder)


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
