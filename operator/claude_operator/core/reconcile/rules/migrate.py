"""Another model in place of one that nears its end, before anything else is asked of the spec."""

from __future__ import annotations

from dataclasses import replace

from claude_operator.api.conditions import Reason
from claude_operator.api.migration import MigrationStatus
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.migration import Case, Choice, choose, reported, with_replaced
from claude_operator.core.reconcile.models_used import model_state
from claude_operator.core.spec.revision import prompt_keys
from claude_operator.core.text import cut

__all__ = ["migrate", "report"]


def migrate(draft: Draft) -> Draft:
    """Later rules see the spec with its models replaced, and `status.migration` says which those are.

    In a pass that takes traffic back, or that does not know the whole spec, nothing is decided anew.
    """
    obs, before = draft.obs, draft.status.migration
    spec = obs.spec
    if spec is None:
        return draft
    asked = spec.lifecycle.migrate
    if asked is None:
        return draft.set(migration=None) if before is not None else draft
    if draft.backward or any(key not in obs.prompts for key in prompt_keys(spec)):
        return replace(draft, obs=with_replaced(obs, before.replaced, before.to)) if before is not None else draft
    case = Case.of(obs, draft.status, spec, asked)
    if not case.due:
        return draft.set(migration=None) if before is not None else draft
    choice = choose(case)
    told = _told(draft, case, choice)
    return replace(told, obs=with_replaced(obs, choice.models, choice.to))


def report(draft: Draft) -> Draft:
    """At the end of a pass: how far it is."""
    return draft.set(migration=reported(draft.obs, draft.status))


def _told(draft: Draft, case: Case, choice: Choice) -> Draft:
    """With what was chosen in the status, and an Event for what begins or is stopped, once each."""
    before, now = draft.status.migration, _written(draft, case, choice)
    draft = draft.set(migration=now)
    if now.state == "Stopped" and (before is None or (before.state, before.message) != (now.state, now.message)):
        note = f"{', '.join(case.due)} to {case.asked.to} (spec.lifecycle.migrate): {now.message}"
        draft = draft.record_event(Reason.MIGRATION_STOPPED, note, warning=True)
    kept = before is not None and before.to == now.to and set(now.replaced) <= set(before.replaced)
    rollout = draft.status.rollout
    known = now.revision in (draft.status.stable_revision, rollout.revision if rollout else None)
    if not now.replaced or kept or known:
        return draft
    states = (model_state(draft.obs, one).sentence(one) for one in now.replaced)
    note = f"{now.revision} is the spec with {now.to} in place (spec.lifecycle.migrate), since {'; '.join(states)}"
    return draft.record_event(Reason.MIGRATION_STARTED, note)


def _written(draft: Draft, case: Case, choice: Choice) -> MigrationStatus:
    before, obs = draft.status.migration, draft.obs
    since = before.since if before is not None and before.replaced else obs.now
    state = "Stopped" if choice.stopped else "Waiting" if choice.waits else "InProgress"
    return MigrationStatus(
        models=list(case.due),
        to=choice.to,
        state=state,
        message=cut(choice.stopped or choice.waits),
        replaced=list(choice.models),
        revision=case.revision_of(choice.models, choice.to) if choice.models else None,
        since=since if choice.models else None,
    )
