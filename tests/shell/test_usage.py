"""Usage is read beside the passes and kept in a ConfigMap: whatever ends, conflicts or is late, each count is one."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from tests.core.usage.readings import NOON, page, row, spent
from tests.shell.fakes import FakeKube, SetClock, run
from tests.shell.rig import KEY, NAME, SPACE

from claude_operator.core.operator_key import sign_usage
from claude_operator.core.usage.reading import PodUsage
from claude_operator.core.usage.state import Coverage, UsageState, decode
from claude_operator.kube.client import KubeError
from claude_operator.shell.gateway_view import Fleet
from claude_operator.shell.keys import Key
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.scrape import Peer
from claude_operator.shell.usage import UsageKeeper
from claude_operator.shell.usage_store import NameTaken, UsageStore

UID = "0b2f4d3e-0000-4000-8000-000000000001"
OWNER = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeDeployment",
    "metadata": {"name": NAME, "namespace": SPACE, "uid": UID},
}
MINUTE = dt.timedelta(minutes=1)


class Pods:
    """What each pod has counted; those that are not here do not answer."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.boots: dict[str, int] = {}
        self.silent: set[str] = set()
        self.asked: list[list[str]] = []

    async def read_usage(self, peers: Sequence[Peer]) -> list[PodUsage]:
        """As the Scraper does."""
        self.asked.append([peer.name for peer in peers])
        found = [peer.name for peer in peers if peer.name in self.calls and peer.name not in self.silent]
        return [page(pod, row(self.calls[pod], 0.5), boot=f"{pod}.{self.boots.get(pod, 0)}") for pod in found]


class Signing:
    """The operator's keys."""

    async def operator_keys(self) -> Callable[[str], bytes]:
        return lambda uid: f"key of {uid}".encode()

    async def signing_key(self, uid: str) -> bytes:
        return (await self.operator_keys())(uid)


class Bench:
    """A keeper on an API server in memory; `start` begins another process of the operator."""

    def __init__(self) -> None:
        self.kube, self.pods, self.clock = FakeKube(), Pods(), SetClock(NOON)
        self.leaving: set[str] = set()
        self.woken: list[Key] = []
        self.start()

    def start(self, **options: Any) -> None:
        kube: Any = self.kube
        store, add, metrics = UsageStore(kube, Signing()), self.woken.append, Metrics().usage
        self.keeper = UsageKeeper(store, self.pods, lambda: {UID: self.fleet}, self.clock, add, metrics, **options)

    @property
    def fleet(self) -> Fleet:
        peers = [Peer(pod, "10.0.0.1", pod not in self.leaving, b"key") for pod in sorted(self.pods.calls)]
        return Fleet(KEY, OWNER, peers, frozenset(self.leaving))

    async def read(self, *, whole: bool = True, later: dt.timedelta = MINUTE) -> float:
        self.clock.moment += later
        return await self.keeper.read(UID, self.fleet, whole=whole)

    @property
    def state(self) -> UsageState:
        found = self.keeper.state(UID)
        assert found is not None
        return found

    @property
    def stored(self) -> int:
        """Calls, as they are stored."""
        data = self.kube.take("ConfigMap", f"{NAME}-usage")["binaryData"]
        kept, fault = decode(data)
        assert not fault
        return spent(kept.spend).calls

    @property
    def writes(self) -> int:
        return len(self.kube.writes)


async def test_it_is_kept_in_a_configmap_of_the_deployments() -> None:
    bench = Bench()
    assert bench.keeper.state(UID) is None
    bench.pods.calls = {"a": 3, "b": 1}
    await bench.read()
    assert bench.stored == spent(bench.state.spend).calls == 4
    body = bench.kube.take("ConfigMap", f"{NAME}-usage")
    assert body["metadata"]["ownerReferences"][0]["uid"] == UID
    assert set(body["binaryData"]) == {"spend"}
    assert bench.state.coverage == Coverage(2)
    assert bench.woken == [KEY]


async def test_an_idle_deployment_writes_once_and_is_read_less_often() -> None:
    bench = Bench()
    bench.pods.calls = {"a": 0}
    waits = [await bench.read() for _ in range(8)]
    assert waits == [60.0] * 4 + [300.0] * 4
    assert (bench.writes, len(bench.woken)) == (1, 1)
    bench.pods.calls["a"] = 1
    assert await bench.read() == 60.0
    assert (bench.writes, bench.stored) == (2, 1)


async def test_an_operator_that_is_told_to_read_more_often_does() -> None:
    bench = Bench()
    bench.start(interval=10.0)
    bench.pods.calls = {"a": 1}
    assert await bench.read() == 10.0
    assert bench.state.interval == 10.0
    assert [await bench.read() for _ in range(5)][-1] == 50.0


async def test_another_operator_goes_on_where_the_last_one_wrote() -> None:
    bench = Bench()
    bench.pods.calls = {"a": 3}
    await bench.read()
    bench.pods.calls["a"] = 5
    bench.start()
    await bench.read()
    bench.start()
    await bench.read()
    assert bench.stored == 5


async def test_readings_of_pods_that_leave_do_not_make_it_idle() -> None:
    bench = Bench()
    bench.pods.calls = {"a": 1, "b": 1}
    await bench.read()
    bench.leaving = {"a"}
    for _ in range(8):
        await bench.read(whole=False, later=dt.timedelta(seconds=3))
    assert await bench.read() == 60.0


async def test_what_is_deleted_while_it_is_read_shows_no_metric() -> None:
    bench = Bench()
    bench.pods.calls = {"a": 1}
    await bench.read()
    (costs,) = bench.keeper._metrics._cost.collect()
    assert costs.samples
    read_usage = bench.pods.read_usage

    async def late(peers: Sequence[Peer]) -> list[PodUsage]:
        found = await read_usage(peers)
        bench.keeper.forget(set())
        return found

    bench.pods.read_usage = late  # type: ignore[method-assign]
    await bench.read()
    (costs,) = bench.keeper._metrics._cost.collect()
    assert not costs.samples


def test_what_is_deleted_before_its_reading_begins_stops_no_other() -> None:
    async def main() -> None:
        bench = Bench()
        bench.pods.calls = {"a": 1}
        task = asyncio.create_task(bench.keeper.run())
        await asyncio.sleep(0)  # its reading is planned, and has not begun
        bench.keeper.forget(set())
        await asyncio.sleep(5.0)
        assert not task.done()
        assert bench.stored == 1
        task.cancel()

    run(main())


async def test_a_write_that_is_lost_or_answered_late_counts_once() -> None:
    bench = Bench()
    bench.pods.calls = {"a": 3}
    await bench.read()
    bench.pods.calls["a"] = 5

    def refuse(verb: str, kind: str, name: str) -> None:
        if verb == "apply":
            raise KubeError(503, "ServiceUnavailable", "the server is away")

    bench.kube.before = refuse
    assert await bench.read() == 10.0
    assert bench.state.fault.startswith("what was used is not stored: ")
    assert (bench.stored, spent(bench.state.spend).calls) == (3, 5)
    bench.kube.before = lambda verb, kind, name: None
    woken = len(bench.woken)
    await bench.read()
    assert (bench.stored, bench.state.fault) == (5, "")
    assert len(bench.woken) == woken + 1  # status is to say so
    # The API server stores it, and nobody hears of that.
    bench.pods.calls["a"] = 9
    late = copy_of(bench)
    await bench.read()
    assert await late.read() == 60.0
    assert bench.stored == spent(late.state.spend).calls == 9


def copy_of(bench: Bench) -> Bench:
    """Another leader that has loaded what is stored, and does not know what happens next."""
    other = Bench()
    other.kube, other.pods, other.clock = bench.kube, bench.pods, bench.clock
    other.start()
    other.keeper._entries = {uid: entry_copy(entry) for uid, entry in bench.keeper._entries.items()}
    return other


def entry_copy(entry: Any) -> Any:
    import copy

    made = copy.copy(entry)
    made.pages = dict(entry.pages)
    return made


async def test_two_leaders_that_overlap_count_what_a_dead_pod_told_either_of_them_once() -> None:
    bench = Bench()
    bench.pods.calls = {"a": 3, "b": 1}
    await bench.read()
    old = copy_of(bench)
    bench.pods.calls |= {"a": 7, "b": 2}
    await old.read()  # the last thing that it does
    bench.pods.calls["b"] = 4
    del bench.pods.calls["a"]
    await bench.read()
    assert bench.stored == 11


async def test_a_pod_on_its_way_out_is_read_again_until_it_is_gone() -> None:
    bench = Bench()
    bench.pods.calls = {"a": 3, "b": 1}
    await bench.read()
    bench.leaving = {"a"}
    bench.pods.calls |= {"a": 6, "b": 2}
    await bench.read(whole=False)
    assert bench.pods.asked[-1] == ["a"]
    assert bench.stored == 7
    bench.pods.silent = {"a"}
    await bench.read()
    assert (bench.stored, bench.state.coverage) == (8, Coverage(1))


async def test_a_silent_pod_is_told() -> None:
    bench = Bench()
    bench.pods.calls, bench.pods.silent = {"a": 3, "b": 1, "c": 1}, {"c"}
    await bench.read()
    assert (bench.state.coverage, bench.state.coverage.pods) == (Coverage(2, ("c",)), 3)
    bench.pods.silent = set()
    await bench.read()
    assert bench.state.coverage == Coverage(3)
    assert len(bench.woken) == 2


async def test_what_was_read_long_ago_says_nothing_of_now() -> None:
    bench = Bench()
    bench.pods.calls = {"a": 3}
    await bench.read()
    bench.clock.moment += 15 * MINUTE
    bench.clock.skew = 7200.0  # a clock that people set is no reason
    assert bench.keeper.state(UID) is not None
    bench.clock.moment += MINUTE
    assert bench.keeper.state(UID) is None
    await bench.read()
    assert bench.keeper.state(UID) is not None


async def test_a_configmap_that_somebody_deletes_is_written_again_with_all_that_is_known() -> None:
    bench = Bench()
    bench.pods.calls = {"a": 3}
    await bench.read()
    bench.kube.drop("ConfigMap", f"{NAME}-usage")
    bench.pods.calls["a"] = 4
    await bench.read()
    assert bench.stored == 4


@pytest.mark.parametrize("how", ["deleted", "forged"])
async def test_while_no_calls_come_what_somebody_changes_is_written_again_too(how: str) -> None:
    bench = Bench()
    bench.pods.calls = {"a": 3}
    await bench.read()
    body = bench.kube.take("ConfigMap", f"{NAME}-usage")
    bench.kube.drop("ConfigMap", f"{NAME}-usage")
    if how == "forged":
        bench.kube.put({**body, "binaryData": {}})
    writes = bench.writes
    for _ in range(6):
        await bench.read()
    assert (bench.stored, bench.writes) == (3, writes + 1)
    bench.start()
    await bench.read()
    assert (bench.stored, bench.state.fault) == (3, "")


@pytest.mark.parametrize("data", ["AAAA", "no base64", "e30="])
async def test_what_cannot_be_read_is_told_and_begun_anew(data: str) -> None:
    bench = Bench()
    bench.pods.calls = {"a": 3}
    await bench.read()
    body = bench.kube.take("ConfigMap", f"{NAME}-usage")
    stored = {"spend": data}
    signature = sign_usage(await Signing().signing_key(UID), (SPACE, NAME), stored)
    bench.kube.put({**body, "binaryData": stored, "data": {"signature": signature}})
    bench.start()
    bench.pods.calls["a"] = 5
    await bench.read()
    assert bench.state.fault.startswith("the usage record had to begin again: spend: ")
    assert bench.stored == 5


@pytest.mark.parametrize("data", [{}, {"signature": "00"}, {"signature": "another deployment's"}])
async def test_who_may_write_configmaps_writes_no_costs(data: dict[str, str]) -> None:
    """They can only have the record begin anew, and only where an operator starts at that moment."""
    bench, rich = Bench(), Bench()
    for one, calls in ((bench, 3), (rich, 1_000_000)):
        one.pods.calls = {"a": calls}
        await one.read()
    forged = rich.kube.take("ConfigMap", f"{NAME}-usage")["binaryData"]
    if "signature" in data and data["signature"] != "00":
        data = {"signature": sign_usage(await Signing().signing_key(UID), (SPACE, "another"), forged)}
    for starts in (False, True):
        body = bench.kube.take("ConfigMap", f"{NAME}-usage")
        bench.kube.put({**body, "binaryData": forged, "data": data})
        if starts:
            bench.start()
        bench.pods.calls["a"] += 2
        await bench.read()
        assert bench.stored == spent(bench.state.spend).calls == bench.pods.calls["a"]
        said = f"the usage record had to begin again: the ConfigMap {NAME}-usage was not written by the operator"
        assert bench.state.fault == (said if starts else "")


async def test_a_configmap_of_somebody_else_is_left_alone() -> None:
    bench = Bench()
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{NAME}-usage", "namespace": SPACE}}
    bench.kube.put({**theirs, "data": {"mine": "yes"}})
    bench.pods.calls = {"a": 3}
    with pytest.raises(NameTaken, match=f"ConfigMap {NAME}-usage belongs to something else"):
        await bench.read()
    assert not bench.writes


async def test_what_an_earlier_deployment_of_the_name_left_is_adopted() -> None:
    bench = Bench()
    bench.pods.calls = {"a": 3}
    await bench.read()
    body = bench.kube.take("ConfigMap", f"{NAME}-usage")
    body["metadata"]["ownerReferences"][0]["uid"] = "an-earlier-one"
    bench.kube.put(body)
    bench.start()
    bench.pods.calls["a"] = 4
    await bench.read()
    assert bench.stored == 4
    assert bench.kube.take("ConfigMap", f"{NAME}-usage")["metadata"]["ownerReferences"][0]["uid"] == UID


def test_all_are_read_in_turn_and_again_when_the_day_ends() -> None:
    async def main() -> None:
        bench = Bench()
        bench.pods.calls = {"a": 1}
        bench.clock.moment = NOON.replace(hour=23, minute=59, second=30)
        task = asyncio.create_task(bench.keeper.run())
        for second in range(125):
            bench.pods.calls["a"] += 1
            if second == 10:
                bench.leaving = {"a"}
            if second == 20:
                bench.leaving = set()
            await asyncio.sleep(1.0)
            bench.clock.moment += dt.timedelta(seconds=1)
        task.cancel()
        days = bench.state.spend.days
        assert set(days) == {"2026-11-30", "2026-12-01"}
        assert spent(bench.state.spend, "2026-11-30").calls in (31, 32, 33)
        assert 6 <= len(bench.pods.asked) <= 9

    run(main())
