"""A drill, the rehearsed rollback: what gateways are told of it, and its evidence as the judge takes it.

Gateways fail a few requests of the revision that serves, and count them as a canary's under the drill's own name. The
judge of real rollouts compares that arm with stable; once it sees harm the fault goes out of the config in the same
pass, as a canary's weight does. Nothing of it is a rollout: no record, no offset, no soak and no ledger knows of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from claude_operator.api.base import seconds
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.drill import (
    LARGEST_WEIGHT,
    MOST_MADE_UP,
    MOST_REQUESTS,
    Drill,
    DrillMode,
    DrillStatus,
    RunningDrill,
)
from claude_operator.api.gateway import Fault
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.sample import Sample
from claude_operator.core.reconcile.observation import GatewayPod, Observation
from claude_operator.core.reconcile.progress import basis_points, drilling

__all__ = [
    "FEWEST",
    "allowance",
    "arms_of",
    "by_request",
    "fault_to_serve",
    "hurt_at_most",
    "new_drill",
    "with_notes",
]

FEWEST = 2
"""Failed requests from which on a judge that notices nothing has failed the drill."""

_LONGEST = "10m"
_DEFAULT_WEIGHT = 1.0  # percent
_PER_POD = 2  # requests that a gateway fails where there are three or more


def fault_to_serve(status: DeploymentStatus) -> Fault | msgspec.UnsetType:
    """What gateways are to fail: nothing beside a rollout, and nothing once the drill is being taken back."""
    drill = drilling(status)
    if drill is None or drill.phase == "TakingBack" or drill.revision != status.stable_revision:
        return msgspec.UNSET
    return _fault(drill)


def _fault(drill: RunningDrill) -> Fault:
    return Fault(drill.id, drill.mode, drill.weight, dict(drill.allowed), drill.max_seconds)


def new_drill(
    obs: Observation, spec: DeploymentSpec, status: DeploymentStatus, mode: DrillMode, by: str
) -> DrillStatus:
    """The status with the next drill in it, of the revision that serves."""
    before, wanted = status.drill or DrillStatus(), spec.drill or Drill()
    number = before.number + 1
    steps = spec.strategy.canary.steps
    first = next((step.set_weight for step in steps if step.set_weight), None) or _DEFAULT_WEIGHT
    percent = wanted.weight or min(first, LARGEST_WEIGHT)
    most = wanted.max_requests or MOST_REQUESTS
    ready = [pod for pod in obs.gateway.pods if pod.ready and pod.boot_id]
    running = RunningDrill(
        id=f"{obs.name}-drill-{number}",
        revision=status.stable_revision or "",
        mode=mode,
        phase="Starting",
        by=by,
        started_at=obs.now,
        weight=max(basis_points(percent if mode == "Live" else LARGEST_WEIGHT), 1),
        max_seconds=max(seconds(wanted.max_duration or _LONGEST), 1.0),
        allowed=allowance(ready, most) if mode == "Live" else {pod.boot_id: MOST_MADE_UP for pod in ready},
        interval=spec.strategy.canary.analysis.interval,
        spec_generation=obs.generation,
    )
    return before.model_copy(update={"number": number, "running": running})


def allowance(pods: Sequence[GatewayPod], most: int) -> dict[str, int]:
    """By boot id, requests that each gateway may fail, `most` in all; the busiest gateways have them.

    A client with one connection speaks with one gateway, so one that has any has two, which a judge can see.
    """
    busiest = sorted(pods, key=lambda pod: (-(pod.recent.requests if pod.recent else 0), pod.name))
    found: dict[str, int] = {}
    left = most
    share = max(_PER_POD, -(-most // max(len(pods), 1)))
    for pod in busiest:
        found[pod.boot_id] = min(share, left)
        left -= found[pod.boot_id]
        if not left:
            break
    return found


def arms_of(drill: RunningDrill) -> tuple[str, str]:
    """The names that evidence of a drill stands under: of what serves well, and of what fails."""
    return (drill.revision if drill.mode == "Live" else _fault(drill).well), drill.id


def by_request(increments: Increments, stable: str, failing: str) -> Increments:
    """The two arms alone, each request by itself: that is how a drill draws them."""
    samples = {key: _by_itself(one) for key, one in increments.samples.items() if key[2] in (stable, failing)}
    return replace(increments, samples=samples, alone=None, units={}, eras=frozenset())


def _by_itself(sample: Sample) -> Sample:
    counts = sample.counts
    return Sample(counts._replace(conversations=counts.judged, bad_errors=counts.errors), sample.values)


def with_notes(drill: RunningDrill, pods: Sequence[GatewayPod], now: dt.datetime) -> RunningDrill:
    """With what gateways say that they have failed."""
    notes = {pod.boot_id: pod.drill for pod in pods if pod.drill is not None and pod.drill.last == drill.id}
    hurt = dict(drill.hurt)
    first = drill.first_fault_at
    for boot, note in notes.items():
        if note.failed and boot in drill.allowed:
            hurt[boot] = max(hurt.get(boot, 0), min(note.failed, drill.allowed[boot]))
        if note.first is not None:
            # None failed before the drill began, whatever a gateway says.
            at = now - dt.timedelta(seconds=min(note.first, max((now - drill.started_at).total_seconds(), 0.0)))
            first = at if first is None or at < first else first
    exhausted = drill.exhausted_at
    if exhausted is None and sum(hurt.values()) >= sum(drill.allowed.values()):
        exhausted = now
    if (hurt, first, exhausted) == (drill.hurt, drill.first_fault_at, drill.exhausted_at):
        return drill
    return drill.model_copy(update={"hurt": hurt, "first_fault_at": first, "exhausted_at": exhausted})


def hurt_at_most(drill: RunningDrill, pods: Sequence[GatewayPod]) -> tuple[int, bool]:
    """Requests that failed, and whether that is known: of a gateway that was lost it is all that it was allowed."""
    here: Mapping[str, GatewayPod] = {pod.boot_id: pod for pod in pods if pod.boot_id}
    lost = [boot for boot in drill.allowed if boot not in here]
    total = sum(drill.allowed[boot] if boot in lost else drill.hurt.get(boot, 0) for boot in drill.allowed)
    return total, not lost
