"""The process: what it waits for, what ends it, and what it leaves behind."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from tests.ports import free_ports
from tests.shell.fakes import FakeKube, SetClock, now, run
from tests.shell.rig import SITE, START, deployment, secret
from tests.shell.served import Served, served
from tests.shell.test_control_plane import endpoints
from tests.waiting import HANGS, until

from claude_operator.api.gateway import read_config
from claude_operator.kube.client import KubeError
from claude_operator.kube.resources import LEASES
from claude_operator.shell import app as app_module
from claude_operator.shell import control_plane
from claude_operator.shell import lookout as lookout_module
from claude_operator.shell import scope as scope_module
from claude_operator.shell.app import App, Settings
from claude_operator.shell.clock import SYSTEM_CLOCK
from claude_operator.shell.keys import DEPLOYMENT, Key
from claude_operator.shell.lease import Lease, LeaseLost
from claude_operator.shell.models import ModelBook
from claude_operator.shell.queue import WorkQueue
from claude_operator.shell.supervise import Supervisor

KEY = Key(DEPLOYMENT, "demo", "support")
NO = KubeError(503, "ServiceUnavailable", "try later")


def settings(port: int = 0) -> Settings:
    return Settings(SITE, "claude-system", "me_1", health_port=port, workers=2)


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setattr(app_module, "_RETRY", 0.02)
    monkeypatch.setattr(scope_module, "_AGAIN", 0.02)
    # A busy machine may need longer than the default for a renewal: the server is on this loop.
    patient = functools.partial(Lease, duration=2 * HANGS, give_up=HANGS, call_timeout=HANGS / 2)
    monkeypatch.setattr(app_module, "Lease", patient)
    async with served(FakeKube(), tmp_path) as server:
        yield server


@asynccontextmanager
async def running(app: App) -> AsyncIterator[asyncio.Task[None]]:
    """The app in a task; afterwards nothing of it is left."""
    before = asyncio.all_tasks()
    task = asyncio.create_task(app.run())
    try:
        yield task
    finally:
        app.stop()
        watches = app._lookout.watches if app._lookout is not None else None
        await asyncio.gather(task, return_exceptions=True)
        if watches is not None:
            assert await asyncio.to_thread(watches.join, 30.0)
            assert not watches.alive
        mine = {one for one in asyncio.all_tasks() - before if "RequestHandler" not in repr(one)}
        assert mine == set()


def holder(kube: FakeKube) -> str:
    return str(kube.take("Lease", "claude-operator", "claude-system")["spec"]["holderIdentity"])


async def test_it_leads_works_and_gives_the_lease_up_when_told_to_stop(cluster: Served) -> None:
    kube, port = cluster.kube, free_ports()[0]
    kube.put(secret())
    kube.put(deployment())
    app = App(settings(port))
    async with running(app) as task, aiohttp.ClientSession() as session:
        await until(lambda: "support-gateway" in kube.names("Deployment") and len(cluster.watching) == 15)
        assert holder(kube) == "me_1"
        assert kube.names("ClaudeModel")
        for path, status in (("healthz", 200), ("readyz", 200)):
            async with session.get(f"http://127.0.0.1:{port}/{path}") as response:
                assert response.status == status
        async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
            assert "claude_operator_leader 1.0" in await response.text()
        body = kube.take("ClaudeDeployment", "support")
        kube.put({**body, "spec": {**body["spec"], "gateway": {"replicas": 5}}})  # a watch brings it
        await until(lambda: kube.take("Deployment", "support-gateway")["spec"]["replicas"] == 5)
        app.stop()
        await asyncio.wait_for(task, HANGS)
    assert holder(kube) == ""


async def test_gateways_are_told_the_api_servers_addresses_as_they_change_and_no_pod_is_replaced(
    cluster: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_plane, "_EVERY", 0.05)
    kube = cluster.kube
    kube.put(secret())
    kube.put(endpoints("192.0.2.7"))
    key = {"name": "anthropic", "key": "api-key"}
    kube.put(deployment(upstream={"baseURL": "http://192.0.2.1", "apiKeySecretRef": key}))  # no name to look up

    def denied() -> list[str]:
        return read_config(kube.take("ConfigMap", "support-gateway")["data"]).limits.denied_addresses

    async with running(App(settings())):
        await until(lambda: "support-gateway" in kube.names("Deployment"))
        assert denied() == ["192.0.2.7/32"]
        before = kube.take("Deployment", "support-gateway")["spec"]
        assert "192.0.2.7" not in str(before)
        kube.put(endpoints("192.0.2.8"))
        await until(lambda: "192.0.2.8/32" in denied())
        await until(lambda: denied() == ["192.0.2.8/32"])  # the old one goes too, but not at once
        assert kube.take("Deployment", "support-gateway")["spec"] == before


async def test_it_stands_by_when_the_lease_is_lost_and_leads_again_when_it_is_free(cluster: Served) -> None:
    kube, app = cluster.kube, App(settings())
    kube.put(secret())
    async with running(app) as task:
        await until(lambda: len(cluster.watching) == 15)
        first = app._lookout
        assert first is not None
        lease = kube.take("Lease", "claude-operator", "claude-system")
        kube.put({**lease, "spec": {**lease["spec"], "holderIdentity": "other"}})
        await until(lambda: app._queue is None)
        assert holder(kube) == "other"
        assert app._unready() is None  # as a standby
        kube.put(deployment())
        await asyncio.sleep(0.5)
        assert kube.names("Deployment") == []  # it does not work
        lease = kube.take("Lease", "claude-operator", "claude-system")
        kube.put({**lease, "spec": {**lease["spec"], "holderIdentity": ""}})
        await until(lambda: "support-gateway" in kube.names("Deployment"))
        assert holder(kube) == "me_1"
        assert app._lookout is not first
        assert first.watches is not None
        assert await asyncio.to_thread(first.watches.join, 30.0)
        assert not task.done()
    assert holder(kube) == ""
    assert b'claude_operator_leaderships_lost_total{reason="lease"} 1.0' in app._metrics.page()


async def test_kopf_that_ends_is_begun_anew(cluster: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout_module, "_FIRST_PAUSE", 0.05)
    kube, app = cluster.kube, App(settings())
    kube.put(secret())
    kube.put(deployment())
    async with running(app) as task:
        await until(lambda: len(cluster.watching) == 15 and "support-gateway" in kube.names("Deployment"))
        assert app._lookout is not None
        first = app._lookout.watches
        assert first is not None
        first.stop()
        await until(lambda: len(cluster.watching) == 30)
        assert app._lookout.watches is not first
        body = kube.take("ClaudeDeployment", "support")
        kube.put({**body, "spec": {**body["spec"], "gateway": {"replicas": 5}}})
        await until(lambda: kube.take("Deployment", "support-gateway")["spec"]["replicas"] == 5)
        assert not task.done()
        assert holder(kube) == "me_1"
    assert b"claude_operator_watch_restarts_total 1.0" in app._metrics.page()


@pytest.mark.parametrize("kind", ["ClaudeDeployment", "ClaudeModel"])
async def test_it_waits_for_every_kind_and_says_so_once(
    cluster: Served, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    cluster.hidden.add(kind)
    port, app = free_ports()[0], App(settings())
    app._settings = settings(port)
    async with running(app), aiohttp.ClientSession() as session:
        await until(lambda: sum("claude" in one for one in cluster.requests) > 8)
        said = [record for record in caplog.records if "cannot be listed yet" in record.message]
        assert [kind in record.fields["error"] for record in said] == [True]  # type: ignore[attr-defined]
        async with session.get(f"http://127.0.0.1:{port}/readyz") as response:
            assert response.status == 503
        async with session.get(f"http://127.0.0.1:{port}/healthz") as response:
            assert response.status == 200
        assert cluster.kube.names("Lease") == []
        cluster.hidden.clear()
        await until(lambda: len(cluster.watching) == 15)


async def test_it_stops_at_once_while_it_waits_for_the_kinds_or_for_the_lease(cluster: Served) -> None:
    cluster.hidden.add("ClaudeModel")
    app = App(settings())
    async with running(app) as task:
        await until(lambda: cluster.requests)
        app.stop()
        await asyncio.wait_for(task, HANGS)
    assert cluster.kube.names("Lease") == [] or holder(cluster.kube) == ""
    cluster.hidden.clear()
    spec = {"holderIdentity": "other", "leaseDurationSeconds": 3600, "renewTime": "2026-11-24T10:00:00.000000Z"}
    metadata = {"name": "claude-operator", "namespace": "claude-system"}
    cluster.kube.put({"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": metadata, "spec": spec})
    standby = App(settings())
    async with running(standby) as task:
        await until(lambda: standby._started)
        await asyncio.sleep(0.05)
        assert standby._queue is None  # it does not work
        standby.stop()
        await asyncio.wait_for(task, HANGS)
    assert holder(cluster.kube) == "other"


async def test_a_port_that_is_taken_ends_it_with_words(cluster: Served) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        with pytest.raises(OSError, match="choose another"):
            await App(settings(taken.getsockname()[1])).run()


# ------------------------------------------------------------------------------------------ parts, in virtual time


def test_work_that_is_not_stopped_is_done_and_raises_what_it_raises() -> None:
    async def fails() -> None:
        raise NO

    async def main() -> None:
        supervisor = Supervisor()
        assert await supervisor.unless_stopped(asyncio.sleep(5)) is True
        with pytest.raises(KubeError):
            await supervisor.unless_stopped(fails())
        asyncio.get_running_loop().call_later(3, supervisor.stop)
        began = now()
        assert await supervisor.unless_stopped(asyncio.sleep(50)) is False
        assert now() - began == pytest.approx(3)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


def test_work_is_cancelled_with_the_one_that_waits_for_it() -> None:
    async def main() -> None:
        ended = []

        async def work() -> None:
            try:
                await asyncio.sleep(50)
            finally:
                ended.append(True)

        waiting = asyncio.create_task(Supervisor().unless_stopped(work()))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert ended == [True]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


def test_one_part_that_fails_ends_the_others() -> None:
    async def main() -> None:
        ended = []

        async def part() -> None:
            try:
                await asyncio.sleep(500)
            finally:
                ended.append(now())

        async def fails() -> None:
            await asyncio.sleep(2)
            raise LeaseLost("gone")

        began = now()
        with pytest.raises(LeaseLost):
            await Supervisor().run(part(), fails(), part())
        assert ended == [began + 2] * 2

    run(main())


class Wakes:
    """Stands for the lookout: how often all were woken."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def add_all(self) -> None:
        self.times.append(now())


def test_models_are_kept_each_hour_at_each_change_and_wake_all_that_is_known() -> None:
    async def main() -> None:
        kube, wakes, app = FakeKube(), Wakes(), App(settings())
        book = ModelBook(kube, SetClock(START))  # type: ignore[arg-type]
        task = asyncio.create_task(app._keep_models(book, wakes))  # type: ignore[arg-type]
        await asyncio.sleep(1)
        assert wakes.times == []  # the first passes wait for the models
        assert app._models_read.is_set()
        kube.calls.clear()
        await asyncio.sleep(3600)
        assert [call[0] for call in kube.calls] == ["list"]  # nothing differs
        name = kube.names("ClaudeModel")[0]
        mine = kube.take("ClaudeModel", name, "")
        mine["metadata"] = {"name": "mine"}
        kube.put({**mine, "spec": {**mine["spec"], "id": "mine"}, "status": {}})
        app._models_changed.set()
        await asyncio.sleep(2.1)
        assert len(wakes.times) == 1
        task.cancel()

    run(main())


def test_models_that_cannot_be_listed_are_tried_again() -> None:
    async def main() -> None:
        kube, wakes, app = FakeKube(), Wakes(), App(settings())

        def refuse(verb: str, kind: str, name: str) -> None:
            if verb == "list":
                kube.before = lambda *_: None
                raise NO

        kube.before = refuse
        task = asyncio.create_task(app._keep_models(ModelBook(kube, SetClock(START)), wakes))  # type: ignore[arg-type]
        await asyncio.sleep(1.9)
        assert kube.names("ClaudeModel") == []
        await asyncio.sleep(0.5)
        assert kube.names("ClaudeModel")
        assert len(wakes.times) == 1  # the first passes have not waited so long
        task.cancel()

    run(main())


def test_the_probe_fails_while_the_queue_is_stuck_and_only_then() -> None:
    async def work(key: Key) -> None:
        return None

    async def main() -> None:
        app, moment = App(settings()), [0.0]
        assert app._stuck() is None  # a standby
        app._queue = WorkQueue(work, clock=lambda: moment[0])
        moment[0] = 89.0
        assert app._stuck() is None
        moment[0] = 91.0
        assert app._stuck() == "the queue has not run for 91 s"

    run(main())


def test_the_probe_fails_while_the_loop_is_stuck() -> None:
    async def main() -> None:
        app = App(settings())
        app._loop_watch._moved -= 91.0
        assert app._stuck() == "the event loop has not run for 91 s"
        watching = asyncio.create_task(app._loop_watch.run())
        await asyncio.sleep(0.05)
        assert app._stuck() is None
        busy_until = time.thread_time() + 0.2
        while time.thread_time() < busy_until:  # what a pass must not do
            pass
        await asyncio.sleep(0.05)
        assert app._metrics.longest_hold._value.get() >= 0.15
        watching.cancel()

    asyncio.run(main())


async def test_who_cannot_do_its_work_says_why() -> None:
    app = App(settings())
    assert app._unready() == "starting"
    app._away = "ClaudeModel: no"
    assert app._unready() == "starting: ClaudeModel: no"
    app._started = True
    assert "cannot be listed: ClaudeModel: no" in str(app._unready())
    app._away = None
    assert app._unready() is None


def test_the_clock_is_of_utc() -> None:
    assert SYSTEM_CLOCK.now().tzinfo is dt.UTC
