"""Samples of live answers: what is chosen, what a sample has, who gets it, and that it is handed out once."""

from __future__ import annotations

import gzip
import hashlib
import json
import secrets
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from tests.gateway.harness import CANARY, GRADER_KEY, OPERATOR_KEY, STABLE, Gateway, make_arm, running_gateway
from tests.gateway.test_docs import SCHEMA
from tests.gateway.upstream import (
    MESSAGE,
    Playback,
    Recorded,
    json_answer,
    recording_upstream,
    sse_answer,
    stream_events,
)
from yarl import URL

from claude_operator.api.evidence import parse_evidence
from claude_operator.api.gateway import Assigning, Live
from claude_operator.api.samples import LONGEST_PART, MOST_SAMPLES, Sample, Samples, parse_samples
from claude_operator.core.operator_key import address, ask, is_answer
from claude_operator.gateway import sampled as parts
from claude_operator.gateway import sampler as sampling

ALL = Live(1.0, 0)
NONE = Live(1e-12, 0)
QUESTION = [{"role": "user", "content": "Where is my parcel?"}]


def serve(gateway: Gateway, live: Live | None = ALL, *, canary: int = 5000, generation: int = 1, **more: Any) -> None:
    arms = (make_arm(weight=10_000 - canary), make_arm(CANARY, "canary", canary))
    gateway.serve(*arms, generation=generation, live=live or msgspec.UNSET, surfaces=["chat"], **more)


async def get(gateway: Gateway, target: str, key: str = GRADER_KEY, at: str = "", **headers: str) -> tuple[int, bytes]:
    """As a grader asks; `at` is the address that it proves to have asked."""
    url, nonce = URL(gateway.admin + target), secrets.token_hex(16)
    pod = at or address("127.0.0.1", gateway.service.admin_port)
    sent = ask(key.encode(), pod=pod, method="GET", target=url.raw_path_qs, nonce=nonce)
    async with gateway.http.get(url, headers={**sent, **headers}) as response:
        body = await response.read()
        if response.status == 200:
            assert is_answer(key.encode(), pod=pod, nonce=nonce, body=body, headers=response.headers)
        return response.status, gzip.decompress(body) if "content-encoding" in response.headers else body


async def take(gateway: Gateway, canary: int = 64, stable: int = 64, after: str | None = None) -> Samples:
    """What the pod hands out; without `after` its cursor is asked for first."""
    if after is None:
        after = (await take(gateway, after="")).next
    status, body = await get(gateway, f"/-/samples?canary={canary}&stable={stable}&after={after}")
    assert status == 200, body
    jsonschema.validate(json.loads(body), {"$ref": "#/$defs/Samples", "$defs": SCHEMA["$defs"]})
    return parse_samples(body)


async def converse(gateway: Gateway, *names: str, messages: Any = None, **headers: str) -> None:
    for name in names:
        sent = {"x-claude-session-id": name, "x-claude-surface": "chat", **headers}
        response, body = await gateway.post({"messages": messages or QUESTION}, headers=sent)
        assert response.status == 200, body


def names(count: int, prefix: str = "c") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


# ------------------------------------------------------------------------------------------------ what is sampled


async def test_a_sample_has_question_and_answer_and_is_handed_out_once(gateway: Gateway) -> None:
    serve(gateway, generation=7)
    await converse(gateway, *names(20))
    found = await take(gateway)
    assert (found.generation, found.sampling, len(found.samples)) == (7, True, 20)
    assert Counter(sample.revision for sample in found.samples) == Counter(found.conversations)
    assert {(sample.revision, sample.role) for sample in found.samples} == {(STABLE, "stable"), (CANARY, "canary")}
    one = found.samples[0]
    assert (one.messages, one.surface, one.cut_question, one.cut_answer) == (QUESTION, "chat", False, False)
    assert (one.answer.text, one.answer.stop_reason, one.answer.model) == ("Hello", "end_turn", "claude-opus-5-5")
    assert one.answer.usage["output_tokens"] == 5
    assert len({sample.id for sample in found.samples}) == len({one.conversation for one in found.samples}) == 20
    again = await take(gateway, after=found.next)
    assert (again.samples, again.conversations) == ([], {})


async def test_a_conversation_is_sampled_once_a_revision(gateway: Gateway) -> None:
    serve(gateway)
    await converse(gateway, "a", "a", "b", "a")
    found = await take(gateway)
    assert len(found.samples) == 2
    assert len({sample.conversation for sample in found.samples}) == 2
    await converse(gateway, "a", "b")
    assert (await take(gateway)).samples == []


async def test_each_pod_has_the_same_digest_and_choice_whatever_is_answered(tmp_path: Path) -> None:
    found: list[dict[str, str]] = []
    for pod, answer in (("one", MESSAGE), ("two", {**MESSAGE, "content": [], "stop_reason": "refusal"})):
        folder = tmp_path / pod
        folder.mkdir()
        async with (
            recording_upstream(json_answer(answer)) as upstream,
            running_gateway(upstream, folder, pod=pod) as gateway,
        ):
            serve(gateway, Live(0.3, 0))
            await converse(gateway, *names(60))
            found.append({one.conversation: one.revision for one in (await take(gateway)).samples})
    assert found[0] == found[1]
    assert 5 < len(found[0]) < 35


async def test_streams_and_compressed_answers_are_sampled(tmp_path: Path) -> None:
    whole = b"".join(stream_events("Your ", "parcel ", "is \N{SNOWMAN}."))
    zipped = gzip.compress(json.dumps(MESSAGE).encode())
    scripts = [
        sse_answer(whole[:300], whole[300:]),
        sse_answer(gzip.compress(whole), content_encoding="gzip"),
        json_answer(zipped, content_encoding="gzip"),
    ]
    texts = ["Your parcel is \N{SNOWMAN}.", "Your parcel is \N{SNOWMAN}.", "Hello"]
    for number, (script, text) in enumerate(zip(scripts, texts, strict=True)):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with recording_upstream(script) as upstream, running_gateway(upstream, folder) as gateway:
            serve(gateway)
            await converse(gateway, "a", **{"accept-encoding": "gzip"})
            (one,) = (await take(gateway)).samples
            assert (one.answer.text, one.cut_answer) == (text, False)


def block_events(*blocks: dict[str, Any], stop_reason: str) -> bytes:
    """A stream of whole blocks."""
    first, _, _, _, delta, stop = stream_events(stop_reason=stop_reason)
    events = [first]
    for index, block in enumerate(blocks):
        kind = {"type": "content_block_start", "index": index, "content_block": block}
        events.append(f"event: content_block_start\ndata: {json.dumps(kind)}\n\n".encode())
        for part in ('{"id":', "7}") if block["type"] == "tool_use" else ():
            more = {
                "type": "content_block_delta",
                "index": index,
                "delta": {"type": "input_json_delta", "partial_json": part},
            }
            events.append(f"event: content_block_delta\ndata: {json.dumps(more)}\n\n".encode())
    return b"".join([*events, delta, stop])


TOOL = {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}}


async def test_calls_of_tools_are_part_of_the_answer(tmp_path: Path) -> None:
    text, thought = {"type": "text", "text": "I look."}, {"type": "thinking", "thinking": "hm", "signature": "s"}
    streamed = sse_answer(block_events(thought, text, TOOL, stop_reason="end_turn"))
    whole = json_answer({**MESSAGE, "content": [thought, text, {**TOOL, "input": {"id": 7}}]})
    for number, script in enumerate((streamed, whole)):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with recording_upstream(script) as upstream, running_gateway(upstream, folder) as gateway:
            serve(gateway)
            await converse(gateway, "a")
            (one,) = (await take(gateway)).samples
            assert one.answer.text == "I look."
            assert [(call.name, json.loads(call.input)) for call in one.answer.calls] == [("find", {"id": 7})]


async def test_a_chosen_conversation_is_sampled_with_its_first_final_answer(tmp_path: Path) -> None:
    """Not with one that asks for a tool, and not with none because its first call asked for one."""
    stops = iter(["tool_use", "pause_turn", "end_turn", "end_turn"])

    async def script(request: Recorded, play: Playback) -> None:
        await json_answer({**MESSAGE, "stop_reason": next(stops)})(request, play)

    async with recording_upstream(script) as upstream, running_gateway(upstream, tmp_path) as gateway:
        serve(gateway, Live(1e-12, 1))  # one token an arm
        turns = [QUESTION, [*QUESTION, {"role": "assistant", "content": "?"}, *QUESTION]]
        for messages in (turns[0], turns[1], turns[1], turns[1]):
            await converse(gateway, "a", messages=messages)
        (one,) = (await take(gateway)).samples
        assert (one.answer.stop_reason, one.messages) == ("end_turn", turns[1])


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"type": "error", "error": {"type": "api_error", "message": "no"}}, "500 Internal Server Error"),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "no"}}, "529 Overloaded"),
    ],
)
async def test_errors_are_no_samples(tmp_path: Path, answer: dict[str, Any], status: str) -> None:
    async with (
        recording_upstream(json_answer(answer, status)) as upstream,
        running_gateway(upstream, tmp_path) as gateway,
    ):
        serve(gateway)
        for name in names(3):
            await gateway.post({"messages": QUESTION}, headers={"x-claude-session-id": name})
        assert (await take(gateway)).samples == []


async def test_a_refusal_is_sampled(tmp_path: Path) -> None:
    answer = {**MESSAGE, "content": [], "stop_reason": "refusal"}
    async with recording_upstream(json_answer(answer)) as upstream, running_gateway(upstream, tmp_path) as gateway:
        serve(gateway)
        await converse(gateway, "a")
        (one,) = (await take(gateway)).samples
        assert (one.answer.stop_reason, one.answer.text) == ("refusal", "")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-claude-operator-no-grading": "1"},
        {"x-claude-revision": STABLE},
        {"x-stainless-retry-count": "1"},
    ],
)
async def test_requests_that_opt_out_or_chose_their_revision_are_no_samples(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    serve(gateway)
    if "x-stainless-retry-count" in headers:
        script, gateway.upstream.script = gateway.upstream.script, json_answer({}, "500 Internal Server Error")
        await gateway.post({"messages": QUESTION}, headers={"x-claude-session-id": "a"})
        gateway.upstream.script = script
    await converse(gateway, "a", **headers)
    assert gateway.upstream.last.header("x-claude-operator-no-grading") is None
    assert (await take(gateway)).samples == []


async def test_other_calls_than_messages_are_no_samples(gateway: Gateway) -> None:
    serve(gateway)
    await gateway.post({"messages": QUESTION}, path="/v1/messages/count_tokens")
    await gateway.post({"messages": QUESTION, "max_tokens": 0})
    found = await take(gateway)
    assert (found.samples, found.conversations) == ([], {})


async def test_conversations_from_before_the_canary_are_no_samples(gateway: Gateway) -> None:
    """Stable's would be older than the canary's, and later turns are not graded like first ones."""
    serve(gateway, canary=0)
    await converse(gateway, *names(5))
    serve(gateway, canary=5000, generation=2)
    turns = [*QUESTION, {"role": "assistant", "content": "Hello"}, *QUESTION]
    await converse(gateway, *names(5), messages=turns)
    assert (await take(gateway)).samples == []
    await converse(gateway, *names(5, "new"))
    assert len((await take(gateway)).samples) == 5


async def test_conversations_of_an_earlier_attempt_at_the_canary_are_no_samples(gateway: Gateway) -> None:
    serve(gateway, canary=1)
    await converse(gateway, *names(5))
    gateway.serve(make_arm(), generation=2)
    serve(gateway, canary=5000, generation=3)
    await converse(gateway, *names(5))
    assert (await take(gateway)).samples == []
    serve(gateway, canary=9000, generation=4)
    await converse(gateway, *names(5, "new"))
    assert len((await take(gateway)).samples) == 5


@pytest.mark.parametrize("unit", ["Conversation", "User", "Request"])
async def test_what_counts_as_one_is_what_is_drawn(gateway: Gateway, unit: Any) -> None:
    serve(gateway, assignment=Assigning(unit=unit))
    for user in ("u1", "u1", "u2"):
        for session in ("s1", "s1", "s2"):
            await converse(gateway, f"{user}{session}", **{"x-claude-user-id": user})
    assert len((await take(gateway)).samples) == {"Conversation": 4, "User": 2, "Request": 9}[unit]


async def test_requests_without_a_name_are_conversations_of_their_own(gateway: Gateway) -> None:
    serve(gateway)
    for _ in range(3):
        await gateway.post({"messages": QUESTION})
    assert len({one.conversation for one in (await take(gateway)).samples}) == 3


# ------------------------------------------------------------------------------------------------------ how many


async def test_the_smaller_arm_has_its_minimum_whatever_its_weight(gateway: Gateway) -> None:
    serve(gateway, Live(1e-12, 600), canary=500)
    await converse(gateway, *names(200))
    found = Counter(sample.role for sample in (await take(gateway)).samples)
    assert found["canary"] >= 1
    assert found["stable"] >= 1


async def test_a_token_goes_to_a_conversation_that_begins(gateway: Gateway) -> None:
    """Of an arm with many, later turns would be graded against the first ones of an arm with few."""
    serve(gateway, NONE)
    await converse(gateway, *names(10))
    serve(gateway, Live(1e-12, 1), generation=2)  # one token an arm
    turns = [*QUESTION, {"role": "assistant", "content": "Hello"}, *QUESTION]
    await converse(gateway, *names(10), messages=turns)
    assert (await take(gateway)).samples == []
    await converse(gateway, *names(10, "new"))
    assert 1 <= len((await take(gateway)).samples) <= 2


async def test_a_question_that_is_not_looked_at_is_no_sample(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_DECODED", 200)
    serve(gateway)
    await converse(gateway, "a", messages=[{"role": "user", "content": "x" * 300}])
    assert (await take(gateway)).samples == []


async def test_calls_of_subagents_are_no_samples(gateway: Gateway) -> None:
    arms = (make_arm(weight=5000, subagents={"r": {}}), make_arm(CANARY, "canary", 5000, subagents={"r": {}}))
    gateway.serve(*arms, generation=1, live=ALL, surfaces=["chat"])
    await converse(gateway, "a", **{"x-claude-subagent": "r"})
    assert (await take(gateway)).samples == []
    await converse(gateway, "a")
    assert len((await take(gateway)).samples) == 1


async def test_without_live_grading_and_without_a_canary_nothing_is_kept(gateway: Gateway) -> None:
    for live, canary in ((None, 5000), (ALL, None)):
        if canary is None:
            gateway.serve(make_arm(), generation=9, live=ALL)
        else:
            serve(gateway, live, canary=canary)
        await converse(gateway, *names(5))
        found = await take(gateway)
        assert (found.sampling, found.samples, found.conversations) == (False, [], {})


async def test_samples_are_dropped_when_the_canary_is_taken_back(gateway: Gateway) -> None:
    serve(gateway)
    await converse(gateway, *names(10))
    gateway.serve(make_arm(), generation=2)
    serve(gateway, generation=3)
    assert (await take(gateway)).samples == []


async def test_the_newest_are_kept_and_what_is_dropped_is_told(gateway: Gateway) -> None:
    serve(gateway, canary=0)
    serve(gateway, canary=10_000, generation=2)
    await converse(gateway, *names(MOST_SAMPLES + 3))
    found = await take(gateway, canary=2)
    assert found.dropped == {CANARY: 3}
    assert found.conversations == {CANARY: MOST_SAMPLES + 3}
    numbers = [int(sample.id.rpartition(".")[2]) for sample in found.samples]
    assert numbers == [MOST_SAMPLES + 3, MOST_SAMPLES + 2]
    rest = await take(gateway, after=found.next)
    assert len(rest.samples) == MOST_SAMPLES - 2


async def test_samples_end_after_a_while(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(gateway)
    await converse(gateway, "a")
    monkeypatch.setattr(sampling, "KEPT_SECONDS", -1.0)
    found = await take(gateway)
    assert (found.samples, sum(found.dropped.values())) == ([], 1)


async def test_all_samples_together_are_bounded(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "KEPT_BYTES", 20_000)
    serve(gateway)
    long = [{"role": "user", "content": "x" * 5000}]
    await converse(gateway, *names(20), messages=long)
    assert len((await take(gateway)).samples) == 3


async def test_calls_in_flight_that_are_to_be_sampled_are_bounded(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "MOST_SAMPLES", 0)
    serve(gateway)
    await converse(gateway, "a")
    found = await take(gateway)
    assert (found.samples, sum(found.dropped.values())) == ([], 1)


# ------------------------------------------------------------------------------------------------------- cut parts


def sizes(sample: Sample) -> tuple[int, int]:
    return len(msgspec.json.encode(sample.messages)), len(sample.answer.text.encode())


async def test_long_questions_and_answers_are_cut_and_say_so(tmp_path: Path) -> None:
    answer = {**MESSAGE, "content": [{"type": "text", "text": "y" * 50_000}]}
    history = [{"role": "user", "content": "\N{SNOWMAN}" * 9000} for _ in range(3)]
    async with recording_upstream(json_answer(answer)) as upstream, running_gateway(upstream, tmp_path) as gateway:
        serve(gateway)
        for number, messages in enumerate(
            ([{"role": "user", "content": "\x01" * 40_000 + "end"}], [*history, *QUESTION])
        ):
            await converse(gateway, f"s{number}", messages=messages)
            (one,) = (await take(gateway)).samples
            assert (one.cut_question, one.cut_answer) == (True, True)
            assert all(size <= LONGEST_PART for size in sizes(one)), sizes(one)
            assert sizes(one)[1] > 1000
            assert json.dumps(one.messages[-1]).endswith('end"}' if number == 0 else 'parcel?"}')


async def test_what_is_no_text_loses_its_data(gateway: Gateway) -> None:
    serve(gateway)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "SECRET" * 1000}}
    content = [image, {"type": "text", "text": "What is it?", "cache_control": {"type": "ephemeral"}}]
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image, {"type": "text", "text": "found"}]}
    await converse(gateway, "a", messages=[{"role": "user", "content": [*content, result]}])
    (one,) = (await take(gateway)).samples
    kept = [{"type": "image"}, {"type": "text", "text": "What is it?"}]
    assert one.messages[0]["content"][:2] == kept
    assert one.messages[0]["content"][2]["content"] == [{"type": "image"}, {"type": "text", "text": "found"}]
    assert not one.cut_question


@pytest.mark.parametrize("messages", [None, "no list", [1, "two", None], [[]], [{"role": 7, "content": 7}]])
async def test_messages_that_the_api_would_refuse_break_no_call(gateway: Gateway, messages: Any) -> None:
    serve(gateway)
    body = {} if messages is None else {"messages": messages}
    response, _ = await gateway.post(body, headers={"x-claude-session-id": "a"})
    assert response.status == 200
    await take(gateway)


# ----------------------------------------------------------------------------------------------------- who gets it


async def test_only_who_has_the_graders_key_gets_samples_and_never_by_showing_it(gateway: Gateway) -> None:
    serve(gateway)
    await converse(gateway, "a")
    target = f"/-/samples?canary=9&stable=9&after={(await take(gateway, after='')).next}"
    for key in (OPERATOR_KEY, "other"):
        assert (await get(gateway, target, key=key))[0] == 401
    for headers in ({}, {"authorization": f"Bearer {GRADER_KEY}"}):
        async with gateway.http.get(gateway.admin + target, headers=headers) as response:
            assert response.status == 401
    assert len((await take(gateway)).samples) == 1


async def test_a_proof_for_another_address_gets_nothing(gateway: Gateway) -> None:
    """Who has taken over a pod's address cannot pass on what it is asked to a pod that has another."""
    serve(gateway)
    await converse(gateway, "a")
    target = f"/-/samples?canary=9&stable=9&after={(await take(gateway, after='')).next}"
    for at in (
        address("127.0.0.1", gateway.service.admin_port + 1),
        address("10.0.0.9", 9090),
        gateway.service.settings.pod,
    ):
        assert (await get(gateway, target, at=at))[0] == 401


async def test_a_request_that_is_sent_again_gets_nothing(gateway: Gateway) -> None:
    serve(gateway)
    await converse(gateway, "a")
    cursor = (await take(gateway, after="")).next
    target, nonce = f"/-/samples?canary=9&stable=9&after={cursor}", "n1"
    at = address("127.0.0.1", gateway.service.admin_port)
    headers = ask(GRADER_KEY.encode(), pod=at, method="GET", target=target, nonce=nonce)
    found = []
    for number in range(3):
        await converse(gateway, f"b{number}")
        async with gateway.http.get(gateway.admin + target, headers=headers) as response:
            found.append(len(parse_samples(await response.read()).samples))
    assert found == [2, 0, 0]


async def test_the_operators_documents_are_not_the_graders(gateway: Gateway) -> None:
    assert (await get(gateway, "/-/evidence"))[0] == 401
    assert (await get(gateway, "/-/evidence", at=gateway.service.settings.pod))[0] == 401


@pytest.mark.parametrize(
    "query", ["canary=x", "stable=-1", "canary=1e3", "canary=\N{SUPERSCRIPT TWO}", "stable=99999999"]
)
async def test_a_wrong_number_is_refused(gateway: Gateway, query: str) -> None:
    status, text = await get(gateway, f"/-/samples?{query}")
    assert (status, b"is not a number: write for example" in text) == (400, True)


async def test_a_large_answer_is_packed_where_it_is_asked_for(gateway: Gateway) -> None:
    serve(gateway)
    await converse(gateway, *names(10), messages=[{"role": "user", "content": "x" * 5000}])
    after = (await take(gateway, after="")).next
    status, body = await get(gateway, f"/-/samples?canary=9&stable=9&after={after}&gzip=1")
    assert status == 200
    assert parse_samples(body).samples


async def test_no_line_of_the_log_has_a_word_of_a_customer(gateway: Gateway) -> None:
    serve(gateway)
    await converse(gateway, *names(5))
    await take(gateway)
    assert "parcel" not in gateway.output.getvalue()
    assert "Hello" not in gateway.output.getvalue()


# -------------------------------------------------------------------------------------------------------- verdicts


async def report(gateway: Gateway, *, proven: bool = True, again: int = 1, at: str = "", **grade: Any) -> list[int]:
    data = json.dumps(grade).encode()
    digest = hashlib.sha256(data).hexdigest()
    target = f"/-/grades?sha256={digest}" if proven else "/-/grades"
    pod = at or address("127.0.0.1", gateway.service.admin_port)
    headers = {"authorization": f"Bearer {GRADER_KEY}"}
    if proven:
        headers = ask(GRADER_KEY.encode(), pod=pod, method="POST", target=target, nonce="n")
    found = []
    for _ in range(again):
        async with gateway.http.post(gateway.admin + target, data=data, headers=headers) as response:
            found.append(response.status)
    return found


async def counted(gateway: Gateway, revision: str = CANARY) -> dict[str, int]:
    found: Counter[str] = Counter()
    for generation in (await gateway.evidence()).generations:
        for stratum in generation.strata:
            if stratum.revision == revision:
                found.update(stratum.counters.grades)
    return dict(found)


@pytest.mark.parametrize("proven", [True, False])
async def test_a_verdict_counts_once_however_often_it_comes(gateway: Gateway, *, proven: bool) -> None:
    serve(gateway)
    grade = {"revision": CANARY, "surface": "chat", "passed": False, "conversation": "d"}
    assert await report(gateway, proven=proven, again=3, id="x.1", **grade) == [204, 204, 204]
    assert await report(gateway, proven=proven, id="x.2", **grade) == [204]  # of the same conversation
    assert await counted(gateway) == {"fail": 1}
    await report(gateway, proven=proven, id="x.2", revision=STABLE, passed=True, conversation="d")
    assert await counted(gateway, STABLE) == {"pass": 1}


async def test_what_a_grader_could_not_decide_is_no_evidence_and_is_shown(gateway: Gateway) -> None:
    serve(gateway)
    assert await report(gateway, revision=CANARY, passed=None, id="x.1", conversation="d") == [204]
    assert await report(gateway, revision=CANARY, passed=True, id="x.2", conversation="d") == [204]
    assert await counted(gateway) == {"unknown": 1, "pass": 1}
    async with gateway.http.get(gateway.admin + "/metrics") as response:
        page = await response.text()
    labels = f'{{arm="canary",result="unknown",revision="{CANARY}"}}'
    assert f"claude_gateway_grades_total{labels} 1.0" in page


async def test_a_proven_verdict_is_for_this_body_and_this_address_and_has_an_id(gateway: Gateway) -> None:
    serve(gateway)
    grade = {"revision": CANARY, "passed": False, "conversation": "d"}
    assert await report(gateway, **grade) == [400]
    assert await report(gateway, at=address("10.0.0.9", 9090), id="x.1", **grade) == [401]
    data = json.dumps({**grade, "id": "x.1"}).encode()
    target = f"/-/grades?sha256={hashlib.sha256(data).hexdigest()}"
    at = address("127.0.0.1", gateway.service.admin_port)
    headers = ask(GRADER_KEY.encode(), pod=at, method="POST", target=target, nonce="n")
    other = data.replace(b"false", b"true ")
    async with gateway.http.post(gateway.admin + target, data=other, headers=headers) as response:
        assert response.status == 400
    assert await counted(gateway) == {}


async def test_verdicts_that_are_forgotten_are_the_oldest(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_operator.gateway.verdicts._KNOWN", 4)
    serve(gateway)
    for number in (1, 2, 3, 3, 2):
        await report(gateway, revision=CANARY, passed=True, id=f"x.{number}", conversation=f"d{number}")
    assert await counted(gateway) == {"pass": 3}
    await report(gateway, revision=CANARY, passed=True, id="x.1", conversation="d1")
    assert await counted(gateway) == {"pass": 4}


# -------------------------------------------------------------------------------------------------- who is grading


async def test_the_operator_learns_when_a_grader_asked_last_and_what_it_says(gateway: Gateway) -> None:
    serve(gateway)
    assert parse_evidence(await gateway.read("/-/evidence?since=&grading=1")).grader is None
    said = "the%20day%27s%20money%20is%20spent%0A%1b" + "x" * 400
    assert (await get(gateway, f"/-/samples?canary=0&stable=0&after=&trouble={said}"))[0] == 200
    note = parse_evidence(await gateway.read("/-/evidence?since=&grading=1")).grader
    assert note is not None
    assert note.trouble.startswith("the day's money is spent xxx")
    assert len(note.trouble) <= 300
    assert note.asked < 60
    assert (await get(gateway, "/-/samples?canary=0&stable=0&after="))[0] == 200
    note = parse_evidence(await gateway.read("/-/evidence?since=&grading=1")).grader
    assert note is not None
    assert note.trouble == ""


async def test_who_does_not_ask_for_it_reads_evidence_as_before(gateway: Gateway) -> None:
    """Operators of earlier versions refuse a document with a field that they do not know."""
    serve(gateway)
    await take(gateway)
    for target in ("/-/evidence", "/-/evidence?since=&keep=1&callers=1&units=1"):
        assert b'"grader"' not in await gateway.read(target)
