"""Who is drawn on a real cluster: conversations, whatever their clients say of their users."""

from __future__ import annotations

import pytest
from tests.cluster import support
from tests.cluster.record import Record
from tests.cluster.rollouts import bake, begun, deployment, start
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
        enough = len(traffic.answers) + 100
        wait_for(lambda: len(traffic.answers) > enough, 30)
        traffic.stop()
    assert not traffic.failed()
    assert_split(record, traffic, second, [10, 50, 100])
