"""Drills on a real cluster: what they report, what they cost live traffic, and that they give way to a rollout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import support
from tests.cluster.record import Record
from tests.cluster.rollouts import annotate, begun, deployment, restarts, start
from tests.cluster.support import find, get, wait_for
from tests.cluster.traffic import Traffic
from tests.plugin import Plugin

pytestmark = pytest.mark.usefixtures("operator")

MOST = 5  # requests of users that a drill may fail


@pytest.fixture
def plugin(namespace: str, tmp_path: Path) -> Iterator[Plugin]:
    found = Plugin(tmp_path / "bin", namespace, os.environ, os.environ["PATH"])
    yield found
    found.end_all()


def test_ten_drills_in_a_row_cost_five_requests_each_at_most(namespace: str, plugin: Plugin) -> None:
    first = start(namespace)
    before = get("cld", "app", namespace=namespace)["status"]
    with Record(namespace) as record, Traffic("app", namespace, rate=40, keep_alive=False) as traffic:
        wait_for(lambda: len(traffic.answers) > 40, 30)
        pods = restarts(record)
        for number in range(1, 11):
            facts = plugin.facts("drill", "app", "--live", "--timeout=5m")
            print({key: facts[key] for key in ("id", "detectionSeconds", "rollbackSeconds", "requestsHurt")})
            assert (facts["result"], facts["id"], facts["revision"]) == ("Passed", f"app-drill-{number}", first), facts
            assert 0 <= facts["detectionSeconds"] < 60
            assert 0 <= facts["rollbackSeconds"] < 60
            assert 2 <= facts["requestsHurt"] <= MOST
        print(plugin.run("drill", "app", "--last"))
        rehearsal = plugin.facts("drill", "app", "--timeout=5m")
        assert (rehearsal["result"], rehearsal["mode"], rehearsal["requestsHurt"]) == ("Passed", "Rehearsal", 0)
        traffic.stop()
        assert restarts(record) == pods
    failed = traffic.failed()
    drills = {f"app-drill-{number}" for number in range(1, 11)}
    assert {answer.revision for answer in failed} == drills, [
        answer for answer in failed if answer.revision not in drills
    ]
    by_drill = {name: sum(answer.revision == name for answer in failed) for name in drills}
    print(by_drill)
    assert max(by_drill.values()) <= MOST
    assert len(failed) <= 10 * MOST
    after = get("cld", "app", namespace=namespace)["status"]
    for field in ("rollout", "rollouts", "stableRevision", "judgement", "soak", "replaced", "draining", "traffic"):
        assert after.get(field) == before.get(field), field
    assert [one["metadata"]["name"] for one in get("clr", namespace=namespace)] == [first]
    assert "drill.json" not in get("configmap", "app-gateway", namespace=namespace)["data"]


def test_a_drill_gives_way_to_a_new_revision(namespace: str, plugin: Plugin) -> None:
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=4, keep_alive=False) as traffic:
        waiting = plugin.start("drill", "app", "--live", "--timeout=5m")
        wait_for(lambda: _drill(namespace).get("running"), 60, "no drill began", every=0.05)
        support.apply(deployment("v2"), namespace)
        second = begun(record, first)
        out, err = waiting.communicate(timeout=300)
        print(out, err)
        if waiting.returncode != 0:  # it may have ended just before
            assert waiting.returncode == 5, f"{out}\n{err}"
            assert "ended without a result" in out
        annotate(namespace, "drill", f"{first}/live/2026-01-01T00:00:00Z")
        promoted = plugin.run("status", "app", "--watch", "--timeout=10m")
        traffic.stop()
    assert f"Promoted {second} to 100 %" in promoted
    assert _drill(namespace)["number"] == 1
    assert not traffic.failed(besides={"app-drill-1"})
    assert len(traffic.failed()) <= MOST


def test_who_asks_in_vain_is_told_why(namespace: str, plugin: Plugin) -> None:
    steps: list[dict[str, Any]] = [{"setWeight": 10}, {"pause": {}}]
    first = start(namespace, steps=steps)
    assert plugin.run("drill", "app", "--last", code=1).startswith(f"{namespace}/app  Never")
    with Record(namespace) as record:
        support.apply(deployment("v2", steps), namespace)
        second = begun(record, first)
        assert f"the rollout of {second} is under way" in plugin.run("drill", "app", "--live", code=1)
    assert find("cld", "app", namespace=namespace)["status"].get("drill") is None


def _drill(namespace: str) -> dict[str, Any]:
    return dict(get("cld", "app", namespace=namespace)["status"].get("drill") or {})
