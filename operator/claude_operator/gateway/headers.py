"""What happens to headers on their way: which ones pass, keys replaced, betas merged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache

from multidict import MultiMapping

from claude_operator.gateway.ports import MutableHeaders

__all__ = [
    "BETA",
    "NO_GRADING",
    "SESSION",
    "SUBAGENT",
    "SURFACE",
    "USER",
    "WANTED_REVISION",
    "UpstreamHeaders",
    "credentials",
    "for_client",
]

SESSION = "x-claude-session-id"
USER = "x-claude-user-id"
SUBAGENT = "x-claude-subagent"
SURFACE = "x-claude-surface"
WANTED_REVISION = "x-claude-revision"
NO_GRADING = "x-claude-operator-no-grading"
"""No answer to a request with this header is sampled for grading."""
BETA = "anthropic-beta"

DEFAULT_VERSION = "2026-10-21"

_HOP_BY_HOP = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_UP = frozenset(
    (
        "accept",
        "accept-encoding",
        "content-encoding",
        "content-length",
        "content-type",
        "idempotency-key",
        "last-event-id",
        "traceparent",
        "tracestate",
        "user-agent",
        "x-app",
        "x-client-app",
        "x-client-request-id",
        "x-environment-runner-version",
        "x-request-id",
        "x-self-hosted-runner-version",
    )
)
_UP_FAMILIES = ("anthropic-", "x-anthropic-", "x-stainless-", "x-claude-code", "x-claude-remote-")
"""How names begin that the API, its SDKs and Claude Code use."""
_ACCOUNT = frozenset(("authorization", "x-api-key", "x-organization-uuid", "x-trusted-device-token"))
_ACCOUNT_FAMILIES = ("anthropic-account", "anthropic-api-key", "anthropic-organization", "anthropic-workspace")
"""What says whose account it is: only with a key of the client's own."""
_COMPOSED = frozenset(("accept-encoding", "content-encoding", "content-length", "content-type", BETA))
"""What the gateway writes itself where it has composed the body."""
_NO_HEADERS = _HOP_BY_HOP | {"close"}
_NOTHING: frozenset[str] = frozenset()
_UNTOLD = _HOP_BY_HOP | {
    "host",
    "expect",
    "accept-language",
    "cookie",
    SESSION,
    USER,
    SUBAGENT,
    SURFACE,
    WANTED_REVISION,
    NO_GRADING,
}
_UNTOLD_FAMILIES = ("cf-", "sec-", "x-b3-", "x-envoy-", "x-forwarded-", "x-real-ip")
"""What browsers, Node.js and proxies add by themselves: nobody misses it."""
_LONGEST_NAME = 64
_MOST_TOLD = 32  # names that are told in the life of a process

_NOT_DOWN = _HOP_BY_HOP | {
    "alt-svc",  # would lead clients past the gateway
    "nel",
    "report-to",
    "server",
    "server-timing",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "via",
    "x-powered-by",
}
_NOT_DOWN_FAMILIES = ("anthropic-organization", "anthropic-workspace", "cf-", "x-amz-", "x-cloud-", "x-envoy-")


def credentials(headers: MultiMapping[str]) -> list[str]:
    """The keys that a client sends, those of `Authorization: Bearer` first. Some clients also send a stale one."""
    keys = []
    for value in headers.getall("authorization", ()):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            keys.append(token.strip())
    keys += (value.strip() for value in headers.getall("x-api-key", ()))
    return [key for key in keys if key]


class UpstreamHeaders:
    """Which of a client's headers go upstream: those that the API uses, and those that the installer adds by `also`.

    A list of what may pass: what another server makes of a name, such as a metadata service or a proxy on the way, is
    not known. A name with an underscore never passes: some servers read it as one with a dash. `on_dropped` is told the
    names that do not pass, each once.
    """

    def __init__(self, also: Iterable[str] = (), on_dropped: Callable[[str], None] = lambda name: None) -> None:
        self._also = frozenset(name.lower() for name in also)
        self._on_dropped = on_dropped
        self._told = 0
        self._passes = lru_cache(maxsize=1024)(self._decide)

    def make(self, headers: MultiMapping[str], key: str | None, betas: Sequence[str] | None) -> MutableHeaders:
        """The headers of a request.

        `key` takes the place of the client's, which goes through where it is None. `betas` take the place of the
        client's; None for a request that passes through unchanged.
        """
        composed, swapped, passes = betas is not None, key is not None, self._passes
        kept = [
            pair for pair in headers.items() if len(pair[0]) <= _LONGEST_NAME and passes(pair[0], swapped, composed)
        ]
        out = MutableHeaders(_without(_named_by_connection(headers), kept))
        if key is not None:
            out["x-api-key"] = key
        if "anthropic-version" not in out:
            out["anthropic-version"] = DEFAULT_VERSION
        if betas is not None:
            out["content-type"] = "application/json"
            out["accept-encoding"] = "identity"
            if betas:
                out["anthropic-beta"] = ",".join(betas)
        return out

    def _decide(self, name: str, swapped: bool, composed: bool) -> bool:
        """Whether a header goes upstream; asked once for each name."""
        name = name.lower()
        if name in self._also:
            return True
        account = name in _ACCOUNT or name.startswith(_ACCOUNT_FAMILIES)
        if account or name in _UNTOLD or (composed and name in _COMPOSED):
            return account and not swapped and "_" not in name
        if (name in _UP or name.startswith(_UP_FAMILIES)) and "_" not in name:
            return True
        if self._told < _MOST_TOLD and not name.startswith(_UNTOLD_FAMILIES):
            self._told += 1
            self._on_dropped(name)
        return False


def for_client(headers: MultiMapping[str], *, framed: bool = False) -> list[tuple[str, str]]:
    """The upstream's headers for the client; `framed` leaves out content-length, which the sender of the body sets.

    Left out is what belongs to the connection, to the operator's account, or to the servers on the way.
    """
    passes = _passes_framed if framed else _passes_down
    kept = [pair for pair in headers.items() if len(pair[0]) <= _LONGEST_NAME and passes(pair[0])]
    return _without(_named_by_connection(headers), kept)


@lru_cache(maxsize=1024)
def _passes_down(name: str) -> bool:
    """Whether one of the upstream's headers is for the client."""
    name = name.lower()
    return name not in _NOT_DOWN and not name.startswith(_NOT_DOWN_FAMILIES)


@lru_cache(maxsize=1024)
def _passes_framed(name: str) -> bool:
    return _passes_down(name) and name.lower() != "content-length"


def _without(named: frozenset[str], kept: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [pair for pair in kept if pair[0].lower() not in named] if named else kept


def _named_by_connection(headers: MultiMapping[str]) -> frozenset[str]:
    """Headers that `Connection` declares to be hop-by-hop, beside those that always are."""
    values = headers.getall("connection", ())
    return frozenset(_split(values)) - _NO_HEADERS if values else _NOTHING


def _split(values: Iterable[str]) -> Iterator[str]:
    return (word.strip().lower() for value in values for word in value.split(","))
