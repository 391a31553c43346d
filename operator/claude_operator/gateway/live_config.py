"""The config being served, ready for requests: each reads it once, when it begins, and keeps it to its end."""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from claude_operator.api.gateway import GatewayConfig, Limit
from claude_operator.core.catalogue.checks.check import takes
from claude_operator.core.catalogue.cost import LIST_PRICES, Book
from claude_operator.core.catalogue.own_prices import book_of
from claude_operator.core.operator_key import subkey
from claude_operator.core.request.assignment import Assignment, rank
from claude_operator.core.request.compose import PreparedArm, prepare
from claude_operator.core.request.split import Split, is_served, split_of
from claude_operator.core.spec.hosts import is_allowed
from claude_operator.core.spec.networks import Network, parse_network
from claude_operator.gateway.credentials import Credentials
from claude_operator.gateway.generation import Generation

__all__ = ["Choice", "LiveConfig", "build"]


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """One config with one set of credentials. Swapping it is one assignment."""

    config: GatewayConfig
    arms: Mapping[str, PreparedArm]
    credentials: Credentials
    surfaces: frozenset[str]
    evidence: Generation
    split: Split | None
    assignment: Assignment = field(default_factory=Assignment)
    denied: tuple[Network, ...] = ()
    """What is not connected to, beside what the gateway knows itself."""
    withholds_key: bool = False
    """The upstream's host may not get the operator's key."""
    prices: Book = field(default_factory=lambda: LIST_PRICES)
    """Prices that hold instead of the list's."""
    throttled_until: float = 0.0
    """Seconds since the epoch up to which calls that cost something are refused."""
    limits: Mapping[str, tuple[Limit, ...]] = field(default_factory=dict)
    """By surface, what its calls are counted against."""

    def admits(self, keys: Sequence[str]) -> bool:
        """Whether a client that shows these keys may be served, by any of them; compares in constant time."""
        if self.config.auth.type == "None":
            return True
        if self.config.auth.type == "Passthrough":
            return bool(keys)
        given = [key.encode("utf-8", "surrogateescape") for key in keys]
        matches = [hmac.compare_digest(key, known) for key in given for known in self.credentials.client_keys]
        return any(matches)

    def pinned(self, wanted: str) -> str:
        """The revision that a client asks for, empty where it may not choose it."""
        arm = self.arms.get(wanted) if wanted and self.exposes_revision else None
        return wanted if arm is not None and is_served(arm.arm) else ""

    @property
    def withheld(self) -> list[tuple[str, str]]:
        """Revision and name of each MCP server that gets no token, since its host may not have it."""
        return [(revision, server) for revision, arm in self.arms.items() for server in arm.withheld]

    @property
    def weights(self) -> dict[str, int]:
        """By revision, in basis points."""
        return {arm.revision: arm.weight for arm in self.config.arms}

    @property
    def exposes_revision(self) -> bool:
        """Whether clients see and may choose the revision that answers."""
        return self.config.expose_revision is not False

    @property
    def swaps_key(self) -> bool:
        """Whether the upstream sees the operator's key instead of the client's."""
        return self.config.auth.type != "Passthrough"


@dataclass(frozen=True, slots=True)
class Choice:
    """The arm that answers. `pinned`: the client asked for it; `refused_pin`: it asked for one not being served."""

    arm: PreparedArm
    pinned: bool = False
    refused_pin: bool = False


def build(config: GatewayConfig, credentials: Credentials, begin: Callable[[GatewayConfig], Generation]) -> LiveConfig:
    """Prepare every arm; raises ValueError where one cannot be, and then begins no generation."""
    limits = config.limits
    trusts = functools.partial(is_allowed, patterns=limits.allowed_hosts)
    denied = tuple(map(parse_network, limits.denied_addresses))
    arms = {arm.revision: prepare(arm, credentials.env, takes, trusts=trusts) for arm in config.arms}
    canary = config.arm("canary")
    if canary is not None:
        rank(canary.revision)
    key = credentials.operator_key
    assignment = Assignment(subkey(key, "assignment")) if key else Assignment()
    withholds = not trusts(config.upstream.base_url) and config.auth.type != "Passthrough"
    surfaces, split = frozenset(config.surfaces), split_of(config)
    return LiveConfig(
        config,
        arms,
        credentials,
        surfaces,
        begin(config),
        split,
        assignment,
        denied,
        withholds,
        book_of(config.own_prices),
        config.throttle.until.timestamp() if config.throttle else 0.0,
        _by_surface(config),
    )


def _by_surface(config: GatewayConfig) -> dict[str, tuple[Limit, ...]]:
    found: dict[str, tuple[Limit, ...]] = {}
    for limit in () if config.budgets is msgspec.UNSET else config.budgets:
        found[limit.surface] = (*found.get(limit.surface, ()), limit)
    return found
