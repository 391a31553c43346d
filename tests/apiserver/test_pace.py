"""The seconds that cluster tests allow stretch with a slow API server, and with nothing else."""

from __future__ import annotations

import os
import threading
import time

import pytest
from tests.apiserver.client import wait_for
from tests.apiserver.server import ApiServer
from tests.cluster import support
from tests.cluster.pace import IDLE, Pace, slowness

FROZEN = 1.5  # seconds


class Begun(Pace):
    """Says when its first measurement begins."""

    began = False

    def once(self) -> None:
        self.began = True
        super().once()


@pytest.fixture
def asked(own_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    """A server of the test's own, which `kubectl` asks."""
    folder, _, _ = own_server.kubectl[0].rpartition("/")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("KUBECONFIG", str(own_server.kubeconfig))
    return own_server


def test_a_slow_server_stretches_what_is_allowed(asked: ApiServer) -> None:
    assert slowness(3) >= 1.0
    asked.freeze_api()
    with Begun() as pace:
        wait_for(lambda: pace.began)
        time.sleep(FROZEN)
        asked.thaw_api()
    assert pace.stretched(2.0) >= 2.0 * FROZEN / IDLE
    assert asked.admin().list("ConfigMap", "default") == []


def test_a_wait_lasts_longer_while_the_server_is_slow(asked: ApiServer) -> None:
    thawed = threading.Event()

    def thaw() -> None:
        asked.thaw_api()
        thawed.set()

    asked.freeze_api()
    threading.Timer(FROZEN, thaw).start()
    support.wait_for(thawed.is_set, 0.2)
    with pytest.raises(AssertionError, match=r"it never comes, after \d+ s; last: 0"):
        support.wait_for(lambda: 0, 0.2, "it never comes")


def test_a_server_that_does_not_answer_stretches_nothing(asked: ApiServer) -> None:
    asked.kill_api()
    assert slowness() == 1.0
    with pytest.raises(AssertionError):
        support.wait("nodes", until="condition=Ready", timeout=0.2)
    asked.start_api()
    assert support.wait("namespace", "default", until="jsonpath={.status.phase}=Active")
