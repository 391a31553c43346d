"""Nothing is written when nothing changed, and everything is when something did."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from tests.core.render.sample import FULL, MINIMAL, everything, gateway, pod_of, with_spec

from claude_operator.core.render import covers
from claude_operator.core.spec.quantity import quantity


@pytest.mark.parametrize(
    ("live", "wanted", "covered"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}, True),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
        ({}, {"a": {}}, False),
        (None, {"a": 1}, False),
        ({"a": None}, {"a": {"b": 1}}, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [2, 1], False),
        ([1, 2, 3], [1, 2], False),
        ([], [1], False),
        ({"a": 1}, {"a": [1]}, False),
        ([{"name": "http", "port": 80, "protocol": "TCP"}], [{"name": "http", "port": 80}], True),
        (1, True, False),
        (True, True, True),
        ("1", 1, False),
        # Amounts are equal by value.
        ({"resources": {"limits": {"cpu": "500m"}}}, {"resources": {"limits": {"cpu": "0.5"}}}, True),
        ({"resources": {"limits": {"cpu": "2"}}}, {"resources": {"limits": {"cpu": 2}}}, True),
        ({"resources": {"limits": {"memory": "1Gi"}}}, {"resources": {"limits": {"memory": "1024Mi"}}}, True),
        ({"resources": {"limits": {"memory": "1Gi"}}}, {"resources": {"limits": {"memory": "1G"}}}, False),
        ({"emptyDir": {"sizeLimit": "64Mi"}}, {"emptyDir": {"sizeLimit": "65536Ki"}}, True),
        ({"emptyDir": {}}, {"emptyDir": {"sizeLimit": "64Mi"}}, False),
        # A limit that was taken out has to go.
        (
            {"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}},
            {"resources": {"limits": {"memory": "1Gi"}}},
            False,
        ),
        ({"resources": {"requests": {"cpu": "1"}}}, {"resources": {}}, False),
        ({"resources": {}}, {"resources": {}}, True),
        ({}, {"resources": {}}, True),
        # The `resources` of a Role's rule are names.
        ({"resources": ["configmaps"]}, {"resources": ["configmaps"]}, True),
        ({"resources": ["secrets"]}, {"resources": ["configmaps"]}, False),
        # Elsewhere text is text, even where it looks like an amount.
        ({"data": {"cpu": "500m"}}, {"data": {"cpu": "0.5"}}, False),
        ({"data": {"key": "aGVsbG8="}, "type": "Opaque"}, {"stringData": {"key": "hello"}, "type": "Opaque"}, True),
    ],
)
def test_covers(live: Any, wanted: Any, covered: bool) -> None:
    assert covers(live, wanted) is covered


@pytest.mark.parametrize(
    ("amount", "value"),
    [
        ("500m", Decimal("0.5")),
        (0.5, Decimal("0.5")),
        (2, Decimal(2)),
        (".5", Decimal("0.5")),
        ("1.", Decimal(1)),
        ("128Mi", Decimal(128 * 1024**2)),
        ("129e6", Decimal(129_000_000)),
        ("129M", Decimal(129_000_000)),
        ("1E", Decimal(10**18)),
        ("1Ei", Decimal(1024**6)),
        ("1E3", Decimal(1000)),
        ("100n", Decimal("1E-7")),
        ("5u", Decimal("0.000005")),
        ("3k", Decimal(3000)),
        ("-1", Decimal(-1)),
        ("a lot", "a lot"),
        ("1K", "1K"),
        ("", ""),
        (None, None),
        (True, True),
    ],
)
def test_quantity(amount: Any, value: Any) -> None:
    assert quantity(amount) == value
    assert type(quantity(amount)) is type(value)


def stored(item: dict[str, Any]) -> dict[str, Any]:
    """The object as an API server might give it back: with defaults, normal amounts and a status."""
    live = copy.deepcopy(item)
    live["metadata"] |= {"uid": "u9", "resourceVersion": "7", "managedFields": [], "annotations": {"a": "b"}}
    live["status"] = {"observedGeneration": 1}
    for port in live.get("spec", {}).get("ports", []):
        port["protocol"] = "TCP"
    if "template" in live.get("spec", {}):
        pod = pod_of(live)
        pod |= {"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"}
        for container in pod["containers"]:
            container["terminationMessagePath"] = "/dev/termination-log"
            amounts = container["resources"].get("requests", {})
            if amounts.get("cpu") == "0.5":
                amounts["cpu"] = "500m"
    return live


@pytest.mark.parametrize("owner", [MINIMAL, FULL], ids=["minimal", "full"])
def test_what_was_stored_covers_what_is_wanted(owner: dict[str, Any]) -> None:
    for item in everything(owner):
        assert covers(stored(item), item), item["kind"]


@pytest.mark.parametrize(
    "change",
    [
        {"gateway": FULL["spec"]["gateway"] | {"replicas": 6}},
        {"gateway": FULL["spec"]["gateway"] | {"resources": {"requests": {"cpu": "0.5", "memory": "256Mi"}}}},
        {"gateway": FULL["spec"]["gateway"] | {"auth": {"type": "None"}}},
        {"gateway": FULL["spec"]["gateway"] | {"auth": {"type": "Passthrough"}}},
        {"env": FULL["spec"]["env"][:1]},
        {"env": FULL["spec"]["env"][::-1]},
        {"env": None},
        {"upstream": FULL["spec"]["upstream"] | {"apiKeySecretRef": {"name": "anthropic", "key": "other"}}},
        {"upstream": FULL["spec"]["upstream"] | {"timeouts": {"total": "10m"}}},
    ],
)
def test_every_change_of_the_gateway_is_seen_both_ways(change: dict[str, Any]) -> None:
    before, after = gateway(FULL)["Deployment"], gateway(with_spec(FULL, **change))["Deployment"]
    assert not covers(stored(before), after)
    assert not covers(stored(after), before)
