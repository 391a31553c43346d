"""What a gateway counts of prompt caching by prefix, as it travels in JSON in `Usage`."""

from __future__ import annotations

from typing import Annotated

import msgspec

from claude_operator.api.gateway import Count, Text, Wire

__all__ = ["NO_PREFIX", "ColdRow", "PrefixRow"]

NO_PREFIX = "none"
"""The name of the prefix of requests that have neither tools nor system."""


class ColdRow(Wire, frozen=True, array_like=True):
    """Calls that found less in the cache than they could have, for one cause."""

    cause: Text
    calls: Count = 0
    tokens: Count = 0
    """Tokens that could have been read."""
    usd: Annotated[float, msgspec.Meta(ge=0.0, le=1e9)] = 0.0
    """What they cost above the price of reading them, of calls whose price is known."""
    unpriced: Count = 0
    """Calls that `usd` leaves out."""
    where: Text = ""
    """The block that differed in the last of them, such as `system[1]`."""
    hint: Text = ""
    """What its text looks like, or how far the call missed: never the text."""


class PrefixRow(Wire, frozen=True, array_like=True):
    """Calls of one revision and surface with the same tools and system up to the last breakpoint, as an array."""

    revision: Text
    role: Text
    surface: Text
    """A surface named in the config, or `other`."""
    prefix: Text
    """Stands for the prefix: the same in every process. `none`: there is nothing before messages; `other`: all that
    are seldom used or come after the first ten of the revision."""
    calls: Count = 0
    """Calls with a known usage."""
    input: Count = 0
    """Tokens of their prompts, the cache's included."""
    read: Count = 0
    written: Count = 0
    cold: Annotated[list[ColdRow], msgspec.Meta(max_length=32)] = []
