"""TLS on the port for clients."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.gateway.harness import CLIENT_KEY, Gateway, make_arm, make_config, running_gateway
from tests.gateway.test_exhaustion import rest_of
from tests.gateway.test_process import gateway_process
from tests.gateway.upstream import Playback, Recorded, json_answer, recording_upstream, stream_events
from tests.waiting import HANGS, until

from claude_operator.api.gateway import Auth, dump_config
from claude_operator.gateway import connections

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="install openssl")

FIRST, *REST = stream_events("x")


class Certificates:
    """A folder as a mounted Secret: `..data` is a link that is swapped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._number = 0
        for name in ("tls.crt", "tls.key"):
            (folder / name).symlink_to(f"..data/{name}")

    def write(self, name: str) -> Path:
        """A new self-signed certificate for localhost with this name as its organisation; returns its file."""
        self._number += 1
        made = self.folder / f"..{self._number}"
        made.mkdir()
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        words += ["-subj", f"/CN=localhost/O={name}", "-addext", "subjectAltName=DNS:localhost", "-days", "30000"]
        words += ["-keyout", str(made / "tls.key"), "-out", str(made / "tls.crt")]
        subprocess.run(words, check=True, capture_output=True)
        self.swap(made)
        return made / "tls.crt"

    def swap(self, made: Path) -> None:
        """Lead `..data` there, at once."""
        link = self.folder / "..new"
        link.symlink_to(made.name)
        link.rename(self.folder / "..data")


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "tls")


@pytest.fixture
async def secure(tmp_path: Path, certificates: Certificates) -> AsyncIterator[Gateway]:
    certificates.write("first")
    async with (
        recording_upstream(json_answer()) as upstream,
        running_gateway(upstream, tmp_path, tls=certificates.folder) as gateway,
    ):
        gateway.serve()
        yield gateway


def session(trusted: Path) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusting(trusted), force_close=True), headers={"x-api-key": CLIENT_KEY}
    )


async def ask(port: int, trusted: Path, body: bytes = b'{"messages":[]}') -> int:
    """The status of a call by TLS on a connection of its own."""
    url = f"https://localhost:{port}/v1/messages"
    async with session(trusted) as http, http.post(url, data=io.BytesIO(body)) as response:
        await response.read()
        return response.status


async def test_clients_are_served_by_tls_and_by_nothing_else(secure: Gateway, certificates: Certificates) -> None:
    trusted = certificates.folder / "tls.crt"
    assert await ask(secure.service.port, trusted) == 200
    assert secure.upstream.last.json()["messages"] == []
    reader, writer = await asyncio.open_connection("127.0.0.1", secure.service.port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert not (await rest_of(reader)).startswith(b"HTTP/")
    writer.close()
    assert await ask(secure.service.port, trusted) == 200


async def test_a_large_body_and_answer(secure: Gateway, certificates: Certificates) -> None:
    text = json.dumps({"messages": [{"role": "user", "content": "x" * 3_000_000}]}).encode()
    assert await ask(secure.service.port, certificates.folder / "tls.crt", text) == 200
    assert len(secure.upstream.last.body) > 3_000_000


async def test_a_renewed_certificate_is_shown_and_no_stream_breaks(secure: Gateway, certificates: Certificates) -> None:
    go_on = asyncio.Event()

    async def held(_: Recorded, play: Playback) -> None:
        await play.head(content_type="text/event-stream", transfer_encoding="chunked")
        await play.chunk(FIRST)
        await go_on.wait()
        await play.chunk(b"".join(REST))
        await play.raw(b"0\r\n\r\n")

    old = certificates.folder / "old.crt"
    old.write_bytes((certificates.folder / "tls.crt").read_bytes())
    secure.upstream.script = held
    url = f"https://localhost:{secure.service.port}/v1/messages"
    async with session(old) as http, http.post(url, json={"messages": [], "stream": True}) as stream:
        assert await stream.content.readany() == FIRST
        new = certificates.write("second")
        await until(lambda: "certificate read" in secure.output.getvalue())
        secure.upstream.script = json_answer()
        assert await ask(secure.service.port, new) == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await ask(secure.service.port, old)
        go_on.set()
        assert await stream.read() == b"".join(REST)


async def test_what_is_no_certificate_leaves_the_one_before(secure: Gateway, certificates: Certificates) -> None:
    good = certificates.folder / "good.crt"
    good.write_bytes((certificates.folder / "tls.crt").read_bytes())
    broken = certificates.folder / "..broken"
    broken.mkdir()
    (broken / "tls.crt").write_text("no certificate")
    (broken / "tls.key").write_text("no key")
    certificates.swap(broken)
    await until(lambda: "certificate refused" in secure.output.getvalue())
    assert await ask(secure.service.port, good) == 200
    (certificates.folder / "..data").unlink()  # the Secret is gone
    await asyncio.sleep(1.2)
    assert await ask(secure.service.port, good) == 200
    assert secure.output.getvalue().count("certificate refused") == 1


async def test_who_does_not_shake_hands_is_let_go_and_takes_no_place(
    secure: Gateway, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    silent = [await asyncio.open_connection("127.0.0.1", secure.service.port) for _ in range(20)]
    for reader, writer in silent:
        assert await rest_of(reader) == b""
        writer.close()
    table = secure.service.tables[1]
    await until(lambda: table.count == 0)
    assert await ask(secure.service.port, certificates.folder / "tls.crt") == 200


@pytest.mark.slow
async def test_a_process_with_a_certificate(tmp_path: Path, certificates: Certificates) -> None:
    trusted = certificates.write("first")
    config = tmp_path / "config.json"
    async with recording_upstream(json_answer()) as upstream:
        config.write_text(dump_config(make_config(upstream.url, make_arm(), auth=Auth("None"))))
        options = ("--config", str(config), "--tls-dir", str(certificates.folder))
        async with gateway_process(*options, ANTHROPIC_API_KEY="k") as process:
            port = (await process.line("listening"))["port"]
            await process.line("config applied")
            assert await ask(port, trusted) == 200
            again = certificates.write("second")
            await process.line("certificate read")
            assert await ask(port, again) == 200


@pytest.mark.slow
async def test_without_a_certificate_the_process_does_not_start(tmp_path: Path) -> None:
    async with gateway_process("--config", str(tmp_path / "c.json"), "--tls-dir", str(tmp_path)) as process:
        line = await process.line("cannot start")
        assert "tls.crt" in line["reason"]
        assert await asyncio.wait_for(process.process.wait(), HANGS) == 1
