"""What the shell's tests run on: a loop whose time costs nothing, and an API server in memory."""

from __future__ import annotations

import asyncio
import copy
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from claude_operator.kube.client import KubeError, Object
from claude_operator.kube.resources import Resource

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("everybody waits, and nothing is going to happen")
            self._loop.now += max(timeout, 0.0)
        return events


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run on a VirtualLoop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def now() -> float:
    """Seconds on the running loop."""
    return asyncio.get_running_loop().time()


class Store:
    """Objects with the API server's rules on names and resourceVersions."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.version = 0

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        return copy.deepcopy(self.objects.get((resource.kind, namespace or "", name)))

    def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        key = self._key(resource, body, namespace)
        if key in self.objects:
            raise KubeError(409, "AlreadyExists", f"{key} already exists")
        return self._put(key, body)

    def replace(self, resource: Resource, body: Object) -> Object:
        key = self._key(resource, body)
        if key not in self.objects:
            raise KubeError(404, "NotFound", f"{key} not found")
        if body["metadata"].get("resourceVersion") != self.objects[key]["metadata"]["resourceVersion"]:
            raise KubeError(409, "Conflict", f"{key} has been modified")
        return self._put(key, body)

    def _put(self, key: tuple[str, str, str], body: Object) -> Object:
        self.version += 1
        self.objects[key] = copy.deepcopy(body)
        self.objects[key]["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.objects[key])

    @staticmethod
    def _key(resource: Resource, body: Object, namespace: str | None = None) -> tuple[str, str, str]:
        metadata = body["metadata"]
        return resource.kind, namespace or metadata.get("namespace", ""), metadata["name"]


class Client:
    """One client of a Store, over a network of its own.

    `delay()` gives the seconds of each way. A request that its sender gave up is carried out all the same.
    """

    def __init__(self, store: Store, delay: Callable[[], float] = lambda: 0.0) -> None:
        self.store = store
        self.delay = delay
        self.cut = False  # no answer at all
        self.failing: KubeError | None = None
        self.calls: list[str] = []
        self._late: set[asyncio.Future[Any]] = set()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        return await self._over("get", lambda: self.store.get(resource, name, namespace))

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        return await self._over("create", lambda: self.store.create(resource, body, namespace))

    async def replace(self, resource: Resource, body: Object) -> Object:
        return await self._over("replace", lambda: self.store.replace(resource, body))

    async def _over(self, verb: str, do: Callable[[], T]) -> T:
        self.calls.append(verb)
        if self.failing is not None:
            raise self.failing
        if self.cut:
            await asyncio.sleep(1e6)
        await_answer: Awaitable[T] = asyncio.ensure_future(self._serve(do))
        self._late.add(await_answer)
        await_answer.add_done_callback(self._done)
        answer = await asyncio.shield(await_answer)
        await asyncio.sleep(self.delay())
        return answer

    async def _serve(self, do: Callable[[], T]) -> T:
        await asyncio.sleep(self.delay())
        return do()

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._late.discard(future)
        if not future.cancelled():
            future.exception()  # its sender may be gone
