"""Message Batches: taken at once, answered together when their time is over, results in another order."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec
import orjson

from claude_operator.simulator.draws import uniform
from claude_operator.simulator.errors import ApiError, empty_account, new_id, of_status
from claude_operator.simulator.request import read
from claude_operator.simulator.service import Simulator

__all__ = ["Batches", "Sender"]

_MOST = 100_000  # requests in a batch
_KEPT = 100  # batches; the oldest go first
_EXPIRE_SECONDS = 86_400.0
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_STATES = ("succeeded", "errored", "canceled", "expired")


class _Asked(msgspec.Struct):
    custom_id: str
    params: msgspec.Raw


class _Body(msgspec.Struct):
    requests: list[_Asked]


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends a batch, and the headers that count for each of its requests."""

    version: str | None
    betas: list[str]
    key: str = ""


@dataclass(slots=True)
class _Batch:
    id: str
    requests: list[_Asked]
    sender: Sender
    created: float
    ends: float
    results: list[dict[str, Any]] | None = None
    """None until it has ended."""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_STATES, 0))


class Batches:
    """The batches by id; they are answered when somebody looks after their time."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._batches: dict[str, _Batch] = {}

    def create(self, body: bytes, sender: Sender) -> dict[str, Any]:
        """Take a batch; raises ApiError 400 where its form is wrong. What is wrong in a request shows in its result."""
        try:
            requests = msgspec.json.decode(body, type=_Body).requests
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise of_status(400, f"requests: {str(error)[:200]}") from error
        if not 0 < len(requests) <= _MOST:
            raise of_status(400, f"requests: a batch has 1 to {_MOST} requests")
        wrong = next((one.custom_id for one in requests if not _CUSTOM_ID.fullmatch(one.custom_id)), None)
        if wrong is not None:
            raise of_status(400, "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'")
        if len({one.custom_id for one in requests}) < len(requests):
            raise of_status(400, "requests: custom_id must be unique in a batch")
        self._simulator.check_account()
        now = self._simulator.clock()
        ends = now + self._simulator.scenario.batch_seconds
        batch = _Batch(new_id("msgbatch"), requests, sender, now, ends)
        self._batches[batch.id] = batch
        if len(self._batches) > _KEPT:
            del self._batches[next(iter(self._batches))]
        return self._document(batch)

    def show(self, batch_id: str) -> dict[str, Any]:
        """A batch as it is now; raises ApiError 404."""
        return self._document(self._find(batch_id))

    def cancel(self, batch_id: str) -> dict[str, Any]:
        """End a batch that has answered nothing yet; raises ApiError 404, and 400 where it has ended."""
        batch = self._find(batch_id)
        if batch.results is not None:
            raise of_status(400, "The batch has ended; it cannot be canceled")
        batch.ends = self._simulator.clock()
        batch.results = [{"custom_id": one.custom_id, "result": {"type": "canceled"}} for one in batch.requests]
        batch.counts["canceled"] = len(batch.requests)
        batch.requests = []
        return self._document(batch)

    def results(self, batch_id: str) -> bytes:
        """JSON lines, each with a `custom_id`, in an order of their own; raises ApiError 404 and 400."""
        batch = self._find(batch_id)
        if batch.results is None:
            raise of_status(400, "The batch is still in progress; its results are not available")
        return b"".join(orjson.dumps(one) + b"\n" for one in batch.results)

    def _find(self, batch_id: str) -> _Batch:
        batch = self._batches.get(batch_id)
        if batch is None:
            raise of_status(404, f"batch: {batch_id[:64]}")
        if batch.results is None and self._simulator.clock() >= batch.ends:
            self._end(batch)
        return batch

    def _end(self, batch: _Batch) -> None:
        scenario = self._simulator.scenario
        found = []
        for one in batch.requests:
            if uniform("expired", scenario.seed, batch.id, one.custom_id) < scenario.source.batches.expired_rate:
                result: dict[str, Any] = {"type": "expired"}
            else:
                result = self._result(batch, one)
            batch.counts[result["type"]] += 1
            found.append({"custom_id": one.custom_id, "result": result})
        batch.results = sorted(found, key=lambda each: uniform("order", batch.id, each["custom_id"]))
        batch.requests = []

    def _result(self, batch: _Batch, one: _Asked) -> dict[str, Any]:
        raw = bytes(one.params)
        try:
            request = read(raw, batch.sender.version, batch.sender.betas)
            if "stream" in request.body:
                raise of_status(400, "stream: Extra inputs are not permitted")
            turn = self._simulator.begin(request)
            if turn.draw.status != 200:
                raise empty_account() if turn.draw.status == 400 else of_status(turn.draw.status)
            lookup = self._simulator.look_up_prompt(turn.request, turn.model, turn.began)
            message = self._simulator.answer(turn, lookup, tier="batch")
        except ApiError as error:
            return {"type": "errored", "error": orjson.loads(error.body(new_id("req")))}
        self._simulator.ledger.add(raw, message, one.custom_id).complete = True
        scenario = self._simulator.scenario.source.organization
        self._simulator.book.add(batch.ends, batch.sender.key, message, scenario)
        return {"type": "succeeded", "message": orjson.loads(message.json())}

    def _document(self, batch: _Batch) -> dict[str, Any]:
        ended = batch.results is not None
        processing = 0 if ended else len(batch.requests)
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": {"processing": processing, **batch.counts},
            "created_at": _moment(batch.created),
            "expires_at": _moment(batch.created + _EXPIRE_SECONDS),
            "ended_at": _moment(batch.ends) if ended else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"/v1/messages/batches/{batch.id}/results" if ended else None,
        }


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().replace("+00:00", "Z")
