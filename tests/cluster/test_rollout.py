"""The main job on a real cluster: promotion without a failed request, and rollback on evidence."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from tests.cluster import support
from tests.cluster.pace import Pace
from tests.cluster.record import Record, moment
from tests.cluster.rollouts import (
    INTERVAL,
    annotate,
    bake,
    begun,
    deployment,
    errs,
    restarts,
    scenario,
    start,
)
from tests.cluster.support import get, kubectl, wait_for
from tests.cluster.traffic import Traffic

from claude_operator.api.gateway import BASIS_POINTS

pytestmark = pytest.mark.usefixtures("operator")

# Seconds, on an idle machine, before a change that do not count: a request chooses its arm a little after it begins,
# and what the API server stores is seen here a little after the gateways have it.
_MARGIN = 0.3


def binomial_interval(trials: int, weight: int) -> tuple[int, int]:
    """The 99.9 % interval of the successes in `trials` at a chance of `weight` basis points, in whole numbers.

    The counts below it are less than 0.05 % likely together, and so are those above.
    """
    terms = [math.comb(trials, k) * weight**k * (BASIS_POINTS - weight) ** (trials - k) for k in range(trials + 1)]
    whole = BASIS_POINTS**trials

    def beyond(masses: list[int]) -> int:
        """How many of the outermost counts may be cut off."""
        sums = itertools.accumulate(masses)
        return sum(1 for _ in itertools.takewhile(lambda total: 2000 * total <= whole, sums))

    return beyond(terms), trials - beyond(terms[::-1])


def assert_split(record: Record, traffic: Traffic, canary: str, weights: list[int]) -> None:
    """At each weight, in percent and above 0, the canary's share of distinct conversations is what chance allows.

    Those count that began after every gateway had taken the weight over and before any took over the next.
    """
    configs = {config["generation"]: config for _, config in record.configs()}
    pods = set(record.pods.alive)
    seen = []
    for generation, config in sorted(configs.items()):
        shares = {arm["revision"]: arm["weight"] for arm in config["arms"]}
        weight = shares.get(canary, 0)
        if not weight:
            continue
        since, until = record.gateways.span(generation, pods)
        answers = traffic.between(since, until - _MARGIN)
        trials, hits = len({answer.session for answer in answers}), sum(one.revision == canary for one in answers)
        low, high = binomial_interval(trials, weight)
        print(f"at {weight / 100:g} %: {hits} of {trials} conversations on the canary, {low} to {high} expected")
        assert trials >= 50, f"too little traffic to tell at {weight / 100:g} %"
        assert low <= hits <= high
        seen.append(weight / 100)
    assert seen == weights


def test_promotes_a_good_revision_without_a_failed_request(namespace: str) -> None:
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic, Pace() as pace:
        wait_for(lambda: len(traffic.answers) > 20, 30)
        before = restarts(record)
        # So many canary requests that there is something to count at each weight, however slow the machine.
        steps = [{"setWeight": 10}, bake(5, 20), {"setWeight": 50}, bake(5, 100)]
        support.apply(deployment("v2", steps), namespace)
        second = begun(record, first)
        wait_for(lambda: record.rollout.get("outcome"), 180, "not promoted", every=0.05)
        record.served_everywhere()
        enough = len(traffic.answers) + 100
        wait_for(lambda: len(traffic.answers) > enough, 30)
        traffic.stop()
        wait_for(lambda: record.events("Promoted"), 20, "it is not told")
        assert record.status["stableRevision"] == second
        assert record.condition("Promoted")["status"] == "True"
        assert restarts(record) == before
    assert not traffic.failed()
    assert {(answer.stream, answer.revision) for answer in traffic.answers} == {
        (stream, revision) for stream in (False, True) for revision in (first, second)
    }
    first_weight, margin = min(at for at, _, weight in record.weights(second) if weight), pace.stretched(_MARGIN)
    assert not [one for one in traffic.answers if one.revision == second and one.at < first_weight - margin]
    assert_split(record, traffic, second, [10, 50, 100])
    assert [step["index"] for step in record.steps(second)] == [0, 1, 2, 3]
    assert len(record.events("Promoted")) == 1


def test_takes_the_traffic_back_from_a_revision_that_errs(namespace: str) -> None:
    """30 % of the canary's requests fail. Weight 0 is at every gateway an interval and 1 s after the telling tick."""
    scenario(errs("v2-bad"))
    first = start(namespace)
    untouched = get("clr", first, namespace=namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40) as traffic, Pace() as pace:
        wait_for(lambda: len(traffic.answers) > 20, 30)
        before = restarts(record)
        support.apply(deployment("v2-bad", [{"setWeight": 10}, bake(120, 1000)]), namespace)
        second = begun(record, first)
        wait_for(lambda: record.rollout.get("outcome"), 120, "no rollback", every=0.05)
        settled = record.served_everywhere()
        enough = len(traffic.answers) + 60
        wait_for(lambda: len(traffic.answers) > enough, 30)
        traffic.stop()
        wait_for(lambda: record.events("RolledBack"), 20, "it is not told")
        assert restarts(record) == before
        status = record.status
        tick = moment(status["judgement"]["lastTick"]).timestamp()
        zero = max(record.gateways.taken(settled).values())
        after = restarts(record)
    bad = sorted(answer.at for answer in traffic.answers if answer.error)
    served = [answer for answer in traffic.answers if answer.revision == second]
    print(
        f"weight 0 at every gateway {zero - tick:.2f} s after the telling tick, {zero - bad[0]:.2f} s after the first"
        f" bad answer; {len(bad)} of {len(served)} canary requests failed, of {len(traffic.answers)} in all"
    )
    assert zero - tick <= pace.stretched(INTERVAL + 1.0)
    ended = status["rollouts"][-1]
    assert (ended["revision"], ended["outcome"], ended["reason"]) == (second, "RolledBack", "ErrorsIncreased")
    assert moment(ended["finishedAt"]).timestamp() == pytest.approx(tick, abs=0.01)
    assert {weight for _, generation, weight in record.weights(second) if generation >= settled} == {0}
    assert not [answer for answer in traffic.between(zero, math.inf) if answer.revision != first]
    # Stable is as it was.
    assert status["stableRevision"] == first
    assert not traffic.failed(besides=[second])
    same = get("clr", first, namespace=namespace)
    assert (same["metadata"]["uid"], same["metadata"]["generation"], same["spec"], same["status"]) == (
        untouched["metadata"]["uid"], untouched["metadata"]["generation"], untouched["spec"], untouched["status"]
    )  # fmt: skip
    assert after == before
    assert support.condition(record.item, "Promoted")["reason"] == "RolledBack"
    assert support.condition(record.item, "CanaryHealthy")["reason"] == "ErrorsIncreased"
    assert len(record.events("RolledBack")) == 1


def test_people_and_newer_revisions_steer_a_rollout(namespace: str) -> None:
    """Supersede, abort, retry, paused, promote and new gateway pods in mid-rollout, all under traffic."""
    steps: list[dict[str, Any]] = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, bake(2)]
    first = start(namespace, steps=steps)
    with Record(namespace) as record, Traffic("app", namespace, rate=20) as traffic:
        support.apply(deployment("v2", steps), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second), 60, "v2 did not come to its pause")
        wait_for(lambda: record.condition("Promoted")["reason"] == "Paused", 20, "the pause is not told")
        assert f"claudeops.dev/promote={second}/1/1" in record.condition("Promoted")["message"]

        wait_for(lambda: traffic.by_revision()[second], 30, "v2 serves nobody")

        # A newer one supersedes: the canary goes to 0 before the new one gets anything.
        support.apply(deployment("v3", steps), namespace)
        third = wait_for(lambda: begun(record, second), 60)
        wait_for(lambda: record.at(1, third), 60, "v3 did not come to its pause")
        ended = record.status["rollouts"][-1]
        assert (ended["revision"], ended["outcome"]) == (second, "Superseded")
        gone = min(
            at for at, generation, weight in record.weights(second)[1:] if not weight and _later(record, at, second)
        )
        assert gone < min(at for at, _, weight in record.weights(third) if weight)

        # Abort, twice the same: the second one does nothing.
        annotate(namespace, "abort", f"{third}/1")
        wait_for(lambda: record.rollout.get("outcome") == "Aborted", 30, "not aborted")
        wait_for(lambda: record.weights(third)[-1][2] == 0, 30)
        assert record.condition("Promoted")["reason"] == "Aborted"
        assert record.status["stableRevision"] == first

        # Retry begins a new attempt; paused holds it, promote or not.
        annotate(namespace, "retry", f"{third}/1")
        wait_for(lambda: record.at(1, third) and record.rollout["attempt"] == 2, 60, "no second attempt")
        kubectl("patch", "cld", "app", "--type=merge", "-p", '{"spec":{"paused":true}}', namespace=namespace)
        wait_for(lambda: "spec.paused" in record.condition("Promoted")["message"], 30, "paused is not told")
        annotate(namespace, "promote", f"{third}/2/1")

        # New gateway pods meanwhile: one more, and then all of a new template.
        before = set(restarts(record))
        gateway = '{"spec":{"gateway":{"replicas":3,"resources":{"requests":{"cpu":"60m","memory":"96Mi"}}}}}'
        kubectl("patch", "cld", "app", "--type=merge", "-p", gateway, namespace=namespace)
        wait_for(lambda: record.condition("GatewayReady")["status"] == "False", 30, "no new pods")
        wait_for(
            lambda: record.condition("GatewayReady")["status"] == "True" and record.status["gateway"]["ready"] == 3,
            120,
            "the new pods do not serve",
        )
        assert not before & {
            pod["metadata"]["uid"] for pod in record.pods.alive.values() if "deletionTimestamp" not in pod["metadata"]
        }
        assert record.status["step"]["index"] == 1, "spec.paused did not hold"
        assert record.weights(third)[-1][2] == 2000

        # The promote of before stands: it was never handled.
        kubectl("patch", "cld", "app", "--type=merge", "-p", '{"spec":{"paused":false}}', namespace=namespace)
        wait_for(lambda: record.rollout.get("outcome") == "Promoted", 60, "not promoted")
        wait_for(lambda: traffic.answers[-1].revision == third, 30)
        traffic.stop()
        assert record.status["stableRevision"] == third
        assert [step["index"] for step in record.steps(third, 2)] == [0, 1, 2, 3]
        wait_for(lambda: record.events("Promoted"), 20, "it is not told")
        told = [reason for reason, _ in record.events("Superseded", "Aborted", "Retried", "Promoted", "RolledBack")]
    assert told == ["Superseded", "Aborted", "Retried", "Promoted"]
    assert not traffic.failed()
    assert {first, second, third} <= set(traffic.by_revision())


def _later(record: Record, at: float, revision: str) -> bool:
    """Whether a time is after this revision's first weight."""
    return at > min(when for when, _, weight in record.weights(revision) if weight)
