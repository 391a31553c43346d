"""The models that a ClaudeDeployment uses: who uses each, and where it is in its life on the platform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from claude_operator.api.lifecycle import PLATFORMS, Platform
from claude_operator.api.served import ModelInUse, ModelStatus
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.catalogue.lifecycle import Lifecycle, LifecycleState, lifecycle_of, models_in_use
from claude_operator.core.reconcile.observation import Observation

__all__ = [
    "REQUEST",
    "ModelUse",
    "explain_retired",
    "kept_models",
    "main_model",
    "model_state",
    "models_used",
    "platform_of",
]

REQUEST = "request"


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model, its state today, and who uses it."""

    id: str
    state: LifecycleState
    where: tuple[str, ...]

    @property
    def answers(self) -> bool:
        """Whether applications get its answers; else it only grades."""
        return any(one.partition(" ")[0] in (REQUEST, "subagent") for one in self.where)

    def sentence(self) -> str:
        """Its state, and who uses it where that is not the main request."""
        told = self.state.sentence(self.id)
        return told if REQUEST in self.where else f"{told}; used by {', '.join(self.where)}"

    def to_status(self) -> ModelInUse:
        """The entry of `status.models`."""
        retires = self.state.retires_at.isoformat() if self.state.retires_at else None
        return ModelInUse(
            id=self.id,
            lifecycle=self.state.lifecycle,
            days_left=self.state.days_left,
            retires_at=retires,
            replacement=self.state.replacement,
            where=list(self.where),
        )


def platform_of(obs: Observation) -> Platform:
    """Where the models are served; the Claude API where the spec does not say, or nothing that is known."""
    if obs.spec is not None:
        return obs.spec.upstream.platform or "ClaudeAPI"
    upstream = obs.owner["spec"].get("upstream")
    named = upstream.get("platform") if isinstance(upstream, Mapping) else None
    return next((one for one in PLATFORMS if one == named), "ClaudeAPI")


def model_state(obs: Observation, model_id: str) -> LifecycleState:
    """Where a model is in its life today, on this ClaudeDeployment's platform."""
    return lifecycle_of(model_id, obs.now.date(), obs.models, platform=platform_of(obs))


def models_used(obs: Observation, status: DeploymentStatus) -> list[ModelUse]:
    """Models of the newest spec, the main one first, of what serves and is on trial, and of those that grade."""
    found: dict[str, dict[str, None]] = {}
    for model_id, where in _uses(obs, status):
        found.setdefault(model_id, {})[where] = None
    return [ModelUse(model_id, model_state(obs, model_id), tuple(where)) for model_id, where in found.items()]


def main_model(uses: list[ModelUse]) -> ModelStatus | None:
    """`status.model`: the model of the newest spec's request."""
    first = next(iter(uses), None)
    if first is None:
        return None
    told = first.to_status()
    return ModelStatus(id=told.id, lifecycle=told.lifecycle, retires_at=told.retires_at, replacement=told.replacement)


def kept_models(obs: Observation) -> list[str]:
    """The models of all revisions that are kept, each once, in the order of their names."""
    contents = [one["spec"] for one in obs.revisions.values()]
    found = {model for one in contents for model in models_in_use(one.get("request") or {}, one.get("subagents"))}
    return sorted(found)


def explain_retired(obs: Observation, revision: str, *, beside: str = "") -> str:
    """Why a revision may not come back: `its model <id> is Retired`; empty where nothing says that it is.

    A subagent's model that `beside`, which serves in its place, asks as well is no reason: nothing is lost by it.
    """
    main = _asked_by(obs, revision)[:1]
    shared = [one for one in _asked_by(obs, beside) if one not in main]
    gone = [
        one
        for one in _asked_by(obs, revision)
        if one not in shared and model_state(obs, one).lifecycle == Lifecycle.RETIRED
    ]
    return f"its model {gone[0]} is Retired" if gone else ""


def _asked_by(obs: Observation, revision: str) -> list[str]:
    """The models of a revision, or of its arm where the object is gone."""
    spec = (obs.revisions.get(revision) or {}).get("spec")
    if spec is not None:
        return models_in_use(spec.get("request") or {}, spec.get("subagents"))
    arm = next((one for one in obs.config.arms if one.revision == revision), None) if obs.config else None
    return [str(arm.request["model"])] if arm is not None and arm.request.get("model") else []


def _uses(obs: Observation, status: DeploymentStatus) -> Iterator[tuple[str, str]]:
    serving = [name for name in (status.stable_revision, status.canary_revision) if name]
    contents: list[Mapping[str, Any]] = [obs.owner["spec"]]
    contents += [obs.revisions[name]["spec"] for name in serving if name in obs.revisions]
    stable = obs.revisions.get(status.stable_revision or "")
    if status.migration is not None and status.migration.replaced and stable is not None:
        contents.insert(0, stable["spec"])  # until a migration is done, the main one is that of what serves
    for content in contents:
        yield from _of_request(content)
    if obs.eval_set is not None and obs.eval_set.shared is not None:
        for grader in obs.eval_set.shared.graders or ():
            yield grader.model, f"judge {grader.name}"
    live = obs.spec.evals.live if obs.spec is not None and obs.spec.evals is not None else None
    for grader in (live.graders if live is not None else None) or ():
        yield grader.model, f"grader {grader.name}"


def _of_request(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The main model first. A subagent that names none asks the main one."""
    request = content.get("request") or {}
    if request.get("model"):
        yield str(request["model"]), REQUEST
    for name, subagent in (content.get("subagents") or {}).items():
        model = (subagent.get("request") or {}).get("model")
        if model:
            yield str(model), f"subagent {name}"
