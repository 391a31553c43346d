"""The options with which an installer says what pods may do, the same for the operator and for them."""

from __future__ import annotations

import argparse
import re

from claude_operator.core.spec.hosts import host_pattern
from claude_operator.core.spec.networks import Network, parse_network

__all__ = [
    "ALLOWED_OPTION",
    "DENIED_OPTION",
    "EGRESS_OPTION",
    "FORWARD_OPTION",
    "HOST_OPTION",
    "PRICES_OPTION",
    "add_header_option",
    "add_host_option",
    "add_network_options",
]

ALLOWED_OPTION = "--allowed-address"
DENIED_OPTION = "--denied-address"
EGRESS_OPTION = "--signed-egress"
FORWARD_OPTION = "--forward-header"
HOST_OPTION = "--allowed-host"
PRICES_OPTION = "--own-prices"

_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_NEVER = frozenset(
    (
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
    )
)


def add_network_options(parser: argparse.ArgumentParser, *, used: str) -> None:
    """Declare them; they fill `allowed_addresses` and `denied_addresses`. `used`: what connects there."""
    group = parser.add_argument_group(
        "addresses",
        f"where {used} may connect: not to link-local or loopback addresses, its node or the API server",
    )
    for name, use in (
        (ALLOWED_OPTION, "connect to these although they would be refused; this wins over what is denied"),
        (DENIED_OPTION, "refuse these too"),
    ):
        group.add_argument(
            name,
            dest=f"{name.strip('-').replace('-', '_')}es",
            action="append",
            default=[],
            type=_network,
            metavar="CIDR",
            help=f"{use}; can be repeated",
        )


def add_host_option(parser: argparse._ActionsContainer, *, used: str) -> None:
    """Declare it; it fills `allowed_hosts`. `used`: what may have these hosts."""
    parser.add_argument(
        HOST_OPTION,
        dest="allowed_hosts",
        action="append",
        default=[],
        type=_host,
        metavar="HOST",
        help=f"a host that {used} may have: api.anthropic.com, *.example.com or proxy.ai:8080; give it once for each"
        " (default: any host)",
    )


def add_header_option(parser: argparse.ArgumentParser) -> None:
    """Declare it; it fills `forwarded_headers`."""
    parser.add_argument(
        FORWARD_OPTION,
        dest="forwarded_headers",
        action="append",
        default=[],
        type=_header,
        metavar="NAME",
        help="a request header that gateways send upstream beside those of the Claude API, for an upstream that is"
        " another kind of gateway; can be repeated",
    )


def _header(text: str) -> str:
    if not _HEADER.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a header; use letters, digits and dashes")
    if text.lower() in _NEVER:
        raise argparse.ArgumentTypeError(f"{text!r} is the gateway's own to set; leave it out")
    return text.lower()


def _host(text: str) -> str:
    try:
        return host_pattern(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
