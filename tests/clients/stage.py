"""A gateway before a simulator, as two processes, in a network of their own that has nothing but loopback."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["CLIENT_KEY", "REVISIONS", "TEXT", "TODAY", "UPSTREAM_KEY", "Network", "Ran", "Stage"]

CLIENT_KEY, UPSTREAM_KEY = "client-key-SENTINEL", "sk-ant-upstream-SENTINEL"
REVISIONS = ("shop-1111111111", "shop-2222222222")
TEXT = " ".join(["This is the simulator: it has no answer of its own to that."] * 2)  # what it says to anything else
_PATIENCE = 120.0  # seconds until a process listens
_LONGEST = 120.0  # seconds that a client may take

# Clients never learn what answers them; a rule is met by the words of a question.
TODAY = datetime.date(2026, 11, 30)  # of the models' lifecycles
SCENARIO = """
defaults: {latency: {median: 0s}, tokensPerSecond: 100000}
rules:
- {match: {questionContains: rate limit}, rateLimitRate: 1}
- {match: {questionContains: overloaded}, overloadRate: 1}
- {match: {questionContains: weather}, toolUse: {name: weather, input: {city: Bergen}}}
- match: {questionContains: Look into the file}
  toolUse: {name: Bash, input: {command: "echo said-by-$((1 + 1))-the-tool", description: "Say a word"}}
- match: {questionContains: Ask the server}
  toolUse: {name: mcp__shop__stock, input: {part: bell}}
"""
# Brings loopback up, says so, and holds the network until its standard input ends.
_HOLDER = """
import fcntl, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
print("up", flush=True)
sys.stdin.read()
"""
# Calls the gateway without a key, and prints the request id of the answer.
_CALLER = """
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen(sys.argv[1] + "/v1/messages", b"{}")
except urllib.error.HTTPError as error:
    print(error.headers["request-id"])
"""


class Network:
    """A network namespace with nothing but loopback; the machine's own network where the kernel allows no namespace."""

    def __init__(self) -> None:
        self.enter: list[str] = []
        self._holder: subprocess.Popen[str] | None = None
        if not shutil.which("unshare") or not shutil.which("nsenter"):
            return
        for how, back in (([], []), (["--user", "--map-root-user"], ["--user", "--preserve-credentials"])):
            holder = subprocess.Popen(
                ["unshare", *how, "--net", sys.executable, "-c", _HOLDER],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            assert holder.stdout is not None
            if holder.stdout.readline() == "up\n":
                self._holder, self.enter = holder, ["nsenter", "--target", str(holder.pid), *back, "--net"]
                return
            holder.communicate()

    @property
    def is_closed(self) -> bool:
        """Whether there is no way out of it."""
        return self._holder is not None

    @property
    def attempts(self) -> int:
        """How many packets were meant for somebody who is not on loopback; 0 where it is not closed."""
        if self._holder is None:
            return 0
        lines = Path(f"/proc/{self._holder.pid}/net/snmp").read_text().splitlines()
        names, values = (line.split() for line in lines if line.startswith("Ip:"))
        return int(values[names.index("OutNoRoutes")])

    def close(self) -> None:
        """Let it go."""
        if self._holder is not None:
            self._holder.communicate()


@dataclass(frozen=True)
class Ran:
    """What a client printed, and the gateway's log lines of its calls."""

    returncode: int
    output: str
    errors: str
    calls: list[dict[str, Any]]
    others: list[dict[str, Any]]
    attempts: int | None
    """How many packets were meant for somebody who is not on loopback; None where that is not known."""

    @property
    def document(self) -> Any:
        """Its output as JSON."""
        assert self.returncode == 0, self.errors[-3000:]
        return json.loads(self.output)


class Stage:
    """Runs while entered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = Network()
        self.url = ""
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            (self.folder / "scenario.yaml").write_text(f"today: {TODAY}{SCENARIO}")
            simulator = self._start("simulator", "--scenario", str(self.folder / "scenario.yaml"))
            self._config = _config(simulator["port"])
            (self.folder / "config.json").write_text(json.dumps(self._config))
            (self.folder / "client").mkdir()
            (self.folder / "client/ANTHROPIC_API_KEY").write_text(CLIENT_KEY)
            config = ["--config", str(self.folder / "config.json"), "--client-dir", str(self.folder / "client")]
            gateway = self._start("gateway", *config, "--admin-port", "0", "--settle-seconds", "0")
            self.url = f"http://127.0.0.1:{gateway['port']}"
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(30)
        self.network.close()

    def run(self, *command: str | Path, key: str = CLIENT_KEY, home: str = "", **environment: str) -> Ran:
        """Run a client to its end, with nothing set but the two variables of the gateway's Secret.

        Its home is empty, or the one of that name.
        """
        place = self.folder / (f"home-{home}" if home else f"home-{time.monotonic_ns()}")
        (place / "work").mkdir(parents=True, exist_ok=True)
        before, attempts = len(self._lines("gateway")), self.network.attempts
        done = subprocess.run(
            [*self.network.enter, *map(str, command)],
            check=False, capture_output=True, text=True, timeout=_LONGEST, stdin=subprocess.DEVNULL, cwd=place / "work",
            env={
                "PATH": os.environ["PATH"], "HOME": str(place), "LANG": "C.UTF-8", "TMPDIR": str(self.folder),
                "ANTHROPIC_BASE_URL": self.url, "ANTHROPIC_API_KEY": key, **environment,
            },
        )  # fmt: skip
        lines = self._lines_until(self._last_call(), before)
        calls = [line for line in lines if line["message"] == "call"]
        others = [line for line in lines if line not in calls]
        tried = self.network.attempts - attempts if self.network.is_closed else None
        return Ran(done.returncode, done.stdout, done.stderr, calls, others, tried)

    @contextmanager
    def throttled(self, until: str) -> Iterator[None]:
        """The gateway's config refuses calls meanwhile, since the month's budget is spent."""
        self._serve(throttle={"until": until, "monthlyUSD": "2000"})
        try:
            yield
        finally:
            self._serve()

    def _serve(self, **more: Any) -> None:
        """Have the gateway serve the config with these fields on top."""
        self._config["generation"] += 1
        new = self.folder / "config.json.new"
        new.write_text(json.dumps(self._config | more))
        new.replace(self.folder / "config.json")
        begun = time.monotonic()
        while self._config["generation"] not in [line.get("generation") for line in self._lines("gateway")]:
            assert time.monotonic() - begun < _PATIENCE, "the gateway does not take the config"
            time.sleep(0.02)

    def _last_call(self) -> str:
        """Make a call of its own, whose line comes after those of all calls before; return its request id."""
        words = [*self.network.enter, sys.executable, "-c", _CALLER, self.url]
        return subprocess.run(words, check=True, capture_output=True, text=True, timeout=_LONGEST).stdout.strip()

    def _lines_until(self, request_id: str, begin: int) -> list[dict[str, Any]]:
        """The gateway's lines up to the call with this id, since an answer is sent before it is logged."""
        begun = time.monotonic()
        while time.monotonic() - begun < _PATIENCE:
            lines = self._lines("gateway")[begin:]
            for number, line in enumerate(lines):
                if line.get("request_id") == request_id:
                    return lines[:number]
            time.sleep(0.02)
        raise AssertionError(f"the gateway has no line of its call {request_id}")

    def _start(self, part: str, *options: str) -> dict[str, Any]:
        """Start one of the two on a free port; return its line `listening`."""
        root = Path(__file__).parents[2]
        words = [sys.executable, "-m", "claude_operator", part, "--host", "127.0.0.1", "--port", "0"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(root / "operator"),
            "ANTHROPIC_API_KEY": UPSTREAM_KEY,
        }
        with (self.folder / f"{part}.log").open("wb") as log:
            process = subprocess.Popen(
                [*self.network.enter, *words, "--log-format", "json", *options], stdout=log, stderr=log, env=environment
            )
        self._processes.append(process)
        begun = time.monotonic()
        while not (found := [line for line in self._lines(part) if line["message"] == "listening"]):
            if process.poll() is not None or time.monotonic() - begun > _PATIENCE:
                raise AssertionError(f"{part} does not start: {(self.folder / f'{part}.log').read_text()[-2000:]}")
            time.sleep(0.05)
        return found[0]

    def _lines(self, part: str) -> list[dict[str, Any]]:
        text = (self.folder / f"{part}.log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _config(port: int) -> dict[str, Any]:
    """Two arms of equal weight, which differ in their system prompt."""
    arms = [
        {
            "revision": revision,
            "role": role,
            "weight": 5000,
            "request": {
                "model": "claude-opus-5-5",
                "max_tokens": 2048,
                "system": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            },
            "overrides": {"system": "Prepend", "tools": "Append"},
        }
        for revision, role, text in zip(REVISIONS, ("stable", "canary"), ("Be brief.", "Be kind."), strict=True)
    ]
    return {
        "generation": 1,
        "deployment": {"name": "shop", "namespace": "demo", "uid": "3c9f6c1e-0000-4000-8000-000000000001"},
        "arms": arms,
        "auth": {"type": "ApiKey"},
        "upstream": {"baseURL": f"http://127.0.0.1:{port}"},
    }
