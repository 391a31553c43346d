"""Where the API server really is: addresses that nothing connects to for a user."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from claude_operator.core.render import Site
from claude_operator.core.spec.networks import parse_network
from claude_operator.kube.client import Kube, KubeError
from claude_operator.kube.resources import ENDPOINT_SLICES
from claude_operator.log import fields

__all__ = ["ApiServerAddresses"]

_SELECTOR = "kubernetes.io/service-name=kubernetes"
_NAMESPACE = "default"
_PAUSE = 0.5  # seconds until it is asked again
_PATIENCE = 1.0  # seconds for an answer while the Lease waits to be renewed
_EVERY = 60.0  # seconds between two looks
_KEPT = 10  # looks for which an address that is gone stays denied: an API server that restarts has it again

_log = logging.getLogger(__name__)


class ApiServerAddresses:
    """The addresses behind the Service `kubernetes`, sorted; none where they may not be read."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._unseen: dict[str, int] = {}
        """Looks since each was there."""
        self._logged = ""

    @property
    def found(self) -> tuple[str, ...]:
        """As networks of one address."""
        return tuple(sorted(self._unseen))

    async def wait(self) -> None:
        """Ask until there is an answer: without one, gateways would be told that nothing is denied."""
        while True:
            if await self._ask():
                return
            await asyncio.sleep(_PAUSE)

    async def refresh(self) -> None:
        """Ask once more, but not for long; without an answer, what was found before stays."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._ask()
        except TimeoutError:
            pass

    async def keep(self, changed: Callable[[], None]) -> None:
        """Look forever; `changed` is called when others are found."""
        while True:
            await asyncio.sleep(_EVERY)
            before = self.found
            await self._ask()
            if self.found != before:
                _log.info("the API server has other addresses", extra=fields(addresses=", ".join(self.found)))
                changed()

    def denied_on(self, site: Site) -> Site:
        """The site, these addresses denied too."""
        return replace(site, denied_addresses=tuple(dict.fromkeys((*site.denied_addresses, *self.found))))

    async def _ask(self) -> bool:
        """Whether there was an answer."""
        try:
            slices = await self._kube.list(ENDPOINT_SLICES, _NAMESPACE, label_selector=_SELECTOR)
        except KubeError as error:
            final = error.status in (403, 404)
            text = "the API server's own addresses cannot be read"
            if final:
                text += ", so only the address of its Service is refused: grant list on endpointslices in the namespace"
                text += " default, or give the addresses with --denied-address"
            if text != self._logged:
                _log.warning(text, extra=fields(error=str(error)))
            self._logged = text
            return final
        named = {address for one in slices for end in one.get("endpoints") or () for address in end["addresses"]}
        found = {str(parse_network(address)) for address in named}
        if found:  # an API server has answered, so none at all is a moment in which it writes them again
            unseen = {address: looks + 1 for address, looks in self._unseen.items() if looks < _KEPT}
            self._unseen = unseen | dict.fromkeys(found, 0)
        return True
