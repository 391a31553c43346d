"""What NetworkPolicies let through, worked out: no network of ours enforces them.

Two networks differ in what an address range means: to one it is any address, to the other (Cilium) only addresses
that are no pod's and no node's. What has to get through must do so in both.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """One end of a connection; a pod has a namespace, a node or anything outside has none."""

    address: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    node: bool = False


@dataclass(frozen=True)
class Flow:
    """A connection that somebody opens."""

    source: Place
    target: Place
    port: int
    protocol: str = "TCP"


def allowed(flow: Flow, policies: Iterable[Object], *, by_identity: bool = False) -> bool:
    """Whether both ends let it through; `by_identity`: address ranges hold for neither pods nor nodes."""
    policies = list(policies)
    if flow.source.node and flow.target.namespace:  # a pod's own node always reaches it: there is one node
        return _passes(flow, policies, "egress", by_identity)
    return all(_passes(flow, policies, way, by_identity) for way in ("egress", "ingress"))


def _passes(flow: Flow, policies: Sequence[Object], way: str, by_identity: bool) -> bool:
    mine, other, word = (flow.source, flow.target, "to") if way == "egress" else (flow.target, flow.source, "from")
    chosen = [one for one in policies if way.capitalize() in one["spec"]["policyTypes"] and _selects(one, mine)]
    rules = [rule for one in chosen for rule in one["spec"].get(way) or ()]
    return not chosen or any(_rule_holds(rule, rule.get(word) or [], flow, other, by_identity) for rule in rules)


def _selects(policy: Object, place: Place) -> bool:
    if not place.namespace or place.namespace != policy["metadata"]["namespace"]:
        return False
    return _match(policy["spec"]["podSelector"], place.labels)


def _rule_holds(rule: Object, peers: Sequence[Object], flow: Flow, other: Place, by_identity: bool) -> bool:
    ports = rule.get("ports")
    if ports and (flow.port, flow.protocol) not in [(one["port"], one.get("protocol", "TCP")) for one in ports]:
        return False
    own = flow.target if other is flow.source else flow.source
    return not peers or any(_is_peer(peer, other, own.namespace, by_identity) for peer in peers)


def _is_peer(peer: Object, other: Place, own: str, by_identity: bool) -> bool:
    """`own`: the policy's namespace. A podSelector alone is about its pods."""
    if "ipBlock" in peer:
        if by_identity and (other.namespace or other.node):
            return False
        block, address = peer["ipBlock"], ipaddress.ip_address(other.address)
        apart = any(address in ipaddress.ip_network(one) for one in block.get("except") or ())
        return address in ipaddress.ip_network(block["cidr"]) and not apart
    if not other.namespace:
        return False
    if "namespaceSelector" not in peer:
        return other.namespace == own and _match(peer["podSelector"], other.labels)
    here = {"kubernetes.io/metadata.name": other.namespace}
    return _match(peer["namespaceSelector"], here) and _match(peer.get("podSelector", {}), other.labels)


def _match(selector: Object, labels: Mapping[str, str]) -> bool:
    assert not selector.get("matchExpressions"), "not known here"
    return (selector.get("matchLabels") or {}).items() <= labels.items()
