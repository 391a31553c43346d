"""What hostile clients and tenants do to a cluster, and as much of what harmless ones do, to compare it with."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from tests.cluster import apps, support
from tests.cluster.repeating import Running
from tests.cluster.rollouts import SECRET, deployment

from claude_operator.kube.client import Kube, KubeError
from claude_operator.kube.resources import CLAUDE_DEPLOYMENTS, CLAUDE_EVAL_SETS, CONFIG_MAPS, SECRETS, Resource

CONNECTIONS = 1_000
OBJECTS = 100
_EVERY = 0.1  # seconds from one hostile edit to the next, or longer where it takes longer
_SETTLES = 5.0  # seconds until what is done aside is in full swing
_HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: gateway\r\n"
_HALVES = (
    b"",  # says nothing
    _HEAD,
    _HEAD + b"x: " + b"a" * 60_000,
    _HEAD + b"content-length: 1000000\r\n\r\n{",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)
_WHOLE = _HEAD + b"x-api-key: of-nobody\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"

Item = tuple[Resource, dict[str, Any]]


# --------------------------------------------------------------------------------------------------- connections


class Connections(Running):
    """So many connections, each opened again after its end. `done`: how many were opened."""

    def __init__(self, host: str, port: int, count: int = CONNECTIONS) -> None:
        super().__init__()
        self._address, self._count = (host, port), count
        self.done = 0

    async def run(self) -> None:
        """All at a time, each after a pause of its own."""
        await asyncio.gather(*map(self._reopen, range(self._count)))

    async def once(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its opening to its end."""
        raise NotImplementedError

    async def _reopen(self, number: int) -> None:
        source = random.Random(number)
        while True:
            await asyncio.sleep(source.random())
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(*self._address)
                self.done += 1
                try:
                    await self.once(number, reader, writer)
                finally:
                    writer.close()


class Hostile(Connections):
    """None ever says all, and each stays until the gateway closes it. `held`: for how many seconds."""

    def __init__(self, host: str, port: int, count: int = CONNECTIONS) -> None:
        super().__init__(host, port, count)
        self.held: list[float] = []

    async def once(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A half."""
        began = time.monotonic()
        writer.write(_HALVES[number % len(_HALVES)])
        with suppress(OSError):
            await reader.read()
        self.held.append(time.monotonic() - began)


class Harmless(Connections):
    """Each sends a whole request, is told that its key is wrong, and stays as long as a hostile one did."""

    def __init__(self, host: str, port: int, held: list[float], count: int = CONNECTIONS) -> None:
        super().__init__(host, port, count)
        self._held = held
        self.answers = 0

    async def once(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A request and its answer. Where the gateway closes the connection sooner, it is opened no sooner."""
        ends = time.monotonic() + random.choice(self._held)
        writer.write(_WHOLE)
        with suppress(OSError):
            line = await reader.readline()
            self.answers += line.startswith(b"HTTP/1.1 401 ")
        await asyncio.sleep(max(ends - time.monotonic(), 0.0))


class Clients:
    """Opens connections to the gateways of `app` in a namespace."""

    def __init__(self) -> None:
        self._held: list[float] = []
        """What the last hostile ones showed."""

    @contextmanager
    def hostile(self, namespace: str) -> Iterator[Connections]:
        """Halves."""
        with Hostile(*_address(namespace)) as connections:
            time.sleep(_SETTLES)
            yield connections
        self._held = connections.held

    @contextmanager
    def harmless(self, namespace: str) -> Iterator[Connections]:
        """As many, in the rhythm of the last hostile ones."""
        assert self._held, "no hostile connection came to its end, so there is no rhythm to keep"
        with Harmless(*_address(namespace), self._held) as connections:
            time.sleep(_SETTLES)
            assert connections.answers, "no harmless request was answered with 401"
            yield connections


def _address(namespace: str) -> tuple[str, int]:
    secret = support.get("secret", "app-client", namespace=namespace)["data"]
    address = urlsplit(apps.plain(secret["ANTHROPIC_BASE_URL"]))
    return str(address.hostname), address.port or 80


# ------------------------------------------------------------------------------------------------------- objects


def _item(resource: Resource, name: str, **fields: Any) -> Item:
    return resource, {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, **fields}


def _deployment(name: str, **fields: Any) -> Item:
    """One that is not accepted, so that it has no pods."""
    spec = deployment("v1", budgets=[{"surface": "chat", "metric": "unknown", "max": "1s"}])["spec"]
    return _item(CLAUDE_DEPLOYMENTS, name, spec={**spec, **fields})


def _inline(name: str, pattern: str) -> Item:
    item = {"id": "1", "input": "x", "assert": [{"type": "regex", "value": pattern}]}
    return _item(CLAUDE_EVAL_SETS, name, spec={"tests": [item]})


def _lines(name: str, count: int) -> Iterator[Item]:
    lines = "\n".join(f'{{"id":"{n}","input":"x","assert":[{{"type":"is-json"}}]}}' for n in range(count))
    yield _item(CONFIG_MAPS, name, data={"items.jsonl": lines})
    dataset = {"configMapKeyRef": {"name": name, "key": "items.jsonl"}}
    yield _item(CLAUDE_EVAL_SETS, name, spec={"dataset": dataset})


def _tools(name: str, count: int, schema: dict[str, Any]) -> Item:
    tools = [{"name": f"t{n}", "input_schema": {"type": "object", **schema}} for n in range(count)]
    return _deployment(name, request=deployment("v1")["spec"]["request"] | {"tools": tools})


def _prompts(name: str, words: int) -> Iterator[Item]:
    for prompt in range(4):
        yield _item(CONFIG_MAPS, f"{name}-{prompt}", data={"text": "word " * words})
    sources = [{"configMapKeyRef": {"name": f"{name}-{prompt}", "key": "text"}} for prompt in range(4)]
    yield _deployment(name, promptFrom=sources)


def items(number: int, *, hostile: bool) -> Iterator[Item]:
    """A ClaudeDeployment and what it refers to: as dear to read as the API server lets it be, or of ordinary size."""
    name = f"object-{number}"
    match number % 4:
        case 0:  # a pattern that takes long to compile
            yield _inline(name, "(?i)" + "(x?y*){1,9}" * 350 if hostile else "(?i)(yes|no)")
            yield _deployment(name, evals={"setRef": {"name": name}})
        case 1:  # a megabyte of items
            yield from _lines(name, 16_000 if hostile else 20)
            yield _deployment(name, evals={"setRef": {"name": name}})
        case 2:  # half a megabyte of tools, of as many values as the policy lets them have
            yield _tools(name, 128, {"x": [{}] * 70, "y": "x" * 4_000}) if hostile else _tools(name, 4, {})
        case _:  # prompts of several megabytes
            yield from _prompts(name, 180_000 if hostile else 200)


class Editing(Running):
    """Makes the objects, says so with `ready`, and edits one after the other. `done`: how many edits were taken."""

    def __init__(self, namespace: str, every: float, *, hostile: bool) -> None:
        super().__init__()
        self._namespace, self._every, self._hostile = namespace, every, hostile
        self.ready = threading.Event()
        self.done = 0
        self.seconds = 0.0
        """For which they have been edited."""

    async def run(self) -> None:
        """Make and edit."""
        async with await Kube.from_environment() as kube:
            made = await self._make(kube)
            self.ready.set()
            began = time.monotonic()
            for number, (resource, name) in enumerate(itertools.cycle(made)):
                self.seconds = time.monotonic() - began
                await asyncio.sleep(max(number * self._every - self.seconds, 0.0))
                body: dict[str, Any] = {"apiVersion": resource.api_version, "kind": resource.kind}
                body["metadata"] = {"name": name, "namespace": self._namespace, "annotations": {"edited": str(number)}}
                turn = number // len(made)  # each time that it comes to an object it changes its spec
                body["spec"] = {"paused": bool(turn % 2)} if resource is CLAUDE_DEPLOYMENTS else {}
                with suppress(KubeError):
                    await kube.merge(resource, body)
                    self.done += 1

    async def _make(self, kube: Kube) -> list[tuple[Resource, str]]:
        secret = _item(SECRETS, "anthropic", stringData=SECRET["stringData"])
        every = (items(number, hostile=self._hostile) for number in range(OBJECTS))
        extreme = [_tools("extreme", 128, {"x": [{}] * 1_200})] if self._hostile else []  # is refused
        made = []
        for resource, body in itertools.chain([secret], extreme, *every):
            body["metadata"]["namespace"] = self._namespace
            name = body["metadata"]["name"]
            try:
                await kube.create(resource, body)
            except KubeError as error:  # too large, or of a shape that is refused: that is a way to stop it
                print(f"    refused: {body['kind']} {name}: {str(error)[:120]}", flush=True)
                continue
            if resource in (CLAUDE_DEPLOYMENTS, CLAUDE_EVAL_SETS):
                made.append((resource, name))
        return made


class Tenants:
    """Makes objects in a namespace of their own; what comes next does not meet their end."""

    def __init__(self) -> None:
        self._every = 0.0
        """Seconds from one edit to the next, as the last hostile ones showed."""

    @contextmanager
    def hostile(self, _: str) -> Iterator[Editing]:
        """As dear to read as they may be."""
        with _edited("hostile", _EVERY, hostile=True) as editing:
            yield editing
        self._every = editing.seconds / max(editing.done, 1)

    @contextmanager
    def ordinary(self, _: str) -> Iterator[Editing]:
        """As many, edited as often as the last hostile ones were."""
        assert self._every, "no hostile object was edited, so there is no rhythm to keep"
        with _edited("ordinary", self._every, hostile=False) as editing:
            yield editing


@contextmanager
def _edited(words: str, every: float, *, hostile: bool) -> Iterator[Editing]:
    with apps.space(words) as namespace, Editing(namespace, every, hostile=hostile) as editing:
        assert editing.ready.wait(300), f"the objects in {namespace} could not be made"
        time.sleep(_SETTLES)
        yield editing
    support.wait_for(lambda: not support.find("namespace", namespace), 120, f"{namespace} is not gone")
