"""Message threads through the gateway: on the revision that they began on, or begun anew."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from tests.gateway.harness import CANARY, CLIENT_KEY, STABLE, Gateway, make_arm
from tests.gateway.upstream import MESSAGE, Playback, Recorded, json_answer, sse_answer, stream_events
from tests.simulator.harness import running_simulator

BETA = {"anthropic-beta": "message-threads-2026-08-12"}
HELLO = [{"role": "user", "content": "Hello"}]
SYSTEM = [{"type": "text", "text": "You sell bicycle parts.", "cache_control": {"type": "ephemeral"}}]


def two_arms(weight: int = 5000) -> list[Any]:
    return [
        make_arm(STABLE, "stable", 10_000 - weight, request={"system": SYSTEM}),
        make_arm(CANARY, "canary", weight, request={"system": SYSTEM, "model": "claude-sonnet-5-5"}),
    ]


class Numbered:
    """An upstream whose answers have ids of their own."""

    def __init__(self, *, stream: bool = False) -> None:
        self.count = 0
        self.stream = stream

    async def __call__(self, request: Recorded, play: Playback) -> None:
        self.count += 1
        message = {**MESSAGE, "id": f"msg_{self.count}"}
        if self.stream:
            events = b"".join(stream_events("x")).replace(b'"msg_1"', b'"msg_%d"' % self.count)
            await sse_answer(events)(request, play)
        else:
            await json_answer(message)(request, play)


async def turn(gateway: Gateway, thread: dict[str, Any], **more: Any) -> tuple[int, str, bytes]:
    body = {"messages": HELLO, "thread": thread, **more.pop("body", {})}
    response, answer = await gateway.post(body, {**BETA, **more})
    return response.status, response.headers.get("x-claude-revision", ""), answer


def after(number: int) -> dict[str, str]:
    return {"type": "continue", "previous_message_id": f"msg_{number}"}


CREATE = {"type": "create"}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_thread_without_a_name_stays_where_it_began(gateway: Gateway, stream: bool) -> None:
    gateway.upstream.script = Numbered(stream=stream)
    gateway.serve(*two_arms(), generation=2)
    served = set()
    for _ in range(32):
        _, first, _ = await turn(gateway, CREATE, body={"stream": stream})
        for _ in range(3):
            number = len(gateway.upstream.requests)
            _, revision, _ = await turn(gateway, after(number), body={"stream": stream})
            assert revision == first
            assert "system" not in gateway.upstream.last.json()
        served.add(first)
    assert served == {STABLE, CANARY}  # all go one way 1 in 2 ** 31 times
    strata = (await gateway.evidence()).generations[-1].strata
    assert {stratum.surface for stratum in strata} == {"other"}
    assert sum(stratum.counters.conversations for stratum in strata) == 32
    assert sum(stratum.counters.requests for stratum in strata) == 128


async def test_a_named_thread_stays_on_its_conversations_arm(gateway: Gateway) -> None:
    gateway.upstream.script = Numbered()
    gateway.serve(make_arm(request={"system": SYSTEM}), generation=2)
    name = {"x-claude-session-id": "s"}
    assert (await turn(gateway, CREATE, **name))[1] == STABLE
    gateway.serve(*two_arms(10_000), generation=3)
    assert (await turn(gateway, after(1), **name))[1] == STABLE
    assert (await turn(gateway, CREATE, **name))[1] == STABLE
    assert (await turn(gateway, CREATE, **{"x-claude-session-id": "t"}))[1] == CANARY
    surfaces = {(one.revision, one.surface) for one in (await gateway.evidence()).generations[-1].strata}
    assert surfaces == {(STABLE, "other"), (CANARY, "other")}


async def test_a_thread_that_is_not_on_its_conversations_arm_is_not_judged(gateway: Gateway) -> None:
    gateway.upstream.script = Numbered()
    gateway.serve(*two_arms(10_000), generation=2)
    name = {"x-claude-session-id": "s"}
    assert (await turn(gateway, CREATE, **{"x-claude-revision": STABLE, **name}))[1] == STABLE
    assert (await turn(gateway, CREATE, **name))[1] == STABLE
    (moved,) = gateway.service.control.store.memory
    moved.revision = CANARY
    assert (await turn(gateway, after(1), **name))[1] == STABLE
    assert moved.moved


async def test_a_thread_goes_before_the_revision_that_its_client_asks_for(gateway: Gateway) -> None:
    gateway.upstream.script = Numbered()
    gateway.serve(make_arm(request={"system": SYSTEM}), generation=2)
    await turn(gateway, CREATE)
    gateway.serve(*two_arms(), generation=3)
    response, _ = await gateway.post({"messages": HELLO, "thread": after(1)}, {**BETA, "x-claude-revision": CANARY})
    assert response.headers["x-claude-revision"] == STABLE
    assert "x-claude-revision" in response.headers["x-claude-overridden"]
    (stratum,) = (await gateway.evidence()).generations[-1].strata
    assert (stratum.revision, stratum.surface) == (STABLE, "pinned")


@pytest.mark.parametrize("known", [True, False])
async def test_a_thread_whose_revision_is_gone_begins_anew(gateway: Gateway, known: bool) -> None:
    gateway.upstream.script = Numbered()
    gateway.serve(make_arm(request={"system": SYSTEM}), generation=2)
    await turn(gateway, CREATE)
    gone = make_arm("support-0000000000", "stable", 5000), make_arm(CANARY, "canary", 5000)
    gateway.serve(*gone, generation=3)
    status, _, body = await turn(gateway, after(1 if known else 99))
    assert status == 404
    error = json.loads(body)["error"]
    assert (error["type"], error["details"]) == ("not_found_error", {"error_code": "thread_not_found"})
    assert len(gateway.upstream.requests) == 1
    assert await gateway.outcomes() == {"ok": 1}


async def test_a_thread_from_elsewhere_goes_on_where_one_revision_is_served(gateway: Gateway) -> None:
    gateway.upstream.script = Numbered()
    gateway.serve(*two_arms(0), generation=2)
    assert (await turn(gateway, after(99)))[:2] == (200, STABLE)


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_a_thread_of_another_revision_elsewhere_begins_anew(gateway: Gateway, elsewhere: bool) -> None:
    gateway.upstream.script = Numbered()
    await turn(gateway, CREATE)
    details = {"error_code": "thread_fingerprint_mismatch"}
    error = {"type": "invalid_request_error", "message": "differing fields: model", "details": details}
    gateway.upstream.script = json_answer({"type": "error", "error": error}, "400 Bad Request")
    status, _, body = await turn(gateway, after(99 if elsewhere else 1))
    told = json.loads(body)["error"]["details"]["error_code"]
    assert (status, told) == ((404, "thread_not_found") if elsewhere else (400, "thread_fingerprint_mismatch"))
    assert await gateway.outcomes() == {"ok": 1, "refused": 1}


async def test_the_sdks_threads_run_through_gateway_and_simulator(gateway: Gateway) -> None:
    async with running_simulator() as api:
        gateway.serve(make_arm(request={"system": SYSTEM}), url=api.url, generation=2)
        async with anthropic.AsyncAnthropic(api_key=CLIENT_KEY, base_url=gateway.url, max_retries=0) as client:
            thread = client.beta.messages.thread(model="any", max_tokens=9, system="theirs")
            first = await thread.send({"role": "user", "content": "Hello"})
            async with thread.stream({"role": "user", "content": "And?"}) as stream:
                second = await stream.get_final_message()
            assert thread.previous_message_id == second.id != first.id
            gateway.serve(
                make_arm("support-0000000000", request={"model": "claude-sonnet-5-5"}), url=api.url, generation=3
            )
            third = await thread.send({"role": "user", "content": "And now?"})  # replayed: its revision is gone
            assert third.model == "claude-sonnet-5-5"
            await thread.send({"role": "user", "content": "Thanks"})
    assert [line["status"] for line in await gateway.lines(5)] == [200, 200, 404, 200, 200]
    assert await gateway.outcomes() == {"ok": 4}
