"""`kubectl claude audit` on a real cluster: what serves and grades, its calls, and keys that the Console tells of."""

from __future__ import annotations

import csv
import io
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import support
from tests.cluster.apps import Object, answered
from tests.cluster.rollouts import scenario, start
from tests.cluster.support import kubectl, wait_for
from tests.core.audit.test_console import ROW, USAGE, file
from tests.plugin import Plugin

pytestmark = pytest.mark.usefixtures("operator")

KIND = "claudeops.dev/v1alpha1"
CALLS = 4


@pytest.fixture
def plugin(namespace: str, tmp_path: Path) -> Iterator[Plugin]:
    found = Plugin(tmp_path / "bin", namespace, os.environ, os.environ["PATH"])
    yield found
    found.end_all()


@pytest.fixture
def model() -> Iterator[str]:
    """A model of the cluster's own that is Deprecated on any day until 2999-12-31."""
    name = f"claude-own-{secrets.token_hex(4)}"
    spec = {"id": name, "deprecatedAt": "2001-01-01", "retiresAt": "2999-12-31", "replacement": "claude-opus-5-5"}
    support.apply({"apiVersion": KIND, "kind": "ClaudeModel", "metadata": {"name": name}, "spec": spec})
    yield name
    kubectl("delete", "clm", name)


def eval_set(model: str) -> Object:
    """A set that this model grades."""
    test = {"id": "one", "input": "How are you?", "assert": [{"type": "llm-rubric", "value": "is polite"}]}
    spec = {"tests": [test], "graders": [{"name": "default", "model": model}]}
    return {"apiVersion": KIND, "kind": "ClaudeEvalSet", "metadata": {"name": "answers"}, "spec": spec}


def test_what_uses_a_model_that_nears_its_end_is_found_and_gone_once_it_is_replaced(
    namespace: str, plugin: Plugin, model: str, tmp_path: Path
) -> None:
    scenario()
    stable = start(namespace)
    support.apply(eval_set(model), namespace)
    for _ in range(CALLS):
        answered(namespace, "app")

    def counted() -> Object | None:
        facts: Object = plugin.facts("audit")
        serving = next(one for one in facts["uses"] if one["where"] == "request")
        return serving if serving["calls"] == CALLS else None

    serving = wait_for(counted, 200, "the calls were not counted", every=2)
    assert serving["revisions"] == [{"role": "spec", "revision": None}, {"role": "stable", "revision": stable}]
    print(shown := plugin.run("audit", "--fail-on=Deprecated", code=9))
    assert f"{model} is Deprecated: retires 2999-12-31" in shown
    assert f"1 use beyond --fail-on: {model}" in shown
    assert plugin.facts("audit", "--as-of=2999-12-31", "--fail-on=Retired", code=9)["models"]["Retired"] == 1

    export = tmp_path / "usage.csv"
    export.write_bytes(file(USAGE, ROW.replace("claude-sonnet-4-5-20250929", model)))
    found = plugin.facts("audit", f"--usage-csv={export}", "--cluster-key=Closer App")
    assert [(one["state"], one["usedIn"]) for one in found["keys"]] == [("Deprecated", "cluster")]
    rows = list(csv.DictReader(io.StringIO(plugin.run("audit", f"--usage-csv={export}", "-o", "csv"))))
    assert {one["where"] or one["apiKey"] for one in rows if one["modelID"] == model} == {"judge default", "Closer App"}

    support.apply(eval_set("claude-opus-5-5"), namespace)
    print(plugin.run("audit", "--as-of=2026-11-24", "--fail-on=Deprecated"))
