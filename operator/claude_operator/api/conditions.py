"""Condition types and reasons. Each reason is documented where it stands, and in docs/conditions.md."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

from claude_operator.api.base import StatusModel


def _seconds(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Type(StrEnum):
    """Condition types of a ClaudeDeployment, in the order they are shown."""

    READY = "Ready"
    ACCEPTED = "Accepted"
    GATEWAY_READY = "GatewayReady"
    EVAL_PASSED = "EvalPassed"
    CANARY_HEALTHY = "CanaryHealthy"
    PROMOTED = "Promoted"
    MODEL_CURRENT = "ModelCurrent"
    WITHIN_COST = "WithinCost"
    WITHIN_BUDGET = "WithinBudget"
    CACHE_EFFECTIVE = "CacheEffective"
    CHECKLIST_PASSED = "ChecklistPassed"


class Reason(StrEnum):
    """Why a condition is as it is; Events use the same words."""

    # Accepted
    VALID = "Valid"  # the spec is valid and what it refers to exists
    CRD_OUTDATED = "CRDOutdated"  # the CustomResourceDefinitions are older than the operator
    FIELD_REMOVED = "FieldRemoved"  # a field of an earlier version that has no effect any more
    BREAKPOINT_BEHIND_CLIENT = "BreakpointBehindClient"  # a cache breakpoint that hardly ever reads
    REQUEST_DOUBTFUL = "RequestDoubtful"  # the Claude API takes spec.request, but it costs or risks something
    INVALID_SPEC = "InvalidSpec"  # a rule that the API server cannot check is broken
    INVALID_REQUEST = "InvalidRequest"  # the Claude API would refuse spec.request
    UNSUPPORTED_METRIC = "UnsupportedMetric"  # analysis names a metric that does not exist, or one that lacks a part
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105  a referenced Secret or key is missing
    SECRET_NOT_ALLOWED = "SecretNotAllowed"  # noqa: S105  a Secret lacks the label that allows this use
    WRONG_KEY = "WrongKey"  # the Secret has a key that the Messages API refuses
    HOST_NOT_ALLOWED = "HostNotAllowed"  # a URL names a host that the installer has not allowed
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"  # a referenced ConfigMap or key is missing
    EVAL_SET_NOT_FOUND = "EvalSetNotFound"  # spec.evals.setRef is missing, or its data is
    INVALID_EVAL_SET = "InvalidEvalSet"  # the set cannot be read
    NAME_TAKEN = "NameTaken"  # an object of a child's name is not ours
    REVISION_NOT_TRUSTED = "RevisionNotTrusted"  # a revision does not have the content that its name stands for
    CONFIG_TOO_LARGE = "ConfigTooLarge"  # what is to be served together exceeds 900 KiB
    MODEL_REJECTED = "ModelRejected"  # spec.lifecycle refuses new revisions on this model
    # GatewayReady
    GATEWAYS_CURRENT = "GatewaysCurrent"  # every ready pod serves the current config
    ROLLING_OUT = "RollingOut"  # pods are starting or being replaced
    PODS_FAILING = "PodsFailing"  # pods cannot be made, scheduled or started, and why is known
    CONFIG_PENDING = "ConfigPending"  # a ready pod does not serve the current config yet
    CONFIG_REFUSED = "ConfigRefused"  # a pod could not read the config
    WRITE_REFUSED = "WriteRefused"  # the API server does not let us write what was decided
    REVISION_LOST = "RevisionLost"  # what serves exists only in the memory of the gateways
    # EvalPassed
    NO_GATE = "NoGate"  # no evals are declared
    EVAL_PASSED = "EvalPassed"
    EVAL_FAILED = "EvalFailed"
    EVAL_RUNNING = "EvalRunning"
    EVAL_INCONCLUSIVE = "EvalInconclusive"
    EVAL_ERROR = "EvalError"  # infrastructure: it will be tried again
    EVAL_NOT_REQUIRED = "EvalNotRequired"  # it did not pass, and evals.required is false
    # CanaryHealthy
    NO_CANARY = "NoCanary"
    WATCHING = "Watching"  # evidence is being collected, none of harm
    ERRORS_INCREASED = "ErrorsIncreased"
    EVERYTHING_FAILS = "EverythingFails"  # the canary answers nothing well, and stable does
    REFUSALS_INCREASED = "RefusalsIncreased"
    MAX_TOKENS_INCREASED = "MaxTokensIncreased"  # more answers end at max_tokens
    CONTEXT_WINDOW_INCREASED = "ContextWindowIncreased"  # more answers end at the context window
    TOOL_USE_CHANGED = "ToolUseChanged"  # tools are called more often, or less often
    OVER_BUDGET = "OverBudget"  # more requests are over a latency budget, or a budget is over; holds
    CACHE_MISSES_INCREASED = "CacheMissesIncreased"
    GRADES_WORSENED = "GradesWorsened"  # sampled live grading fails more answers
    TIME_TO_FIRST_TOKEN_INCREASED = "TimeToFirstTokenIncreased"  # noqa: S105
    DURATION_INCREASED = "DurationIncreased"
    COST_INCREASED = "CostIncreased"
    OUTPUT_TOKENS_INCREASED = "OutputTokensIncreased"
    HUNG = "RequestsHang"  # requests wait for their first token or answer longer than stable's ever do
    TIME_PER_OUTPUT_TOKEN_INCREASED = "TimePerOutputTokenIncreased"  # noqa: S105
    METRIC_CHANGED = "MetricChanged"  # a metric in mode Hold has changed: a person decides; holds
    THRESHOLD_EXCEEDED = "ThresholdExceeded"  # measurements outside a threshold, more than failureLimit
    GRADES_MISSING = "GradesMissing"  # live grading gives no verdicts, or decides too few; holds
    METRIC_WORSENED = "MetricWorsened"  # the judge MannWhitney found a metric worse
    METRIC_ERROR = "MetricError"  # a metric of your own could not be measured; holds
    METRIC_NO_DATA = "MetricNoData"  # the query of a metric of your own finds nothing; a bake waits for it
    SHARED_INCIDENT = "SharedIncident"  # stable is worse than it was too: holds, blames nobody
    SPLIT_MISMATCH = "SplitMismatch"  # the arms get other shares of conversations than they should; holds
    FEW_CONVERSATIONS = "FewConversations"  # too few to see more than that everything fails
    SOAKING = "Soaking"  # promoted, and still watched
    NO_TRAFFIC = "NoTraffic"
    METRICS_UNREACHABLE = "MetricsUnreachable"
    OVERLOADED = "Overloaded"  # the upstream answers 429 or 529
    ACCOUNT_EXHAUSTED = "AccountExhausted"  # the account at the upstream is empty or at a limit; holds
    NO_ANSWER = "NoAnswer"  # requests wait for an answer that does not come; holds
    STABLE_FAILING = "StableFailing"  # stable fails and the canary does not
    # Promoted
    PROMOTED = "Promoted"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"  # spec.paused, or a step that waits for a person
    WAITING_FOR_GATEWAY = "WaitingForGateway"
    WAITING_FOR_EVAL = "WaitingForEval"
    WAITING_FOR_EVIDENCE = "WaitingForEvidence"  # a bake that has not seen enough
    FEW_USERS = "FewUsers"  # unit User, and a few users are most of the traffic; holds
    INCONCLUSIVE = "Inconclusive"  # a bake past maxDuration that showed neither harm nor harmlessness
    ROLLED_BACK = "RolledBack"
    ABORTED = "Aborted"
    REJECTED = "Rejected"  # the newest spec may not become a revision
    # ModelCurrent
    ACTIVE = "Active"
    LEGACY = "Legacy"
    DEPRECATED = "Deprecated"
    RETIRED = "Retired"
    UNKNOWN_MODEL = "UnknownModel"
    PRICE_UNKNOWN = "PriceUnknown"  # what a model's answers cost is not known
    # WithinCost
    NO_BUDGET = "NoBudget"  # the spec has none
    COST_WITHIN_BUDGET = "CostWithinBudget"
    COST_NEAR_BUDGET = "CostNearBudget"  # 80 % of the month's budget are spent
    COST_OVER_BUDGET = "CostOverBudget"  # all of it is; holds, and gateways refuse calls, as spec.budget.action says
    COST_UNKNOWN = "CostUnknown"  # what calls cost this month is not known, or only in part
    # WithinBudget
    WITHIN_BUDGET = "Within"  # every budget with traffic is kept
    RECOVERING = "Recovering"  # a budget is over in its window, but no longer now
    FEW_CALLS = "FewCalls"  # too few calls to say
    USAGE_UNKNOWN = "UsageUnknown"  # gateways do not tell how long calls took
    # CacheEffective; NoTraffic too
    WARM = "Warm"
    COLD = "Cold"  # less than 70 % of what could be read from the prompt cache is
    NOT_CACHED = "NotCached"  # requests have no cache_control
    # ChecklistPassed
    ITEMS_PASSED = "ItemsPassed"  # every item has passed, is signed or does not apply
    CHECKLIST_OPEN = "ChecklistOpen"  # an item has failed or is not signed; with mode Enforce it holds
    CHECKLIST_UNKNOWN = "ChecklistUnknown"  # none has failed, and some are not known
    CHECKLIST_OFF = "ChecklistOff"  # nothing is checked
    # Ready
    SERVING = "Serving"
    NO_REVISION = "NoRevision"  # no revision serves yet
    GATEWAY_UNAVAILABLE = "GatewayUnavailable"  # no gateway pod is ready
    NOT_SERVING = "NotServing"  # gateway pods serve no revision
    REQUESTS_FAILING = "RequestsFailing"  # more than half of the requests fail
    NOT_YET_REPORTED = "NotYetReported"
    # Events only
    REVISION_CREATED = "RevisionCreated"
    REVISION_RESTORED = "RevisionRestored"  # a revision that somebody deleted was made again
    STATUS_NOT_TRUSTED = "StatusNotTrusted"  # status was written by somebody else, and what may not be was dropped
    ROLLOUT_STARTED = "RolloutStarted"
    CANARY_DIFFERS = "CanaryDiffers"  # what is to be known of a canary beside stable: other tokens, a cold cache
    WEIGHT_CHANGED = "WeightChanged"
    STEP_HELD = "StepHeld"
    SUPERSEDED = "Superseded"
    PLAN_FIXED = "PlanFixed"  # strategy was edited in mid-rollout; it concerns the next one
    ANNOTATION_IGNORED = "AnnotationIgnored"  # a promote, abort, retry or drill that names something else
    RETRIED = "Retried"
    RECOVERED = "Recovered"
    FOREIGN_POD = "ForeignPod"  # a pod with the gateway's labels that is somebody else's
    OUT_OF_MEMORY = "OutOfMemory"  # a gateway pod used more memory than its limit and was ended
    PASS_FAILED = "PassFailed"  # noqa: S105  nothing could be decided: a fault of the operator
    CHILD_RESTORED = "ChildRestored"  # somebody deleted or changed a child, and it is as wanted again
    CHILD_CONTESTED = "ChildContested"  # somebody changes a child again and again
    GRADER_KEY_MOVED = "GraderKeyMoved"  # the graders' key has a Secret of its own since an upgrade
    CHILD_ADOPTED = "ChildAdopted"  # a child that had lost its owner has it again
    EVAL_RUN_REPLACED = "EvalRunReplaced"  # a run that nobody had asked for stood under the name of the gate's
    EVAL_CALLS_SERVERS = "EvalCallsServers"  # an eval run really calls MCP servers or server tools
    SOAKED = "Soaked"  # a soak has ended well
    DRAINING = "Draining"  # the former stable revision keeps the conversations that began on it
    DRAINED = "Drained"  # it no longer does
    DRILL_STARTED = "DrillStarted"  # gateways fail a few requests on purpose
    DRILL_PASSED = "DrillPassed"  # that was noticed and taken back
    DRILL_FAILED = "DrillFailed"  # it was not noticed, or not taken back everywhere
    DRILL_ABORTED = "DrillAborted"  # it ended without a result
    DRILL_SKIPPED = "DrillSkipped"  # a scheduled drill could not begin within an hour
    MODEL_RETIRES = "ModelRetires"  # a model in use is switched off in 60, 30, 14, 7, 3 or 1 days
    MIGRATION_STARTED = "MigrationStarted"  # spec.lifecycle.migrate rolls the spec out with another model
    MIGRATION_STOPPED = "MigrationStopped"  # it would, and something has to be changed before


class Condition(StatusModel):
    """A Kubernetes condition (meta/v1)."""

    type: str = Field(description="The type of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(description="The answer.")
    reason: Annotated[str, Field(max_length=1024)] = Field(description="Why, as one CamelCase word.")
    message: Annotated[str, Field(max_length=32768)] = Field(default="", description="Why, as a sentence.")
    observed_generation: int = Field(default=0, description="metadata.generation that this is about.")
    last_transition_time: Annotated[dt.datetime, PlainSerializer(_seconds, return_type=str, when_used="always")] = (
        Field(description="When status last changed.")
    )
