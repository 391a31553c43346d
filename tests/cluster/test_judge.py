"""What a rollout is decided by, on a real cluster: evidence that the canary is harmless, or does harm, or neither."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections import defaultdict
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import support
from tests.cluster.pace import Pace
from tests.cluster.record import Looking, Record, Watch, moment
from tests.cluster.replicas import both_ready, kill_leader
from tests.cluster.rollouts import QUICK, bake, begun, deployment, errs, restarts, scenario, start
from tests.cluster.support import ROOT, Operator, get, kubectl, wait_for
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")

INTERVAL = 1.0  # seconds between two readings, where nothing else is said
DELAY = 1.0  # seconds before the time of a tick at which its counters may have been read, on an idle machine
COMMAND = Path(sys.executable).with_name("claude-operator")
MISSING = re.compile(
    r"step \d at [\d.]+ % has not yet ruled out that the canary has (?P<points>[\d.]+) points more errors than"
    r" stable \(evidence (?P<evidence>[\d.]+) of 20\); about (?P<more>[\d,]+) more canary"
    r" conversations?, .+ at this traffic"
)
SLOWER = re.compile(
    r"time to first token (?P<ratio>[\d.]+) times stable's \(95 % interval (?P<low>[\d.]+) to (?P<high>[\d.]+)\)"
    r" over [\d,]+ canary conversations, evidence \S+ ≥ 100"
)


def judged(prompt: str, steps: list[dict[str, Any]], soak: str = "", **analysis: Any) -> dict[str, Any]:
    """A ClaudeDeployment whose bakes have to prove that the canary costs less than 2 % of all requests."""
    plan: dict[str, Any] = {"interval": f"{INTERVAL:g}s", "toleratedIncrease": "2%", **analysis}
    canary = {"steps": steps, "analysis": plan} | ({"soak": {"duration": soak}} if soak else {})
    return deployment(prompt, strategy={"canary": canary})


# ---------------------------------------------------------------------------------------------------- promotion


def test_a_bake_ends_by_evidence(namespace: str) -> None:
    """Long after its time and requests are there it still waits, says what for, and goes on once that is shown."""
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic:
        wait_for(lambda: len(traffic.answers) > 20, 30)
        before = restarts(record)
        support.apply(judged("v2", [{"setWeight": 25}, bake(1, 10), {"setWeight": 50}, bake(1, 10)]), namespace)
        second = begun(record, first)
        wait_for(lambda: record.rollout.get("outcome"), 150, "not promoted", every=0.05)
        wait_for(lambda: traffic.answers[-1].revision == second, 30)
        traffic.stop()
        assert (record.rollout["outcome"], record.status["stableRevision"]) == ("Promoted", second)
        assert [step["index"] for step in record.steps(second)] == [0, 1, 2, 3]
        statuses = [status for _, status in record.statuses() if status.get("rollout", {}).get("revision") == second]
        assert restarts(record) == before
    assert not traffic.failed()
    assert len(holding(statuses, 1, points="4")) >= 3
    assert holding(statuses, 3, points="2")


def holding(statuses: list[dict[str, Any]], index: int, points: str) -> list[re.Match[str]]:
    """What a bake said while it had its second and its ten requests, but not its proof."""
    present = [one for one in statuses if (one.get("step") or {}).get("index") == index and one.get("judgement")]
    ripe = [status for status in present if _elapsed(status) >= 1.0 and status["step"].get("requests", 0) >= 10]
    waiting = [status for status in ripe if _promoted(status)["reason"] == "WaitingForEvidence"]
    assert not [status for status in waiting if _shown(status, index)]
    # Chance may make the canary look bad for a moment, which is another thing to wait for.
    said = [text for one in waiting if "evidence of harm" not in (text := _promoted(one)["message"])]
    found = [match for message in said if (match := MISSING.fullmatch(message))]
    assert len(found) == len(said), said
    assert {match["points"] for match in found} == {points}
    # Where the next step, or the promotion, stands for the first time.
    after = statuses[statuses.index(present[-1]) + 1]
    assert _shown(after, index), "it went on without its proof"
    proof = next(one for one in after["judgement"]["promotions"] if one["step"] == index)
    assert proof["evidence"] >= proof["threshold"] == 20.0
    assert _healthy(after)["status"] == "True"
    # What it said it lacks was enough, and of the same order: it says rather too much.
    asked = [int(match["more"].replace(",", "")) for match in found]
    took = after["judgement"]["requests"] - ripe[0]["judgement"]["requests"]
    print(f"bake {index}: {len(found)} looks past its second, {took} more requests, asked for {asked[:1]}: {said[:1]}")
    readings = [moment(status["judgement"]["lastTick"]) for status in (*ripe, after)]
    between = max((later - earlier).total_seconds() for earlier, later in itertools.pairwise(readings))
    assert 0.1 * asked[0] <= took <= 1.5 * asked[0] + 40 * max(between, INTERVAL)
    return found


def _elapsed(status: dict[str, Any]) -> float:
    return (moment(status["judgement"]["lastTick"]) - moment(status["step"]["startedAt"])).total_seconds()


def _shown(status: dict[str, Any], index: int) -> bool:
    return any(one["step"] == index and one.get("shown") for one in status["judgement"].get("promotions", []))


def _promoted(status: dict[str, Any]) -> dict[str, Any]:
    return support.condition({"status": status}, "Promoted")


def _healthy(status: dict[str, Any]) -> dict[str, Any]:
    return support.condition({"status": status}, "CanaryHealthy")


# --------------------------------------------------------------------------------------------------------- harm


def test_a_slow_first_token_is_harm(namespace: str) -> None:
    """Twice as long to the first token, and not one error: that is what it is rolled back for."""
    usual = {**QUICK, "latency": {"median": "120ms", "p95": "240ms"}}
    slow = {"match": {"systemContains": "v2-slow"}, "latency": {"median": "240ms", "p95": "480ms"}}
    scenario(slow, defaults=usual)
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic:
        wait_for(lambda: len(traffic.answers) > 20, 30)
        support.apply(judged("v2-slow", [{"setWeight": 50}, bake(120, 10_000)]), namespace)
        second = begun(record, first)
        wait_for(lambda: record.rollout.get("outcome"), 120, "no rollback", every=0.05)
        record.served_everywhere()
        back, enough = time.time(), len(traffic.answers) + 40
        wait_for(lambda: len(traffic.answers) > enough, 30)
        traffic.stop()
        wait_for(lambda: record.events("RolledBack"), 20, "it is not told")
        status, notes = record.status, record.events("RolledBack")
    print(status["rollout"]["message"])
    ended = status["rollouts"][-1]
    assert (ended["revision"], ended["outcome"]) == (second, "RolledBack")
    assert ended["reason"] == _healthy(status)["reason"] == "TimeToFirstTokenIncreased"
    assert _healthy(status)["status"] == "False"
    assert status["stableRevision"] == first
    for message in (ended["message"], _healthy(status)["message"], notes[0][1]):
        found = SLOWER.search(message)
        assert found, message
        ratio, low, high = (float(found[name]) for name in ("ratio", "low", "high"))
        assert 1.0 < low < ratio < high and 1.3 < ratio < 2.6
    assert len(notes) == 1
    assert not traffic.failed()
    assert {one.revision for one in traffic.answers if one.began > back} == {first}


# ------------------------------------------------------------------------------------------------------ neither


@pytest.mark.alone  # how quick answers are decides, and others' work shows in it
def test_an_overload_holds_and_is_no_harm(namespace: str) -> None:
    """For 15 s the upstream answers both arms with 529: nothing moves, nothing is blamed, and then it goes on."""
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic:
        support.apply(judged("v2", [{"setWeight": 50}, bake(8, 20)]), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second) and record.status["step"].get("requests"), 60, "the canary does not bake")
        scenario({"overloadRate": 0.9})
        wait_for(lambda: record.condition("CanaryHealthy")["reason"] == "Overloaded", 10, "the overload is not told")
        begins, generation = time.time(), record.config["generation"]
        time.sleep(15)
        wait_for(lambda: sum(at > begins for at, _ in record.statuses()) >= 8, 30, "it is not judged")
        ends = time.time()
        scenario()
        over = time.time()
        wait_for(lambda: record.rollout.get("outcome"), 90, "it does not go on", every=0.05)
        wait_for(lambda: traffic.answers[-1].revision == second, 30)
        traffic.stop()
        assert (record.rollout["outcome"], record.status["stableRevision"]) == ("Promoted", second)
        meanwhile = [status for at, status in record.statuses() if begins < at < ends]
        generations = {config["generation"] for at, config in record.configs() if begins < at < ends}
        assert not record.events("RolledBack")
    assert not generations - {generation}
    assert_holds(meanwhile, "Overloaded", "429 or 529")
    assert {one["step"]["index"] for one in meanwhile} == {1}
    # It outlasted the bake's 8 s, and both arms met it.
    assert _elapsed(meanwhile[-1]) > 8.0
    failed = traffic.failed()
    assert {one.revision for one in failed} == {first, second}
    assert {one.error[:3] for one in failed} == {"529"}
    assert not [one for one in failed if one.began > over]


@pytest.mark.alone  # how quick answers are decides, and others' work shows in it
def test_a_slowdown_of_both_arms_holds_and_is_no_harm(namespace: str) -> None:
    """Stable has a minute of its own to be held against: what makes it several times as slow is not the canary."""
    usual, slow = ({**QUICK, "latency": {"median": f"{ms}ms", "p95": f"{3 * ms}ms"}} for ms in (60, 480))
    scenario(defaults=usual)
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=30) as traffic:
        support.apply(judged("v2", [{"setWeight": 50}, bake(100, 20)]), namespace)
        second = begun(record, first)
        wait_for(lambda: _history(record.status) >= 46.0, 110, "stable has no history", every=0.5)
        scenario(defaults=slow)
        wait_for(lambda: record.condition("CanaryHealthy")["reason"] == "SharedIncident", 20, "it is not told")
        begins = time.time()
        wait_for(lambda: _elapsed(record.status) >= 102.0, 50)
        ends = time.time()
        scenario()  # quicker than ever, so that the slow ones are soon forgotten
        wait_for(lambda: record.rollout.get("outcome"), 90, "it does not go on", every=0.05)
        over = time.time()
        traffic.stop()
        assert (record.rollout["outcome"], record.status["stableRevision"]) == ("Promoted", second)
        meanwhile = [status for at, status in record.statuses() if begins < at < ends]
        assert not record.events("RolledBack")
    print(f"told for {ends - begins:.0f} s; it went on {over - ends:.0f} s after its end")
    assert_holds(meanwhile, "SharedIncident", r"stable's time to first token is [\d.]+ times what it was")
    assert {one["step"]["index"] for one in meanwhile} == {1}
    # It had its time, its requests and its proof.
    assert _elapsed(meanwhile[-1]) > 100.0 and _shown(meanwhile[-1], 1)
    assert not traffic.failed()


def _history(status: dict[str, Any]) -> float:
    """Seconds of the past that stable is held against; what is new takes a while to become past."""
    incident = status["judgement"].get("incident")
    return float(incident[0]) if incident else 0.0


def assert_holds(statuses: list[dict[str, Any]], reason: str, words: str) -> None:
    """In all of them CanaryHealthy and Promoted are unknown for this reason; a gateway may be slow for once."""
    for condition in ("CanaryHealthy", "Promoted"):
        told = [support.condition({"status": status}, condition) for status in statuses]
        ours = [one for one in told if one["reason"] == reason]
        assert {one["status"] for one in told} == {"Unknown"}
        assert {one["reason"] for one in told} <= {reason, "MetricsUnreachable"}
        assert len(ours) >= 0.7 * len(told)
        assert re.search(words, ours[-1]["message"])


# ------------------------------------------------------------------------------------------------------- ledger


@pytest.mark.alone  # it kills the leader
def test_kills_in_mid_bake_lose_nothing_and_double_nothing(operator: Operator, namespace: str, tmp_path: Path) -> None:
    """What was judged is what the gateways counted, and the ledger comes to the same evidence.

    The second kill hits between the write of a tick to the ledger and that to status.
    """
    interval = 5.0  # the default
    both_ready(operator)
    first = start(namespace)
    with (
        Record(namespace) as record,
        Counting(record.pods) as counting,
        Traffic("app", namespace, rate=40) as traffic,
        Pace() as pace,
    ):
        wait_for(lambda: len(traffic.answers) > 20, 30)
        steps = [{"setWeight": 50}, bake(300, 10_000)]
        support.apply(judged("v2-bad", steps, interval=f"{interval:g}s"), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second) and len(record.ticks()) >= 3, 60, "the canary does not bake")
        time.sleep(interval / 2)
        kills = [leader_ends(operator, record)]
        with denied_ticks(namespace):
            wait_for(lambda: _last(namespace, second) > _recorded(record.status), 60, "no tick is ahead", every=0.1)
            ahead = _last(namespace, second)
            kills.append(kill_leader(operator))
        goes_on(record, kills[-1])
        scenario(errs("v2-bad", 0.5))
        wait_for(lambda: record.rollout.get("outcome"), 60, "no rollback", every=0.05)
        time.sleep(1.0)  # for a last look at the counters
        traffic.stop()
        status, ticks = record.status, [tick.timestamp() for tick in record.ticks()]
        begins = min(
            moment(seen["step"]["startedAt"]).timestamp()
            for _, seen in record.statuses()
            if seen.get("canaryRevision") == second and seen.get("step")
        )
        known = {_since_start(status, tick) for tick in record.ticks()}
        assert [step["index"] for step in record.steps(second)] == [0, 1]
    assert not traffic.failed(besides=[second])
    assert (status["rollout"]["outcome"], status["rollout"]["reason"]) == ("RolledBack", "ErrorsIncreased")

    final, gaps = status["judgement"], [_gap(ticks, killed) for killed in kills]
    for since, until in gaps:
        print(f"{until - since:.1f} s between the last reading before a kill and the first one after it")
    assert gaps[0][1] - gaps[0][0] <= pace.stretched(2 * interval)
    assert gaps[0][1] < gaps[1][0]
    stable = final["stableRequests"][0] + sum(one["stable"][1] + one["stable"][2] for one in final.get("open", []))
    for revision, since, seen in ((second, None, final["requests"]), (first, begins, stable)):
        least, most = counting.expected(revision, since, ticks[-1], pace.stretched(DELAY))
        print(f"{revision}: {seen} judged, {least} to {most} expected, {counting.total(revision)} counted in all")
        assert seen <= counting.total(revision)
        assert least <= seen <= most

    ledger = get("configmap", f"{second}-1-ledger", namespace=namespace)
    [owner] = ledger["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("ClaudeRevision", second)
    assert sum(len(text.encode()) for text in ledger["data"].values()) <= 128 * 1024
    told = [line for line in map(json.loads, ledger["data"]["ticks.jsonl"].splitlines()) if "total" in line]
    times = [line["t"] for line in told]
    assert times == sorted(set(times))
    assert set(times) <= known, "the ledger has a tick that status never had"
    assert ahead not in times
    recorded = moment(final["startedAt"]) + dt.timedelta(seconds=times[-1])
    assert abs(moment(final["recorded"]) - recorded) < dt.timedelta(milliseconds=1)
    assert final["recorded"] == final["lastTick"]
    assert len([line for line in told if line["metrics"]]) == final["ticks"] >= 4
    replayed = [json.loads(line) for line in run("replay", ledger).splitlines()]
    assert [tick["t"] for tick in replayed] == times
    assert [tick["total"] for tick in replayed] == pytest.approx([line["total"] for line in told], rel=1e-9)
    assert replayed[-1]["total"] == pytest.approx(final["evidence"], rel=1e-9)
    assert replayed[-1]["evidence"] == pytest.approx({one["name"]: one["evidence"] for one in final["state"]}, rel=1e-9)
    assert (replayed[-1]["verdict"], replayed[-1]["leading"]) == ("Fail", "errors")
    assert final["evidence"] >= 100.0

    picture = tmp_path / "rollout.svg"
    assert run("plot", ledger, "-o", str(picture)) == ""
    root = ET.parse(picture).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join(root.itertext())
    assert second in words and first in words


def run(verb: str, ledger: dict[str, Any], *options: str) -> str:
    """`kubectl get configmap ... -o json | claude-operator judge VERB -`; returns what it prints."""
    metadata = ledger["metadata"]
    text = kubectl("get", "configmap", metadata["name"], "-o", "json", namespace=metadata["namespace"])
    words = [str(COMMAND), "judge", verb, "-", *options]
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    print(f"judge {verb}: {done.stderr or 'nothing to note'}")
    return done.stdout


def leader_ends(operator: Operator, record: Record) -> float:
    """`kill -9` of the leader, until the other replica has made its second reading; returns when."""
    killed = kill_leader(operator)
    goes_on(record, killed)
    return killed


def goes_on(record: Record, killed: float) -> None:
    """Wait for two readings that are later."""
    after = dt.datetime.fromtimestamp(killed + 0.5, dt.UTC)
    wait_for(lambda: len([tick for tick in record.ticks() if tick > after]) >= 2, 60, "no readings by the new leader")


def denied_ticks(namespace: str) -> AbstractContextManager[None]:
    """Have the API server refuse every status of a rollout under way in this namespace."""
    return support.denied_statuses("no-ticks", namespace, "object.?status.?rollout.?outcome.hasValue()", {"status": {}})


def _last(namespace: str, revision: str) -> float:
    """The last tick in the ledger, in seconds since the judge began."""
    data = get("configmap", f"{revision}-1-ledger", namespace=namespace)["data"]
    return float(json.loads(data["ticks.jsonl"].splitlines()[-1])["t"])


def _recorded(status: dict[str, Any]) -> float:
    """The last tick in the ledger that status knows of, in the same seconds."""
    return _since_start(status, moment(status["judgement"]["recorded"]))


def _since_start(status: dict[str, Any], tick: dt.datetime) -> float:
    return round((tick - moment(status["judgement"]["startedAt"])).total_seconds(), 3)


def _gap(ticks: list[float], killed: float) -> tuple[float, float]:
    """The readings between which the operator died: the longest time between two of them around then."""
    pairs = [(one, other) for one, other in itertools.pairwise(ticks) if one - 2.0 <= killed <= other]
    return max(pairs, key=lambda pair: pair[1] - pair[0])


class Counting(Looking):
    """The gateways' own counters, while entered: judged requests by revision, of all generations."""

    def __init__(self, pods: Watch) -> None:
        super().__init__(pods)
        self._looks: dict[str, list[tuple[float, float, dict[str, int]]]] = defaultdict(list)
        self._known: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)

    def expected(self, revision: str, since: float | None, until: float, delay: float) -> tuple[int, int]:
        """At least and at most: what was counted since a time, whoever led meanwhile, read up to `delay` s before."""
        from_least, from_most = self._at(revision, since, delay) if since else (0, 0)
        least, most = self._at(revision, until, delay)
        return least - from_most, most - from_least

    def total(self, revision: str) -> int:
        """What all pods have counted by the last look."""
        return sum(looks[-1][2].get(revision, 0) for looks in self._looks.values())

    def _at(self, revision: str, tick: float, delay: float) -> tuple[int, int]:
        """What all pods together had counted when the tick was read, at least and at most."""
        least = most = 0
        for looks in self._looks.values():
            least += next((seen for _, told, seen in reversed(looks) if told <= tick - delay), {}).get(revision, 0)
            most += next((seen for asked, _, seen in looks if asked >= tick), looks[-1][2]).get(revision, 0)
        return least, most

    def look(self, pod: str, address: str) -> None:
        """Read the counters; a pod that does not answer is left out."""
        asked = time.time()
        seen = self._look(pod, address)
        if seen is not None:
            self._looks[pod].append((asked, time.time(), seen))

    def _look(self, name: str, address: str) -> dict[str, int] | None:
        """Ok and errors by revision. A generation that a gateway no longer tells of keeps what it had."""
        body = self.evidence(name, address)
        if body is None:
            return None
        document = json.loads(body)
        for generation in document["generations"]:
            counts: dict[str, int] = defaultdict(int)
            for one in generation.get("strata", ()):
                outcomes = one["counters"]["outcomes"]
                counts[one["revision"]] += outcomes.get("ok", 0) + outcomes.get("error", 0)
            self._known[name, generation["generation"]] = counts
        whole: dict[str, int] = defaultdict(int)
        for (pod, _), counts in self._known.items():
            for revision, count in counts.items() if pod == name else ():
                whole[revision] += count
        return whole
