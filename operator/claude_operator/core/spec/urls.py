"""What is wrong with a base URL that a path is appended to."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

__all__ = ["url_problems"]


def url_problems(url: str, *, example: str, instead: str, appended: str) -> Iterator[str]:
    """As the rest of a sentence each. `instead`: where a password belongs; `appended`: what follows the URL."""
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if not host:
        yield f"has no valid host and port: write for example {example}"
        return
    if parts.username is not None or parts.password is not None:
        yield f"contains a user or password: remove them, {instead}"
    if parts.query or parts.fragment:
        yield f"contains ? or #: remove it and what follows, because {appended} is appended to it"
