"""The gateway's config as a function of status and spec: who serves, with how much, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from claude_operator.api import gateway as wire
from claude_operator.api.base import seconds
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.reconcile.drain import arm_of, former
from claude_operator.core.reconcile.drilling import fault_to_serve
from claude_operator.core.reconcile.grading import sampling
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.prices import prices_to_serve
from claude_operator.core.reconcile.progress import active, canary_weight
from claude_operator.core.reconcile.spending import throttle_to_serve
from claude_operator.core.reconcile.track_record import remembered
from claude_operator.core.spec.budgets import limits
from claude_operator.core.spec.plan import plan_of
from claude_operator.core.spec.revision import arm

__all__ = ["LIMIT", "desired_config", "fits", "rendered_size"]

LIMIT = 900 * 1024  # bytes of config.json; an object of etcd's holds 1.5 MiB, and the ConfigMap holds it again


def desired_config(obs: Observation, status: DeploymentStatus, *, accepted: bool) -> wire.GatewayConfig | None:
    """The document that should be live, generation included; None to leave what there is.

    That is so while there is none and the spec is not accepted, or nothing is known to put into it.

    While the spec is not accepted, everything but the arms, what a month may cost and the installer's egress and prices
    stays as it is live.
    Where that was lost and something serves, the spec has to do, unless the installer's policy refuses it: gateways
    keep serving from memory, and a weight of 0 must reach them.
    """
    live = obs.config
    if obs.spec is not None and (accepted or (live is None and status.stable_revision and _may_do(obs, obs.spec))):
        base = _from_spec(obs, obs.spec, status)
    elif live is not None:
        base = live
    else:
        return None
    arms = _arms(obs, status)
    if not arms and live is None and (status.stable_revision is not None or remembered(obs)):
        return None  # what serves by the gateways' memory alone keeps serving
    wanted = msgspec.structs.replace(
        base,
        arms=_with_former(obs, status, arms),
        settled=_settled(status),
        live=_live(obs, status),
        generation=live.generation if live else _first(obs),
    )
    # Without a spec that is accepted, or behind an error, nothing may keep traffic from being taken back.
    prices = prices_to_serve(obs, status) if accepted or live is None else live.own_prices
    wanted = wire.with_prices(wire.with_egress(wanted, _egress(obs)), prices)
    wanted = wire.with_throttle(wanted, throttle_to_serve(obs))
    wanted = wire.with_drill(wanted, fault_to_serve(status) if accepted else msgspec.UNSET)
    if live is None or wanted == live:
        return wanted
    return msgspec.structs.replace(wanted, generation=live.generation + 1)


def _may_do(obs: Observation, spec: DeploymentSpec) -> bool:
    """Whether a spec that is not accepted may stand in for a document that was lost.

    Gateways send their key to its upstream, so not where it may be one that the policy keeps the key from.
    """
    withheld = {Reason.NAME_TAKEN, Reason.HOST_NOT_ALLOWED, Reason.SECRET_NOT_ALLOWED}
    refused = obs.policy.host_problems([("spec.upstream.baseURL", spec.upstream.base_url)], obs.resolved)
    return not refused and not any(problem.reason in withheld for problem in obs.problems)


def rendered_size(
    obs: Observation, candidate: Mapping[str, Any], stable: str | None, kept: str | None = None
) -> tuple[int, int, int]:
    """Bytes of the arms as JSON: candidate, stable, and the former one that is kept."""

    def size(revision: Mapping[str, Any] | None) -> int:
        return len(msgspec.json.encode(arm(revision, "stable", 0))) if revision else 0

    return size(candidate), size(obs.revisions.get(stable or "")), size(obs.revisions.get(kept or ""))


def _first(obs: Observation) -> int:
    """The generation of a document where none is live: 1, or above that of one that was deleted and is still served."""
    known = [pod.generation or 0 for pod in obs.gateway.pods]
    if obs.status.gateway is not None:
        known.append(obs.status.gateway.config_generation)
    return max(known, default=0) + 1


def _arms(obs: Observation, status: DeploymentStatus) -> list[wire.Arm]:
    weight = canary_weight(status)
    wanted: list[tuple[str | None, wire.Role, int]] = [
        (status.stable_revision, "stable", wire.BASIS_POINTS - weight),
        (status.canary_revision, "canary", weight),
    ]
    live = {one.revision: one for one in obs.config.arms} if obs.config else {}
    arms = []
    for name, role, share in wanted:
        if name is None or (role == "canary" and name == status.stable_revision):
            continue
        if role == "canary" and not share and name == former(obs, status):
            continue  # it keeps its conversations as the former one until it is given new ones
        if name in obs.revisions:
            arms.append(arm(obs.revisions[name], role, share))
        elif name in live:  # its object was deleted by hand: what serves keeps serving
            arms.append(msgspec.structs.replace(live[name], role=role, weight=share))
    if len(arms) == 1 and arms[0].role == "stable":  # nothing is known of the canary: stable answers all
        arms = [msgspec.structs.replace(arms[0], weight=wire.BASIS_POINTS)]
    if sum(one.weight for one in arms) == wire.BASIS_POINTS:
        return arms
    serves = obs.config.arm("stable") if obs.config else None  # what is live is never emptied
    return [msgspec.structs.replace(serves, weight=wire.BASIS_POINTS)] if serves else []


def _settled(status: DeploymentStatus) -> wire.Settled | None:
    ended = status.rollouts[-1] if status.rollouts else None
    return (
        wire.Settled(ended.revision, ended.attempt, ended.outcome, ended.reason, ended.message)
        if ended is not None
        else None
    )


def _with_former(obs: Observation, status: DeploymentStatus, arms: list[wire.Arm]) -> list[wire.Arm]:
    """With what was stable before, at weight 0, while its conversations are on it."""
    name = former(obs, status)
    if name is None or not arms or any(one.revision == name for one in arms) or not fits(obs, status, name):
        return arms
    served = arm_of(obs, name)
    return [*arms, msgspec.structs.replace(served, role="former", weight=0)] if served else arms


def fits(obs: Observation, status: DeploymentStatus, name: str) -> bool:
    """Whether there is room for a former revision beside those that have traffic or may get it."""
    wanted = dict.fromkeys(one for one in (status.stable_revision, status.canary_revision, name) if one)
    return sum(_size(obs, one) for one in wanted) <= LIMIT


def _size(obs: Observation, name: str) -> int:
    if name in obs.revision_sizes:  # as good as its arm, and known already
        return obs.revision_sizes[name]
    served = arm_of(obs, name)
    return len(msgspec.json.encode(served)) if served else 0


def _live(obs: Observation, status: DeploymentStatus) -> wire.Live | msgspec.UnsetType:
    """What is sampled. Pods of earlier versions refuse a config that says so, which is not known of pods that go."""
    now = obs.config.live if obs.config is not None else msgspec.UNSET
    if obs.spec is None:  # it cannot be read: what is sampled of a canary stays as it is
        rollout = active(status)
        graded = rollout is not None and rollout.plan.grades is not None and status.canary_revision is not None
        return now if graded else msgspec.UNSET
    wanted = sampling(obs.spec, status)
    return wanted if wanted is not None and (now is not msgspec.UNSET or obs.gateway.settled) else msgspec.UNSET


def _assigning(status: DeploymentStatus, spec: DeploymentSpec) -> wire.Assigning | msgspec.UnsetType:
    """As the rollout under way has it, else the spec; not said where it is the default."""
    rollout = active(status)
    plan = rollout.plan if rollout else plan_of(spec)
    found = wire.Assigning(plan.unit, plan.rescue_after)
    return msgspec.UNSET if found == wire.Assigning() else found


def _budgets(obs: Observation, spec: DeploymentSpec) -> list[wire.Limit] | msgspec.UnsetType:
    """What calls are counted against. Pods of earlier versions refuse a config that says so."""
    told = obs.config is not None and obs.config.budgets is not msgspec.UNSET
    return (limits(spec.budgets) or msgspec.UNSET) if told or obs.gateway.reads_budgets else msgspec.UNSET


def _egress(obs: Observation) -> wire.Egress:
    """What the installer allows as of now, whatever the spec says."""
    return wire.Egress(list(obs.policy.allowed_hosts), list(obs.policy.control_plane))


def _from_spec(obs: Observation, spec: DeploymentSpec, status: DeploymentStatus) -> wire.GatewayConfig:
    metadata = obs.owner["metadata"]
    timeouts = spec.upstream.timeouts
    return wire.GatewayConfig(
        generation=0,
        deployment=wire.Deployment(metadata["name"], metadata["namespace"], metadata["uid"]),
        auth=wire.Auth(spec.gateway.auth.type),
        upstream=wire.Upstream(
            base_url=spec.upstream.base_url,
            timeouts=wire.Timeouts(seconds(timeouts.connect), seconds(timeouts.idle), seconds(timeouts.total)),
        ),
        env=[variable.name for variable in spec.env or ()],
        budgets=_budgets(obs, spec),
        surfaces=list(dict.fromkeys(budget.surface for budget in spec.budgets or ())),
        expose_revision=False if spec.gateway.expose_revision is False else msgspec.UNSET,
        assignment=_assigning(status, spec),
    )
