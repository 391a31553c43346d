"""`kubectl claude audit` on a real API server: what it finds, whose dates count, and who may not see all."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.client import Client, wait_for
from tests.apiserver.objects import deployment, says
from tests.apiserver.process import Operator
from tests.apiserver.test_people import people  # noqa: F401
from tests.apiserver.test_plugin import begin, plugin, served, status  # noqa: F401
from tests.core.audit.test_console import ROW, USAGE, file
from tests.plugin import Plugin

from claude_operator.api.usage import UsageRow

Object = dict[str, Any]
KIND = "claudeops.dev/v1alpha1"


@pytest.fixture
def model(admin: Client) -> Iterator[str]:
    """A model of the cluster's own that stays Deprecated until its last day, 2999-12-31."""
    name = f"claude-own-{secrets.token_hex(4)}"
    spec = {"id": name, "deprecatedAt": "2001-01-01", "retiresAt": "2999-12-31", "replacement": "claude-opus-5-5"}
    admin.create({"apiVersion": KIND, "kind": "ClaudeModel", "metadata": {"name": name}, "spec": spec})
    yield name
    admin.delete("ClaudeModel", name)


def eval_set(model: str) -> Object:
    """A set with one item and a grader."""
    test = {"id": "one", "input": "How are you?", "assert": [{"type": "llm-rubric", "value": "is polite"}]}
    spec = {"tests": [test], "graders": [{"name": "default", "model": model}]}
    return {"apiVersion": KIND, "kind": "ClaudeEvalSet", "metadata": {"name": "answers"}, "spec": spec}


def test_what_serves_and_what_grades_is_found_with_the_clusters_own_dates(
    admin: Client,
    namespace: str,
    operate: Callable[..., Operator],
    plugin: Plugin,  # noqa: F811
    model: str,
) -> None:
    old = {**says("Be kind."), "model": model}
    with served(admin, namespace, operate(), request=old) as gateways:
        revision = begin(admin, namespace, gateways, "Be brief.")
        stable = status(admin, namespace)["stableRevision"]
        gateways.pods["support"].usage = [UsageRow(stable, "stable", "chat", "", model, 3, cost_usd=0.5)]
        admin.create(eval_set(model), namespace)

        def found() -> Object | None:
            facts: Object = plugin.facts("audit")
            calls = {one["where"]: one["calls"] for one in facts["uses"] if one["modelID"] == model}
            return facts if calls.get("request") == 3 else None

        facts = wait_for(found, 150, "calls are not counted")
    uses = {(one["kind"], one["where"], one["modelID"]): one for one in facts["uses"]}
    serving, grading = (
        uses[kind, where, model]
        for kind, where in (("ClaudeDeployment", "request"), ("ClaudeEvalSet", "judge default"))
    )
    assert serving["revisions"] == [{"role": "stable", "revision": stable}]
    assert (
        (serving["state"], serving["replacement"])
        == (grading["state"], "claude-opus-5-5")
        == (
            "Deprecated",
            "claude-opus-5-5",
        )
    )
    asked = uses["ClaudeDeployment", "request", "claude-opus-5-5"]["revisions"]
    assert asked == [{"role": "spec", "revision": None}, {"role": "canary", "revision": revision}]
    late = plugin.facts("audit", "--as-of=2999-12-01")
    assert {one["daysLeft"] for one in late["uses"] if one["modelID"] == model} == {30}
    assert plugin.facts("audit", "--as-of=2999-12-31")["models"]["Retired"] == 1
    assert f"2 uses beyond --fail-on: {model}" in plugin.run("audit", "--fail-on=Deprecated", code=9)
    assert plugin.run("audit", "--as-of=2999-12-01", "--fail-on=29")
    assert plugin.run("audit", "--as-of=2999-12-02", "--fail-on=29", code=9)
    assert f"{model} is Deprecated: retires 2999-12-31" in plugin.run("audit")
    elsewhere = plugin.facts("audit", "-A")
    assert elsewhere["deployments"] >= facts["deployments"] == 1


def test_exports_of_the_console_are_read_without_a_cluster(
    plugin: Plugin,  # noqa: F811
    tmp_path: Path,
) -> None:
    export = tmp_path / "usage.csv"
    export.write_bytes(b"\xef\xbb\xbf" + file(USAGE, ROW, ROW.replace("Closer App", "=HYPERLINK(1)"), end="\r\n"))
    alone = ("audit", "--no-cluster", f"--usage-csv={export}", "--as-of=2026-11-24", "--context=nowhere")
    facts = plugin.facts(*alone)
    assert [(one["apiKey"], one["state"], one["daysLeft"], one["usedIn"]) for one in facts["keys"]] == [
        ("=HYPERLINK(1)", "Deprecated", 6, "unknown"),
        ("Closer App", "Deprecated", 6, "unknown"),
    ]
    rows = list(csv.DictReader(io.StringIO(plugin.run(*alone, "-o", "csv"))))
    assert [one["apiKey"] for one in rows] == ["'=HYPERLINK(1)", "Closer App"]
    plugin.run(*alone, "--fail-on=6d", code=9)
    plugin.run(*alone, "--fail-on=5d")
    assert plugin.facts(*alone, "--since=2026-11-29")["keys"] == []
    export.write_bytes(export.read_bytes()[:-30])
    assert f"error: {export}: line 3 has" in plugin.run(*alone, code=1)
    assert "--no-cluster needs --usage-csv" in plugin.run("audit", "--no-cluster", code=2)
    assert "'soon' is not a limit; use Legacy, Deprecated, Retired" in plugin.run(*alone, "--fail-on=soon", code=2)
    assert "is not a date; use e.g. 2026-11-30" in plugin.run("audit", "--as-of=30.11.2026", code=2)


def test_a_person_without_all_rights_is_told_what_was_not_looked_at(
    admin: Client,
    namespace: str,
    plugin: Plugin,  # noqa: F811
    people: Callable[[str], Client],  # noqa: F811
) -> None:
    admin.create(deployment(), namespace)
    people("vera")
    facts = plugin.facts("audit", "--as=vera")
    assert [one["where"] for one in facts["uses"]] == ["request"]
    assert "ClaudeModels cannot be read" in facts["unread"][0]
    assert any("ClaudeOrganizations cannot be read" in one for one in facts["notes"])
    said = plugin.run("audit", "--as=vera", "--fail-on=Retired", code=1)
    assert "the audit is not complete" in said
    assert "forbidden" in plugin.run("audit", "-A", "--as=vera", code=1)
