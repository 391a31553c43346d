"""NetworkPolicies of gateways and eval Jobs: who may call them, and that no node's credentials are in their reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from claude_operator.api.gateway import ADMIN_PORT, SERVICE_PORT
from claude_operator.core import names
from claude_operator.core.render.parts import NetworkRules, Object, child
from claude_operator.core.spec.networks import METADATA

__all__ = ["egress", "eval_policy", "gateway_policy"]

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


def gateway_policy(owner: Mapping[str, Any], rules: NetworkRules, allowed: Sequence[str] = ()) -> Object:
    """`<name>-gateway`: requests from everywhere; the admin port for those that the installer lets in."""
    ingress = [
        {"ports": [_tcp(SERVICE_PORT)]},
        {"ports": [_tcp(ADMIN_PORT)], "from": [dict(peer) for peer in rules.admin_from]},
    ]
    return _policy(owner, "gateway", egress=egress(rules, allowed), ingress=ingress)


def eval_policy(owner: Mapping[str, Any], rules: NetworkRules, allowed: Sequence[str] = ()) -> Object:
    """`<name>-eval`: nobody calls an eval Job."""
    return _policy(owner, "eval", egress=egress(rules, allowed), ingress=[])


def _policy(
    owner: Mapping[str, Any],
    component: Literal["gateway", "eval"],
    *,
    egress: Sequence[Object],
    ingress: Sequence[Object],
) -> Object:
    deployment = owner["metadata"]["name"]
    name = names.gateway_name(deployment) if component == "gateway" else names.eval_account(deployment)
    policy = child(owner, "NetworkPolicy", "networking.k8s.io/v1", name, names.labels(deployment, component))
    spec: Object = {
        "podSelector": {"matchLabels": names.selector(deployment, component)},
        "policyTypes": ["Ingress", "Egress"],
        "egress": list(egress),
    }
    return policy | {"spec": spec | ({"ingress": list(ingress)} if ingress else {})}


def _tcp(port: int) -> Object:
    return {"protocol": "TCP", "port": port}
