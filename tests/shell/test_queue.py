"""The work queue: one pass at a time for a key, in time, with a back-off."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shell.fakes import now, run

from claude_operator.shell.queue import WorkQueue
from claude_operator.shell.spending import Meter
from claude_operator.shell.tasks import all_of

Work = Callable[[str], Awaitable[float | None]]


def make(work: Work, **options: object) -> WorkQueue[str]:
    """A queue on the running loop's time, without jitter."""
    clock = asyncio.get_running_loop().time
    return WorkQueue(work, clock=clock, jitter=lambda: 0.0, **options)  # type: ignore[arg-type]


class Log:
    """Work that notes when it began, and takes `seconds`."""

    def __init__(self, seconds: float = 0.0, after: float | None = None) -> None:
        self.began: list[tuple[float, str]] = []
        self.seconds, self.after = seconds, after
        self.start = now()

    async def __call__(self, key: str) -> float | None:
        self.began.append((round(now() - self.start, 3), key))
        await asyncio.sleep(self.seconds)
        return self.after


def test_due_times_and_one_entry_a_key() -> None:
    async def main() -> None:
        work = Log()
        queue = make(work)
        queue.add("late", 5)
        queue.add("a", 3)
        queue.add("a", 1)  # the earlier one wins
        queue.add("a", 2)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(0.5)
        queue.add("now")
        await asyncio.sleep(10)
        assert work.began == [(0.5, "now"), (1.0, "a"), (5.0, "late")]
        running.cancel()

    run(main())


def test_the_next_pass_is_as_long_after_the_last_as_work_says() -> None:
    async def main() -> None:
        work = Log(seconds=1, after=2)
        queue = make(work)
        queue.add("a")
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(4.5)
        queue.add("a")  # sooner than the pass at 6, which is then none
        await asyncio.sleep(4)
        assert [at for at, _ in work.began] == [0, 3, 4.5, 7.5]
        running.cancel()

    run(main())


def test_a_key_added_while_it_runs_runs_again_right_after() -> None:
    async def main() -> None:
        work = Log(seconds=2)
        queue = make(work)
        queue.add("a")
        running = asyncio.create_task(queue.run())
        for _ in range(3):
            await asyncio.sleep(0.5)
            queue.add("a")
        await asyncio.sleep(10)
        assert work.began == [(0, "a"), (2, "a")]
        running.cancel()

    run(main())


def test_at_most_so_many_workers_first_come_first_served() -> None:
    async def main() -> None:
        work, depths = Log(seconds=1), []
        queue = make(work, workers=2, on_depth=depths.append)
        for key in "abcde":
            queue.add(key)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(5)
        assert work.began == [(0, "a"), (0, "b"), (1, "c"), (1, "d"), (2, "e")]
        assert max(depths) == 3
        assert depths[-1] == 0
        running.cancel()

    run(main())


def test_tenants_take_turns() -> None:
    """A tenant with many keys that wait holds up another one's by one pass, whether they are urgent or not."""

    async def main(*, urgent: bool) -> None:
        work = Log(seconds=1)
        queue = make(work, workers=1, tenant=lambda key: key.partition("/")[0])
        keys = [*(f"many/{number}" for number in range(4)), "shop/a", "shop/b", "home/a"]
        for key in keys:
            queue.rank(key, urgent=urgent)
            queue.add(key)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(4.5)
        queue.rank("late/a", urgent=urgent)
        queue.add("late/a")
        await asyncio.sleep(4)
        order = ["many/0", "shop/a", "home/a", "many/1", "shop/b", "many/2", "late/a", "many/3"]
        assert [key for _, key in work.began] == order
        running.cancel()

    run(main(urgent=False))
    run(main(urgent=True))


def test_urgent_keys_go_first_and_a_quarter_of_the_workers_waits_for_them() -> None:
    async def main() -> None:
        work = Log(seconds=10)
        queue = make(work, workers=4)
        for key in "abcdef":
            queue.add(key)
        queue.rank("u", urgent=True)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(1)
        assert work.began == [(0, "a"), (0, "b"), (0, "c")]
        queue.add("u")
        await asyncio.sleep(1)
        assert work.began[3:] == [(1, "u")]
        queue.rank("f", urgent=True)  # it waits already
        await asyncio.sleep(9.5)
        assert work.began[4] == (10, "f")
        running.cancel()

    run(main())


def test_urgent_keys_do_not_push_the_others_out() -> None:
    async def main() -> None:
        work = Log(seconds=1, after=0)  # what is wanted again at once is urgent from then on
        queue = make(work, workers=2)
        for key in "uvw":
            queue.rank(key, urgent=True)
            queue.add(key)
        queue.add("calm")
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(6.5)
        assert (1, "calm") in work.began or (0, "calm") in work.began
        running.cancel()

    run(main())


def test_what_wants_to_be_seen_again_soon_is_urgent_and_what_does_not_is_not() -> None:
    async def main() -> None:
        pauses = {"live": 5.0, "settled": 200.0}
        began: list[str] = []

        async def work(key: str) -> float:
            began.append(key)
            return pauses[key]

        queue = make(work)
        for key in pauses:
            queue.add(key)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(1)
        assert queue._urgent == {"live"}
        pauses["live"] = 100.0
        await asyncio.sleep(6)
        assert queue._urgent == set()
        running.cancel()

    run(main())


def test_failures_back_off_and_success_resets() -> None:
    async def main() -> None:
        began: list[float] = []
        start = now()
        broken = True

        async def work(key: str) -> float | None:
            began.append(round(now() - start, 3))
            if broken:
                raise ValueError("no")
            return None

        queue = make(work)
        queue.add("a")
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(300)
        gaps = [later - earlier for earlier, later in itertools.pairwise(began)]
        assert [round(gap, 2) for gap in gaps] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
        broken = False
        queue.add("a")  # an event does not wait for the back-off
        await asyncio.sleep(1)
        broken = True
        queue.add("a")
        count = len(began)
        await asyncio.sleep(0.6)
        assert len(began) == count + 2  # begins anew at 0.5 s
        running.cancel()

    run(main())


def test_a_failing_pass_that_wakes_itself_does_not_spin() -> None:
    async def main() -> None:
        count = 0

        async def work(key: str) -> float | None:
            nonlocal count
            count += 1
            queue.add(key)
            raise ValueError("no")

        queue = make(work)
        queue.add("a")
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(10.1)
        assert count == 21
        running.cancel()

    run(main())


def test_a_failure_is_logged_without_what_it_quotes(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def work(key: str) -> float | None:
            raise ValueError("1 validation error\nsystem: 'you are a secret prompt'")

        queue = make(work)
        queue.add("team/support")
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(0.1)
        running.cancel()

    with caplog.at_level(logging.ERROR):
        run(main())
    (record,) = caplog.records
    said = record.__dict__["fields"]
    assert (said["key"], said["exception"], said["error"]) == ("team/support", "ValueError", "1 validation error")
    assert (said["failures"], said["next_seconds"]) == (1, 0.5)
    assert said["where"].startswith("test_queue.py:")
    assert "secret" not in str(record.__dict__)


def test_one_broken_key_does_not_hold_up_the_others() -> None:
    async def main() -> None:
        passes: Counter[str] = Counter()

        async def work(key: str) -> float | None:
            passes[key] += 1
            if key == "bad":
                raise asyncio.CancelledError  # something inside was cancelled
            return 1.0

        queue = make(work, workers=1)
        queue.add("bad")
        queue.add("good")
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(9.5)
        assert passes == {"good": 10, "bad": 5}
        assert not running.done()
        running.cancel()

    run(main())


def test_a_pass_that_takes_too_long_is_cut_and_counts_as_failed() -> None:
    async def main() -> None:
        work = Log(seconds=1e6)
        queue = make(work, longest=10.0)
        queue.add("a")
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(15)
        assert [at for at, _ in work.began] == [0, 10.5]
        running.cancel()

    run(main())


def test_cancelling_cancels_the_passes_and_waits_for_them(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        ended: list[str] = []

        async def work(key: str) -> float | None:
            try:
                await asyncio.sleep(1e6)
            finally:
                await asyncio.sleep(0.1)
                ended.append(key)
            return None

        queue = make(work, longest=1e7)
        queue.add("a")
        queue.add("b")
        queue.add("c", 50)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert sorted(ended) == ["a", "b"]
        assert len(asyncio.all_tasks()) == 1

    run(main())
    assert not caplog.records  # the end is no failure


def test_forget() -> None:
    async def main() -> None:
        work = Log(seconds=1, after=1)
        queue = make(work, workers=2)
        for key in ("runs", "again", "waits"):
            queue.add(key)
        queue.add("later", 3)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(0.5)
        for key in ("runs", "again", "waits", "later", "unknown"):
            queue.forget(key)
        queue.add("again", 4)  # added after it was forgotten: this one counts
        await asyncio.sleep(4.2)
        assert work.began == [(0, "runs"), (0, "again"), (4.5, "again")]
        running.cancel()

    run(main())


def test_heartbeat_shows_an_idle_queue_alive_and_a_stuck_one_not() -> None:
    async def main() -> None:
        work = Log(seconds=1e6)
        queue = make(work, workers=2, longest=1e7)
        await asyncio.sleep(30)
        assert queue.heartbeat() == 30  # nobody runs it
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(100)
        assert queue.heartbeat() <= 1
        queue.add("a")
        await asyncio.sleep(100)
        assert queue.heartbeat() <= 1  # the other worker is free
        queue.add("b")
        await asyncio.sleep(100)
        assert queue.heartbeat() == 100
        running.cancel()

    run(main())


def test_no_workers_is_an_error() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="write 1 or more"):
            make(Log(), workers=0)

    run(main())


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3), st.floats(0, 2)), max_size=30)


@given(steps=STEPS, workers=st.integers(1, 3), seconds=st.floats(0, 2))
def test_never_twice_at_once_and_nothing_is_lost(
    steps: list[tuple[str, float, float]], workers: int, seconds: float
) -> None:
    async def main() -> None:
        busy: set[str] = set()
        begun: dict[str, float] = {}

        async def work(key: str) -> float | None:
            assert key not in busy
            assert len(busy) < workers
            busy.add(key)
            begun[key] = now()
            await asyncio.sleep(seconds)
            busy.discard(key)
            return None

        queue = make(work, workers=workers)
        running = asyncio.create_task(queue.run())
        wanted: dict[str, float] = {}
        for key, after, pause in steps:
            queue.add(key, after)
            wanted[key] = now()
            await asyncio.sleep(pause)
        await asyncio.sleep(100)
        assert all(begun[key] >= at for key, at in wanted.items())  # a pass began after each wish
        assert not running.done()
        assert queue.heartbeat() <= 1
        running.cancel()

    run(main())


# ----------------------------------------------------------------------------------------------- heavy passes


class Computer:
    """Work that takes no time on the loop's clock but what `cost` says on a processor's; and the meter of that."""

    def __init__(self, cost: Callable[[str], float], after: float | None = None) -> None:
        self.cost, self.after, self.began, self.spent = cost, after, Counter[str](), 0.0
        self.times: list[tuple[float, str]] = []
        self.start = now()

    def meter(self) -> Meter:
        return Meter(lambda: self.spent)

    async def __call__(self, key: str) -> float | None:
        self.began[key] += 1
        self.times.append((now() - self.start, key))

        async def part() -> None:
            await asyncio.sleep(0)
            self.spent += self.cost(key) / 2

        await all_of([part()])
        await asyncio.sleep(0.001)
        self.spent += self.cost(key) / 2  # in its last step
        return self.after


def test_a_hundred_heavy_keys_that_are_edited_all_the_time_keep_no_other_waiting() -> None:
    """A hundred times a second each is wanted again: together they get a quarter of the loop, and rests in between."""

    async def main() -> None:
        work = Computer(lambda key: 0.2 if key.startswith("hostile") else 0.005, after=1.0)
        hostile = [f"hostile/{number}" for number in range(100)]
        queue = make(work, workers=4, tenant=lambda key: key.partition("/")[0], meter=work.meter)
        for key in (*hostile, "shop/a", "shop/b"):
            queue.add(key)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(1.0)  # each has had its first pass: nobody knew yet
        assert all(work.began[key] == 1 for key in hostile)
        work.began.clear()
        for _ in range(6000):
            await asyncio.sleep(0.01)
            for key in hostile:
                queue.add(key)
        assert work.began["shop/a"] >= 58
        assert work.began["shop/b"] >= 58
        total = sum(work.began[key] for key in hostile)
        assert 70 <= total <= 61 / 0.6 + 1, "rests of three times 0.2 s"
        assert max(work.began[key] for key in hostile) - min(work.began[key] for key in hostile) <= 1
        running.cancel()

    run(main())


def test_a_tenants_own_heavy_key_does_not_wait_for_a_hundred_of_another() -> None:
    async def main() -> None:
        work = Computer(lambda key: 0.2, after=0.0)
        keys = [*(f"hostile/{number}" for number in range(100)), "shop/big"]
        queue = make(work, workers=4, tenant=lambda key: key.partition("/")[0], meter=work.meter)
        for key in keys:
            queue.add(key)
        running = asyncio.create_task(queue.run())
        await asyncio.sleep(1.0)
        work.began.clear()
        await asyncio.sleep(120.0)
        assert work.began["shop/big"] >= 25, "its own rest is 4 s"
        running.cancel()

    run(main())


def test_objects_that_are_made_and_deleted_do_not_shut_the_lane_for_another_tenant() -> None:
    async def main() -> None:
        work = Computer(lambda key: 0.2, after=0.0)
        queue = make(work, workers=4, tenant=lambda key: key.partition("/")[0], meter=work.meter)
        queue.add("shop/big")
        running = asyncio.create_task(queue.run())
        for number in range(240):
            queue.add(f"hostile/{number}")
            await asyncio.sleep(0.5)
            queue.forget(f"hostile/{number}")
        assert work.began["shop/big"] >= 25, "its own rest is 4 s"
        running.cancel()

    run(main())


def test_one_that_is_heavy_now_and_then_stays_in_the_lane_and_leaves_it_in_the_end() -> None:
    async def main() -> None:
        heavy = {"a": 1.0}
        work = Computer(lambda key: heavy[key], after=None)
        queue = make(work, meter=work.meter)
        running = asyncio.create_task(queue.run())
        queue.add("a")
        await asyncio.sleep(0.1)
        queue.add("a")
        await asyncio.sleep(19.0)
        assert work.began["a"] == 1, "twenty times what it took"
        heavy["a"] = 0.001
        await asyncio.sleep(1.0)
        assert work.began["a"] == 2
        assert queue._heavy.holds("a")
        await asyncio.sleep(700)
        queue.add("a")
        await asyncio.sleep(1.0)
        assert (work.began["a"], queue._heavy.holds("a")) == (3, False)
        running.cancel()

    run(main())


def test_a_heavy_key_that_is_forgotten_has_no_further_pass() -> None:
    async def main() -> None:
        work = Computer(lambda key: 1.0, after=0.0)
        queue = make(work, meter=work.meter)
        running = asyncio.create_task(queue.run())
        for key in "ab":
            queue.add(key)
        await asyncio.sleep(21.0)
        work.began.clear()
        queue.forget("a")
        queue.forget("b")
        await asyncio.sleep(100.0)
        assert not work.began
        assert not len(queue._heavy)
        running.cancel()

    run(main())


def test_objects_under_ever_new_names_wait_like_the_old_ones() -> None:
    async def main() -> None:
        work = Computer(lambda key: 0.2 if key.startswith("hostile") else 0.005)
        queue = make(work, workers=4, tenant=lambda key: key.partition("/")[0], meter=work.meter)
        running = asyncio.create_task(queue.run())
        for number in range(600):
            queue.add(f"hostile/{number}")
            queue.add(f"shop/{number}")
            await asyncio.sleep(0.1)
        assert sum(work.began[f"shop/{number}"] for number in range(600)) >= 599
        assert sum(key.startswith("hostile") for key in work.began) <= 60 / 0.6 + 22
        queue.keep_only(["shop/1"])
        assert {key for key in queue._heavy.known() if not key.startswith("hostile")} == {"shop/1"}
        assert all(key in queue._due for key in queue._heavy.known() - {"shop/1"})
        running.cancel()

    run(main())
