"""The kinds of the API: names, scope, printer columns, and the models of their spec and status."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from claude_operator.api import cel
from claude_operator.api.base import GROUP, VERSION
from claude_operator.api.checklist import ChecklistSpec, NoStatus, SignatureSpec
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evals import EvalRunSpec, EvalRunStatus, EvalSetSpec, EvalSetStatus
from claude_operator.api.organisation import OrganizationSpec, OrganizationStatus
from claude_operator.api.resources import ModelObjectStatus, ModelSpec, RevisionSpec, RevisionStatus
from claude_operator.api.schema import TRUSTED, USER, Profile, Schema, structural
from claude_operator.api.status import DeploymentStatus


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; those that are `wide` are shown by `-o wide`."""

    name: str
    path: str
    type: str = "string"
    description: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind as its CustomResourceDefinition needs it."""

    kind: str
    plural: str
    short: str
    doc: str
    spec: type[BaseModel]
    status: type[BaseModel]
    columns: tuple[Column, ...]
    profile: Profile = USER
    namespaced: bool = True
    rules: tuple[cel.Rule, ...] = ()
    """On the object as a whole, where `metadata.name` is to be seen."""
    spec_rules: tuple[cel.Rule, ...] = ()


def _condition(type_: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{type_}")].{field}'


# What a revision's name is hashed from, as stored: a default that a newer version adds would make new revisions.
HASHED = frozenset({"request", "subagents", "promptFrom", "overrides"})

DEPLOYMENT = Kind(
    kind="ClaudeDeployment",
    plural="claudedeployments",
    short="cld",
    doc="An application's use of Claude: what shapes its requests, the evals that gate a change of that, and the steps"
    " in which live traffic moves to it. Applications reach it through a gateway: put envFrom with the Secret"
    " <name>-client into their pods, and any Anthropic SDK uses it.",
    spec=DeploymentSpec,
    status=DeploymentStatus,
    profile=Profile(undefaulted=HASHED),
    rules=cel.NAME_RULES,
    columns=(
        Column("Model", ".spec.request.model", description="The model of the newest spec."),
        Column("Stable", ".status.stableRevision", description="The revision that serves by default."),
        Column("Canary", ".status.canaryRevision", description="The revision that is being rolled out."),
        Column("Weight", ".status.step.weight", "number", "Percent of conversations on the canary."),
        Column("Ready", _condition("Ready", "status"), description="Whether the application is being served."),
        Column("Reason", _condition("Promoted", "reason"), description="Progress of the newest revision."),
        Column("ModelState", ".status.model.lifecycle", description="Lifecycle state of the model."),
        Column("MigratesTo", ".status.migration.to", description="What replaces it, by spec.lifecycle.migrate."),
        Column("Age", ".metadata.creationTimestamp", "date"),
        Column(
            "Health",
            '.status.conditions[?(@.type=="CanaryHealthy")].reason',
            description="State of the canary: Watching means that nothing is wrong.",
            wide=True,
        ),
        Column(
            "Detectable",
            ".status.judgement.detectable",
            description="The smallest increase of errors that the canary's requests so far could have shown.",
            wide=True,
        ),
        Column(
            "Got",
            '.status.traffic[?(@.role=="canary")].conversations',
            "number",
            "Percent of new conversations that the canary really got at its weight.",
            wide=True,
        ),
        Column(
            "Draining",
            ".status.draining.revision",
            description="The former stable revision, while it keeps the conversations that began on it.",
            wide=True,
        ),
        Column("Retires", ".status.model.retiresAt", description="When the model is switched off.", wide=True),
        Column("Today", ".status.cost.today", description="What its calls cost since midnight UTC.", wide=True),
        Column("Month", ".status.cost.month", description="What its calls cost this month.", wide=True),
        Column(
            "Budget", ".status.spending.used", description="The part of the month's budget that is spent.", wide=True
        ),
        Column(
            "Cache",
            ".status.cache.hitRatio",
            description="Share of the input tokens of the last 24 hours that were read from the prompt cache.",
            wide=True,
        ),
        Column("Open", ".status.checklist.open", "integer", "Items of the rollout checklist that are open.", wide=True),
        Column("URL", ".status.gateway.url", description="Where applications reach it.", wide=True),
        Column("Message", _condition("Promoted", "message"), description="The reason as a sentence.", wide=True),
    ),
)

REVISION = Kind(
    kind="ClaudeRevision",
    plural="clauderevisions",
    short="clr",
    doc="An immutable snapshot of everything that shapes a request. The operator makes one for each new content of a"
    " ClaudeDeployment and names it by a hash of that content, so going back to earlier content finds the earlier"
    " revision and its eval result.",
    spec=RevisionSpec,
    status=RevisionStatus,
    profile=TRUSTED,
    spec_rules=(cel.immutable("change the ClaudeDeployment instead, and a new revision is made"),),
    columns=(
        Column("Model", ".spec.request.model", description="The model."),
        Column("State", ".status.state", description="Candidate, Canary, Stable, Failed, Superseded or Old."),
        Column("Eval", ".status.eval", description="Phase of its eval run."),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)

EVAL_SET = Kind(
    kind="ClaudeEvalSet",
    plural="claudeevalsets",
    short="ces",
    doc="A held-out set of questions with checks on the answers. A ClaudeDeployment that names it in spec.evals gives"
    " no revision live traffic before that revision has passed it.",
    spec=EvalSetSpec,
    status=EvalSetStatus,
    profile=Profile(defaults=False),  # its content is hashed as well
    columns=(
        Column("Items", ".status.items", "integer", "Number of items."),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)

EVAL_RUN = Kind(
    kind="ClaudeEvalRun",
    plural="claudeevalruns",
    short="cer",
    doc="One run of a ClaudeEvalSet on a ClaudeRevision, against a baseline where there is one. The operator makes one"
    " as a gate, and nobody else does. It owns the Job that asks and grades.",
    spec=EvalRunSpec,
    status=EvalRunStatus,
    spec_rules=(cel.immutable("create another ClaudeEvalRun instead"),),
    columns=(
        Column("Revision", ".spec.revision", description="The revision that is being rolled out."),
        Column("Baseline", ".spec.baselineRevision", description="What it is compared with."),
        Column("Phase", ".status.phase", description="Pending, Running, Passed, Failed, Inconclusive or Error."),
        Column("Done", ".status.done", "integer", "Items finished."),
        Column("Total", ".status.total", "integer", "Items in the set."),
        Column("Reason", ".status.reason", description="Why, as one word."),
        Column("Rate", ".status.candidate.passRate", "number", "Share of the revision's answers that passed."),
        Column("Was", ".status.baseline.passRate", "number", "The same of the baseline."),
        Column("Cost", ".status.costUSD", "number", "Of all answers in US dollars.", wide=True),
        Column("Age", ".metadata.creationTimestamp", "date"),
        Column("Message", ".status.message", description="The result as a sentence.", wide=True),
    ),
)

MODEL = Kind(
    kind="ClaudeModel",
    plural="claudemodels",
    short="clm",
    doc="What is known about a Claude model: its lifecycle state, its replacement, its prices and what it accepts."
    " The operator makes one for each model of its catalogue.",
    spec=ModelSpec,
    status=ModelObjectStatus,
    namespaced=False,
    columns=(
        Column("ID", ".spec.id", description="Model id, as in requests."),
        Column("State", ".status.lifecycle", description="Active, Legacy, Deprecated, Retired or Unknown."),
        Column("Retires", ".spec.retiresAt", description="Date of retirement."),
        Column("Days", ".status.daysLeft", "integer", "Days until then."),
        Column("Replacement", ".status.replacement", description="What to use instead."),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)

ORGANIZATION = Kind(
    kind="ClaudeOrganization",
    plural="claudeorganizations",
    short="cor",
    doc="A Claude organisation, whose usage and cost are read with its admin key, kept in the cluster, and attributed"
    " to the ClaudeDeployments whose gateways use its API keys.",
    spec=OrganizationSpec,
    status=OrganizationStatus,
    namespaced=False,
    rules=cel.NAME_RULES,
    columns=(
        Column("Ready", _condition("Ready", "status"), description="Whether its usage is read."),
        Column("Key", _condition("KeyAccepted", "status"), description="Whether the admin key is accepted."),
        Column("Reconciled", _condition("Reconciled", "reason"), description="Whether gateways measured the same."),
        Column("Cost", ".status.cost", description="Cost of the month so far."),
        Column("Forecast", ".status.forecast", description="What the month will cost."),
        Column("Until", ".status.history.usageUntil", "date", "Since when usage is not complete yet."),
        Column("Age", ".metadata.creationTimestamp", "date"),
        Column("Message", _condition("Ready", "message"), description="The reason as a sentence.", wide=True),
    ),
)

SIGNATURE = Kind(
    kind="ClaudeSignature",
    plural="claudesignatures",
    short="csg",
    doc="A person's word on one item of the rollout checklist, for one revision: who, why and until when. It counts for"
    " that revision alone. Delete it to take it back.",
    spec=SignatureSpec,
    status=NoStatus,
    spec_rules=(cel.immutable("delete it and sign again"),),
    columns=(
        Column("Item", ".spec.item", description="The item."),
        Column("Revision", ".spec.revision", description="The revision that was looked at."),
        Column("Decision", ".spec.decision", description="Passed or NotApplicable."),
        Column("By", ".spec.signedBy", description="Who signed."),
        Column("Expires", ".spec.expiresAt", description="When it ends."),
        Column("Age", ".metadata.creationTimestamp", "date"),
        Column("Reason", ".spec.reason", description="Why.", wide=True),
    ),
)

CHECKLIST = Kind(
    kind="ClaudeChecklist",
    plural="claudechecklists",
    short="ccl",
    doc="The default mode of the rollout checklist, and items of the organisation's own.",
    spec=ChecklistSpec,
    status=NoStatus,
    profile=Profile(defaults=False),
    namespaced=False,
    columns=(
        Column("Mode", ".spec.mode", description="Enforce, Warn or Off."),
        Column("Age", ".metadata.creationTimestamp", "date"),
    ),
)

KINDS = (DEPLOYMENT, REVISION, EVAL_SET, EVAL_RUN, MODEL, ORGANIZATION, SIGNATURE, CHECKLIST)


def object_schema(kind: Kind) -> Schema:
    """The structural schema of an object of the kind."""
    spec = structural(kind.spec, kind.profile)
    if kind.spec_rules:
        own: list[dict[str, str]] = spec.get("x-kubernetes-validations", [])
        spec["x-kubernetes-validations"] = [*own, *(rule.to_dict() for rule in kind.spec_rules)]
    root: Schema = {
        "description": kind.doc,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"The version of the API: {GROUP}/{VERSION}.", "type": "string"},
            "kind": {"description": f"The kind: {kind.kind}.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": structural(kind.status, TRUSTED),
        },
    }
    if kind.rules:
        root["x-kubernetes-validations"] = [rule.to_dict() for rule in kind.rules]
    return root
