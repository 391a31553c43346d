"""An operator's start among many settled ClaudeDeployments, on a real API server without kubelets.

After `tests/cluster/node/cluster build`: `.venv/bin/python -m bench.operator.start [--objects 500 1000]`. A live canary
among them turns bad as the operator begins to lead. One JSON line for each number of objects.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.apiserver.conftest import new_namespace, started
from tests.apiserver.process import Operator
from tests.apiserver.server import find_programs
from tests.apiserver.starts import measure


def started_operator(made: list[Operator], *arguments: Any) -> Operator:
    """Start an operator and note it in `made`."""
    made.append(Operator(*arguments))
    return made[-1]


def main() -> int:
    """Measure each number of objects on an API server of its own."""
    parser = argparse.ArgumentParser(prog="python -m bench.operator.start", description=__doc__.split("\n\n")[0])
    parser.add_argument("--objects", type=int, nargs="+", default=[500, 1000], help="default: 500 1000")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds for each part (default: 300)")
    parser.add_argument("--log", action="store_true", help="show the end of the operator's log")
    options = parser.parse_args()
    programs = find_programs()
    if programs is None:
        raise SystemExit("etcd and kube-apiserver are not built: run tests/cluster/node/cluster build")
    for count in options.objects:
        with tempfile.TemporaryDirectory() as name:
            folder, made = Path(name), list[Operator]()
            server = started(programs, folder)
            try:
                namespace = new_namespace(server.admin(), "start")

                start = functools.partial(started_operator, made, server.kubeconfig, namespace, folder)
                found = measure(server.admin(), namespace, count, start, options.patience)
                print(json.dumps(dataclasses.asdict(found)), flush=True)
                if options.log:
                    print(made[-1].log())
            finally:
                for operator in made:
                    operator.kill()
                server.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
