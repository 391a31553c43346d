"""A gateway in this process, on loopback, and what a test needs to talk to it."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from tests.gateway.upstream import RecordingUpstream
from tests.waiting import HANGS, until
from yarl import URL

from claude_operator.api.evidence import Evidence
from claude_operator.api.gateway import (
    CONFIG_KEY,
    DRILL_KEY,
    EGRESS_KEY,
    PRICES_KEY,
    THROTTLE_KEY,
    Arm,
    Auth,
    Deployment,
    GatewayConfig,
    Timeouts,
    Upstream,
    dump_config,
    dump_drill,
    dump_egress,
    dump_prices,
    dump_throttle,
)
from claude_operator.core.operator_key import (
    ask,
    is_answer,
    sign_config,
    sign_drill,
    sign_egress,
    sign_prices,
    sign_throttle,
)
from claude_operator.gateway.credentials import CredentialFiles
from claude_operator.gateway.document import Document
from claude_operator.gateway.service import Service, Settings
from claude_operator.log import Log

CLIENT_KEY = "client-key-SENTINEL"
UPSTREAM_KEY = "sk-ant-upstream-SENTINEL"
OPERATOR_KEY = "op-SENTINEL"
GRADER_KEY = "gr-SENTINEL"
POD = "support-gateway-1"
STABLE = "support-5f6d8c1a2b"
CANARY = "support-7b9e21c3d4"


def make_arm(revision: str = STABLE, role: Any = "stable", weight: int = 10_000, **more: Any) -> Arm:
    request = {"model": "claude-opus-5-5", "max_tokens": 64, **more.pop("request", {})}
    return Arm(revision=revision, role=role, weight=weight, request=request, **more)


def make_config(
    url: str, *arms: Arm, generation: int = 1, timeouts: Timeouts | None = None, **more: Any
) -> GatewayConfig:
    return GatewayConfig(
        generation=generation,
        deployment=Deployment(name="support", namespace="demo", uid="0b2f4d3e-0000-4000-8000-000000000001"),
        arms=list(arms),
        upstream=Upstream(base_url=url, timeouts=timeouts or Timeouts()),
        auth=more.pop("auth", Auth()),
        **more,
    )


def written(
    document: bytes,
    egress: str = "{}",
    key: str = OPERATOR_KEY,
    prices: str = "{}",
    throttle: str = "{}",
    drill: str = "",
) -> Document:
    """A config as the operator with this key writes it."""
    secret = key.encode()
    data = {
        CONFIG_KEY: document.decode("utf-8", "surrogateescape"),
        EGRESS_KEY: egress,
        PRICES_KEY: prices,
        THROTTLE_KEY: throttle,
        DRILL_KEY: drill,
    }
    return Document(
        document,
        sign_config(secret, data),
        egress,
        sign_egress(secret, data),
        prices,
        sign_prices(secret, data),
        throttle,
        sign_throttle(secret, data),
        drill,
        sign_drill(secret, data) if drill else "",
    )


class NoSource:
    """Configs are offered by the test itself."""

    async def run(self, _: Callable[[Document], None]) -> None:
        await asyncio.Event().wait()


@dataclass
class Gateway:
    """A running gateway and its surroundings."""

    service: Service
    upstream: RecordingUpstream
    files: CredentialFiles
    output: io.StringIO
    http: aiohttp.ClientSession
    config: GatewayConfig = field(init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.service.port}"

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.service.admin_port}"

    def serve(self, *arms: Arm, **more: Any) -> None:
        self.config = make_config(more.pop("url", self.upstream.url), *(arms or (make_arm(),)), **more)
        self.offer(
            dump_config(self.config).encode(),
            dump_egress(self.config),
            dump_prices(self.config),
            dump_throttle(self.config),
            dump_drill(self.config) if self.config.drill else "",
        )

    def offer(
        self, document: bytes, egress: str = "{}", prices: str = "{}", throttle: str = "{}", drill: str = ""
    ) -> None:
        """As the operator writes it."""
        self.service.control.offer(written(document, egress, prices=prices, throttle=throttle, drill=drill))

    async def post(
        self, body: Any = None, headers: dict[str, str] | None = None, path: str = "/v1/messages"
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """One call, read to the end; `body` is JSON data or the bytes themselves."""
        default = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "model": "m"}
        data = body if isinstance(body, bytes) else json.dumps(default if body is None else body).encode()
        sent = {"authorization": f"Bearer {CLIENT_KEY}", "content-type": "application/json", **(headers or {})}
        async with self.http.post(URL(self.url + path, encoded=True), data=io.BytesIO(data), headers=sent) as response:
            return response, await response.read()

    async def read(self, target: str) -> bytes:
        """A document of the admin port, asked for as the operator does, and proven."""
        url, nonce, key = URL(self.admin + target), secrets.token_hex(16), OPERATOR_KEY.encode()
        pod = self.service.settings.pod
        sent = ask(key, pod=pod, method="GET", target=url.raw_path_qs, nonce=nonce)
        async with self.http.get(url, headers=sent) as response:
            body = await response.read()
            assert (response.status, response.content_type) == (200, "application/json"), body
            assert is_answer(key, pod=pod, nonce=nonce, body=body, headers=response.headers)
            return body

    async def evidence(self) -> Evidence:
        return msgspec.json.decode(await self.read("/-/evidence"), type=Evidence)

    async def outcomes(self) -> dict[str, int]:
        """Outcomes of all strata together."""
        sums: dict[str, int] = {}
        for generation in (await self.evidence()).generations:
            for stratum in generation.strata:
                for outcome, count in stratum.counters.outcomes.items():
                    sums[outcome] = sums.get(outcome, 0) + count
        return sums

    async def lines(self, count: int = 1) -> list[dict[str, Any]]:
        """The log lines of calls, once there are `count` of them."""
        await until(lambda: len(self.calls()) >= count, f"no {count} log lines")
        return self.calls()

    def calls(self) -> list[dict[str, Any]]:
        """The log lines of calls up to now."""
        return [line for line in map(json.loads, self.output.getvalue().splitlines()) if line["message"] == "call"]


@asynccontextmanager
async def running_gateway(
    upstream: RecordingUpstream,
    folder: Path,
    *,
    on_a_laptop: bool = False,
    keys: bool = True,
    clock: Callable[[], float] = time.perf_counter,
    **settings: Any,
) -> AsyncIterator[Gateway]:
    paths = [folder / name for name in ("upstream-key", "env", "client", "operator")]
    files = CredentialFiles(*paths, on_a_laptop=on_a_laptop)
    files.env.mkdir()
    files.client.mkdir()
    files.operator.mkdir()
    if keys:
        (files.operator / "operator-key").write_text(OPERATOR_KEY)
        (files.operator / "grader-key").write_text(GRADER_KEY)
    files.upstream_key.write_text(UPSTREAM_KEY + "\n")
    (files.client / "ANTHROPIC_API_KEY").write_text(CLIENT_KEY)
    output = io.StringIO()
    default = {"host": "127.0.0.1", "port": 0, "admin_port": 0, "settle_seconds": 0.0, "drain_seconds": 2.0, "pod": POD}
    options = Settings(**(default | settings))
    service = Service(options, NoSource(), files, Log(output, "json"), clock)
    task = asyncio.create_task(service.run())
    await service.started.wait()
    try:
        async with aiohttp.ClientSession(auto_decompress=False) as http:
            yield Gateway(service, upstream, files, output, http)
    finally:
        service.stop()
        await asyncio.wait_for(task, HANGS)
