"""The status as it is stored: what the rules decided, with all that only reports it to people."""

from __future__ import annotations

from dataclasses import replace

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.served import GatewayStatus
from claude_operator.api.status import DeploymentStatus
from claude_operator.core import names
from claude_operator.core.reconcile.annotations import ABORT, DRILL, PROMOTE, RETRY, handled_entry
from claude_operator.core.reconcile.caching import report_cache
from claude_operator.core.reconcile.checklist import report_checklist
from claude_operator.core.reconcile.conditions import conditions
from claude_operator.core.reconcile.cost import cost_status
from claude_operator.core.reconcile.countdown import retirements
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.drain import former
from claude_operator.core.reconcile.models_used import kept_models, main_model, models_used
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
    models = models_used(obs, status)
    since = weights_generation(status, config, obs.config) if config else 0
    taken = any(problem.reason == Reason.NAME_TAKEN for problem in obs.problems)  # then nothing is written
    fields = {
        "observed_generation": obs.generation,
        "traffic": traffic(_without_drill(obs), status, former(obs, status), since),
        "model": main_model(models),
        "models": [one.to_status() for one in models],
        "kept_models": kept_models(obs),
        "retirements": retirements(obs, models),
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


def _still_meant(draft: Draft) -> list[str]:
    """What was said of annotations that still stand, and of the last rollout."""
    given = {name: draft.obs.annotations.get(name) for name in (ABORT, PROMOTE, RETRY, DRILL)}
    standing = {handled_entry(name, value) for name, value in given.items() if value}
    rollout = draft.status.rollout

    def is_meant(entry: str) -> bool:
        notice = Notice.parse(entry)
        return entry in standing or (notice is not None and rollout is not None and notice.trial == rollout.trial)

    return [entry for entry in draft.status.handled if is_meant(entry)]
