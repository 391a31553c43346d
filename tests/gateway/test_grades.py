"""Verdicts on sampled answers, as they are reported to the admin port."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from tests.gateway.harness import CANARY, STABLE, Gateway, make_arm
from tests.gateway.test_docs import SCHEMA


async def report(gateway: Gateway, body: Any) -> tuple[int, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with gateway.http.post(gateway.admin + "/-/grades", data=data) as response:
        return response.status, await response.text()


async def test_verdicts_count_for_their_revision_and_surface(gateway: Gateway) -> None:
    gateway.serve(make_arm(weight=9000), make_arm(CANARY, "canary", 1000), surfaces=["chat"], generation=4)
    chat = {"revision": CANARY, "surface": "chat"}
    for body in ({**chat, "passed": True}, {**chat, "passed": True}, {**chat, "passed": False}):
        jsonschema.validate(body, {"$ref": "#/$defs/Grade", "$defs": SCHEMA["$defs"]})
        assert await report(gateway, body) == (204, "")
    await report(gateway, {"revision": STABLE, "passed": True})
    await report(gateway, {"revision": STABLE, "passed": False, "surface": "not in the config"})
    found = (await gateway.evidence()).generations[-1]
    assert found.generation == 4
    assert {(each.revision, each.role, each.surface, each.cache): each.counters.grades for each in found.strata} == {
        (CANARY, "canary", "chat", "none"): {"pass": 2, "fail": 1},
        (STABLE, "stable", "other", "none"): {"pass": 1, "fail": 1},
    }
    assert all(each.counters.requests == each.counters.conversations == 0 for each in found.strata)


async def test_an_unknown_revision_is_not_found(gateway: Gateway) -> None:
    status, text = await report(gateway, {"revision": CANARY, "passed": True})
    assert status == 404
    assert text == f"revision '{CANARY}' is not being served: send verdicts for {STABLE}\n"
    assert (await gateway.evidence()).generations[-1].strata == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[" * 2000,
        [],
        {"revision": STABLE},
        {"passed": True},
        {"revision": STABLE, "passed": 1},
        {"revision": STABLE, "passed": "true"},
        {"revision": STABLE, "passed": True, "surface": None},
        {"revision": STABLE, "passed": True, "why": "x"},
        {"revision": "r" * 1025, "passed": True},
    ],
)
async def test_a_wrong_body_is_refused_and_shows_a_right_one(gateway: Gateway, body: Any) -> None:
    status, text = await report(gateway, body)
    assert status == 400
    assert '"passed": true' in text
    assert (await gateway.evidence()).generations[-1].strata == []


async def test_a_large_body_is_refused(gateway: Gateway) -> None:
    status, _ = await report(gateway, b" " * 5000 + json.dumps({"revision": STABLE, "passed": True}).encode())
    assert status == 413
    assert (await gateway.evidence()).generations[-1].strata == []


async def test_it_is_no_path_of_the_service_and_takes_no_get(gateway: Gateway) -> None:
    async with gateway.http.get(gateway.admin + "/-/grades") as response:
        assert response.status == 405
    async with gateway.http.post(gateway.url + "/-/grades", data=b"{}") as response:
        assert response.status == 404


async def test_before_a_config_it_says_so(gateway: Gateway) -> None:
    gateway.service.control.live = None
    status, text = await report(gateway, {"revision": STABLE, "passed": True})
    assert (status, "no config yet" in text) == (503, True)
