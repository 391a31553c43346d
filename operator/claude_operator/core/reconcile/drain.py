"""After a promotion the former stable revision keeps the conversations that began on it, for a while.

It stays in the gateways' config as a third arm of weight 0. `status.draining` says which revision and since when; the
config is a function of that and of the time, so the arm goes when the time has come whatever was written or lost.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from claude_operator.api import gateway as wire
from claude_operator.api.base import seconds
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import Canary
from claude_operator.api.status import DeploymentStatus, Draining
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.models_used import explain_retired
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.progress import active, canary_weight
from claude_operator.core.reconcile.track_record import FAILED, has_failed
from claude_operator.core.request.prepare import names_in
from claude_operator.core.spec.plan import unit_of
from claude_operator.core.spec.revision import arm
from claude_operator.core.text import duration

__all__ = [
    "age",
    "arm_of",
    "begin_drain",
    "end_of_drain",
    "explain_unfit",
    "former",
    "has_another_role",
    "is_over",
    "say_over",
]


def age(obs: Observation) -> float:
    """Seconds for which a former stable revision keeps its conversations; 0 where none has any to keep.

    Users and single requests are never kept on an arm.
    """
    if obs.spec is None:
        return seconds(Canary().drain_age)
    rollout = active(obs.status)
    unit = rollout.plan.unit if rollout else unit_of(obs.spec)
    return seconds(obs.spec.strategy.canary.drain_age) if unit == "Conversation" else 0.0


def end_of_drain(obs: Observation, draining: Draining) -> dt.datetime:
    """When it is over: the spec as it is now says how long, and may cut it short at once."""
    if draining.why or obs.spec is None:
        return draining.until
    return draining.since + dt.timedelta(seconds=age(obs))


def is_over(obs: Observation, draining: Draining) -> bool:
    """Whether its time has come."""
    return bool(draining.why) or end_of_drain(obs, draining) <= obs.now


def has_another_role(status: DeploymentStatus, draining: Draining) -> bool:
    """Whether it serves, or is on trial again and has traffic: so it keeps its conversations anyhow."""
    tried = draining.revision == status.canary_revision and canary_weight(status) > 0
    return tried or draining.revision == status.stable_revision


def former(obs: Observation, status: DeploymentStatus) -> str | None:
    """The revision that is served as the former one, None where there is none."""
    draining = status.draining
    if draining is None or is_over(obs, draining) or explain_unfit(obs, status, draining.revision):
        return None
    return None if has_another_role(status, draining) else draining.revision


def say_over(status: DeploymentStatus, draining: Draining) -> str:
    """That it is over, as a sentence."""
    early = f", before their time, because {draining.why}" if draining.why else ""
    go_on = f"those that go on move to {status.stable_revision}"
    return f"{draining.revision} no longer keeps conversations: {go_on}{early}"


def explain_unfit(obs: Observation, status: DeploymentStatus, name: str) -> str:
    """Why a revision cannot keep its conversations, empty where it can."""
    last = next((one for one in reversed(status.rollouts) if one.revision == name), None)
    if has_failed(obs, name) or (last is not None and last.outcome in FAILED):
        return "it was taken back"
    served = arm_of(obs, name)
    if served is None:
        return "it no longer exists"
    if retired := explain_retired(obs, name):
        return retired
    lacking = sorted(names_in(served).difference(_env(obs)))
    return f"it refers to $({lacking[0]}), which spec.env no longer names" if lacking else ""


def begin_drain(draft: Draft, previous: str | None) -> Draft:
    """With the drain of the revision that was stable up to now, in place of any before it."""
    lasts, earlier = age(draft.obs), draft.status.draining
    if earlier is not None:
        draft = draft.record_event(Reason.DRAINED, say_over(draft.status, earlier))
    if previous is None or lasts <= 0:
        return draft.set(draining=None)
    unfit = explain_unfit(draft.obs, draft.status, previous)
    if unfit:
        note = f"{previous} does not keep the conversations that began on it, because {unfit}: they move at once"
        return draft.set(draining=None).record_event(Reason.DRAINED, note, warning=True)
    now = draft.obs.now
    draining = Draining(revision=previous, since=now, until=now + dt.timedelta(seconds=lasts))
    note = f"{previous} keeps the conversations that began on it for {duration(lasts)}, and gets no new ones"
    return draft.set(draining=draining).record_event(Reason.DRAINING, note)


def arm_of(obs: Observation, name: str) -> wire.Arm | None:
    """The revision as gateways would serve it, None where nothing is known of it."""
    if name in obs.revisions:
        return arm(obs.revisions[name], "former", 0)
    return next((one for one in obs.config.arms if one.revision == name), None) if obs.config else None


def _env(obs: Observation) -> Collection[str]:
    """Names that the gateways have values of."""
    if obs.spec is not None:
        return [variable.name for variable in obs.spec.env or ()]
    return obs.config.env if obs.config else ()
