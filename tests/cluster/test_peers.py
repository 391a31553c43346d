"""Gateway pods that are killed and replaced during a rollout: what they know of conversations, the others know."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import pytest
from tests.cluster import support
from tests.cluster.record import Record
from tests.cluster.replicas import kill
from tests.cluster.rollouts import bake, begun, deployment, start
from tests.cluster.support import kubectl, wait_for
from tests.cluster.talks import Talk, Talks

pytestmark = pytest.mark.usefixtures("operator")

HALF = [{"setWeight": 50}, bake(600, 10**6)]


def gauges(pod: dict[str, Any]) -> dict[str, float]:
    """What a gateway pod says of its peers, empty where it does not answer."""
    address = (pod.get("status") or {}).get("podIP")
    try:
        with urllib.request.urlopen(f"http://{address}:9090/metrics", timeout=2) as answer:
            page = answer.read().decode()
    except (urllib.error.URLError, OSError, ValueError):
        return {}
    return {name: float(value) for name, value in re.findall(r"^claude_gateway_(\w+) (\S+)$", page, re.MULTILINE)}


def know_one_another(record: Record, count: int) -> bool:
    """Whether so many pods are each told of all others, reach them, and know all conversations."""
    found = [gauges(pod) for pod in list(record.pods.alive.values())]
    return len(found) == count and all(
        one.get("peers") == count - 1
        and one.get("silent_peers") == 0
        and one.get("conversations_complete_timestamp_seconds", 0.0) > 0
        for one in found
    )


def moved(talks: list[Talk]) -> list[tuple[int, list[str]]]:
    """Conversations that several revisions answered."""
    seen = {talk.number: sorted({revision for _, revision in talk.turns if revision}) for talk in talks}
    return [(number, revisions) for number, revisions in seen.items() if len(revisions) != 1]


def on_trial(namespace: str, record: Record, first: str, spec: dict[str, Any]) -> str:
    """Have a second revision get half of what begins."""
    support.apply(deployment("v2", HALF, **spec), namespace)
    second = begun(record, first)
    wait_for(lambda: record.at(1, second), 90, "the canary does not bake")
    return second


def test_no_conversation_moves_while_gateways_are_killed_and_replaced(namespace: str) -> None:
    spec = {"gateway": {"replicas": 3}}
    first = start(namespace, **spec)
    with Record(namespace) as record:
        second = on_trial(namespace, record, first, spec)
        with Talks(namespace, 0, 30) as talks:
            wait_for(lambda: know_one_another(record, 3), 60, "the gateways do not know one another")
            victim = min(record.pods.alive)
            time.sleep(1.0)  # all have been told who began what
            killed = time.time()
            kill(record.pods.alive[victim])  # the kubelet starts it again, with nothing in its memory
            wait_for(lambda: gauges(record.pods.alive[victim]).get("known_conversations", 0.0) < 30, 30, every=0.05)
            wait_for(lambda: know_one_another(record, 3), 90, "it did not learn what the others know")
            knows = time.time()
            kubectl("delete", "pod", victim, "--wait=true", "--timeout=120s", namespace=namespace)
            wait_for(lambda: victim not in record.pods.alive, 30)
            wait_for(lambda: know_one_another(record, 3), 90, "the new pod did not learn what the others know")
            time.sleep(5.0)  # of conversations that come to it too
    # Clients may still be sent to the container that has just been started. Until it has learned, it draws what it does
    # not know: docs/gateway.md says so, and such calls count as moved.
    for since, until in ((0.0, killed - 1.0), (knows, time.time())):
        parts = [cut(talk, since, until) for talk in talks.all]
        assert not moved([part for part in parts if any(revision for _, revision in part.turns)])
    assert len(moved(talks.all)) <= 10  # of 30, on three pods
    assert {revision for talk in talks.all for _, revision in talk.turns if revision} == {first, second}


def cut(talk: Talk, since: float, until: float) -> Talk:
    """Its turns that began in this time."""
    return replace(talk, turns=[(at, revision) for at, revision in talk.turns if since <= at <= until])


def test_a_single_gateway_hands_over_to_the_one_that_replaces_it(namespace: str) -> None:
    spec = {"gateway": {"replicas": 1}}
    first = start(namespace, **spec)
    with Record(namespace) as record:
        on_trial(namespace, record, first, spec)
        with Talks(namespace, 0, 30) as talks:
            time.sleep(3.0)
            (old,) = record.pods.alive
            kubectl("delete", "pod", old, "--wait=false", namespace=namespace)
            wait_for(lambda: old not in record.pods.alive, 120, "the old pod does not end")
            wait_for(lambda: know_one_another(record, 1), 90, "the new pod did not learn what the old one knew")
            answered = {talk.number: len(talk.turns) for talk in talks.all}
            wait_for(lambda: all(len(talk.turns) > answered[talk.number] + 3 for talk in talks.all), 60)
    assert not moved(talks.all)
