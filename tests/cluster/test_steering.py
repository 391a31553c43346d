"""What clients see of the arms on a real cluster, and that all pods draw a conversation alike."""

from __future__ import annotations

import pytest
from tests.cluster import support
from tests.cluster.record import Record
from tests.cluster.rollouts import begun, deployment, scenario, start
from tests.cluster.support import wait_for
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")

HALF = [{"setWeight": 50}, {"pause": {}}]


def test_all_pods_draw_a_conversation_alike_and_its_arm_is_told_only_where_it_may_be(namespace: str) -> None:
    scenario()
    first = start(namespace)
    with Record(namespace) as record:
        support.apply(deployment("v2", HALF), namespace)
        second = begun(record, first)
        wait_for(lambda: record.at(1, second), 60, "the weight is not served")
        served: dict[str, set[str]] = {}
        # A connection for each call, so that the calls of a conversation go to both pods.
        with Traffic("app", namespace, rate=20, keep_alive=False, sessions=20) as traffic:
            wait_for(lambda: len(traffic.answers) >= 200, 60, "no answers")
        assert not traffic.failed()
        for answer in traffic.answers:
            served.setdefault(answer.session, set()).add(answer.revision)
        assert {len(revisions) for revisions in served.values()} == {1}
        assert set().union(*served.values()) == {first, second}

        support.apply(deployment("v2", HALF, gateway={"replicas": 2, "exposeRevision": False}), namespace)
        with Traffic("app", namespace, rate=20, keep_alive=False) as traffic:
            wait_for(lambda: _says_nothing(traffic), 90, "answers still tell their arm")
        assert not traffic.failed()


def _says_nothing(traffic: Traffic) -> bool:
    """Whether the newest answers tell neither revision nor arm, and are enough to come from both pods."""
    newest = traffic.answers[-40:]
    return len(newest) == 40 and {(answer.revision, answer.arm) for answer in newest} == {("", "")}
