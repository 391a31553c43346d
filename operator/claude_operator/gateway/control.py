"""The one place where what is served changes: it takes configs, reads credentials again, and swaps the live config."""

from __future__ import annotations

import asyncio

from claude_operator.api.gateway import GatewayConfig, parse_config
from claude_operator.gateway.credentials import CredentialFiles, Credentials
from claude_operator.gateway.evidence import EvidenceStore
from claude_operator.gateway.live_config import LiveConfig, build
from claude_operator.gateway.metrics import Metrics
from claude_operator.log import Log

__all__ = ["Control"]

CREDENTIALS_INTERVAL = 1.0  # seconds between two looks at the mounted files


class Control:
    """Has the config being served. It refuses a config that cannot be served whole, and keeps the one before."""

    def __init__(self, files: CredentialFiles, store: EvidenceStore, metrics: Metrics, log: Log) -> None:
        self.live: LiveConfig | None = None
        self.error = ""
        self.store = store
        self._files = files
        self._metrics = metrics
        self._log = log
        self._waiting: GatewayConfig | None = None
        self._last = b""

    @property
    def generation(self) -> int:
        """The config generation being served, 0 before the first."""
        return self.live.config.generation if self.live else 0

    @property
    def weights(self) -> dict[str, int] | None:
        """What is being served, None before the first config."""
        return self.live.weights if self.live else None

    def offer(self, data: bytes) -> None:
        """Take a config document that a source has read; the same bytes again change nothing."""
        if data == self._last:
            return
        self._last = data
        try:
            config = parse_config(data)
        except ValueError as error:
            self._waiting = None
            self._refuse(str(error))
            return
        self._waiting = config
        self._apply(config)

    def reload_credentials(self) -> None:
        """Serve the values that the files have now, and a refused config that one of them makes valid."""
        config = self._waiting or (self.live.config if self.live else None)
        if config is None:
            return
        last = self.live.credentials if self.live else Credentials()
        if self._waiting or self._files.read(config.env, last) != last:
            self._apply(config)

    async def watch_credentials(self) -> None:
        """Read the files once a second; never returns."""
        while True:
            await asyncio.sleep(CREDENTIALS_INTERVAL)
            self.reload_credentials()

    def _apply(self, config: GatewayConfig) -> None:
        last = self.live.credentials if self.live else Credentials()
        try:
            live = build(config, self._files.read(config.env, last), self.store.generation)
        except Exception as error:  # no fault of a config may stop the one being served
            self._refuse(str(error) or type(error).__name__)
            return
        self.live, self._waiting, self.error = live, None, ""
        self.store.draw_with(live.assignment.mark)
        self._metrics.generation.set(config.generation)
        self._log.event("config applied", generation=config.generation, weights=live.weights)
        if live.swaps_key and live.credentials.upstream_key is None:
            self._log.event("no upstream API key", "warning", remedy=live.credentials.hints.upstream_key)

    def _refuse(self, reason: str) -> None:
        if reason == self.error:
            return
        self.error = reason
        self._metrics.config_errors.inc()
        self._log.event("config refused", "error", reason=reason, serving=self.generation)
