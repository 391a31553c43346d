"""The one place where what is served changes: configs come in, credentials are looked at again, plans go live."""

from __future__ import annotations

import asyncio

from claude_operator.api.gateway import GatewayConfig, parse_config
from claude_operator.gateway.credentials import CredentialFiles, Credentials
from claude_operator.gateway.evidence import Ledger
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.plan import Plan, build
from claude_operator.log import Log

__all__ = ["Control"]

CREDENTIALS_INTERVAL = 1.0  # seconds between two looks at the mounted files


class Control:
    """Holds the plan being served. A config that cannot be served is refused whole and the old one stays."""

    def __init__(self, files: CredentialFiles, ledger: Ledger, metrics: Metrics, log: Log) -> None:
        self.plan: Plan | None = None
        self.error = ""
        self.ledger = ledger
        self._files = files
        self._metrics = metrics
        self._log = log
        self._waiting: GatewayConfig | None = None
        self._last = b""

    @property
    def generation(self) -> int:
        """The config generation being served, 0 before the first."""
        return self.plan.config.generation if self.plan else 0

    @property
    def weights(self) -> dict[str, int] | None:
        """What is being served, None before the first config."""
        return self.plan.weights if self.plan else None

    def offer(self, data: bytes) -> None:
        """A source has read a config document."""
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
        """Serve the values that the files hold now, and a config that waited for one of them."""
        config = self._waiting or (self.plan.config if self.plan else None)
        if config is None:
            return
        last = self.plan.credentials if self.plan else Credentials()
        if self._waiting or self._files.read(config.env, last) != last:
            self._apply(config)

    async def watch_credentials(self) -> None:
        """Look at the files once a second, for ever."""
        while True:
            await asyncio.sleep(CREDENTIALS_INTERVAL)
            self.reload_credentials()

    def _apply(self, config: GatewayConfig) -> None:
        last = self.plan.credentials if self.plan else Credentials()
        try:
            plan = build(config, self._files.read(config.env, last), self.ledger.generation)
        except Exception as error:  # whatever is wrong with a config, what is being served goes on
            self._refuse(str(error) or type(error).__name__)
            return
        self.plan, self._waiting, self.error = plan, None, ""
        self._metrics.generation.set(config.generation)
        self._log.event("config applied", generation=config.generation, weights=plan.weights)
        if plan.swaps_key and plan.credentials.upstream_key is None:
            self._log.event("no upstream API key", "warning", remedy=plan.credentials.hints.upstream_key)

    def _refuse(self, reason: str) -> None:
        if reason == self.error:
            return
        self.error = reason
        self._metrics.config_errors.inc()
        self._log.event("config refused", "error", reason=reason, serving=self.generation)
