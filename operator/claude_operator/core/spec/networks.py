"""Which IP addresses may be connected to for a user: checked on the address that a name has led to, at each connection.

Whoever writes a spec chooses names, and what a name leads to may change between a check and a connection. So the check
is made last, where the socket is made. Private networks are free: proxies and companies' gateways stand there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = [
    "ANYWHERE",
    "METADATA",
    "AddressRefused",
    "AddressRules",
    "Network",
    "is_address",
    "parse_network",
    "rules_in_pod",
]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",
            "100.100.100.200/32",
            "168.63.129.16/32",
            "192.0.0.192/32",
            "fe80::/10",
            "fd00:42::42/128",
            "fd00:ec2::/32",
            "fd00:c1::a9fe:a9fe/128",
            "fd20:ce::254/128",
        ),
    )
)
"""Where nodes get their credentials, and clouds' own services: link-local, or not. NetworkPolicies cut them off too."""
_SPECIAL: Final = (
    *METADATA,
    ipaddress.ip_network("0.0.0.0/8"),  # this host, whatever follows the zero
    ipaddress.ip_network("fec0::/10"),  # what was link-local's like
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL: Final = ipaddress.ip_network("64:ff9b:1::/48")
_NAT64_PLACES: Final = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))
"""Where the bytes of an IPv4 address are in an IPv6 address, by the length of the prefix: /48, /56, /64, /96."""


class AddressRefused(PermissionError):  # noqa: N818  (an answer, not a fault)
    """A connection to an address that the rules refuse. Its text is the same for all, so that no list tells more."""

    def __init__(self) -> None:
        super().__init__(13, "connections to this address are not allowed")


@dataclass(frozen=True, slots=True)
class AddressRules:
    """Refused is what only this pod, its node or its cloud can reach, and `denied`; `allowed` wins over both."""

    allowed: tuple[Network, ...] = ()
    denied: tuple[Network, ...] = ()
    special: bool = True
    """Whether special addresses are refused unasked: not on a laptop."""

    def permits(self, address: str) -> bool:
        """Whether an IP address may be connected to. Text that is none may not."""
        if self == ANYWHERE:
            return True
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        inner = () if isinstance(parsed, ipaddress.IPv4Address) else tuple(_embedded(parsed))
        # Which of several embedded addresses is reached is not known, so one that is allowed is not enough.
        if _in(parsed, self.allowed) or (inner and all(_in(one, self.allowed) for one in inner)):
            return True
        if any(_in(one, self.denied) for one in (parsed, *inner)):
            return False
        return not (self.special and any(map(_is_special, inner or (parsed,))))

    def check(self, address: str) -> None:
        """Raise AddressRefused where an IP address may not be connected to."""
        if not self.permits(address):
            raise AddressRefused


ANYWHERE: Final = AddressRules(special=False)


def is_address(text: str) -> bool:
    """Whether it is an IP address, and not a name."""
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def parse_network(text: str) -> Network:
    """A network as an installer writes it; raises ValueError."""
    try:
        return ipaddress.ip_network(text.strip())
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network of IP addresses; use e.g. 10.0.0.0/8 or 10.1.2.3") from None
    raise ValueError(f"{text!r} has bits beyond its prefix; use {meant}")


def rules_in_pod(allowed: Iterable[Network], denied: Iterable[Network], variables: Mapping[str, str]) -> AddressRules:
    """The rules of a pod: its node's addresses and the API server's, as its environment names them, are denied too."""
    found = [*denied]
    for name in ("HOST_IPS", "HOST_IP", "KUBERNETES_SERVICE_HOST"):
        for text in variables.get(name, "").split(","):
            try:
                found.append(parse_network(text))
            except ValueError:  # a name: what it leads to is denied by the operator, which knows the addresses
                continue
    return AddressRules(tuple(dict.fromkeys(allowed)), tuple(dict.fromkeys(found)))


def _in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)


def _embedded(address: ipaddress.IPv6Address) -> Iterator[Address]:
    """The IPv4 addresses that an IPv6 address stands for: a translator or a tunnel would deliver to these."""
    packed = address.packed
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo
    elif address in _NAT64 or (not any(packed[:12]) and int(address) > 1):  # the latter: the old IPv4-compatible form
        yield ipaddress.IPv4Address(packed[12:])
    elif address in _NAT64_LOCAL:
        for places in _NAT64_PLACES:
            found = bytes(packed[place] for place in places)
            if found[0]:  # another length's place holds zeros
                yield ipaddress.IPv4Address(found)
    elif packed[8:12] in (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe"):  # ISATAP
        yield address
        yield ipaddress.IPv4Address(packed[12:])


def _is_special(address: Address) -> bool:
    """Whether an address never is a server of somebody else's."""
    return (
        address.is_link_local
        or address.is_loopback
        or address.is_unspecified
        or address.is_multicast
        or address.is_reserved
        or _in(address, _SPECIAL)
    )
