"""Where a gateway connects: checked on the address that the connection really goes to."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.gateway.harness import CANARY, Gateway, make_arm, make_config, running_gateway
from tests.gateway.test_process import gateway_process
from tests.gateway.upstream import Playback, Recorded, json_answer, recording_upstream

from claude_operator.api.gateway import Auth, Egress, dump_config
from claude_operator.core.spec.networks import AddressRules, parse_network, rules_in_pod
from claude_operator.gateway.cli import add_arguments, settings_of

SENTENCE = "spec.upstream.baseURL leads to an address that gateways do not connect to"
Resolve = Callable[..., None]


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway that connects as in a pod, but also to 127.0.0.1."""
    rules = rules_in_pod([parse_network("127.0.0.1")], (), {})
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path, addresses=rules) as it,
    ):
        it.serve()
        yield it


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Sets what the name api.example leads to."""
    real, found = socket.getaddrinfo, list[str]()

    def getaddrinfo(host: Any, port: Any, *more: Any, **options: Any) -> list[Any]:
        if host != "api.example":
            return real(host, port, *more, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    def names(*addresses: str) -> None:
        found[:] = addresses

    return names


def port_of(gateway: Gateway) -> str:
    return gateway.upstream.url.rpartition(":")[2]


async def test_an_allowed_address_is_connected_to(strict: Gateway) -> None:
    response, _ = await strict.post()
    assert response.status == 200


@pytest.mark.parametrize("host", ["127.0.0.2", "169.254.169.254", "[::1]", "[::ffff:127.0.0.2]", "0.0.0.0"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/files"])
async def test_a_refused_one_is_told_and_blames_no_arm(strict: Gateway, host: str, path: str) -> None:
    strict.serve(make_arm(weight=5000), make_arm(CANARY, "canary", 5000), url=f"http://{host}:{port_of(strict)}")
    response, body = await strict.post(path=path)
    assert response.status == 502
    assert response.headers["x-should-retry"] == "false"
    error = json.loads(body)["error"]
    assert error["type"] == "api_error"
    assert error["message"].startswith(SENTENCE)
    assert "--allowed-address" in error["message"]
    assert strict.upstream.requests == []
    assert (await strict.lines())[0]["outcome"] == "refused"
    assert (await strict.outcomes()).get("error", 0) == 0


async def test_a_name_is_judged_by_what_it_leads_to_at_each_connection(strict: Gateway, resolve: Resolve) -> None:
    strict.serve(url=f"http://api.example:{port_of(strict)}")
    resolve("127.0.0.2", "169.254.169.254")
    response, body = await strict.post()
    assert response.status == 502
    assert SENTENCE in body.decode()
    assert strict.upstream.requests == []


async def test_of_several_addresses_the_free_ones_serve(strict: Gateway, resolve: Resolve) -> None:
    strict.serve(url=f"http://api.example:{port_of(strict)}")
    resolve("169.254.169.254", "127.0.0.1")
    response, _ = await strict.post()
    assert response.status == 200


async def test_what_is_denied_from_now_on_is_not_kept_alive_and_calls_go_on(gateway: Gateway) -> None:
    """As when the API server gets another address: nothing is restarted."""
    go_on = asyncio.Event()

    async def slowly(seen: Recorded, play: Playback) -> None:
        await go_on.wait()
        await json_answer()(seen, play)

    def deny(generation: int, *networks: str) -> None:
        gateway.serve(generation=generation, egress=Egress(denied_addresses=list(networks)))

    assert (await gateway.post())[0].status == 200  # its connection is kept alive
    deny(2, "192.0.2.7/32")
    assert (await gateway.post())[0].status == 200
    gateway.upstream.arrived.clear()
    gateway.upstream.script = slowly
    begun = asyncio.create_task(gateway.post())
    await gateway.upstream.arrived.wait()
    deny(3, "127.0.0.1/32")
    response, body = await gateway.post()
    assert response.status == 502
    assert SENTENCE in body.decode()
    go_on.set()
    assert (await begun)[0].status == 200
    assert len(gateway.upstream.requests) == 3
    deny(4)
    assert (await gateway.post())[0].status == 200
    assert (await gateway.evidence()).config_error == ""


async def test_a_redirect_is_not_followed(strict: Gateway) -> None:
    async def script(_: Recorded, play: Playback) -> None:
        await play.head("307 Temporary Redirect", location="http://127.0.0.2:1/v1/messages", content_length="0")

    strict.upstream.script = script
    async with strict.http.post(
        f"{strict.url}/v1/messages", data=b'{"messages":[]}', headers={"x-api-key": "client-key-SENTINEL"},
        allow_redirects=False,
    ) as response:  # fmt: skip
        assert response.status == 307
    assert len(strict.upstream.requests) == 1


@pytest.mark.slow
async def test_a_denied_address_of_a_process(tmp_path: Path) -> None:
    async with recording_upstream(json_answer()) as upstream:
        path = tmp_path / "config.json"
        path.write_text(dump_config(make_config(upstream.url, make_arm(), auth=Auth("None"))))
        for options, status in (((), 200), (("--denied-address", "127.0.0.0/8"), 502)):
            async with gateway_process("--config", str(path), *options, ANTHROPIC_API_KEY="k") as process:
                port = (await process.line("listening"))["port"]
                await process.line("config applied")
                url = f"http://127.0.0.1:{port}/v1/messages"
                async with aiohttp.ClientSession() as http, http.post(url, json={"messages": []}) as response:
                    assert response.status == status


def rules_of(*options: str) -> AddressRules:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return settings_of(parser.parse_args(options)).addresses


def test_in_a_pod_the_node_and_the_api_server_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_IPS", "192.168.7.10,fd12::7")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    rules = rules_of("--configmap=support-gateway", "--denied-address=10.9.0.0/16", "--denied-address=10.8.0.1")
    refused = ("127.0.0.1", "192.168.7.10", "fd12::7", "10.96.0.1", "10.9.1.1", "10.8.0.1")
    assert [address for address in refused if rules.permits(address)] == []
    assert rules.permits("10.7.0.1")
    assert rules_of("--configmap=support-gateway", "--allowed-address=192.168.7.10").permits("192.168.7.10")
    assert rules_of("--config=config.json").permits("127.0.0.1")


def test_what_is_not_a_network_is_a_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        rules_of("--configmap=support-gateway", "--allowed-address=example.com")
    assert "'example.com' is not a network of IP addresses; use e.g. 10.0.0.0/8" in capsys.readouterr().err


@pytest.mark.parametrize(
    "host", ["2130706433", "127.1", "0x7f000001", "0177.0.0.1", "127.0.0.1.", "LOCALHOST", "localhost."]
)
async def test_no_spelling_of_loopback_is_connected_to(tmp_path: Path, host: str) -> None:
    rules = rules_in_pod((), (), {})
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path, addresses=rules) as it,
    ):
        it.serve(url=upstream.url.replace("127.0.0.1", host))
        response, _ = await it.post()
        assert response.status == 502
        assert upstream.requests == []
