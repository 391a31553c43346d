"""Any order of calls, ends of gateways and of operators, failed and late writes, and two leaders at once."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.usage.readings import spent
from tests.shell.fakes import FakeKube
from tests.shell.test_usage import Bench, copy_of

from claude_operator.kube.client import KubeError

PODS = ("a", "b", "c")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("calls"), st.sampled_from(PODS), st.integers(1, 5)),
        st.tuples(st.just("restart"), st.sampled_from(PODS), st.just(0)),  # a gateway's process is killed
        st.tuples(st.just("read"), st.just(""), st.integers(0, 3)),  # and what becomes of the write
        st.tuples(st.just("operator"), st.just(""), st.just(0)),  # it is killed, and another one starts
        st.tuples(st.just("overlap"), st.just(""), st.just(0)),  # one that should lead no longer reads and writes
        st.tuples(st.just("silent"), st.sampled_from(PODS), st.just(0)),
        st.tuples(st.just("replaced"), st.sampled_from(PODS), st.just(0)),  # a pod that is read to its end
    ),
    max_size=25,
)


class Failing(FakeKube):
    """The next write fails. 1: nothing is stored; 2: it is, and nobody hears of it; 3: it is, and the operator ends."""

    fails = 0

    async def create(self, *words: Any, **more: Any) -> Any:
        return await self._write(super().create, *words, **more)

    async def apply(self, *words: Any, **more: Any) -> Any:
        return await self._write(super().apply, *words, **more)

    async def _write(self, write: Any, *words: Any, **more: Any) -> Any:
        fails, self.fails = self.fails, 0
        if fails == 1:
            raise KubeError(503, "ServiceUnavailable", "the server is away")
        stored = await write(*words, **more)
        if fails == 2:
            raise KubeError(0, "Unreachable", "no answer")
        if fails == 3:
            raise asyncio.CancelledError
        return stored


class World(Bench):
    """What was ever counted, and what nobody can know any more."""

    def __init__(self) -> None:
        super().__init__()
        self.kube = Failing()
        self.start()
        self.pods.calls = dict.fromkeys(PODS, 0)
        self.counted = 0
        self.taken: dict[str, int] = dict.fromkeys(PODS, 0)
        """Of each present process, what is surely in what is stored."""
        self.lost = 0

    async def step(self, what: str, pod: str, number: int) -> None:
        if what == "calls":
            self.pods.calls[pod] += number
            self.counted += number
        elif what == "restart":
            self.lost += self.pods.calls[pod] - self.taken[pod]
            self.pods.boots[pod] = self.pods.boots.get(pod, 0) + 1
            self.pods.calls[pod] = self.taken[pod] = 0
        elif what == "operator":
            self.start()
        elif what == "silent":
            self.pods.silent ^= {pod}
        elif what == "overlap":
            await self.ended(copy_of(self), 0)
        elif what == "replaced":
            self.leaving = {pod}
            self.pods.silent -= {pod}
            await self.ended(self, 0)
            self.leaving = set()
            await self.step("restart", pod, 0)
        else:
            await self.ended(self, number)

    async def ended(self, who: Bench, fails: int) -> None:
        """A reading, whatever its end; what was answered and written is safe."""
        self.kube.fails = fails
        writes = len(self.kube.writes)
        try:
            await who.read()
        except (asyncio.CancelledError, KubeError):
            self.start()
        self.kube.fails = 0
        if fails != 1 or len(self.kube.writes) > writes:
            self.taken |= {one: calls for one, calls in self.pods.calls.items() if one not in self.pods.silent}


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_nothing_counts_twice_and_only_what_was_not_told_is_lost(steps: list[tuple[str, str, int]]) -> None:
    async def main() -> None:
        world = World()
        for step in steps:
            await world.step(*step)
        world.pods.silent = set()
        await world.read()
        await world.read()
        assert world.stored == spent(world.state.spend).calls
        assert world.counted - world.lost <= world.stored <= world.counted

    asyncio.run(main())
