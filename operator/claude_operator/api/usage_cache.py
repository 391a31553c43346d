"""What a gateway counts of prompt caching by prefix, as it travels in JSON in `Usage`."""

from __future__ import annotations

from claude_operator.api.gateway import Text, Wire

__all__ = ["PrefixRow"]


class PrefixRow(Wire, frozen=True, array_like=True):
    """One prefix of a prompt."""

    prefix: Text
