"""What happens to headers on their way: hop-by-hop ones are dropped, keys replaced, betas merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from multidict import MultiMapping

from claude_operator.gateway.ports import MutableHeaders

__all__ = [
    "BETA",
    "SESSION",
    "SUBAGENT",
    "SURFACE",
    "USER",
    "WANTED_REVISION",
    "credentials",
    "for_client",
    "for_upstream",
]

SESSION = "x-claude-session-id"
USER = "x-claude-user-id"
SUBAGENT = "x-claude-subagent"
SURFACE = "x-claude-surface"
WANTED_REVISION = "x-claude-revision"
BETA = "anthropic-beta"

DEFAULT_VERSION = "2026-10-21"

_KEYS = frozenset(("authorization", "x-api-key"))
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
_CONSUMED = frozenset((SESSION, USER, SUBAGENT, SURFACE, WANTED_REVISION))
_REQUEST_DROPPED = _HOP_BY_HOP | _CONSUMED | {"host", "expect"}
_COMPOSED_DROPPED = _REQUEST_DROPPED | {"content-length", "content-type", "accept-encoding", BETA}


def credentials(headers: MultiMapping[str]) -> list[str]:
    """The keys that a client sends, those of `Authorization: Bearer` first. Some clients also send a stale one."""
    keys = []
    for value in headers.getall("authorization", ()):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == "bearer":
            keys.append(token.strip())
    keys += (value.strip() for value in headers.getall("x-api-key", ()))
    return [key for key in keys if key]


def for_upstream(headers: MultiMapping[str], key: str | None, betas: Sequence[str] | None) -> MutableHeaders:
    """The client's headers for the upstream.

    `key` takes the place of the client's, which goes through where it is None. `betas` take the place of the client's;
    None for a request that passes through unchanged.
    """
    composed = betas is not None
    dropped = (_COMPOSED_DROPPED if composed else _REQUEST_DROPPED) | _named_by_connection(headers)
    if key is not None:
        dropped |= _KEYS
    out = MutableHeaders((name, value) for name, value in headers.items() if name.lower() not in dropped)
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


def for_client(headers: MultiMapping[str], *, framed: bool = False) -> Iterator[tuple[str, str]]:
    """The upstream's headers for the client; `framed` leaves out content-length, which the sender of the body sets."""
    dropped = _HOP_BY_HOP | _named_by_connection(headers)
    if framed:
        dropped |= {"content-length"}
    return ((name, value) for name, value in headers.items() if name.lower() not in dropped)


def _named_by_connection(headers: MultiMapping[str]) -> frozenset[str]:
    """Headers that `Connection` declares to be hop-by-hop."""
    values = headers.getall("connection", ())
    return frozenset(_split(values)) if values else frozenset()


def _split(values: Iterable[str]) -> Iterator[str]:
    return (word.strip().lower() for value in values for word in value.split(","))
