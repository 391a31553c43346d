"""Live grading in a rollout: what it adds to the plan, what has come of it, and what is missing of it.

The judge reads verdicts as it reads all other evidence (`judgeFail`); here is only whether there are enough of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from claude_operator.api.analysis import Analysis, Metric
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.gateway import BASIS_POINTS, Live
from claude_operator.api.live import LiveGrading
from claude_operator.api.samples import GraderNote
from claude_operator.api.status import DeploymentStatus, Plan, Rollout, to_millisecond
from claude_operator.api.verdicts import ArmGrades, Grading
from claude_operator.core.judge.evidence.increments import Memory
from claude_operator.core.judge.evidence.pod_readings import PodReading
from claude_operator.core.judge.evidence.sample import NOTHING
from claude_operator.core.judge.evidence.seen import FRESH, grown
from claude_operator.core.judge.judges.dispatch import judge_of
from claude_operator.core.judge.metrics import declared, mode_of
from claude_operator.core.names import grader_name
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.progress import active, planned_weight
from claude_operator.core.spec.plan import plan_of
from claude_operator.core.text import count, duration, share

__all__ = [
    "GRADES",
    "advance",
    "explain_few",
    "explain_missing",
    "graded_plan",
    "latest_note",
    "live_of",
    "sampling",
    "undecided",
]

GRADES = 30
"""Verdicts on each arm that a bake waits for. Where one in ten of stable's fails, the judge finds a canary that fails
nine in ten within these in five rollouts of six, and one that fails half within three bakes in nine of ten."""

_METRIC = "judgeFail"
_SILENCE = 300.0  # seconds in which an arm answers and gets no verdict
_UNDECIDED = 0.2  # share of an arm's samples
_ASKS = 60.0  # seconds between two questions of a grader that lives, at most
_FEW = 10  # samples that a share is computed from
_LATELY = 60.0  # samples that it is of, about: with twice as many each half counts half


def live_of(spec: DeploymentSpec | None) -> LiveGrading | None:
    """`spec.evals.live`, None where nothing is graded."""
    return spec.evals.live if spec is not None and spec.evals is not None else None


def graded_plan(spec: DeploymentSpec) -> Plan:
    """The plan of a rollout, with judgeFail among its metrics where live answers are graded."""
    plan = plan_of(spec)
    if live_of(spec) is None:
        return plan
    analysis = _with_metric(plan.analysis)
    metric = next((one for one in declared(analysis) if one.name == _METRIC), None)
    if metric is None:
        return plan
    grades = GRADES if mode_of(metric) != "DryRun" else 0
    return plan.model_copy(update={"analysis": analysis, "grades": grades})


def _with_metric(analysis: Analysis) -> Analysis:
    """As the plan has it where it names the metric, and where its judge needs a threshold of each."""
    known = declared(analysis)
    if not judge_of(analysis).compares or any(metric.name == _METRIC for metric in known):
        return analysis
    return analysis.model_copy(update={"metrics": [*known, Metric(name=_METRIC)]})


def sampling(spec: DeploymentSpec | None, status: DeploymentStatus) -> Live | None:
    """What gateways sample: while a canary may have traffic, as long as its plan and the spec want it graded."""
    live, rollout = live_of(spec), active(status)
    if live is None or rollout is None or rollout.plan.grades is None:
        return None
    if status.canary_revision is None or status.stable_revision in (None, status.canary_revision):
        return None
    return Live(live.rate, live.min_per_minute)


def undecided(before: Memory | None, after: Memory) -> Mapping[str, int]:
    """By revision: samples that graders could not decide, reported since `before`."""
    found: dict[str, int] = {}
    for pod, seen in after.pods.items():
        earlier = before.pods.get(pod, FRESH) if before is not None else None
        if seen is None or earlier is None:
            continue
        for (_, revision, *_), now, then in grown(seen, earlier):
            new = now.grades.get("unknown", 0) - then.grades.get("unknown", 0)
            if new > 0:
                found[revision] = found.get(revision, 0) + new
    return found


def advance(rollout: Rollout, step: int, obs: Observation, stable: str) -> Grading:
    """What is known of the verdicts after one more tick."""
    before = rollout.grading or Grading(step=step)
    return Grading(
        step=step,
        canary=_arm(before.canary, obs, rollout.revision, same=before.step == step),
        stable=_arm(before.stable, obs, stable, same=before.step == step),
    )


def _arm(before: ArmGrades, obs: Observation, revision: str, *, same: bool) -> ArmGrades:
    new = obs.increments.counts_of(revision) if obs.increments is not None else NOTHING
    decided, other = before.lately[0] + new.grades, before.lately[1] + obs.undecided.get(revision, 0)
    if decided + other > 2 * _LATELY:
        decided, other = decided / 2, other / 2
    since = None if new.grades else before.since
    if since is None and new.ok and not new.grades:
        since = to_millisecond(obs.now)
    verdicts = (before.verdicts if same else 0) + new.grades
    return ArmGrades(verdicts=verdicts, lately=[round(decided, 2), round(other, 2)], since=since)


def explain_few(rollout: Rollout, spec: DeploymentSpec | None, step: int) -> str | None:
    """What a bake lacks of its verdicts, as the rest of a sentence; None where it has them."""
    needed, grading = rollout.plan.grades or 0, rollout.grading
    if not needed or live_of(spec) is None:
        return None
    arms = _arms(rollout, grading if grading is not None and grading.step == step else Grading(step=step))
    if all(arm.verdicts >= needed for arm in arms.values()):
        return None
    have = " and ".join(f"{min(arm.verdicts, needed)} of {needed} answers of {name}" for name, arm in arms.items())
    return f"has verdicts of live grading on {have}"


def _arms(rollout: Rollout, grading: Grading) -> dict[str, ArmGrades]:
    """Those that conversations begin on, as a sentence names them."""
    found = {"the canary": grading.canary, "stable": grading.stable}
    if planned_weight(rollout.plan, grading.step) == BASIS_POINTS:
        del found["stable"]
    return found


def latest_note(readings: Iterable[PodReading]) -> GraderNote | None:
    """What the gateway that a grader asked last knows of it."""
    notes = [one.evidence.grader for one in readings if one.evidence and one.evidence.grader]
    return min(notes, key=lambda note: note.asked, default=None)


def explain_missing(rollout: Rollout, obs: Observation) -> str | None:
    """Why verdicts are missing, and what to do; None where they come."""
    state = rollout.grading
    if state is None or not rollout.plan.grades or live_of(obs.spec) is None:
        return None
    arms = _arms(rollout, state)
    for name, arm in arms.items():
        silent = (obs.now - arm.since).total_seconds() if arm.since else 0.0
        if silent >= _SILENCE:
            return f"live grading has given no verdict on an answer of {name} for {duration(silent)}: {_cause(obs)}"
    for name, arm in arms.items():
        decided, other = arm.lately
        if decided + other >= _FEW and other > _UNDECIDED * (decided + other):
            part = f"{share(other / (decided + other))} of the last {count(round(decided + other), 'answer')}"
            helps = "see why in its log, and write criteria into spec.evals.live that are true or false of any answer"
            return f"live grading could not decide {part} of {name}: {_trouble(obs) or f'{helps} ({_logs(obs)})'}"
    return None


def _cause(obs: Observation) -> str:
    """Why there are no verdicts, as far as the gateways know, and what to do."""
    note, name = obs.grader, grader_name(obs.name)
    if obs.config is None or obs.config.live is msgspec.UNSET:
        return "gateways begin to sample once all their pods are of this operator's version, see GatewayReady"
    if note is None or note.asked > _ASKS:
        asked = f"for {duration(note.asked)}" if note else "yet"
        return f"Deployment {name} has asked no gateway for samples {asked}: see why with {_logs(obs)}"
    return _trouble(obs) or (
        "the grader asks for samples and tells of no trouble. Graded are answers that call no tool, of conversations"
        " that begin during the rollout: where no answer is such, take spec.evals.live out; where few are, raise"
        f" sampleRate or minPerMinute in spec.evals.live, or wait; otherwise see {_logs(obs)}"
    )


def _trouble(obs: Observation) -> str:
    return f"the grader says: {obs.grader.trouble}" if obs.grader and obs.grader.trouble else ""


def _logs(obs: Observation) -> str:
    return f"kubectl -n {obs.owner['metadata']['namespace']} logs deployment/{grader_name(obs.name)}"
