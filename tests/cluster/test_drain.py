"""Long conversations across a promotion: each stays on the revision that it began on until the drain is over."""

from __future__ import annotations

import time

import pytest
from tests.cluster import support
from tests.cluster.pace import Pace
from tests.cluster.record import Record, moment
from tests.cluster.rollouts import INTERVAL, bake, begun, deployment, start
from tests.cluster.support import wait_for
from tests.cluster.talks import Talks

pytestmark = pytest.mark.usefixtures("operator")

_MARGIN = 0.5  # seconds, on an idle machine, around a change that do not count: a turn chooses its arm after it begins


def arms(record: Record) -> dict[str, str]:
    """Revisions by their role in the config as last seen."""
    return {arm["role"]: arm["revision"] for arm in record.config["arms"]}


def without_former(record: Record) -> int:
    """The generation of the config once it has no former revision, else 0: the status is seen by another watch."""
    return 0 if "former" in arms(record) else int(record.config["generation"])


def test_conversations_of_before_a_promotion_stay_until_the_drain_is_over(namespace: str) -> None:
    """Three replicas; conversations with and without a name. None fails, and none changes twice."""
    steps = [{"setWeight": 30}, bake(5, 10), {"setWeight": 50}, bake(5, 10)]
    canary = {"steps": steps, "drain": {"maxAge": "30s"}}
    analysis = {"interval": f"{INTERVAL:g}s", "toleratedIncrease": "100%"}
    spec = {"gateway": {"replicas": 3}, "strategy": {"canary": {**canary, "analysis": analysis}}}
    first = start(namespace, **spec)
    with Record(namespace) as record, Talks(namespace, 0, 8) as old, Pace() as pace:
        support.apply(deployment("v2", **spec), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second), 60, "the canary does not bake", every=0.05)
        # Who begins now is drawn, so that the canary has requests to move on with: of 30 none in 2 of 100,000 runs.
        with Talks(namespace, 100, 30) as drawn:
            wait_for(lambda: record.rollout.get("outcome"), 180, "not promoted", every=0.05)
            assert record.status["stableRevision"] == second
            draining = record.status["draining"]
            assert draining["revision"] == first
            wait_for(lambda: arms(record) == {"stable": second, "former": first}, 30)
            generation = record.served_everywhere(3)
            promoted = max(record.gateways.taken(generation).values())
            with Talks(namespace, 200, 6) as new:
                until = moment(draining["until"]).timestamp()
                wait_for(lambda: not record.status.get("draining"), 90, "the drain did not end")
                over = wait_for(lambda: without_former(record), 20, "the config has the former revision still")
                assert over > generation
                wait_for(lambda: len(record.gateways.taken(over)) == 3, 20)
                moved = max(record.gateways.taken(over).values())
                assert moved >= until - _MARGIN
                time.sleep(5.0)
        wait_for(lambda: record.events("Drained"), 20, "the end of the drain is not told")
    margin = pace.stretched(_MARGIN)
    for talk in (*old.all, *drawn.all, *new.all):
        assert not talk.errors, (talk.number, talk.errors)
    assert old.revisions(0.0, until - margin) == {first}
    assert old.revisions(moved + _MARGIN, time.time()) == {second}
    assert new.revisions(promoted, time.time()) == {second}
    for talk in drawn.all:
        seen = [revision for at, revision in talk.turns if at <= until - margin]
        assert len(set(seen)) == 1, (talk.number, talk.named, seen)
    assert len(record.events("Draining")) == len(record.events("Drained")) == 1


def test_a_drain_is_cut_short_by_hand(namespace: str) -> None:
    """`maxAge: 0s` moves them at once, and loses no request."""
    spec = {"gateway": {"replicas": 3}}
    first = start(namespace, **spec)
    with Record(namespace) as record, Talks(namespace, 0, 4) as old, Pace() as pace:
        support.apply(deployment("v2", steps=[], **spec), namespace)
        wait_for(lambda: record.status.get("draining"), 90, "no drain began")
        second = record.status["stableRevision"]
        assert record.status["draining"]["revision"] == first
        wait_for(lambda: "former" in arms(record), 30)
        time.sleep(3.0)
        canary = deployment("v2", steps=[], **spec)["spec"]["strategy"]["canary"]
        changed = {**spec, "strategy": {"canary": {**canary, "drain": {"maxAge": "0s"}}}}
        began = time.time()
        support.apply(deployment("v2", **changed), namespace)
        wait_for(lambda: not record.status.get("draining"), 30, "the drain did not end")
        over = wait_for(lambda: without_former(record), 20, "the config has the former revision still")
        wait_for(lambda: len(record.gateways.taken(over)) == 3, 20)
        moved = time.time()
        time.sleep(3.0)
    assert not [error for talk in old.all for error in talk.errors]
    assert old.revisions(0.0, began - pace.stretched(_MARGIN)) <= {first}
    assert old.revisions(moved + _MARGIN, time.time()) == {second}
