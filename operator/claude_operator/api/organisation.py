"""ClaudeOrganization: whose admin key is used, where its usage is kept, and what became of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from claude_operator.api.base import ApiModel, Duration, ObjectName, StatusModel, list_map
from claude_operator.api.conditions import Condition
from claude_operator.api.moments import Moment
from claude_operator.api.spending import Action

__all__ = [
    "ADMIN_KEY_FILE",
    "API_KEY_ID_PATTERN",
    "HISTORY_DIR",
    "HISTORY_PORT",
    "MONTHLY_USD_PATTERN",
    "MOST_HELD",
    "MOST_LISTED",
    "MOST_MODELS",
    "PAGE_KEY",
    "PAGE_KEY_FILE",
    "QUANTITY_PATTERN",
    "STORE_URL_FILE",
    "ApiKeyId",
    "DeploymentShare",
    "History",
    "HistoryState",
    "KeyModel",
    "OrganizationBudget",
    "OrganizationReason",
    "OrganizationSpec",
    "OrganizationStatus",
    "OrganizationType",
    "OtherKey",
    "Reconciliation",
    "SecretKey",
    "Storage",
]

ADMIN_KEY_FILE = "/etc/claude-operator/admin/key"
STORE_URL_FILE = "/etc/claude-operator/store/url"
PAGE_KEY_FILE = "/etc/claude-operator/page/key"
PAGE_KEY = "key"
"""In the Secret of the history's page."""
HISTORY_DIR = "/var/lib/claude-operator"
"""Where the volume is mounted."""
HISTORY_PORT = 9100
MOST_LISTED = 20
"""Entries of a list in the status; the rest is told as a sum."""
MOST_MODELS = 60
"""Entries of `status.models`."""
MOST_HELD = 5
"""ClaudeDeployments that an entry of it names."""

API_KEY_ID_PATTERN = r"^apikey_[A-Za-z0-9]{1,64}$"
QUANTITY_PATTERN = r"^[1-9][0-9]*(Mi|Gi|Ti)$"
MONTHLY_USD_PATTERN = r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,2})?$"
ApiKeyId = Annotated[str, StringConstraints(pattern=API_KEY_ID_PATTERN, max_length=80)]


class OrganizationType(StrEnum):
    """Condition types of a ClaudeOrganization, in the order they are shown."""

    READY = "Ready"
    KEY_ACCEPTED = "KeyAccepted"
    RECONCILED = "Reconciled"
    WITHIN_COST = "WithinCost"  # where there is a budget


class OrganizationReason(StrEnum):
    """Why a condition of a ClaudeOrganization is as it is."""

    # Ready
    POLLING = "Polling"  # usage is read, and what was read is recent
    STARTING = "Starting"  # the history's pod is not there yet
    FILLING = "Filling"  # no closed hour has been read yet
    BEHIND = "Behind"  # the newest closed hour is older than a day
    UNREACHABLE = "Unreachable"  # the history does not answer
    API_FAILS = "ApiFails"  # the Admin API does not answer the history as it should
    WRITE_REFUSED = "WriteRefused"  # the API server refuses a part of the history
    NAME_TAKEN = "NameTaken"  # an object of a part's name is somebody else's
    HOST_NOT_ALLOWED = "HostNotAllowed"  # the installer does not allow the host of spec.baseURL
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105  a Secret or its key is missing
    SECRET_NOT_ALLOWED = "SecretNotAllowed"  # noqa: S105  a Secret lacks the label that allows this use
    INVALID_SPEC = "InvalidSpec"
    NOT_A_DATABASE = "NotADatabase"  # what is in the Secret is not the URL of a PostgreSQL database
    # KeyAccepted
    ACCEPTED = "Accepted"
    NOT_TRIED = "NotTried"  # no call has been made with it yet
    WORKSPACE_KEY = "WorkspaceKey"  # the key of a workspace, which may not read usage
    NOT_AN_ADMIN_KEY = "NotAnAdminKey"
    KEY_REFUSED = "KeyRefused"  # the API answers 401 or 403
    INDIVIDUAL_ACCOUNT = "IndividualAccount"  # an account without an organisation
    PLATFORM_ON_AWS = "PlatformOnAWS"  # has no such API
    OTHER_ORGANIZATION = "OtherOrganization"  # the key is of another organisation than what is kept
    # Reconciled
    AGREES = "Agrees"  # the gateways and the organisation differ by 2 % at most
    AROUND_GATEWAYS = "AroundGateways"  # a key is used by others than the gateways that hold it
    UNEXPLAINED = "Unexplained"  # the gateways measured more than the organisation
    NOTHING_TO_COMPARE = "NothingToCompare"  # no closed day that both know, or no ClaudeDeployment holds a key
    # WithinCost
    COST_WITHIN_BUDGET = "CostWithinBudget"
    COST_NEAR_BUDGET = "CostNearBudget"  # 80 % or more
    COST_OVER_BUDGET = "CostOverBudget"  # 100 % or more
    COST_UNKNOWN = "CostUnknown"  # the organisation's cost is not known, or not up to the day before yesterday


class SecretKey(ApiModel):
    """One key of a Secret in the operator's namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the operator's namespace.")
    key: ObjectName = Field(description="Key in its data.")


class Storage(ApiModel):
    """The volume of the history: an SQLite file."""

    size: Annotated[str, StringConstraints(pattern=QUANTITY_PATTERN, max_length=16)] = Field(
        default="1Gi", description="Size of the PersistentVolumeClaim."
    )
    storage_class_name: ObjectName | None = Field(
        default=None, description="Its StorageClass. When left out, the cluster's default. It cannot be changed later."
    )


class History(ApiModel):
    """Where usage and cost are kept for longer than Prometheus keeps them."""

    storage: Storage | None = Field(
        default=None,
        description="A volume with an SQLite file, which stays when the ClaudeOrganization is deleted. This is what is"
        " used, with 1Gi, when neither field is set.",
    )
    postgres_url_secret_ref: SecretKey | None = Field(
        default=None,
        alias="postgresURLSecretRef",
        description="A PostgreSQL database instead: a Secret in the operator's namespace, whose key has its URL.",
    )


class OrganizationBudget(ApiModel):
    """What the organisation may cost in a calendar month (UTC), and what happens at 100 %."""

    monthly_usd: Annotated[str, StringConstraints(pattern=MONTHLY_USD_PATTERN, max_length=12)] = Field(
        alias="monthlyUSD", description='US dollars a month, for example "2000" or "0.50".'
    )
    action: Action = Field(
        default="Warn",
        description="Warn: the condition WithinCost is False. HoldRollouts: also, no canary of a ClaudeDeployment with"
        " a key of this organisation begins or gets more traffic. Throttle: also, their gateways answer every new call"
        " with 429 until the month (UTC) ends or the budget is raised.",
    )


class OrganizationSpec(ApiModel):
    """A Claude organisation, whose usage and cost are read."""

    admin_key_secret_ref: SecretKey = Field(
        description="The organisation's admin key (sk-ant-admin...): a Secret in the operator's namespace, and its key."
    )
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=2048)] = Field(
        default="https://api.anthropic.com",
        alias="baseURL",
        description="Where the Admin API is; /v1/organizations is put after it.",
    )
    poll_interval: Duration | None = Field(
        default=None,
        description="Time between two calls of the Admin API, which allows one a minute. When left out, 61 s."
        " Write more where several clusters read the same organisation.",
    )
    history: History = Field(default=History(), description=History.__doc__)
    budget: OrganizationBudget | None = Field(default=None, description=OrganizationBudget.__doc__)


class DeploymentShare(StatusModel):
    """What of the organisation's usage is a ClaudeDeployment's, this month."""

    namespace: str = Field(description="Its namespace.")
    name: str = Field(description="Its name.")
    api_key_id: str = Field(default="", alias="apiKeyID", description="The API key that its gateways use.")
    shared_with: int = Field(default=0, description="Number of other ClaudeDeployments whose gateways use this key.")
    tokens: int = Field(default=0, description="Tokens of all kinds.")
    cost: str = Field(default="", description="What they cost; empty where a price is not known.")


class OtherKey(StatusModel):
    """What of the organisation's usage is no ClaudeDeployment's, by API key, this month."""

    api_key_id: str = Field(default="", alias="apiKeyID", description="Its id; empty for the Console.")
    name: str = Field(default="", description="Its name in the Console.")
    workspace: str = Field(default="", description="The name of its workspace; empty for the default one.")
    held: bool = Field(
        default=False, description="Whether gateways use this key too; if so, these tokens went around them."
    )
    tokens: int = Field(default=0, description="Tokens of all kinds.")
    cost: str = Field(default="", description="What they cost; empty where a price is not known.")


class KeyModel(StatusModel):
    """What an API key used of a model in the last thirty days (UTC)."""

    model: str = Field(description="The model's id.")
    api_key_id: str = Field(default="", alias="apiKeyID", description="The key's id; empty for the Console.")
    name: str = Field(default="", description="The key's name in the Console.")
    workspace: str = Field(default="", description="The name of its workspace; empty for the default one.")
    deployments: list[str] = Field(
        default=[], description="ClaudeDeployments whose gateways use the key, as namespace/name; five at most."
    )
    tokens: int = Field(default=0, description="Tokens of all kinds.")
    last_day: str = Field(default="", description="The last day (UTC) on which it used the model.")


class Reconciliation(StatusModel):
    """The gateways' own measure against the organisation's, of keys that gateways hold, on closed days (UTC)."""

    since: str = Field(description="The first day that was compared.")
    until: str = Field(description="The last day that was compared.")
    gateways: int = Field(default=0, description="Tokens that the gateways measured.")
    organization: int = Field(default=0, description="Tokens that the organisation counts.")
    difference: str = Field(
        default="", description="By how much more the organisation counts, for example 2.5 %; less with a minus."
    )


class HistoryState(StatusModel):
    """How far usage and cost are known."""

    usage_until: Moment | None = Field(default=None, description="Usage is complete up to here.")
    cost_until: str = Field(default="", description="The last day (UTC) whose cost is known.")
    read_at: Moment | None = Field(default=None, description="When the Admin API last answered.")


class OrganizationStatus(StatusModel):
    """What is known of an organisation's usage and cost; figures are of the present month (UTC)."""

    observed_generation: int = Field(default=0, description="metadata.generation at the last look.")
    month: str = Field(default="", description="The month, such as 2026-11.")
    cost: str = Field(default="", description="Its cost so far, of the days whose cost is known.")
    forecast: str = Field(
        default="",
        description="What the month will cost: its days so far, and for each day left the mean of the last seven days.",
    )
    tokens: int = Field(default=0, description="Its tokens so far.")
    history: HistoryState | None = Field(default=None, description=HistoryState.__doc__)
    deployments: list[DeploymentShare] = Field(
        default=[], description="The twenty ClaudeDeployments with the most tokens."
    )
    other_keys: list[OtherKey] = Field(
        default=[], description="The twenty API keys with the most tokens that are no ClaudeDeployment's."
    )
    not_listed: int = Field(default=0, description="Tokens of all others, which are in neither list.")
    models: list[KeyModel] = Field(
        default=[],
        description="Which API key used which model, sixty at most: first those on models that are Retired, Deprecated"
        " or unknown.",
    )
    models_not_listed: int = Field(default=0, description="Number of others, which are not in models.")
    keys_unknown: int = Field(
        default=0,
        description="Number of ClaudeDeployments of which it is not known which API key they use: write its id in"
        " spec.upstream.apiKeyID.",
    )
    budget_told: str = Field(
        default="",
        description="The month, the budget, and the last of Near (80 %) and Over (100 %) that an Event has reported.",
    )
    reconciliation: Reconciliation | None = Field(default=None, description=Reconciliation.__doc__)
    figures_at: Moment | None = Field(default=None, description="When the figures were last written.")
    conditions: list[Condition] = Field(
        default=[], description="Conditions, for people and for kubectl wait.", json_schema_extra=list_map("type")
    )
