"""Secret values from mounted files: the upstream key, the tokens that `$(NAME)` refers to, the clients' keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from claude_operator.api.gateway import CLIENT_KEY, CLIENT_PREVIOUS_KEY, GRADER_KEY, OPERATOR_DIR, OPERATOR_KEY

__all__ = ["CredentialFiles", "Credentials"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class KeyHints:
    """The parts of messages that say where a person finds or sets keys."""

    upstream_key: str
    client_key: str


_IN_A_POD = KeyHints(
    "set spec.upstream.apiKeySecretRef to a Secret that has one",
    "Use the key ANTHROPIC_API_KEY of the Secret <name>-client",
)
_ON_A_LAPTOP = KeyHints(
    "set the variable ANTHROPIC_API_KEY, or give a file with the key by --upstream-key-file",
    "Use the key in the file ANTHROPIC_API_KEY of the --client-dir folder"
    ' (with "auth": {"type": "None"} in the config, clients need no key)',
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The values as of one read of the files. Never printed."""

    upstream_key: str | None = field(default=None, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    client_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """The current key, and while it is being rotated the previous one."""
    operator_key: bytes = field(default=b"", repr=False)
    """What the operator and the gateways of this deployment share, empty on a laptop."""
    grader_key: bytes = field(default=b"", repr=False)
    hints: KeyHints = _IN_A_POD

    def explain_missing_key(self) -> str:
        """What to do where there is no key for the upstream."""
        return f"the gateway has no upstream API key: {self.hints.upstream_key}"

    def explain_refusal(self, sent: Sequence[str]) -> str:
        """What to do when none of the keys that a client has `sent` is right."""
        if not sent:
            wrong = "no key was sent: send one as x-api-key or Authorization: Bearer"
        elif self.client_keys:
            wrong = "the gateway does not accept this key"
        else:
            wrong = "the gateway has no client keys, so it accepts no key"
        return f"{wrong}. {self.hints.client_key}"


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """Where the values are. What is missing falls back to `fallback_*`, given by the environment `on_a_laptop`."""

    upstream_key: Path
    env: Path
    client: Path
    operator: Path = Path(OPERATOR_DIR)
    fallback_key: str | None = field(default=None, repr=False)
    fallback_env: Mapping[str, str] = field(default_factory=dict, repr=False)
    on_a_laptop: bool = False

    def read(self, names: Iterable[str], last: Credentials) -> Credentials:
        """The values now. A file that has gone keeps its `last` value: a served arm stays served.

        A key of clients or graders does not: emptying it is how it is withdrawn. The kubelet swaps whole
        directories, so a file is never gone for a moment; one that cannot be read keeps its last value too.
        """
        env = {}
        for name in names:
            value = _text(self.env / name) if _NAME.fullmatch(name) else None
            for other in (value, last.env.get(name), self.fallback_env.get(name)):
                if other is not None:
                    env[name] = other.rstrip("\r\n")
                    break
        key = (_text(self.upstream_key) or "").strip()
        return Credentials(
            upstream_key=key or last.upstream_key or (self.fallback_key or "").strip() or None,
            env=env,
            client_keys=self._client_keys(last.client_keys),
            operator_key=(_text(self.operator / OPERATOR_KEY) or "").strip().encode() or last.operator_key,
            grader_key=_bytes_unless_broken(self.operator / GRADER_KEY, last.grader_key),
            hints=_ON_A_LAPTOP if self.on_a_laptop else _IN_A_POD,
        )

    def _client_keys(self, last: tuple[bytes, ...]) -> tuple[bytes, ...]:
        try:
            found = [_bytes(self.client / name) for name in (CLIENT_KEY, CLIENT_PREVIOUS_KEY)]
        except OSError:
            return last
        return tuple(key for key in found if key)


def _bytes(path: Path) -> bytes:
    """A small file's bytes, none where there is no such file; raises OSError where it cannot be read."""
    try:
        return path.read_bytes().strip()
    except (FileNotFoundError, NotADirectoryError):
        return b""


def _bytes_unless_broken(path: Path, last: bytes) -> bytes:
    """A small file's bytes, `last` where it cannot be read."""
    try:
        return _bytes(path)
    except OSError:
        return last


def _text(path: Path) -> str | None:
    """A small file's text, None where there is none to read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
