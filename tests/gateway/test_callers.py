"""Where clients show keys of their own, one key is at most half of the evidence, and the evidence says whose it is."""

from __future__ import annotations

import datetime as dt
import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.harness import CANARY, STABLE, Gateway, make_arm
from tests.gateway.pod import Clock, Pod
from tests.gateway.upstream import Playback, Recorded, json_answer

from claude_operator.api.analysis import Analysis
from claude_operator.api.evidence import PINNED, CallerShare, Evidence, parse_evidence
from claude_operator.api.gateway import Auth
from claude_operator.api.status import Judgement
from claude_operator.core.judge.assessment import assess
from claude_operator.core.judge.evidence.increments import Increments, PodReading, advance
from claude_operator.core.judge.evidence.sample import Counts, Sample
from claude_operator.gateway import callers
from claude_operator.gateway.callers import CONVERSATIONS, REQUESTS, SHOWN, CallerCounts, Callers

NO_KEY = {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}


def accepted(*names: str, clock: Clock | None = None) -> Callers:
    known = Callers(clock or Clock())
    for name in names:
        known.accept((name,))
    return known


def rows_of(pod: Pod) -> list[CallerShare]:
    return parse_evidence(pod.store.document(1, 1.0, "", since="", callers=True)).callers


# ------------------------------------------------------------------------------------------- the part of one


def test_one_alone_has_all_of_the_evidence() -> None:
    known = accepted("one", "gone")
    assert all(known.admit_conversation("one") for _ in range(1000))


def test_one_with_few_conversations_has_them_all() -> None:
    known = accepted("one", "other")
    assert known.admit_conversation("other")
    assert [known.admit_conversation("one") for _ in range(CONVERSATIONS + 5)] == [True] * CONVERSATIONS + [False] * 5


@given(st.lists(st.sampled_from("aaaaaabcde"), min_size=1, max_size=600), st.integers(0, 9))
@settings(max_examples=60)
def test_nobody_has_more_than_all_others_together(order: list[str], seed: int) -> None:
    """Beyond the few that always count, whoever comes when."""
    random.Random(seed).shuffle(order)
    known, counts = accepted(*"abcde"), Counter[str]()
    for caller in order:
        others = counts.total() - counts[caller]
        admitted = known.admit_conversation(caller)
        assert admitted == (not others or counts[caller] < CONVERSATIONS or counts[caller] <= others)
        counts[caller] += admitted


def test_one_who_was_alone_is_not_left_out_for_long() -> None:
    known = accepted("one", "other", clock=(clock := Clock()))
    for _ in range(10_000):
        assert known.admit_conversation("one")
    known.admit_conversation("other")
    assert not known.admit_conversation("one")
    clock.now += 10 * callers.WINDOW
    known.admit_conversation("other")
    assert known.admit_conversation("one")


def test_a_conversation_without_an_end_is_not_many() -> None:
    pod = Pod()
    for _ in range(2):
        for caller in ("one", "other"):
            pod.settle(f"session:{caller}", caller=caller)
    for _ in range(1000):
        pod.settle("session:one", caller="one")
    assert pod.counters().requests == 3 + REQUESTS
    shown = {row.digest: row for row in rows_of(pod)}
    assert shown["one"].left_out + shown["one"].requests == 1002


def test_what_is_left_out_is_decided_before_its_outcome_is_known_and_stays() -> None:
    """So the share of bad ones among those that count is that of all."""
    pod = Pod()
    for caller in ("one", "other"):
        pod.settle(None, caller=caller)
    calls = [pod.begin(f"session:{number}", caller="one") for number in range(60)]
    counted = {number for number, call in enumerate(calls) if call.is_evidence}
    for number in sorted(range(60), key=lambda number: number % 3):  # errors are the first to end
        pod.end(calls[number], "ok" if number % 3 else "error")
    assert counted == set(range(len(counted)))
    expected = sum(number % 3 == 0 for number in counted)
    assert pod.counters().bad_conversations == {"error": expected}
    again = [pod.begin(f"session:{number}", caller="one").is_evidence for number in range(60)]
    assert again == [number in counted for number in range(60)]


def test_both_arms_leave_out_alike() -> None:
    """A caller who fails more often than others is as large a part of either arm, whatever its weight."""
    rng = random.Random(7)
    pod = Pod()
    for caller in ("large", "small"):
        pod.settle(None, caller=caller)
    requests, bad = Counter[str](), Counter[str]()
    for number in range(6000):
        pod.clock.now += 0.05
        caller = "large" if rng.random() < 0.8 else "small"
        revision = CANARY if rng.random() < 0.2 else STABLE
        call = pod.begin(f"session:{number}", revision=revision, caller=caller)
        failed = rng.random() < (0.2 if caller == "large" else 0.02)
        requests[revision] += call.is_evidence
        bad[revision] += call.is_evidence and failed
        pod.end(call, "error" if failed else "ok")
    assert requests.total() < 3500
    rate = bad.total() / requests.total()
    assert abs(bad[CANARY] - rate * requests[CANARY]) < 3.0 * (rate * requests[CANARY]) ** 0.5


def test_clients_with_one_key_are_not_callers() -> None:
    pod = Pod()
    for number in range(500):
        pod.settle(f"session:{number}", "error")
    assert (pod.counters().requests, rows_of(pod)) == (500, [])


# ---------------------------------------------------------------------------------------------- who one is


def test_whatever_else_a_client_sends_it_is_known_by_its_key() -> None:
    known = accepted("other")
    found = {known.accept((f"made-up-{number}", "key")) for number in range(100)}
    assert found == {known.identify(("key",))}
    assert len(known._names) == 3


@pytest.mark.parametrize("later", [("stale",), ("key",), ("key", "stale"), ("another", "key")])
def test_one_client_that_shows_two_keys_is_one_caller(later: tuple[str, ...]) -> None:
    """However it mixes them: it would otherwise have two parts of the evidence."""
    known = accepted("other")
    first = known.accept(("stale", "key"))
    assert known.identify(later) == known.accept(later) == first != known.identify(("other",))


def test_the_keys_of_a_client_are_forgotten_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "KNOWN", 4)
    known = Callers(Clock())
    known.accept(("stale", "key"))
    for number in range(3):
        known.accept((str(number),))
        known.accept(("key", "stale"))
    assert known.identify(("key",)) == known.identify(("stale",)) != ""


async def test_a_request_with_more_keys_than_a_client_has_is_refused(gateway: Gateway) -> None:
    keys = [("x-api-key", f"key-{number}") for number in range(5)]
    for count, status in ((5, 400), (4, 200)):
        gateway.serve(auth=Auth("Passthrough"), generation=8 - count)
        async with gateway.http.post(
            gateway.url + "/v1/messages", data=b'{"messages":[]}', headers=keys[:count]
        ) as got:
            assert got.status == status


def test_callers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "KNOWN", 10)
    known = Callers(Clock())
    for number in range(100):
        known.accept((str(number),))
        known.admit_conversation(str(number))
    assert len(known._names) == 10
    assert len(known._conversations.counts) <= 12


def test_a_key_that_was_never_accepted_is_no_evidence_when_it_is_refused() -> None:
    pod = Pod()
    pod.settle("session:a", caller="good")
    for number in range(40):
        pod.settle(f"session:{number}", "error", error="authentication_error", caller=f"any string {number}")
    assert pod.counters().outcomes == {"ok": 1, "refused": 40}
    assert pod.counters().bad_conversations == {}
    assert pod.store.recent_calls.snapshot().failed == 0


def test_a_revision_that_breaks_the_keys_of_its_clients_is_found() -> None:
    pod = Pod()
    pod.settle("session:a", caller="good")
    pod.settle("session:b", "error", error="authentication_error", caller="good", revision=CANARY)
    pod.settle("session:c", "error", error="invalid_request_error", caller="new", revision=CANARY)
    assert pod.counters(CANARY).outcomes == {"error": 2}


def test_the_operators_own_key_is_everybodys() -> None:
    pod = Pod()
    pod.settle("session:a", "error", error="authentication_error")
    assert pod.counters().outcomes == {"error": 1}


async def test_only_keys_that_the_upstream_accepts_are_callers(gateway: Gateway) -> None:
    async def upstream(request: Recorded, play: Playback) -> None:
        good = request.header("x-api-key").startswith("good")
        await (json_answer() if good else json_answer(NO_KEY, "401 Unauthorized"))(request, play)

    gateway.upstream.script = upstream
    gateway.serve(make_arm(), generation=2, auth=Auth("Passthrough"))
    for key in ("good-SENTINEL-1", "good-SENTINEL-2", "bad-SENTINEL-1", "bad-SENTINEL-2"):
        response, _ = await gateway.post(headers={"authorization": "", "x-api-key": key})
        assert response.status == (200 if key.startswith("good") else 401)
    text = (await gateway.read("/-/evidence?since=&callers=1")).decode()
    assert "SENTINEL" not in text + gateway.output.getvalue()
    found = parse_evidence(text.encode())
    assert [(row.revision, row.requests, row.errors, len(row.digest)) for row in found.callers] == [
        (STABLE, 1, 0, 16),
        (STABLE, 1, 0, 16),
        (STABLE, 0, 0, 0),
    ]
    assert (await gateway.outcomes()) == {"ok": 2, "refused": 2}


# ---------------------------------------------------------------------------------------- what the evidence has


def test_the_evidence_says_whose_errors_they_are() -> None:
    pod = Pod()
    for number in range(10):
        caller = "bad" if number else "good"
        pod.settle(None, caller=caller)
        pod.settle(f"session:{number}", "error", caller=caller, revision=CANARY)
        pod.settle(f"session:{number}", "error", caller=caller, revision=CANARY)
        pod.settle(f"session:{number}", "error", caller=caller, surface=PINNED)
    shown = [row for row in rows_of(pod) if row.revision == CANARY]
    assert [(row.digest, row.requests, row.errors, row.conversations, row.bad) for row in shown] == [
        ("bad", 18, 18, 9, 9),
        ("good", 2, 2, 1, 1),
    ]


def test_the_rows_are_bounded_and_add_up() -> None:
    counts = CallerCounts()
    for number in range(3000):
        for _ in range(1 + number % 7):
            counts.of(STABLE, f"caller-{number}").add("error" if number % 11 == 0 else "ok", first=True, bad=False)
    rows = list(counts.rows(1))
    assert len(rows) <= SHOWN + 1
    assert len(counts._revisions[STABLE]) <= callers.KEPT + 1
    assert sum(row.requests for row in rows) == sum(1 + number % 7 for number in range(3000))
    assert [row.digest for row in rows][-1] == ""


def test_an_operator_that_does_not_ask_can_read_the_answer() -> None:
    pod = Pod()
    pod.settle(caller="one")
    for since in (None, ""):
        document = pod.store.document(1, 1.0, "", since=since)
        assert b"callers" not in document
        assert b"assignment" not in document
        assert isinstance(parse_evidence(document), Evidence)


# ------------------------------------------------------------------------------------- up to the verdict


def judged(*pods: Pod) -> Judgement:
    """What the operator says of what these pods have counted since its first look."""
    empty = [PodReading(str(number), True, Evidence(pod.store.boot_id, 1, 0.5)) for number, pod in enumerate(pods)]
    _, memory = advance(None, empty, now=1e9)
    documents = [parse_evidence(pod.store.document(1, 1.0, "", since="", callers=True)) for pod in pods]
    readings = [PodReading(str(number), True, document) for number, document in enumerate(documents)]
    increments, _ = advance(memory, readings, now=1e9 + 5.0)
    start = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    return assess(None, Analysis(), increments, stable=STABLE, canary=CANARY, now=start)[0]


def traffic(pods: list[Pod], bad: str, *, times: int, seed: int = 3) -> None:
    """Three honest callers, and `bad`, which fails on the canary alone and calls `times` as often as they all."""
    rng = random.Random(seed)
    for caller in ("a", "b", "c", bad):
        for pod in pods:
            pod.settle(None, caller=caller)
    for number in range(900 * (times + 1)):
        pod = rng.choice(pods)
        pod.clock.now += 0.5
        mean = number % (times + 1) > 0
        caller = bad if mean else rng.choice("abc")
        revision = CANARY if rng.random() < 0.2 else STABLE
        failed = mean and revision == CANARY
        pod.settle(f"session:{number}", "error" if failed else "ok", revision=revision, caller=caller)


def test_one_bad_caller_among_several_is_told_in_the_verdict() -> None:
    pods = [Pod(), Pod()]
    traffic(pods, "bad", times=1)
    verdict = judged(*pods)
    assert verdict.verdict == "Fail"
    assert re.search(r"; (\d+) of \1 errors come from one key", verdict.message)


def test_a_flood_of_one_caller_is_no_more_than_all_others_together() -> None:
    pods = [Pod(), Pod()]
    traffic(pods, "bad", times=9)
    verdict = judged(*pods)
    for pod in pods:
        for revision in (STABLE, CANARY):
            rows = {row.digest: row for row in rows_of(pod) if row.revision == revision}
            others = sum(row.requests for digest, row in rows.items() if digest != "bad")
            assert rows["bad"].requests <= 1.35 * others + CONVERSATIONS  # of an arm; of both it is the half
            assert rows["bad"].bad <= rows["bad"].requests
    assert re.search(r"\d+ % of the requests are left out: one key has more than all others", verdict.message)


def verdict_of(seed: int, canary: float) -> tuple[str, int]:
    """A rollout in which one caller has most of the traffic and fails 15 %, and others fail 1 %, the canary more."""
    rng = random.Random(seed)
    known = accepted("large", "small", clock=(clock := Clock()))
    judgement, requests = None, 0
    for tick in range(40):
        clock.now += 5.0
        counts = {STABLE: [0, 0], CANARY: [0, 0]}
        for _ in range(60):
            caller, revision = rng.choices(["large", "small"], [85, 15])[0], rng.choices([CANARY, STABLE], [10, 90])[0]
            failed = rng.random() < (0.15 if caller == "large" else 0.01) + canary * (revision == CANARY)
            if known.admit_conversation(caller):
                counts[revision][0] += 1
                counts[revision][1] += failed
        requests += counts[CANARY][0]
        found = {revision: Counts(n, n - x, x, conversations=n, bad_errors=x) for revision, (n, x) in counts.items()}
        samples = {(1, "other", revision): Sample(one) for revision, one in found.items() if one.requests}
        new = Increments(samples, sum(one.requests for one in found.values()), seconds=5.0)
        now = dt.datetime(2026, 3, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=5 * tick)
        judgement, _ = assess(judgement, Analysis(), new, stable=STABLE, canary=CANARY, now=now)
    assert judgement is not None
    return judgement.verdict, requests


def test_what_is_left_out_costs_the_judge_none_of_its_promises() -> None:
    """One false rollback in a hundred: three or more of 50 come with a chance of 1.4 %, and the seeds are fixed."""
    good = [verdict_of(seed, 0.0) for seed in range(50)]
    assert sum(verdict == "Fail" for verdict, _ in good) <= 2
    assert all(40 < requests < 160 for _, requests in good)  # of 240 that there were
    assert {verdict for verdict, _ in (verdict_of(seed, 0.5) for seed in range(20))} == {"Fail"}
