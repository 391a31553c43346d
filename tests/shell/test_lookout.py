"""What wakes the leader: lists at once and every few minutes, often while the watches see nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import pytest
from tests.shell.fakes import FakeKube, now, run
from tests.shell.rig import deployment

from claude_operator.kube.client import KubeError
from claude_operator.kube.resources import CLAUDE_DEPLOYMENTS
from claude_operator.shell.handlers import WATCHED
from claude_operator.shell.keys import DEPLOYMENT, RUN, Key
from claude_operator.shell.lookout import CannotSee, Lookout
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.sight import LONGEST, Sight

KEY = Key(DEPLOYMENT, "demo", "support")
NO = KubeError(503, "ServiceUnavailable", "try later")
PATH = CLAUDE_DEPLOYMENTS.path()


class Added:
    """Stands for the queue: what was put into it, and when."""

    def __init__(self) -> None:
        self.keys: list[tuple[float, Key, float]] = []
        self.urgent: dict[Key, bool] = {}
        self.kept: set[Key] = set()

    def add(self, key: Key, after: float = 0.0) -> None:
        self.keys.append((now(), key, after))

    def rank(self, key: Key, *, urgent: bool) -> None:
        self.urgent[key] = urgent

    def keep_only(self, live: Collection[Key]) -> None:
        self.kept = set(live)


class Scene:
    """A lookout over one ClaudeDeployment and one ClaudeEvalRun, without kopf."""

    def __init__(self) -> None:
        self.kube, self.queue, self.live = FakeKube(), Added(), list[set[str]]()
        self.looked: list[tuple[Key, str]] = []
        self.models = 0
        self.kube.put(deployment())
        run_ = {"apiVersion": "claudeops.dev/v1alpha1", "kind": RUN, "spec": {}}
        self.kube.put({**run_, "metadata": {"name": "r", "namespace": "demo"}, "status": {"phase": "Passed"}})
        self.lookout = Lookout(
            self.kube,  # type: ignore[arg-type]
            self.queue,  # type: ignore[arg-type]
            Metrics(),
            child_changed=lambda key, *_: self.looked.append(key),
            is_own=lambda uid, version: False,
            models_changed=self._model,
            forget=self.live.append,
        )
        self.lookout.sight = Sight(WATCHED, now)

    def _model(self) -> None:
        self.models += 1

    def see(self) -> None:
        for one in WATCHED:
            self.lookout.sight.answered(one.path(), 200)

    def edit(self, generation: int) -> None:
        body = self.kube.take("ClaudeDeployment", "support")
        body["spec"]["gateway"] = {"replicas": generation}
        self.kube.put(body)


def in_virtual_time(main: Callable[[Scene], Any]) -> None:
    async def whole() -> None:
        await main(Scene())

    run(whole())


def test_everything_is_listed_at_once_and_every_five_minutes_spread_over_a_while() -> None:
    async def main(it: Scene) -> None:
        task, began = asyncio.create_task(it.lookout.relist()), now()
        for _ in range(60):
            await asyncio.sleep(5.02)
            it.see()
        assert {key for at, key, after in it.queue.keys if at == began and after == 0} == {KEY, Key(RUN, "demo", "r")}
        later = [after for at, _, after in it.queue.keys if at == began + 300]
        assert len(later) == 2
        assert all(0 <= after <= 30 for after in later)
        assert it.live == [{it.kube.take("ClaudeDeployment", "support")["metadata"]["uid"]}] * 2
        assert it.queue.urgent == {KEY: False}
        task.cancel()

    in_virtual_time(main)


@pytest.mark.parametrize(
    ("status", "urgent"),
    [
        ({"rollout": {"revision": "r", "attempt": 1}}, True),
        ({"rollout": {"revision": "r", "attempt": 1, "outcome": "Promoted"}}, False),
        ({"soak": {"revision": "r"}}, True),
        ({}, False),
    ],
)
def test_live_canaries_and_soaks_are_urgent(status: dict[str, Any], urgent: bool) -> None:
    async def main(it: Scene) -> None:
        it.kube.put({**it.kube.take("ClaudeDeployment", "support"), "status": status})
        task = asyncio.create_task(it.lookout.relist())
        await asyncio.sleep(1)
        assert it.queue.urgent == {KEY: urgent}
        task.cancel()

    in_virtual_time(main)


def test_a_list_that_fails_forgets_nothing_and_is_tried_again() -> None:
    async def main(it: Scene) -> None:
        left = [2]

        def refuse(verb: str, kind: str, name: str) -> None:
            if kind == RUN and left[0]:
                left[0] -= 1
                raise NO

        it.kube.before = refuse
        task = asyncio.create_task(it.lookout.relist())
        await asyncio.sleep(3.9)
        assert (it.queue.keys, it.live) == ([], [])
        await asyncio.sleep(0.2)
        assert {key for _, key, _ in it.queue.keys} == {KEY, Key(RUN, "demo", "r")}
        task.cancel()

    in_virtual_time(main)


def test_while_the_watches_are_blind_edits_are_found_by_lists_and_nothing_else_is_woken() -> None:
    async def main(it: Scene) -> None:
        task = asyncio.create_task(it.lookout.relist())
        await asyncio.sleep(1)
        it.see()
        it.lookout.sight.failed(PATH, "no answer")
        await asyncio.sleep(20)
        assert it.lookout.blind_seconds() == pytest.approx(20)
        it.queue.keys.clear()
        await asyncio.sleep(30)
        assert it.queue.keys == []
        it.edit(2)
        await asyncio.sleep(5.1)
        assert {key for _, key, _ in it.queue.keys} == {KEY}
        it.queue.keys.clear()
        it.see()  # once more, all of it: what happened to children is in no list
        await asyncio.sleep(5.1)
        assert {key for _, key, _ in it.queue.keys} == {KEY, Key(RUN, "demo", "r")}
        task.cancel()

    in_virtual_time(main)


def test_who_can_neither_watch_nor_list_leads_no_longer() -> None:
    async def main(it: Scene) -> None:
        task = asyncio.create_task(it.lookout.relist())
        await asyncio.sleep(1)
        it.see()

        def refuse(verb: str, kind: str, name: str) -> None:
            raise NO

        it.kube.before = refuse
        await asyncio.sleep(10)  # a list may fail for a while
        assert not task.done()
        it.lookout.sight.failed(PATH, "the API server answers 403")
        began = now()
        with pytest.raises(
            CannotSee, match=r"ClaudeDeployment have not been seen for 1\d s: the API server answers 403"
        ):
            await task
        assert 15 <= now() - began <= 22

    in_virtual_time(main)


def test_what_kopf_says_goes_over_to_the_loop_and_after_its_end_nowhere() -> None:
    scenes: list[Scene] = []

    async def main() -> None:
        it = Scene()
        scenes.append(it)
        changes = it.lookout._changes
        it.lookout.known = {KEY, Key(DEPLOYMENT, "elsewhere", "x"), Key(RUN, "demo", "r")}
        owner = {"apiVersion": "claudeops.dev/v1alpha1", "kind": DEPLOYMENT, "name": "support", "controller": True}
        child = {"metadata": {"name": "c", "namespace": "demo", "ownerReferences": [owner]}}
        await asyncio.to_thread(changes.child, "MODIFIED", "Service", child)
        await asyncio.to_thread(changes.eval_set, {"metadata": {"name": "s", "namespace": "demo"}})
        await asyncio.to_thread(changes.owned, child)
        await asyncio.to_thread(changes.model, {})
        await asyncio.sleep(0.01)

    asyncio.run(main())
    (it,) = scenes
    assert [key for _, key, _ in it.queue.keys] == [KEY, KEY]
    assert (it.looked, it.models) == ([KEY], 1)
    it.lookout._changes.model({})  # kopf's thread outlives the loop
    it.lookout._changes.eval_set({"metadata": {"name": "s", "namespace": "demo"}})


def test_sight() -> None:
    clock = [0.0]
    sight = Sight(WATCHED, lambda: clock[0])
    clock[0] = LONGEST + 8.0
    assert sight.blind() is None  # one may be just beginning anew
    clock[0] += 2.0
    found = sight.blind()
    assert found is not None
    assert (found.seconds, found.why) == (2.0, "its watch is silent")
    for one in WATCHED:
        sight.answered(one.path(), 200)
    assert sight.blind() is None
    sight.answered(PATH, 403)
    sight.answered("/version", 500)  # none of ours
    clock[0] += 3.0
    sight.failed(PATH, "no answer (TimeoutError)")
    clock[0] += 1.0
    found = sight.blind()
    assert str(found) == "changes of ClaudeDeployment have not been seen for 4 s: no answer (TimeoutError)"
    sight.answered(PATH, 200)
    assert sight.blind() is None
    sight.ended("kopf has ended")
    clock[0] += 6.0
    found = sight.blind()
    assert found is not None
    assert (found.seconds, found.why) == (6.0, "kopf has ended")
