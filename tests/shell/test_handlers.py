"""Events into keys: which are dropped, which are not, and that kopf really brings them."""

from __future__ import annotations

import asyncio
import copy
from pathlib import Path
from typing import Any

import kopf
import pytest
from tests.shell.fakes import FakeKube
from tests.shell.rig import deployment
from tests.shell.served import served
from tests.waiting import until

from claude_operator.core import names
from claude_operator.shell.handlers import BODILESS, LABELS, WATCHED, Changes, make_registry
from claude_operator.shell.keys import DEPLOYMENT, RUN, Key, key_of, owner_key
from claude_operator.shell.sight import Sight
from claude_operator.shell.watches import Watches

KEY = Key(DEPLOYMENT, "demo", "support")


class Heard:
    """What the handlers called."""

    def __init__(self) -> None:
        self.added: list[Key] = []
        self.children: list[tuple[Key, str, str]] = []
        self.own: list[str] = []
        self.sets: list[str] = []
        self.models = 0
        self.changes = Changes(
            self.added.append,
            child_changed=self._child,
            set_changed=self.sets.append,
            models_changed=self._model,
            is_own=lambda uid, version: version in self.own,
        )

    def _child(self, key: Key, type_: str, kind: str, body: Any) -> None:
        assert type(body["metadata"].get("labels", {})) is dict  # to be compared with what is wanted
        self.children.append((key, type_, kind))

    def _model(self) -> None:
        self.models += 1


def stored(**metadata: Any) -> dict[str, Any]:
    body = deployment()
    known = {"uid": "u1", "generation": 1, "resourceVersion": "1", "annotations": {"a": "1"}, "labels": {"b": "1"}}
    body["metadata"] |= known | metadata
    return body


def owned(kind: str, *owners: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "x", "namespace": "demo", "ownerReferences": list(owners)}}


def owner(kind: str = DEPLOYMENT, name: str = "support", api: str = "claudeops.dev/v1alpha1", **more: Any) -> Any:
    return {"apiVersion": api, "kind": kind, "name": name, "uid": "u1", "controller": True} | more


def test_our_own_writes_of_the_status_alone_are_dropped() -> None:
    heard = Heard()
    heard.own = ["2", "3", "4", "5"]
    heard.changes.deployment("ADDED", stored())
    for version in range(2, 6):
        heard.changes.deployment("MODIFIED", stored(resourceVersion=str(version), managedFields=[{"time": version}]))
    heard.changes.deployment(None, stored(resourceVersion="5"))
    assert heard.added == [KEY]


def test_a_status_that_somebody_else_wrote_or_wiped_is_a_pass() -> None:
    heard = Heard()
    heard.own = ["3"]
    heard.changes.deployment("ADDED", stored())
    heard.changes.deployment("MODIFIED", stored(resourceVersion="2"))  # wiped
    heard.changes.deployment("MODIFIED", stored(resourceVersion="3"))  # and written again by us
    assert heard.added == [KEY] * 2
    heard.changes.deployment(None, stored(resourceVersion="4"))  # while nobody watched
    heard.changes.deployment("MODIFIED", stored(resourceVersion="4"))
    assert heard.added == [KEY] * 3


@pytest.mark.parametrize(
    "change",
    [
        {"generation": 2},
        {"annotations": {"a": "2"}},
        {"annotations": None},
        {"labels": {"b": "1", "c": "1"}},
        {"deletionTimestamp": "2026-11-24T10:00:00Z"},
    ],
)
def test_a_change_of_what_a_person_says_is_a_pass(change: dict[str, Any]) -> None:
    heard = Heard()
    heard.changes.deployment(None, stored())
    heard.changes.deployment("MODIFIED", stored(**change))
    heard.changes.deployment("MODIFIED", stored(**change))
    heard.changes.deployment("MODIFIED", stored())  # and back
    assert heard.added == [KEY] * 3


def test_what_was_never_seen_or_has_changed_since_the_last_list_is_a_pass() -> None:
    heard = Heard()
    heard.changes.deployment("MODIFIED", stored())
    heard.changes.deployment(None, stored())  # another list: nothing has changed
    assert heard.added == [KEY]
    heard.changes.deployment(None, stored(generation=2))  # while no watch was there
    heard.changes.deployment("DELETED", stored())
    heard.changes.deployment("MODIFIED", stored())
    heard.changes.deployment("ADDED", stored(uid="u2"))
    assert heard.added == [KEY] * 5


def test_owners_are_found_where_they_are_ours_and_control() -> None:
    assert owner_key(owned("Job", owner(RUN, "run"))) == Key(RUN, "demo", "run")
    assert owner_key(owned("Job", owner("Deployment", api="apps/v1"), owner())) == KEY
    assert owner_key(owned("Job", owner(api="claudeops.dev/v2"))) == KEY
    for none in (owner(controller=False), owner(api="other.dev/v1"), owner("ClaudeRevision")):
        assert owner_key(owned("Job", none)) is None
    assert owner_key({"metadata": {"name": "x", "namespace": "demo", "ownerReferences": None}}) is None
    lost = owned("Service", owner(controller=False))
    lost["metadata"]["labels"] = names.labels("support", "gateway")
    assert owner_key(lost) == KEY
    lost["metadata"]["ownerReferences"].append(owner("Rollout", api="argoproj.io/v1"))
    assert owner_key(lost) is None
    assert str(key_of(RUN, owned(RUN))) == "ClaudeEvalRun demo/x"


def test_a_run_wakes_its_own_loop_and_what_it_gates() -> None:
    heard = Heard()
    heard.changes.run(owned(RUN, owner()))
    heard.changes.run(owned(RUN))  # by hand
    assert heard.added == [Key(RUN, "demo", "x"), KEY, Key(RUN, "demo", "x")]


def test_children_sets_and_models_are_told() -> None:
    heard = Heard()
    heard.changes.child("DELETED", "Service", owned("Service", owner()))
    heard.changes.child("DELETED", "Deployment", owned("Deployment"))
    heard.changes.eval_set(owned("ClaudeEvalSet"))
    heard.changes.model({"metadata": {"name": "m"}})
    assert (heard.added, heard.children, heard.sets, heard.models) == (
        [],
        [(KEY, "DELETED", "Service")],
        ["demo"],
        1,
    )


def test_only_events_are_handled_so_that_kopf_writes_nothing() -> None:
    registry = make_registry(Heard().changes)
    assert registry._changing.get_all_handlers() == []
    assert registry._spawning.get_all_handlers() == []
    assert len(registry._watching.get_all_handlers()) == 15
    assert isinstance(registry, kopf.OperatorRegistry)


async def test_kopf_brings_every_kind_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    kube, heard = FakeKube(), Heard()
    kube.put(deployment())
    kube.put({"apiVersion": "claudeops.dev/v1alpha1", **owned("ClaudeEvalSet")})
    async with served(kube, tmp_path) as server:
        sight = Sight(WATCHED)
        ended: list[bool] = []
        watches = Watches(
            make_registry(heard.changes),
            sight,
            labels=LABELS,
            bodiless=BODILESS,
            on_end=lambda: ended.append(watches.alive),
        )
        watches.start()
        try:
            await until(lambda: len(server.watching) == 15 and heard.added == [KEY])
            assert heard.sets == []  # what was there is the relist's
            ours = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER}
            body = kube.take("ClaudeDeployment", "support")
            kube.put({**copy.deepcopy(body), "status": {"observedGeneration": 1}})
            kube.put({**body, "spec": {**body["spec"], "paused": True}})
            versions = {"Deployment": "apps/v1", "Job": "batch/v1", "Secret": "v1", "ConfigMap": "v1"}
            for kind, version in versions.items():
                child = {"apiVersion": version, **owned(kind, owner())}
                kube.put({**child, "metadata": {**child["metadata"], "labels": ours}})
                kube.put({**child, "metadata": {**child["metadata"], "name": "theirs"}})
            ours_too = {"apiVersion": "claudeops.dev/v1alpha1", **owned("ClaudeEvalSet")}
            kube.put({**ours_too, "metadata": {**ours_too["metadata"], "labels": {"a": "b"}}})
            kube.put({"apiVersion": "claudeops.dev/v1alpha1", **owned(RUN, owner())})
            kube.put({"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeModel", "metadata": {"name": "m"}})
            kube.put({"apiVersion": "claudeops.dev/v1alpha1", **owned("ClaudeRevision", owner())})
            kube.drop("ClaudeRevision", "x")
            await until(lambda: len(heard.added) >= 7 and len(heard.children) == 2)
            await until(lambda: bool(heard.sets and heard.models))
            await asyncio.sleep(0.1)
            # the list, a status that is not ours, the edit, the Job, the run and what it gates, the revision
            assert sorted(heard.added) == sorted([KEY] * 6 + [Key(RUN, "demo", "x")])
            # of ConfigMaps the gateways' alone, no ledger
            assert sorted(heard.children) == [(KEY, "ADDED", "Deployment"), (KEY, "ADDED", "Secret")]
            assert (heard.sets, heard.models) == (["demo"], 1)
            assert kube.writes == []
            assert {one.partition(" ")[0] for one in server.requests} == {"GET"}
        finally:
            watches.stop()
            assert await asyncio.to_thread(watches.join, 30.0)
    assert not watches.alive
    assert (watches.error, ended, sight.blind()) == (None, [False], None)
