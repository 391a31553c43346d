"""The status as it is stored: what the rules decided, with all that only reports it to people."""

from __future__ import annotations

from dataclasses import replace

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.served import GatewayStatus, ModelStatus
from claude_operator.api.status import DeploymentStatus
from claude_operator.core import names
from claude_operator.core.catalogue.lifecycle import LifecycleState, lifecycle_of, models_in_use
from claude_operator.core.reconcile.annotations import ABORT, DRILL, PROMOTE, RETRY, handled_entry
from claude_operator.core.reconcile.caching import report_cache
from claude_operator.core.reconcile.checklist import report_checklist
from claude_operator.core.reconcile.conditions import conditions
from claude_operator.core.reconcile.cost import cost_status
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.drain import former
from claude_operator.core.reconcile.notice import Notice
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.progress import drilling
from claude_operator.core.reconcile.service_levels import budget_statuses
from claude_operator.core.reconcile.traffic import traffic, weights_generation
from claude_operator.core.render import client_url

__all__ = ["finished"]


def finished(draft: Draft, config: GatewayConfig | None) -> DeploymentStatus:
    """The status with all that only reports: conditions, traffic, model, gateway."""
    obs, status = draft.obs, draft.status
    models = _models(draft)
    since = weights_generation(status, config, obs.config) if config else 0
    main = next(iter(models), None)
    taken = any(problem.reason == Reason.NAME_TAKEN for problem in obs.problems)  # then nothing is written
    fields = {
        "observed_generation": obs.generation,
        "traffic": traffic(_without_drill(obs), status, former(obs, status), since),
        "model": _model_status(*main) if main else None,
        "handled": _still_meant(draft),
        "budgets": budget_statuses(obs),
        "gateway": GatewayStatus(
            url=client_url(obs.owner),
            client_secret=names.client_secret(obs.name),
            ready=obs.gateway.ready,
            config_generation=config.generation,
            weights_generation=since,
        )
        if config and (status.gateway is not None or not taken)
        else status.gateway,
        "cache": report_cache(obs, status).cache,
        "checklist": report_checklist(draft),
    }
    changed = status.model_copy(update=fields)
    told = conditions(replace(draft, status=changed), config, models)
    cost = cost_status(obs.usage, obs.status.cost, changes=told != obs.status.conditions)
    return changed.model_copy(update={"conditions": told, "cost": cost})


def _without_drill(obs: Observation) -> Observation:
    """What is read for a drill says nothing of a rollout's shares."""
    return obs if drilling(obs.status) is None else replace(obs, increments=None)


def _models(draft: Draft) -> list[tuple[str, LifecycleState]]:
    """Models of the newest spec, the main one first, and of what serves.

    Until a migration is done, the main one is that of what serves.
    """
    obs, status = draft.obs, draft.status
    serving = [name for name in (status.stable_revision, status.canary_revision) if name]
    specs = [obs.owner["spec"], *(obs.revisions[name]["spec"] for name in serving if name in obs.revisions)]
    stable = obs.revisions.get(status.stable_revision or "")
    if status.migration is not None and status.migration.replaced and stable is not None:
        specs.insert(0, stable["spec"])
    ids = dict.fromkeys(
        one for spec in specs for one in models_in_use(spec.get("request") or {}, spec.get("subagents"))
    )
    return [(name, lifecycle_of(name, obs.now.date(), obs.models)) for name in ids]


def _model_status(name: str, state: LifecycleState) -> ModelStatus:
    retires = state.retires_at.isoformat() if state.retires_at else None
    return ModelStatus(id=name, lifecycle=state.lifecycle, retires_at=retires, replacement=state.replacement)


def _still_meant(draft: Draft) -> list[str]:
    """What was said of annotations that still stand, and of the last rollout."""
    given = {name: draft.obs.annotations.get(name) for name in (ABORT, PROMOTE, RETRY, DRILL)}
    standing = {handled_entry(name, value) for name, value in given.items() if value}
    rollout = draft.status.rollout

    def is_meant(entry: str) -> bool:
        notice = Notice.parse(entry)
        return entry in standing or (notice is not None and rollout is not None and notice.trial == rollout.trial)

    return [entry for entry in draft.status.handled if is_meant(entry)]
