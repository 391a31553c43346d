"""What is fuzzed: everything that reads bytes of a client, of the upstream, or of who can write in a namespace.

A target takes bytes and fails where they bring about what must never be: an exception that is not the reader's own, or
a result that breaks its promise.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any, Final
from xml.etree import ElementTree

import msgspec
from pydantic import ValidationError
from tests.fuzz import http

from claude_operator.api.base import seconds
from claude_operator.api.conversations import name_peers, parse_conversations, parse_peers
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evals import EvalRunSpec, EvalRunStatus, EvalSetSpec
from claude_operator.api.evidence import parse_cohorts, parse_evidence, parse_grade, parse_serving
from claude_operator.api.faults import first_fault
from claude_operator.api.gateway import Arm, Overrides, parse_config
from claude_operator.api.samples import LONGEST_PART
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.catalogue.checks.check import takes
from claude_operator.core.evals.calibration import read_labels
from claude_operator.core.evals.contents import Contents
from claude_operator.core.evals.report import read_report, write_report
from claude_operator.core.evals.sets import load_items, set_hash
from claude_operator.core.judge.evidence.increments import PodReading, advance
from claude_operator.core.judge.ledger.lines import parse as parse_ledger
from claude_operator.core.judge.ledger.points import read_points
from claude_operator.core.judge.ledger.reading import LineError
from claude_operator.core.organisation import pages
from claude_operator.core.organisation.buckets import UsageRow
from claude_operator.core.request.assignment import opening_name
from claude_operator.core.request.betas import united
from claude_operator.core.request.compose import compose, prepare
from claude_operator.core.request.endpoints import route
from claude_operator.core.request.error_text import redact
from claude_operator.core.request.json_body import BodyError, decode_object
from claude_operator.core.request.privacy import identity
from claude_operator.core.request.quotes import count_turns, read_turns
from claude_operator.core.request.threads import thread_of
from claude_operator.core.spec import revision
from claude_operator.core.spec.address import address_problems
from claude_operator.core.spec.quantity import quantity
from claude_operator.core.spec.validate import problems
from claude_operator.evals.html import as_html
from claude_operator.evals.junit import as_junit
from claude_operator.evals.show import as_text
from claude_operator.gateway.conversation_memory import ConversationMemory
from claude_operator.gateway.sampled import AnswerTap
from claude_operator.gateway.sse import AnswerSummary, relay_for
from claude_operator.log.line import make_line

__all__ = ["TARGETS", "Target"]

_NOW: Final = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of bytes. `check` raises where an input breaks a promise."""

    check: Callable[[bytes], object]
    seeds: Sequence[bytes]


# ------------------------------------------------------------------------------------------------ of clients

_ARM = Arm(
    revision="shop-1111111111",
    role="stable",
    weight=10_000,
    request={"model": "claude-haiku-5-5", "max_tokens": 64, "system": [{"type": "text", "text": "ours"}]},
)


@cache
def _arms() -> tuple[Any, ...]:
    ways = (Overrides(), Overrides(system="Prepend", tools="Append"), Overrides(unsupported="Drop"))
    return tuple(prepare(msgspec.structs.replace(_ARM, overrides=way), {}, takes) for way in ways)


def _body(data: bytes) -> None:
    """A body: refused with a sentence, or composed to JSON in which the revision has its way."""
    try:
        fields = decode_object(data)
    except BodyError as error:
        assert str(error).isprintable(), error
        return
    for arm in _arms():
        try:
            composed = compose(arm, fields)
        except RecursionError:
            return  # the caller's 400
        sent = json.loads(composed.body)
        assert sent["model"] == "claude-haiku-5-5"
        assert sent["max_tokens"] == 64 or sent["max_tokens"] == 0  # which asks for no answer, only for the cache
        assert {"type": "text", "text": "ours"} in sent["system"]
        united(("a,b", "\x00"), composed.betas)
    opening_name(fields, "caller")
    count_turns(fields)
    turns = read_turns(fields)
    base = blake2b()
    list(turns.quotes(base))
    turns.answer(base)
    thread_of(fields)


def _path(data: bytes) -> None:
    """A request line: what goes upstream is spelled as in the API's documentation, and nothing else does."""
    method, _, target = data.decode("utf-8", "surrogateescape").partition(" ")
    found = route(method, target)
    if found.kind in ("messages", "count_tokens"):
        path = found.target.partition("?")[0]
        assert path in ("/v1/messages", "/v1/messages/count_tokens")
        assert method == "POST"
    if found.kind in ("messages", "count_tokens", "pass"):
        assert found.target.startswith("/v1/")
        assert found.target.isascii()
        assert found.target.isprintable()
        path = found.target.partition("?")[0]
        assert not any(bad in path for bad in ("//", "\\", "#", "%2f", "%2F", " "))
        assert not {".", ".."} & set(path.split("/"))
        assert "#" not in found.target
        assert " " not in found.target


def _text(data: bytes) -> None:
    """Text of a client in logs and messages: one line, whatever it holds."""
    text = data.decode("utf-8", "replace")
    for form in ("text", "json"):
        line = make_line(form, _NOW, "info", "call", {"session": text, "path": text})  # type: ignore[arg-type]
        assert line.count("\n") <= 1, line
        assert not line[:-1].count("\n"), line
        assert "\x1b" not in line, line
    identity(text)
    redact(text)


# ------------------------------------------------------------------------------------------- of the upstream


def _stream(data: bytes) -> None:
    """A stream in pieces: the same bytes in the same order, read or not."""
    size, encoding = (data[0] % 97 + 1, "gzip" if data[0] > 200 else "") if data else (1, "")
    summary = AnswerSummary()
    tap = AnswerTap()
    relay = relay_for(encoding, summary, None, tap)
    sent = b"".join(relay.feed(data[at : at + size]) for at in range(0, len(data), size)) + relay.finish()
    assert sent == data
    assert tap.size <= LONGEST_PART


# ------------------------------------------------------------------- of who writes in a namespace, or poses as ours


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _spec(data: bytes) -> None:
    """A ClaudeDeployment's spec: accepted or refused with sentences; what is accepted makes a revision."""
    raw = _json(data)
    if not isinstance(raw, dict):
        return
    try:
        spec = DeploymentSpec.model_validate(raw)
    except ValidationError as error:
        assert first_fault(error, "spec")
        return
    found = problems(spec, today=_NOW.date())
    assert all(problem.message for problem in found)
    prompts = dict.fromkeys(revision.prompt_keys(spec), "text")
    if not found:
        parts = revision.content(raw, prompts)
        name = revision.name("shop", parts)
        made = {"metadata": {"name": name}, "spec": revision.revision_spec(parts)}
        prepare(revision.arm(made, "canary", 0), {one.name: "token" for one in spec.env or ()}, takes)


def _status(data: bytes) -> None:
    """A status, a run, a set: read or refused by validation alone."""
    raw = _json(data)
    for model in (DeploymentStatus, EvalRunSpec, EvalRunStatus):
        try:
            model.model_validate(raw)
        except ValidationError as error:
            assert first_fault(error, "status")


def _items(data: bytes) -> None:
    """An eval set's items, one a line: all of them, or a sentence that names the line."""
    text = data.decode("utf-8", "replace")
    spec = EvalSetSpec.model_validate({"dataset": {"configMapKeyRef": {"name": "items", "key": "items.jsonl"}}})
    try:
        load_items(spec, Contents({("items", "items.jsonl"): text}))
    except ValueError as error:
        assert str(error)
    set_hash({"dataset": text}, Contents({("items", "items.jsonl"): data}))


def _tables(data: bytes) -> None:
    """The same as a table, as YAML and as JSON, with vars, templates and files: the bytes are all of them."""
    for key in ("items.csv", "items.yaml", "items.json"):
        dataset = {"configMaps": [{"name": "items", "key": key}], "fields": {"metadata": ["topic"]}}
        shared = {"input": "{{input}}", "vars": {"letter": "file://letter"}, "assert": [{"type": "is-json"}]}
        spec = EvalSetSpec.model_validate({"dataset": dataset, "defaultTest": shared})
        contents = Contents({("items", key): data, ("items", "letter"): data})
        try:
            load_items(spec, contents)
        except ValueError as error:
            assert str(error)
            assert len(str(error)) < 4000
        set_hash({"dataset": dataset}, contents)


def _report(data: bytes) -> None:
    """The report of a run: read and shown in each way, or a sentence that names the line."""
    for packed in (data, gzip.compress(data, mtime=0)):
        try:
            report = read_report(packed, "x")
        except ValueError as error:
            assert str(error).startswith("x")
            continue
        assert read_report(write_report(report), "x") == report
        assert as_text(report)
        assert "<script" not in as_html(report)
        ElementTree.fromstring(as_junit(report))
    with contextlib.suppress(ValueError):
        read_labels(data, "x")


def _evidence(data: bytes) -> None:
    """Documents of an admin port: read or refused; what is read can be counted."""
    for parse in (parse_cohorts, parse_serving, parse_grade):
        with contextlib.suppress(ValueError):
            parse(data)
    try:
        evidence = parse_evidence(data)
    except ValueError:
        return
    readings = [PodReading("a", True, evidence)]
    _, memory = advance(None, readings, now=1.0)
    advance(memory, readings, now=2.0)


def _conversations(data: bytes) -> None:
    """What a peer tells: refused, or known, so that a third process learns the same from this one."""
    with contextlib.suppress(ValueError, UnicodeDecodeError):
        peers = parse_peers(data.decode())
        assert parse_peers(name_peers(peers)) == peers
    one, two = ConversationMemory("one"), ConversationMemory("two")
    try:
        one.learn(parse_conversations(data).known)
    except ValueError:
        return
    told = one.pages("", 500)
    two.learn(parse_conversations(msgspec.json.encode(told)).known)
    assert two.pages("", 500).known == told.known


def _config(data: bytes) -> None:
    """A gateway's config: read or refused."""
    try:
        config = parse_config(data)
    except ValueError as error:
        assert str(error)
        return
    for arm in config.arms:
        try:
            prepare(arm, {}, takes)
        except ValueError as error:
            assert str(error)


def _ledger(data: bytes) -> None:
    """A ledger's ConfigMap: read, or refused with the line."""
    text = data.decode("utf-8", "replace")
    try:
        list(parse_ledger(text.splitlines()))
    except LineError as error:
        assert str(error)
    read_points(text)


def _pages(data: bytes) -> None:
    """The API's answers about an organisation: read or refused; what is read can be stored and added up."""
    for read in (
        pages.usage_report,
        pages.cost_report,
        pages.analytics_usage,
        pages.analytics_costs,
        pages.api_keys,
        pages.workspaces,
        pages.organization,
    ):
        try:
            page = read(data)
        except ValueError:
            continue
        for bucket in pages.merge(page.buckets):
            assert abs(bucket.start) < 2**62
            for row in bucket.rows:
                assert all("\0" not in text and text.encode() is not None for text in row.group)
                if isinstance(row, UsageRow):
                    assert all(0 <= count < 2**62 for count in row.counts)
                else:
                    assert row.cents + row.cents == 2 * row.cents


def _words(data: bytes) -> None:
    """Addresses, amounts and durations as people write them."""
    text = data.decode("utf-8", "replace")
    list(address_problems(text, example="https://a", secrets_belong="b", appended="c"))
    quantity(text)
    with contextlib.suppress(ValueError):
        seconds(text)


# ----------------------------------------------------------------------------------------------------- all of them

_REQUEST = {
    "model": "any",
    "max_tokens": 1024,
    "system": [{"type": "text", "text": "theirs", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "tools": [{"name": "look", "input_schema": {"type": "object"}}],
    "messages": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [{"type": "text", "text": "x"}]},
    ],
    "metadata": {"user_id": '{"session_id":"7d1f2b1c"}'},
    "stream": True,
    "temperature": 0.5,
}
_STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","usage":{"input_tokens":1}}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"type":"text_delta","text":"Hi"}}\n\n'
    b": comment\n\nevent: ping\ndata: {}\n\n"
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{}}\n\n'
    b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
_SPEC = {
    "request": {"model": "claude-haiku-5-5", "max_tokens": 64, "system": [{"type": "text", "text": "v1"}]},
    "upstream": {"baseURL": "https://api.anthropic.com", "apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
    "env": [{"name": "DOCS", "valueFrom": {"secretKeyRef": {"name": "docs", "key": "token"}}}],
    "promptFrom": [{"configMapKeyRef": {"name": "prompts", "key": "a.txt"}}],
    "subagents": {"fast": {"request": {"model": "claude-haiku-5-5"}}},
    "strategy": {"canary": {"steps": [{"setWeight": 10}, {"bake": {"minDuration": "5s"}}, {"pause": {}}]}},
    "budgets": [{"surface": "chat", "metric": "duration", "percentile": 95, "max": "1500ms"}],
    "gateway": {"resources": {"limits": {"memory": "256Mi"}}},
}
_STATUS = {
    "stableRevision": "shop-1111111111",
    "canaryRevision": "shop-2222222222",
    "conditions": [],
    "rollout": {"revision": "shop-2222222222", "attempt": 1, "startedAt": "2026-11-30T00:00:00Z"},
    "phase": "Running",
    "revision": "shop-2222222222",
    "setRef": "items",
}
_EVIDENCE = {
    "bootId": "0123456789abcdef",
    "configGeneration": 3,
    "uptime": 12.5,
    "generations": [
        {
            "generation": 3,
            "strata": [
                {
                    "revision": "shop-1111111111",
                    "role": "stable",
                    "surface": "other",
                    "cache": "none",
                    "counters": {
                        "requests": 3,
                        "outcomes": {"ok": 2, "error": 1},
                        "conversations": 3,
                        "badConversations": {"error": 1},
                        "ttft": {"count": 2, "sum": 0.5, "lnSum": -1.0, "buckets": {"-3": 2}},
                    },
                }
            ],
        }
    ],
    "bad": [[3, "shop-1111111111", "other", "error", "aabbccdd", 1.5]],
}
_DIGEST = "0123456789abcdef0123456789abcdef"
_TALK = {
    "bootId": "0123456789abcdef",
    "known": [
        [
            "0123456789abcdef0123456789abcdef",
            "shop-1",
            3,
            "shop-1",
            1000,
            True,
            ["error"],
            ["0123456789abcdef"],
            65,
            2,
            ["1f"],
        ],
        ["00000000000000000000000000000001", "shop-2"],
        [
            "0123456789abcdef0123456789abcdef",
            "shop-2",
            4,
            "shop-2",
            500,
            False,
            ["hung"],
            ["0000000000000001"],
            1,
            2,
            ["2"],
        ],
    ],
    "complete": True,
}
_CONFIG = {
    "version": 1,
    "generation": 3,
    "deployment": {"name": "shop", "namespace": "demo", "uid": "u"},
    "arms": [{"revision": "shop-1111111111", "role": "stable", "weight": 10000, "request": {"model": "a"}}],
    "env": ["DOCS"],
}
_LINES = (
    b'{"version": 1, "revision": "shop-2222222222", "attempt": 1}\n'
    b'{"t": 5, "weight": 0.01, "metrics": {"errors": {"stable": [500, 2], "canary": [5, 1]}}}\n'
    b'{"t": 10, "metrics": {"duration": {"stable": {"count": 3, "lnSum": 1.2, "lnSumSq": 0.9, "buckets": [0, 2]}}}}\n'
)
_TABLES = [
    b'input,topic,__expected1,__threshold\r\n"Hi, {{topic | upper}}",x,contains-any: a,0.5\r\n',
    b"- {id: a, input: &q 'Hi {{n}}', vars: {n: [1, 2]}, assert: [{type: equals, value: *q}]}\n",
    b'[{"id": "a", "messages": [{"role": "user", "content": "{{letter}}"}], "toolResults": {"find": ["x"]}}]',
]
_REPORT = (
    b'{"kind": "run", "set": "s", "phase": "Failed", "message": "Failed: no", "result": {"comparisons": [{"metric":'
    b' "quality", "lower": -0.1, "upper": 0.1, "margin": 0.03}]}}\n'
    b'{"kind": "heldOut", "arm": "candidate", "items": 2, "answers": 6, "passed": 5}\n'
    b'{"kind": "outcome", "id": "a", "arm": "candidate", "failed": "equals: x", "score": 0.0, "costUSD": 0.1,'
    b' "seconds": 1.5, "checks": [{"check": "equals: x", "holds": false, "score": 0, "why": "y"}], "metadata":'
    b' {"k": "v"}, "question": "q", "text": "<script>"}\n'
    b'{"kind": "outcome", "id": "a", "arm": "baseline", "text": "x y"}\n'
)
_ITEMS = (
    b'{"id": "1", "input": "Hi", "assert": [{"type": "contains", "value": "x"}]}\n\n'
    b'{"id": "2", "messages": [{"role": "user", "content": "Hi"}], "assert": [{"type": "regex", "value": "^a+$"}]}\n'
)


_USAGE_PAGE = {
    "data": [
        {
            "starting_at": "2025-08-01T00:00:00Z",
            "results": [
                {
                    "uncached_input_tokens": 1500,
                    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
                    "output_tokens": 500,
                    "server_tool_use": {"web_search_requests": 10},
                    "api_key_id": "apikey_01",
                    "workspace_id": None,
                }
            ],
        }
    ],
    "has_more": True,
    "next_page": "page_MjAy",
}
_COST_PAGE = {
    "data": [{"starting_at": "2025-08-01T00:00:00Z", "results": [{"amount": "123.78912", "currency": "USD"}]}],
    "has_more": False,
}
_ANALYTICS_PAGE = {
    "data": [
        {
            "starting_at": "2025-08-01T00:00:00+00:00",
            "group": {"model": "claude-opus-5-5", "api_key_id": None},
            "usage": {"uncached_input_tokens": 1, "output_tokens": 2},
            "cost": {"amount": "1e-7"},
        }
    ],
    "data_refreshed_at": "2025-08-02T04:00:00Z",
}
_KEYS_PAGE = {"data": [{"id": "apikey_01", "name": "Search"}], "has_more": True, "last_id": "apikey_01"}


def _encoded(*documents: Any) -> list[bytes]:
    return [json.dumps(one).encode() for one in documents]


TARGETS: Final[dict[str, Target]] = {
    "http": Target(http.check, http.SEEDS),
    "body": Target(_body, _encoded(_REQUEST, {"messages": []}, {})),
    "path": Target(
        _path,
        [
            *(b"POST /v1/messages", b"POST /v1/messages/count_tokens?beta=true", b"GET /v1/models/claude-haiku-5-5"),
            *(
                b"POST http://h/v1/messages",
                b"HEAD /",
                b"POST /v1/v1/messages",
                b"GET /v1/files/file_1/content?a=#x",
            ),
        ],
    ),
    "text": Target(_text, [b"ticket-4711", b'{"device_id":"d","session_id":"s"}', b"a@example.com said\r\n\x1b[2J"]),
    "stream": Target(_stream, [_STREAM, _STREAM.replace(b"\n", b"\r\n"), b"\xff" + gzip.compress(_STREAM, mtime=0)]),
    "spec": Target(_spec, _encoded(_SPEC, {"request": {"model": "a", "max_tokens": 1}})),
    "status": Target(_status, _encoded(_STATUS, {})),
    "items": Target(_items, [_ITEMS]),
    "tables": Target(_tables, _TABLES),
    "report": Target(_report, [_REPORT]),
    "evidence": Target(_evidence, _encoded(_EVIDENCE, {"revision": "shop-1111111111", "passed": True})),
    "config": Target(_config, _encoded(_CONFIG)),
    "conversations": Target(_conversations, [*_encoded(_TALK), b"gw-1@10.0.0.5:9090,gw-2.x@[fd00::1]:9091"]),
    "ledger": Target(_ledger, [_LINES]),
    "pages": Target(_pages, _encoded(_USAGE_PAGE, _COST_PAGE, _ANALYTICS_PAGE, _KEYS_PAGE)),
    "words": Target(_words, [b"https://api.anthropic.com:443/x?y#z", b"256Mi", b"1h30m", b"http://[::1]:80", b"1e3"]),
}
