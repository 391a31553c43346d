"""What is kept is found again, whatever becomes of the process, the place or what others write into it."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from kubernetes.aio import client as aio
from tests.evals.servers import Cluster, cluster
from tests.waiting import HANGS, until

from claude_operator.core.evals.kept import SLOT_BYTES, SLOTS, batch_name, pack_batch, slot_names
from claude_operator.evals.keeping import Folder, Keeper, Place, Secrets, Unkept
from claude_operator.kube.client import Kube

KEYS = [number.to_bytes(34) for number in range(10_000)]
OWNER = {"uid": "set-1", "controller": True}


def every(_: bytes) -> bool:
    return True


def add_slots(objects: Cluster, uid: str = "set-1") -> None:
    for name in slot_names("support"):
        objects.add("secrets", name)["metadata"]["ownerReferences"] = [OWNER | {"uid": uid}]


@asynccontextmanager
async def secrets() -> AsyncIterator[tuple[Cluster, Kube]]:
    async with cluster() as objects:
        add_slots(objects)
        configuration = aio.Configuration()
        configuration.host = objects.url
        async with Kube(configuration, tries=1) as kube:
            yield objects, kube


def place(kube: Kube) -> Secrets:
    return Secrets(kube, "demo", "support", "set-1")


async def keep(where: Place, *keys: bytes, value: bytes = b"x") -> Keeper:
    """Keep a value under each key, and end."""
    keeper = Keeper(where)
    async with keeper.open(every):
        for key in keys:
            keeper.add(key, value + key)
    return keeper


async def found(where: Place, *keys: bytes) -> list[bytes]:
    keeper = Keeper(where)
    async with keeper.open(frozenset(keys).__contains__):
        return [key for key in keys if keeper.find(key) is not None]


def names(objects: Cluster) -> list[str]:
    return sorted(name for slot in slot_names("support") for name in objects.objects[_path(slot)].get("data") or {})


def _path(slot: str) -> str:
    return f"/api/v1/namespaces/demo/secrets/{slot}"


async def test_a_folder_keeps(tmp_path: Path) -> None:
    where = Folder(tmp_path / "answers")
    assert (await keep(where, *KEYS[:120])).trouble == ""
    assert await found(where, *KEYS[:130]) == KEYS[:120]
    assert (tmp_path / "answers").stat().st_mode & 0o077 == 0


async def test_a_folder_forgets_the_oldest_and_passes_over_what_it_cannot_read(tmp_path: Path) -> None:
    where = Folder(tmp_path, most=1)
    await keep(where, KEYS[0])
    await asyncio.sleep(1.1)  # names are in seconds
    await keep(where, KEYS[1])
    assert await found(where, *KEYS[:2]) == []
    where = Folder(tmp_path)
    await keep(where, KEYS[2])
    month_old = pack_batch({KEYS[3]: b"x"})
    (tmp_path / f"{batch_name(time.time() - 31 * 86400, month_old)}.answers").write_bytes(month_old)
    damaged = pack_batch({KEYS[4]: b"x"})[:-3]
    (tmp_path / f"{batch_name(time.time(), damaged)}.answers").write_bytes(damaged)
    (tmp_path / "notes.txt").write_text("mine")
    assert await found(where, *KEYS[:5]) == [KEYS[2]]


async def test_secrets_keep_and_two_jobs_write_at_once() -> None:
    async with secrets() as (objects, kube):
        await asyncio.gather(keep(place(kube), *KEYS[:200]), keep(place(kube), *KEYS[200:400]))
        assert await found(place(kube), *KEYS[:500]) == KEYS[:400]
        assert all(name.startswith("1") for name in names(objects))


async def test_what_is_new_is_written_while_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be killed at any moment."""
    monkeypatch.setattr("claude_operator.evals.keeping._SOON", 0.02)
    async with secrets() as (objects, kube):
        keeper = Keeper(place(kube))
        async with keeper.open(every):
            keeper.add(KEYS[0], b"x")
            await until(lambda: bool(names(objects)))
            assert await found(place(kube), KEYS[0]) == KEYS[:1]
            keeper.add(KEYS[1], b"x")
            assert objects.merges == 1
        assert await found(place(kube), *KEYS[:3]) == KEYS[:2]


async def test_what_is_cancelled_is_written_first() -> None:
    async with secrets() as (_, kube):
        keeper, begun = Keeper(place(kube)), asyncio.Event()

        async def work() -> None:
            async with keeper.open(every):
                keeper.add(KEYS[0], b"x")
                begun.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(work())
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        assert await found(place(kube), KEYS[0]) == KEYS[:1]


async def test_the_oldest_go_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_795_500_000.0]
    monkeypatch.setattr("claude_operator.evals.keeping.time.time", lambda: now[0])
    values = [Random(number).randbytes(SLOT_BYTES // 2 - 2000) for number in range(20)]
    async with secrets() as (objects, kube):
        where = place(kube)
        await where.read()
        for number, value in enumerate(values):
            now[0] += 1
            await where.write(pack_batch({KEYS[number]: value}))
        kept = await found(place(kube), *KEYS[:20])
        assert kept == KEYS[20 - 2 * SLOTS : 20]
        assert len(names(objects)) == 2 * SLOTS
        now[0] += 31 * 86400
        assert await found(place(kube), *KEYS[:20]) == []
        await keep(place(kube), KEYS[30])
        assert len(names(objects)) == 2 * SLOTS - 1, "what is too old leaves when its slot is written"


async def test_another_job_has_filled_the_slots() -> None:
    async with secrets() as (objects, kube):
        mine, theirs = place(kube), place(kube)
        await mine.read()
        await theirs.read()
        objects.most_data = SLOT_BYTES
        value = Random(1).randbytes(SLOT_BYTES - 3000)
        await theirs.write(pack_batch({KEYS[0]: value}))
        await mine.write(pack_batch({KEYS[1]: value}))
        assert await found(place(kube), *KEYS[:2]) == KEYS[:2]


async def test_what_somebody_put_there_is_passed_over() -> None:
    async with secrets() as (objects, kube):
        await keep(place(kube), KEYS[0])
        bomb = pack_batch({KEYS[1]: b"0" * (40 << 20)})
        now = time.time()
        objects.objects[_path(slot_names("support")[0])]["data"] |= {
            batch_name(now, bomb): base64.b64encode(bomb).decode(),
            batch_name(now, b"no"): base64.b64encode(b"no").decode(),
            batch_name(now, b"n"): "%%%",
            "password": base64.b64encode(b"secret").decode(),
        }
        assert await found(place(kube), *KEYS[:2]) == KEYS[:1]


@pytest.mark.parametrize("status", [403, 404, 422, 500])
async def test_where_nothing_can_be_kept_the_run_goes_on_and_it_is_said(status: int) -> None:
    async with secrets() as (objects, kube):
        if status == 404:
            for slot in slot_names("support"):
                del objects.objects[_path(slot)]
        else:
            objects.refuse_merges = status
        keeper = await keep(place(kube), KEYS[0])
        assert keeper.trouble.startswith("the Secret support-eval-answers-0")
        assert keeper.find(KEYS[0]) is not None


async def test_a_secret_of_somebody_else_is_neither_read_nor_written() -> None:
    async with secrets() as (objects, kube):
        add_slots(objects, uid="another")
        keeper = await keep(place(kube), KEYS[0])
        assert "is not the eval set's" in keeper.trouble
        assert objects.merges == 0
        with pytest.raises(Unkept):
            await place(kube).read()


async def test_it_is_cleared() -> None:
    async with secrets() as (objects, kube):
        await keep(place(kube), *KEYS[:10])
        await place(kube).clear()
        assert names(objects) == []


async def test_what_is_too_old_is_cleared_too_and_a_secret_that_is_missing_is_in_the_way_of_none() -> None:
    async with secrets() as (objects, kube):
        await place(kube).write(pack_batch({KEYS[0]: b"x"}))
        first, second = slot_names("support")[:2]
        data = objects.objects[_path(first)].pop("data")
        [text] = data.values()
        objects.objects[_path(second)]["data"] = {batch_name(time.time() - 90 * 86400, b"x"): text}
        del objects.objects[_path(first)]
        with pytest.raises(Unkept, match="does not exist"):
            await place(kube).clear()
        assert not objects.objects[_path(second)]["data"]


@pytest.mark.parametrize("turns", range(8))
async def test_it_ends_also_in_the_moment_in_which_much_is_to_be_written(tmp_path: Path, turns: int) -> None:
    keeper = Keeper(Folder(tmp_path))

    async def run() -> None:
        async with keeper.open(every):
            await asyncio.sleep(0.01)  # the writer waits by now
            for key in KEYS[:50]:
                keeper.add(key, b"x")
            for _ in range(turns):  # of the loop, until the writer has heard of it
                await asyncio.sleep(0)

    ended, _ = await asyncio.wait([asyncio.create_task(run())], timeout=HANGS)
    assert ended
