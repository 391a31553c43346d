"""Seconds of CPU that one write costs the API server, by what is in the object; on one without kubelets.

After `tests/cluster/node/cluster build`: `.venv/bin/python -m bench.apiserver [--kinds TEXT]`.

A write's cost: the CPU time of the kube-apiserver process from the call until it is idle again, garbage collection
included, less what the process takes without a call. The median of some writes. `--crds FOLDER --bare` measures
definitions of an earlier version. Where a write is refused, the time is what the refusal costs.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.apiserver.client import ApiError, Client
from tests.apiserver.conftest import CRDS, apply_crds, new_namespace, started
from tests.apiserver.process import rendered
from tests.apiserver.server import ApiServer, find_programs
from tests.cluster.tables import show

from bench.apiserver.objects import KINDS, Object, size

_TICKS = os.sysconf("SC_CLK_TCK")
_SETTLES = 0.5  # seconds after a call in which what it set off comes to its end
_POLICY = 3.0  # seconds until an admission policy is in force
_COLUMNS = ("kind", "bytes", "create", "merge", "status", "apply", "managedFields")


class Meter:
    """CPU of the API server."""

    def __init__(self, server: ApiServer) -> None:
        self._stat = Path(f"/proc/{server.pid('kube-apiserver')}/stat")
        began, now = time.monotonic(), self._spent()
        time.sleep(4 * _SETTLES)
        self.last = 0.0
        """Of the last call, also where it was refused."""
        self._idle = (self._spent() - now) / (time.monotonic() - began)

    def _spent(self) -> float:
        words = self._stat.read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / _TICKS

    def cost(self, call: Callable[[], object]) -> float:
        """Seconds of CPU of one call."""
        began, before = time.monotonic(), self._spent()
        try:
            call()
        finally:
            time.sleep(_SETTLES)
            self.last = max(self._spent() - before - self._idle * (time.monotonic() - began), 0.0)
        return self.last


def measure(meter: Meter, admin: Client, namespace: str, body: Object, times: int) -> dict[str, str]:
    """Each verb on one object."""
    kind, name = body["kind"], body["metadata"]["name"]
    plain = kind == "ConfigMap"

    def create(_: int) -> None:
        admin.create(body, namespace)

    def merge(number: int) -> None:
        admin.patch(kind, name, namespace, {"metadata": {"annotations": {"edited": str(number)}}})

    def status(number: int) -> None:
        own = {"items": number} if kind == "ClaudeEvalSet" else {"observedGeneration": number}
        metadata = {"name": name, "namespace": namespace}
        written = {"apiVersion": body["apiVersion"], "kind": kind, "metadata": metadata, "status": own}
        admin.apply(written, subresource="status")

    def apply(number: int) -> None:
        metadata = {**body["metadata"], "namespace": namespace, "labels": {"applied": str(number)}}
        admin.apply({**body, "metadata": metadata})

    found = {"bytes": f"{size(body):,}"}
    for verb, call in (("create", create), ("merge", merge), ("status", status), ("apply", apply)):
        if plain and verb == "status":
            continue
        costs, errors = [], []
        for number in range(times):
            if verb == "create":
                admin.delete(kind, name, namespace)
            try:
                costs.append(meter.cost(functools.partial(call, number)))
            except ApiError as error:
                errors.append(str(error))
                costs.append(meter.last)
        found[verb] = f"{statistics.median(costs):.2f} s"
        if errors:
            print(f"    {verb} of {name}: {errors[0][:300]}", flush=True)
            found[verb] += " refused"
            if verb == "create":
                return found
    found["managedFields"] = f"{size(admin.take(kind, name, namespace)['metadata']['managedFields']):,}"
    admin.delete(kind, name, namespace)
    return found


def limit(admin: Client, helm: Path) -> None:
    """Put the chart's admission policy in force."""
    for one in rendered(helm, "claude-system", file="limits.yaml"):
        admin.apply(one)
    time.sleep(_POLICY)


def main() -> int:
    """Measure all kinds; print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default="", metavar="TEXT", help="only those whose name has this text")
    parser.add_argument("--times", type=int, default=3, metavar="N", help="writes of each, of which the median; 3")
    parser.add_argument("--crds", type=Path, default=CRDS, metavar="FOLDER", help="default: this version's")
    parser.add_argument("--bare", action="store_true", help="without the chart's admission policy")
    options = parser.parse_args()
    programs = find_programs()
    if programs is None:
        raise SystemExit("etcd and kube-apiserver are not built: run tests/cluster/node/cluster build")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        server = started(programs, Path(folder))
        try:
            admin = server.admin()
            admin.timeout = 300.0
            apply_crds(admin, options.crds)
            if not options.bare:
                limit(admin, programs / "helm")
            namespace, meter = new_namespace(admin, "cost"), Meter(server)
            for number, (title, make) in enumerate(KINDS.items()):
                if options.kinds in title:
                    found = measure(meter, admin, namespace, make(f"object-{number}"), options.times)
                    rows.append((title, *(found.get(column, "") for column in _COLUMNS[1:])))
                    print("  ".join(rows[-1]), flush=True)
        finally:
            server.stop()
    show(_COLUMNS, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
