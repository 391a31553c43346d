"""The objects the operator makes, as plain dicts ready for server-side apply: only the fields that are ours."""

from claude_operator.core.render.covers import covers, differences, excess, lacks
from claude_operator.core.render.evals import cancel_job, eval_job, eval_objects, eval_run, eval_stores
from claude_operator.core.render.gateway import (
    client_secret,
    client_url,
    config_map,
    gateway_objects,
    gateway_secret,
    grader_secret,
    has_operator_key,
    reads_budgets,
    reads_egress,
    reads_grader_secret,
)
from claude_operator.core.render.grader import grader_objects, grader_store
from claude_operator.core.render.organisation import history_claim, history_objects, history_secret
from claude_operator.core.render.parts import API_SERVER_PORTS, NetworkRules, Object, Site
from claude_operator.core.render.revisions import revision

__all__ = [
    "API_SERVER_PORTS",
    "NetworkRules",
    "Object",
    "Site",
    "cancel_job",
    "client_secret",
    "client_url",
    "config_map",
    "covers",
    "differences",
    "eval_job",
    "eval_objects",
    "eval_run",
    "eval_stores",
    "excess",
    "gateway_objects",
    "gateway_secret",
    "grader_objects",
    "grader_secret",
    "grader_store",
    "has_operator_key",
    "history_claim",
    "history_objects",
    "history_secret",
    "lacks",
    "reads_budgets",
    "reads_egress",
    "reads_grader_secret",
    "revision",
]
