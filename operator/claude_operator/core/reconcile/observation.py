"""What one pass sees of a ClaudeDeployment and its surroundings, as plain values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from claude_operator.api.base import GROUP
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evals import EvalRunStatus, EvalSetSpec
from claude_operator.api.evidence import DrillNote, Recent
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.samples import GraderNote
from claude_operator.api.status import DeploymentStatus, Reading
from claude_operator.core.catalogue.table import Model
from claude_operator.core.checklist.case import UNSEEN, Sight
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.measurements import Measurement
from claude_operator.core.judge.evidence.offset import CohortHistory
from claude_operator.core.judge.evidence.sample import Values
from claude_operator.core.organisation.budget import OrganizationLimit
from claude_operator.core.spec.policy import OPEN, Policy, Resolved
from claude_operator.core.spec.validate import Problem
from claude_operator.core.usage.state import UsageState

__all__ = ["BY", "EvalSetView", "GatewayPod", "GatewayView", "MemoryKill", "Observation"]

Object = Mapping[str, Any]

BY = f"{GROUP}/by"
"""The annotation in which a person names themself, where admission holds them to it."""


@dataclass(frozen=True, slots=True)
class GatewayPod:
    """A gateway pod as the kubelet and it itself report it; `generation` is None where it did not answer."""

    name: str
    ready: bool
    generation: int | None = None
    error: str = ""
    """Why it refused the newest config."""
    weights: Mapping[str, int] | None = None
    """What it serves, by revision in basis points; None where it did not say."""
    recent: Recent | None = None
    """What its clients got recently."""
    twins: tuple[str, ...] = ()
    """All pods that say that they are the same process; then nothing that it says is believed."""
    boot_id: str = ""
    """Its process, empty where it did not say."""
    drill: DrillNote | None = None
    """What it says of a drill; None where it did not answer, or is of a version of before drills."""


@dataclass(frozen=True, slots=True)
class MemoryKill:
    """A container that was ended because it used more memory than it may; `limit` as in `limit 512Mi`, or empty."""

    pod: str
    container: str
    limit: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class GatewayView:
    """The gateway Deployment and its pods, terminating ones left out."""

    settled: bool = False
    """Every replica is of the newest template and available, and no other is left."""
    ready: int = 0
    pods: tuple[GatewayPod, ...] = ()
    trouble: str = ""
    """Why pods are missing or not ready, empty where they are not or where no cause is known."""
    killed: tuple[MemoryKill, ...] = ()
    """What ran out of memory recently and was not reported yet."""
    reads_budgets: bool = False
    """All pods are of a version that reads budgets in its config."""
    reads_egress: bool = False
    """The pods are of a version that keeps to the egress in its config."""
    foreign: tuple[str, ...] = ()
    """Names of pods with the gateway's labels that are somebody else's and were not reported yet."""

    @property
    def weights(self) -> list[Mapping[str, int] | None]:
        """What each ready pod serves, None where it does not say."""
        return [pod.weights for pod in self.pods if pod.ready]

    def lagging(self, generation: int) -> list[GatewayPod]:
        """Ready pods that do not serve this config generation yet, or do not say."""
        return [pod for pod in self.pods if pod.ready and pod.generation != generation]


@dataclass(frozen=True, slots=True)
class EvalSetView:
    """The set that is the gate."""

    name: str
    hash: str
    items: int | None
    """None where only the eval Job can read them."""
    config_maps: tuple[str, ...] = ()
    """What it refers to: its items, where they are not in place, and their files."""
    shared: EvalSetSpec | None = None
    """What live grading may take from it."""
    asked: Mapping[str, int] = field(default_factory=dict)
    """Requests that an arm sends at most, by subagent, empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything that a decision rests on. `increments` is None while no reading is due."""

    now: dt.datetime
    """The rollout's time (`core.clock`), which runs on where the wall clock was set."""
    owner: Object
    """The ClaudeDeployment as stored."""
    spec: DeploymentSpec | None
    status: DeploymentStatus
    problems: tuple[Problem, ...] = ()
    """What keeps the spec from being accepted: missing references, taken names, what cannot be read."""
    prompts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    revisions: Mapping[str, Object] = field(default_factory=dict)
    revision_sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of their specs as JSON."""
    forged: frozenset[str] = frozenset()
    """Names of revisions that do not have the content that their names stand for."""
    eval_set: EvalSetView | None = None
    eval_runs: Mapping[str, EvalRunStatus] = field(default_factory=dict)
    run_objects: Mapping[str, Object] = field(default_factory=dict)
    """The same ClaudeEvalRuns as stored."""
    config: GatewayConfig | None = None
    gateway: GatewayView = GatewayView()
    refused: Mapping[str, str] = field(default_factory=dict)
    """What the API server refused in the last passes, and why: config, status, child, revision, evalRun."""
    outdated: str = ""
    """What the cluster's CustomResourceDefinitions lack of this operator's, empty where they are its own."""
    increments: Increments | None = None
    undecided: Mapping[str, int] = field(default_factory=dict)
    """By revision: sampled answers that graders could not decide, new as `increments` are."""
    grader: GraderNote | None = None
    """What the gateways know of who grades samples, None where nobody has asked for any."""
    readings: tuple[Reading, ...] = ()
    """The readings that a status of this pass has."""
    history: Mapping[str, Values] = field(default_factory=dict)
    """Stable's values up to now by quantity, while the judge has no edges for them yet."""
    cohorts: CohortHistory | None = None
    """What stable's users were like before the canary had them, while the judge wants to know."""
    ledger: Mapping[str, str] | None = None
    """Data of the rollout's ledger, None where there is none yet."""
    measurements: tuple[Measurement, ...] = ()
    """What Prometheus has answered; one may come again until it is counted. Empty while no reading is due."""
    policy: Policy = OPEN
    """What the installer allows."""
    resolved: Resolved = field(default_factory=dict)
    """What names in the spec lead to. One that is not here is not known, and no reason to refuse it."""
    models: Mapping[str, Model] = field(default_factory=dict)
    """The cluster's ClaudeModels by id and alias, with the installation's own prices; the shipped table holds for the
    rest."""
    price_fault: str = ""
    """Why the installation's own prices cannot be read, empty where they can, or where there are none."""
    organization: OrganizationLimit | None = None
    """The spent budget of the ClaudeOrganization whose key it uses; None where none concerns it."""
    checklist: Sight = UNSEEN
    """Signatures, and the ClaudeChecklists that hold here."""
    revision_hashes: Mapping[str, str] = field(default_factory=dict)
    """Of their specs, as signatures name them; what is not here is hashed when it is needed."""
    usage: UsageState | None = None
    """What was used and paid, as far as it was read and kept; None: nothing is known, which is not zero."""
    audited: bool = False
    """Admission holds everybody who asks for something by annotation to their own name in `BY`."""

    @property
    def name(self) -> str:
        """metadata.name."""
        return str(self.owner["metadata"]["name"])

    @property
    def annotate(self) -> str:
        """The command that annotates it, up to the annotation."""
        return f"kubectl -n {self.owner['metadata']['namespace']} annotate --overwrite cld {self.name}"

    def ask_by(self, annotation: str, value: str) -> str:
        """The command by which a person asks for it."""
        signed = f' {BY}="$(kubectl auth whoami -o jsonpath={{.status.userInfo.username}})"' if self.audited else ""
        return f"{self.annotate} {annotation}={value}{signed}"

    @property
    def generation(self) -> int:
        """metadata.generation."""
        return int(self.owner["metadata"].get("generation", 0))

    @property
    def annotations(self) -> Mapping[str, str]:
        """metadata.annotations."""
        return self.owner["metadata"].get("annotations") or {}
