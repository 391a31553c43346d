"""The proxy between other ends than aiohttp's: what its ports promise."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from multidict import CIMultiDict
from tests.gateway.harness import make_arm, make_config

from claude_operator.api.gateway import MEMORY, Auth, dump_config
from claude_operator.gateway.accounting import Accounting
from claude_operator.gateway.control import Control
from claude_operator.gateway.credentials import CredentialFiles
from claude_operator.gateway.document import Document
from claude_operator.gateway.errors import ClientGone
from claude_operator.gateway.evidence import EvidenceStore
from claude_operator.gateway.memory import Lease, Memory
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.ports import CallTimeouts, MutableHeaders, RequestBody, UpstreamReply
from claude_operator.gateway.proxy import Proxy
from claude_operator.log import Log


class Answer:
    """An upstream's answer in memory."""

    def __init__(self, *pieces: bytes, kind: str = "application/json") -> None:
        self.status = 200
        self.headers = CIMultiDict({"content-type": kind})
        self._pieces = pieces

    async def body(self, lease: Lease) -> bytearray:
        return bytearray(b"".join(self._pieces))

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    def renew(self) -> None:
        pass


class Upstream:
    """Gives one answer, or fails in a way that no port allows."""

    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer
        self.timeouts: list[CallTimeouts] = []

    @asynccontextmanager
    async def open(
        self, method: str, url: str, headers: MutableHeaders, body: RequestBody, timeouts: CallTimeouts
    ) -> AsyncIterator[UpstreamReply]:
        self.timeouts.append(timeouts)
        if self.answer is None:
            raise KeyError("a bug that quotes PROMPT-SENTINEL")
        yield self.answer


class Request:
    """A client's request in memory."""

    def __init__(self, body: bytes = b'{"messages":[]}') -> None:
        self.method, self.path, self.target = "POST", "/v1/messages", "/v1/messages"
        self.headers: CIMultiDict[str] = CIMultiDict()
        self._body = body

    async def body(self, limit: int, lease: Lease) -> bytearray | None:
        return bytearray(self._body) if len(self._body) <= limit else None

    def chunks(self) -> AsyncIterator[bytes] | None:
        return None


class Reply:
    """Collects the answer; a client that leaves after `patience` pieces raises."""

    def __init__(self, patience: int = 99) -> None:
        self.status = 0
        self.sent: list[bytes] = []
        self.ended = ""
        self._patience = patience

    @property
    def started(self) -> bool:
        return self.status != 0

    async def send(self, status: int, headers: Iterable[tuple[str, str]], body: bytes | bytearray) -> None:
        await self.start(status, headers)
        await self.write(bytes(body))
        await self.finish()

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        self.status = status

    async def write(self, chunk: bytes) -> None:
        if len(self.sent) == self._patience:
            raise ClientGone
        self.sent.append(chunk)

    async def finish(self) -> None:
        self.ended = "well"

    def abort(self) -> None:
        self.ended = "cut"


def proxy(upstream: Upstream, folder: Path) -> tuple[Proxy, io.StringIO, EvidenceStore]:
    output = io.StringIO()
    log, metrics, store = Log(output, "json"), Metrics(), EvidenceStore()
    files = CredentialFiles(folder / "key", folder, folder, fallback_key="k", on_a_laptop=True)
    control = Control(files, store, metrics, log)
    control.offer(Document(dump_config(make_config("http://upstream", make_arm(), auth=Auth("None"))).encode()))
    ticks = iter(range(1000))
    accounting = Accounting(store, metrics, log)
    return Proxy(control, upstream, accounting, Memory(MEMORY), clock=lambda: float(next(ticks))), output, store


def call_line(output: io.StringIO) -> dict[str, object]:
    line: dict[str, object] = json.loads(output.getvalue().splitlines()[-1])
    return line


async def test_a_bug_is_an_error_in_the_apis_form_and_quotes_nothing(tmp_path: Path) -> None:
    between, output, _ = proxy(Upstream(None), tmp_path)
    reply = Reply()
    await between.handle(Request(), reply)
    assert (reply.status, reply.ended) == (500, "well")
    assert json.loads(reply.sent[0])["error"]["type"] == "api_error"
    assert call_line(output)["outcome"] == "error"
    assert "KeyError" in output.getvalue()
    assert "SENTINEL" not in output.getvalue()


async def test_what_is_only_measured_stands_in_no_calls_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the cache, of use and cost, and of samples for grading: the answer and the evidence are as without it."""
    answer = b'{"type": "message", "stop_reason": "end_turn", "usage": {"input_tokens": 5}}'
    between, output, store = proxy(Upstream(Answer(answer)), tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise KeyError("a bug that quotes PROMPT-SENTINEL")

    sides = (
        (store.usage.prefixes, "begin"),
        (store.usage, "record"),
        (store.sampler, "begin"),
        (store.sampler, "finish"),
    )
    for part, name in sides:
        monkeypatch.setattr(part, name, fail)
    reply = Reply()
    await between.handle(Request(), reply)
    assert (reply.status, b"".join(reply.sent)) == (200, answer)
    assert call_line(output)["outcome"] == "ok"
    assert output.getvalue().count('"message":"bug"') == len(sides)
    assert "SENTINEL" not in output.getvalue()
    (stratum,) = json.loads(store.document(1, 0.0, ""))["generations"][0]["strata"]
    assert stratum["counters"]["requests"] == 1


async def test_a_client_that_leaves_is_not_written_to_again(tmp_path: Path) -> None:
    events = [b'event: message_start\ndata: {"type":"message_start"}\n\n'] * 5
    between, output, _ = proxy(Upstream(Answer(*events, kind="text/event-stream")), tmp_path)
    reply = Reply(patience=2)
    await between.handle(Request(b'{"stream":true,"messages":[]}'), reply)
    assert len(reply.sent) == 2
    assert call_line(output)["outcome"] == "canceled"


async def test_times_are_those_of_the_clock(tmp_path: Path) -> None:
    between, output, store = proxy(Upstream(Answer(b'{"type": "message"}')), tmp_path)
    await between.handle(Request(), Reply())
    assert call_line(output)["latency_ms"] == 3000.0  # began 0, received 1, sent 2, ended 3
    assert call_line(output)["overhead_ms"] == 1000.0
    (stratum,) = json.loads(store.document(1, 0.0, ""))["generations"][0]["strata"]
    assert stratum["counters"]["duration"]["sum"] == 3.0


async def test_only_streams_are_held_to_the_idle_limit(tmp_path: Path) -> None:
    upstream = Upstream(Answer(b"{}"))
    between, _, _ = proxy(upstream, tmp_path)
    await between.handle(Request(), Reply())
    await between.handle(Request(b'{"stream": true}'), Reply())
    assert upstream.timeouts == [CallTimeouts(5.0, None, 600.0), CallTimeouts(5.0, 120.0, 600.0)]
