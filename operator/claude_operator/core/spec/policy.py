"""What the installer allows: the Secrets that a spec may use, and the hosts that it may name.

Who writes a ClaudeDeployment may do what a pod of theirs could in that namespace. With both rules on, they get a Secret
only where its label allows this use, and reach only hosts that the installer has named.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from claude_operator.api.base import GROUP
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec, Upstream
from claude_operator.core.spec.address import split_address
from claude_operator.core.spec.networks import ANYWHERE, AddressRules, is_address
from claude_operator.core.spec.site_options import ALLOWED_OPTION
from claude_operator.core.spec.validate import Problem

__all__ = [
    "LABEL_USE",
    "OPEN",
    "Policy",
    "SecretUse",
    "addresses",
    "host_pattern",
    "revision_addresses",
    "secret_uses",
    "upstream_secret",
]

LABEL_USE = f"{GROUP}/use"
_BETWEEN = "."  # between the uses of one Secret; a label's value takes no comma
_PORTS = {"http": 80, "https": 443}
_CONNECTED = ("baseURL", "prometheus.address")  # the fields whose servers we connect to ourselves
_NAMED = 5  # hosts that a message lists
# Stricter than any client's parser, so that no two of them see another host in what passes.
_HOST = r"(?P<host>[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\])"
_URL = re.compile(rf"(?P<scheme>https?)://{_HOST}(:(?P<port>[0-9]{{1,5}}))?(?=[/?#]|$)", re.IGNORECASE | re.ASCII)
_PATTERN = re.compile(rf"(?P<any>\*\.)?{_HOST}(:(?P<port>[0-9]{{1,5}}))?", re.IGNORECASE | re.ASCII)

Address = tuple[str, str]
"""The field that it stands in, and the URL."""


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A Secret that a spec names. `key` None: all that the Secret's type has."""

    where: str
    name: str
    key: str | None
    use: str


def secret_uses(spec: DeploymentSpec) -> list[SecretUse]:
    """The Secrets that a spec has the operator mount, and what for. A use is a word of the Secret's label."""
    found = upstream_secret(spec.upstream) if spec.gateway.auth.type != "Passthrough" or spec.evals else []
    if spec.gateway.tls:
        found.append(SecretUse("spec.gateway.tls.secretName", spec.gateway.tls.secret_name, None, "tls"))
    for one in spec.env or ():
        ref = one.value_from.secret_key_ref
        found.append(SecretUse(f"spec.env {one.name}", ref.name, ref.key, "env"))
    return found


def upstream_secret(upstream: Upstream) -> list[SecretUse]:
    """The Secret with the API key, if one is named."""
    ref = upstream.api_key_secret_ref
    return [SecretUse("spec.upstream.apiKeySecretRef", ref.name, ref.key, "upstream")] if ref else []


def addresses(spec: DeploymentSpec) -> Iterator[Address]:
    """Every host that a spec sends something to."""
    yield "spec.upstream.baseURL", spec.upstream.base_url
    for number, server in enumerate(spec.request.mcp_servers or ()):
        yield f"spec.request.mcp_servers[{number}].url", server.url
    for name, subagent in (spec.subagents or {}).items():
        yield from _mcp_servers(f"spec.subagents.{name}.request", subagent.request)
    for number, metric in enumerate(spec.strategy.canary.analysis.metrics or ()):
        if metric.prometheus is not None and metric.prometheus.address:
            yield f"spec.strategy.canary.analysis.metrics[{number}].prometheus.address", metric.prometheus.address


def revision_addresses(stored: Mapping[str, Any]) -> Iterator[Address]:
    """The MCP servers of a ClaudeRevision's spec as stored."""
    yield from _mcp_servers("spec.request", stored.get("request") or {})
    for name, subagent in (stored.get("subagents") or {}).items():
        yield from _mcp_servers(f"spec.subagents.{name}.request", subagent.get("request") or {})


def _mcp_servers(where: str, request: Mapping[str, Any]) -> Iterator[Address]:
    servers = request.get("mcp_servers")
    for number, server in enumerate(servers if isinstance(servers, list) else ()):
        url = server.get("url") if isinstance(server, Mapping) else None
        yield f"{where}.mcp_servers[{number}].url", url if isinstance(url, str) else ""


@dataclass(frozen=True, slots=True)
class Policy:
    """As the installer has set it. `allowed_hosts`: what `host_pattern` returned; empty allows any."""

    secrets_opt_in: bool = False
    allowed_hosts: tuple[str, ...] = ()
    rules: AddressRules = ANYWHERE
    """Where the operator and its pods connect."""

    def host_problem(self, address: Address) -> Problem | None:
        """Why the URL at a place may not be used."""
        where, url = address
        if where.endswith(_CONNECTED) and (refused := self._refused(url)):
            helps = "write another one, or have the installer add it to security.allowedAddresses"
            why = "is an address that the operator and its pods do not connect to"
            return Problem(Reason.HOST_NOT_ALLOWED, f"{where}: {refused} {why}: {helps} ({ALLOWED_OPTION})")
        if not self.allowed_hosts:
            return None
        found = _URL.match(url)
        if found is None:
            why = "its host cannot be compared with those that the installer allows: write https://HOST or"
            return Problem(Reason.HOST_NOT_ALLOWED, f"{where}: {why} https://HOST:PORT in plain ASCII, without a user")
        host, standard = _plain(found["host"]), _PORTS[found["scheme"].lower()]
        port = int(found["port"] or standard)
        if any(_allows(pattern, host, port, standard) for pattern in self.allowed_hosts):
            return None
        shown = host if port == standard else f"{host}:{port}"
        known = ", ".join(self.allowed_hosts[:_NAMED]) + (", ..." if len(self.allowed_hosts) > _NAMED else "")
        helps = "write one of these, or have the installer add it to security.allowedHosts (--allowed-host)"
        return Problem(Reason.HOST_NOT_ALLOWED, f"{where}: {shown} is not an allowed host ({known}): {helps}")

    def host_problems(self, found: Iterable[Address]) -> list[Problem]:
        """All of them."""
        return [problem for one in found if (problem := self.host_problem(one)) is not None]

    def _refused(self, url: str) -> str:
        """The address in a URL that is not connected to; empty also for a name: what that leads to is seen later."""
        parts = split_address(url)
        host = (parts.hostname or "") if parts else ""
        address = "127.0.0.1" if host == "localhost" else host
        return host if is_address(address) and not self.rules.permits(address) else ""

    def secret_problem(self, one: SecretUse, namespace: str, labels: Mapping[str, str] | None) -> Problem | None:
        """Why a Secret that exists, with these labels, may not be used."""
        uses = [use for use in ((labels or {}).get(LABEL_USE) or "").split(_BETWEEN) if use]
        if not self.secrets_opt_in or one.use in uses:
            return None
        overwrite = "--overwrite " if uses else ""
        value = _BETWEEN.join([*uses, one.use])
        command = f"kubectl -n {namespace} label {overwrite}secret {one.name} {LABEL_USE}={value}"
        return Problem(
            Reason.SECRET_NOT_ALLOWED,
            f"{one.where}: Secret {one.name} is not labelled for this use, which the installer requires"
            f" (security.secretsOptIn): {command}",
        )


OPEN = Policy()
"""As it is where the installer sets nothing."""


def host_pattern(text: str) -> str:
    """One allowed host as the installer writes it, in the form that is compared; raises ValueError."""
    found = _PATTERN.fullmatch(text)
    if found is None or (found["any"] and found["host"].startswith("[")):
        raise ValueError(f"{text!r} is not a host: write for example api.anthropic.com, *.example.com or proxy.ai:8080")
    if found["port"] and not 0 < int(found["port"]) < 65536:
        raise ValueError(f"{text!r} has no valid port: write 1 to 65535")
    port = f":{int(found['port'])}" if found["port"] else ""
    return f"{found['any'] or ''}{_plain(found['host'])}{port}"


def _allows(pattern: str, host: str, port: int, standard: int) -> bool:
    """Without a port a pattern stands for the scheme's own; `*.` for one label or more."""
    found = _PATTERN.fullmatch(pattern)
    if found is None or port != int(found["port"] or standard):
        return False
    named = found["host"]
    return host.endswith(f".{named}") and not host.startswith(".") if found["any"] else host == named


def _plain(host: str) -> str:
    """A host in the one form that is compared: lower case, no dot at the end, an IPv6 address in its short form."""
    if host.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            return host.lower()
    return host.lower().removesuffix(".")
