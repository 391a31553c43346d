"""Which headers pass the gateway, each way."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from tests.gateway.harness import CLIENT_KEY, UPSTREAM_KEY, Gateway
from tests.gateway.test_hostile import raw
from tests.gateway.upstream import MESSAGE, Playback, Recorded

from claude_operator.api.gateway import Auth

OF_CLIENTS = {
    "accept": "application/json",
    "anthropic-client-platform": "cli",
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-user-profile-id": "uprof_1",
    "anthropic-version": "2026-10-21",
    "idempotency-key": "stainless-node-retry-1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=1",
    "user-agent": "Anthropic/Python 2.12.0",
    "x-anthropic-additional-protection": "true",
    "x-app": "cli",
    "x-claude-code-session-id": "s",
    "x-claude-remote-container-id": "c",
    "x-client-request-id": "r",
    "x-stainless-arch": "x64",
    "x-stainless-helper-method": "stream",
    "x-stainless-retry-count": "0",
}
"""What the SDKs and Claude Code send."""

NOT_OF_THE_API = {
    "Cookie": "session=1",
    "Forwarded": "for=10.0.0.1",
    "X-Forwarded-For": "10.0.0.1",
    "X-Forwarded-Host": "internal",
    "X-Real-IP": "10.0.0.1",
    "Via": "1.1 proxy",
    "X_Api_Key": "sk-ant-other",
    "anthropic_version": "1",
    "anthropic-beta_x": "1",
    "Metadata-Flavor": "Google",
    "Metadata": "true",
    "X-aws-ec2-metadata-token": "t",
    "X-Amz-Security-Token": "t",
    "X-Goog-User-Project": "p",
    "Proxy-Authorization": "Basic eA==",
    "X-HTTP-Method-Override": "DELETE",
    "X-Original-URL": "/v1/organizations/users",
    "X-Api-Key-2": "k",
    "Api-Key": "k",
    "x" * 70: "1",
}
OF_THE_ACCOUNT = {
    "anthropic-organization": "o",
    "anthropic-organization-id": "o",
    "anthropic-workspace-id": "w",
    "x-organization-uuid": "o",
    "x-trusted-device-token": "t",
}


def names(seen: Recorded) -> set[str]:
    return {name.lower() for name, _ in seen.headers}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/batches"])
async def test_what_the_api_and_its_clients_use_goes_up_and_nothing_else(gateway: Gateway, path: str) -> None:
    await gateway.post(headers=OF_CLIENTS | NOT_OF_THE_API | OF_THE_ACCOUNT | {"x-api-key": CLIENT_KEY}, path=path)
    seen = gateway.upstream.last
    assert {name: seen.header(name) for name in OF_CLIENTS} == OF_CLIENTS
    added = {"host", "content-length", "content-type", "accept-encoding", "x-api-key", "transfer-encoding"}
    assert names(seen) - OF_CLIENTS.keys() - added == set()
    assert seen.all("x-api-key") == [UPSTREAM_KEY]


async def test_with_a_key_of_its_own_a_client_also_says_whose_account(gateway: Gateway) -> None:
    gateway.serve(auth=Auth("Passthrough"), generation=2)
    await gateway.post(headers=NOT_OF_THE_API | OF_THE_ACCOUNT)
    seen = gateway.upstream.last
    assert {name: seen.header(name) for name in OF_THE_ACCOUNT} == OF_THE_ACCOUNT
    assert seen.header("authorization") == f"Bearer {CLIENT_KEY}"
    assert names(seen) & {name.lower() for name in NOT_OF_THE_API} == set()


@pytest.mark.parametrize("settings", [{"forwarded_headers": ("x-team",)}], indirect=True)
async def test_the_installer_adds_some_and_the_log_names_what_is_dropped(gateway: Gateway) -> None:
    for _ in range(2):
        await gateway.post(headers={"X-Team": "search", "X-Cost-Centre": "7"})
    assert gateway.upstream.last.header("x-team") == "search"
    assert gateway.upstream.last.header("x-cost-centre") is None
    lines = [json.loads(line) for line in gateway.output.getvalue().splitlines()]
    told = [line["name"] for line in lines if line["message"] == "a header of clients does not go upstream"]
    assert told == ["x-cost-centre"]


async def test_what_a_thousand_names_would_write_is_bounded(gateway: Gateway) -> None:
    for each in range(10):
        await gateway.post(headers={f"x-made-up-{each}-{name}": "1" for name in range(50)})
    assert gateway.output.getvalue().count("does not go upstream") == 32


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/batches"])
async def test_clients_do_not_see_the_account_nor_the_servers_on_the_way(gateway: Gateway, path: str) -> None:
    stays = {
        "anthropic-ratelimit-requests-remaining": "9",
        "content-type": "application/json",
        "request-id": "req_up",
        "retry-after": "7",
        "x-should-retry": "true",
    }
    goes = {
        "alt-svc": 'h3=":443"',
        "anthropic-organization-id": "org",
        "anthropic-workspace-id": "ws",
        "cf-cache-status": "DYNAMIC",
        "cf-ray": "1",
        "server": "cloudflare",
        "set-cookie": "a=b",
        "strict-transport-security": "max-age=1",
        "via": "1.1 google",
        "x-envoy-upstream-service-time": "1",
    }

    async def script(_: Recorded, play: Playback) -> None:
        body = json.dumps(MESSAGE).encode()
        await play.head(**stays, **goes, content_length=str(len(body)))
        await play.raw(body)

    gateway.upstream.script = script
    response, _ = await gateway.post(path=path)
    assert {name: response.headers.get(name) for name in stays} == stays
    assert response.headers.getall("server") == ["claude-operator"]
    assert not (goes.keys() - {"server"}) & {name.lower() for name in response.headers}


async def test_no_port_names_its_software(gateway: Gateway) -> None:
    for head in (b"", b"content-length: 3\r\n", b"x: " + b"a" * 70_000 + b"\r\n", b"\x00: 1\r\n"):
        answer = (await raw(gateway, head)).lower()
        assert answer.startswith(b"http/1.")
        assert b"aiohttp" not in answer
        assert b"python" not in answer
    async with aiohttp.ClientSession() as http:
        for path in ("/-/live", "/-/ready", "/metrics", "/none"):
            async with http.get(gateway.admin + path) as response:
                assert response.headers["server"] == "claude-operator"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.service.admin_port)
    writer.write(b"NOT HTTP\r\n\r\n")
    assert b"aiohttp" not in (await reader.read()).lower()
    writer.close()
