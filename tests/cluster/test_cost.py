"""What calls cost on a real cluster: the operator's record is what the simulator would bill, to the cent."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.apps import SIMULATOR
from tests.cluster.rollouts import scenario, start
from tests.cluster.support import get, kubectl, wait_for
from tests.cluster.traffic import Traffic
from tests.plugin import Plugin

from claude_operator.core import names

pytestmark = pytest.mark.usefixtures("operator")

_CALLS = 240


@pytest.fixture
def plugin(namespace: str, tmp_path: Path) -> Iterator[Plugin]:
    found = Plugin(tmp_path / "bin", namespace, os.environ, os.environ["PATH"])
    yield found
    found.end_all()


def ledger(method: str = "GET") -> list[dict[str, Any]]:
    """What the simulator would bill since it was reset by DELETE."""
    request = urllib.request.Request(f"{SIMULATOR}/-/ledger", method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        body = answer.read()
    payments: list[dict[str, Any]] = json.loads(body)["payments"] if method == "GET" else []
    return payments


def test_the_cost_is_what_the_simulator_would_bill_though_a_gateway_ends_meanwhile(
    namespace: str, plugin: Plugin
) -> None:
    scenario()
    revision = start(namespace)
    ledger("DELETE")
    selector = ",".join(f"{label}={value}" for label, value in names.selector("app", "gateway").items())
    with Traffic("app", namespace, rate=40, total=_CALLS, retries=2, keep_alive=False) as traffic:
        wait_for(lambda: len(traffic.answers) >= _CALLS // 3, 60)
        leaving = get("pods", namespace=namespace, selector=selector)[0]["metadata"]["name"]
        kubectl("delete", "pod", leaving, "--wait=false", namespace=namespace)
        wait_for(lambda: len(traffic.answers) >= _CALLS, 120)
        traffic.stop()
    paid = ledger()
    usd = sum(one["costUSD"] for one in paid)

    def all_read() -> Any:
        found = plugin.facts("cost", "app")
        return found if found["total"]["calls"] >= len(paid) else None

    total = wait_for(all_read, 150, f"{len(paid)} calls were paid")["total"]
    print(plugin.run("cost", "app", "--by", "surface"))
    assert (total["calls"], total["unpricedCalls"]) == (len(paid), 0)
    prompt = sum(total[name] for name in ("inputTokens", "cacheReadTokens", "cacheWrite5mTokens", "cacheWrite1hTokens"))
    assert prompt == sum(one["inputTokens"] for one in paid)
    assert total["outputTokens"] == sum(one["outputTokens"] for one in paid)
    assert abs(total["costUSD"] - usd) < 0.000001
    assert "a whole day is needed" in plugin.run("advise", "app", code=1)
    (row,) = plugin.facts("cost", "--by", "revision")["rows"]
    assert (row["namespace"], row["revision"], row["calls"]) == (namespace, revision, len(paid))
    assert plugin.run("cost", "app", "-o", "csv").splitlines()[1].startswith(f"{namespace},app,{len(paid)},0,")
    cost = get("cld", "app", namespace=namespace)["status"]["cost"]
    assert (cost["unpriced"], cost["month"][:1]) == (0, "$")
