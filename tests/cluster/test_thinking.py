"""Conversations with signed thinking, over all that happens to a rollout: none meets another model's signature
but after the rollback."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.cluster import support
from tests.cluster.pace import Pace
from tests.cluster.record import Record
from tests.cluster.replicas import kill
from tests.cluster.rollouts import INTERVAL, annotate, bake, begun, deployment, start
from tests.cluster.support import wait_for
from tests.cluster.talks import Talks
from tests.cluster.test_peers import know_one_another

pytestmark = pytest.mark.usefixtures("operator")

FIRST, SECOND = "claude-haiku-5-5", "claude-sonnet-5-5"
UNTIL_TOLD = [{"setWeight": 20}, bake(5), {"setWeight": 50}, {"pause": {}}]
_MARGIN = 0.5  # seconds, on an idle machine, around a change that do not count: a turn chooses its arm after it begins


def content(model: str, prompt: str) -> dict[str, Any]:
    """A request that thinks; the rest of the spec is the same for all."""
    analysis = {"interval": f"{INTERVAL:g}s", "toleratedIncrease": "100%"}
    return {
        "request": {
            "model": model,
            "max_tokens": 64,
            "system": [{"type": "text", "text": prompt}],
            "thinking": {"type": "adaptive"},
        },
        "gateway": {"replicas": 3},
        "strategy": {"canary": {"steps": UNTIL_TOLD, "drain": {"maxAge": "10m"}, "analysis": analysis}},
    }


def put_on_trial(namespace: str, record: Record, besides: str, spec: dict[str, Any]) -> str:
    """Put a revision on trial; returns its name."""
    support.apply(deployment("", **spec), namespace)
    return begun(record, besides)


def half(record: Record, name: str) -> None:
    """Wait until the revision gets half of what begins."""
    wait_for(lambda: record.at(3, name), 120, "the canary does not get half")


def kill_one(record: Record) -> None:
    """Have the kubelet start one gateway again, and wait until it knows what the others do."""
    wait_for(lambda: know_one_another(record, 3), 60, "the gateways do not know one another")
    kill(record.pods.alive[min(record.pods.alive)])
    time.sleep(2.0)
    wait_for(lambda: know_one_another(record, 3), 90, "it did not learn what the others know")


def answered(talks: Talks, turns: int) -> None:
    """Wait until each has had so many more answers."""
    before = [sum(bool(name) for _, name in talk.turns) for talk in talks.all]
    wait_for(
        lambda: all(
            sum(bool(name) for _, name in talk.turns) >= was + turns
            for talk, was in zip(talks.all, before, strict=True)
        ),
        60,
    )


def test_thinking_meets_its_own_model_until_a_rollback(namespace: str) -> None:
    first = start(namespace, **content(FIRST, "v1"))
    with Record(namespace) as record, Talks(namespace, 0, 8) as old, Pace() as pace:
        second = put_on_trial(namespace, record, first, content(SECOND, "v2"))
        with Talks(namespace, 100, 30) as early:  # who begins now is drawn, so that the canary has requests
            half(record, second)
            with Talks(namespace, 200, 20) as late:
                kill_one(record)
                answered(late, 3)
                annotate(namespace, "promote", f"{second}/1/3")
                wait_for(lambda: record.status["stableRevision"] == second, 60, "not promoted", every=0.05)
                for talks in (old, early, late):
                    answered(talks, 3)
        for talk in (*old.all, *early.all, *late.all):
            assert not talk.foreign, (talk.number, talk.named)
            assert len({name for _, name in talk.turns if name}) == 1, (talk.number, talk.named, talk.turns)
        assert {name for talk in late.all for _, name in talk.turns if name} == {first, second}

        third = put_on_trial(namespace, record, second, content(FIRST, "v3"))
        with Talks(namespace, 300, 30) as last:
            half(record, third)
            answered(last, 3)
            aborted = time.time()
            annotate(namespace, "abort", f"{third}/1")
            wait_for(lambda: record.rollout.get("outcome") == "Aborted", 60, "not aborted", every=0.05)
            answered(last, 4)
        on_canary = [talk for talk in last.all if third in {name for _, name in talk.turns}]
        assert on_canary
        for talk in last.all:
            assert talk.turns[-1][1] == second
            assert not [at for at in talk.foreign if at < aborted - pace.stretched(_MARGIN)]
            # The first turn after the rollback is refused, and what the client then leaves out is not missed.
            assert len(talk.foreign) == (1 if talk in on_canary else 0), (talk.number, talk.named)
    for talks in (old, early, late, last):
        lost = [error for talk in talks.all for error in talk.errors if "HTTP Error" in error]
        assert not lost  # a connection that a killed gateway had may break; the next turn goes on
