"""A start among many objects: it leads throughout, and takes a canary back meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from tests.apiserver.client import Client
from tests.apiserver.process import Operator
from tests.apiserver.starts import measure

OBJECTS = 300  # 1,000 take minutes on two cores that also run the API server


def test_it_leads_throughout_and_takes_a_canary_back(
    admin: Client, namespace: str, operate: Callable[..., Operator]
) -> None:
    found = measure(admin, namespace, OBJECTS, operate, patience=180.0)
    print(found)  # how fast that is, `python -m bench.operator.start` measures
    assert (found.led_throughout, found.leaderships_lost) == (True, 0), found
