"""Measure what hostile connections and hostile objects cost the other clients and tenants, on the real cluster.

    make hostile                                     # at least three rounds, further ones as long as 15 minutes last
    make hostile ARGS="--rounds 1 --minutes 0"       # one round
    make hostile ARGS="--only objects --count 5"     # more canaries of two phases

A round: nothing beside the tenant, 1,000 hostile connections, as many harmless ones, 100 hostile objects, as many
ordinary ones. On a small machine any work costs the others something, so an attack is compared with its control: as
much harmless work, from the same process, in the same rhythm. The rounds show what drifts meanwhile.

In each phase a canary with half of the traffic turns bad: the time until every gateway serves weight 0, and the
latency of clients of the stable arm, are measured. The canaries of a phase turn bad at moments that are spread over the
interval between two readings: else all would wait equally long for the next reading, and where other work shifts the
readings, that shift alone would look like a cost.

Exit code: 0 no request of theirs failed, 1 one failed or a canary was not taken back, 2 wrong options or no cluster.
"""

from __future__ import annotations

import argparse
import math
import os
import secrets
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from tests.cluster import apps, attacks, support
from tests.cluster.record import Record
from tests.cluster.rollouts import INTERVAL, bake, begun, deployment, errs, scenario, start
from tests.cluster.tables import show
from tests.cluster.traffic import Answer, Traffic

from claude_operator.gateway.descriptors import raise_limit

_RATE = 40.0  # requests of good clients, a second
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0  # multiples of it, cut to 0..1, are spread evenly however many there are


class Work(Protocol):
    """What goes on beside the tenant. `done`: how many connections were opened, or edits made."""

    done: int


@dataclass
class Phase:
    """What was measured in one phase of one round, or in all of them together."""

    rollbacks: list[float] = field(default_factory=list)
    """Seconds from the first harm until all gateways serve weight 0."""
    missing: int = 0
    """Canaries that were not taken back."""
    latencies: list[float] = field(default_factory=list)
    """Seconds, of the stable arm."""
    failed: int = 0
    """Requests of the stable arm, or of no arm, that failed."""
    done: int = 0
    seconds: float = 0.0
    """In which so much was done beside."""

    @property
    def p99(self) -> float:
        """Milliseconds, NaN where nothing was answered."""
        return self.share(0.99)

    def share(self, share: float) -> float:
        """Milliseconds in which this share of the requests was answered."""
        ordered = sorted(self.latencies)
        return ordered[int(len(ordered) * share)] * 1000 if ordered else float("nan")

    @property
    def times(self) -> tuple[float, float, float]:
        """Seconds to weight 0: min, median, max; NaN where no canary was taken back."""
        found = self.rollbacks or [float("nan")]
        return min(found), statistics.median(found), max(found)

    @property
    def mean(self) -> tuple[float, float]:
        """Seconds to weight 0 in the mean, and the standard error of that; NaN where there are too few."""
        found = self.rollbacks
        if len(found) < 2:
            return (found[0] if found else float("nan")), float("nan")
        return statistics.fmean(found), statistics.stdev(found) / math.sqrt(len(found))

    @classmethod
    def of(cls, parts: Iterable[Phase]) -> Phase:
        """All rounds together."""
        whole = cls()
        for one in parts:
            whole.rollbacks += one.rollbacks
            whole.missing += one.missing
            whole.latencies += one.latencies
            whole.failed += one.failed
            whole.done += one.done
            whole.seconds += one.seconds
        return whole


@contextmanager
def _nothing(_: str) -> Iterator[Work]:
    yield Phase()


@dataclass(frozen=True)
class Kind:
    """A phase by its name, what goes on in it beside the tenant's namespace, and what it is compared with."""

    name: str
    beside: Callable[[str], AbstractContextManager[Work]]
    control: str = ""


def _kinds() -> tuple[Kind, ...]:
    clients, tenants = attacks.Clients(), attacks.Tenants()
    connections, objects = f"{attacks.CONNECTIONS:,} harmless connections", f"{attacks.OBJECTS} ordinary objects"
    return (
        Kind("nothing", _nothing),
        Kind(f"{attacks.CONNECTIONS:,} hostile connections", clients.hostile, connections),
        Kind(connections, clients.harmless),
        Kind(f"{attacks.OBJECTS} hostile objects", tenants.hostile, objects),
        Kind(objects, tenants.ordinary),
    )


def rollback(namespace: str, phase: Phase, share: float) -> None:
    """One canary that turns bad at its bake, after five seconds and a share of the interval between two readings."""
    scenario()
    support.wait("cld/app", until="condition=GatewayReady", namespace=namespace)
    stable = str(support.get("cld", "app", namespace=namespace)["status"]["stableRevision"])
    prompt, canary = f"v-{secrets.token_hex(3)}", ""
    with Record(namespace) as record, Traffic("app", namespace, rate=_RATE, keep_alive=False) as traffic:
        try:
            support.apply(deployment(prompt, [{"setWeight": 50}, bake(300, 20)]), namespace)
            canary = begun(record, stable)
            support.wait_for(lambda: record.at(1, canary), 60, "the canary does not bake", every=0.05)
            time.sleep(5.0 + share * INTERVAL)
            harmed = time.time()
            scenario(errs(prompt, 1.0))
            support.wait_for(lambda: record.rollout.get("outcome") == "RolledBack", 120, "no rollback", every=0.05)
            settled = record.served_everywhere()
            phase.rollbacks.append(max(record.gateways.taken(settled).values()) - harmed)
            time.sleep(5.0)
        finally:
            traffic.stop()
            _count(phase, [one for one in traffic.answers if not canary or one.revision != canary])


def _count(phase: Phase, good: Sequence[Answer]) -> None:
    phase.latencies += [one.at - one.began for one in good if not one.error]
    phase.failed += sum(bool(one.error) for one in good)
    for text in sorted({one.error for one in good if one.error}):
        print(f"    failed: {text}", flush=True)


def measure(kind: Kind, namespace: str, count: int, past: int) -> Phase:
    """One phase of one round; `past`: how many canaries turned bad in those before."""
    phase = Phase()
    try:
        with kind.beside(namespace) as work:
            before, began = work.done, time.monotonic()
            for number in range(past, past + count):
                try:
                    rollback(namespace, phase, number * _GOLDEN % 1.0)
                except (AssertionError, OSError) as error:
                    print(f"    {str(error)[:300]}", flush=True)
            phase.done, phase.seconds = work.done - before, time.monotonic() - began
    except (AssertionError, OSError) as error:  # what was to go on beside did not
        print(f"    {str(error)[:300]}", flush=True)
    phase.missing = count - len(phase.rollbacks)
    if kind.control and not phase.done:
        print(f"    nothing was done in the phase {kind.name}: it shows nothing", flush=True)
    return phase


def main() -> int:
    """All rounds, each with all phases; prints tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="times that all phases come, at least; 3")
    parser.add_argument("--minutes", type=float, default=15, help="a further round begins if it ends in these; 15")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="rollbacks in each phase of a round; 1")
    parser.add_argument("--only", choices=("connections", "objects"), help="these and their control alone")
    options = parser.parse_args()
    if min(options.rounds, options.count) < 1:
        parser.error("--rounds and --count are at least 1")
    if not (os.environ.get("KUBECONFIG") and os.environ.get("CLAUDE_OPERATOR_IMAGE")):
        print("no cluster: run `make hostile`", file=sys.stderr)
        return 2
    raise_limit()
    support.install(os.environ["CLAUDE_OPERATOR_IMAGE"])
    kinds = [kind for kind in _kinds() if options.only is None or options.only in kind.name]
    done: dict[str, list[Phase]] = {kind.name: [] for kind in kinds}
    began, number = time.monotonic(), 0
    with apps.space("tenant") as namespace:
        scenario()
        start(namespace)
        while number < options.rounds or _seconds(began) * (number + 1) / number < options.minutes * 60:
            number += 1
            for kind in kinds:
                print(f"==> {_seconds(began):4.0f} s  round {number}: {kind.name}", flush=True)
                done[kind.name].append(measure(kind, namespace, options.count, (number - 1) * options.count))
    return report(kinds, done)


def _seconds(began: float) -> float:
    return time.monotonic() - began


def report(kinds: Sequence[Kind], done: dict[str, list[Phase]]) -> int:
    """Each round, all together, and each attack beside its control; returns the exit code."""
    whole = {name: Phase.of(phases) for name, phases in done.items()}
    _show_rounds(done)
    _show_phases(whole)
    _show_ratios([(kind.name, whole[kind.name], whole[kind.control]) for kind in kinds if kind.control])
    failed, missing = (sum(getattr(one, what) for one in whole.values()) for what in ("failed", "missing"))
    print(f"\n{failed} requests failed, {missing} canaries were not taken back")
    return 1 if failed or missing else 0


def _show_rounds(done: dict[str, list[Phase]]) -> None:
    rounds = max(map(len, done.values()))
    columns = ("median s to weight 0, p99", *(f"round {number}" for number in range(1, rounds + 1)))
    show(columns, [(name, *(f"{one.times[1]:.2f} s, {one.p99:.0f} ms" for one in all_)) for name, all_ in done.items()])


def _show_phases(whole: dict[str, Phase]) -> None:
    columns = (
        "beside the tenant",
        "done/s",
        "s to weight 0: min",
        "median",
        "max",
        "mean",
        "p50",
        "p99",
        "failed",
        "of",
    )
    rows = []
    for name, phase in whole.items():
        rate = f"{phase.done / phase.seconds:.1f}" if phase.seconds else "-"
        times = (f"{one:.2f}" for one in phase.times)
        latencies = (f"{phase.share(share):.0f} ms" for share in (0.5, 0.99))
        mean = "{:.2f} ± {:.2f}".format(*phase.mean)
        rows.append((name, rate, *times, mean, *latencies, str(phase.failed), str(phase.failed + len(phase.latencies))))
    show(columns, rows)


def _show_ratios(pairs: Sequence[tuple[str, Phase, Phase]]) -> None:
    """Beyond what as much harmless work costs: 1.00, or 0.00 s, is nothing."""
    columns = ("attack / control", "s to weight 0: min", "median", "max", "mean, later by", "p99", "failed")
    rows = []
    for name, attack, control in pairs:
        times = [f"{mine / other:.2f}" for mine, other in zip(attack.times, control.times, strict=True)]
        later = attack.mean[0] - control.mean[0]
        error = math.hypot(attack.mean[1], control.mean[1])
        rows.append(
            (
                name,
                *times,
                f"{later:+.2f} ± {error:.2f} s",
                f"{attack.p99 / control.p99:.2f}",
                f"{attack.failed} / {control.failed}",
            )
        )
    show(columns, rows)


if __name__ == "__main__":
    sys.exit(main())
