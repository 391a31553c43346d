"""A real Prometheus: the machine's, or Debian's package, unpacked and not installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import yaml
from tests.ports import free_ports

CACHE = Path("~/.cache/claude-operator").expanduser()
_PATIENCE = 60.0  # seconds until it answers


class NoPrometheusError(Exception):
    """It is not on this machine, and cannot be fetched; says why."""


def program() -> str:
    """The path of the program; fetched once a version, and kept. Raises `NoPrometheusError`."""
    found = shutil.which("prometheus")
    if found:
        return found
    try:
        version = _version()
        kept = CACHE / f"prometheus-{re.sub(r'[^0-9A-Za-z.]+', '-', version)}"
        if not kept.exists():
            _unpack(f"prometheus={version}", kept)
    except FileNotFoundError as error:
        raise NoPrometheusError(f"no prometheus in the PATH, and this is not Debian: {error}") from None
    except subprocess.CalledProcessError as error:
        raise NoPrometheusError(f"no prometheus in the PATH, and Debian's is not to be had: {error.stderr}") from None
    return str(kept / "usr/bin/prometheus")


def _version() -> str:
    """The version that Debian has, empty lists of packages fetched first."""
    for again in (True, False):
        shown = _run("apt-cache", "show", "--no-all-versions", "prometheus", check=False)
        if shown or not again or os.geteuid():
            break
        _run("apt-get", "update")
    found = re.search(r"^Version: (\S+)$", shown, re.MULTILINE)
    if not found:
        raise NoPrometheusError("no prometheus in the PATH, and apt knows none: apt-get update, or install it")
    return found[1]


def _unpack(package: str, kept: Path) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        try:
            _run("apt-get", "download", package, cwd=folder)
        except subprocess.CalledProcessError:  # the lists are older than what the archive has
            if os.geteuid():
                raise
            _run("apt-get", "update")
            _run("apt-get", "download", package.partition("=")[0], cwd=folder)
        [archive] = Path(folder).glob("*.deb")
        _run("dpkg-deb", "--extract", str(archive), f"{folder}/all")
        if not kept.exists():
            Path(f"{folder}/all").rename(kept)


def _run(*words: str, check: bool = True, cwd: str | None = None) -> str:
    done = subprocess.run(words, check=check, capture_output=True, text=True, timeout=300, cwd=cwd)
    return done.stdout


class Prometheus:
    """Runs while entered, at `url`, and reads itself and what it is told to every second.

    `stop` and `start` take it down and bring it back with what it has stored. `address` is where it listens: one of
    this machine's, in a cluster's network that of the node.
    """

    def __init__(self, folder: Path, address: str = "127.0.0.1", rules: Sequence[Path] = ()) -> None:
        self._program, self._folder = program(), folder
        self._process: subprocess.Popen[bytes] | None = None
        self._host = f"{address}:{free_ports(1, address)[0]}"  # the same after `stop` and `start`
        self.url = f"http://{self._host}"
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": list(map(str, rules)),
            "scrape_configs": [
                {"job_name": "itself", "static_configs": [{"targets": [self._host]}]},
                # Debian's has no discovery of its own in Kubernetes.
                {
                    "job_name": "told",
                    "honor_labels": True,
                    "file_sd_configs": [{"files": ["told.json"], "refresh_interval": "1s"}],
                },
            ],
        }
        self.reads([])
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))

    def reads(self, targets: list[str], **labels: str) -> None:
        """Have it read these, `host:port`, and put these labels on what they tell."""
        self.reads_each([(target, labels) for target in targets])

    def reads_each(self, targets: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """The same with labels for each of them. Labels that they show themselves hold."""
        new = self._folder / "told.new"
        new.write_text(json.dumps([{"targets": [target], "labels": labels} for target, labels in targets]))
        new.rename(self._folder / "told.json")

    def value(self, query: str) -> float | None:
        """Of a query that has one series at most, now; None where it has none."""
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}") as answer:
            found = json.load(answer)["data"]["result"]
        if len(found) > 1:
            raise AssertionError(f"{query} has {len(found)} series: {found}")
        return float(found[0]["value"][1]) if found else None

    def start(self) -> None:
        """Have it answer."""
        words = [
            self._program,
            f"--config.file={self._folder}/prometheus.yaml",
            f"--storage.tsdb.path={self._folder}/data",
            f"--web.listen-address={self._host}",
            "--log.level=warn",
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, "GOMAXPROCS": "1"})
        begun = time.monotonic()
        while not self._ready():
            ended = self._process.poll() is not None
            if ended or time.monotonic() - begun > _PATIENCE:
                raise AssertionError(f"Prometheus does not start: {(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Have nobody listen."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


if __name__ == "__main__":
    try:
        print(f"==> Prometheus for the tests: {program()}")
    except NoPrometheusError as reason:  # its tests say so again
        print(f"==> {reason}")
