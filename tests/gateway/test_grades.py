"""Verdicts on sampled answers, as they are reported to the admin port."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.gateway.harness import CANARY, GRADER_KEY, OPERATOR_KEY, STABLE, Gateway, make_arm, running_gateway
from tests.gateway.test_docs import SCHEMA
from tests.gateway.upstream import json_answer, recording_upstream


async def report(gateway: Gateway, body: Any, authorization: str | None = f"Bearer {GRADER_KEY}") -> tuple[int, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"authorization": authorization} if authorization is not None else {}
    async with gateway.http.post(gateway.admin + "/-/grades", data=data, headers=headers) as response:
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


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", f"Basic {GRADER_KEY}", "Bearer gr-other", f"Bearer {OPERATOR_KEY}", "Bearer \xe9"],
)
async def test_a_verdict_without_the_graders_key_is_refused_and_counts_nowhere(
    gateway: Gateway, authorization: str | None
) -> None:
    status, text = await report(gateway, {"revision": STABLE, "passed": False}, authorization)
    assert status == 401
    assert "authorization: Bearer KEY" in text
    assert "grader-key of the Secret <name>-grader" in text
    assert (await gateway.evidence()).generations[-1].strata == []


async def test_a_graders_key_that_was_changed_is_asked_for_and_one_that_is_missing_lets_nobody_in(
    gateway: Gateway,
) -> None:
    verdict = {"revision": STABLE, "passed": True}
    (gateway.files.operator / "grader-key").write_text("gr-new\n")
    gateway.service.control.reload_credentials()
    assert (await report(gateway, verdict))[0] == 401
    assert (await report(gateway, verdict, "bearer gr-new"))[0] == 204


@pytest.mark.parametrize("content", ["", "\n", None])
async def test_a_graders_key_that_was_withdrawn_is_refused(gateway: Gateway, content: str | None) -> None:
    file = gateway.files.operator / "grader-key"
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    gateway.service.control.reload_credentials()
    assert (await report(gateway, {"revision": STABLE, "passed": True}))[0] == 401


async def test_a_moment_in_which_the_graders_key_cannot_be_read_refuses_no_grader(gateway: Gateway) -> None:
    file = gateway.files.operator / "grader-key"
    file.unlink()
    file.symlink_to(file)  # whoever reads it gets an error of the file system
    gateway.service.control.reload_credentials()
    assert (await report(gateway, {"revision": STABLE, "passed": True}))[0] == 204


async def test_a_graders_key_is_taken_as_the_kubelet_puts_it_beside_the_operators(gateway: Gateway) -> None:
    """From one Secret with both, as earlier versions had it, or from two, where graders' may come later."""
    folder, verdict = gateway.files.operator, {"revision": STABLE, "passed": True}
    for file in list(folder.iterdir()):
        file.unlink()
    for number, contents in enumerate(({}, {"grader-key": GRADER_KEY}, {"grader-key": "gr-new"}, {})):
        data = folder / f"..{number}"
        data.mkdir()
        for name, value in {"operator-key": OPERATOR_KEY, **contents}.items():
            (data / name).write_text(value)
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"..data/{name}")
        (folder / "..data_tmp").symlink_to(data.name)
        (folder / "..data_tmp").rename(folder / "..data")
        gateway.service.control.reload_credentials()
        for key in (GRADER_KEY, "gr-new"):
            expected = 204 if key == contents.get("grader-key") else 401
            assert (await report(gateway, verdict, f"Bearer {key}"))[0] == expected
        assert (await gateway.evidence()).config_generation


async def test_a_pod_without_the_graders_key_takes_no_verdict(tmp_path: Path) -> None:
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path, keys=False) as gateway,
    ):
        (gateway.files.operator / "operator-key").write_text(OPERATOR_KEY)
        gateway.service.control.reload_credentials()
        gateway.serve()
        for authorization in (None, "Bearer ", f"Bearer {GRADER_KEY}"):
            assert (await report(gateway, {"revision": STABLE, "passed": True}, authorization))[0] == 401


async def test_on_a_laptop_without_the_graders_key_everybody_may_report(tmp_path: Path) -> None:
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path, on_a_laptop=True, keys=False) as gateway,
    ):
        gateway.serve()
        assert (await report(gateway, {"revision": STABLE, "passed": True}, None))[0] == 204
