"""Secret values from mounted files: the upstream key, the tokens that `$(NAME)` refers to, the clients' keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from claude_operator.api.gateway import CLIENT_KEY, CLIENT_PREVIOUS_KEY

__all__ = ["CredentialFiles", "Credentials"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Values as they were at one reading. Never printed."""

    upstream_key: str | None = field(default=None, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    client_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """The current key, and while it is being rotated the previous one."""


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """Where the values are. What is missing falls back to `fallback_*`, given by the environment on a laptop."""

    upstream_key: Path
    env: Path
    client: Path
    fallback_key: str | None = field(default=None, repr=False)
    fallback_env: Mapping[str, str] = field(default_factory=dict, repr=False)

    def read(self, names: Iterable[str], last: Credentials) -> Credentials:
        """The values now. A file that has gone keeps its `last` value: a served arm stays served."""
        env = {}
        for name in names:
            value = _text(self.env / name) if _NAME.fullmatch(name) else None
            for other in (value, last.env.get(name), self.fallback_env.get(name)):
                if other is not None:
                    env[name] = other.rstrip("\r\n")
                    break
        key = (_text(self.upstream_key) or "").strip()
        current, previous = (_text(self.client / name) for name in (CLIENT_KEY, CLIENT_PREVIOUS_KEY))
        keys = tuple(value.strip().encode() for value in (current, previous) if value and value.strip())
        return Credentials(
            upstream_key=key or last.upstream_key or self.fallback_key,
            env=env,
            client_keys=keys if current and current.strip() else last.client_keys,
        )


def _text(path: Path) -> str | None:
    """A small file's text, None where there is none to read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
