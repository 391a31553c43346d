"""Questions to the Claude API: composed as the gateway composes them, sent and read through the Anthropic SDK."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import anthropic
import httpx2
import msgspec
from anthropic import AsyncAnthropic, AsyncStream
from anthropic._types import RequestOptions

from claude_operator.core.evals.outcomes import Answer
from claude_operator.core.evals.sets import Item
from claude_operator.core.evals.turns import Turns
from claude_operator.core.request.compose import PreparedArm, compose
from claude_operator.core.request.usage import split_writes
from claude_operator.core.spec.networks import ANYWHERE, AddressRules
from claude_operator.core.spec.site_options import ALLOWED_OPTION
from claude_operator.evals.connect import http_client, was_refused
from claude_operator.evals.failures import (
    Broken,
    Busy,
    Failed,
    Infrastructure,
    Rejected,
    classify_event,
    classify_json,
    classify_status,
    first_line,
)
from claude_operator.evals.pace import Pace
from claude_operator.evals.reading import Reply, read

__all__ = ["Asker", "Infrastructure", "Rejected", "Reply"]

_RETRIES = 4  # after a failure before an answer begins
_BROKEN_STREAM_RETRIES = 2  # after an answer that broke off
_PATIENCE = 120.0  # seconds that the API may answer nothing but 429 and 529
_CONNECT = 5.0  # seconds
_T = TypeVar("_T")
_TRUE = msgspec.Raw(b"true")
_ADDRESS_REFUSED = (
    "leads to an address that eval Jobs do not connect to, such as a link-local or loopback one, the node's or the API"
    f" server's. Write another baseURL, or have the installer allow it with the operator's option {ALLOWED_OPTION}"
)


class Asker:
    """Asks one upstream with one key, connecting where `rules` permit, `open_calls` at a time and fewer after 429.

    `timeout`, `pause` (the first wait after a failure) and `patience` (with 429 and 529) are in seconds.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout: float,
        open_calls: int,
        rules: AddressRules = ANYWHERE,
        retries: int = _RETRIES,
        pause: float = 1.0,
        patience: float | None = None,
    ) -> None:
        self._timeout, self._pause, self._url, self._retries = timeout, pause, base_url, retries
        self.pace = Pace(open_calls, patience=_PATIENCE if patience is None else patience, pause=pause)
        self._client = AsyncAnthropic(
            api_key=key,
            base_url=base_url,
            max_retries=0,  # the SDK's would each wait alone, and know nothing of one another
            timeout=anthropic.Timeout(timeout, connect=min(_CONNECT, timeout)),
            open_telemetry=False,
            http_client=http_client(rules, open_calls),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    def use(self, key: str) -> None:
        """Ask with this key from now on: somebody may have given another."""
        self._client.api_key = key

    async def ask(self, arm: PreparedArm, item: Item) -> Answer:
        """The arm's answer to an item, over all turns of its tool loop; raises Rejected or Infrastructure."""
        turns, seconds, first = Turns(item), 0.0, None
        while True:
            body = {"messages": turns.messages, "stream": _TRUE}
            composed = compose(arm, body, subagent=item.subagent)
            headers = {"anthropic-beta": ",".join(composed.betas)} if composed.betas else {}
            reply = await self.send(composed.body, headers)
            seconds += reply.seconds
            first = reply.first_token_seconds if first is None else first
            split_writes(reply.usage, composed.cache_ttl)
            if not turns.add(reply.blocks, reply.stop_reason, reply.usage, reply.model):
                break
        times = {"seconds": seconds, "first_token_seconds": first}
        return turns.answer(reply.text, reply.stop_reason, reply.model, **times)

    async def send(self, body: bytes, headers: dict[str, str]) -> Reply:
        """One request of a stream, sent until it is answered; raises Rejected or Infrastructure."""
        return await self._until_answered(lambda: self._send_once(body, headers))

    async def call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        """A call of the Message Batches under `path`; the answer's body. Raises Rejected or Infrastructure."""
        return await self._until_answered(lambda: self._call_once(method, path, body, headers or {}))

    async def _until_answered(self, once: Callable[[], Awaitable[_T]]) -> _T:
        failures = broken = 0
        while True:
            try:
                async with self.pace.slot() as began:
                    try:
                        return await once()
                    except Busy as error:
                        self.pace.refuse(began, error)
                        continue
            except Broken as error:
                broken += 1
                if broken > _BROKEN_STREAM_RETRIES:
                    raise Infrastructure(f"no complete answer in {broken} attempts: {error}") from error
                wait = self._pause * 2.0 ** (broken - 1)
            except Failed as error:
                failures += 1
                if failures > self._retries:
                    raise Infrastructure(str(error)) from error
                wait = self._pause * 2.0 ** (failures - 1)
            await asyncio.sleep(wait)

    async def _send_once(self, body: bytes, headers: dict[str, str]) -> Reply:
        began = time.perf_counter()
        stream = await self._open(body, headers)
        try:
            async with asyncio.timeout(self._timeout), stream:
                if not stream.response.headers.get("content-type", "").startswith("text/event-stream"):
                    raise classify_json(await stream.response.aread())
                reply = await read(stream, began)
        except anthropic.APIStatusError as error:  # an event error within the answer
            raise classify_event(error) from error
        except TimeoutError as error:
            raise Infrastructure(
                f"no complete answer within {self._timeout:g} s: raise the set's execution.timeout, or lower max_tokens"
            ) from error
        except (anthropic.AnthropicError, httpx2.HTTPError, OSError, ValueError) as error:
            raise Broken(f"the answer broke off: {type(error).__name__}") from error
        self.pace.answer(stream.response.headers)
        return reply

    async def _open(self, body: bytes, headers: dict[str, str]) -> AsyncStream[Any]:
        """The beginning of an answer."""
        async with self._failing():
            return await self._client.post(
                "/v1/messages",
                cast_to=cast("type[Any]", object),  # the events as plain JSON
                content=body,
                options={"headers": {"content-type": "application/json", **headers}},
                stream=True,
                stream_cls=AsyncStream[Any],
            )

    async def _call_once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        where = f"/v1/messages/batches{path}"
        async with self._failing():
            if method == "GET":
                return (await self._client.get(where, cast_to=str)).encode()
            options: RequestOptions = {"headers": {"content-type": "application/json", **headers}}
            return (await self._client.post(where, cast_to=str, content=body, options=options)).encode()

    @asynccontextmanager
    async def _failing(self) -> AsyncIterator[None]:
        """What the SDK's exceptions mean."""
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError as error:
            raise Failed(f"{self._url} gave no answer within {self._timeout:g} s: check that it is up") from error
        except anthropic.APIStatusError as error:
            if 300 <= error.status_code < 400:
                raise Infrastructure(f"{self._url} redirects: write the address that it leads to as baseURL") from error
            raise classify_status(error) from error
        except anthropic.AnthropicError as error:
            if was_refused(error):
                raise Infrastructure(f"{self._url} {_ADDRESS_REFUSED}") from error
            raise Failed(f"{self._url} cannot be reached: {first_line(error)}") from error
