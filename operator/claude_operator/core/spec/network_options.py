"""The two options with which an installer says where programs may connect, the same for all of them."""

from __future__ import annotations

import argparse

from claude_operator.core.spec.networks import Network, parse_network

__all__ = ["ALLOWED_OPTION", "DENIED_OPTION", "add_network_options"]

ALLOWED_OPTION = "--allowed-address"
DENIED_OPTION = "--denied-address"


def add_network_options(parser: argparse.ArgumentParser, *, used: str) -> None:
    """Declare them; they fill `allowed_addresses` and `denied_addresses`. `used`: what connects there."""
    group = parser.add_argument_group(
        "addresses",
        f"where {used} may connect: not to link-local or loopback addresses, its node or the API server",
    )
    for name, use in (
        (ALLOWED_OPTION, "connect to these all the same; wins over all that is refused"),
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


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
