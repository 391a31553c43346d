"""What a healthy canary does while nothing is known of it: no traffic, or gateways that do not answer the operator."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
from tests.cluster import support
from tests.cluster.record import Record
from tests.cluster.replicas import both_ready
from tests.cluster.rollouts import bake, begun, deployment, errs, scenario, start
from tests.cluster.support import Operator, wait_for
from tests.cluster.traffic import Traffic

LENGTH = 40.0  # seconds of silence, more than twice as long as the bake
STEPS = [{"setWeight": 50}, bake(15, 20)]  # over in the middle of the silence, were it not for that


def test_without_traffic_nothing_moves(operator: Operator, namespace: str) -> None:
    first = start(namespace)
    with Record(namespace) as record:
        with Traffic("app", namespace, rate=20):
            support.apply(deployment("v2", STEPS), namespace)
            second = begun(record, first)
            wait_for(lambda: record.at(1, second), 60, "the canary does not bake")
            wait_for(lambda: record.status["step"]["requests"] >= 20, 60, "the canary is not judged")
        silent = time.monotonic()
        wait_for(lambda: record.condition("CanaryHealthy")["reason"] == "NoTraffic", 30, "the silence is not told")
        assert record.condition("CanaryHealthy")["status"] == "Unknown"
        assert "no request on either arm" in record.condition("CanaryHealthy")["message"]
        nothing_moves(record, second, silent + LENGTH, "NoTraffic")
        assert "so there is nothing to judge" in record.condition("Promoted")["message"]
        goes_on(record, namespace, second)


@pytest.mark.alone  # it replaces operators that were killed
@pytest.mark.skipif(
    "project's own" not in os.environ.get("CLAUDE_OPERATOR_CLUSTER", ""), reason="needs the cluster's own iptables"
)
def test_without_an_answer_of_the_gateways_nothing_moves(operator: Operator, namespace: str) -> None:
    """Packets from the operator's pods to the admin ports are dropped; then those to one pod: harm is seen still."""
    both_ready(operator)
    first = start(namespace)
    pods = {pod["status"]["podIP"] for pod in operator.pods()}
    with Record(namespace) as record, Traffic("app", namespace, rate=20, keep_alive=False) as traffic:
        support.apply(deployment("v2-unheard", [*STEPS, bake(300)]), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second), 60, "the canary does not bake")
        wait_for(lambda: record.status["step"]["requests"] >= 20, 60, "the canary is not judged")
        with dropped(pods, addresses(record)):
            silent = time.monotonic()
            wait_for(lambda: record.condition("CanaryHealthy")["reason"] == "MetricsUnreachable", 30, "it is not told")
            assert record.condition("CanaryHealthy")["status"] == "Unknown"
            told = time.time()
            nothing_moves(record, second, silent + LENGTH, "MetricsUnreachable")
            unseen = [one for one in traffic.since(told) if one.revision == second]
            assert "do not answer" in record.condition("Promoted")["message"]
            judged = record.status["judgement"]["requests"]
        wait_for(lambda: record.at(2, second), 60, "it does not go on")
        assert record.condition("CanaryHealthy")["status"] == "True"
        # What the canary did meanwhile was counted by the gateways and is judged now.
        assert record.status["judgement"]["requests"] - judged >= 0.8 * len(unseen) > 0
        assert not traffic.failed()

        with dropped(pods, addresses(record)[:1]):
            scenario(errs("v2-unheard", 0.5))
            harmed = time.monotonic()
            wait_for(lambda: record.rollout.get("outcome") == "RolledBack", 60, "harm at one pod is not seen")
            print(
                f"with one of two gateways silent: rolled back {time.monotonic() - harmed:.1f} s after the harm began"
            )
            assert record.rollout["reason"] == "ErrorsIncreased"
    assert not traffic.failed(besides=[second])


def nothing_moves(record: Record, canary: str, until: float, reason: str) -> None:
    """Until a time of time.monotonic() the canary stays where it is, and Promoted says why once it has been told."""
    step = {key: record.status["step"][key] for key in ("index", "weight", "startedAt")}
    wait_for(lambda: record.condition("Promoted")["reason"] == reason, 10, "Promoted does not say why")
    begun, generation = time.time(), record.config["generation"]
    while time.monotonic() < until:
        time.sleep(0.5)
        assert {key: record.status["step"][key] for key in step} == step
        assert (record.status["canaryRevision"], record.config["generation"]) == (canary, generation)
    said = {
        (condition["type"], condition["status"], condition["reason"])
        for at, status in record.statuses()
        if at > begun
        for condition in status["conditions"]
        if condition["type"] in ("CanaryHealthy", "Promoted")
    }
    assert said <= {("CanaryHealthy", "Unknown", reason), ("Promoted", "Unknown", reason)}
    assert record.rollout.get("outcome") is None


def goes_on(record: Record, namespace: str, canary: str) -> None:
    """With traffic again the rollout comes to its good end."""
    with Traffic("app", namespace, rate=20) as traffic:
        wait_for(lambda: record.rollout.get("outcome"), 60, "it does not go on")
    assert record.rollout["outcome"] == "Promoted"
    assert record.status["stableRevision"] == canary
    assert not traffic.failed()


def addresses(record: Record) -> list[str]:
    """The gateway pods' addresses."""
    return [pod["status"]["podIP"] for pod in record.pods.alive.values()]


@contextmanager
def dropped(sources: Iterable[str], targets: Iterable[str]) -> Iterator[None]:
    """Have the node drop what these pods send to the admin ports of those; the kubelet's probes pass."""
    rules = [
        ("FORWARD", "-s", source, "-d", target, "-p", "tcp", "--dport", "9090", "-j", "DROP")
        for source in sources
        for target in targets
    ]
    done: list[tuple[str, ...]] = []
    try:
        for rule in rules:
            support.command("iptables", "--wait", "-I", *rule)
            done.append(rule)
        yield
    finally:
        for rule in done:
            support.command("iptables", "--wait", "-D", *rule)
