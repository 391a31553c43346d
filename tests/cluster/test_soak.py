"""After promotion, on a real cluster: the former revision comes back on evidence of harm, and else nothing happens."""

from __future__ import annotations

import time

import pytest
from tests.cluster import support
from tests.cluster.record import Record
from tests.cluster.replicas import both_ready, kill_leader
from tests.cluster.rollouts import bake, begun, errs, scenario, start
from tests.cluster.support import Operator, condition, wait_for
from tests.cluster.test_judge import judged
from tests.cluster.test_restart import denied_status
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")

STEPS = [{"setWeight": 50}, bake(3, 40)]


def soaks(record: Record, namespace: str, first: str, prompt: str, duration: str) -> str:
    """Have a revision promoted and watched further; returns its name."""
    support.apply(judged(prompt, STEPS, soak=duration, toleratedIncrease="100%"), namespace)
    second = begun(record, first)
    wait_for(lambda: record.rollout.get("outcome"), 60, "not promoted", every=0.05)
    assert (record.rollout["outcome"], record.status["stableRevision"]) == ("Promoted", second)
    wait_for(lambda: ((record.status.get("soak") or {}).get("judgement") or {}).get("requests"), 30, "no soak")
    assert record.condition("CanaryHealthy")["status"] == "True"
    return second


def assert_taken_back(record: Record, first: str, second: str) -> None:
    """The former one serves, and everything that tells of it says so."""
    status = record.status
    told = [(one["revision"], one["outcome"]) for one in status["rollouts"]]
    assert told == [(first, "Promoted"), (second, "Promoted"), (second, "RolledBack")]
    assert status["rollouts"][-1]["reason"] == status["rollout"]["reason"] == "ErrorsIncreased"
    assert status["stableRevision"] == first
    assert not status.get("soak")
    for name, reason in (("CanaryHealthy", "ErrorsIncreased"), ("Promoted", "RolledBack")):
        one = condition(record.item, name)
        assert (one["status"], one["reason"]) == ("False", reason)
    wait_for(lambda: record.events("RolledBack"), 20, "it is not told")
    assert [reason for reason, _ in record.events("Promoted", "RolledBack")] == ["Promoted", "RolledBack"]


def test_harm_after_the_promotion_brings_the_former_one_back(namespace: str) -> None:
    """At 100 % there is no other arm; what stable was like in the rollout is enough to see that this is worse."""
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic:
        second = soaks(record, namespace, first, "v2-late", "60s")
        assert "watched for 1 min more" in record.rollout["message"]
        scenario(errs("v2-late", 1.0))
        harmed = time.time()
        wait_for(lambda: record.rollout["outcome"] == "RolledBack", 30, "not taken back", every=0.05)
        record.served_everywhere()
        back, enough = time.time(), len(traffic.answers) + 60
        wait_for(lambda: len(traffic.answers) > enough, 30)
        traffic.stop()
        assert_taken_back(record, first, second)
        print(f"taken back {back - harmed:.1f} s after the harm began: {record.rollout['message']}")
    # Clients suffer from the harm alone, and while it is being seen alone.
    failed = traffic.failed()
    assert failed and {one.revision for one in failed} == {second}
    assert all(harmed - 1.0 <= one.at and one.began <= back for one in failed)
    assert {one.revision for one in traffic.answers if one.began > back} == {first}


@pytest.mark.alone  # it kills the leader
def test_a_soak_survives_kills_of_the_operator(operator: Operator, namespace: str) -> None:
    """While it is watched, and between the write to config.json that takes it back and that to status."""
    both_ready(operator)
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic:
        second = soaks(record, namespace, first, "v2-late", "120s")
        until, seen = record.status["soak"]["until"], record.status["soak"]["judgement"]["requests"]
        kill_leader(operator)  # once
        wait_for(lambda: record.status["soak"]["judgement"]["requests"] >= seen + 80, 60, "it is not watched any more")
        assert record.status["soak"]["until"] == until
        with denied_status(record, "RolledBack"):
            scenario(errs("v2-late", 1.0))
            wait_for(lambda: record.config.get("settled", {}).get("outcome") == "RolledBack", 60, "not taken back")
            kill_leader(operator)  # twice
            assert record.rollout["outcome"] == "Promoted", "status was written after all"
        wait_for(lambda: record.rollout["outcome"] == "RolledBack", 60, "the status does not follow", every=0.05)
        record.served_everywhere()
        back, enough = time.time(), len(traffic.answers) + 60
        wait_for(lambda: len(traffic.answers) > enough, 30)
        traffic.stop()
        assert_taken_back(record, first, second)
    assert not traffic.failed(besides=[second])
    assert {one.revision for one in traffic.answers if one.began > back} == {first}


@pytest.mark.alone  # its last seconds are watched, and others' work delays them
def test_a_quiet_soak_ends_with_one_word(namespace: str) -> None:
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic:
        second = soaks(record, namespace, first, "v2", "8s")
        generation = record.served_everywhere()
        assert record.condition("CanaryHealthy")["message"].startswith(
            f"{second} serves 100 % and is compared with the history of"
        )
        wait_for(lambda: not record.status.get("soak"), 30, "it does not end")
        wait_for(lambda: record.events("Soaked"), 20, "its end is not told")
        time.sleep(3)
        traffic.stop()
        assert (record.rollout["outcome"], record.status["stableRevision"]) == ("Promoted", second)
        assert record.config["generation"] == generation
        reasons = [reason for reason, _ in record.events()]
        assert [one for one in reasons[reasons.index("Promoted") :] if one != "Draining"] == ["Promoted", "Soaked"]
        assert record.condition("CanaryHealthy")["reason"] == "NoCanary"
        watched = [status["soak"]["judgement"] for _, status in record.statuses() if status.get("soak")]
        assert len({one["lastTick"] for one in watched}) >= 5
        assert watched[-1]["requests"] >= 100
    assert not traffic.failed()
