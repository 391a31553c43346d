"""What dies in mid-rollout: `kill -9` of the operator and of a gateway, and how fast the other replica takes over."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from tests.cluster import support
from tests.cluster.pace import Pace
from tests.cluster.record import Record, Watch, moment
from tests.cluster.replicas import LEASES, ONE_LEASE, both_ready, holder, kill, kill_leader, leader
from tests.cluster.rollouts import INTERVAL, bake, begun, deployment, errs, restarts, scenario, start
from tests.cluster.support import SYSTEM, Operator, get, kubectl, wait_for
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.alone  # each ends the leader

QUESTIONS = [f"What is {number} and {number}?" for number in range(1, 11)]
ANSWERS = [{"question": text, "answer": str(2 * number)} for number, text in enumerate(QUESTIONS, 1)]
SET = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeEvalSet",
    "metadata": {"name": "sums"},
    "spec": {
        "tests": [
            {"id": f"sum-{number}", "input": one["question"], "assert": [{"type": "equals", "value": one["answer"]}]}
            for number, one in enumerate(ANSWERS)
        ],
        "gate": {"passRate": 0.5, "margin": 0.5},
    },
}
EVALS = {"setRef": {"name": "sums"}}


def test_a_rollback_survives_three_kills_of_the_operator(operator: Operator, namespace: str) -> None:
    """While the gate runs, while the canary bakes, and between the rollback's write to config.json and to status."""
    scenario(answers=ANSWERS)
    both_ready(operator)
    first = start(namespace)
    support.apply(SET, namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic:
        steps = [{"setWeight": 20}, bake(120, 1000)]
        support.apply(deployment("v2-bad", steps, evals=EVALS), namespace)
        second = begun(record, first)
        wait_for(lambda: get("jobs", namespace=namespace), 30, "no eval Job", every=0.05)
        told = record.condition("Promoted")
        assert told["reason"] in ("WaitingForEval", "Progressing"), told
        kill_leader(operator)  # once

        wait_for(lambda: record.at(1, second), 90, "the canary does not bake")
        bakes = record.status["step"]["startedAt"]
        survives(record, lambda: kill_leader(operator))  # twice

        with denied_status(record, "RolledBack"):
            scenario(errs("v2-bad", 0.5))
            wait_for(lambda: record.config.get("settled", {}).get("revision") == second, 60, "no rollback", every=0.02)
            kill_leader(operator)  # three times
            assert record.rollout.get("outcome") is None, "status was written after all"
            settled = record.config["generation"]
        wait_for(lambda: record.rollout.get("outcome"), 60, "the rollback was not completed", every=0.05)
        after = len(record.ticks())
        enough = len(traffic.answers) + 100
        wait_for(lambda: len(traffic.answers) > enough, 30)
        traffic.stop()
        wait_for(lambda: record.events("RolledBack"), 20, "it is not told")
        assert len(record.ticks()) == after, "evidence was read of a canary without traffic"
        [promoted, ended] = record.status["rollouts"]
        assert (promoted["revision"], promoted["outcome"]) == (first, "Promoted")
        assert (ended["revision"], ended["outcome"], ended["reason"]) == (second, "RolledBack", "ErrorsIncreased")
        assert ended["attempt"] == record.rollout["attempt"] == 1
        assert record.status["stableRevision"] == first
        # No step was skipped, begun anew or repeated, and no weight rose after the rollback.
        steps_seen = record.steps(second)
        assert [step["index"] for step in steps_seen] == [0, 1]
        assert steps_seen[1]["startedAt"] == bakes
        assert [weight for _, _, weight in _changes(record.weights(second))] == [0, 2000, 0]
        assert not [weight for _, generation, weight in record.weights(second) if generation >= settled and weight]
        assert len(record.events("RolledBack")) == 1
        assert len(record.events("RolloutStarted")) == len(record.events("WeightChanged")) == 1
    assert not traffic.failed(besides=[second])
    # The gate ran once.
    [run] = get("cer", namespace=namespace)
    assert (run["status"]["phase"], run["status"]["attempts"]) == ("Passed", 1)
    assert len(get("jobs", namespace=namespace)) == 1
    assert len(get("pods", namespace=namespace, selector="app.kubernetes.io/component=eval")) == 1


def test_a_promotion_survives_kills_of_the_operator_and_of_a_gateway(operator: Operator, namespace: str) -> None:
    """Every step in its order, once, for its whole time; of a lost gateway clients with retries see next to nothing."""
    both_ready(operator)
    steps = [{"setWeight": 10}, bake(6, 20), {"setWeight": 50}, bake(12, 20)]
    first = start(namespace)
    bare = Traffic("app", namespace, rate=20)
    retrying = Traffic("app", namespace, rate=20, retries=2)  # the SDK's default
    with Record(namespace) as record, bare, retrying, Pace() as pace:
        support.apply(deployment("v2", steps), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second), 60, "the canary does not bake")
        survives(record, lambda: kill_leader(operator))
        wait_for(lambda: record.at(3, second), 60, "no second bake")
        killed = kill(next(iter(record.pods.alive.values())))
        wait_for(lambda: record.rollout.get("outcome"), 120, "not promoted", every=0.05)
        wait_for(lambda: bare.answers[-1].revision == second, 30)
        bare.stop()
        retrying.stop()
        wait_for(lambda: sum(restarts(record).values()) == 1, 60, "the gateway did not die")
        wait_for(lambda: record.events("Promoted"), 20, "it is not told")
        assert record.status["stableRevision"] == second
        seen = record.steps(second)
        assert [step["index"] for step in seen] == [0, 1, 2, 3]
        promoted = moment(record.status["rollouts"][-1]["finishedAt"])
        lengths = {
            step["index"]: (end - moment(step["startedAt"])).total_seconds()
            for step, end in zip(seen, [*(moment(step["startedAt"]) for step in seen[1:]), promoted], strict=True)
        }
        assert lengths[1] >= 6.0
        assert lengths[3] >= 12.0
        _, one, two, three, four = record.requests(second)
        assert min(two - one, four - three) >= 20
        assert [weight for _, _, weight in _changes(record.weights(second))] == [0, 1000, 5000, 0]
        assert record.weights(second, "stable")[-1][2] == 10_000
        assert not record.events("RolledBack")
        notes = [note for _, note in record.events("WeightChanged")]
        assert len(notes) == len(set(notes)) <= 2
        assert len(record.events("Promoted")) == 1
    print(f"without retries {len(bare.failed())} of {len(bare.answers)} failed: {_errors(bare)}")
    print(f"with retries {len(retrying.failed())} of {len(retrying.answers)} failed: {_errors(retrying)}")
    # No SDK asks again for an answer that has begun; everything else comes to a good end.
    cut = [
        one for one in retrying.failed() if one.stream and one.answered and one.answered <= killed + pace.stretched(0.5)
    ]
    assert retrying.failed() == cut
    assert all(one.at >= killed and one.began <= killed + pace.stretched(10) for one in bare.failed())


@pytest.mark.parametrize("way", ["kill -9", "delete --force", "delete"])
def test_the_other_replica_takes_over(operator: Operator, namespace: str, way: str) -> None:
    """The Lease is given up at SIGTERM, and no tick is lost for more than 2 s beyond the interval; else for 6 s."""
    both_ready(operator)
    first = start(namespace)
    with (
        Record(namespace) as record,
        Traffic("app", namespace, rate=20) as traffic,
        Watch(LEASES, ONE_LEASE) as lease,
        Pace() as pace,
    ):
        support.apply(deployment("v2", [{"setWeight": 50}, bake(300, 10_000)]), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second) and len(record.ticks()) >= 3, 60, "the canary does not bake")
        gap = survives(record, lambda: end_leader(operator, way))
        print(f"{way}: the longest time between two readings is {gap:.2f} s; the pace is {pace.slowest:.1f}")
        assert gap <= pace.stretched(INTERVAL + 2.0 if way == "delete" else 6.0)
        holders = [seen.object["spec"].get("holderIdentity") or "" for seen in lease.seen]
        changes = [name for name, _ in itertools.groupby(holders)]
        assert len({*changes} - {""}) == 2, changes
        if way == "delete":
            assert changes[1] == "", "the Lease was not given up"
        assert [step["index"] for step in record.steps(second)] == [0, 1]
    assert not traffic.failed()


def end_leader(operator: Operator, way: str) -> None:
    """End the leader's process."""
    if way == "kill -9":
        kill_leader(operator)
        return
    options = ["--force", "--grace-period=0"] if way == "delete --force" else []
    kubectl("delete", "pod", leader(), "--wait=false", *options, namespace=SYSTEM)


def survives(record: Record, end: Callable[[], object]) -> float:
    """End the leader in mid-rollout; returns the longest time between two readings until another has made five."""
    before, last = holder(), len(record.ticks())
    end()
    wait_for(lambda: holder() not in ("", before), 60, "nobody leads", every=0.1)
    at = len(record.ticks())
    wait_for(lambda: len(record.ticks()) >= at + 5, 60, "no readings by the new leader")
    ticks = record.ticks()[max(last - 2, 0) :]
    return max((later - earlier).total_seconds() for earlier, later in itertools.pairwise(ticks))


def denied_status(record: Record, outcome: str) -> AbstractContextManager[None]:
    """Have the API server refuse every status that tells of this outcome, and no other, in the record's namespace."""
    allowed = f"object.?status.?rollout.?outcome.orValue('') != '{outcome}'"
    refused = {"status": {"rollout": {"outcome": outcome}}}
    return support.denied_statuses(f"no-{outcome.lower()}", record.namespace, allowed, refused)


def _changes(weights: list[tuple[float, int, int]]) -> list[tuple[float, int, int]]:
    """The entries at which the weight differs from the one before."""
    return [one for before, one in zip([(0.0, 0, -1), *weights], weights, strict=False) if one[2] != before[2]]


def _errors(traffic: Traffic) -> list[tuple[str, str]]:
    return [("stream" if one.stream else "JSON", one.error[:60]) for one in traffic.failed()][:20]
