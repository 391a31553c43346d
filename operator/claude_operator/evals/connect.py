"""HTTP connections that go only where rules permit, checked on the address that a name has led to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable

import anthropic
import httpcore2
import httpx2
from httpcore2 import SOCKET_OPTION, AsyncNetworkBackend, AsyncNetworkStream

from claude_operator.core.spec.networks import ANYWHERE, AddressRefused, AddressRules

__all__ = ["http_client", "was_refused"]


def http_client(rules: AddressRules, connections: int) -> httpx2.AsyncClient:
    """A client that connects by `rules`, and then directly: without rules the environment's proxies count.

    A redirect would carry the question, and the tokens of MCP servers in it, to wherever it leads: it follows none.
    """
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    if rules == ANYWHERE:
        return anthropic.DefaultAsyncHttpxClient(limits=limits, follow_redirects=False)
    transport = httpx2.AsyncHTTPTransport()
    transport._pool = httpcore2.AsyncConnectionPool(  # httpx hands no backend on
        ssl_context=httpx2.create_ssl_context(),
        max_connections=limits.max_connections,
        max_keepalive_connections=limits.max_keepalive_connections,
        keepalive_expiry=limits.keepalive_expiry,
        network_backend=_CheckedBackend(rules),
    )
    return anthropic.DefaultAsyncHttpxClient(limits=limits, follow_redirects=False, transport=transport)


def was_refused(error: BaseException | None) -> bool:
    """Whether the rules are what lies behind an error."""
    while error is not None:
        if isinstance(error, AddressRefused):
            return True
        error = error.__cause__ or error.__context__
    return False


class _CheckedBackend(AsyncNetworkBackend):
    """Resolves, checks, and connects to the very address that was checked. TLS still asks for the name."""

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (as the protocol has it)
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to the first of the name's permitted addresses that answers."""
        try:
            async with asyncio.timeout(timeout):
                failed: Exception = AddressRefused()
                for address in await _addresses(host, port):
                    if not self._rules.permits(address):
                        continue
                    try:
                        return await self._backend.connect_tcp(address, port, None, local_address, socket_options)
                    except httpcore2.ConnectError as error:
                        failed = error
                raise failed
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout from error


async def _addresses(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError from error
    return [str(where[0]) for *_, where in found]
