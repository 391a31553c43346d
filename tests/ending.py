"""The end of a server whose loop ends with it."""

from __future__ import annotations

import asyncio

from aiohttp import web

_ACCEPTING = 10  # turns of the loop; from accept() to connection_made() asyncio takes four


async def stop_accepting(runner: web.BaseRunner) -> None:
    """Close what listens. A connection that is just being accepted joins first: asyncio would leave it open."""
    loop = asyncio.get_running_loop()
    for site in runner.sites:
        server = site._server
        for socket in server.sockets if isinstance(server, asyncio.Server) else ():
            loop.remove_reader(socket.fileno())
    for _ in range(_ACCEPTING):
        await asyncio.sleep(0)
    for site in list(runner.sites):
        await site.stop()


async def end(runner: web.BaseRunner) -> None:
    """Close what listens and all connections."""
    await stop_accepting(runner)
    await runner.cleanup()
