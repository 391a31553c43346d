"""What names lead to: looked up beside the passes, which do not wait for it for long."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from tests.shell.fakes import FakeKube
from tests.shell.rig import KEY, SITE, START, Rig, SetClock, deployment, secret, serving
from tests.shell.test_runs import RUN_KEY, asked_run, status
from tests.waiting import until

from claude_operator.core.spec.networks import rules_in_pod
from claude_operator.core.spec.policy import Policy
from claude_operator.shell import name_reader
from claude_operator.shell.endings import Endings
from claude_operator.shell.keys import DEPLOYMENT, Key
from claude_operator.shell.name_reader import NameReader
from claude_operator.shell.permits import Permits
from claude_operator.shell.reconcile import RunLoop
from claude_operator.shell.references import ReferenceReader

RULES = rules_in_pod((), (), {})
METADATA, FREE = "169.254.169.254", "10.0.0.7"
BASE = ("spec.upstream.baseURL", "https://proxy.example")
WANTED = {BASE: "proxy.example"}
UPSTREAM = {"baseURL": "https://proxy.example", "apiKeySecretRef": {"name": "anthropic", "key": "api-key"}}


class Names:
    """The resolver of this process: what names lead to, and which answer only once they may."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.hang: set[str] = set()
        self.free = threading.Event()

    def getaddrinfo(self, host: str, port: Any, family: int = 0, *_: Any, **__: Any) -> list[Any]:
        assert family == socket.AF_UNSPEC
        self.asked.append(host)
        if host in self.hang:
            self.free.wait(60.0)
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0)) for one in self.addresses[host]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    yield found
    found.free.set()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def reader() -> AsyncIterator[NameReader]:
    async with NameReader(Clock(), RULES) as found:
        yield found


async def test_a_name_is_looked_up_once_in_a_while(reader: NameReader, names: Names) -> None:
    names.addresses["proxy.example"] = [FREE, METADATA]
    for _ in range(3):
        assert await reader.read(KEY, WANTED) == {BASE: (FREE, METADATA)}
    assert names.asked == ["proxy.example"]


async def test_a_name_that_does_not_resolve_is_not_known(reader: NameReader, names: Names) -> None:
    for _ in range(3):
        assert await reader.read(KEY, {BASE: "no.example", (BASE[0], "x"): "a" * 70}) == {}
    assert len(names.asked) == 2  # nor is it asked for again at once


async def test_no_pass_waits_for_a_name_that_hangs_and_it_is_told_later(
    reader: NameReader, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_reader, "_PATIENCE", 0.05)
    woken: list[Key] = []
    reader.wake = woken.append
    names.hang, names.addresses["proxy.example"] = {"proxy.example"}, [METADATA]
    assert await reader.read(KEY, WANTED) == {}
    names.free.set()
    await until(lambda: woken == [KEY])
    assert await reader.read(KEY, WANTED) == {BASE: (METADATA,)}


async def test_a_change_wakes_only_where_it_matters(reader: NameReader, names: Names) -> None:
    clock, woken = reader._clock, list[Key]()
    reader.wake = woken.append
    names.addresses["proxy.example"] = [FREE]
    await reader.read(KEY, WANTED)
    for addresses, expected in ((["10.0.0.8"], []), ([METADATA], [KEY]), ([METADATA, FREE], [KEY, KEY])):
        clock.now += 60.0  # type: ignore[attr-defined]
        names.addresses["proxy.example"] = addresses
        await reader.read(KEY, WANTED)  # with what was known: nobody waits
        wanted = tuple(sorted(addresses))
        await until(lambda wanted=wanted: reader._names["proxy.example"].addresses == wanted)
        assert woken == expected


async def test_names_of_one_namespace_that_hang_do_not_hold_up_those_of_others(
    reader: NameReader, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_reader, "_PATIENCE", 0.05)
    names.addresses["proxy.example"] = [METADATA]
    names.hang = {f"{n}.example" for n in range(100)}
    hostile = {(BASE[0], str(n)): f"{n}.example" for n in range(100)}
    assert await reader.read(Key(DEPLOYMENT, "theirs", "x"), hostile) == {}
    monkeypatch.setattr(name_reader, "_PATIENCE", 60.0)
    assert await reader.read(KEY, WANTED) == {BASE: (METADATA,)}
    assert len(names.asked) == name_reader._OPEN_OF_TENANT + 1


async def test_it_remembers_so_many_and_no_more(
    reader: NameReader, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_reader, "_KNOWN", 3)
    for n in range(9):
        await reader.read(KEY, {BASE: f"{n}.example"})
    assert len(reader._names) <= 4


# ---------------------------------------------------------------------------------------------- in a pass


def looking(rig: Rig, reader: NameReader) -> None:
    """Another process of the operator, with rules as in a pod."""
    rig.policy = Policy(rules=RULES)
    rig.start_operator()
    sources = rig.gatherer._sources
    rig.gatherer._sources = type(sources)(
        sources.gateways,
        ReferenceReader(rig.kube, rig.policy, reader),  # type: ignore[arg-type]
        sources.prometheus,
        sources.ledgers,
        sources.models,
    )


async def test_a_name_that_leads_to_a_refused_address_is_told_before_anything_is_made(
    reader: NameReader, names: Names
) -> None:
    rig = Rig()
    looking(rig, reader)
    rig.kube.put(secret())
    body = deployment()
    rig.kube.put({**body, "spec": {**body["spec"], "upstream": UPSTREAM}})
    names.addresses["proxy.example"] = [METADATA]
    assert await rig.one() == 15.0  # it may lead elsewhere soon
    answer, reason, message = rig.condition("Accepted")
    assert (answer, reason) == ("False", "HostNotAllowed")
    assert message.startswith(f"spec.upstream.baseURL: proxy.example leads to {METADATA}, an address that")
    assert rig.kube.names("Deployment") == rig.kube.names("ClaudeRevision") == []
    reader._clock.now += 60.0  # type: ignore[attr-defined]
    names.addresses["proxy.example"] = [FREE]
    await rig.one()
    await until(lambda: reader._names["proxy.example"].addresses == (FREE,))
    await rig.settle()
    assert rig.condition("Accepted")[0] == "True"
    assert rig.kube.names("Deployment")


@pytest.mark.parametrize("known", [True, False])
async def test_what_serves_goes_on_whatever_the_new_name_leads_to(
    reader: NameReader, names: Names, known: bool
) -> None:
    rig = await serving()
    before = rig.kube.take("Deployment", "support-gateway")["spec"], rig.gateways.config
    looking(rig, reader)
    if known:
        names.addresses["proxy.example"] = [METADATA]
    rig.edit(upstream=UPSTREAM, gateway={"replicas": 3})
    await rig.one()
    assert rig.condition("Accepted")[0] == ("False" if known else "True")
    after = rig.kube.take("Deployment", "support-gateway")["spec"], rig.gateways.config
    assert (after == before) == known


async def test_a_pass_is_not_held_up_by_a_name_that_hangs(
    reader: NameReader, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_reader, "_PATIENCE", 0.05)
    rig = await serving()
    looking(rig, reader)
    names.hang = {"proxy.example"}
    rig.edit(upstream=UPSTREAM)
    await asyncio.wait_for(rig.settle(), 60.0)
    assert rig.condition("Accepted")[0] == "True"


async def test_no_job_is_made_for_a_run_whose_name_leads_to_a_refused_address(reader: NameReader, names: Names) -> None:
    """It was accepted while the name led elsewhere."""
    kube = FakeKube()
    asked_run(kube)
    permits = Permits(kube, Policy(rules=RULES), reader)  # type: ignore[arg-type]
    loop = RunLoop(kube, SITE, SetClock(START), Endings(), permits)  # type: ignore[arg-type]
    names.addresses["api.anthropic.com"] = [METADATA]
    await loop(RUN_KEY)
    assert kube.names("Job") == []
    assert f"api.anthropic.com leads to {METADATA}" in status(kube)["message"]
    reader._names.clear()
    names.addresses["api.anthropic.com"] = [FREE]
    await loop(RUN_KEY)
    assert kube.names("Job")
