"""`kubectl claude advise` on a real API server: by a person who may only view, and patches that kubectl takes."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.apiserver.client import Client
from tests.apiserver.objects import deployment
from tests.apiserver.process import rendered
from tests.apiserver.server import ApiServer, environment
from tests.apiserver.test_people import bind
from tests.core.usage.readings import page, reading
from tests.plugin import Plugin

from claude_operator.api.usage import UsageRow
from claude_operator.core.usage.ledger import Spend, absorb
from claude_operator.core.usage.state import Usages, encode


@pytest.fixture
def plugin(server: ApiServer, namespace: str, tmp_path: Path) -> Iterator[Plugin]:
    path = f"{Path(server.kubectl[0]).parent}:{os.environ['PATH']}"
    found = Plugin(tmp_path / "bin", namespace, environment(server.kubeconfig, {"HOME": str(tmp_path)}), path)
    yield found
    found.end_all()


def used(obj: dict[str, Any], model: str) -> dict[str, Any]:
    """What the operator would have recorded in the last days."""
    now, state = dt.datetime.now(dt.UTC), Spend()
    for day in range(5, -1, -1):
        rows = [
            UsageRow("support-1", "stable", surface, "", model, 4_000, 0, 4_000_000, 2_000_000, 0, 0, 0, 60.0)
            for surface in ("chat", "night")
        ]
        state = absorb(state, reading(page("a", *rows, boot=f"boot-{day}")), now - dt.timedelta(days=day))
    owner = {
        "apiVersion": obj["apiVersion"], "kind": "ClaudeDeployment", "controller": True,
        "name": "support", "uid": obj["metadata"]["uid"],
    }  # fmt: skip
    metadata = {"name": "support-usage", "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": encode(Usages(state))}


def test_a_viewer_gets_advice_and_the_api_server_takes_each_patch(
    admin: Client, namespace: str, plugin: Plugin, programs: Path, tmp_path: Path
) -> None:
    for one in rendered(programs / "helm", "claude-system"):
        if one["kind"] == "ClusterRole" and one["metadata"]["name"].endswith("-view"):
            admin.apply(one)
    bind(admin, namespace, "vera", "system:aggregate-to-view", "claude-operator-view")
    request = {"model": "claude-opus-5-5", "max_tokens": 64, "system": [{"type": "text", "text": "Help."}]}
    budgets = [{"surface": "night", "metric": "throughput", "min": "50/h"}]
    obj = admin.create(deployment(request=request, budgets=budgets), namespace)
    said = plugin.run("advise", "support", code=1)
    assert "the operator has recorded nothing yet" in said
    admin.create(used(obj, "claude-opus-5-5"), namespace)

    assert "ask claude-haiku-5-5 instead of claude-opus-5-5" in plugin.run("advise", "support", "--as=vera")
    facts = plugin.facts("advise", "support")
    assert {"SmallerModel", "LowerEffort", "Batches"} <= {one["lever"] for one in facts["advice"]}
    for one in facts["advice"]:
        path = tmp_path / f"{one['number']}.yaml"
        path.write_text(plugin.run("advise", "support", f"--patch={one['number']}"))
        assert yaml.safe_load(path.read_text()) == one["patch"]
        words = ["kubectl", "patch", "cld", "support", f"--namespace={namespace}", "--type=merge"]
        subprocess.run(
            [*words, f"--patch-file={path}", "--dry-run=server"], env=plugin.environment, check=True, timeout=60
        )
    assert "there is no advice 99" in plugin.run("advise", "support", "--patch=99", code=1)
    assert "spec.evals is not set" in plugin.run("advise", "support", "--try=1", code=1)
    batch = next(one["number"] for one in facts["advice"] if one["lever"] == "Batches")
    assert "makes no new revision" in plugin.run("advise", "support", f"--try={batch}", code=1)
