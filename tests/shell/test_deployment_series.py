"""What the operator's /metrics shows of each ClaudeDeployment."""

from __future__ import annotations

import datetime as dt

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.shell.rig import NAME, SPACE, START, Rig, on_trial, serving

from claude_operator.api.budgets import BudgetStatus
from claude_operator.api.served import ModelInUse
from claude_operator.api.status import DeploymentStatus
from claude_operator.shell.keys import DEPLOYMENT, Key
from claude_operator.shell.metrics import Metrics

Series = dict[tuple[str, ...], float]
LABELS = (
    "namespace",
    "name",
    "type",
    "status",
    "reason",
    "revision",
    "role",
    "surface",
    "metric",
    "percentile",
    "max",
    "model",
    "state",
)


def shown(metrics: Metrics) -> Series:
    """Series about ClaudeDeployments, by their name without the prefix and the values of their labels."""
    return {
        (
            sample.name.removeprefix("claude_operator_"),
            *(sample.labels[one] for one in LABELS if one in sample.labels),
        ): sample.value
        for family in text_string_to_metric_families(metrics.page().decode())
        for sample in family.samples
        if "namespace" in sample.labels
    }


def of(rig: Rig, family: str) -> Series:
    found = {key[1:]: value for key, value in shown(rig.metrics).items() if key[0] == family}
    assert all(key[:2] == (SPACE, NAME) for key in found)
    return {key[2:]: value for key, value in found.items()}


async def test_what_is_served_and_judged_is_shown() -> None:
    rig = await on_trial()
    conditions = {key[0]: key[1:] for key in of(rig, "condition")}
    assert conditions.keys() == {one.type for one in rig.status.conditions}
    assert conditions["Ready"] == ("True", "Serving")
    assert conditions["Promoted"][0] == "Unknown"
    assert {role: percent for (_, role), percent in of(rig, "traffic_percent").items()} == {"stable": 90, "canary": 10}
    assert of(rig, "gateways_ready")[()] >= 1
    rig.gateways.serve("gw-1", "canary", 48, bad=2)
    rig.gateways.serve("gw-1", "stable", 450)
    rig.wait(5)
    await rig.one()
    judgement = rig.status.judgement
    assert judgement is not None
    assert of(rig, "evidence")[("combined",)] == pytest.approx(judgement.evidence)
    assert of(rig, "evidence").keys() == {("combined",), *((one.name,) for one in judgement.state)}
    assert of(rig, "evidence_threshold") == {(): judgement.threshold}


async def test_evidence_ends_with_the_rollout() -> None:
    rig = await on_trial()
    rig.gateways.serve("gw-1", "canary", 20, bad=100)
    rig.gateways.serve("gw-1", "stable", 900)
    rig.wait(5)
    await rig.settle()
    assert rig.condition("Promoted")[1] == "RolledBack"
    assert ("Promoted", "False", "RolledBack") in of(rig, "condition")
    assert of(rig, "evidence") == of(rig, "evidence_threshold") == {}


async def test_nothing_is_shown_of_what_is_gone() -> None:
    rig = await serving()
    assert of(rig, "condition")
    rig.kube.drop("ClaudeDeployment", NAME)
    await rig.one()
    assert shown(rig.metrics) == {}


async def test_nothing_is_shown_while_nothing_can_be_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = await serving()

    def crash(*_: object) -> None:
        raise IndexError("step 99 of 2")

    with monkeypatch.context() as patched:
        patched.setattr("claude_operator.shell.reconcile.decide", crash)
        with pytest.raises(IndexError):
            await rig.one()
    assert shown(rig.metrics) == {}
    await rig.one()
    assert of(rig, "condition")


@pytest.mark.parametrize(("target", "share"), [("95 %", 0.95), ("99.9 %", 0.999), ("50", 0.5), ("most", None)])
def test_the_target_of_a_budget(target: str, share: float | None) -> None:
    metrics = Metrics()
    budget = BudgetStatus(
        surface="chat", metric="duration", limit="at most 2s", target=target, window="1h", state="Within", as_of=START
    )
    metrics.deployments.show(Key(DEPLOYMENT, "shop", "support"), DeploymentStatus(budgets=[budget]))
    assert list(shown(metrics).values()) == ([] if share is None else [pytest.approx(share)])


def test_budgets_of_one_metric_are_told_apart() -> None:
    metrics = Metrics()
    budgets = [
        BudgetStatus(
            surface="chat", metric=metric, limit=limit, target=target, window="1h", state="Within", as_of=START
        )
        for metric, limit, target in (
            ("timeToFirstToken", "at most 1s", "50 %"),
            ("timeToFirstToken", "at most 1500ms", "95 %"),
            ("throughput", "at least 2/s", "99.9 %"),
        )
    ]
    metrics.deployments.show(Key(DEPLOYMENT, "shop", "support"), DeploymentStatus(budgets=budgets))
    assert {key[3:]: value for key, value in shown(metrics).items()} == {
        ("chat", "timeToFirstToken", "50", "1"): 0.5,
        ("chat", "timeToFirstToken", "95", "1.5"): 0.95,
        ("chat", "throughput", "99.9", ""): pytest.approx(0.999),
    }


@pytest.mark.parametrize(("date", "known"), [("2027-02-01", True), (None, False), ("soon", False)])
def test_when_a_model_is_switched_off(date: str | None, known: bool) -> None:
    metrics = Metrics()
    judge = ModelInUse(id="claude-y", lifecycle="Active", where=["judge default"])
    status = DeploymentStatus(models=[ModelInUse(id="claude-x", lifecycle="Deprecated", retires_at=date), judge])
    metrics.deployments.show(Key(DEPLOYMENT, "shop", "support"), status)
    key = ("model_retirement_timestamp_seconds", "shop", "support", "claude-x")
    end = dt.datetime(2027, 2, 1, tzinfo=dt.UTC).timestamp()
    used = {
        ("model_in_use", "shop", "support", "claude-x", "Deprecated"): 1.0,
        ("model_in_use", "shop", "support", "claude-y", "Active"): 1.0,
    }
    assert shown(metrics) == used | ({key: end} if known else {})
    metrics.deployments.clear()
    assert shown(metrics) == {}
