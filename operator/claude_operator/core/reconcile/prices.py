"""What revisions cost: by which prices gateways count, and how much of a difference the prices explain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_operator.api.prices import TokenPrices
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.catalogue.cost import Book, price_ratio, request_factor
from claude_operator.core.catalogue.lifecycle import models_in_use
from claude_operator.core.catalogue.own_prices import book_of, own_prices
from claude_operator.core.catalogue.table import Prices, find
from claude_operator.core.judge.metrics import declared
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.progress import active, soaking

__all__ = ["book_in_force", "cost_ratio", "explain_blind", "prices_to_serve", "unpriced", "with_new"]

Request = Mapping[str, Any]


def prices_to_serve(obs: Observation, status: DeploymentStatus) -> Mapping[str, TokenPrices]:
    """The prices of the installation's own that gateways are to count by.

    A rollout or a soak keeps those that it began with: its evidence is in them, and so is the margin. Prices that
    cannot be read change nothing.
    """
    if obs.config is not None and (obs.price_fault or active(status) or soaking(status)):
        return obs.config.own_prices
    return {} if obs.price_fault else own_prices(obs.models)


def with_new(obs: Observation, told: Mapping[str, TokenPrices]) -> dict[str, TokenPrices]:
    """`told`, and the prices of models that have none by it: no figure is changed by them."""
    book = book_of(told)
    return {name: one for name, one in own_prices(obs.models).items() if _prices(book, name) is None} | dict(told)


def cost_ratio(obs: Observation, stable: str, canary: str) -> float:
    """How many times as dear the canary is as stable by the prices that gateways count by, 1 at least.

    It is the largest ratio of the main request and of each subagent, by model and by what sets the price beside it.
    """
    before, after, book = _requests(obs, stable), _requests(obs, canary), book_in_force(obs)
    return max(_ratio(book, before.get(name, before[""]), request) for name, request in after.items())


def unpriced(obs: Observation, models: list[str]) -> list[str]:
    """Those of these models that have no price: what their answers cost is not known."""
    book = book_in_force(obs)
    return [name for name in models if _prices(book, name) is None]


def explain_blind(obs: Observation, status: DeploymentStatus) -> str:
    """Why the judge does not compare what the arms cost; empty where it does, or where nobody has asked it to."""
    rollout = active(status)
    if rollout is None or not any(metric.name == "cost" for metric in declared(rollout.plan.analysis)):
        return ""
    names = (status.stable_revision, status.canary_revision)
    specs = [(obs.revisions.get(name or "") or {}).get("spec") or {} for name in names]
    used = [one for spec in specs for one in models_in_use(spec.get("request") or {}, spec.get("subagents"))]
    blind = unpriced(obs, list(dict.fromkeys(used)))
    return f"cost is not compared, since there is no price of {' and '.join(blind)}" if blind else ""


def _ratio(book: Book, before: Request, after: Request) -> float:
    models = price_ratio(_prices(book, before.get("model")), _prices(book, after.get("model")))
    return max(1.0, models * request_factor(after) / request_factor(before))


def _requests(obs: Observation, revision: str) -> dict[str, Request]:
    """Of a revision: the main request by the empty name, and those of its subagents."""
    spec = (obs.revisions.get(revision) or {}).get("spec") or {}
    main = spec.get("request") or {}
    subagents = spec.get("subagents") or {}
    return {"": main} | {name: {**main, **(one.get("request") or {})} for name, one in subagents.items()}


def book_in_force(obs: Observation) -> Book:
    """As the gateways have it; before their first config, as they will."""
    return book_of(obs.config.own_prices if obs.config is not None else own_prices(obs.models))


def _prices(book: Book, model: Any) -> Prices | None:
    known = find(str(model or ""))
    return book.get(str(model or "")) or (known.prices if known else None)
