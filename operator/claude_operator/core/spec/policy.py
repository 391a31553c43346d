"""What the installer allows: the Secrets that a spec may use, and the hosts that it may name.

Who writes a ClaudeDeployment may do what a pod of theirs could in that namespace. With both rules on, they get a Secret
only where its label allows this use, and reach only hosts that the installer has named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claude_operator.api.base import GROUP
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec, Upstream
from claude_operator.core.catalogue.checks.beside import ADMIN_KEY, key_kind
from claude_operator.core.spec.address import split_address
from claude_operator.core.spec.hosts import host_of, is_allowed
from claude_operator.core.spec.networks import ANYWHERE, AddressRules, is_address
from claude_operator.core.spec.site_options import ALLOWED_OPTION, HOST_OPTION
from claude_operator.core.spec.validate import Problem

__all__ = [
    "LABEL_USE",
    "OPEN",
    "Address",
    "Policy",
    "Resolved",
    "SecretUse",
    "addresses",
    "revision_addresses",
    "secret_uses",
    "upstream_secret",
]

LABEL_USE = f"{GROUP}/use"
_UPSTREAM = "upstream"
_CLAIM_USE = "evals"
_BETWEEN = "."  # between the uses of one Secret; a label's value takes no comma
_CONNECTED = ("baseURL", "prometheus.address")  # the fields whose servers we connect to ourselves
_NAMED = 5  # hosts that a message lists

Address = tuple[str, str]
"""The field that it stands in, and the URL."""
Resolved = Mapping[Address, Sequence[str]]
"""The IP addresses that the names in URLs lead to, as far as they are known."""


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
    return [SecretUse("spec.upstream.apiKeySecretRef", ref.name, ref.key, _UPSTREAM)] if ref else []


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
    control_plane: tuple[str, ...] = ()
    """The API server's own addresses, which gateways are told of as they change."""

    def host_problem(self, address: Address, resolved: Resolved | None = None) -> Problem | None:
        """Why the URL at a place may not be used."""
        where, url = address
        if refused := self._refused(address, (resolved or {}).get(address, ())):
            helps = "write another one, or have the installer add it to security.allowedAddresses"
            why = "an address that the operator and its pods do not connect to"
            return Problem(Reason.HOST_NOT_ALLOWED, f"{where}: {refused} {why}: {helps} ({ALLOWED_OPTION})")
        if is_allowed(url, self.allowed_hosts):
            return None
        host = host_of(url)
        if host is None:
            why = "its host cannot be compared with those that the installer allows: write https://HOST or"
            return Problem(Reason.HOST_NOT_ALLOWED, f"{where}: {why} https://HOST:PORT in plain ASCII, without a user")
        known = ", ".join(self.allowed_hosts[:_NAMED]) + (", ..." if len(self.allowed_hosts) > _NAMED else "")
        helps = f"write one of these, or have the installer add it to security.allowedHosts ({HOST_OPTION})"
        return Problem(Reason.HOST_NOT_ALLOWED, f"{where}: {host} is not an allowed host ({known}): {helps}")

    def host_problems(self, found: Iterable[Address], resolved: Resolved | None = None) -> list[Problem]:
        """All of them."""
        return [problem for one in found if (problem := self.host_problem(one, resolved)) is not None]

    def names(self, found: Iterable[Address], namespace: str) -> dict[Address, str]:
        """The names that it matters to look up: of servers that are connected to, where nothing else is wrong.

        A gateway in `namespace` finds a Service there by its bare name; the operator does not.
        """
        if self.rules == ANYWHERE:
            return {}
        names = {}
        for one in found:
            host = _connected_host(one)
            if host and not is_address(host) and self.host_problem(one) is None:
                names[one] = f"{host}.{namespace}.svc" if one[0].endswith("baseURL") and "." not in host else host
        return names

    def _refused(self, address: Address, resolved: Sequence[str]) -> str:
        """What in a URL is not connected to, up to the words that say so; empty where it may be."""
        host = _connected_host(address)
        if is_address(host) or host == "localhost":
            return "" if self.rules.permits("127.0.0.1" if host == "localhost" else host) else f"{host} is"
        if not resolved or any(map(self.rules.permits, resolved)):  # one that may be connected to is enough
            return ""
        return f"{host} leads to {', '.join(resolved[:_NAMED])},"

    def secret_problem(self, one: SecretUse, namespace: str, labels: Mapping[str, str] | None) -> Problem | None:
        """Why a Secret that exists, with these labels, may not be used."""
        lack = self._unlabelled(f"secret {one.name}", one.use, namespace, labels)
        said = f"{one.where}: Secret {one.name} {lack}"
        return Problem(Reason.SECRET_NOT_ALLOWED, said) if lack else None

    @staticmethod
    def key_problem(one: SecretUse, value: str) -> Problem | None:
        """Why the key in a Secret is not one for this use. The value is not in what it says."""
        if one.use != _UPSTREAM or key_kind(value.strip()) != "admin":
            return None
        return Problem(Reason.WRONG_KEY, f"spec.{ADMIN_KEY}")

    def claim_problem(self, name: str, namespace: str, labels: Mapping[str, str] | None) -> str:
        """Why a PersistentVolumeClaim that exists, with these labels, may not be mounted; empty where it may.

        Its content goes to the Claude API, so it is held to the rule for Secrets.
        """
        lack = self._unlabelled(f"persistentvolumeclaim {name}", _CLAIM_USE, namespace, labels)
        return f"PersistentVolumeClaim {name} {lack}" if lack else ""

    def _unlabelled(self, what: str, use: str, namespace: str, labels: Mapping[str, str] | None) -> str:
        """What an object's label lacks, and how to add it; empty where it may be used."""
        uses = [one for one in ((labels or {}).get(LABEL_USE) or "").split(_BETWEEN) if one]
        if not self.secrets_opt_in or use in uses:
            return ""
        value = _BETWEEN.join([*uses, use])
        command = f"kubectl -n {namespace} label {'--overwrite ' if uses else ''}{what} {LABEL_USE}={value}"
        return f"is not labelled for this use, which the installer requires (security.secretsOptIn): {command}"


OPEN = Policy()
"""As it is where the installer sets nothing."""


def _connected_host(address: Address) -> str:
    """The host of a URL where the operator or its pods connect to it themselves, empty for others."""
    where, url = address
    parts = split_address(url) if where.endswith(_CONNECTED) else None
    return (parts.hostname or "") if parts else ""
