"""A real operator and a real gateway under a real Prometheus: each panel of the dashboards has data, alerts fire.

The operator promotes a revision and takes another one back meanwhile. UPDATE_PICTURES=1 draws docs/img/dashboard-*.svg.
"""

from __future__ import annotations

import json
import os
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.apiserver.client import Client, wait_for
from tests.apiserver.conftest import clear, new_namespace
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.objects import deployment, secret
from tests.apiserver.process import Operator
from tests.cluster.prometheus import NoPrometheusError, Prometheus, program
from tests.monitoring.panels import Series, draw
from tests.monitoring.promtool import CHART, scaled
from tests.monitoring.stage import GatewayPod, Simulator, Traffic

from claude_operator.api.gateway import ADMIN_PORT

PICTURES = Path(__file__).parents[2] / "docs/img"
SCENARIO = """
defaults: {latency: {median: 60ms, p95: 200ms}, tokensPerSecond: 600}
rules:
- {match: {systemContains: "Be rude"}, errorRate: 0.35, latency: {median: 150ms, p95: 500ms}}
- {match: {questionContains: "Question 1"}, overloadRate: 0.03}
"""
BUDGETS = [{"surface": "other", "metric": "timeToFirstToken", "percentile": 95, "max": "30s"}]
BURNS = 'ALERTS{alertname="ClaudeLatencyBudgetBurnsFast", alertstate="firing"}'
POINTS = 150  # of a series in a picture
WITHOUT_DATA = {
    "rollouts: Verdicts by arm": "nothing is graded here",
    "rollouts: Graders": "nothing is graded here",
    "cost: Cost of live grading": "nothing is graded here",
    "cost: Answers without a price": "each model has a price",
    "cost: Unpriced answers": "each model has a price",
    "cost: Cold calls by cause": "the cache works",
    "cost: Forecast": "there is none yet after a minute",
}


def request(words: str) -> dict[str, Any]:
    """A prompt that is long enough to be cached."""
    text = f"{words}. " + "Answer questions about orders, parcels and bills of our shop. " * 200
    block = {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
    return {"model": "claude-opus-5-5", "max_tokens": 64, "system": [block]}


class Asking:
    """What Prometheus answers over the time of the test, as a dashboard asks."""

    def __init__(self, url: str, since: float) -> None:
        self._url, self.span = url, (since, time.time())

    def __call__(self, expr: str, at_the_end: bool = False) -> list[Series]:
        seconds = int(self.span[1] - self.span[0])
        for variable, value in {"$__rate_interval": "15s", "$__range": f"{seconds}s"}.items():
            expr = expr.replace(variable, value)
        asked: dict[str, Any] = {"query": re.sub(r"\$(namespace|name|job)\b", ".*", expr)}
        if at_the_end:
            found = self._ask("query", {**asked, "time": self.span[1]})
        else:
            step = max(seconds // POINTS, 1)
            found = self._ask("query_range", {**asked, "start": self.span[0], "end": self.span[1], "step": step})
        return [
            Series(one["metric"], tuple((float(t), float(value)) for t, value in one.get("values") or [one["value"]]))
            for one in sorted(found, key=lambda one: sorted(one["metric"].items()))
        ]

    def _ask(self, path: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(asked)}") as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    """It has the chart's rules; in those of latency budgets an hour is a minute."""
    try:
        program()
    except NoPrometheusError as error:
        pytest.skip(str(error))
    folder = tmp_path / "prometheus"
    folder.mkdir()
    (folder / "rules.yaml").write_text(scaled())
    with Prometheus(folder, rules=[folder / "rules.yaml"]) as running:
        yield running


def reason(admin: Client, namespace: str) -> str:
    """Of the condition Promoted, of the newest spec; empty until the operator has seen that."""
    found = admin.take("ClaudeDeployment", "support", namespace)
    newest = found["metadata"]["generation"]
    conditions = [one for one in found.get("status", {}).get("conditions", []) if one["observedGeneration"] == newest]
    return next((one["reason"] for one in conditions if one["type"] == "Promoted"), "")


def test_each_panel_has_data_and_a_rollback_alerts(
    admin: Client, operate: Callable[..., Operator], prometheus: Prometheus, tmp_path: Path
) -> None:
    began, namespace = time.time(), new_namespace(admin, "shop")
    operator = operate()
    operator.until_leading()
    canary = {"steps": [{"setWeight": 50}, {"pause": {"duration": "20s"}}], "analysis": {"interval": "2s"}}
    folder = tmp_path / "pod"
    folder.mkdir()
    with Simulator(folder, SCENARIO) as simulator:
        upstream = {"baseURL": simulator.url, "apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}
        body = deployment(request=request("Be kind"), upstream=upstream, strategy={"canary": canary}, budgets=BUDGETS)
        admin.create(secret(), namespace)
        admin.create(body, namespace)
        pod = GatewayPod(admin, namespace, "support", folder)
        with ExitStack() as running:
            running.enter_context(Kubelet(admin, namespace, lambda _: [pod.address]))
            running.enter_context(pod)
            where = {"namespace": namespace, "name": "support", "pod": pod.pod, "job": "gateways", "instance": pod.pod}
            system = {"namespace": namespace, "pod": "operator-a", "job": "operator", "instance": "operator-a"}
            targets = [(f"{pod.address}:{ADMIN_PORT}", where), (f"127.0.0.1:{operator.port}", system)]
            prometheus.reads_each(targets)
            wait_for(lambda: reason(admin, namespace) == "Promoted", 120, "the first revision does not serve")
            running.enter_context(Traffic(pod))
            for words, outcome in (("Be brief", "Promoted"), ("Be rude", "RolledBack")):
                change = {"spec": {"request": request(words)}}
                admin.patch("ClaudeDeployment", "support", namespace, change)
                wait_for(lambda outcome=outcome: reason(admin, namespace) == outcome, 240, f"{words}: not {outcome}")
            burns = lambda: bool(Asking(prometheus.url, began)(BURNS, True))  # noqa: E731
            assert not burns()
            for most, fires in (("1ms", True), ("30s", False)):
                budgets = [{**BUDGETS[0], "max": most}]
                admin.patch("ClaudeDeployment", "support", namespace, {"spec": {"budgets": budgets}})
                wait_for(lambda fires=fires: burns() is fires, 240, f"the alert of a budget of {most}: not {fires}")
            wait_for(lambda: spends(operator), 120, "the operator knows no cost")
            time.sleep(8)  # some scrapes more
            asking = Asking(prometheus.url, began)
        clear(admin, namespace)
    check_panels(asking, tmp_path)
    ended = {one.labels["outcome"]: one.points[0][1] for one in asking("claude_operator_rollouts_total", True)}
    assert {outcome: count for outcome, count in ended.items() if count} == {"Promoted": 2, "RolledBack": 1}
    [rolled_back] = asking('increase(claude_operator_rollouts_total{outcome="RolledBack"}[$__range])', True)
    assert rolled_back.points[0][1] > 0  # also the first of its kind
    fired = {one.labels["alertname"] for one in asking('ALERTS{alertstate="firing"}')}
    assert "ClaudeCanaryRolledBack" in fired
    assert fired <= {"ClaudeCanaryRolledBack", "ClaudeLatencyBudgetBurnsFast"}


def spends(operator: Operator) -> bool:
    """Whether it has added up what calls cost."""
    with suppress(KeyError):
        return operator.metric("claude_operator_cost_usd", 'window="month"') > 0
    return False


def check_panels(asking: Asking, folder: Path) -> None:
    """Each panel has data where something happens, and each dashboard can be drawn. No ClaudeOrganization is here."""
    empty = []
    for path in sorted({*(CHART / "dashboards").glob("*.json")} - {CHART / "dashboards/organization.json"}):
        dashboard = json.loads(path.read_text())
        for panel in dashboard["panels"]:
            if "targets" in panel and not any(asking(target["expr"], target["instant"]) for target in panel["targets"]):
                empty.append(f"{path.stem}: {panel['title']}")
        picture = draw(dashboard, asking, asking.span)
        (folder / f"{path.stem}.svg").write_text(picture)
        if os.environ.get("UPDATE_PICTURES"):
            (PICTURES / f"dashboard-{path.stem}.svg").write_text(picture)
    assert set(empty) == WITHOUT_DATA.keys()
