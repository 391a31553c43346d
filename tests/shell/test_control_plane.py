"""The API server's own addresses: found by the operator, told to every gateway."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest
from tests.shell.fakes import FakeKube
from tests.shell.rig import SITE
from tests.waiting import until

from claude_operator.kube.client import KubeError, Object
from claude_operator.shell import control_plane
from claude_operator.shell.control_plane import ApiServerAddresses


def endpoints(*addresses: str, name: str = "kubernetes", service: str = "kubernetes") -> Object:
    """An EndpointSlice as the control plane writes it."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
        "endpoints": [{"addresses": [address]} for address in addresses],
    }


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_plane, "_PAUSE", 0.01)


async def test_they_are_denied_in_order_and_once(kube: FakeKube) -> None:
    kube.put(endpoints("192.0.2.8", "192.0.2.7"))
    kube.put(endpoints("2001:db8::7", name="kubernetes-ipv6"))
    kube.put(endpoints("10.0.0.1", name="shop", service="shop"))
    found = ApiServerAddresses(kube)  # type: ignore[arg-type]
    await found.wait()
    site = found.denied_on(replace(SITE, denied_addresses=("10.9.0.0/16", "192.0.2.7/32")))
    assert site.denied_addresses == ("10.9.0.0/16", "192.0.2.7/32", "192.0.2.8/32", "2001:db8::7/128")
    assert found.denied_on(site) == site


async def test_a_new_one_is_told_at_once_and_one_that_is_gone_stays_for_a_while(
    kube: FakeKube, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an API server restarts, its address is missing, and comes back."""
    monkeypatch.setattr(control_plane, "_EVERY", 0.001)
    told: list[tuple[str, ...]] = []
    seen: list[str] = []
    kube.before = lambda verb, kind, name: seen.append(kind)
    kube.put(endpoints("192.0.2.7", "192.0.2.8"))
    found = ApiServerAddresses(kube)  # type: ignore[arg-type]
    await found.wait()
    keeping = asyncio.create_task(found.keep(lambda: told.append(found.found)))
    try:
        kube.put(endpoints("192.0.2.7"))
        await until(lambda: len(seen) > 3)
        kube.put(endpoints("192.0.2.7", "192.0.2.8"))
        await asyncio.sleep(0)
        kube.put(endpoints())  # none at all is not believed
        del seen[:]
        await until(lambda: len(seen) > 2 * control_plane._KEPT)
        assert told == []
        kube.put(endpoints("192.0.2.7", "192.0.2.9"))
        await until(lambda: len(told) == 2)
    finally:
        keeping.cancel()
    assert told == [("192.0.2.7/32", "192.0.2.8/32", "192.0.2.9/32"), ("192.0.2.7/32", "192.0.2.9/32")]


async def test_without_the_right_one_line_says_what_to_grant(kube: FakeKube, caplog: pytest.LogCaptureFixture) -> None:
    def forbid(verb: str, kind: str, name: str) -> None:
        raise KubeError(403, "Forbidden", "endpointslices is forbidden")

    kube.before = forbid
    found = ApiServerAddresses(kube)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        await found.wait()
        await found.refresh()
    assert found.denied_on(SITE) == SITE
    [line] = [record.getMessage() for record in caplog.records]
    assert "grant list on endpointslices in the namespace default, or give the addresses with --denied-address" in line


async def test_it_waits_for_an_answer_and_then_keeps_it(kube: FakeKube) -> None:
    kube.put(endpoints("192.0.2.7"))
    failing = True

    def fail(verb: str, kind: str, name: str) -> None:
        if failing:
            raise KubeError(503, "ServiceUnavailable", "try later")

    kube.before = fail
    found = ApiServerAddresses(kube)  # type: ignore[arg-type]
    waiting = asyncio.create_task(found.wait())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    failing = False
    await waiting
    failing = True
    await found.refresh()
    assert found.denied_on(SITE).denied_addresses == ("192.0.2.7/32",)
