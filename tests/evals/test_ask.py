"""One question: what goes out, what is read of the answer, and what each failure means."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
from dataclasses import replace
from typing import Any

import pytest
from tests.evals.servers import Body, Refusal, Text, upstream
from tests.waiting import HANGS

from claude_operator.api.gateway import Arm
from claude_operator.core.evals.checks import Check
from claude_operator.core.evals.sets import Item
from claude_operator.core.request.compose import PreparedArm, compose, prepare, raw_body
from claude_operator.core.spec.networks import parse_network, rules_in_pod
from claude_operator.evals.ask import Asker, Infrastructure, Rejected

EMPTY = "the account is empty or at its limit: "
ITEM = Item("a", b'[{"role":"user","content":"Hi"}]', (Check("contains", ""),), subagent="researcher")


def arm(**request: object) -> PreparedArm:
    fields = {"model": "claude-haiku-5-5", "max_tokens": 16, "system": [{"type": "text", "text": "S"}], **request}
    subagents = {"researcher": {"max_tokens": 99, "betas": ["own-beta"]}}
    return prepare(Arm("support-1", "canary", 0, fields, ["one-beta"], subagents), {})


def asker(url: str, **options: float) -> Asker:
    return Asker(url, "sk-test", open_calls=2, **{"timeout": HANGS, "pause": 0.001, **options})  # type: ignore[arg-type]


async def test_the_body_is_the_gateways() -> None:
    async with upstream(lambda _: Text()) as api, asker(api.url) as one:
        await one.ask(arm(), ITEM)
        await one.ask(arm(), Item("b", ITEM.messages, ()))
    researcher, plain = api.calls
    body = raw_body({"messages": [{"role": "user", "content": "Hi"}], "stream": True})
    assert researcher.raw == compose(arm(), body, subagent="researcher").body
    assert plain.raw == compose(arm(), body).body
    assert researcher.body["max_tokens"] == 99
    assert researcher.headers["anthropic-beta"] == "own-beta"
    assert plain.headers["anthropic-beta"] == "one-beta"
    assert researcher.headers["authorization"] == "Bearer sk-test"
    assert researcher.headers["content-type"] == "application/json"


async def test_an_answer_is_its_text_its_end_and_its_usage() -> None:
    async with upstream(lambda _: Text("It is über.", "max_tokens")) as api, asker(api.url) as one:
        reply = await one.ask(arm(), ITEM)
    assert (reply.text, reply.stop_reason, reply.model) == ("It is über.", "max_tokens", "claude-haiku-5-5")
    assert reply.usage == {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 5,
        "output_tokens": 7,
    }


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Refusal(400, message="max_tokens: too\nlarge"), r"^max_tokens: too large \(400 invalid_request_error\)$"),
        (Refusal(404, "not_found_error", "model: claude-x"), r"model: claude-x \(404 not_found_error\)"),
        (Refusal(413, "request_too_large"), r"\(413 request_too_large\)"),
        (Text(error={"type": "invalid_request_error", "message": "late"}), r"^late \(invalid_request_error\)$"),
        (Refusal(200, message="within"), r"^within \(invalid_request_error\)$"),
    ],
    ids=lambda value: str(value)[:24],
)
async def test_what_is_refused_for_itself_is_not_asked_again(answer: Text | Refusal, message: str) -> None:
    async with upstream(lambda _: answer) as api, asker(api.url) as one:
        with pytest.raises(Rejected, match=message):
            await one.ask(arm(), ITEM)
    assert len(api.calls) == 1


@pytest.mark.parametrize(
    ("answer", "calls", "message"),
    [
        (Refusal(401, "authentication_error", "invalid key"), 1, "answers 401: invalid key"),
        (Refusal(403, "permission_error"), 1, "answers 403"),
        (Refusal(500, "api_error"), 5, "answers 500"),
        (Refusal(404, body="<html>"), 1, "404: without the error envelope"),
        (Refusal(400, message="You have reached your specified API usage limits."), 1, f"{EMPTY}You have reached"),
        (
            Refusal(403, "permission_error", "Your credit balance is too low to access"),
            1,
            f"{EMPTY}Your credit balance",
        ),
        (Refusal(402, "billing_error", "Pay first"), 1, f"{EMPTY}Pay first; add credits or raise the limit"),
        (Text(error={"type": "invalid_request_error", "message": "Your credit balance is too low"}), 1, EMPTY),
        (Refusal(200, message="Your credit balance is too low to access"), 1, EMPTY),
        (Refusal(200, "overloaded_error", "busy"), 3, "3 attempts: the answer broke off: busy"),
        (Refusal(200, body="<html>Sign in</html>"), 3, "3 attempts: the answer broke off: it is not an event stream"),
        (Refusal(400, "overloaded_error", "busy"), 1, "answers 400: busy"),
        (Text(cut=True), 3, "no complete answer in 3 attempts: the answer ended without message_stop"),
        (Text(error={"type": "overloaded_error", "message": "busy"}), 3, "3 attempts: the answer broke off: busy"),
        (Refusal(429, "rate_limit_error", headers={"retry-after": "3600"}), 1, r"answers 429.*asks to wait 3600 s"),
        (Text(stall=30.0), 1, "no complete answer within 1 s: raise the set's execution.timeout"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_says_nothing_of_the_request(answer: Text | Refusal, calls: int, message: str) -> None:
    options = {"timeout": 1.0} if "within" in message else {}
    async with upstream(lambda _: answer) as api, asker(api.url, **options) as one:
        with pytest.raises(Infrastructure, match=message):
            await one.ask(arm(), ITEM)
    assert len(api.calls) == calls


@pytest.mark.parametrize("status", [429, 529])
@pytest.mark.parametrize("headers", [{"retry-after-ms": "1"}, {}, {"retry-after": "soon"}])
async def test_an_api_that_is_busy_is_waited_for_and_not_for_ever(status: int, headers: dict[str, str]) -> None:
    refusal = Refusal(status, "overloaded_error", headers=headers)
    async with upstream(lambda _: refusal) as api, asker(api.url, patience=1.0) as one:
        with pytest.raises(Infrastructure, match=rf"answers {status}: no .*waited for at most 1 s"):
            await one.ask(arm(), ITEM)
    assert 2 < len(api.calls) < 30


async def test_questions_wait_together_and_fewer_are_asked_at_a_time() -> None:
    """A 429 says that it is too much: half as many from then on, and none while it asks to wait."""
    open_calls, most, first, full = 0, list[int](), True, asyncio.Event()

    async def script(_: Body) -> Text | Refusal:
        nonlocal open_calls, first
        open_calls += 1
        most.append(open_calls)
        if open_calls == 8:
            full.set()
        await full.wait()
        await asyncio.sleep(0.001)
        open_calls -= 1
        if first:
            first = False
            return Refusal(429, "rate_limit_error", headers={"retry-after-ms": "50"})
        return Text()

    async with upstream(script) as api, Asker(api.url, "k", timeout=HANGS, open_calls=8, pause=0.001) as one:
        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(one.ask(arm(), ITEM))
        assert 4 <= one.pace.limit <= 8
    assert len(api.calls) == 41
    assert max(most[:8]) == 8
    assert max(most[8:12]) <= 4


async def test_nothing_is_asked_before_a_limit_is_reset() -> None:
    moments: list[float] = []
    loop = asyncio.get_running_loop()

    def script(_: Body) -> Text:
        moments.append(loop.time())
        reset = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=0.4)).isoformat()
        spent = {"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": reset}
        return Text(headers=spent if len(moments) == 1 else {})

    async with upstream(script) as api, asker(api.url) as one:
        await one.ask(arm(), ITEM)
        await one.ask(arm(), ITEM)
    assert moments[1] - moments[0] > 0.2


TOOL_ITEM = replace(ITEM, max_turns=4, tool_results={"state": ("sent", "lost"), "refund": ("done",)})


def blocks(*calls: tuple[str, dict[str, Any]]) -> Text:
    return Text("One moment. ", "tool_use", calls=calls)


async def test_the_items_results_are_given_to_calls_in_their_order() -> None:
    answers = [blocks(("state", {"id": 1}), ("state", {"id": 2})), blocks(("state", {}), ("refund", {})), Text("Done.")]
    script = iter(answers)
    async with upstream(lambda _: next(script)) as api, asker(api.url) as one:
        answer = await one.ask(arm(), TOOL_ITEM)
    assert (answer.text, answer.stop_reason, answer.turns) == ("Done.", "end_turn", 3)
    assert [(call.name, call.input) for call in answer.calls] == [
        ("state", {"id": 1}), ("state", {"id": 2}), ("state", {}), ("refund", {}),
    ]  # fmt: skip
    assert (answer.usage["input_tokens"], answer.usage["output_tokens"]) == (30, 21)
    question, said, results, _, more = api.calls[2].body["messages"]
    assert question == {"role": "user", "content": "Hi"}
    assert [block["type"] for block in said["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert said["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "sig"}
    assert said["content"][2]["input"] == {"id": 1}
    assert [block["content"] for block in results["content"]] == ["sent", "lost"]
    assert [block["tool_use_id"] for block in results["content"]] == [one["id"] for one in said["content"][2:]]
    assert [block["content"] for block in more["content"]] == ["lost", "done"]


@pytest.mark.parametrize(
    ("item", "turns"),
    [
        (TOOL_ITEM, 4),
        (replace(TOOL_ITEM, max_turns=2), 2),
        (replace(TOOL_ITEM, max_turns=1), 1),
        (replace(TOOL_ITEM, tool_results={"refund": ("done",)}), 1),
        (replace(TOOL_ITEM, tool_results={}), 1),
    ],
    ids=["for ever", "two turns", "one turn", "without that result", "without results"],
)
async def test_a_loop_ends(item: Item, turns: int) -> None:
    async with upstream(lambda _: blocks(("state", {}))) as api, asker(api.url) as one:
        answer = await one.ask(arm(), item)
    assert (answer.turns, len(api.calls), len(answer.calls)) == (turns, turns, turns)
    assert answer.stop_reason == "tool_use"


async def test_an_answer_that_cannot_be_sent_back_ends_its_loop() -> None:
    said = replace(blocks(("state", {"id": "\ud800"})), text="\ud800")
    async with upstream(lambda _: said) as api, asker(api.url) as one:
        answer = await one.ask(arm(), TOOL_ITEM)
    assert (answer.turns, answer.calls[0].input) == (1, {"id": "\ud800"})


async def test_no_upstream_at_all() -> None:
    async with upstream(lambda _: Text()) as api:
        url = api.url
    async with asker(url, retries=0) as one:
        with pytest.raises(Infrastructure, match=f"{url} cannot be reached: Connection error"):
            await one.ask(arm(), ITEM)


@pytest.mark.parametrize("first", [Refusal(529, "overloaded_error"), Text(cut=True)], ids=["overloaded", "cut"])
async def test_a_passing_failure_is_asked_again(first: Text | Refusal) -> None:
    answers = iter([first, Text("fine")])

    def script(_: Body) -> Text | Refusal:
        return next(answers)

    async with upstream(script) as api, asker(api.url) as one:
        assert (await one.ask(arm(), ITEM)).text == "fine"
    assert len(api.calls) == 2
    assert api.calls[0].raw == api.calls[1].raw


async def test_a_redirect_is_not_followed() -> None:
    async with upstream(lambda _: Text()) as other:
        there = Refusal(307, headers={"location": f"{other.url}/v1/messages"})
        async with upstream(lambda _: there) as api, asker(api.url) as one:
            with pytest.raises(Infrastructure, match=r"redirects: write the address that it leads to as baseURL$"):
                await one.ask(arm(), ITEM)
    assert other.calls == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_in_a_pod_it_does_not_connect_to_itself(host: str) -> None:
    async with upstream(lambda _: Text()) as api:
        url = api.url.replace("127.0.0.1", host)
        async with Asker(url, "k", timeout=HANGS, open_calls=2, retries=0, rules=rules_in_pod((), (), {})) as one:
            with pytest.raises(Infrastructure, match=r"leads to an address that eval Jobs do not connect to"):
                await one.ask(arm(), ITEM)
    assert api.calls == []


async def test_the_address_that_was_checked_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([["169.254.169.254", "127.0.0.1"], ["127.0.0.1"]])
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *more: Any, **options: Any) -> list[Any]:
        if host != "api.example":
            return real(host, port, *more, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in next(found)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    rules = rules_in_pod([parse_network("127.0.0.1")], (), {})
    async with upstream(lambda _: Text()) as api:
        url = api.url.replace("127.0.0.1", "api.example")
        async with Asker(url, "k", timeout=HANGS, open_calls=2, retries=0, rules=rules) as one:
            assert (await one.ask(arm(), ITEM)).text == "billing"
    assert len(list(found)) == 1  # resolved once, and connected to that
    assert api.calls[0].headers["host"].startswith("api.example:")


async def test_in_a_pod_no_proxy_of_the_environment_goes_round_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    async with upstream(lambda _: Text()) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        rules = rules_in_pod((), (), {})
        async with Asker("http://127.0.0.2:9", "k", timeout=HANGS, open_calls=2, retries=0, rules=rules) as one:
            with pytest.raises(Infrastructure, match=r"do not connect to"):
                await one.ask(arm(), ITEM)
    assert proxy.calls == []
