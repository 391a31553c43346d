"""Spellings of paths over the wire: each is composed, or refused with a hint; none goes round the revision."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.gateway.harness import CLIENT_KEY, Gateway
from tests.gateway.upstream import json_answer
from tests.waiting import HANGS

from claude_operator.api.gateway import Auth

BODY = b'{"model": "claude-haiku-4-5-20251001", "max_tokens": 256, "messages": [{"role": "user", "content": "Hi"}]}'


async def send(gateway: Gateway, first_line: bytes, body: bytes = BODY) -> tuple[int, bytes, bytes]:
    """Status, head and body of the answer to a request whose first line is sent as it stands."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.service.port)
    writer.write(first_line + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-api-key: " + CLIENT_KEY.encode())
    writer.write(b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    answer = await asyncio.wait_for(reader.read(), HANGS)
    writer.close()
    head, _, rest = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), head, rest


@pytest.mark.parametrize(
    ("target", "upstream"),
    [
        (b"/v1/messages", "/v1/messages"),
        (b"/v1/v1/messages", "/v1/messages"),
        (b"//v1/messages", "/v1/messages"),
        (b"//v1//messages", "/v1/messages"),
        (b"/v1//messages?beta=true", "/v1/messages?beta=true"),
        (b"/v1/messages/", "/v1/messages"),
        (b"/v1/messages?a=b?c=d", "/v1/messages?a=b?c=d"),
        (b"/v1/messages?q=#x", "/v1/messages?q=%23x"),
        (b"http://gateway:8080/v1/messages", "/v1/messages"),
        (b"http://gateway:8080//v1/v1/messages?x", "/v1/messages?x"),
    ],
)
async def test_composed_and_counted_as_it_is_meant(gateway: Gateway, target: bytes, upstream: str) -> None:
    status, head, _ = await send(gateway, b"POST " + target)
    assert status == 200
    assert b"x-claude-revision" in head.lower()
    assert gateway.upstream.last.target == upstream
    assert gateway.upstream.last.json()["model"] == "claude-opus-5-5"
    assert await gateway.outcomes() == {"ok": 1}


async def test_count_tokens_with_a_slash_is_composed(gateway: Gateway) -> None:
    gateway.upstream.script = json_answer(b'{"input_tokens": 7}')
    assert (await send(gateway, b"POST /v1/messages/count_tokens/"))[0] == 200
    assert gateway.upstream.last.target == "/v1/messages/count_tokens"
    assert gateway.upstream.last.json()["model"] == "claude-opus-5-5"
    assert await gateway.outcomes() == {}


@pytest.mark.parametrize(
    "target",
    [
        *(b"/v1/%6Dessages", b"/v1/./messages", b"/v1/../v1/messages", b"/v1/messages;a=b", b"/V1/messages"),
        *(b"/v1/messages%3Fbeta=true", b"/v1%2Fmessages", b"/v1/%256Dessages", b"/v1\\messages", b"/v1/MESSAGES"),
        *(
            b"/v1/messages.",
            b"/v1/files/../messages",
            b"/v1/files/..%2Fmessages",
            b"/v1/messages#x",
            b"/v1/messag\xe9s",
        ),
        *(b"/messages", b"/api/v1/messages", b"/v1/chat/completions", b"/v1/complete", b"/", b"*", b"http://gateway"),
    ],
)
async def test_refused_with_a_hint(gateway: Gateway, target: bytes) -> None:
    status, head, body = await send(gateway, b"POST " + target)
    if status == 400:  # not even HTTP
        assert b"well-formed" in body
    else:
        assert (status, json.loads(body)["error"]["type"]) == (404, "not_found_error")
        assert b"x-should-retry: false" in head.lower()
        assert len(json.loads(body)["error"]["message"]) > 40
    assert gateway.upstream.requests == []
    assert await gateway.outcomes() == {}


@pytest.mark.parametrize(
    ("line", "status", "body"),
    [
        (b"HEAD /", 200, b""),
        (b"HEAD /api/hello", 200, b""),
        (b"GET /api/hello", 200, b'{"message":"hello"}'),
        (b"POST /api/event_logging/v2/batch", 200, b"{}"),
        (b"GET /api/claude_code/settings", 404, b""),
    ],
)
async def test_claude_codes_own_questions_are_answered_here(
    gateway: Gateway, line: bytes, status: int, body: bytes
) -> None:
    found, _, answer = await send(gateway, line, b"[]" if line.startswith(b"POST") else b"")
    assert (found, answer) == (status, body)
    assert gateway.upstream.requests == []
    (logged,) = await gateway.lines()
    assert (logged["level"], logged["outcome"], logged["error"]) == ("info", "local", "")
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        page = await response.text()
    assert "claude_gateway_refused_total{" not in page
    assert await gateway.outcomes() == {}


ADMINISTRATION = [
    b"GET /v1/organizations/users",
    b"POST /v1/organizations/api_keys/k",
    b"GET /v1/v1/organizations/me",
    b"POST /v1/tunnels/t/reveal_token",
    b"GET /v1/compliance/review/cases",
]


@pytest.mark.parametrize("line", ADMINISTRATION)
async def test_nobody_manages_the_account_with_the_operators_key(gateway: Gateway, line: bytes) -> None:
    for auth in (Auth("ApiKey"), Auth("None")):
        gateway.serve(auth=auth, generation=gateway.config.generation + 1)
        status, head, body = await send(gateway, line)
        assert (status, json.loads(body)["error"]["type"]) == (403, "permission_error")
        assert b"x-should-retry: false" in head.lower()
    assert gateway.upstream.requests == []


@pytest.mark.parametrize("line", ADMINISTRATION)
async def test_with_a_key_of_ones_own_the_api_decides(gateway: Gateway, line: bytes) -> None:
    gateway.serve(auth=Auth("Passthrough"), generation=2)
    await send(gateway, line)
    assert gateway.upstream.last.header("x-api-key") == CLIENT_KEY


@pytest.mark.parametrize(
    "line",
    [
        b"POST /v1/messages#x",
        b"GET /v1/../admin",
        b"GET /v1/models/../../admin",
        b"GET /v1/models/%2e%2e/organizations/users",
        b"TRACE /v1/messages",
        b"TRACE /v1/models",
        b"CONNECT /v1/models",
        b"OPTIONS /v1/models",
        b"GET /admin",
        b"GET /latest/meta-data/iam/security-credentials/",
        b"GET /computeMetadata/v1/instance/service-accounts/default/token",
        b"GET /v1/organizations/../models",
        b"GET /v1;x/models",
    ],
)
async def test_nothing_beside_the_endpoints_goes_up(gateway: Gateway, line: bytes) -> None:
    status, _, _ = await send(gateway, line)
    assert status in (400, 404)
    assert gateway.upstream.requests == []
