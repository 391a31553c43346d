"""A Claude API in this process, outside of the cluster as pods see it: the simulator, and faults that it has not."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from tests.cluster.listener import OUTSIDE, give_address
from tests.cluster.rollouts import QUICK
from tests.ending import stop_accepting

from claude_operator.log import Log
from claude_operator.simulator.errors import ApiError
from claude_operator.simulator.profile import Compiled, compile_scenario
from claude_operator.simulator.request import Request
from claude_operator.simulator.scenario import parse
from claude_operator.simulator.server import make_app
from claude_operator.simulator.service import Simulator, Turn

_MUTE = logging.Logger("mute", logging.CRITICAL)

Refusal = Callable[[Request], ApiError | None]
"""The error that a request meets, None where it is answered."""


@dataclass(slots=True)
class _Faulty(Simulator):
    refuses: Refusal = lambda request: None

    def begin(self, request: Request) -> Turn:
        error = self.refuses(request)
        if error:
            raise error
        return Simulator.begin(self, request)


class Upstream:
    """Serves while entered, at `url`."""

    def __init__(self) -> None:
        give_address(OUTSIDE)
        self._address, self._port = OUTSIDE, 0
        self.serves = False
        self._simulator = _Faulty(_compiled())
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        """Its base URL; the port stays when it goes down and comes up again."""
        return f"http://{self._address}:{self._port}"

    def behave(self, *rules: dict[str, Any]) -> None:
        """Answer by these rules of a scenario from now on."""
        compiled = _compiled(*rules)
        self._loop.call_soon_threadsafe(self._simulator.apply, compiled)

    def refuse(self, refusal: Refusal = lambda request: None) -> None:
        """Meet requests with an error from now on; without a refusal, with none."""
        self._simulator.refuses = refusal

    def down(self) -> None:
        """Refuse connections, and cut off those that there are."""
        if self.serves:
            self.serves = False
            self._await(self._hang_up())

    def up(self) -> None:
        """Take connections, and answer as ever."""
        self.refuse()
        self.behave()
        if not self.serves:
            self._await(self._serve())
            self.serves = True

    async def _serve(self) -> None:
        app = make_app(self._simulator, Log(io.StringIO(), "json"), lambda text: _compiled())
        # It is cut off on purpose, and has nothing to say about it.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, auto_decompress=False, shutdown_timeout=0.1, logger=_MUTE
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, self._address, self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def _hang_up(self) -> None:
        await stop_accepting(self._runner)
        for connection in self._runner.server.connections if self._runner.server else ():
            connection.force_close()
        await asyncio.sleep(0.1)  # handlers hear of it
        await self._runner.cleanup()

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


def _compiled(*rules: dict[str, Any]) -> Compiled:
    return compile_scenario(parse(json.dumps({"defaults": QUICK, "rules": list(rules)})), None)
