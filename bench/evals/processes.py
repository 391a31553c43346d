"""Programs that are measured, and the simulator that they ask, as processes in a network with nothing but loopback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.stage import Network

__all__ = ["KEY", "Api", "Ran", "operator_command", "run", "serving"]

KEY = "sk-ant-bench"
_ROOT = Path(__file__).parents[2]
_LOOK = 0.02  # seconds between two looks at a program's memory
_PATIENCE = 60.0  # seconds until the simulator listens
_LONGEST = 1800.0  # seconds that a program may take
# Sends a request to the simulator and prints the answer: the network that it is in is another one than ours.
_CALLER = """
import sys, urllib.request
method, url = sys.argv[1:]
data = sys.stdin.buffer.read() or None
sys.stdout.buffer.write(urllib.request.urlopen(urllib.request.Request(url, data=data, method=method)).read())
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended, and what it took. Memory is the resident set at most (`VmHWM`), in bytes."""

    code: int
    output: str
    errors: str
    seconds: float
    cpu_seconds: float
    peak: int
    """Of its largest process."""
    peak_of_all: int
    """Of it and all that it started, each at its own peak."""


@dataclass(frozen=True, slots=True)
class Api:
    """A simulator that runs."""

    url: str
    network: Network

    def steer(self, scenario: Mapping[str, Any]) -> None:
        """Behave by this scenario from now on, with an empty ledger."""
        self._call("PUT", "/-/scenario", json.dumps(scenario).encode())
        self._call("DELETE", "/-/ledger")

    def paid(self) -> Counter[str]:
        """How often each request was paid since the scenario, by the hash of its body."""
        document = json.loads(self._call("GET", "/-/ledger"))
        if document["dropped"]:
            raise ValueError(f"the ledger does not list {document['dropped']} payments: ask fewer questions at a time")
        return Counter(one["body"] for one in document["payments"])

    def forget(self) -> None:
        """Empty the ledger."""
        self._call("DELETE", "/-/ledger")

    def _call(self, method: str, path: str, body: bytes = b"") -> bytes:
        words = [*self.network.enter, sys.executable, "-c", _CALLER, method, self.url + path]
        done = subprocess.run(words, input=body, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{method} {path} of the simulator failed: {done.stderr.decode()[-2000:]}")
        return done.stdout


@contextmanager
def serving(folder: Path) -> Iterator[Api]:
    """A simulator in a network of its own; what it says is in a file of the folder."""
    network, log = Network(), folder / "simulator.log"
    command, environment = operator_command("simulator", "--host", "127.0.0.1", "--port", "0", "--log-format", "json")
    with log.open("wb") as file:
        process = subprocess.Popen([*network.enter, *command], stdout=file, stderr=file, env=environment)
    try:
        yield Api(f"http://127.0.0.1:{_port(process, log)}", network)
    finally:
        process.terminate()
        process.wait(30)
        network.close()


def operator_command(*words: str) -> tuple[list[str], dict[str, str]]:
    """claude-operator from this repository with these words, and its environment."""
    environment = {**os.environ, "PYTHONPATH": str(_ROOT / "operator"), "ANTHROPIC_API_KEY": KEY}
    return [sys.executable, "-m", "claude_operator", *words], environment


def run(api: Api, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Ran:
    """Run a program to its end in the simulator's network, and look at its memory all the time."""
    out, err = folder / "stdout", folder / "stderr"
    began = time.perf_counter()
    with out.open("wb") as output, err.open("wb") as errors:
        process = subprocess.Popen(
            [*api.network.enter, *command],
            stdin=subprocess.DEVNULL, stdout=output, stderr=errors, cwd=folder, env=dict(environment),
        )  # fmt: skip
    peaks: dict[int, int] = {}
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        peaks |= {pid: peak for pid in _family(process.pid) if (peak := _peak(pid))}
        if time.perf_counter() - began > _LONGEST:
            process.kill()
            raise RuntimeError(f"{command[0]} took more than {_LONGEST:.0f} s: {err.read_text()[-2000:]}")
        time.sleep(_LOOK)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ran(
        process.returncode,
        out.read_text(),
        err.read_text(),
        seconds,
        usage.ru_utime + usage.ru_stime,
        max(peaks.values(), default=0),
        sum(peaks.values()),
    )


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    began = time.monotonic()
    while time.monotonic() - began < _PATIENCE and process.poll() is None:
        for line in log.read_text().splitlines(keepends=True):
            if line.endswith("\n") and (said := json.loads(line)).get("message") == "listening":
                return int(said["port"])
        time.sleep(0.05)
    raise RuntimeError(f"the simulator does not start: {log.read_text()[-2000:]}")


def _family(pid: int) -> list[int]:
    """A process, and all that descend from it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _peak(pid: int) -> int:
    """The most that a process has had in memory, in bytes; 0 where it has just ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
