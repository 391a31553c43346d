"""Measure what hostile connections and hostile objects cost the other clients and tenants, on the real cluster.

    make hostile                      # three rollbacks each: quiet, 1,000 connections, 100 objects, quiet again
    make hostile ARGS="--count 1"

In each phase a canary with half of the traffic turns bad: the time until every gateway serves weight 0, and the
latency of clients of the stable arm, are measured. Exit code: 0 every canary was taken back, 1 one was not.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import secrets
import statistics
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.cluster import apps, support
from tests.cluster.record import Record
from tests.cluster.rollouts import SECRET, bake, begun, deployment, errs, scenario, start
from tests.cluster.traffic import Traffic

from claude_operator.kube.client import Kube, KubeError
from claude_operator.kube.resources import CLAUDE_DEPLOYMENTS, CLAUDE_EVAL_SETS, CONFIG_MAPS, SECRETS, Resource

CONNECTIONS = 1_000
OBJECTS = 100
_EDITS = 10.0  # of a hostile object, a second
_RATE = 40.0  # requests of good clients, a second
_LONGEST = 900.0  # seconds after which whatever is hostile stops by itself
_HEAD = b"POST /v1/messages HTTP/1.1\r\nhost: gateway\r\n"
_HALVES = (
    b"",  # says nothing
    _HEAD,
    _HEAD + b"x: " + b"a" * 60_000,
    _HEAD + b"content-length: 1000000\r\n\r\n{",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)


@dataclass
class Phase:
    """What was measured: seconds from the first harm to weight 0, and of answers of the stable arm."""

    name: str
    rollbacks: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    """Requests of the stable arm, or of no arm, that failed."""


class _Aside:
    """Runs a coroutine in a loop and thread of its own while entered."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(60)

    def _run(self) -> None:
        async def bounded() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST):
                    await self._work()

        self._task = self._loop.create_task(bounded())
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)


async def hostile_connections(host: str, port: int) -> None:
    """Keep so many connections open, each of which never says all; what the gateway closes is opened again."""

    async def one(number: int) -> None:
        source = random.Random(number)
        while True:
            await asyncio.sleep(source.random())
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    writer.write(_HALVES[number % len(_HALVES)])
                    await reader.read()
                finally:
                    writer.close()

    await asyncio.gather(*map(one, range(CONNECTIONS)))


def _objects(namespace: str) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Objects that are as dear to read as the API server lets them be. None is accepted, so none has pods."""

    def of(resource: Resource, name: str, **fields: Any) -> tuple[Resource, dict[str, Any]]:
        metadata = {"name": name, "namespace": namespace}
        return resource, {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **fields}

    spec = deployment("v1")["spec"] | {"budgets": [{"surface": "chat", "metric": "unknown", "max": "1s"}]}
    yield of(SECRETS, "anthropic", stringData=SECRET["stringData"])
    for number in range(OBJECTS):
        name = f"hostile-{number}"
        match number % 4:
            case 0:  # a pattern that takes long to compile
                items = [
                    {"id": "1", "input": "x", "assert": [{"type": "regex", "value": "(?i)" + "(x?y*){1,9}" * 350}]}
                ]
                yield of(CLAUDE_EVAL_SETS, name, spec={"tests": items})
                yield of(CLAUDE_DEPLOYMENTS, name, spec=spec | {"evals": {"setRef": {"name": name}}})
            case 1:  # a megabyte of items
                lines = "\n".join(f'{{"id":"{n}","input":"x","assert":[{{"type":"is-json"}}]}}' for n in range(16_000))
                yield of(CONFIG_MAPS, name, data={"items.jsonl": lines})
                dataset = {"configMapKeyRef": {"name": name, "key": "items.jsonl"}}
                yield of(CLAUDE_EVAL_SETS, name, spec={"dataset": dataset})
                yield of(CLAUDE_DEPLOYMENTS, name, spec=spec | {"evals": {"setRef": {"name": name}}})
            case 2:  # half a megabyte of tools
                schema = {"type": "object", "anything": [{}] * 1_200}
                tools = [{"name": f"t{n}", "input_schema": schema} for n in range(128)]
                yield of(CLAUDE_DEPLOYMENTS, name, spec=spec | {"request": spec["request"] | {"tools": tools}})
            case _:  # prompts of several megabytes
                for prompt in range(4):
                    yield of(CONFIG_MAPS, f"{name}-{prompt}", data={"text": "word " * 180_000})
                sources = [{"configMapKeyRef": {"name": f"{name}-{n}", "key": "text"}} for n in range(4)]
                yield of(CLAUDE_DEPLOYMENTS, name, spec=spec | {"promptFrom": sources})


async def hostile_objects(namespace: str, ready: threading.Event) -> None:
    """Make them, and edit one after the other."""
    async with await Kube.from_environment() as kube:
        made = []
        for resource, body in _objects(namespace):
            try:
                await kube.create(resource, body)
            except KubeError as error:  # too large, or of a shape that is refused: that is a way to stop it
                print(f"    refused: {body['kind']} {body['metadata']['name']}: {str(error)[:120]}", flush=True)
                continue
            if resource in (CLAUDE_DEPLOYMENTS, CLAUDE_EVAL_SETS):
                made.append((resource, body["metadata"]["name"]))
        ready.set()
        for number, (resource, name) in enumerate(itertools.cycle(made)):
            await asyncio.sleep(1.0 / _EDITS)
            patch: dict[str, Any] = {"metadata": {"name": name, "namespace": namespace}}
            patch["spec"] = {"paused": bool(number % 2)} if resource is CLAUDE_DEPLOYMENTS else {}
            patch["metadata"]["annotations"] = {"edited": str(number)}
            with suppress(KubeError):
                await kube.merge(resource, {"apiVersion": resource.api_version, "kind": resource.kind, **patch})


@contextmanager
def _connections(namespace: str) -> Iterator[None]:
    secret = support.get("secret", "app-client", namespace=namespace)["data"]
    address = urlsplit(apps.plain(secret["ANTHROPIC_BASE_URL"]))
    with _Aside(lambda: hostile_connections(str(address.hostname), address.port or 80)):
        time.sleep(5.0)
        yield


@contextmanager
def _hostile_namespace(_: str) -> Iterator[None]:
    ready = threading.Event()
    with apps.space("hostile") as namespace, _Aside(lambda: hostile_objects(namespace, ready)):
        assert ready.wait(300), "the hostile objects could not be made"
        time.sleep(5.0)
        yield


@contextmanager
def _nothing(_: str) -> Iterator[None]:
    yield


PHASES = (
    ("quiet", _nothing),
    (f"{CONNECTIONS:,} hostile connections", _connections),
    (f"{OBJECTS} hostile objects", _hostile_namespace),
    ("quiet again", _nothing),
)


def rollback(namespace: str, phase: Phase) -> None:
    """One canary that turns bad at its bake."""
    scenario()
    support.wait("cld/app", until="condition=GatewayReady", namespace=namespace)
    stable = str(support.get("cld", "app", namespace=namespace)["status"]["stableRevision"])
    prompt = f"v-{secrets.token_hex(3)}"
    with Record(namespace) as record, Traffic("app", namespace, rate=_RATE, keep_alive=False) as traffic:
        support.apply(deployment(prompt, [{"setWeight": 50}, bake(300, 20)]), namespace)
        canary = begun(record, stable)
        support.wait_for(lambda: record.at(1, canary), 60, "the canary does not bake", every=0.05)
        time.sleep(5.0)
        harmed = time.time()
        scenario(errs(prompt, 1.0))
        support.wait_for(lambda: record.rollout.get("outcome") == "RolledBack", 120, "no rollback", every=0.05)
        settled = record.config["generation"]
        support.wait_for(lambda: len(record.gateways.taken(settled)) == 2, 30, "gateways do not follow")
        phase.rollbacks.append(max(record.gateways.taken(settled).values()) - harmed)
        time.sleep(5.0)
        traffic.stop()
    good = [one for one in traffic.answers if one.revision != canary]
    phase.latencies += [one.at - one.began for one in good if not one.error]
    phase.failed += sum(bool(one.error) for one in good)


def main() -> int:
    """All phases one after another; prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=3, metavar="N", help="rollbacks in each phase; 3")
    options = parser.parse_args()
    if not (os.environ.get("KUBECONFIG") and os.environ.get("CLAUDE_OPERATOR_IMAGE")):
        print("no cluster: run `make hostile`", file=sys.stderr)
        return 2
    support.install(os.environ["CLAUDE_OPERATOR_IMAGE"])
    done = []
    with apps.space("tenant") as namespace:
        scenario()
        start(namespace)
        for name, hostile in PHASES:
            print(f"==> {name}", flush=True)
            phase = Phase(name)
            done.append(phase)
            with hostile(namespace):
                for _ in range(options.count):
                    try:
                        rollback(namespace, phase)
                    except AssertionError as error:
                        print(f"    {str(error)[:300]}", flush=True)
    _show(done)
    return 0 if all(len(phase.rollbacks) == options.count for phase in done) else 1


def _show(done: Sequence[Phase]) -> None:
    print(f"\n{'phase':30} {'seconds to weight 0: min, median, max':40} {'p50':>8} {'p99':>8}  failed of")
    for phase in done:
        times = sorted(phase.rollbacks)
        shown = ", ".join(f"{one:.2f}" for one in (times[0], statistics.median(times), times[-1])) if times else "none"
        ordered = sorted(phase.latencies)
        p50, p99 = (ordered[int(len(ordered) * share)] * 1000 if ordered else 0.0 for share in (0.5, 0.99))
        print(
            f"{phase.name:30} {shown:40} {p50:6.0f} ms {p99:5.0f} ms  {phase.failed} of {phase.failed + len(ordered)}"
        )


if __name__ == "__main__":
    sys.exit(main())
