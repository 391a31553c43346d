"""What each revision gets: what the gateways are told, and beside it what was read of them."""

from __future__ import annotations

from claude_operator.api.evidence import MOVED
from claude_operator.api.gateway import BASIS_POINTS, GatewayConfig
from claude_operator.api.served import Traffic
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.progress import canary_weight

__all__ = ["traffic", "weights_generation"]


def weights_generation(status: DeploymentStatus, config: GatewayConfig, live: GatewayConfig | None) -> int:
    """The generation in which the weights last changed; what else a config says draws no conversation anew."""
    known = status.gateway.weights_generation if status.gateway else 0
    if live is None or _weights(live) != _weights(config):
        return config.generation
    return known or config.generation


def traffic(obs: Observation, status: DeploymentStatus, kept: str | None, since: int) -> list[Traffic]:
    """Stable, canary and former. `kept`: the former one; `since`: the generation of the config that has the weights."""
    weight = canary_weight(status)
    told = [
        (status.stable_revision, "stable", (BASIS_POINTS - weight) / 100),
        (status.canary_revision, "canary", weight / 100),
        (kept, "former", 0.0),
    ]
    rows = [Traffic(revision=name, role=role, percent=share) for name, role, share in told if name]
    before = {_key(one): one for one in status.traffic}
    same = all(_key(one) in before for one in rows if one.role != "former")
    if obs.increments is None and not same:
        return rows
    seen = [_seen(obs, one, before.get(_key(one)) if same else None, since) for one in rows]
    whole = sum(one.requests_seen or 0 for one in seen)
    if not whole:
        return rows
    drawn = _drawn(status, weight)
    shares = [round(100.0 * (one.requests_seen or 0) / whole, 2) for one in seen]
    return [
        one.model_copy(update={"requests": share, "conversations": drawn.get(one.role)})
        for one, share in zip(seen, shares, strict=True)
    ]


def _seen(obs: Observation, row: Traffic, before: Traffic | None, since: int) -> Traffic:
    """With what is new added to what was counted before at the same weight."""
    requests, moved = (before.requests_seen or 0, before.moved or 0) if before else (0, 0)
    requests += _requests(obs, row.revision, since)
    return row.model_copy(update={"requests_seen": requests, "moved": moved + _moved(obs, row.revision)})


def _weights(config: GatewayConfig) -> dict[str, int]:
    return {arm.revision: arm.weight for arm in config.arms if arm.weight}


def _key(one: Traffic) -> tuple[str, str, float]:
    return one.revision, one.role, one.percent


def _requests(obs: Observation, revision: str, since: int) -> int:
    """New ones that began under these weights."""
    if obs.increments is None:
        return 0
    samples = obs.increments.samples.items()
    return sum(
        one.counts.requests for (generation, _, name), one in samples if name == revision and generation >= since
    )


def _moved(obs: Observation, revision: str) -> int:
    """New ones that are on it and were on another, or may have been."""
    units = obs.increments.units.items() if obs.increments else ()
    return sum(one.entries for key, one in units if (key.surface, key.revision) == (MOVED, revision))


def _drawn(status: DeploymentStatus, weight: int) -> dict[str, float]:
    """Percent of the new conversations that the judge has counted at this weight, by role."""
    ratio = status.judgement.sample_ratio if status.judgement else None
    if ratio is None or ratio.weight != weight or not ratio.canary + ratio.stable:
        return {}
    ours = round(100.0 * ratio.canary / (ratio.canary + ratio.stable), 2)
    return {"canary": ours, "stable": round(100.0 - ours, 2)}
