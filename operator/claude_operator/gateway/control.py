"""The one place where what is served changes: it takes configs, reads credentials again, and swaps the live config."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from claude_operator.api.gateway import (
    CONFIG_KEY,
    DRILL_KEY,
    DRILL_SIGNATURE_KEY,
    EGRESS_KEY,
    EGRESS_SIGNATURE_KEY,
    OPERATOR_KEY,
    PRICES_KEY,
    PRICES_SIGNATURE_KEY,
    SIGNATURE_KEY,
    THROTTLE_KEY,
    THROTTLE_SIGNATURE_KEY,
    Egress,
    GatewayConfig,
    parse_config,
    parse_drill,
    parse_egress,
    parse_prices,
    parse_throttle,
    with_drill,
    with_egress,
    with_prices,
    with_throttle,
)
from claude_operator.api.prices import TokenPrices
from claude_operator.core.operator_key import (
    are_prices_signed,
    is_drill_signed,
    is_egress_signed,
    is_signed,
    is_throttle_signed,
)
from claude_operator.core.spec.networks import Network
from claude_operator.core.spec.site_options import HOST_OPTION
from claude_operator.gateway.credentials import CredentialFiles, Credentials
from claude_operator.gateway.document import Document
from claude_operator.gateway.evidence import EvidenceStore
from claude_operator.gateway.live_config import LiveConfig, build
from claude_operator.gateway.metrics import Metrics
from claude_operator.log import Log

__all__ = ["Control"]

CREDENTIALS_INTERVAL = 1.0  # seconds between two looks at the mounted files


class Control:
    """Has the config being served. It refuses a config that cannot be served whole, and keeps the one before.

    In a pod it also refuses one that the operator has not signed, or that is older than the one being served; with
    `signed_egress` it begins with none that does not say where secret values may go.
    """

    def __init__(
        self, files: CredentialFiles, store: EvidenceStore, metrics: Metrics, log: Log, *, signed_egress: bool = False
    ) -> None:
        self.live: LiveConfig | None = None
        self.deny: Callable[[tuple[Network, ...]], None] = lambda _: None
        """Takes the networks that are not to be connected to, before a config that says so is served."""
        self.error = ""
        self.store = store
        self._files, self._signed_egress = files, signed_egress
        self._metrics = metrics
        self._log = log
        self._before_live = files.read((), Credentials())
        self._waiting: GatewayConfig | None = None
        self._unsigned: Document | None = None
        self._last = Document(b"")

    @property
    def on_a_laptop(self) -> bool:
        """Whether nobody but the person at the keyboard gives configs and asks for evidence."""
        return self._files.on_a_laptop

    @property
    def credentials(self) -> Credentials:
        """As last read."""
        return self.live.credentials if self.live else self._before_live

    @property
    def generation(self) -> int:
        """The config generation being served, 0 before the first."""
        return self.live.config.generation if self.live else 0

    @property
    def weights(self) -> dict[str, int] | None:
        """What is being served, None before the first config."""
        return self.live.weights if self.live else None

    def offer(self, document: Document) -> None:
        """Take a config that a source has read; the same bytes again change nothing."""
        if document != self._last:
            self._last = document
            self._take(document)

    def reload_credentials(self) -> None:
        """Serve the values that the files have now, and a refused config that one of them makes valid."""
        if self.live is None:
            self._before_live = self._files.read((), Credentials())
        elif self._files.read(self.live.config.env, self.live.credentials) != self.live.credentials:
            self._serve(self.live.config)
        if self._unsigned is not None:
            self._take(self._unsigned)
        elif self._waiting is not None:
            self._apply(self._waiting)

    async def watch_credentials(self) -> None:
        """Read the files once a second; never returns."""
        while True:
            await asyncio.sleep(CREDENTIALS_INTERVAL)
            self.reload_credentials()
            self.store.sampler.expire()
            self._rehearse()

    def _rehearse(self) -> None:
        if self.live is None:
            return
        try:
            self.store.drills.make_up(self.live)
        except Exception as error:  # a rehearsal must not end the process
            self._log.event("a rehearsal cannot go on", "error", exception=type(error).__name__)

    def _take(self, document: Document) -> None:
        self._waiting = self._unsigned = None
        if doubt := self._doubt(document):
            self._unsigned = document  # the key may be on its way
            self._refuse(doubt)
            return
        try:
            config = self._parse(document)
        except ValueError as error:
            self._refuse(str(error))
            return
        if not self.on_a_laptop and config.generation < self.generation:
            self._refuse(
                f"config.json has generation {config.generation}, and {self.generation} is being served: somebody has"
                " put an old one back; the operator writes a newer one"
            )
            return
        self._apply(config)

    def _parse(self, document: Document) -> GatewayConfig:
        """The config with what stands beside it. Without an egress it keeps to the last: an operator before it may have
        written it."""
        config = parse_config(document.config)
        if self.on_a_laptop:
            return config
        config = self._with_throttle(with_prices(config, self._prices(document)), document)
        config = self._with_drill(config, document)
        if document.has_egress:
            return with_egress(config, parse_egress(document.egress))
        return with_egress(config, self.live.config.limits if self.live else Egress())

    def _prices(self, document: Document) -> dict[str, TokenPrices]:
        """Those of the document. What is signed and cannot be read is of another version: then the last ones hold.

        No price may keep traffic from being taken back.
        """
        try:
            return parse_prices(document.prices or "{}")
        except ValueError as error:
            self._log.event("prices cannot be read; those of before hold", "warning", reason=str(error))
            return dict(self.live.config.own_prices) if self.live else {}

    def _with_throttle(self, config: GatewayConfig, document: Document) -> GatewayConfig:
        """With what the document refuses. What is signed and cannot be read is of another version, and refuses nothing:
        no call is turned away without a reason that is known."""
        try:
            return with_throttle(config, parse_throttle(document.throttle or "{}"))
        except ValueError as error:
            self._log.event("the throttle cannot be read; calls are answered", "warning", reason=str(error))
            return config

    def _with_drill(self, config: GatewayConfig, document: Document) -> GatewayConfig:
        """With the drill of the document. Without a signature, or where it cannot be read, no call fails on purpose.

        The operator takes the key out after each drill, but cannot take out one that somebody else has put there.
        """
        if not document.drill:
            return config
        if not is_drill_signed(self.credentials.operator_key, document.data):
            remedy = f"find out who has written {DRILL_KEY} and {DRILL_SIGNATURE_KEY}"
            self._log.event("a drill that the operator has not signed is ignored", "warning", remedy=remedy)
            return config
        try:
            return with_drill(config, parse_drill(document.drill or "{}"))
        except ValueError as error:
            self._log.event("the drill cannot be read; no call fails on purpose", "warning", reason=str(error))
            return config

    def _doubt(self, document: Document) -> str:
        """Why the operator cannot have written this, empty where it has."""
        if self.on_a_laptop:
            return ""
        key = self.credentials.operator_key
        if not key:
            return (
                f"the file {self._files.operator / OPERATOR_KEY} is missing or empty: mount the Secret <name>-gateway"
                " there, as the operator does"
            )
        data, writes = document.data, "so somebody else has written it; the operator writes it again"
        if not is_signed(key, data):
            given = f"the key {SIGNATURE_KEY} is not made with its key"
            what = given if document.signature else f"there is no key {SIGNATURE_KEY}"
            return f"{CONFIG_KEY} is not signed by the operator ({what}), {writes}"
        if document.has_egress and not is_egress_signed(key, data):
            what = f"the key {EGRESS_SIGNATURE_KEY} is not made with its key, for this {CONFIG_KEY}"
            return f"{EGRESS_KEY} is not signed by the operator ({what}), {writes}"
        if (document.prices or document.prices_signature) and not are_prices_signed(key, data):
            what = f"the key {PRICES_SIGNATURE_KEY} is not made with its key, for this {CONFIG_KEY}"
            return f"{PRICES_KEY} is not signed by the operator ({what}), {writes}"
        if (document.throttle or document.throttle_signature) and not is_throttle_signed(key, data):
            what = f"the key {THROTTLE_SIGNATURE_KEY} is not made with its key, for this {CONFIG_KEY}"
            return f"{THROTTLE_KEY} is not signed by the operator ({what}), {writes}"
        if self._signed_egress and self.live is None and not document.has_egress:
            return (
                f"there is no key {EGRESS_KEY}, so it is not known where secret values may go; the operator writes it"
            )
        return ""

    def _apply(self, config: GatewayConfig) -> None:
        """Serve the newest config, or let it wait for a file that it names."""
        self._waiting = config
        if self._serve(config):
            self._waiting, self.error = None, ""

    def _serve(self, config: GatewayConfig) -> bool:
        last = self.live.credentials if self.live else Credentials()
        try:
            live = build(config, self._files.read(config.env, last), self.store.begin)
        except Exception as error:  # no fault of a config may stop the one being served
            self._refuse(str(error) or type(error).__name__)
            return False
        self.deny(live.denied)
        self.live = live
        self.store.draw_with(live.assignment.mark)
        self._metrics.generation.set(config.generation)
        self._log.event("config applied", generation=config.generation, weights=live.weights)
        self._tell_withheld(live)
        if live.swaps_key and live.credentials.upstream_key is None:
            self._log.event("no upstream API key", "warning", remedy=live.credentials.hints.upstream_key)
        return True

    def _tell_withheld(self, live: LiveConfig) -> None:
        """Say which hosts get no secret value."""
        if live.withholds_key:
            url = live.config.upstream.base_url
            self._log.event("the host may not get the key", "warning", url=url, remedy=HOST_OPTION)
        for revision, server in live.withheld:
            self._log.event(
                "the host may not get a token", "warning", revision=revision, server=server, remedy=HOST_OPTION
            )

    def _refuse(self, reason: str) -> None:
        if reason == self.error:
            return
        self.error = reason
        self._metrics.config_errors.inc()
        self._log.event("config refused", "error", reason=reason, serving=self.generation)
