"""Pods that answer for gateways: each at an address of loopback of its own, with counts that the test sets."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import threading
import time
from collections import OrderedDict, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
from aiohttp import web
from tests import admin_port
from tests.apiserver.client import Client
from tests.ending import end

from claude_operator.api.evidence import Before, Cohorts, Counters, Evidence, GenerationEvidence, Recent, Stratum
from claude_operator.api.gateway import ADMIN_PORT, CONFIG_KEY, GatewayConfig, Role, parse_config
from claude_operator.api.usage import USAGE_PATH, Usage, UsageRow
from claude_operator.core import names
from claude_operator.core.operator_key import ProofError, is_signed

_KEPT = 32  # readings for a later `since`
_FRESH, _IDLE = 0.3, 60.0  # seconds for which a config is not read again, by a pod with and without requests
_order = itertools.count(1)
_draw = random.SystemRandom()


def _listener() -> socket.socket:
    """A socket at the admin port of an address of loopback that no other test process has."""
    while True:
        address = f"127.{_draw.randrange(1, 255)}.{_draw.randrange(256)}.{_draw.randrange(1, 255)}"
        found = socket.socket()
        try:
            found.bind((address, ADMIN_PORT))
        except OSError:
            found.close()
        else:
            return found


@dataclass
class Pod:
    """One gateway process's counts: (generation, revision, role) to [ok, error]."""

    deployment: str
    address: str
    boot: str
    born: float = field(default_factory=time.monotonic)
    counts: dict[tuple[int, str, Role], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    key: bytes = b""
    config: GatewayConfig | None = None
    read_at: float = 0.0
    asked: int = 0
    kept: OrderedDict[int, Before] = field(default_factory=OrderedDict)
    usage: list[UsageRow] = field(default_factory=list)

    def generations(self) -> list[GenerationEvidence]:
        strata: dict[int, list[Stratum]] = defaultdict(list)
        for (generation, revision, role), (good, bad) in list(self.counts.items()):
            counters = Counters(requests=good + bad, outcomes={"ok": good, "error": bad}, conversations=good + bad)
            counters = msgspec.structs.replace(counters, bad_conversations={"error": bad} if bad else {})
            strata[generation].append(Stratum(revision, role, "other", "none", counters))
        return [GenerationEvidence(generation, strata[generation]) for generation in sorted(strata)[-4:]]

    def evidence(self, since: str, keep: bool) -> Evidence:
        uptime, generations = time.monotonic() - self.born, self.generations()
        boot, _, number = since.rpartition(".")
        before = self.kept.get(int(number)) if boot == self.boot and number.isdigit() else None
        reading = 0
        if keep:
            self.asked += 1
            reading = self.asked
            self.kept[reading] = Before(reading, uptime, generations)
            while len(self.kept) > _KEPT:
                self.kept.popitem(last=False)
        weights = {arm.revision: arm.weight for arm in self.config.arms} if self.config else {}
        generation = self.config.generation if self.config else 0
        return Evidence(
            self.boot, generation, uptime, generations, reading=reading, before=before, recent=Recent(), weights=weights
        )


class Gateways:
    """While entered, serves the admin port of each pod that `address` was asked for."""

    def __init__(self, admin: Client, namespace: str) -> None:
        self._admin, self._namespace = admin, namespace
        self.pods: dict[str, Pod] = {}  # by deployment
        self.reads = 0
        self._by_address: dict[str, Pod] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateways", daemon=True)
        server: web.Server[web.BaseRequest] = web.Server(self._answer, access_log=None, loop=self._loop)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)

    def __enter__(self) -> Gateways:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._runner.setup(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(end(self._runner), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def address(self, deployment: str) -> str:
        """Where the deployment's one pod is."""
        if deployment not in self.pods:
            listener = _listener()
            address = str(listener.getsockname()[0])
            boot = f"boot-{next(_order)}"
            self.pods[deployment] = self._by_address[address] = Pod(deployment, address, boot)
            site = web.SockSite(self._runner, listener)
            asyncio.run_coroutine_threadsafe(site.start(), self._loop).result(60)
        return self.pods[deployment].address

    def addresses(self, deployment: str) -> list[str]:
        """As a `Kubelet` asks for them."""
        return [self.address(deployment)]

    def serve(self, deployment: str, role: Role, good: int, bad: int = 0) -> None:
        """So many requests more by the arm of a role, under the config that is live."""
        pod = self.pods[deployment]
        config = self._live(deployment)
        arm = config.arm(role)
        if arm is None:
            raise KeyError(role)
        counts = pod.counts[config.generation, arm.revision, role]
        counts[0] += good
        counts[1] += bad

    def weight(self, deployment: str, role: Role) -> int:
        """The weight of a role in the live config, in basis points; 0 where it has no arm."""
        arm = self._live(deployment).arm(role)
        return arm.weight if arm else 0

    def _live(self, deployment: str) -> GatewayConfig:
        found = self._admin.take("ConfigMap", names.gateway_name(deployment), self._namespace)
        return parse_config(found["data"][CONFIG_KEY])

    def _refresh(self, pod: Pod) -> None:
        try:
            data = self._admin.take("ConfigMap", names.gateway_name(pod.deployment), self._namespace)["data"]
            if not is_signed(pod.key, data):
                self._learn_key(pod)
            if is_signed(pod.key, data):
                pod.config = parse_config(data[CONFIG_KEY])
            pod.read_at = time.monotonic()
        except (AssertionError, KeyError, OSError):
            pass  # as a gateway does: what it has stays

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        pod = self._by_address[request.transport.get_extra_info("sockname")[0]]
        if request.path == "/-/evidence/cohorts":
            return await self._proven(pod, request, Cohorts(pod.boot, 0.0, [], [], [], [], [], [], []))
        if request.path == USAGE_PATH:
            return await self._proven(pod, request, Usage(pod.boot, time.monotonic() - pod.born, 1, rows=pod.usage))
        if request.path != "/-/evidence":
            return web.Response(status=404)
        self.reads += 1
        if time.monotonic() - pod.read_at > (_FRESH if pod.counts or time.monotonic() < pod.born + 30 else _IDLE):
            await asyncio.to_thread(self._refresh, pod)
        evidence = pod.evidence(request.query.get("since", ""), request.query.get("keep") == "1")
        return await self._proven(pod, request, evidence)

    async def _proven(self, pod: Pod, request: web.BaseRequest, document: Evidence | Cohorts | Usage) -> web.Response:
        """The answer to the operator, 401 to others. The key is read again where it is not that of who asks."""
        body, name = msgspec.json.encode(document), f"{names.gateway_name(pod.deployment)}-0"
        for _ in range(2):
            if pod.key:
                with suppress(ProofError):
                    target, headers = request.raw_path, request.headers
                    proof = admin_port.proof(pod.key, pod=name, target=target, headers=headers, body=body)
                    return web.Response(body=body, headers=proof)
            await asyncio.to_thread(self._learn_key, pod)
        return web.Response(status=401)

    def _learn_key(self, pod: Pod) -> None:
        with suppress(AssertionError, KeyError, OSError):
            secret = self._admin.take("Secret", names.gateway_name(pod.deployment), self._namespace)
            pod.key = admin_port.key_in(secret)
