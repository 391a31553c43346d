"""The gateways' document as a function of status and spec."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.core.reconcile.rules.sample import CANARY, NEW, OLD, STABLE, ended, observed, raw, serving, trial

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import (
    Arm,
    Egress,
    GatewayConfig,
    Limit,
    dump_config,
    dump_egress,
    parse_config,
    read_config,
)
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.reconcile.gateway_config import desired_config, rendered_size
from claude_operator.core.reconcile.observation import GatewayPod, GatewayView
from claude_operator.core.reconcile.progress import basis_points, canary_weight
from claude_operator.core.spec.networks import AddressRules
from claude_operator.core.spec.policy import Policy
from claude_operator.core.spec.validate import Problem


def arms(config: GatewayConfig | None) -> list[tuple[str, str, int]]:
    return [(arm.revision, arm.role, arm.weight) for arm in config.arms] if config else []


def wanted(status: DeploymentStatus, *, accepted: bool = True, **fields: Any) -> GatewayConfig | None:
    return desired_config(observed(status, **fields), status, accepted=accepted)


@pytest.mark.parametrize(
    ("percent", "points"), [(0, 0), (0.01, 1), (0.29, 29), (1, 100), (33.33, 3333), (57.53, 5753), (100, 10_000)]
)
def test_basis_points(percent: float, points: int) -> None:
    assert basis_points(percent) == points


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (DeploymentStatus(), []),
        (serving(), [(STABLE, "stable", 10_000)]),
        (trial(None), [(STABLE, "stable", 10_000), (CANARY, "canary", 0)]),
        (trial(1), [(STABLE, "stable", 9000), (CANARY, "canary", 1000)]),
        (trial(6), [(STABLE, "stable", 2000), (CANARY, "canary", 8000)]),
        (ended("RolledBack"), [(STABLE, "stable", 10_000)]),
    ],
)
def test_arms(status: DeploymentStatus, expected: list[tuple[str, str, int]]) -> None:
    config = wanted(status)
    assert arms(config) == expected
    assert config
    assert parse_config(dump_config(config)) == config


def test_no_weight_without_a_canary_or_a_step() -> None:
    assert canary_weight(trial(1, canary_revision=None)) == 0
    assert canary_weight(trial(None)) == 0


@pytest.mark.parametrize("accepted", [True, False])
def test_the_installers_egress_follows_at_once_whatever_the_spec_says(accepted: bool) -> None:
    seen = observed(serving())
    assert seen.config
    narrowed = replace(seen, policy=Policy(allowed_hosts=("a.example",), control_plane=("192.0.2.7/32",)))
    config = desired_config(narrowed, serving(), accepted=accepted)
    assert config
    assert config.limits == Egress(["a.example"], ["192.0.2.7/32"])
    assert config.generation == seen.config.generation + 1
    assert "a.example" not in dump_config(config)  # older gateways refuse fields that they do not know
    assert read_config({"config.json": dump_config(config), "egress.json": dump_egress(config)}) == config
    again = replace(narrowed, config=config)
    assert desired_config(again, serving(), accepted=accepted) == config


def test_the_generation_rises_with_any_change_and_only_then() -> None:
    seen = observed(trial(1))
    assert seen.config
    assert desired_config(seen, trial(1), accepted=True) == seen.config
    after = desired_config(seen, trial(3), accepted=True)
    assert after
    assert after.generation == seen.config.generation + 1
    assert wanted(trial(1), config=None, gateway=GatewayView()).generation == 1  # type: ignore[union-attr]


def test_what_is_not_said_is_not_written() -> None:
    """A gateway of an earlier version refuses a field that it does not know."""
    for gateway, written in (({}, False), ({"exposeRevision": True}, False), ({"exposeRevision": False}, True)):
        config = desired_config(observed(serving(), raw(gateway=gateway)), serving(), accepted=True)
        assert config is not None
        assert ("exposeRevision" in dump_config(config)) == written
        assert config.expose_revision is (False if written else msgspec.UNSET)


BUDGETS = [
    {"surface": "chat", "metric": "timeToFirstToken", "max": "1500ms"},
    {"surface": "jobs", "metric": "throughput", "min": "1000/h"},
    {"surface": "chat", "metric": "duration", "percentile": 99, "max": "30s"},
]


def test_budgets_are_told_once_all_pods_can_read_them() -> None:
    """Pods of an earlier version would refuse the config; once they know it, they know it while others start."""
    spec, reads = raw(budgets=BUDGETS), GatewayView(True, 2, reads_budgets=True)
    seen = observed(serving(), spec)
    before = desired_config(seen, serving(), accepted=True)
    assert before
    assert before.budgets is msgspec.UNSET
    assert "budgets" not in dump_config(before)
    config = desired_config(replace(seen, gateway=reads), serving(), accepted=True)
    assert config
    assert config.budgets == [Limit("chat", "timeToFirstToken", 1.5), Limit("chat", "duration", 30.0)]
    assert (config.generation, config.surfaces) == (before.generation + 1, ["chat", "jobs"])
    assert parse_config(dump_config(config)) == config
    assert desired_config(replace(seen, config=config), serving(), accepted=True) == config
    none = observed(serving(), raw(), config=config)
    after = desired_config(none, serving(), accepted=True)
    assert after
    assert after.budgets is msgspec.UNSET


@pytest.mark.parametrize("field", ["surfaces", "env"])
def test_every_field_of_the_document_counts(field: str) -> None:
    seen = observed(trial(1))
    assert seen.config
    other = msgspec.structs.replace(seen.config, **{field: ["x"]})
    after = desired_config(replace(seen, config=other), trial(1), accepted=True)
    assert after
    assert after.generation == other.generation + 1


def test_where_a_document_was_lost_its_number_is_not_used_again() -> None:
    pods = (GatewayPod("a", True, 31), GatewayPod("b", True, None))
    config = wanted(serving(), config=None, gateway=GatewayView(True, 2, pods))
    assert config
    assert config.generation == 32


def test_what_ended_last_is_told() -> None:
    config = wanted(ended("RolledBack"))
    assert config
    assert config.settled
    assert (config.settled.revision, config.settled.attempt, config.settled.outcome) == (CANARY, 1, "RolledBack")


def test_an_unaccepted_spec_changes_nothing_but_the_arms() -> None:
    live = observed(trial(1)).config
    spec = raw(upstream={"baseURL": "https://claude.example.com"})
    seen = replace(observed(trial(1), spec), config=live)
    assert desired_config(seen, trial(1), accepted=False) == live
    back = desired_config(seen, ended("RolledBack"), accepted=False)
    assert back
    assert live
    assert arms(back) == [(STABLE, "stable", 10_000)]
    assert back.upstream == live.upstream


def test_an_unaccepted_spec_has_no_document_before_something_serves() -> None:
    assert wanted(DeploymentStatus(), accepted=False, config=None) is None


def test_nothing_is_written_under_a_name_that_is_taken() -> None:
    taken = Problem(Reason.NAME_TAKEN, "ConfigMap support-gateway is not ours")
    assert wanted(serving(), accepted=False, config=None, problems=(taken,)) is None


EVIL = raw(upstream={"baseURL": "https://evil.example.com"})
METADATA = raw(upstream={"baseURL": "http://169.254.169.254"})
SECRET = Problem(Reason.SECRET_NOT_ALLOWED, "spec.upstream.apiKeySecretRef: Secret other is not labelled")
REFUSED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (EVIL, {"policy": Policy(allowed_hosts=("api.anthropic.com",))}),
    (METADATA, {"policy": Policy(rules=AddressRules())}),
    (EVIL, {"problems": (SECRET,)}),
]


@pytest.mark.parametrize(("spec", "fields"), REFUSED)
def test_a_spec_that_the_policy_refuses_never_stands_in_for_a_lost_document(
    spec: dict[str, Any], fields: dict[str, Any]
) -> None:
    seen = replace(observed(serving(), spec, **fields), config=None)
    assert desired_config(seen, serving(), accepted=False) is None


def test_a_spec_that_has_another_fault_does() -> None:
    odd = Problem(Reason.INVALID_SPEC, "spec.env is odd")
    policy = Policy(allowed_hosts=("api.anthropic.com",))
    assert arms(wanted(serving(), accepted=False, config=None, problems=(odd,), policy=policy))


@pytest.mark.parametrize(
    ("revisions", "expected"),
    [
        ({STABLE: OLD}, [(STABLE, "stable", 9000), (CANARY, "canary", 1000)]),
        ({}, [(STABLE, "stable", 9000), (CANARY, "canary", 1000)]),
    ],
)
def test_a_deleted_revision_is_served_from_what_is_live(revisions: Any, expected: Any) -> None:
    assert arms(wanted(trial(1), revisions=revisions)) == expected


def test_a_canary_that_nothing_is_known_of_leaves_all_to_stable() -> None:
    assert arms(wanted(trial(1), revisions={STABLE: OLD}, config=None)) == [(STABLE, "stable", 10_000)]


def test_rendered_size_is_that_of_the_arms() -> None:
    seen = observed(serving())
    candidate, stable, kept = rendered_size(seen, NEW, STABLE, STABLE)
    spec = NEW["spec"]["request"]
    assert candidate == len(msgspec.json.encode(Arm(CANARY, "stable", 0, spec)))
    assert 100 < stable == kept < 1000
    assert rendered_size(seen, NEW, None)[1] == 0
    assert rendered_size(seen, NEW, "support-gone")[1] == 0
