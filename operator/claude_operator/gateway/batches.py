"""Batches that pass through: when they began and ended, and with what results, as the answers that pass by say."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
from multidict import MultiMapping
from prometheus_client.core import CounterMetricFamily

from claude_operator.api.usage_latency import MOST_BATCHES, BatchCounts, BatchRow
from claude_operator.gateway.encoding import is_plain, make_inflater
from claude_operator.gateway.ports import UpstreamReply

__all__ = ["BatchStore"]

_PATH = "/v1/messages/batches"
_LARGEST = 1 << 18  # bytes of an answer that is read
_RESULTS = ("succeeded", "errored", "canceled", "expired")
_KNOWN = 4096  # batches that are known
_MEMORY = 8 * 86_400.0  # seconds after which one that has ended is of no budget's window any more
_MOST = 10**6  # requests of a batch: more is no number of them


class _Document(msgspec.Struct):
    """A batch, or a page of them."""

    id: str = ""
    type: str = ""
    processing_status: str = ""
    request_counts: dict[str, Any] = {}
    created_at: str = ""
    ended_at: str | None = None
    data: list[_Document] = []


_decoder = msgspec.json.Decoder(_Document)


class BatchStore:
    """What is known of batches. One that ended before this process began is not in its counts."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._began = clock()
        self._rows: dict[str, BatchRow] = {}
        self._submitted = self._ended = 0
        self._requests: Counter[str] = Counter()

    @property
    def counts(self) -> BatchCounts | None:
        """What the usage page shows, None where no batch was seen."""
        if not self._rows:
            return None
        recent = sorted(self._rows.values(), key=lambda row: row.seen)[-MOST_BATCHES:]
        return BatchCounts(self._submitted, self._ended, dict(self._requests), recent)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counters of `/metrics`."""
        batches = CounterMetricFamily(
            "claude_gateway_batches", "Batches that were seen to begin and to end.", labels=("state",)
        )
        batches.add_metric(("submitted",), self._submitted)
        batches.add_metric(("ended",), self._ended)
        requests = CounterMetricFamily(
            "claude_gateway_batch_requests", "Requests of batches that were seen to end.", labels=("result",)
        )
        for name in _RESULTS:
            requests.add_metric((name,), self._requests[name])
        yield batches
        yield requests

    def follow(self, method: str, target: str, surface: str, answer: UpstreamReply) -> AsyncIterator[bytes]:
        """The chunks of an answer, unchanged; what it says of batches is noted when it is complete."""
        path = target.partition("?")[0]
        is_other = answer.status != 200 or not path.startswith(_PATH) or path.endswith("/results")
        if is_other or method == "DELETE":
            return answer.chunks()
        return self._reading(answer, surface, created=method == "POST" and path == _PATH)

    async def _reading(self, answer: UpstreamReply, surface: str, *, created: bool) -> AsyncIterator[bytes]:
        body = bytearray()
        async for chunk in answer.chunks():
            if len(body) <= _LARGEST:
                body += chunk
            yield chunk
        if len(body) <= _LARGEST:
            self.note(_decoded(body, answer.headers), surface, created=created)

    def note(self, body: bytes | bytearray, surface: str, *, created: bool = False) -> None:
        """Take in a complete answer; `created`: it is that to the request that made the batch."""
        try:
            document = _decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        for one in document.data or (document,):
            if one.id and one.type == "message_batch":
                self._take(one, surface, created=created)

    def _take(self, one: _Document, surface: str, *, created: bool) -> None:
        began = _moment(one.created_at)
        ended = _moment(one.ended_at) if one.processing_status == "ended" else 0.0
        now = self._clock()
        if not began or (one.processing_status == "ended" and ended < now - _MEMORY):
            return
        key = hashlib.sha256(one.id.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        before = self._rows.pop(key, None)
        counts = {name: _number(one.request_counts.get(name)) for name in (*_RESULTS, "processing")}
        self._rows[key] = BatchRow(
            id=key,
            surface=before.surface if before is not None else surface,
            created=began,
            seen=now,
            ended=ended,
            requests=sum(counts.values()),
            succeeded=counts["succeeded"],
        )
        if len(self._rows) > _KNOWN:
            del self._rows[next(iter(self._rows))]
        if created and before is None:
            self._submitted += 1
        if ended >= self._began and (before is None or not before.ended):
            self._ended += 1
            self._requests.update({name: counts[name] for name in _RESULTS})


def _decoded(body: bytearray, headers: MultiMapping[str]) -> bytes | bytearray:
    """A body without its content-encoding, empty where that is not known or it is too large."""
    encoding = headers.get("content-encoding", "")
    if is_plain(encoding):
        return body
    inflater, decoded = make_inflater(encoding), bytearray()
    for piece in inflater.feed(body) if inflater is not None else ():
        decoded += piece
        if len(decoded) > 4 * _LARGEST:
            return b""
    return decoded


def _moment(text: str | None) -> float:
    """Unix seconds, 0 for what is no moment."""
    try:
        found = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return 0.0
    return max((found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp(), 0.0)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value <= _MOST else 0
