"""Evidence into judgement, and traffic back on evidence of harm."""

from __future__ import annotations

from claude_operator.api.base import fraction
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import Step
from claude_operator.api.gateway import BASIS_POINTS
from claude_operator.api.status import DeploymentStatus, Judgement, Offsets, Rollout, StepStatus
from claude_operator.api.sums import Moments
from claude_operator.core.judge import assessment, sentences
from claude_operator.core.judge.diagnosis import reason_of
from claude_operator.core.judge.evidence import offset
from claude_operator.core.judge.evidence.context import Bake, Context
from claude_operator.core.judge.evidence.sample import Values
from claude_operator.core.judge.judges import promotion
from claude_operator.core.judge.stats import continuous
from claude_operator.core.reconcile import grading
from claude_operator.core.reconcile.bake import explain_missing, is_overdue, longest
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.explanation import explain_errors
from claude_operator.core.reconcile.few_users import BUSIEST
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.prices import cost_ratio
from claude_operator.core.reconcile.progress import active, basis_points, canary_weight, cohorts_due
from claude_operator.core.reconcile.spending import explain_throttled
from claude_operator.core.reconcile.traffic import weights_generation
from claude_operator.core.text import duration, percent

__all__ = ["analyse", "roll_back"]

_SICK = 0.2  # share of stable's own requests that fail, from where on a rollback says that both may be ill
_FEW = 30  # values that a variance is computed from
_WEIGHTS = 8  # of a plan that offsets are kept for
_AHEAD = 4  # bakes that are proved at a time: what is seen at a low weight speaks for the later ones too


def analyse(draft: Draft) -> Draft:
    """Let the judge see a tick's increments, while the canary has traffic."""
    obs, status = draft.obs, draft.status
    rollout = active(status)
    if rollout is None or status.step is None or status.stable_revision is None or not canary_weight(status):
        return draft
    if obs.increments is None:
        return draft
    draft = _note_users(draft, rollout)
    before = status.judgement
    judgement, compared = assessment.assess(
        before,
        rollout.plan.analysis,
        obs.increments,
        stable=status.stable_revision,
        canary=rollout.revision,
        now=obs.now,
        context=_context(obs, status, rollout, status.step, status.stable_revision),
        measurements=obs.measurements,
    )
    new = judgement.requests - (before.requests if before else 0)
    step = status.step.model_copy(update={"requests": status.step.requests + new})
    draft = _note_verdicts(draft, rollout, step.index)
    return draft.set(judgement=judgement, step=step).add_comparisons(compared)


def _note_users(draft: Draft, rollout: Rollout) -> Draft:
    """With how much of the traffic the busiest users had before there was a canary, where users are drawn."""
    cohorts = draft.obs.cohorts
    if rollout.plan.unit != "User" or cohorts is None or rollout.busiest is not None:
        return draft
    requests = sorted((row[0] for row in cohorts.rows.values()), reverse=True)
    whole = sum(requests)
    return draft.set_rollout(busiest=round(sum(requests[:BUSIEST]) / whole, 4)) if whole else draft


def _note_verdicts(draft: Draft, rollout: Rollout, index: int) -> Draft:
    """With how many verdicts of live grading there are, where answers are graded."""
    obs, stable = draft.obs, draft.status.stable_revision
    if rollout.plan.grades is None or obs.increments is None or stable is None:
        return draft
    return draft.set_rollout(grading=grading.advance(rollout, index, obs, stable))


def roll_back(draft: Draft) -> Draft:
    """The canary's traffic goes to 0 in the pass that sees the evidence, whatever the step and the spec."""
    status = draft.status
    rollout, judgement, step = active(status), status.judgement, status.step
    if rollout is None or step is None or judgement is None:
        return draft
    if judgement.verdict != "Fail":
        return _inconclusive(draft, rollout, judgement, step)
    latency = (draft.obs.now - judgement.first_bad).total_seconds() if judgement.first_bad else None
    when = f", {duration(latency)} after the first bad tick" if latency and latency >= 0.05 else ""
    found = sentences.harm(judgement)
    why = f"{explain_errors(draft, rollout.revision, judgement)}{_shared(judgement)}"
    message = f"Rolled back {rollout.revision} at {percent(step.weight)}: {found}{when}{why}"
    ended = draft.end("RolledBack", reason_of(judgement), message, latency=latency)
    return ended.record_event(Reason.ROLLED_BACK, message, warning=True)


def _inconclusive(draft: Draft, rollout: Rollout, judgement: Judgement, present: StepStatus) -> Draft:
    """A bake that showed nothing in time goes back where the plan says so; what is missing only holds."""
    step = rollout.plan.steps[present.index] if present.index < len(rollout.plan.steps) else Step(set_weight=100)
    if step.bake is None or step.bake.on_inconclusive != "Rollback" or judgement.verdict != "Inconclusive":
        return draft
    if draft.obs.increments is None or not is_overdue(step, present, draft.obs.now):
        return draft
    if draft.obs.config is not None and explain_throttled(draft.obs, draft.obs.config.throttle):
        return draft  # its requests are refused
    missing = explain_missing(step.bake, present, judgement, rollout, draft.obs)
    if missing is None:
        return draft
    found = f"after {duration(longest(step.bake))} it {missing}"
    message = f"Rolled back {rollout.revision} at {percent(present.weight)}: {found}"
    return draft.end("RolledBack", Reason.INCONCLUSIVE, message).record_event(Reason.ROLLED_BACK, message, warning=True)


def _context(obs: Observation, status: DeploymentStatus, rollout: Rollout, step: StepStatus, stable: str) -> Context:
    weight = canary_weight(status)
    live = obs.config.arm("canary") if obs.config else None
    served = obs.config is not None and live is not None and live.weight == weight
    return Context(
        weight=weight,
        generation=weights_generation(status, obs.config, obs.config) if served and obs.config else None,
        bakes=_bakes(rollout, step),
        history=obs.history,
        offsets=_offsets(obs, status, rollout),
        unit=rollout.plan.unit,
        price_ratio=cost_ratio(obs, stable, rollout.revision),
    )


def _bakes(rollout: Rollout, present: StepStatus) -> list[Bake]:
    """The present bake and the next ones, each with the excess that the weight after it does not stand."""
    steps, analysis = rollout.plan.steps, rollout.plan.analysis
    tolerated = fraction(analysis.tolerated_increase)
    found = []
    for index in range(present.index, len(steps)):
        if steps[index].bake is not None:
            following = (step.set_weight for step in steps[index:] if step.set_weight is not None)
            found.append(Bake(index, promotion.margin_of(tolerated, next(following, 100.0) / 100.0)))
    return found[:_AHEAD]


def _offsets(obs: Observation, status: DeploymentStatus, rollout: Rollout) -> list[Offsets]:
    """For each weight of the plan, where cohorts were read; harm is given the doubt, and so is promotion."""
    if obs.cohorts is None or not cohorts_due(status):
        return []
    within = {name: _variance(values) for name, values in obs.history.items()}
    planned = {basis_points(step.set_weight) for step in rollout.plan.steps if step.set_weight is not None}
    found = []
    for weight in sorted(planned | {canary_weight(status)})[:_WEIGHTS]:
        if not 0 < weight < BASIS_POINTS:
            continue
        high, low = (
            offset.estimate(
                obs.cohorts,
                offset.owned_by(rollout.revision, weight),
                ttft_within=within.get("timeToFirstToken", 1.0),
                cost_within=within.get("cost", 1.0),
                caution=caution,
            )
            for caution in (offset.CAUTION, -offset.CAUTION)
        )
        numbers = (high.errors, low.errors, high.time_to_first_token, high.cost)
        errors, least, ttft, cost = (float(f"{number:.5g}") for number in numbers)
        found.append(
            Offsets(
                weight=weight,
                errors=errors,
                errors_least=least,
                time_to_first_token=ttft,
                cost=cost,
                assignment=obs.cohorts.assignment,
            )
        )
    return found


def _variance(values: Values) -> float:
    """Of ln; 1 where there are too few to tell."""
    if values.count < _FEW:
        return 1.0
    known = continuous.moments(Moments(), values)
    return max(known.squares / known.freedom, 1e-6)


def _shared(judgement: Judgement) -> str:
    """A warning where stable, which has the traffic again, fails a good deal of it too."""
    leading = next((metric for metric in judgement.state if metric.name == judgement.leading), None)
    if leading is None or not leading.stable[0] or leading.stable[1] < _SICK * leading.stable[0]:
        return ""
    return f"; stable itself is unhealthy ({leading.name} {leading.stable[1]} of {leading.stable[0]})"
