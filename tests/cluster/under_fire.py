"""Break things around rollouts on the real cluster, again and again, and count what it costs users.

    make under-fire                                  # twenty tries over all kinds, then every experiment about Ready
    make under-fire ARGS="--count 4 --only tries"    # four tries
    make under-fire ARGS="--only ready"              # the experiments about Ready
    make under-fire ARGS="--only 'etcd killed,a dead upstream' --json fire.jsonl"

A try: a canary at its last bake begins to fail everything 2 s before the bake ends, and at that moment the leader, the
API server or etcd is killed, deleted or frozen. It must not be promoted, and be rolled back within 6 s of the leader's
or the API's return; the Event must count the whole outage, and no other client may notice.

An experiment about Ready: more than half of all requests fail. Ready must not be True for longer than 10 s of that, and
a condition and one Event must name the cause.

Exit code: 0 every promise was kept, 1 one was broken, 2 wrong options or no cluster.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import apps, faults, readiness, tries
from tests.cluster.rollouts import scenario, start
from tests.cluster.support import Operator, install
from tests.cluster.tables import show

GROUPS = ("tries", "ready")


def main() -> int:
    """Run what was asked for; returns the exit code."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # what was frozen is continued
    if not (os.environ.get("KUBECONFIG") and os.environ.get("CLAUDE_OPERATOR_IMAGE")):
        print("no cluster: run `make under-fire`", file=sys.stderr)
        return 2
    kinds, experiments = options.chosen
    if kinds and not faults.of_own_cluster():
        print("tries need the project's own cluster, whose API server can be stopped", file=sys.stderr)
        return 2
    _say("Installing the operator and the simulator")
    operator = install(os.environ["CLAUDE_OPERATOR_IMAGE"])
    done = list(_tries(kinds, options.count, operator, options.json) if kinds else ())
    seen = list(_experiments(experiments, options.json))
    _show_tries(done)
    _show_experiments(seen)
    both: list[tries.Try | readiness.Result] = [*done, *seen]
    broken = sum(bool(one.broken) for one in both)
    print(f"\n{broken} of {len(both)} broke a promise")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--count", type=int, default=20, metavar="N", help="tries in all; they cycle over the kinds; 20"
    )
    every = [*GROUPS, *faults.KINDS, *readiness.EXPERIMENTS]
    parser.add_argument("--only", default=",".join(GROUPS), metavar="NAME,...", help=f"of these: {', '.join(every)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="a JSON line for each try and experiment")
    options = parser.parse_args()
    names = [name.strip() for name in options.only.split(",")]
    unknown = [name for name in names if name not in every]
    if unknown or options.count < 1:
        parser.error(f"unknown: {', '.join(unknown)}" if unknown else "--count is at least 1")
    options.chosen = (
        [kind for kind in faults.KINDS if kind in names or "tries" in names],
        [one for one in readiness.EXPERIMENTS if one in names or "ready" in names],
    )
    if options.json:
        options.json.write_text("")
    return options


def _tries(kinds: list[str], total: int, operator: Operator, file: Path | None) -> Iterator[tries.Try]:
    with apps.space("fire") as namespace:
        scenario()
        start(namespace)
        for number, kind in zip(range(1, total + 1), itertools.cycle(kinds), strict=False):
            with _told(f"{number}/{total} {kind}") as say:
                try:
                    result = tries.attempt(number, kind, faults.KINDS[kind], operator, namespace, say)
                except (AssertionError, OSError) as error:
                    result = tries.Try(number, kind, broken=[f"not carried through: {error}"])
                say(f"{result.outcome or 'no outcome'}: {'; '.join(result.broken) or result.message}")
            _keep(tries.as_json(result), file)
            yield result


def _experiments(names: list[str], file: Path | None) -> Iterator[readiness.Result]:
    for name in names:
        with _told(name) as say, apps.space("ready") as namespace:
            try:
                result = readiness.run(name, namespace, say)
            except (AssertionError, OSError) as error:
                result = readiness.Result(name, broken=[f"not carried through: {error}"])
            say("; ".join(result.broken) or f"{result.reason}: {result.message}")
        _keep(tries.as_json(result), file)
        yield result


@contextmanager
def _told(title: str) -> Iterator[readiness.Say]:
    """Say what goes on, with the seconds since it began."""
    begun = time.monotonic()
    _say(title)
    yield lambda words: print(f"    {time.monotonic() - begun:5.1f} s  {words}", flush=True)


def _say(words: str) -> None:
    print(f"==> {words}", flush=True)


def _keep(line: str, file: Path | None) -> None:
    if file:
        with file.open("a") as lines:
            lines.write(line + "\n")


def _show_tries(done: list[tries.Try]) -> None:
    """A row for each kind: outcomes, and the worst of its times."""
    if not done:
        return
    columns = ("kind", "tries", "promoted", "rolled back", "s after return", "failed", "named", "others", "broken")
    rows = [
        (
            kind,
            str(len(mine)),
            str(sum(one.outcome == "Promoted" for one in mine)),
            str(sum(one.outcome == "RolledBack" for one in mine)),
            _each(f"{one.after:.1f}" if one.after is not None else "-" for one in mine),
            _each(str(one.failed) for one in mine),
            _each("-" if one.named is None else str(one.named) for one in mine),
            _each(str(one.others) for one in mine),
            str(sum(bool(one.broken) for one in mine)),
        )
        for kind in dict.fromkeys(one.kind for one in done)
        if (mine := [one for one in done if one.kind == kind])
    ]
    show(columns, rows)


def _show_experiments(seen: list[readiness.Result]) -> None:
    if not seen:
        return
    columns = ("experiment", "s of failure", "s of Ready=True in it", "Ready", "Warnings", "outcome", "broken")
    rows = [
        (
            one.name,
            f"{one.failing:.1f}",
            f"{one.green:.1f}",
            one.reason,
            _each(one.warnings),
            one.outcome or "-",
            str(int(bool(one.broken))),
        )
        for one in seen
    ]
    show(columns, rows)


def _each(values: Iterable[str]) -> str:
    return ", ".join(values) or "-"


if __name__ == "__main__":
    sys.exit(main())
