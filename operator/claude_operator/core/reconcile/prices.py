"""What revisions cost by the price lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_operator.core.catalogue.cost import price_ratio, request_factor
from claude_operator.core.catalogue.lifecycle import model_of
from claude_operator.core.catalogue.table import Prices
from claude_operator.core.reconcile.observation import Observation

__all__ = ["cost_ratio"]

Request = Mapping[str, Any]


def cost_ratio(obs: Observation, stable: str, canary: str) -> float:
    """How many times as dear the canary is as stable by the price lists, 1 at least.

    It is the largest ratio of the main request and of each subagent, by model and by what sets the price beside it.
    """
    before, after = _requests(obs, stable), _requests(obs, canary)
    return max(_ratio(obs, before.get(name, before[""]), request) for name, request in after.items())


def _ratio(obs: Observation, before: Request, after: Request) -> float:
    models = price_ratio(_prices(obs, before), _prices(obs, after))
    return max(1.0, models * request_factor(after) / request_factor(before))


def _requests(obs: Observation, revision: str) -> dict[str, Request]:
    """Of a revision: the main request by the empty name, and those of its subagents."""
    spec = (obs.revisions.get(revision) or {}).get("spec") or {}
    main = spec.get("request") or {}
    subagents = spec.get("subagents") or {}
    return {"": main} | {name: {**main, **(one.get("request") or {})} for name, one in subagents.items()}


def _prices(obs: Observation, request: Request) -> Prices | None:
    model = model_of(str(request.get("model") or ""), obs.models)
    return model.prices if model else None
