"""Addresses of servers, as a spec names them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

__all__ = ["address_problems", "split_address"]


def split_address(address: str) -> SplitResult | None:
    """The parts of a URL; None without a valid host and port."""
    try:
        parts = urlsplit(address)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def address_problems(address: str, *, example: str, secrets_belong: str, appended: str) -> Iterator[str]:
    """What is wrong with it, each as the end of a sentence. `appended`: what is put after it."""
    parts = split_address(address)
    if parts is None:
        yield f"has no valid host and port: write for example {example}"
        return
    if parts.username is not None or parts.password is not None:
        yield f"has a user or password: remove them, {secrets_belong}"
    if parts.query or parts.fragment:
        yield f"has a ? or a #: remove what follows, {appended} is put after it"
