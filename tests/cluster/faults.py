"""What is done to the leader, the API server and etcd: killed, deleted, or frozen for a time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster.record import Watch
from tests.cluster.replicas import LEASE, LEASES, ONE_LEASE, holder, leading_pod, processes, send
from tests.cluster.support import SYSTEM, Operator, kubectl, must_be_alone, wait_for

_PATIENCE = 90.0  # seconds until somebody leads, or the API answers


@dataclass(frozen=True)
class Fault:
    """One that is prepared, so that it strikes at once."""

    strike: Callable[[], object]
    returned: Callable[[], float]
    """Wait until somebody leads again, or the API answers; returns when, as of time.time()."""
    over: Callable[[], object] = lambda: None
    """Wait until all that was done is undone."""


@contextmanager
def leader_ends(way: str, operator: Operator) -> Iterator[Fault]:
    """The leader's process ends: `kill -9`, or its pod is deleted, with `--force` or without."""
    pod = leading_pod(operator)
    if way == "kill -9":
        strike: Callable[[], object] = partial(send, processes(pod), signal.SIGKILL)
    else:
        options = ["--force", "--grace-period=0"] if way == "delete --force" else []
        words = ("delete", "pod", pod["metadata"]["name"], "--wait=false", *options)
        strike = partial(kubectl, *words, namespace=SYSTEM)
    with _successor() as returned:
        yield Fault(strike, returned)


@contextmanager
def leader_freezes(seconds: float | None, operator: Operator) -> Iterator[Fault]:
    """The leader's process stands still, for a time or until the test is over."""
    pids = processes(leading_pod(operator))
    with _successor() as returned, frozen(pids, seconds) as (strike, over):
        yield Fault(strike, returned, over if seconds else lambda: None)


@contextmanager
def component_freezes(name: str, seconds: float, _: Operator) -> Iterator[Fault]:
    """A component of the control plane stands still for a time."""
    with frozen(components(name), seconds) as (strike, over):

        def returned() -> float:
            over()
            return _answers()

        yield Fault(strike, returned, over)


@contextmanager
def component_ends(name: str, _: Operator) -> Iterator[Fault]:
    """A component of the control plane is killed; the node starts it again."""
    must_be_alone()
    pids = components(name)

    def returned() -> float:
        wait_for(lambda: set(components(name)) - set(pids), _PATIENCE, f"{name} was not started again", every=0.05)
        return _answers()

    yield Fault(partial(send, pids, signal.SIGKILL), returned)


@contextmanager
def frozen(pids: list[int], seconds: float | None) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """SIGSTOP, and SIGCONT after `seconds` or at the end, whatever happens: how to begin, and to wait for the end."""
    must_be_alone()
    ends = threading.Event()

    def thaw() -> None:
        send(pids, signal.SIGCONT)
        ends.set()

    timer = threading.Timer(seconds or 0.0, thaw)

    def strike() -> None:
        send(pids, signal.SIGSTOP)
        if seconds:
            timer.start()

    def over() -> None:
        assert ends.wait(_PATIENCE), "it was never continued"

    try:
        yield strike, over
    finally:
        timer.cancel()
        thaw()


def components(name: str) -> list[int]:
    """The processes of this name in this cluster's own network: no other cluster's on the machine."""
    network = Path("/proc/self/ns/net").readlink()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            program = Path((path / "cmdline").read_bytes().partition(b"\0")[0].decode()).name
            if program == name and (path / "ns/net").readlink() == network:
                found.append(int(path.name))
        except OSError:  # it has ended
            continue
    return found


@contextmanager
def _successor() -> Iterator[Callable[[], float]]:
    """Waits until another process than the leader of now holds the Lease; returns when it was seen."""
    before, began = holder(), time.time()
    with Watch(LEASES, ONE_LEASE) as lease:
        wait_for(lambda: lease.seen, 30, "the watch of the Lease shows nothing")

        def look() -> float:
            new = (one.at for one in list(lease.seen) if one.object["spec"].get("holderIdentity") not in ("", before))
            return next((at for at in new if at > began), 0.0)

        yield lambda: wait_for(look, _PATIENCE, "nobody leads", every=0.05)


def _answers() -> float:
    """Wait until the API answers with something stored; returns when."""

    def look() -> float:
        kubectl("get", "lease", LEASE, "--request-timeout=1s", "-o", "name", namespace=SYSTEM)
        return time.time()

    return wait_for(look, _PATIENCE, "the API does not answer", every=0.05)


Kind = Callable[[Operator], AbstractContextManager[Fault]]
KINDS: dict[str, Kind] = {
    "leader killed -9": partial(leader_ends, "kill -9"),
    "API server stopped for 20 s": partial(component_freezes, "kube-apiserver", 20.0),
    "leader deleted": partial(leader_ends, "delete"),
    "API server killed": partial(component_ends, "kube-apiserver"),
    "leader deleted --force": partial(leader_ends, "delete --force"),
    "API server stopped for 5 s": partial(component_freezes, "kube-apiserver", 5.0),
    "leader frozen for 15 s": partial(leader_freezes, 15.0),
    "etcd stopped for 20 s": partial(component_freezes, "etcd", 20.0),
    "leader frozen for good": partial(leader_freezes, None),
    "API server stopped for 60 s": partial(component_freezes, "kube-apiserver", 60.0),
    "etcd killed": partial(component_ends, "etcd"),
}


def untouched(_: Operator) -> AbstractContextManager[Fault]:
    """Nothing is done: what a try is compared with."""
    return nullcontext(Fault(lambda: None, time.time))


def of_own_cluster() -> bool:
    """Whether the control plane's processes are where they can be stopped."""
    return bool(components("kube-apiserver"))
