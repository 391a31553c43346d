"""Where the operator works, and what becomes of namespaces that it may not read."""

from __future__ import annotations

import logging

import pytest
from tests.shell.fakes import FakeKube, run
from tests.shell.rig import deployment

from claude_operator.kube.client import KubeError, Object
from claude_operator.kube.resources import CLAUDE_MODELS, NETWORK_POLICIES, Resource
from claude_operator.shell.handlers import WATCHED
from claude_operator.shell.lookout import Lookout
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.queue import WorkQueue
from claude_operator.shell.scope import Scope, ScopeChanged, view
from claude_operator.shell.sight import Sight

FORBIDDEN = KubeError(403, "Forbidden", "cannot list resource")


class Guarded(FakeKube):
    """An API server that refuses lists: by namespace, and where the kind is not of a namespace."""

    def __init__(self, **refusals: KubeError) -> None:
        super().__init__()
        self.refusals: dict[str | None, KubeError] = dict(refusals.items())
        self.listed: set[tuple[str, str | None]] = set()

    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str | None = None
    ) -> list[Object]:
        self.listed.add((resource.kind, namespace))
        if namespace in self.refusals:
            raise self.refusals[namespace]
        return await super().list(resource, namespace, label_selector=label_selector)


def scope_of(kube: FakeKube, *namespaces: str) -> tuple[Scope, list[int]]:
    away: list[int] = []
    return Scope(kube, view(namespaces), away.append), away  # type: ignore[arg-type]


def test_what_is_watched_is_what_there_are_rights_to() -> None:
    assert set(WATCHED) - set(view(network_policies=True).kinds) == set()
    assert set(WATCHED) - set(view().kinds) == {NETWORK_POLICIES}
    assert set(WATCHED) - set(view(["a"], network_policies=True).kinds) == {CLAUDE_MODELS}


def test_namespaces_are_asked_one_by_one_and_nothing_of_the_cluster() -> None:
    kube = Guarded()
    scope, away = scope_of(kube, "a", "b")
    run(scope.until_served(lambda why: None))
    assert {namespace for _, namespace in kube.listed} == {"a", "b"}
    assert "ClaudeModel" not in {kind for kind, _ in kube.listed}
    assert (scope.view.namespaces, away) == (("a", "b"), [0])


def test_one_that_is_forbidden_holds_up_no_other_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    kube = Guarded(b=FORBIDDEN)
    scope, away = scope_of(kube, "a", "b")
    run(scope.until_served(lambda why: None))
    assert (scope.view.namespaces, away) == (("a",), [1])
    assert [record.message for record in caplog.records] == [
        "ClaudeDeployments in some namespaces are left alone until they can be read"
    ]

    async def opened() -> None:
        kube.refusals.clear()
        await scope.keep()

    with pytest.raises(ScopeChanged, match="namespace b can be read now"):
        run(opened())


@pytest.mark.parametrize(
    "refusals",
    [{"a": FORBIDDEN, "b": FORBIDDEN}, {"a": KubeError(503, "ServiceUnavailable", "later")}],
    ids=["all are forbidden", "the server is away"],
)
def test_otherwise_it_waits_and_says_for_what(refusals: dict[str, KubeError]) -> None:
    """An empty list of namespaces would mean all of them."""
    kube, told = Guarded(**refusals), list[str | None]()
    scope, _ = scope_of(kube, "a", "b")

    def tell(why: str | None) -> None:
        told.append(why)
        if len(told) == 3:
            kube.refusals.clear()

    run(scope.until_served(tell))
    assert told[-1] is None
    assert all(why and "ClaudeDeployment: " in why for why in told[:3])
    assert scope.view.namespaces == ("a", "b")


def test_a_relist_and_sight_are_of_the_namespaces_too() -> None:
    async def keys() -> set[str]:
        kube = FakeKube()
        for namespace in ("a", "b", "c"):
            body = deployment()
            kube.put({**body, "metadata": {**body["metadata"], "namespace": namespace, "uid": namespace}})
        queue = WorkQueue(None, workers=1)  # type: ignore[var-annotated,arg-type]
        lookout = Lookout(
            kube,  # type: ignore[arg-type]
            queue,
            Metrics(),
            child_changed=lambda *_: None,
            is_own=lambda *_: False,
            models_changed=lambda: None,
            forget=lambda live: None,
            where=view(["a", "c"]),
        )
        await lookout._list(0.0, changed_only=False)
        return {key.namespace for key in lookout.known}

    assert run(keys()) == {"a", "c"}
    clock = [0.0]
    sight = Sight(view(["a"]).kinds, lambda: clock[0], namespaces=["a"])
    clock[0] = 100.0
    blind = sight.blind()
    assert blind is not None
    assert " in a have not been seen for " in str(blind)
