"""What each revision gets: what the gateways are told, and beside it what was read of them."""

from __future__ import annotations

from claude_operator.api.gateway import BASIS_POINTS, GatewayConfig
from claude_operator.api.status import DeploymentStatus, Traffic
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
    before = {(one.revision, one.role, one.percent): one for one in status.traffic}
    same = all((one.revision, one.role, one.percent) in before for one in rows if one.role != "former")
    if obs.increments is None and not same:
        return rows
    seen = {
        one.revision: (before[_key(one)].requests_seen or 0 if same and _key(one) in before else 0)
        + _requests(obs, one.revision, since)
        for one in rows
    }
    whole = sum(seen.values())
    if not whole:
        return rows
    drawn = _drawn(status, weight)
    return [
        one.model_copy(
            update={
                "requests_seen": seen[one.revision],
                "requests": round(100.0 * seen[one.revision] / whole, 2),
                "conversations": drawn.get(one.role),
            }
        )
        for one in rows
    ]


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


def _drawn(status: DeploymentStatus, weight: int) -> dict[str, float]:
    """Percent of the new conversations that the judge has counted at this weight, by role."""
    ratio = status.judgement.sample_ratio if status.judgement else None
    if ratio is None or ratio.weight != weight or not ratio.canary + ratio.stable:
        return {}
    ours = round(100.0 * ratio.canary / (ratio.canary + ratio.stable), 2)
    return {"canary": ours, "stable": round(100.0 - ours, 2)}
