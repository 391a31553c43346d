"""`kubectl claude lint` on a real cluster: it refuses what the cluster refuses, and an edit costs what it says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster import support
from tests.cluster.rollouts import deployment, scenario, start
from tests.cluster.support import get, wait_for
from tests.cluster.traffic import Traffic
from tests.plugin import Plugin

from claude_operator.core.usage.cache import Sums, total
from claude_operator.core.usage.state import decode

pytestmark = pytest.mark.usefixtures("operator")

PROMPT = "Answer briefly, and name the article of the handbook that you rely on. " * 60  # some 1,400 tokens
_READING = 150.0  # seconds in which gateways are read twice
_MOST_WRITES = 20  # by calls that begin before the first of them has filled the cache


@pytest.fixture
def plugin(namespace: str, tmp_path: Path) -> Iterator[Plugin]:
    found = Plugin(tmp_path / "bin", namespace, os.environ, os.environ["PATH"])
    yield found
    found.end_all()


def cached(text: str) -> dict[str, Any]:
    """A request with a breakpoint behind its prompt."""
    block = {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
    return {"model": "claude-haiku-5-5", "max_tokens": 64, "system": [block]}


def recorded(namespace: str, revision: str) -> Sums:
    """What the gateways counted of a revision's prompts."""
    found = support.find("configmap", "app-usage", namespace=namespace)
    kept, fault = decode((found or {}).get("binaryData") or {})
    assert not fault
    return total(one for rows in kept.cache.slots.values() for one in rows if one.revision == revision)


def test_an_edit_writes_again_what_lint_says(namespace: str, plugin: Plugin, tmp_path: Path) -> None:
    scenario()
    first = start(namespace, request=cached(PROMPT))
    file = tmp_path / "app.yaml"
    with Traffic("app", namespace, rate=10) as traffic:
        wait_for(lambda: recorded(namespace, first).read, _READING, "nothing is recorded")
        edited = deployment("", [], request=cached(f"Be kind. {PROMPT}"))
        file.write_text(yaml.safe_dump(edited))
        facts = plugin.facts("lint", "-f", str(file), "--against", "live")
        ((rewrite,),) = [edit["rewrites"] for edit in facts["edits"]]
        assert (facts["errors"], rewrite["changes"][0]["path"]) == (0, "spec.request.system[0]")
        assert rewrite["sessions"] >= 1
        assert rewrite["sessionsAreAtMost"]
        print(plugin.run("lint", "-f", str(file), "--against", "live"))

        support.apply(edited, namespace)
        support.wait("cld/app", until="condition=Promoted", timeout=90, namespace=namespace)
        second = str(
            wait_for(
                lambda: (name := get("cld", "app", namespace=namespace)["status"]["stableRevision"]) != first and name
            )
        )
        wait_for(lambda: recorded(namespace, second).read, _READING, "nothing is recorded of the edit")
        traffic.stop()
    written = recorded(namespace, second).written
    assert written % rewrite["tokensOnce"] == 0, (written, rewrite)
    assert 1 <= written // rewrite["tokensOnce"] <= _MOST_WRITES
    assert not traffic.failed()
    assert "nothing that is cached is written again" in plugin.run("lint", "-f", str(file), "--against", second)


def test_what_lint_refuses_is_refused(namespace: str, plugin: Plugin, tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(yaml.safe_dump(deployment("v1", [{"setWeight": 10}, {"setWeight": 5}])))
    said = plugin.run("lint", "-f", str(file), code=1)
    assert "weights must rise from step to step" in said
    assert f"{file}:" in said
    with pytest.raises(support.CommandError, match="weights must rise from step to step"):
        support.apply(file, namespace)
