"""`kubectl claude` on a real cluster: people watch a rollout that is rolled back, find out why, and go back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import support
from tests.cluster.record import Record
from tests.cluster.rollouts import bake, begun, deployment, errs, scenario, start
from tests.cluster.support import get, wait_for
from tests.cluster.traffic import Traffic
from tests.plugin import Plugin, Watching

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture
def plugin(namespace: str, tmp_path: Path) -> Iterator[Plugin]:
    found = Plugin(tmp_path / "bin", namespace, os.environ, os.environ["PATH"])
    yield found
    found.end_all()


def test_a_rollout_that_is_rolled_back_is_watched_and_explained(namespace: str, plugin: Plugin) -> None:
    scenario(errs("v2-bad"))
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic:
        wait_for(lambda: len(traffic.answers) > 20, 30)
        support.apply(deployment("v2-bad", [{"setWeight": 10}, bake(120, 1000)]), namespace)
        terminal = Watching(plugin, "status", "app", "--watch", "--timeout=10m")
        lines = plugin.start("status", "app", "--watch", "--timeout=10m")
        second = begun(record, first)
        painted = terminal.end(4)
        out, err = lines.communicate(timeout=600)
        assert lines.returncode == 4, f"{out}\n{err}"
        traffic.stop()
    print(out)
    assert "METRIC" in painted
    assert "█" in painted
    assert f"RolledBack: Rolled back {second} at 10 %" in out
    print(why := plugin.run("why", "app"))
    assert "traffic goes back at 100" in why
    facts = plugin.facts("why", "app")
    assert (facts["outcome"], facts["judgement"]["leading"]) == ("RolledBack", "errors")
    failed = [answer for answer in traffic.answers if answer.error and answer.revision == second]
    assert failed
    assert facts["calls"], facts["callsNote"]
    assert all(one["requestId"] and one["error"] for one in facts["calls"])
    print(plugin.run("history", "app"), plugin.run("diff", first, second), sep="\n")
    assert "v2-bad" in plugin.run("diff", first, second)
    assert f"app has the content of {first} again" in plugin.run("undo", "app")
    assert get("cld", "app", namespace=namespace)["spec"]["request"]["system"][0]["text"] == "v1"


def test_people_steer_a_rollout(namespace: str, plugin: Plugin) -> None:
    steps = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, bake(2)]
    first = start(namespace, steps=steps)
    with Record(namespace) as record, Traffic("app", namespace, rate=20) as traffic:
        support.apply(deployment("v2", steps), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second), 60, "v2 did not come to its pause")
        assert plugin.run("abort", "app").startswith(f"Aborted {second} at 20 %")
        assert plugin.run("retry", "app") == f"trying {second} again, attempt 2\n"
        wait_for(lambda: record.at(1, second) and record.rollout["attempt"] == 2, 60, "no second attempt")
        assert "spec.paused holds" in plugin.run("pause", "app")
        assert plugin.run("promote", "app", code=1)
        assert plugin.run("resume", "app")
        said = plugin.run("promote", "app")  # the weight is a step of its own, and may be over by then
        going_on = [f"{second}/2 continues with step {step} at 50 %\n" for step in (2, 3)]
        assert said in going_on or said.startswith(f"Promoted {second} to 100 %"), said
        assert f"Promoted {second} to 100 %" in plugin.run("status", "app", "--watch", "--timeout=10m")
        traffic.stop()
    assert not traffic.failed()
