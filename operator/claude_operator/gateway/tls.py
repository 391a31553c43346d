"""TLS of the port for clients: a certificate and its key from files, read again when they change."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from claude_operator.api.gateway import TLS_CERTIFICATE, TLS_KEY
from claude_operator.log import Log

__all__ = ["TlsFiles"]

_INTERVAL = 1.0  # seconds between two looks


class TlsFiles:
    """A context for the connections to come; those that are open keep the one that they began with."""

    def __init__(self, folder: Path, log: Log) -> None:
        """Read the files; raises OSError, which is also what unusable ones raise."""
        self._folder, self._log = folder, log
        self._seen: tuple[bytes, bytes] | None = None
        self._refused: tuple[bytes, bytes] | None = None
        self.context = self._load(*self._read())

    async def follow(self) -> None:
        """Look at the files once a second; never returns."""
        while True:
            await asyncio.sleep(_INTERVAL)
            self.reload()

    def reload(self) -> None:
        """Take in changed files; what cannot be used leaves the context before in place, and is told once."""
        try:
            found = self._read()
        except OSError:
            return  # of no Secret any more: what was read last stays good for as long as it is valid
        if found in (self._seen, self._refused):
            return
        try:
            self.context = self._load(*found)
        except OSError as error:
            self._refused = found
            self._log.event("certificate refused", "error", reason=_reason(error), folder=str(self._folder))
        else:
            self._refused = None
            self._log.event("certificate read", folder=str(self._folder))

    def _read(self) -> tuple[bytes, bytes]:
        certificate, key = (self._folder / name for name in (TLS_CERTIFICATE, TLS_KEY))
        return certificate.read_bytes(), key.read_bytes()

    def _load(self, certificate: bytes, key: bytes) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._folder / TLS_CERTIFICATE, self._folder / TLS_KEY)
        if self._read() != (certificate, key):
            raise OSError("the files changed while they were read")
        self._seen = (certificate, key)
        return context


def _reason(error: OSError) -> str:
    """What OpenSSL calls it; its text would name lines of its own source."""
    return str(getattr(error, "reason", None) or error)
