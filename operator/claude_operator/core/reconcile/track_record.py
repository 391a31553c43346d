"""What is known of a revision besides status: the live config, its own object, its eval runs."""

from __future__ import annotations

from claude_operator.api.gateway import Settled
from claude_operator.api.status import Outcome, Rollout
from claude_operator.core.evals.asked import spec_hash
from claude_operator.core.reconcile.observation import Observation

__all__ = [
    "FAILED",
    "has_failed",
    "has_served",
    "is_asked",
    "is_gated",
    "is_lost",
    "may_return",
    "may_serve",
    "newest_in_state",
    "outcome_of",
    "recorded_state",
    "remembered",
    "revision_of",
]

_OUTCOMES: tuple[Outcome, ...] = ("Promoted", "RolledBack", "Aborted", "EvalFailed", "Superseded")
FAILED: tuple[Outcome, ...] = ("RolledBack", "Aborted", "EvalFailed")


def recorded_state(obs: Observation, name: str) -> str:
    """`status.state` of the ClaudeRevision, which we write; empty where nothing is known."""
    return str(((obs.revisions.get(name) or {}).get("status") or {}).get("state") or "")


def newest_in_state(obs: Observation, state: str) -> str | None:
    """The newest revision that is recorded in a state."""
    found = [one["metadata"] for name, one in obs.revisions.items() if recorded_state(obs, name) == state]
    newest = max(((one.get("creationTimestamp", ""), one["name"]) for one in found), default=None)
    return newest[1] if newest else None


def has_failed(obs: Observation, name: str, attempt: int | None = None) -> bool:
    """Whether it was taken back, or failed its gate; with `attempt`, whether that trial of it is known to have."""
    settled = obs.config.settled if obs.config else None
    if settled is not None and settled.revision == name and settled.outcome in FAILED:
        return attempt is None or attempt <= settled.attempt
    return attempt is None and recorded_state(obs, name) == "Failed"


def has_served(obs: Observation, name: str) -> bool:
    """Whether it has been stable once: so it has passed its gate, or is from before there was one."""
    return recorded_state(obs, name) in ("Stable", "Old")


def is_asked(obs: Observation, rollout: Rollout) -> bool:
    """Whether the run that is a rollout's gate is the one that was asked for, and not another one under its name."""
    found = obs.run_objects.get(rollout.eval_run or "")
    return rollout.eval_run_spec is None or (found is not None and spec_hash(found["spec"]) == rollout.eval_run_spec)


def is_gated(obs: Observation, name: str, rollout: Rollout | None = None) -> bool:
    """Whether nothing more is asked of it before its first request: no evals are required, or they have passed.

    The run of `rollout` counts, without one any of its runs does. An unreadable spec may require them.
    """
    if obs.spec is not None and (obs.spec.evals is None or not obs.spec.evals.required):
        return True
    passed = {one for one, status in obs.eval_runs.items() if status.lets_through and revision_of(one) == name}
    if rollout is None or rollout.eval_run is None:
        return bool(passed)
    return rollout.eval_run in passed and is_asked(obs, rollout)


def may_serve(obs: Observation, name: str) -> bool:
    """Whether it may be stable by all that is known of it."""
    return name in obs.revisions and not has_failed(obs, name) and (has_served(obs, name) or is_gated(obs, name))


def may_return(obs: Observation, name: str) -> bool:
    """Whether it may have all traffic at once: it has had it, or nothing says otherwise and it passed its gate."""
    served = has_served(obs, name) or (not recorded_state(obs, name) and is_gated(obs, name))
    return name in obs.revisions and served and not has_failed(obs, name)


def remembered(obs: Observation) -> bool:
    """Whether a ready gateway may serve by its memory what is not written anywhere any more."""
    return any(pod.ready and pod.generation != 0 for pod in obs.gateway.pods)


def revision_of(run: str) -> str:
    """The revision that an eval run was made for, by the run's name."""
    return run.rpartition("-")[0]


def outcome_of(settled: Settled) -> Outcome | None:
    """How it ended; None where another version wrote a word that this one does not know."""
    return next((one for one in _OUTCOMES if one == settled.outcome), None)


def is_lost(obs: Observation, stable: str | None, wanted: str | None) -> bool:
    """Whether what is stable is written nowhere any more: neither in its object, nor in the config, nor in the spec."""
    if stable is None or stable in obs.revisions or wanted == stable:
        return False
    return obs.config is None or all(arm.revision != stable for arm in obs.config.arms)
