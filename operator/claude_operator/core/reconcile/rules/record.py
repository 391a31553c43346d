"""The rollout's ledger: what the judge saw and said, tick by tick, for those who ask why."""

from __future__ import annotations

from claude_operator.core import names
from claude_operator.core.judge.ledger import config_map
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.prices import cost_ratio
from claude_operator.core.reconcile.progress import active
from claude_operator.core.render.parts import child

__all__ = ["record"]


def record(draft: Draft) -> Draft:
    """With the ledger's ConfigMap where this pass had a tick that is worth to be kept, and a note of that in status.

    It belongs to the revision, so it goes when that does.
    """
    obs, after, rollout = draft.obs, draft.status.judgement, active(draft.obs.status)
    before, stable = obs.status.judgement, obs.status.stable_revision
    if obs.increments is None or after is None or rollout is None or stable is None or after is before:
        return draft
    if (before is not None and after.last_tick == before.last_tick) or not config_map.worth(
        before, after, draft.compared
    ):
        return draft
    trial = config_map.Trial(
        deployment=obs.name,
        revision=rollout.revision,
        stable=stable,
        attempt=rollout.attempt,
        analysis=rollout.plan.analysis,
        price_ratio=cost_ratio(obs, stable, rollout.revision),
    )
    data = config_map.appended(obs.ledger, before=before, after=after, comparisons=draft.compared, trial=trial)
    owner = obs.revisions.get(rollout.revision) or obs.owner
    name = config_map.name(rollout.revision, rollout.attempt)
    body = child(owner, "ConfigMap", "v1", name, names.labels(obs.name, "ledger")) | {"data": data}
    noted = after.model_copy(update={"recorded": after.last_tick})
    return draft.set(judgement=noted).write_ledger(body)
