"""What a person asks of a rollout, as the annotation that says it; refused where it could have no effect."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from claude_operator.api.status import DeploymentStatus
from claude_operator.cli.deployment import paused, phase_of, status_of
from claude_operator.cli.failure import Failure
from claude_operator.core.reconcile.annotations import ABORT, DRILL, PROMOTE, RETRY, handled_entry, promotion
from claude_operator.core.reconcile.observation import BY
from claude_operator.core.reconcile.progress import active, soaking
from claude_operator.core.reconcile.track_record import FAILED

__all__ = ["Wish", "abort", "drill", "patch", "promote", "retry", "withdrawal"]

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """An annotation and its value."""

    annotation: str
    value: str
    trial: str
    """The trial that it is about."""

    @property
    def entry(self) -> str:
        """How status says that the operator has dealt with it."""
        return handled_entry(self.annotation, self.value)

    def is_handled(self, obj: Object) -> bool:
        """Whether the operator has acted on it, or refused it."""
        return self.entry in status_of(obj).handled


def patch(wish: Wish, user: str) -> dict[str, Any]:
    """The annotation, with the name of who asks for it where the API server tells it."""
    return {"metadata": {"annotations": {wish.annotation: wish.value, **({BY: user} if user else {})}}}


def withdrawal(wish: Wish) -> dict[str, Any]:
    """Without the annotation: one that was handled before says nothing new until it has gone."""
    return {"metadata": {"annotations": {wish.annotation: None}}}


def abort(obj: Object) -> Wish:
    """Take the canary's traffic back, or that of a revision that soaks."""
    status = status_of(obj)
    rollout = active(status) or (status.rollout if soaking(status) else None)
    if rollout is None:
        raise Failure(_nothing_to_abort(obj, status))
    return Wish(ABORT, rollout.trial, rollout.trial)


def promote(obj: Object, *, full: bool) -> Wish:
    """End the present step, or all that is left of them."""
    status = status_of(obj)
    rollout = active(status)
    if rollout is None:
        raise Failure(f"no rollout is in progress. {_present(obj)}")
    if paused(obj):
        raise Failure(f"spec.paused holds {rollout.revision}: run `kubectl claude resume {_name(obj)}` first")
    if full:
        return Wish(PROMOTE, promotion(rollout, "full"), rollout.trial)
    if status.step is None:
        raise Failure(f"{rollout.revision} has not started its steps: {phase_of(obj).message}")
    return Wish(PROMOTE, promotion(rollout, status.step.index), rollout.trial)


def retry(obj: Object) -> Wish:
    """Try the revision that failed last again."""
    status = status_of(obj)
    last = status.rollout
    if last is None or last.outcome not in FAILED:
        raise Failure(f"no revision has failed. {_present(obj)}")
    return Wish(RETRY, last.trial, last.trial)


def drill(obj: Object, now: dt.datetime, *, live: bool) -> Wish:
    """Rehearse the rollback of what serves. `now` makes it mean this once."""
    status = status_of(obj)
    if status.stable_revision is None:
        raise Failure(f"no revision serves yet, so there is nothing to rehearse. {_present(obj)}")
    rollout = active(status)
    if rollout is not None:
        raise Failure(f"the rollout of {rollout.revision} is under way: a drill waits for its end")
    if status.drill is not None and status.drill.running is not None:
        raise Failure(f"{status.drill.running.id} is under way already: `kubectl claude drill {_name(obj)} --last`")
    mode = "live" if live else "rehearsal"
    value = f"{status.stable_revision}/{mode}/{now.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
    return Wish(DRILL, value, "")


def _nothing_to_abort(obj: Object, status: DeploymentStatus) -> str:
    back = (
        f" To go back to {status.replaced.revision}, run `kubectl claude undo {_name(obj)}`." if status.replaced else ""
    )
    return f"no rollout is in progress. {_present(obj)}{back}"


def _present(obj: Object) -> str:
    message = phase_of(obj).message
    return f"{message[:1].upper()}{message[1:]}."


def _name(obj: Object) -> str:
    metadata = obj["metadata"]
    return f"{metadata['name']} -n {metadata['namespace']}"
