"""Who is drawn on a real cluster: conversations, whatever their clients say of their users."""

from __future__ import annotations

import pytest
from tests.cluster import support
from tests.cluster.pace import Pace
from tests.cluster.record import Record, moment
from tests.cluster.rollouts import INTERVAL, bake, begun, deployment, errs, scenario, start
from tests.cluster.support import wait_for
from tests.cluster.test_rollout import assert_split
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")


def test_one_user_id_for_everybody_is_split_by_the_weight(namespace: str) -> None:
    first = start(namespace)
    with Record(namespace) as record, Traffic("app", namespace, rate=40, user="tenant") as traffic:
        wait_for(lambda: len(traffic.answers) > 20, 30)
        steps = [{"setWeight": 10}, bake(5, 20), {"setWeight": 50}, bake(5, 100)]
        support.apply(deployment("v2", steps), namespace)
        second = begun(record, first)
        wait_for(lambda: record.rollout.get("outcome"), 180, "not promoted", every=0.05)
        record.served_everywhere()
        enough = len(traffic.answers) + 100
        wait_for(lambda: len(traffic.answers) > enough, 30)
        traffic.stop()
    assert not traffic.failed()
    assert_split(record, traffic, second, [10, 50, 100])


def test_one_user_id_for_everybody_does_not_hide_that_everything_fails(namespace: str) -> None:
    """The canary is taken back after about three bad conversations, as where each client is a user of its own."""
    scenario(errs("v2-broken", 1.0))
    first = start(namespace)
    with Pace() as pace, Record(namespace) as record, Traffic("app", namespace, rate=40, user="tenant") as traffic:
        wait_for(lambda: len(traffic.answers) > 100, 60)
        support.apply(deployment("v2-broken", [{"setWeight": 10}, bake(120, 1000)]), namespace)
        second = begun(record, first)
        wait_for(lambda: record.rollout.get("outcome"), 120, "no rollback", every=0.05)
        record.served_everywhere()
        traffic.stop()
        ended = record.status["rollouts"][-1]
        tick = moment(record.status["judgement"]["lastTick"]).timestamp()
    assert (ended["revision"], ended["outcome"]) == (second, "RolledBack")
    assert ended["reason"] in ("ErrorsIncreased", "EverythingFails")
    bad = sorted(answer.at for answer in traffic.answers if answer.error)
    assert not traffic.failed(besides=[second])
    print(
        f"{len(bad)} failed of {len(traffic.answers)}, {sum(at <= tick for at in bad)} of them until the telling tick"
    )
    # Three or four of them tell, so no earlier tick had seen more.
    assert sum(at <= tick - pace.stretched(INTERVAL + 1.0) for at in bad) <= 4
