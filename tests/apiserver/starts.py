"""An operator's start among very many settled ClaudeDeployments, with a live canary that turns bad meanwhile."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.apiserver.client import Client, wait_for
from tests.apiserver.crowd import multiply
from tests.apiserver.gateways import Gateways
from tests.apiserver.kubelet import Kubelet
from tests.apiserver.objects import deployment, says, secret
from tests.apiserver.process import Operator

MODEL, CANARY = "model-app", "live-canary"
STEPS = [{"setWeight": 50}, {"bake": {"minDuration": "1h", "maxDuration": "2h"}}]
TRIAL = {"canary": {"steps": STEPS, "analysis": {"interval": "1s"}}}


@dataclass
class Start:
    """What was seen: seconds, and whether it led throughout."""

    objects: int
    leading_after: float = 0.0
    all_passed_after: float = 0.0
    rolled_back_after: float = 0.0
    """From the canary's first failure, which came when the operator began to lead."""
    longest_hold: float = 0.0
    """Of the working loop, by its own work."""
    longest_stall: float = 0.0
    """Of it by anything, at least: the greatest bound of its histogram's that a stall exceeded."""
    slowest_probe: float = 0.0
    led_throughout: bool = True
    leaderships_lost: int = 0
    cpu_seconds: float = 0.0


def measure(admin: Client, namespace: str, count: int, start: Callable[[], Operator], patience: float) -> Start:
    """Make `count` objects and a canary with one operator, kill it, start another, and watch that one."""
    found = Start(count)
    with Gateways(admin, namespace) as gateways:
        with Kubelet(admin, namespace, gateways.addresses):
            admin.create(secret(), namespace)
            admin.create(deployment(MODEL), namespace)
            admin.create(deployment(CANARY, strategy=TRIAL), namespace)
            first = start()
            for name in (MODEL, CANARY):
                wait_for(lambda name=name: stable(admin, namespace, name), 60, f"{name} is not settled\n{first.log()}")
            admin.patch("ClaudeDeployment", CANARY, namespace, {"spec": {"request": says("Be brief.")}})
            wait_for(lambda: gateways.weight(CANARY, "canary") == 5000, 30, f"no canary\n{first.log()}")
            with served(gateways, bad=0):
                time.sleep(5)
            first.kill()
        multiply(admin, namespace, MODEL, [f"app-{number:04d}" for number in range(count)], gateways)
        admin.delete("Lease", "claude-operator", namespace)  # of the one that was killed: nobody measures that wait
        operator = start()
        began = time.monotonic()
        probing = Probing(operator)
        with probing:
            operator.until_leading(patience)
            found.leading_after = time.monotonic() - began
            failing = time.monotonic()
            with served(gateways, bad=10):
                wait_for(lambda: gateways.weight(CANARY, "canary") == 0, patience, f"not taken back\n{operator.log()}")
            found.rolled_back_after = time.monotonic() - failing
            wait_for(lambda: passes(operator) >= count + 2, patience, f"not all passed\n{operator.log()}")
            found.all_passed_after = time.monotonic() - began
            time.sleep(3)
        found.slowest_probe, found.led_throughout = probing.slowest, probing.led
        found.longest_hold = operator.metric("claude_operator_loop_longest_hold_seconds")
        found.longest_stall = stall(operator)
        found.leaderships_lost = int(operator.metric("claude_operator_leaderships_lost_total"))
        found.cpu_seconds = operator.metric("process_cpu_seconds_total")
    return found


class Probing:
    """Asks for the operator's metrics all the time: how long that takes, and whether it leads once it did."""

    def __init__(self, operator: Operator) -> None:
        self._operator, self._stop = operator, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.slowest, self.led, self._began = 0.0, True, False

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.wait(0.2):
            begun = time.monotonic()
            try:
                leads = self._operator.leads()
            except (OSError, KeyError):
                if self._began:
                    self.led = False
                continue
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self._began |= leads
            self.led &= leads or not self._began


@contextlib.contextmanager
def served(gateways: Gateways, *, bad: int) -> Iterator[None]:
    """Twenty requests each 0.2 s, half of them to the canary, of which `bad` fail."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.2):
            try:
                gateways.serve(CANARY, "stable", 10)
                gateways.serve(CANARY, "canary", 10 - bad, bad)
            except (KeyError, OSError, AssertionError):  # the canary is gone
                continue

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


def stable(admin: Client, namespace: str, name: str) -> Any:
    """The stable revision, None before there is one."""
    status = admin.take("ClaudeDeployment", name, namespace).get("status") or {}
    return status.get("stableRevision") if not status.get("rollout") or status["rollout"].get("outcome") else None


def passes(operator: Operator) -> int:
    """Passes over ClaudeDeployments up to now."""
    series = 'claude_operator_reconcile_duration_seconds_count{kind="ClaudeDeployment"'
    lines = operator.probe("/metrics")[1].splitlines()
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series)))


def stall(operator: Operator) -> float:
    """The greatest bound of the histogram of stalls that one of them exceeded."""
    lines = [one for one in operator.probe("/metrics")[1].splitlines() if "loop_stall_seconds_bucket" in one]
    counts = [(one.split('le="')[1].split('"')[0], float(one.rpartition(" ")[2])) for one in lines]
    return max((float(bound) for bound, count in counts[:-1] if count < counts[-1][1]), default=0.0)
