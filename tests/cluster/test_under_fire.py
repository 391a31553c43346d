"""Two of the tries and three of the experiments of `make under-fire`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster import apps, faults, readiness, tries
from tests.cluster.rollouts import scenario, start
from tests.cluster.support import Operator


@pytest.fixture(scope="module")
def serving(operator: Operator) -> Iterator[str]:
    """The namespace of a ClaudeDeployment `app` that serves."""
    with apps.space("fire") as namespace:
        scenario()
        start(namespace)
        yield namespace


@pytest.mark.alone  # it breaks the leader and the API server
@pytest.mark.parametrize("kind", ["leader killed -9", "API server stopped for 20 s"])
def test_a_canary_that_fails_everything_is_never_promoted(operator: Operator, serving: str, kind: str) -> None:
    """It begins 2 s before its last bake ends, and nobody looks meanwhile: the Event counts all of it."""
    if not faults.of_own_cluster():
        pytest.skip("needs the project's own cluster, whose processes can be stopped")
    result = tries.attempt(1, kind, faults.KINDS[kind], operator, serving)
    print(tries.as_json(result))
    assert not result.broken
    assert result.outcome == "RolledBack"


@pytest.mark.alone  # it counts the seconds in which Ready is true
@pytest.mark.parametrize("name", ["a dead upstream", "an empty account", "stable's model retired"])
def test_ready_is_not_true_while_most_requests_fail(operator: Operator, name: str) -> None:
    """A condition and one Event name the cause, nobody is blamed for it, and the cure is let through."""
    with apps.space("ready") as namespace:
        result = readiness.run(name, namespace)
    print(tries.as_json(result))
    assert not result.broken
    assert result.failing > 5.0, "there was no outage"
