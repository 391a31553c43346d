"""What becomes of a model that nears its end: the spec with another model in its place, as spec.lifecycle.migrate asks.

spec is never written. What is wanted is the spec with its model replaced, by `status.migration`, and every rule that
goes on sees that in place of what is written: so gate, steps, judge, pause and abort are those of any other change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.lifecycle import Migrate
from claude_operator.api.migration import MigrationStatus
from claude_operator.api.status import DeploymentStatus, Rollout
from claude_operator.core import render
from claude_operator.core.catalogue.lifecycle import Lifecycle, LifecycleState, models_in_use
from claude_operator.core.catalogue.stages import has_reached
from claude_operator.core.reconcile.acceptance import size_problem, spec_problems
from claude_operator.core.reconcile.annotations import RETRY
from claude_operator.core.reconcile.drain import arm_of
from claude_operator.core.reconcile.models_used import model_state
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.progress import active
from claude_operator.core.reconcile.track_record import FAILED
from claude_operator.core.spec import revision
from claude_operator.core.spec.mapping import replace_models, replace_stored
from claude_operator.core.text import cut

__all__ = ["Case", "Choice", "choose", "explain_migration", "explain_replaced", "reported", "with_replaced"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which models are replaced by which, and what stands in the way of more."""

    models: tuple[str, ...]
    to: str
    waits: str = ""
    """What comes first, empty where nothing does."""
    stopped: str = ""
    """What a person has to change, empty where nothing is to be."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a pass knows of a migration. `obs` has the spec as it is written; `due` are models that are to go."""

    obs: Observation
    status: DeploymentStatus
    spec: DeploymentSpec
    asked: Migrate
    due: tuple[str, ...]
    begun: tuple[str, ...]
    """Those of them that are replaced already, by `former`."""
    former: str

    @classmethod
    def of(cls, obs: Observation, status: DeploymentStatus, spec: DeploymentSpec, asked: Migrate) -> Case:
        """The case of a pass: a model that was once replaced stays due, whatever is known of it today."""
        before = status.migration
        named = models_in_use(obs.owner["spec"]["request"], obs.owner["spec"].get("subagents"))
        begun = tuple(one for one in named if before is not None and one in before.replaced)
        due = tuple(
            one
            for one in named
            if one != asked.to and (one in begun or has_reached(model_state(obs, one), asked.stage))
        )
        begun = tuple(one for one in begun if one in due)
        return cls(obs, status, spec, asked, due, begun, before.to if before is not None else asked.to)

    def revision_of(self, models: Collection[str], to: str) -> str:
        """The name of the revision that the spec is with these models replaced."""
        raw = replace_stored(self.obs.owner["spec"], models, to)
        return revision.name(self.obs.name, revision.content(raw, self.obs.prompts))

    def has_left(self, models: Collection[str]) -> bool:
        """Whether something serves, and none of it on these models."""
        serving = _serving(self.obs, self.status)
        return bool(serving) and not set(serving) & set(models)


def choose(case: Case) -> Choice:
    """What is replaced in this pass: all that is due, else what has been replaced before and serves no more."""
    to, begun, former = case.asked.to, case.begun, case.former
    obstacle = _obstacle(case, case.due, to)
    if not (obstacle.waits or obstacle.stopped):
        return obstacle
    settled = begun and case.has_left(begun)
    if settled or (begun and begun != case.due and former == to):
        kept = _obstacle(case, begun, former)
        if settled or not (kept.waits or kept.stopped):
            return replace(kept, waits=obstacle.waits, stopped=obstacle.stopped)
    return replace(obstacle, models=())


def with_replaced(obs: Observation, models: Collection[str], to: str) -> Observation:
    """What a pass sees, with these models replaced in the spec."""
    if obs.spec is None or not models:
        return obs
    owner = {**obs.owner, "spec": replace_stored(obs.owner["spec"], models, to)}
    return replace(obs, owner=owner, spec=replace_models(obs.spec, models, to))


def reported(obs: Observation, status: DeploymentStatus) -> MigrationStatus | None:
    """status.migration with how far it is: read off what serves and what was tried."""
    known = status.migration
    if known is None or known.revision is None or known.state == "Stopped":
        return known
    rollout, name = status.rollout, known.revision
    if status.stable_revision == name:
        return _said(known, "Promoted", f"{name} serves: write {known.to} in place of {_names(known.replaced)} in spec")
    if rollout is not None and rollout.revision == name and rollout.outcome in FAILED:
        return _said(known, "Failed", _explain_failure(obs, known, rollout))
    message = f"{name}, which is the spec with {known.to} in place of {_names(known.replaced)}, is being rolled out"
    return _said(known, "InProgress", message)


def explain_migration(known: MigrationStatus | None) -> str:
    """The sentence for the condition ModelCurrent, empty where nothing is due."""
    if known is None:
        return ""
    return f"spec.lifecycle.migrate to {known.to} is {_WORDS[known.state]}: {known.message}"


def explain_replaced(known: MigrationStatus | None) -> str:
    """What to add to a problem of a request whose model is not the one that is written."""
    if known is None or not known.replaced:
        return ""
    return f" (spec.lifecycle.migrate has put {known.to} in place of {_names(known.replaced)})"


_WORDS = {
    "Waiting": "waiting",
    "Stopped": "stopped",
    "InProgress": "in progress",
    "Failed": "not done",
    "Promoted": "done",
}


# --------------------------------------------------------------------------------------------- what is in the way


def _obstacle(case: Case, models: tuple[str, ...], to: str) -> Choice:
    """The choice of these models, with what is in the way of it."""
    choice, target = Choice(models, to), case.revision_of(models, to)
    same = models == case.begun and to == case.former
    if same and case.has_left(models):
        return choice
    before = case.status.migration
    if not (same and before is not None and before.revision == target):
        if waits := _waits(case, models, target):
            return replace(choice, waits=waits)
        if stopped := _refused(case, models, to):
            return replace(choice, stopped=stopped)
    tried = target in (case.status.stable_revision, case.status.canary_revision)
    return choice if tried else replace(choice, stopped=_lacks_gate(case))


def _waits(case: Case, models: Sequence[str], target: str) -> str:
    """What comes before the replacement, empty where it may begin.

    What serves is compared with the same content on another model, so the spec has to serve first as it is written.
    Where its model is Retired it cannot; and content that has failed before that is not tried on another model.
    """
    status = case.status
    rollout, stable = status.rollout, status.stable_revision
    begun = [one for one in case.begun if case.has_left([one])]
    own = case.revision_of(begun, case.former)
    if stable in (own, target) or (rollout is not None and rollout.revision == target) or case.has_left(models):
        return ""
    retired = [state for one in models if (state := model_state(case.obs, one)).lifecycle is Lifecycle.RETIRED]
    failed = rollout is not None and rollout.revision == own and rollout.outcome in FAILED
    if failed and not any(_ended_since(status, own, state) for state in retired):
        where = f"{case.obs.name} -n {case.obs.owner['metadata']['namespace']}"
        helps = f"change the spec, or go back to what serves: kubectl claude undo {where}"
        return f"{own}, the spec as it is written, did not reach all users ({rollout and rollout.outcome}): {helps}"
    if retired:
        return ""
    under_way = active(status)
    if under_way is not None and under_way.revision == own:
        return f"{own}, the spec as it is written, is being rolled out first"
    return f"{own}, the spec as it is written, is rolled out first"


def _ended_since(status: DeploymentStatus, name: str, state: LifecycleState) -> bool:
    """Whether the last trial of a revision ended when its model was Retired: then that says nothing of the rest."""
    ended = next((one.finished_at for one in reversed(status.rollouts) if one.revision == name), None)
    return ended is not None and state.retires_at is not None and ended.date() >= state.retires_at


def _refused(case: Case, models: Collection[str], to: str) -> str:
    """Why the spec with these models replaced may not be rolled out, empty where it may."""
    state = model_state(case.obs, to)
    if has_reached(state, case.asked.stage):
        return f"spec.lifecycle.migrate.to: {to} is {state.lifecycle} itself: name a newer model"
    seen = with_replaced(case.obs, models, to)
    used = models_in_use(seen.owner["spec"]["request"], seen.owner["spec"].get("subagents"))
    rejected = [text for one in used if (text := _rejected(case, one))]
    if rejected:
        return "; ".join(rejected)
    known = {problem.message for problem in spec_problems(case.obs, case.status)}
    found = [one.message for one in spec_problems(seen, case.status) if one.message not in known]
    if found:
        return f"with {to} {'; '.join(found)}"
    parts = revision.content(seen.owner["spec"], seen.prompts)
    made = render.revision(seen.owner, revision.name(seen.name, parts), revision.revision_spec(parts))
    too_large = size_problem(case.obs, case.status, made)
    return too_large.message if too_large is not None else ""


def _rejected(case: Case, model: str) -> str:
    """Why spec.lifecycle does not let a new revision on this model in; without days, which change by themselves."""
    policy, lifecycle = case.spec.lifecycle, model_state(case.obs, model).lifecycle
    fields = {
        Lifecycle.LEGACY: ("onLegacy", policy.on_legacy),
        Lifecycle.DEPRECATED: ("onDeprecated", policy.on_deprecated),
        Lifecycle.RETIRED: ("onRetired", policy.on_retired),
    }
    field, does = fields.get(lifecycle, ("", None))
    if does != "Reject":
        return ""
    return f"{model} is {lifecycle}, and spec.lifecycle.{field} rejects it: name a newer model, or write Warn"


def _lacks_gate(case: Case) -> str:
    """Why it waits for evals, empty where it need not."""
    if not case.asked.needs_evals or (case.spec.evals is not None and case.spec.evals.required):
        return ""
    or_else = "or write spec.lifecycle.migrate.onlyWithEvals: false"
    if case.spec.evals is None:
        return f"spec.lifecycle.migrate begins only with evals, and there are none: add spec.evals, {or_else}"
    return (
        "spec.lifecycle.migrate begins only with evals, and spec.evals.required is false: write required: true,"
        f" {or_else}"
    )


# ----------------------------------------------------------------------------------------------------- small facts


def _serving(obs: Observation, status: DeploymentStatus) -> list[str]:
    """The models that stable asks, empty where nothing serves or is known of it."""
    arm = arm_of(obs, status.stable_revision) if status.stable_revision else None
    if arm is None:
        return []
    return models_in_use(arm.request, {name: {"request": one} for name, one in arm.subagents.items()})


def _said(known: MigrationStatus, state: str, message: str) -> MigrationStatus:
    """A state; what another model has to wait for is said besides."""
    also = f"; {known.message}" if known.state == "Waiting" and known.message else ""
    return known.model_copy(update={"state": state, "message": cut(f"{message}{also}")})


def _explain_failure(obs: Observation, known: MigrationStatus, rollout: Rollout) -> str:
    why = f"{rollout.outcome}, {rollout.reason}" if rollout.reason not in ("", rollout.outcome) else rollout.outcome
    return (
        f"{rollout.revision}, the spec with {known.to}, did not reach all users ({why}) and is not tried again by"
        f" itself: change the spec or spec.lifecycle.migrate.to, or try it again: {obs.ask_by(RETRY, rollout.trial)}"
    )


def _names(models: Iterable[str]) -> str:
    return " and ".join(models)
