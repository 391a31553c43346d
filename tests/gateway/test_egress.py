"""Which hosts get secret values: those that the installer allows, as the operator says in the signed egress."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.harness import (
    CANARY,
    OPERATOR_KEY,
    UPSTREAM_KEY,
    Gateway,
    make_arm,
    make_config,
    running_gateway,
    written,
)
from tests.gateway.upstream import json_answer, recording_upstream

from claude_operator.api.gateway import Auth, Egress, dump_config, dump_egress
from claude_operator.core.operator_key import sign_config
from claude_operator.gateway.document import Document

SECRET = "mcp-SENTINEL"
OURS = "https://tools.example/mcp"
THEIRS = "https://elsewhere.example/mcp"


def server(name: str, url: str, token: str | None = "$(TOKEN)") -> dict[str, Any]:
    return {"type": "url", "name": name, "url": url} | ({"authorization_token": token} if token else {})


def allowing(gateway: Gateway, *hosts: str) -> Egress:
    """The upstream's own address, and these."""
    return Egress(allowed_hosts=[gateway.upstream.url.removeprefix("http://"), *hosts])


@pytest.fixture
def secret(gateway: Gateway) -> None:
    (gateway.files.env / "TOKEN").write_text(SECRET)


def lines(gateway: Gateway, message: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, gateway.output.getvalue().splitlines()) if line["message"] == message]


async def servers(gateway: Gateway, **headers: str) -> list[dict[str, Any]]:
    """The MCP servers that the upstream is told of."""
    response, body = await gateway.post(headers=headers)
    assert response.status == 200, body
    return list(json.loads(gateway.upstream.last.body)["mcp_servers"])


@pytest.mark.usefixtures("secret")
async def test_a_value_goes_to_allowed_hosts_alone(gateway: Gateway) -> None:
    request = {"mcp_servers": [server("ours", OURS), server("theirs", THEIRS), server("open", THEIRS, None)]}
    arm = make_arm(request=request, subagents={"search": {"mcp_servers": [server("sub", THEIRS)]}})
    gateway.serve(arm, env=["TOKEN"], generation=2)
    assert [one.get("authorization_token") for one in await servers(gateway)] == [SECRET, SECRET, None]
    gateway.serve(arm, env=["TOKEN"], generation=3, egress=allowing(gateway, "tools.example"))
    expected = [server("ours", OURS, SECRET), server("theirs", THEIRS, None), server("open", THEIRS, None)]
    assert await servers(gateway) == expected
    assert await servers(gateway, **{"x-claude-subagent": "search"}) == [server("sub", THEIRS, None)]
    assert [line["server"] for line in lines(gateway, "the host may not get a token")] == ["theirs", "sub"]
    gateway.serve(arm, env=["TOKEN"], generation=4, egress=allowing(gateway, "*.example"))
    assert [one.get("authorization_token") for one in await servers(gateway)] == [SECRET, SECRET, None]


async def test_a_new_value_is_not_sent_either(gateway: Gateway) -> None:
    arm = make_arm(request={"mcp_servers": [server("theirs", THEIRS)]})
    gateway.serve(arm, env=["TOKEN"], generation=2, egress=allowing(gateway))  # a missing value holds up nothing
    assert await servers(gateway) == [server("theirs", THEIRS, None)]
    (gateway.files.env / "TOKEN").write_text(SECRET)
    gateway.service.control.reload_credentials()
    assert await servers(gateway) == [server("theirs", THEIRS, None)]


async def test_the_key_is_not_sent_to_a_host_that_is_not_allowed(gateway: Gateway) -> None:
    gateway.serve(generation=2, egress=allowing(gateway))
    assert (await gateway.post())[0].status == 200
    gateway.serve(generation=3, egress=Egress(allowed_hosts=["api.anthropic.com"]))
    before = len(gateway.upstream.requests)
    for path in ("/v1/messages", "/v1/messages/batches"):
        response, body = await gateway.post(path=path)
        assert response.status == 502
        assert response.headers["x-should-retry"] == "false"
        assert (
            "spec.upstream.baseURL has a host that the installer does not allow" in json.loads(body)["error"]["message"]
        )
    assert len(gateway.upstream.requests) == before
    assert await gateway.outcomes() == {"ok": 1, "refused": 1}  # no revision is to blame
    assert lines(gateway, "the host may not get the key")
    own = {"x-api-key": "a client's own"}
    gateway.serve(generation=4, auth=Auth("Passthrough"), egress=Egress(allowed_hosts=["api.anthropic.com"]))
    assert (await gateway.post(headers=own))[0].status == 200
    assert UPSTREAM_KEY not in str(gateway.upstream.last.headers)


@pytest.mark.parametrize("how", ["another egress", "none", "half", "another key", "an older one"])
async def test_nobody_but_the_operator_changes_it(gateway: Gateway, how: str) -> None:
    limited = make_config(gateway.upstream.url, make_arm(), generation=3, egress=Egress(["api.anthropic.com"]))
    config = dump_config(limited).encode()
    right = written(config, dump_egress(limited))
    older = written(dump_config(make_config(gateway.upstream.url, make_arm(), generation=2)).encode())
    gateway.service.control.offer(right)
    wrong = {
        "another egress": Document(config, right.signature, "{}", right.egress_signature),
        "none": Document(config, right.signature),
        "half": Document(config, right.signature, "{}"),
        "another key": written(config, "{}", key="op-other"),
        "an older one": Document(config, right.signature, older.egress, older.egress_signature),
    }
    gateway.service.control.offer(wrong[how])
    if how == "another key":
        assert "config.json is not signed" in gateway.service.control.error
    elif how == "none":  # as an operator of before it leaves it: what was said last holds
        assert gateway.service.control.error == ""
    else:
        assert "egress.json is not signed by the operator" in gateway.service.control.error
    assert (await gateway.post())[0].status == 502
    gateway.service.control.offer(right)
    assert gateway.service.control.error == ""


async def test_a_pod_of_this_operator_begins_with_no_config_that_lacks_it(tmp_path: Path) -> None:
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path, signed_egress=True) as gateway,
    ):
        config = dump_config(make_config(upstream.url, make_arm())).encode()
        signature = sign_config(OPERATOR_KEY.encode(), {"config.json": config.decode()})
        gateway.service.control.offer(Document(config, signature))
        async with gateway.http.get(gateway.admin + "/-/ready") as response:
            assert response.status == 503
            assert "there is no key egress.json" in await response.text()
        gateway.offer(config)
        assert (await gateway.post())[0].status == 200
        later = dump_config(make_config(upstream.url, make_arm(CANARY), generation=2)).encode()
        signature = sign_config(OPERATOR_KEY.encode(), {"config.json": later.decode()})
        gateway.service.control.offer(Document(later, signature))  # an operator of before it is back
        assert (gateway.service.control.generation, gateway.service.control.error) == (2, "")


async def test_a_config_of_an_operator_of_before_works_where_no_egress_is_asked_for(gateway: Gateway) -> None:
    config = dump_config(make_config(gateway.upstream.url, make_arm(CANARY), generation=2)).encode()
    signature = sign_config(OPERATOR_KEY.encode(), {"config.json": config.decode()})
    gateway.service.control.offer(Document(config, signature))
    assert (gateway.service.control.generation, gateway.service.control.error) == (2, "")
    assert (await gateway.post())[0].status == 200
