"""One try: a canary turns bad just before its last bake ends, and at the same time something else breaks."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.cluster import support
from tests.cluster.faults import Fault, Kind
from tests.cluster.pace import slowness
from tests.cluster.record import Record, moment
from tests.cluster.replicas import both_ready
from tests.cluster.rollouts import bake, begun, deployment, errs, scenario
from tests.cluster.support import Operator, get, wait_for
from tests.cluster.traffic import Traffic

LEAD = 2.0  # seconds before the bake's end at which it turns bad
WEIGHT = 50
LONGEST = 6.0  # seconds from the return of the leader or the API to weight 0 everywhere, on an idle machine
RATE = 40.0  # requests a second
_BAKE = 12  # seconds
_PATIENCE = 45.0  # seconds after the return until the try is given up
_AFTERWARDS = 3.0  # seconds in which no weight may rise again
_READ = 1.0  # seconds before a tick's time at which its counters may have been read
_NAMED = re.compile(r"errors in (?P<bad>[\d,]+) of (?P<all>[\d,]+) conversations against")


@dataclass
class Try:
    """What became of one try; times in seconds."""

    number: int
    kind: str
    outcome: str = ""
    """RolledBack, Promoted, or what else the rollout came to; empty: neither."""
    away: float | None = None
    """From the fault until somebody led again, or the API answered."""
    after: float | None = None
    """From then until every gateway served weight 0."""
    hurt: float | None = None
    """From the first harm until then."""
    failed: int = 0
    """Requests of clients that failed on the canary."""
    named: int | None = None
    """Failures that the Event names."""
    others: int = 0
    """Requests of all other clients that failed."""
    message: str = ""
    pace: float = 1.0
    """How many times slower than an idle machine it was before the fault, or after it."""
    broken: list[str] = field(default_factory=list)
    """Promises that were broken."""


def attempt(
    number: int, kind: str, prepare: Kind, operator: Operator, namespace: str, say: Callable[[str], None] = print
) -> Try:
    """Run a try on the ClaudeDeployment `app` that serves; `say` hears how far it is."""
    result = Try(number, kind)
    wait_for(_heals, 60, "the simulator does not answer")
    both_ready(operator)
    support.wait("cld/app", until="condition=GatewayReady", namespace=namespace)
    stable = str(get("cld", "app", namespace=namespace)["status"]["stableRevision"])
    prompt = f"v{number}-{secrets.token_hex(3)}"
    with (
        prepare(operator) as fault,
        Record(namespace, lasts=True) as record,
        Traffic("app", namespace, rate=RATE) as traffic,
    ):
        try:
            support.apply(deployment(prompt, [{"setWeight": WEIGHT}, bake(_BAKE, 20)]), namespace)
            canary = begun(record, stable)
            wait_for(lambda: record.at(1, canary), 60, "the canary does not bake", every=0.05)
            say(f"{canary} bakes at {WEIGHT} %")
            result.pace = slowness(writes=5)
            began = _turns_bad(result, record, fault, prompt)
            say(f"it fails everything since its bake was about to end; a leader, or the API, after {result.away:.1f} s")
            _ends(result, record, fault, canary, began)
        finally:
            wait_for(_heals, 60, "the simulator does not answer")
        traffic.stop()
        _counts(result, record, traffic, canary, began)
    return result


def _heals() -> bool:
    """After a minute without the API server Kubernetes takes the node for lost, and Services for empty, for a while."""
    try:
        scenario()
    except OSError:
        return False
    return True


def _turns_bad(result: Try, record: Record, fault: Fault, prompt: str) -> float:
    """The fault and the harm, LEAD seconds before the bake ends; waits for the return. Returns when they were."""
    ends = moment(record.status["step"]["startedAt"]).timestamp() + _BAKE
    time.sleep(max(ends - LEAD - time.time(), 0.0))
    began = time.time()
    fault.strike()
    scenario(errs(prompt, 1.0))
    result.away = max(fault.returned() - began, 0.0)
    return began


def _ends(result: Try, record: Record, fault: Fault, canary: str, began: float) -> None:
    """Wait for an end of the rollout, and for a while whether it stays so."""
    returned = began + (result.away or 0.0)

    def settled() -> tuple[float, int] | None:
        zero = [(at, generation) for at, generation, weight in record.weights(canary) if at > began and not weight]
        return zero[0] if zero and not _serves_all(record, canary) else None

    try:
        wait_for(lambda: settled() or _serves_all(record, canary), _PATIENCE, every=0.05)
        wait_for(lambda: record.rollout.get("outcome"), 15, every=0.05)
    except AssertionError:
        result.broken.append(f"{_PATIENCE:g} s after the return the canary still serves")
    result.outcome = str(record.rollout.get("outcome") or "")
    found = settled()
    if found and result.outcome == "RolledBack":
        _, generation = found
        pods = {name for name, pod in record.pods.alive.items() if "deletionTimestamp" not in pod["metadata"]}
        wait_for(lambda: pods <= set(record.gateways.taken(generation)), 15, "weight 0 is not at every gateway")
        zero = max(at for pod, at in record.gateways.taken(generation).items() if pod in pods)
        result.after, result.hurt = zero - returned, zero - began
        result.pace = max(result.pace, slowness(writes=5))
        if result.after > LONGEST * result.pace:
            result.broken.append(f"weight 0 came {result.after:.1f} s after the return")
    fault.over()
    time.sleep(_AFTERWARDS)
    weights = [weight for at, _, weight in record.weights(canary) if at > began]
    if any(weight > WEIGHT * 100 for weight in weights) or _serves_all(record, canary):
        result.broken.append("a canary that fails everything was moved forward")
    if found and any(weight for _, generation, weight in record.weights(canary) if generation > found[1]):
        result.broken.append("the weight rose after the rollback")
    if result.outcome != "RolledBack":
        result.broken.append(f"not rolled back but {result.outcome or 'held'}")


def _serves_all(record: Record, revision: str) -> bool:
    """Whether this revision is stable in the gateways' config."""
    arms = {arm["role"]: arm["revision"] for arm in record.config["arms"]}
    return arms.get("stable") == revision


def _counts(result: Try, record: Record, traffic: Traffic, canary: str, began: float) -> None:
    """Hold what the Event says against what clients saw."""
    bad = [one for one in traffic.answers if one.error and one.revision == canary]
    others = traffic.failed(besides=[canary])
    result.failed, result.others = len(bad), len(others)
    if others:
        said = sorted({one.error[:60] for one in others})
        when = f"{min(one.at for one in others) - began:+.1f} to {max(one.at for one in others) - began:+.1f} s"
        result.broken.append(f"{len(others)} requests of others failed at {when}: {'; '.join(said[:3])}")
    if result.outcome == "RolledBack":
        with suppress(AssertionError):  # that none came is told below
            wait_for(lambda: record.events("RolledBack"), 15, every=0.05)
    notes = [note for _, note in record.events("RolledBack")]
    if result.outcome != "RolledBack":
        return
    if len(notes) != 1:
        result.broken.append(f"{len(notes)} Events RolledBack")
    result.message = notes[0] if notes else str(record.rollout.get("message"))
    found = _NAMED.search(result.message)
    result.named = int(found["bad"].replace(",", "")) if found else None
    tick = moment(record.status["judgement"]["lastTick"]).timestamp()
    least = sum(one.at < tick - _READ * result.pace for one in bad)
    if result.named is None or not least <= result.named <= result.failed:
        result.broken.append(
            f"the Event names {result.named} failures; clients saw {least} until it was judged, {result.failed} in all"
        )


def as_json(result: Any) -> str:
    """One line."""
    return json.dumps(vars(result), ensure_ascii=False)
