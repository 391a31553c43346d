"""Prometheus's answers to the queries of metrics with a threshold, without ever being waited for.

A query runs beside the loop: a pass gives it a tenth of a second, next to its other reads, and what comes later is
found by the next pass. So a slow answer counts, and a Prometheus that hangs does not keep traffic from going back.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from claude_operator.core.judge.evidence.measurements import Measurement, Query
from claude_operator.shell.bodies import TooLarge, read_body

__all__ = ["PrometheusReader"]

_TIMEOUT = 10.0  # seconds for an answer; nothing waits for it
_PATIENCE = 0.1  # seconds that a pass waits
_LARGEST = 1024 * 1024  # bytes of an answer; one number takes a few hundred
_LONG = 2000  # bytes of a query from where on it does not fit into a URL everywhere
_QUOTED = 300  # characters of an error


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
    """Asks while entered; `address` is where queries go that name none. What goes wrong is a measurement's error."""

    def __init__(self, address: str | None = None, *, timeout: float = _TIMEOUT, patience: float = _PATIENCE) -> None:
        self._address, self._seconds, self._patience = address, timeout, patience
        self._session: aiohttp.ClientSession | None = None
        self._asked: dict[str, dict[str, tuple[Query, asyncio.Task[Measurement]]]] = {}
        """By owner and metric: what was asked and has not been counted yet."""

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=100, limit_per_host=20)
        timeout = aiohttp.ClientTimeout(total=self._seconds)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for asked in self._asked.values() for _, task in asked.values()]
        self._asked.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def read(self, queries: Sequence[Query]) -> list[Measurement]:
        """One measurement for each query, in order; returns once the last has come, or its time is over."""
        return await asyncio.gather(*map(self._measure, queries))

    async def collect(self, owner: str, queries: Sequence[Query]) -> tuple[Measurement, ...]:
        """The answers that are there by now; the rest keeps running, and is found by a later call.

        `queries` are all that are due for `owner`. An answer is given again until it has been counted, so that a pass
        that fails loses none; what is no longer due is dropped.
        """
        before, kept = self._asked.pop(owner, {}), {}
        for query in queries:
            known = before.get(query.name)
            if known and _answers(known[0], query):
                kept[query.name] = before.pop(query.name)
            else:
                kept[query.name] = (query, asyncio.create_task(self._measure(query)))
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

    async def _measure(self, query: Query) -> Measurement:
        address = query.address or self._address
        if address is None:
            error = "the address of Prometheus is not known: write prometheus.address, or start the operator with"
            return Measurement(query.name, None, f"{error} --prometheus-address", at=query.at)
        try:
            value = await self._value(address.rstrip("/"), query)
        except TimeoutError:
            error = f"no answer within {self._seconds:g} s"
        except _Unusable as unusable:
            error = str(unusable)
        except aiohttp.ClientConnectorError as failure:
            error = f"cannot connect: {failure.os_error.strerror or failure.os_error}"
        except aiohttp.InvalidURL:
            error = "it is not a valid address"
        except Exception as failure:  # whatever an answer brings about is that metric's, not the loop's
            error = f"{type(failure).__name__}: {failure}"
        else:
            return Measurement(query.name, value, at=query.at)
        return Measurement(query.name, None, _cut(f"{error} (Prometheus at {address})"), at=query.at)

    async def _value(self, address: str, query: Query) -> float | None:
        """The number, None where there is none; raises `_Unusable` or what the client raises."""
        if self._session is None:
            raise RuntimeError("the reader is not entered")
        url, form = f"{address}/api/v1/query", {"query": query.query, "time": str(int(query.at.timestamp()))}
        long = len(query.query.encode()) > _LONG
        request = (
            self._session.post(url, data=form, allow_redirects=False)
            if long
            else self._session.get(url, params=form, allow_redirects=False)
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
                answer = msgspec.json.decode(body, type=_Answer)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise _Unusable(f"HTTP {response.status}, and not an answer of Prometheus's API") from None
        if answer.status != "success" or answer.data is None:
            raise _Unusable(f"{answer.error_type or response.status}: {answer.error or 'it does not say why'}")
        return _number(answer.data)


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
        kind = data.result_type or "nothing"
        raise _Unusable(f"the query returns a {kind}: ask for one number, for example with avg_over_time(...)")
    with suppress(TypeError, ValueError, IndexError, KeyError):
        value = float(sample[1])
        return value if math.isfinite(value) else None
    raise _Unusable("the answer has no number where Prometheus puts it")


def _cut(text: str) -> str:
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"
