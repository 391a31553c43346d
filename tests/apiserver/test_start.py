"""A start among many objects: it leads throughout, and takes a canary back meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from tests.apiserver.client import Client
from tests.apiserver.process import Operator
from tests.apiserver.server import ApiServer
from tests.apiserver.starts import measure
from tests.cluster.pace import IDLE, Pace

OBJECTS = 300  # 1,000 take minutes on two cores that also run the API server


MOST = 1.0  # seconds that anything may hold up a renewal of the Lease, which is lost after 3


def test_it_leads_throughout_and_takes_a_canary_back(
    server: ApiServer, admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    with Pace(server.kubectl) as pace:
        found = measure(admin, namespace, OBJECTS, operate, patience=180.0)
    print(found)  # how fast that is, `python -m bench.operator.start` measures
    assert found.longest_hold < MOST, found
    if found.longest_stall < MOST and pace.slowest * IDLE < MOST:  # else others kept it, or the server, from running
        assert (found.led_throughout, found.leaderships_lost) == (True, 0), found
