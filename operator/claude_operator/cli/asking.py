"""A person's wish: written as an annotation, awaited until the operator has dealt with it, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from claude_operator.api.status import DeploymentStatus
from claude_operator.cli.cluster import CLD, Cluster
from claude_operator.cli.deployment import ended, phase_of, status_of
from claude_operator.cli.failure import Exit, Failure
from claude_operator.cli.waiting import until
from claude_operator.cli.wishes import Wish, patch, withdrawal
from claude_operator.core.reconcile.annotations import ABORT, DRILL, PROMOTE

__all__ = ["Answer", "ask"]

Object = Mapping[str, Any]

_EVENT = 5.0  # seconds: an Event is written after the status


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it."""

    message: str
    obj: Object


def ask(cluster: Cluster, name: str, choose: Callable[[Object], Wish], timeout: float) -> Answer:
    """Ask for what `choose` finds in the present object; raises `Failure` where nothing came of it.

    `timeout` 0: do not wait.
    """
    before = cluster.deployment(name)
    wish = choose(before)
    if wish.is_handled(before):
        _withdraw(cluster, name, wish, timeout)
    cluster.kubectl.merge(CLD, name, patch(wish, cluster.kubectl.whoami()))
    if not timeout:
        return Answer(f"asked for {_what(wish)}; the operator's answer was not awaited", before)

    def handled() -> Object | None:
        obj = cluster.deployment(name)
        return obj if wish.is_handled(obj) else None

    after = until(handled, timeout)
    if after is None:
        raise Failure(_unanswered(cluster.deployment(name), wish, timeout), Exit.TIMED_OUT)
    done = _effect(status_of(before), status_of(after), wish)
    if done is None:
        raise Failure(_refusal(cluster, name, wish))
    return Answer(done, after)


def _withdraw(cluster: Cluster, name: str, wish: Wish, timeout: float) -> None:
    cluster.kubectl.merge(CLD, name, withdrawal(wish))
    gone = until(lambda: None if wish.is_handled(cluster.deployment(name)) else True, timeout or _EVENT)
    if gone is None:
        text = f"an earlier {wish.annotation}: {wish.value} is still in the status: the operator may not be running"
        raise Failure(text, Exit.TIMED_OUT)


def _effect(before: DeploymentStatus, after: DeploymentStatus, wish: Wish) -> str | None:
    """What the operator did, None where it refused; a wish is handled in the same write as its effect."""
    if wish.annotation == DRILL:
        number = after.drill.number if after.drill else 0
        begun = number > (before.drill.number if before.drill else 0)
        return f"drill {number} has begun" if begun else None
    end = ended(after, wish.trial)
    if wish.annotation == ABORT:
        return end.message if end is not None and end.outcome == "Aborted" else None
    if wish.annotation == PROMOTE:
        if end is not None:
            return end.message if end.outcome == "Promoted" else None
        step = after.step
        if step is None or before.step is None or step.index == before.step.index:
            return None
        return f"{wish.trial} continues with step {step.index} at {step.weight:g} %"
    now = after.rollout
    return (
        f"trying {now.revision} again, attempt {now.attempt}" if now is not None and now.trial != wish.trial else None
    )


def _refusal(cluster: Cluster, name: str, wish: Wish) -> str:
    def said() -> str | None:
        notes = [one.note for one in cluster.events(name) if one.reason == "AnnotationIgnored"]
        return next((note for note in reversed(notes) if wish.value in note), None)

    return until(said, _EVENT) or f"the operator did nothing about {wish.annotation}: {wish.value}"


def _unanswered(obj: Object, wish: Wish, timeout: float) -> str:
    phase = phase_of(obj)
    return (
        f"the operator has not dealt with {wish.annotation}: {wish.value} in {timeout:g} s; the annotation stays, so it"
        f" will once it can. The rollout says: {phase.message}"
    )


def _what(wish: Wish) -> str:
    return f"{wish.annotation}: {wish.value}"
