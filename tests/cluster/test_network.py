"""NetworkPolicies against the connections of a real rollout: the project's own cluster does not enforce them.

So every connection that a pod of ours opens or accepts is recorded, and the policies that the API server has are asked
whether they let it through, in both kinds of network that `tests/netpol.py` knows.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import apps
from tests.cluster.flows import Sniffer
from tests.cluster.support import SYSTEM, command, get, wait_for
from tests.cluster.test_evals import GOOD, SAME, eval_set, gated
from tests.cluster.traffic import Traffic
from tests.netpol import Flow, Place, allowed

from claude_operator.api.gateway import ADMIN_PORT, SERVICE_PORT

pytestmark = [
    pytest.mark.usefixtures("operator"),
    pytest.mark.alone,  # it records the packets of all pods
    pytest.mark.skipif(sys.platform != "linux", reason="records packets as Linux shows them"),
    pytest.mark.skipif(bool(os.environ.get("CLUSTER_CONTEXT")), reason="kind's pods are not in this machine's network"),
]

_SIMULATOR = 8081


def places(namespace: str) -> dict[str, Place]:
    """Pods and nodes by address."""
    found: dict[str, Place] = {}
    for where in (namespace, SYSTEM):
        for pod in get("pods", namespace=where):
            address = (pod.get("status") or {}).get("podIP")
            if address and not pod["spec"].get("hostNetwork"):
                found[address] = Place(address, where, pod["metadata"].get("labels") or {})
    told = [one for node in get("nodes") for one in node["status"]["addresses"] if one["type"] == "InternalIP"]
    for address in (*(one["address"] for one in told), *_own_addresses()):
        found[address] = Place(address, node=True)
    return found


def _own_addresses() -> Iterator[str]:
    """Those of the node, whose network this process is in: its kubelet asks pods from the one of the pods' bridge."""
    for link in json.loads(command("ip", "-json", "address")):
        yield from (one["local"] for one in link["addr_info"])


def component(place: Place) -> str:
    return "node" if place.node else str(place.labels.get("app.kubernetes.io/component", ""))


def test_every_connection_of_a_rollout_is_let_through(namespace: str) -> None:
    apps.apply(apps.secret(), namespace)
    apps.apply(eval_set(), namespace)
    known: dict[str, Place] = {}
    with Sniffer() as sniffer:
        apps.apply(gated(GOOD), namespace)
        apps.promoted(namespace)
        apps.answered(namespace)
        known |= places(namespace)
        with Traffic("app", namespace) as traffic:
            apps.apply(gated(SAME), namespace)
            wait_for(lambda: len(traffic.by_revision()) == 2, 120, "no canary got a request")
            known |= places(namespace)
            apps.promoted(namespace)
        assert not traffic.failed()
    known |= places(namespace)
    policies: list[dict[str, Any]] = [
        *get("networkpolicies", namespace=namespace),
        *get("networkpolicies", namespace=SYSTEM),
    ]
    assert {one["metadata"]["name"] for one in policies} >= {"app-gateway", "app-eval", "claude-operator"}

    refused, seen = [], set()
    for one in sorted(sniffer.opened):
        if not (known.keys() & {one.source, one.target}):
            continue
        source, target = known.get(one.source, Place(one.source)), known.get(one.target, Place(one.target))
        flow = Flow(source, target, one.port, one.protocol)
        seen.add((component(source), component(target), one.port))
        # A network that knows who somebody is sees the pod behind a Service, never the Service's own address.
        of_service = not target.namespace and not target.node
        for by_identity in (False,) if of_service else (False, True):
            if not allowed(flow, policies, by_identity=by_identity):
                refused.append((by_identity, flow))
    assert refused == []
    # What was recorded is what there is to record.
    assert {
        ("operator", "gateway", ADMIN_PORT),
        ("gateway", "simulator", _SIMULATOR),
        ("eval", "simulator", _SIMULATOR),
        ("node", "gateway", ADMIN_PORT),
    } <= seen, seen
    assert SERVICE_PORT in {port for _, target, port in seen if target == "gateway"}
