"""No client chooses its arm, and so none chooses on which arm its errors count."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest
from tests.gateway.harness import CANARY, STABLE, Gateway, make_arm
from tests.gateway.pod import Clock, Pod

from claude_operator.api.evidence import parse_evidence
from claude_operator.api.gateway import BODY_LIMIT, Arm, Assigning, Auth, dump_config, parse_config
from claude_operator.core.request.assignment import conversation_name, in_canary
from claude_operator.gateway.call import Call

KEY = b"what the operator and the gateways share"
UID = "0b2f4d3e-0000-4000-8000-000000000001"


def key_of(pod: Pod, session: str, api_key: str = "") -> str:
    """As the proxy has it."""
    callers = (pod.live.assignment.caller(api_key),) if api_key else ()
    call = Call("POST", "/v1/messages", 0.0, pod.live, callers=callers)
    call.name_conversation(conversation_name(session, ""))
    assert call.conversation is not None
    return call.conversation


def arm_of(pod: Pod, key: str) -> str:
    assert pod.live.split is not None
    return pod.live.split.draw_name(key)


def chosen_for_the_canary() -> Iterator[str]:
    """Session ids that a client works out to be the canary's, from what it may know: the UID and the revision."""
    for number in range(100_000):
        if in_canary(UID, f"session:{number}", CANARY, 1000):
            yield str(number)


def between(hits: int, tries: int, share: float) -> bool:
    """Whether this many hits are no surprise: each tail of the exact binomial law is above 1 in 10,000."""
    law, total, below = (1.0 - share) ** tries, 0.0, 0.0
    for number in range(tries + 1):
        total += law
        below += law if number <= hits else 0.0
        if number == hits:
            above = 1.0 - total + law
        law *= (tries - number) / (number + 1) * share / (1.0 - share)
    return min(below, above) > 1e-4


def test_ids_chosen_for_the_canary_are_drawn_like_all_others() -> None:
    pod = Pod()
    pod.serve(1, KEY)
    sessions = [session for session, _ in zip(chosen_for_the_canary(), range(1000), strict=False)]
    hits = sum(arm_of(pod, key_of(pod, session)) == CANARY for session in sessions)
    assert between(hits, len(sessions), 0.1)
    pod.serve(2)  # without the key they are all the canary's
    assert {arm_of(pod, key_of(pod, session)) for session in sessions} == {CANARY}


@pytest.mark.parametrize("api_key", ["", "sk-ant-one"])
def test_one_client_with_chosen_ids_is_as_bad_on_either_arm(api_key: str) -> None:
    pod = Pod()
    pod.serve(1, KEY)
    caller = pod.live.assignment.caller(api_key) if api_key else ""
    chosen = chosen_for_the_canary()
    for number in range(2000):
        pod.clock.now += 1.0
        key = key_of(pod, f"honest-{number}", "sk-ant-others" if api_key else "")
        others = pod.live.assignment.caller("sk-ant-others") if api_key else ""
        pod.settle(key, revision=arm_of(pod, key), caller=others)
        if number % 5 == 0:
            key = key_of(pod, next(chosen), api_key)
            pod.settle(key, "error", revision=arm_of(pod, key), caller=caller)
    found = {revision: pod.counters(revision) for revision in (STABLE, CANARY)}
    bad = {revision: counters.bad_conversations["error"] for revision, counters in found.items()}
    requests = {revision: counters.requests for revision, counters in found.items()}
    assert sum(bad.values()) == 400
    assert between(bad[CANARY], 400, requests[CANARY] / sum(requests.values()))


def test_a_caller_cannot_choose_its_arm_by_the_ids_of_another() -> None:
    pod = Pod()
    pod.serve(1, KEY)
    theirs = [f"s{number}" for number in range(20_000) if arm_of(pod, key_of(pod, f"s{number}", "one")) == CANARY][:800]
    assert between(sum(arm_of(pod, key_of(pod, session, "other")) == CANARY for session in theirs), len(theirs), 0.1)


def test_all_replicas_agree_and_a_shared_key_may_be_rotated() -> None:
    pods = [Pod(Clock(1000.0 * number)) for number in range(3)]
    for pod in pods:
        pod.serve(1, KEY)
    for number in range(300):
        keys = {key_of(pod, f"s{number}", "sk-ant") for pod in pods}
        assert len(keys) == 1
        for pod, key in zip(pods, keys, strict=False):
            pod.settle(key, "error", caller="c")
    shown = []
    for pod in pods:
        pod.settle(key_of(pod, "the same"), "error")
        shown.append(parse_evidence(pod.store.document(1, 1.0, "")).bad[-1].digest)
    assert len(set(shown)) == 1


async def test_rotating_the_clients_key_moves_nobody(gateway: Gateway) -> None:
    arms = []
    for key in ("client-key-SENTINEL", "another"):
        (gateway.files.client / "ANTHROPIC_API_KEY").write_text(key)
        gateway.service.control.reload_credentials()
        gateway.serve(make_arm(weight=5000), make_arm(CANARY, "canary", 5000), generation=2)
        sent = [{"x-claude-session-id": f"s{number}", "x-api-key": key} for number in range(20)]
        answers = [await gateway.post(headers={**each, "authorization": ""}) for each in sent]
        arms.append([response.headers["x-claude-arm"] for response, _ in answers])
    assert arms[0] == arms[1]
    assert set(arms[0]) == {"stable", "canary"}


def test_a_change_of_the_secret_begins_a_new_history_of_cohorts() -> None:
    pod = Pod(assignment=Assigning(unit="User"))
    pod.settle("session:a")
    assert (pod.cohorts().assignment, len(pod.cohorts().cohort)) == ("", 1)
    late = pod.begin("session:b")
    pod.serve(1, KEY)
    assert (pod.cohorts().assignment, pod.cohorts().cohort) == (pod.live.assignment.mark, [])
    pod.end(late)  # was drawn with the secret before
    assert pod.cohorts().cohort == []
    pod.settle(key_of(pod, "a"))
    history = pod.cohorts()
    pod.serve(2, KEY)
    assert pod.cohorts() == history
    told = parse_evidence(pod.store.document(2, 1.0, "", since="", callers=True))
    assert told.assignment == history.assignment != ""


def test_nothing_that_is_told_has_the_key_or_the_clients_names() -> None:
    pod = Pod(assignment=Assigning(unit="User"))
    pod.serve(1, KEY)
    caller = pod.live.assignment.caller("sk-ant-SENTINEL")
    for number in range(3):
        pod.settle(key_of(pod, f"SENTINEL-{number}", "sk-ant-SENTINEL"), "error", caller=caller)
    document = pod.store.document(1, 1.0, "", since="", callers=True) + pod.store.cohorts()
    assert b"SENTINEL" not in document
    assert KEY not in document
    assert "SENTINEL" not in pod.output.getvalue()
    assert "shared" not in repr(pod.live)


# --------------------------------------------------------------------------------------- what answers tell


def two(weight: int = 5000) -> list[Arm]:
    return [make_arm(weight=10_000 - weight), make_arm(CANARY, "canary", weight)]


async def test_answers_tell_no_arm_and_nobody_chooses_one(gateway: Gateway) -> None:
    gateway.serve(*two(), generation=2, expose_revision=False)
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        for number in range(30):
            headers = {"x-claude-session-id": f"s{number}", "x-claude-revision": CANARY}
            response, body = await gateway.post(headers=headers, path=path)
            assert not {"x-claude-revision", "x-claude-arm"} & {name.lower() for name in response.headers}
            assert "x-claude-revision" in response.headers["x-claude-overridden"]
            assert CANARY.encode() not in body
    strata = (await gateway.evidence()).generations[-1].strata
    assert {stratum.surface for stratum in strata} == {"other"}
    requests = Counter({stratum.revision: stratum.counters.requests for stratum in strata})
    assert between(requests[CANARY], 30, 0.5)


async def test_refusals_do_not_name_the_revision(gateway: Gateway) -> None:
    for exposed, named in ((msgspec.UNSET, f"revision {STABLE} adds"), (False, "the revision adds")):
        gateway.serve(make_arm(request={"system": "x" * 5000}), generation=2, expose_revision=exposed)
        text = "x" * (BODY_LIMIT - 3000)
        large = json.dumps({"messages": [{"role": "user", "content": text}], "max_tokens": 1, "model": "m"}).encode()
        response, body = await gateway.post(large)
        assert response.status == 413
        message = json.loads(body)["error"]["message"]
        assert named in message
        assert (STABLE in message) == (exposed is msgspec.UNSET)


def test_only_what_is_not_the_default_is_written() -> None:
    """So that a gateway of an older version reads the configuration of a newer operator."""
    pod = Pod()
    usual = pod.live.config
    assert "exposeRevision" not in dump_config(usual)
    hidden = msgspec.structs.replace(usual, expose_revision=False)
    assert parse_config(dump_config(hidden)) == hidden
    pod.serve(2, auth=Auth("Passthrough"), expose_revision=False)
    assert not pod.live.exposes_revision
