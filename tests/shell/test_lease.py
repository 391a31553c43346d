"""Leader election: one at a time, whatever the network does, and the next one soon."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shell.fakes import Client, Store, now, run

from claude_operator.kube.client import KubeError
from claude_operator.kube.resources import LEASES
from claude_operator.shell.lease import Lease, LeaseLost

NAME, NAMESPACE = "claude-operator", "claude-system"
EPSILON = 0.01


def candidate(client: Client, identity: str, offset: float = 0.0, **durations: float) -> Lease:
    """A candidate on the running loop's time, with a clock that starts anywhere."""
    clock = asyncio.get_running_loop().time
    return Lease(
        client, name=NAME, namespace=NAMESPACE, identity=identity, clock=lambda: clock() + offset, **durations
    )  # fmt: skip


def spec(store: Store) -> dict[str, Any]:
    found = store.get(LEASES, NAME, NAMESPACE)
    assert found is not None
    return found["spec"]


def test_the_first_creates_it_and_renews_it() -> None:
    async def main() -> None:
        store, client = Store(), Client(Store())
        client.store = store
        lease = candidate(client, "a")
        assert not lease.leading
        await lease.acquire()
        assert lease.leading
        first = spec(store)
        assert first == {
            "holderIdentity": "a",
            "leaseDurationSeconds": 4,
            "acquireTime": first["renewTime"],
            "renewTime": first["renewTime"],
            "leaseTransitions": 0,
        }
        assert len(first["renewTime"]) == len("2026-11-24T10:00:00.000000Z")
        holding = asyncio.create_task(lease.hold())
        await asyncio.sleep(10.5)
        assert lease.leading
        assert client.calls == ["get", "create", *["replace"] * 10]
        assert (spec(store)["acquireTime"], spec(store)["leaseTransitions"]) == (first["acquireTime"], 0)
        holding.cancel()

    run(main())


def test_a_standby_takes_over_from_one_that_died() -> None:
    async def main() -> None:
        store = Store()
        first, second = candidate(Client(store), "a"), candidate(Client(store), "b", offset=-5e6)
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        holding = asyncio.create_task(first.hold())
        await asyncio.sleep(20.05)
        assert not waiting.done()
        holding.cancel()  # dies without a word, right after a renewal
        died = now()
        await waiting
        assert 3.0 < now() - died <= 4.0 + 0.3 + 0.3 + EPSILON
        assert not first.leading
        assert second.leading
        assert (spec(store)["holderIdentity"], spec(store)["leaseTransitions"]) == ("b", 1)

    run(main())


def test_a_released_lease_is_taken_at_the_next_look() -> None:
    async def main() -> None:
        store = Store()
        first, second = candidate(Client(store), "a"), candidate(Client(store), "b")
        await first.acquire()
        waiting = asyncio.create_task(second.acquire())
        await asyncio.sleep(1)
        await first.release()
        assert not first.leading
        assert (spec(store)["holderIdentity"], spec(store)["leaseDurationSeconds"]) == ("", 1)
        released = now()
        await waiting
        assert now() - released <= 0.3 + EPSILON
        assert (spec(store)["holderIdentity"], spec(store)["leaseDurationSeconds"]) == ("b", 4)
        await first.release()  # no longer its own: nothing to give up
        assert spec(store)["holderIdentity"] == "b"

    run(main())


@pytest.mark.parametrize("how", ["cut", "503", "403", "unreachable"])
def test_a_leader_without_the_api_stops_in_time(how: str) -> None:
    failures = {
        "503": KubeError(503, "ServiceUnavailable", "try later"),
        "403": KubeError(403, "Forbidden", "no Role"),
        "unreachable": KubeError(0, "Unreachable", "refused"),
    }

    async def main() -> None:
        client = Client(Store())
        lease = candidate(client, "a")
        await lease.acquire()
        holding = asyncio.create_task(lease.hold())
        await asyncio.sleep(5.05)  # the last renewal was at 5.0
        client.cut, client.failing = how == "cut", failures.get(how)
        began = now()
        why = {"cut": "no answer in time"}.get(how) or str(failures[how])
        with pytest.raises(LeaseLost, match=f"not renewed for 3 s: {re.escape(why)}"):
            await holding
        assert 2.5 < now() - began <= 3.0
        assert not lease.leading

    run(main())


def test_a_short_outage_is_survived() -> None:
    async def main() -> None:
        client = Client(Store())
        lease = candidate(client, "a")
        await lease.acquire()
        holding = asyncio.create_task(lease.hold())
        for _ in range(5):
            client.failing = KubeError(500, "InternalError", "etcd has no leader")
            await asyncio.sleep(1.7)
            client.failing = None
            await asyncio.sleep(2)
        assert lease.leading
        assert not holding.done()
        holding.cancel()

    run(main())


def test_a_foreign_touch_does_not_end_it_but_another_holder_does() -> None:
    async def main() -> None:
        store = Store()
        lease = candidate(Client(store), "a")
        await lease.acquire()
        holding = asyncio.create_task(lease.hold())
        touched = store.get(LEASES, NAME, NAMESPACE)
        assert touched is not None
        touched["metadata"]["annotations"] = {"note": "hello"}
        store.replace(LEASES, touched)
        await asyncio.sleep(2.5)
        assert lease.leading
        stolen = store.get(LEASES, NAME, NAMESPACE)
        assert stolen is not None
        assert stolen["metadata"]["annotations"] == {"note": "hello"}
        stolen["spec"]["holderIdentity"] = "thief"
        store.replace(LEASES, stolen)
        with pytest.raises(LeaseLost, match="thief holds it"):
            await holding

    run(main())


def test_a_deleted_lease_is_made_again() -> None:
    async def main() -> None:
        store = Store()
        lease = candidate(Client(store), "a")
        await lease.acquire()
        holding = asyncio.create_task(lease.hold())
        store.objects.clear()
        await asyncio.sleep(2.5)
        assert lease.leading
        assert spec(store)["holderIdentity"] == "a"
        holding.cancel()

    run(main())


def test_a_restarted_container_takes_its_own_lease_at_once() -> None:
    async def main() -> None:
        store = Store()
        await candidate(Client(store), "a").acquire()
        began = now()
        await candidate(Client(store), "a").acquire()
        assert now() == began
        assert spec(store)["leaseTransitions"] == 0

    run(main())


def test_an_answer_that_comes_late_does_not_make_a_leader() -> None:
    async def main() -> None:
        store = Store()
        client = Client(store)
        lease = candidate(client, "a")
        client.delay = lambda: 2.0  # beyond each call's own limit; the server does it nevertheless
        waiting = asyncio.create_task(lease.acquire())
        await asyncio.sleep(20)
        assert not lease.leading
        client.delay = lambda: 0.0
        await waiting
        assert lease.leading

    run(main())


def test_a_process_that_stood_still_does_not_lead() -> None:
    async def main() -> None:
        client, jump = Client(Store()), 0.0

        def stand_still() -> float:
            nonlocal jump
            jump += 1.6 if jump < 6 else 0.0  # on each way of a call
            return 0.0

        client.delay = stand_still
        clock = asyncio.get_running_loop().time
        lease = Lease(client, name=NAME, namespace=NAMESPACE, identity="a", clock=lambda: clock() + jump)
        await lease.acquire()
        assert lease.leading
        assert client.calls == ["get", "create", "replace"]  # the first write was answered too late to count
        jump += 3.0
        assert not lease.leading
        with pytest.raises(LeaseLost, match=r"not renewed for 3 s: the process was busy or stopped for [2-9]\.\d s"):
            await lease.hold()

    run(main())


def test_a_leader_that_was_busy_blames_itself_and_not_the_api() -> None:
    async def main() -> None:
        client, jump = Client(Store()), [0.0]
        clock = asyncio.get_running_loop().time
        lease = Lease(client, name=NAME, namespace=NAMESPACE, identity="a", clock=lambda: clock() + jump[0])
        await lease.acquire()
        holding = asyncio.create_task(lease.hold())
        await asyncio.sleep(2.5)
        jump[0] += 5.0  # the loop did something else for so long
        with pytest.raises(LeaseLost, match=r"not renewed for 3 s: the process was busy or stopped for [45]\.\d s"):
            await holding
        assert lease.complaint == ""

    run(main())


def test_a_standby_is_well_again_when_an_outage_is_over() -> None:
    async def main() -> None:
        store = Store()
        client = Client(store)
        first, second = candidate(Client(store), "a"), candidate(client, "b")
        await first.acquire()
        holding = asyncio.create_task(first.hold())
        waiting = asyncio.create_task(second.acquire())
        client.failing = KubeError(503, "ServiceUnavailable", "away")
        await asyncio.sleep(5)
        assert "away" in second.complaint
        client.failing = None
        await asyncio.sleep(1)
        assert second.complaint == ""
        assert first.leading and not second.leading
        for task in (holding, waiting):
            task.cancel()

    run(main())


def test_leave_to_write_ends_with_the_lease() -> None:
    async def main() -> None:
        client = Client(Store())
        lease = candidate(client, "a")
        with pytest.raises(LeaseLost, match="nothing more is written"):
            lease.check()
        await lease.acquire()
        lease.check()
        await asyncio.sleep(3.1)  # nobody renews it
        with pytest.raises(LeaseLost):
            lease.check()

    run(main())


def test_hold_needs_acquire_first_and_an_outage_at_release_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        client = Client(Store())
        lease = candidate(client, "a")
        with pytest.raises(LeaseLost):
            await lease.hold()
        await lease.acquire()
        client.cut = True
        began = now()
        await lease.release()
        assert now() - began < 1.5

    with caplog.at_level(logging.WARNING):
        run(main())
    assert [record.message for record in caplog.records] == ["the Lease was not released"]


def test_trouble_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        client = Client(Store())
        client.failing = KubeError(403, "Forbidden", "leases is forbidden")
        waiting = asyncio.create_task(candidate(client, "a").acquire())
        await asyncio.sleep(30)
        client.failing = None
        await waiting

    with caplog.at_level(logging.WARNING):
        run(main())
    (record,) = caplog.records
    assert record.__dict__["fields"]["error"] == "leases is forbidden (403 Forbidden)"


@pytest.mark.parametrize(
    ("durations", "message"),
    [({"duration": 3.0}, "renew_every < give_up < duration"), ({"renew_every": 3.5}, "renew_every < give_up")],
)
def test_durations_that_would_let_two_lead(durations: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lease(Client(Store()), name=NAME, namespace=NAMESPACE, identity="a", **durations)
    with pytest.raises(ValueError, match="POD_NAME"):
        Lease(Client(Store()), name=NAME, namespace=NAMESPACE, identity="")


async def _life(lease: Lease, client: Client, choose: random.Random) -> None:
    """A candidate that leads, dies, stops in order, and is cut off, at any time."""
    while True:
        await lease.acquire()
        holding = asyncio.create_task(lease.hold())
        await asyncio.wait([holding], timeout=choose.uniform(0, 12))
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        match choose.choice(["stop", "die", "cut", "fail"]):
            case "stop":
                await lease.release()
            case "cut":
                client.cut = True
            case "fail":
                client.failing = KubeError(503, "ServiceUnavailable", "")
        await asyncio.sleep(choose.uniform(0, 8))
        client.cut, client.failing = False, None


@pytest.mark.slow
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), slowest=st.sampled_from([0.0, 0.2, 1.0, 3.0]))
def test_never_two_leaders(seed: int, slowest: float) -> None:
    choose = random.Random(seed)

    async def main() -> int:
        store = Store()
        candidates = []
        lives = []
        for identity in "abc":
            client = Client(store, lambda: choose.random() ** 3 * slowest)
            lease = candidate(client, identity, offset=choose.uniform(-1e5, 1e5))
            candidates.append(lease)
            lives.append(asyncio.create_task(_life(lease, client, choose)))
        led = 0
        for _ in range(1200):
            await asyncio.sleep(0.05)
            leaders = [lease for lease in candidates if lease.leading]
            assert len(leaders) <= 1
            led += len(leaders)
        for life in lives:
            assert not life.done()
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        return led

    led = run(main())
    assert led > 60 or slowest == 3.0  # somebody did lead, unless hardly any answer came in time
