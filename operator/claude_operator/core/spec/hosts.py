"""Which hosts a URL may have: the installer's list, and every URL, in the one form in which they are compared."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Host", "host_of", "host_pattern", "is_allowed"]

_PORTS = {"http": 80, "https": 443}
# Stricter than any client's parser, so that no two of them see another host in what passes.
_HOST = r"(?P<host>[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\])"
_URL = re.compile(rf"(?P<scheme>https?)://{_HOST}(:(?P<port>[0-9]{{1,5}}))?(?=[/?#]|$)", re.IGNORECASE | re.ASCII)
_PATTERN = re.compile(rf"(?P<any>\*\.)?{_HOST}(:(?P<port>[0-9]{{1,5}}))?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Host:
    """The host and port of a URL; `standard` is the port of its scheme."""

    name: str
    port: int
    standard: int

    def __str__(self) -> str:
        return self.name if self.port == self.standard else f"{self.name}:{self.port}"


def host_of(url: str) -> Host | None:
    """The host that every client sees in a URL; None where they might differ."""
    found = _URL.match(url)
    if found is None:
        return None
    standard = _PORTS[found["scheme"].lower()]
    return Host(_plain(found["host"]), int(found["port"] or standard), standard)


def is_allowed(url: str, patterns: Sequence[str]) -> bool:
    """Whether a URL has one of these hosts, as `host_pattern` returned them; none allow any."""
    if not patterns:
        return True
    host = host_of(url)
    return host is not None and any(_allows(pattern, host) for pattern in patterns)


def host_pattern(text: str) -> str:
    """One allowed host as the installer writes it, in the form that is compared; raises ValueError."""
    found = _PATTERN.fullmatch(text)
    if found is None or (found["any"] and found["host"].startswith("[")):
        raise ValueError(f"{text!r} is not a host: write for example api.anthropic.com, *.example.com or proxy.ai:8080")
    if found["port"] and not 0 < int(found["port"]) < 65536:
        raise ValueError(f"{text!r} has no valid port: write 1 to 65535")
    port = f":{int(found['port'])}" if found["port"] else ""
    return f"{found['any'] or ''}{_plain(found['host'])}{port}"


def _allows(pattern: str, host: Host) -> bool:
    """Without a port a pattern stands for the scheme's own; `*.` for one label or more."""
    found = _PATTERN.fullmatch(pattern)
    if found is None or host.port != int(found["port"] or host.standard):
        return False
    named = found["host"]
    if found["any"]:
        return host.name.endswith(f".{named}") and not host.name.startswith(".")
    return host.name == named


def _plain(host: str) -> str:
    """A host in the one form that is compared: lower case, no dot at the end, an IPv6 address in its short form."""
    if host.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            return host.lower()
    return host.lower().removesuffix(".")
