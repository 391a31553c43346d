"""What revisions cost by the price lists."""

from __future__ import annotations

from claude_operator.core.catalogue.cost import price_ratio
from claude_operator.core.catalogue.table import Model, find
from claude_operator.core.reconcile.observation import Observation

__all__ = ["cost_ratio"]


def cost_ratio(obs: Observation, stable: str, canary: str) -> float:
    """How many times as dear the canary's model is as stable's by the price lists, 1 at least."""
    return price_ratio(_model(obs, stable), _model(obs, canary))


def _model(obs: Observation, revision: str) -> Model | None:
    """The model of a revision's main request."""
    name = ((obs.revisions.get(revision) or {}).get("spec") or {}).get("request", {}).get("model", "")
    return obs.models.get(name) or find(name)
