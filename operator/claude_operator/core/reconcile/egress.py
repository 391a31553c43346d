"""What serves and has a URL that the installer does not allow, or no longer: gateways send no secret value there."""

from __future__ import annotations

from collections.abc import Iterator

from claude_operator.api.gateway import Arm, GatewayConfig
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.spec.policy import Policy, revision_addresses

__all__ = ["key_withheld", "withheld"]

_BASE_URL = "spec.upstream.baseURL"


def key_withheld(obs: Observation, config: GatewayConfig) -> str:
    """Why gateways send the upstream no key, and so answer no request; empty where they do."""
    if config.auth.type == "Passthrough" or not config.limits.allowed_hosts:
        return ""
    hosts = Policy(allowed_hosts=tuple(config.limits.allowed_hosts))
    problem = hosts.host_problem((_BASE_URL, config.upstream.base_url))
    if problem is None:
        return ""
    if obs.gateway.reads_egress:
        return f"gateways answer every request with 502 and send no key: {problem.message}"
    return f"gateways of an earlier version still send the key to a host that is not allowed: {problem.message}"


def withheld(obs: Observation, config: GatewayConfig) -> str:
    """Which revisions have MCP servers that may not get a value of `$(NAME)`, and what to do; empty for none."""
    if not config.limits.allowed_hosts:
        return ""
    hosts = Policy(allowed_hosts=tuple(config.limits.allowed_hosts))
    found = [
        f"{arm.revision}, {problem.message}" for arm in config.arms for problem in hosts.host_problems(_servers(arm))
    ]
    if not found:
        return ""
    does = "send no $(NAME) to" if obs.gateway.reads_egress else "of an earlier version still send $(NAME) to"
    ends = "it ends when a revision without it serves"
    return f"gateways {does} an MCP server whose host is not allowed; {ends}: {'; '.join(found)}"


def _servers(arm: Arm) -> Iterator[tuple[str, str]]:
    subagents = {name: {"request": request} for name, request in arm.subagents.items()}
    return revision_addresses({"request": arm.request, "subagents": subagents})
