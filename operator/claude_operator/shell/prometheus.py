"""Prometheus's answers to the queries of metrics with a threshold, without ever being waited for.

A query runs beside the loop: a pass gives it a tenth of a second, next to its other reads, and what comes later is
found by the next pass. So a slow answer counts, and a Prometheus that hangs does not keep traffic from going back.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from weakref import WeakValueDictionary

import aiohttp
import msgspec

from claude_operator.api.packing import TooLarge
from claude_operator.core.judge.evidence.measurements import Measurement, Query
from claude_operator.core.spec.hosts import is_allowed
from claude_operator.core.spec.networks import ANYWHERE, AddressRefused, AddressRules
from claude_operator.core.spec.site_options import ALLOWED_OPTION, HOST_OPTION
from claude_operator.kube.bodies import read_body
from claude_operator.shell.resolver import ResolverThreads

__all__ = ["PrometheusReader"]

_TIMEOUT = 10.0  # seconds for an answer; nothing waits for it
_PATIENCE = 0.1  # seconds that a pass waits
_LARGEST = 1024 * 1024  # bytes of an answer; one number takes a few hundred
_LONG = 2000  # bytes of a query from where on it does not fit into a URL everywhere
_QUOTED = 300  # characters of an error
_OPEN = 100  # queries at the same time, to the installer's address and to all others
_OPEN_OF_TENANT = 10  # of which one namespace has at most so many
_RESOLVING = 32  # names that are looked up at the same time
_KINDS_OF_ERROR = frozenset(("bad_data", "canceled", "execution", "internal", "not_found", "timeout", "unavailable"))
_NO_ANSWER = (
    "it did not give an answer of Prometheus's API: check prometheus.address and that the operator may reach it"
)
_HOST_NOT_ALLOWED = (
    "prometheus.address has a host that the installer does not allow, so it is not asked: write another one, or have"
    f" the installer add it to security.allowedHosts ({HOST_OPTION})"
)
_ADDRESS_REFUSED = (
    "prometheus.address leads to an address that the operator does not connect to, such as a link-local or loopback"
    f" one, the node's or the API server's: write another one, or have the installer allow it with {ALLOWED_OPTION}"
)


class _Data(msgspec.Struct, rename="camel"):
    result_type: str = ""
    result: Any = None


class _Answer(msgspec.Struct, rename="camel"):
    """An answer of Prometheus's HTTP API; `error` only where `status` is not success."""

    status: str
    data: _Data | None = None
    error_type: str = ""
    error: str = ""


class _Unusable(Exception):  # noqa: N818  # an answer, not an error of ours
    """Why an answer is not a measurement."""


class PrometheusReader:
    """Asks while entered; what goes wrong is a measurement's error.

    `address` is the installer's: queries go there that name none. One that a spec names has one of `hosts`, if there
    are any, and is connected to by `rules`. Nothing that is found there comes back in words: who may write a spec may
    not be able to reach it themselves.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        rules: AddressRules = ANYWHERE,
        hosts: Sequence[str] = (),
        timeout: float = _TIMEOUT,
        patience: float = _PATIENCE,
    ) -> None:
        self._address, self.rules, self._seconds, self._patience = address, rules, timeout, patience
        self._hosts = hosts
        self._own: aiohttp.ClientSession | None = None
        self._foreign: aiohttp.ClientSession | None = None
        self._resolver: ResolverThreads | None = None
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        """By tenant: who may ask at the same time."""
        self._asked: dict[str, dict[str, tuple[Query, asyncio.Task[Measurement]]]] = {}
        """By owner and metric: what was asked and has not been counted yet."""

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=self._seconds)
        own = aiohttp.TCPConnector(limit=_OPEN, limit_per_host=20)
        self._resolver = ResolverThreads(_RESOLVING)
        foreign = aiohttp.TCPConnector(limit=_OPEN, socket_factory=self._checked_socket, resolver=self._resolver)
        self._own = aiohttp.ClientSession(connector=own, timeout=timeout, trust_env=False)
        self._foreign = aiohttp.ClientSession(connector=foreign, timeout=timeout, trust_env=False)
        return self

    def _checked_socket(self, address: Any) -> socket.socket:
        """A socket to the address that is really connected to, whatever the name led to before."""
        family, kind, protocol, _, where = address
        self.rules.check(where[0])
        return socket.socket(family, kind, protocol)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for asked in self._asked.values() for _, task in asked.values()]
        self._asked.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for session in (self._own, self._foreign):
            if session is not None:
                await session.close()
        if self._resolver is not None:
            await self._resolver.close()

    async def read(self, queries: Sequence[Query], *, tenant: str = "") -> list[Measurement]:
        """One measurement for each query, in order; returns once the last has come, or its time is over."""
        return await asyncio.gather(*(self._measure(query, tenant) for query in queries))

    async def collect(self, owner: str, queries: Sequence[Query], *, tenant: str = "") -> tuple[Measurement, ...]:
        """The answers that are there by now; the rest keeps running, and is found by a later call.

        `tenant` is the namespace: its queries wait for one another, not for those of others.

        `queries` are all that are due for `owner`. An answer is given again until it has been counted, so that a pass
        that fails loses none; what is no longer due is dropped.
        """
        before, kept = self._asked.pop(owner, {}), {}
        for query in queries:
            known = before.get(query.name)
            if known and _answers(known[0], query):
                kept[query.name] = before.pop(query.name)
            else:
                kept[query.name] = (query, asyncio.create_task(self._measure(query, tenant)))
        for _, task in before.values():
            task.cancel()
        if not kept:
            return ()
        self._asked[owner] = kept
        tasks = [task for _, task in kept.values()]
        done, _ = await asyncio.wait(tasks, timeout=self._patience)
        return tuple(task.result() for task in tasks if task in done and not task.cancelled())

    def forget(self, live: set[str]) -> None:
        """Drop what was asked for owners that no longer exist."""
        for owner in [one for one in self._asked if one not in live]:
            for _, task in self._asked.pop(owner).values():
                task.cancel()

    async def _measure(self, query: Query, tenant: str) -> Measurement:
        address = query.address or self._address
        if address is None:
            error = "the address of Prometheus is not known: write prometheus.address, or start the operator with"
            return Measurement(query.name, None, f"{error} --prometheus-address", at=query.at)
        own = query.address is None or query.address == self._address
        if not own and not is_allowed(address, self._hosts):  # a rollout keeps the address that it began with
            return Measurement(query.name, None, _HOST_NOT_ALLOWED, at=query.at)
        turn = self._turns.setdefault(tenant, asyncio.Semaphore(_OPEN_OF_TENANT))
        try:
            async with turn:
                value = await (self._own_value if own else self._foreign_value)(address.rstrip("/"), query)
        except _Unusable as unusable:
            return Measurement(query.name, None, _cut(f"{unusable} (Prometheus at {address})"), at=query.at)
        return Measurement(query.name, value, at=query.at)

    async def _own_value(self, address: str, query: Query) -> float | None:
        """The number of the installer's Prometheus, None where there is none; raises `_Unusable`."""
        try:
            answer = await self._ask(self._own, address, query)
        except _Unusable:
            raise
        except TimeoutError:
            raise _Unusable(f"no answer within {self._seconds:g} s") from None
        except aiohttp.ClientConnectorError as failure:
            raise _Unusable(f"cannot connect: {failure.os_error.strerror or failure.os_error}") from None
        except aiohttp.InvalidURL:
            raise _Unusable("it is not a valid address") from None
        except Exception as failure:  # whatever an answer brings about is that metric's, not the loop's
            raise _Unusable(f"{type(failure).__name__}: {failure}") from None
        if answer.status != "success" or answer.data is None:
            raise _Unusable(f"{answer.error_type or 'an error'}: {answer.error or 'it does not say why'}")
        return _number(answer.data)

    async def _foreign_value(self, address: str, query: Query) -> float | None:
        """The same of one that a spec names: whatever is no number of Prometheus's API is one sentence."""
        try:
            answer = await self._ask(self._foreign, address, query)
        except aiohttp.ClientConnectorError as failure:
            if isinstance(failure.os_error, AddressRefused):
                raise _Unusable(_ADDRESS_REFUSED) from None
            raise _Unusable(_NO_ANSWER) from None
        except Exception:
            raise _Unusable(_NO_ANSWER) from None
        if answer.status != "success" or answer.data is None:
            if answer.error_type in _KINDS_OF_ERROR:
                raise _Unusable(f"Prometheus refuses the query ({answer.error_type}): ask it there to see why")
            raise _Unusable(_NO_ANSWER)
        return _number(answer.data)

    async def _ask(self, session: aiohttp.ClientSession | None, address: str, query: Query) -> _Answer:
        """The answer; raises `_Unusable` or what the client raises."""
        if session is None:
            raise RuntimeError("the reader is not entered")
        url, form = f"{address}/api/v1/query", {"query": query.query, "time": str(int(query.at.timestamp()))}
        long = len(query.query.encode()) > _LONG
        request = (
            session.post(url, data=form, allow_redirects=False)
            if long
            else session.get(url, params=form, allow_redirects=False)
        )
        async with request as response:
            if 300 <= response.status < 400:
                where, _, _ = response.headers.get("location", "another address").partition("?")  # it may hold secrets
                raise _Unusable(f"it redirects to {where}: write the address that this leads to")
            try:
                body = await read_body(response.content, _LARGEST)
            except TooLarge:
                what = "the answer is larger than 1 MiB"
                raise _Unusable(f"{what}: aggregate it to one number, for example with sum(...)") from None
            try:
                return msgspec.json.decode(body, type=_Answer)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise _Unusable(f"HTTP {response.status}, and not an answer of Prometheus's API") from None


def _answers(before: Query, query: Query) -> bool:
    """Whether what was asked before, and is not counted yet, is what is asked now."""
    same = (before.query, before.address) == (query.query, query.address)
    return same and (query.counted is None or before.at > query.counted)


def _number(data: _Data) -> float | None:
    """The number of a scalar or of a vector of one sample; None for an empty vector, NaN and infinities."""
    sample = data.result
    if data.result_type == "vector" and isinstance(sample, list):
        if not sample:
            return None
        if len(sample) > 1:
            what = f"returns {len(sample)} series: aggregate it to one, for example with sum(...)"
            raise _Unusable(f"the query {what}")
        sample = sample[0].get("value") if isinstance(sample[0], dict) else None
        if sample is None:
            raise _Unusable(
                "the query returns a histogram: turn it into a number, for example with histogram_quantile(...)"
            )
    elif data.result_type != "scalar":
        kind = data.result_type if data.result_type in ("matrix", "string") else "result of another type"
        raise _Unusable(f"the query returns a {kind}: ask for one number, for example with avg_over_time(...)")
    with suppress(TypeError, ValueError, IndexError, KeyError):
        value = float(sample[1])
        return value if math.isfinite(value) else None
    raise _Unusable("the answer has no number where Prometheus puts it")


def _cut(text: str) -> str:
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"
