"""Whose config a gateway in a pod serves, and whom it tells what it has counted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.harness import OPERATOR_KEY, POD, UPSTREAM_KEY, Gateway, make_arm, make_config, running_gateway
from tests.gateway.upstream import RecordingUpstream, json_answer, recording_upstream
from tests.waiting import until

from claude_operator.api.gateway import Auth, dump_config
from claude_operator.core.operator_key import NONCE, ask, sign_config
from claude_operator.gateway.document import Document

PATHS = ("/-/evidence", "/-/evidence?since=&keep=1", "/-/evidence/cohorts", "/-/recent")


@pytest.fixture
async def elsewhere() -> AsyncIterator[RecordingUpstream]:
    """A listener that somebody would like to have the upstream's key."""
    async with recording_upstream(json_answer()) as upstream:
        yield upstream


def signature(document: bytes, key: str = OPERATOR_KEY) -> str:
    return sign_config(key.encode(), {"config.json": document.decode()})


def lines(gateway: Gateway, message: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, gateway.output.getvalue().splitlines()) if line["message"] == message]


def stolen(gateway: Gateway, elsewhere: RecordingUpstream, **more: Any) -> bytes:
    """What a person with `update` on ConfigMaps writes."""
    return dump_config(make_config(elsewhere.url, make_arm(), auth=Auth("None"), **more)).encode()


@pytest.mark.parametrize(
    ("key", "why"), [(None, "there is no key signature"), ("op-other", "the key signature is not made with its key")]
)
async def test_a_config_of_somebody_else_sends_the_key_nowhere(
    gateway: Gateway, elsewhere: RecordingUpstream, key: str | None, why: str
) -> None:
    document = stolen(gateway, elsewhere, generation=2)
    gateway.service.control.offer(Document(document, signature(document, key) if key else ""))
    async with gateway.http.post(gateway.url + "/v1/messages", json={"messages": []}) as response:
        assert response.status == 401  # clients still need their key
    await gateway.post()
    assert elsewhere.requests == []
    assert gateway.upstream.last.header("x-api-key") == UPSTREAM_KEY
    evidence = await gateway.evidence()
    assert evidence.config_generation == 1
    assert evidence.config_error.startswith(f"config.json is not signed by the operator ({why})")
    assert len(lines(gateway, "config refused")) == 1
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        assert "claude_gateway_config_errors_total 1.0" in await response.text()
    gateway.serve(generation=2)
    evidence = await gateway.evidence()
    assert (evidence.config_generation, evidence.config_error) == (2, "")


async def test_a_signature_is_of_one_document(gateway: Gateway, elsewhere: RecordingUpstream) -> None:
    gateway.service.control.offer(Document(stolen(gateway, elsewhere), signature(dump_config(gateway.config).encode())))
    assert "not signed" in gateway.service.control.error


async def test_an_older_config_is_not_served_again(gateway: Gateway) -> None:
    old = dump_config(gateway.config).encode()
    gateway.serve(make_arm("support-0000000002"), generation=2)
    gateway.service.control.offer(Document(old, signature(old)))
    evidence = await gateway.evidence()
    assert evidence.config_generation == 2
    assert evidence.config_error.startswith("config.json has generation 1, and 2 is being served")
    gateway.serve(make_arm("support-0000000002"), generation=2)  # as it was: put back
    assert (await gateway.evidence()).config_error == ""


async def test_a_refused_config_is_still_refused_when_credentials_change(
    gateway: Gateway, elsewhere: RecordingUpstream
) -> None:
    control = gateway.service.control
    control.offer(Document(stolen(gateway, elsewhere, generation=2)))
    gateway.files.upstream_key.write_text("sk-ant-new")
    control.reload_credentials()
    assert "not signed" in control.error
    assert control.generation == 1
    await gateway.post()
    assert gateway.upstream.last.header("x-api-key") == "sk-ant-new"


async def test_without_the_operators_key_a_pod_is_not_ready_and_says_which_file(tmp_path: Path) -> None:
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path, keys=False) as gateway,
    ):
        document = dump_config(make_config(upstream.url, make_arm())).encode()
        for key in ("", OPERATOR_KEY):
            gateway.service.control.offer(Document(document, signature(document, key)))
            async with gateway.http.get(gateway.admin + "/-/ready") as response:
                assert response.status == 503
                assert f"the file {gateway.files.operator}/operator-key is missing or empty" in await response.text()
            for path in PATHS:  # and it tells nobody what it has counted: its key would be empty
                nonce = ask(b"", pod=POD, method="GET", target=path, nonce="n")
                for headers in ({}, nonce):
                    async with gateway.http.get(gateway.admin + path, headers=headers) as response:
                        assert response.status == 401
        (gateway.files.operator / "operator-key").write_text(f"{OPERATOR_KEY}\n")
        await until(lambda: gateway.service.control.generation == 1)  # it looks once a second by itself
        assert gateway.service.control.error == ""


async def test_a_config_that_came_before_its_key_is_served_once_that_is_there(gateway: Gateway) -> None:
    (gateway.files.operator / "operator-key").write_text("op-new")
    document = dump_config(make_config(gateway.upstream.url, make_arm(), generation=2)).encode()
    gateway.service.control.offer(Document(document, signature(document, "op-new")))
    assert gateway.service.control.generation == 1
    gateway.service.control.reload_credentials()
    assert (gateway.service.control.generation, gateway.service.control.error) == (2, "")


# ------------------------------------------------------------------------------------------------ evidence


async def get(gateway: Gateway, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
    async with gateway.http.get(gateway.admin + path, headers=dict(headers)) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("path", PATHS)
async def test_evidence_is_for_the_operator(gateway: Gateway, path: str) -> None:
    key = OPERATOR_KEY.encode()
    right = ask(key, pod=POD, method="GET", target=path, nonce="n1")
    status, text = await get(gateway, path, {})
    assert status == 401
    assert text.startswith("only the operator may read this: ")
    wrong = [
        ask(b"op-other", pod=POD, method="GET", target=path, nonce="n1"),
        ask(key, pod="support-gateway-2", method="GET", target=path, nonce="n1"),
        ask(key, pod=POD, method="GET", target="/-/evidence?since=other", nonce="n1"),
        {**right, NONCE: "n2"},
        {"authorization": f"Bearer {OPERATOR_KEY}"},
    ]
    for headers in wrong:
        assert (await get(gateway, path, headers))[0] == 401
    assert (await get(gateway, path, right))[0] == 200
    if path == PATHS[1]:
        assert b'"reading":2' in await gateway.read(path)  # those that were refused have kept none


async def test_metrics_and_probes_are_open(gateway: Gateway) -> None:
    for path in ("/metrics", "/-/ready", "/-/live"):
        assert (await get(gateway, path, {}))[0] == 200


async def test_a_relay_cannot_turn_an_answer_into_another_pods(tmp_path: Path) -> None:
    """A pod that passes what it is asked on to a real one gets nothing that would prove its own name."""
    async with recording_upstream(json_answer()) as upstream, running_gateway(upstream, tmp_path) as gateway:
        gateway.serve()
        headers = ask(OPERATOR_KEY.encode(), pod="relay", method="GET", target="/-/evidence", nonce="n1")
        assert (await get(gateway, "/-/evidence", headers))[0] == 401


async def test_on_a_laptop_evidence_is_open_and_configs_have_no_signature(tmp_path: Path) -> None:
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path, on_a_laptop=True, keys=False) as gateway,
    ):
        for generation in (5, 4):  # a person goes back by hand
            document = dump_config(make_config(upstream.url, make_arm(), generation=generation)).encode()
            gateway.service.control.offer(Document(document))
            assert gateway.service.control.generation == generation
        for path in PATHS:
            assert (await get(gateway, path, {}))[0] == 200
