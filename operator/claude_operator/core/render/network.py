"""NetworkPolicies of gateways and eval Jobs: who may call them, and that no node's credentials are in their reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from claude_operator.api.gateway import ADMIN_PORT, SERVICE_PORT
from claude_operator.core import names
from claude_operator.core.render.parts import NetworkRules, Object, child

__all__ = ["egress", "eval_policy", "gateway_policy"]

_OPEN: Sequence[Object] = (
    # Everything, except the addresses at which a node gets its credentials and its cloud's own services.
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32"]}},
    {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"]}},
    # Not every network takes pods for addresses.
    {"namespaceSelector": {}},
)
_DNS = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
_API = [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 6443}]


def egress(allowed: Sequence[str] = ()) -> list[Object]:
    """What every pod of ours may call; `allowed` are the networks that the installer adds, which may be link-local."""
    rules: list[Object] = [
        {"ports": _DNS},  # to anywhere: a node's own DNS cache has a link-local address
        {"ports": _API},  # to anywhere: not every network takes nodes for addresses, and the API server may be on one
        {"to": list(_OPEN)},
    ]
    return [*rules, {"to": [{"ipBlock": {"cidr": one}} for one in allowed]}] if allowed else rules


def gateway_policy(owner: Mapping[str, Any], rules: NetworkRules, allowed: Sequence[str] = ()) -> Object:
    """`<name>-gateway`: requests from everywhere; the admin port for each other and whom the installer lets in."""
    each_other = {"podSelector": {"matchLabels": names.selector(owner["metadata"]["name"], "gateway")}}
    ingress = [
        {"ports": [_tcp(SERVICE_PORT)]},
        {"ports": [_tcp(ADMIN_PORT)], "from": [each_other, *map(dict, rules.admin_from)]},
    ]
    return _policy(owner, "gateway", egress=egress(allowed), ingress=ingress)


def eval_policy(owner: Mapping[str, Any], allowed: Sequence[str] = ()) -> Object:
    """`<name>-eval`: nobody calls an eval Job."""
    return _policy(owner, "eval", egress=egress(allowed), ingress=[])


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
