"""Whether the gateways serve what they should, classified once for the condition, the holds and the next pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import GatewayConfig
from claude_operator.core.reconcile import egress
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.text import count, join_names

__all__ = ["REFUSED_WRITES", "SOON", "GatewayFinding", "diagnose_gateways", "first_hold"]

SOON = 0.3  # seconds between two looks while gateways take over a config
_STARTING = 1.0  # the same while pods start, or do not answer

REFUSED_WRITES = {
    "config": "the API server refuses the gateways' config, so they keep the last one",
    "child": "the API server refuses a part of the gateway",
    "revision": "the API server refuses the ClaudeRevision",
    "evalRun": "the API server refuses the ClaudeEvalRun",
    "status": "the API server refuses the status, so the rollout stands still",
}


@dataclass(frozen=True, slots=True)
class GatewayFinding:
    """One thing that is not as it should be: `reason` and `message` are of the condition GatewayReady."""

    reason: Reason
    message: str
    holds: Reason | None = None
    """The reason of a rollout that waits for it; None where no step waits."""
    look_again: float = SOON
    """Seconds until it is worth another look."""


def diagnose_gateways(obs: Observation, config: GatewayConfig) -> tuple[GatewayFinding, ...]:
    """What is wrong with the gateways, the first the one to report; empty where every ready pod serves `config`."""
    return tuple(_findings(obs, config))


def first_hold(obs: Observation, config: GatewayConfig) -> GatewayFinding | None:
    """What a step waits for before it moves on."""
    return next((one for one in diagnose_gateways(obs, config) if one.holds is not None), None)


def _findings(obs: Observation, config: GatewayConfig) -> Iterator[GatewayFinding]:
    view = obs.gateway
    refusing = next((pod for pod in view.pods if pod.ready and pod.error), None)
    if refusing is not None:
        message = f"{refusing.name} keeps its last config: {refusing.error}"
        lags = refusing.generation != config.generation
        yield GatewayFinding(Reason.CONFIG_REFUSED, message, Reason.WAITING_FOR_GATEWAY if lags else None)
    for what in ("config", "child"):
        if what in obs.refused:
            yield GatewayFinding(Reason.WRITE_REFUSED, f"{REFUSED_WRITES[what]}: {obs.refused[what]}")
    if not view.settled or not view.ready:
        if view.trouble:
            message = f"{view.trouble}; {count(view.ready, 'pod')} ready"
            yield GatewayFinding(Reason.PODS_FAILING, message, Reason.WAITING_FOR_GATEWAY, _STARTING)
        message = f"gateway pods are starting or being replaced, {view.ready} ready"
        yield GatewayFinding(Reason.ROLLING_OUT, message, Reason.WAITING_FOR_GATEWAY, _STARTING)
    if config != obs.config:
        message = f"config generation {config.generation} is being written"
        yield GatewayFinding(Reason.CONFIG_PENDING, message, Reason.WAITING_FOR_GATEWAY)
        return
    twins = next((pod.twins for pod in view.pods if pod.ready and pod.twins), ())
    if twins:
        message = (
            f"pods {join_names(twins)} say that they are the same gateway process, so none of them is counted: find"
            " out which one copies the other and delete it; if you cannot tell, delete both"
        )
        yield GatewayFinding(Reason.CONFIG_PENDING, message, Reason.METRICS_UNREACHABLE, _STARTING)
    lagging = view.lagging(config.generation)
    silent = [pod.name for pod in lagging if pod.generation is None]
    if silent:
        message = f"gateway pods do not answer on their admin port: {join_names(silent)}"
        yield GatewayFinding(Reason.CONFIG_PENDING, message, Reason.METRICS_UNREACHABLE, _STARTING)
    if lagging:
        who = f"{count(len(lagging), 'gateway pod')}: {join_names(pod.name for pod in lagging)}"
        message = f"config generation {config.generation} is not served yet by {who}"
        yield GatewayFinding(Reason.CONFIG_PENDING, message, Reason.WAITING_FOR_GATEWAY)
    for message in filter(None, (egress.key_withheld(obs, config), egress.withheld(obs, config))):
        yield GatewayFinding(Reason.HOST_NOT_ALLOWED, message)
