"""The ConfigMap, watched through an API server that this test plays."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.waiting import until

from claude_operator.gateway.document import Document
from claude_operator.gateway.source import ApiServer, ConfigMapSource
from claude_operator.log import Log


@dataclass
class FakeApi:
    """One ConfigMap with list and watch."""

    document: str | None = None
    version: int = 1
    signature: str = ""
    further: dict[str, str] = field(default_factory=dict)
    down: bool = False
    expired: bool = False
    queries: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    watchers: list[asyncio.Queue[dict[str, Any] | None]] = field(default_factory=list)

    def item(self) -> dict[str, Any]:
        metadata = {"name": "support-gateway", "resourceVersion": str(self.version)}
        data = {"config.json": self.document, **self.further} | (
            {"signature": self.signature} if self.signature else {}
        )
        return {"kind": "ConfigMap", "metadata": metadata, "data": data}

    def change(self, document: str) -> None:
        self.document = document
        self.version += 1
        self.tell({"type": "MODIFIED", "object": self.item()})

    def tell(self, event: dict[str, Any] | None) -> None:
        for watcher in self.watchers:
            watcher.put_nowait(event)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        self.tokens.append(request.headers.get("authorization", ""))
        if self.down:
            return web.Response(status=500)
        if "watch" not in request.query:
            items = [] if self.document is None else [self.item()]
            return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})
        response = web.StreamResponse()
        await response.prepare(request)
        if self.expired:
            self.expired = False
            gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410}}
            await response.write(json.dumps(gone).encode() + b"\n")
            return response
        events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.watchers.append(events)
        while (event := await events.get()) is not None:
            line = json.dumps(event).encode() + b"\n"
            await response.write(line[:7])
            await response.write(line[7:])
        self.watchers.remove(events)
        return response

    async def watched(self) -> None:
        await until(lambda: self.watchers)


@dataclass
class Watching:
    api: FakeApi
    offers: list[str]
    signatures: list[str]
    egresses: list[tuple[str, str]]
    output: io.StringIO
    mounted: Path
    token: Path

    async def offered(self, document: str) -> None:
        await until(lambda: self.offers[-1:] == [document])


@pytest.fixture
async def watching(tmp_path: Path) -> AsyncIterator[Watching]:
    api = FakeApi()
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/demo/configmaps", api.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    (tmp_path / "token").write_text("t1\n")
    server = ApiServer(f"http://127.0.0.1:{runner.addresses[0][1]}", tmp_path / "token", None)
    state = Watching(api, [], [], [], io.StringIO(), tmp_path / "config.json", tmp_path / "token")
    source = ConfigMapSource("demo", "support-gateway", server, state.mounted, Log(state.output, "json"))
    api.down = True

    def take(document: Document) -> None:
        state.offers.append(document.config.decode())
        state.signatures.append(document.signature)
        state.egresses.append((document.egress, document.egress_signature))

    task = asyncio.create_task(source.run(take))
    try:
        yield state
        assert not task.done()
    finally:
        task.cancel()
        api.tell(None)
        await runner.cleanup()


async def test_the_mounted_file_serves_until_the_first_list(watching: Watching) -> None:
    watching.mounted.write_text("mounted")
    await watching.offered("mounted")
    watching.api.document = "listed"
    watching.api.down = False
    await watching.offered("listed")
    watching.mounted.write_text("mounted later")
    await asyncio.sleep(0.3)
    assert watching.offers == ["mounted", "listed"]
    assert watching.signatures == ["", ""]


async def test_the_mounted_document_and_its_signature_are_of_one_version(watching: Watching) -> None:
    folder = watching.mounted.parent

    def mount(version: str, **data: str) -> None:
        """As the kubelet does."""
        (folder / version).mkdir()
        for name, text in data.items():
            (folder / version / name.replace("_", ".")).write_text(text)
        (folder / "..tmp").symlink_to(version)
        (folder / "..tmp").rename(folder / "..data")

    for name in ("config.json", "signature", "egress.json", "egress-signature"):
        (folder / name).symlink_to(f"..data/{name}")
    for number in range(3):
        mount(
            f"..v{number}", config_json=f"document {number}", signature=f"signature {number}", egress_json=f"e{number}"
        )
        await watching.offered(f"document {number}")
    mount("..v3", config_json="unsigned")
    await watching.offered("unsigned")
    assert watching.signatures == ["signature 0", "signature 1", "signature 2", ""]
    assert watching.egresses == [("e0", ""), ("e1", ""), ("e2", ""), ("", "")]


async def test_the_signature_comes_with_a_listed_and_with_a_changed_document(watching: Watching) -> None:
    watching.api.document, watching.api.signature, watching.api.down = "first", "s1", False
    await watching.api.watched()
    watching.api.signature, watching.api.further = "s2", {"egress.json": "{}", "egress-signature": "es2"}
    watching.api.change("second")
    await watching.offered("second")
    assert watching.signatures == ["s1", "s2"]
    assert watching.egresses == [("", ""), ("{}", "es2")]


async def test_changes_come_at_once_and_of_any_size(watching: Watching) -> None:
    watching.api.document, watching.api.down = "first", False
    await watching.api.watched()
    asked = len(watching.api.queries)
    for number in range(3):
        watching.api.change(f"{number}" * 400_000)
        await watching.offered(f"{number}" * 400_000)
    assert len(watching.api.queries) == asked  # the watch brought them
    listed, watch = watching.api.queries[-2:]
    assert listed == {"fieldSelector": "metadata.name=support-gateway"}
    assert watch == {
        "fieldSelector": "metadata.name=support-gateway",
        "watch": "true",
        "resourceVersion": "1",
        "timeoutSeconds": "60",
    }


async def test_a_deleted_configmap_changes_nothing(watching: Watching) -> None:
    watching.api.document, watching.api.down = "first", False
    await watching.api.watched()
    watching.api.tell({"type": "DELETED", "object": watching.api.item()})
    watching.api.document = None
    watching.api.tell(None)
    await asyncio.sleep(0.1)
    await watching.api.watched()
    assert watching.offers == ["first"]
    watching.api.change("again")
    await watching.offered("again")


async def test_an_ended_watch_is_listed_and_watched_anew(watching: Watching) -> None:
    watching.api.document, watching.api.down = "first", False
    await watching.api.watched()
    watching.api.document = "changed while nobody watched"
    watching.token.write_text("t2")
    watching.api.tell(None)
    await watching.offered("changed while nobody watched")
    assert watching.api.tokens[0] == "Bearer t1"
    assert watching.api.tokens[-1] == "Bearer t2"


async def test_an_expired_version_and_a_broken_server_are_survived(watching: Watching) -> None:
    watching.api.expired, watching.api.document, watching.api.down = True, "first", False
    await watching.api.watched()
    watching.api.tell({"type": "ADDED", "object": "nonsense"})
    watching.api.down = True
    await until(lambda: "HTTP 500" in reasons(watching))
    watching.api.document, watching.api.down = "second", False
    await watching.offered("second")


def reasons(watching: Watching) -> list[str]:
    return [json.loads(line).get("reason") for line in watching.output.getvalue().splitlines()]


async def test_a_configmap_without_the_key_changes_nothing(watching: Watching) -> None:
    watching.api.document, watching.api.down = "first", False
    await watching.api.watched()
    watching.api.tell({"type": "MODIFIED", "object": {"metadata": {}, "data": {"other": "x"}}})
    watching.api.tell({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}})
    watching.api.change("second")
    await watching.offered("second")
    assert watching.offers == ["first", "second"]
