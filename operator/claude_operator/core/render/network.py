"""NetworkPolicies of gateways, eval Jobs and graders: who calls them, and that no node's credentials are in reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from claude_operator.api.gateway import ADMIN_PORT, SERVICE_PORT
from claude_operator.core import names
from claude_operator.core.render.parts import NetworkRules, Object, child
from claude_operator.core.spec.networks import METADATA

__all__ = ["egress", "eval_policy", "gateway_policy", "grader_policy"]

Component = Literal["gateway", "eval", "grader"]
_NAMES: Mapping[Component, Callable[[str], str]] = {
    "gateway": names.gateway_name,
    "eval": names.eval_account,
    "grader": names.grader_name,
}
_OPEN: Sequence[Object] = (
    *(
        {"ipBlock": {"cidr": cidr, "except": [str(one) for one in METADATA if one.version == version]}}
        for cidr, version in (("0.0.0.0/0", 4), ("::/0", 6))
    ),
    # Not every network takes pods for addresses.
    {"namespaceSelector": {}},
)


def egress(rules: NetworkRules, allowed: Sequence[str] = ()) -> list[Object]:
    """What every pod of ours may call; `allowed` are the networks that the installer adds, which may be link-local."""
    made: list[Object] = [
        # To anywhere: a node's own DNS cache has a link-local address, ...
        {"ports": [{"protocol": "UDP", "port": 53}, _tcp(53)]},
        # ... and not every network takes nodes for addresses, and the API server may be on one.
        {"ports": [_tcp(port) for port in rules.api_server_ports]},
        {"to": list(_OPEN)},
    ]
    return [*made, {"to": [{"ipBlock": {"cidr": one}} for one in allowed]}] if allowed else made


def gateway_policy(
    owner: Mapping[str, Any], rules: NetworkRules, allowed: Sequence[str] = (), *, graded: bool = False
) -> Object:
    """`<name>-gateway`: requests from everywhere; the admin port for each other and whom the installer lets in.

    `graded`: for the grader of live answers, too.
    """
    ours: list[Component] = ["gateway", "grader"] if graded else ["gateway"]
    pods = [{"podSelector": {"matchLabels": names.selector(owner["metadata"]["name"], one)}} for one in ours]
    ingress = [
        {"ports": [_tcp(SERVICE_PORT)]},
        {"ports": [_tcp(ADMIN_PORT)], "from": [*pods, *map(dict, rules.admin_from)]},
    ]
    return _policy(owner, "gateway", egress=egress(rules, allowed), ingress=ingress)


def eval_policy(owner: Mapping[str, Any], rules: NetworkRules, allowed: Sequence[str] = ()) -> Object:
    """`<name>-eval`: nobody calls an eval Job."""
    return _policy(owner, "eval", egress=egress(rules, allowed), ingress=[])


def grader_policy(owner: Mapping[str, Any], rules: NetworkRules, allowed: Sequence[str] = ()) -> Object:
    """`<name>-grader`: nobody calls it but for its metrics."""
    ingress = [{"ports": [_tcp(ADMIN_PORT)], "from": list(map(dict, rules.admin_from))}]
    return _policy(owner, "grader", egress=egress(rules, allowed), ingress=ingress)


def _policy(
    owner: Mapping[str, Any],
    component: Component,
    *,
    egress: Sequence[Object],
    ingress: Sequence[Object],
) -> Object:
    deployment = owner["metadata"]["name"]
    name = _NAMES[component](deployment)
    policy = child(owner, "NetworkPolicy", "networking.k8s.io/v1", name, names.labels(deployment, component))
    spec: Object = {
        "podSelector": {"matchLabels": names.selector(deployment, component)},
        "policyTypes": ["Ingress", "Egress"],
        "egress": list(egress),
    }
    return policy | {"spec": spec | ({"ingress": list(ingress)} if ingress else {})}


def _tcp(port: int) -> Object:
    return {"protocol": "TCP", "port": port}
