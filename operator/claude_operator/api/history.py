"""What the history process of an organisation tells the operator, as it travels in JSON.

Figures are exact: tokens as whole numbers, costs in US cents as decimal text. A day is a UTC date.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from claude_operator.api.faults import decode
from claude_operator.api.gateway import Wire

__all__ = [
    "OTHER_KEY",
    "CostRow",
    "History",
    "KeyRow",
    "Refusal",
    "Tokens",
    "UsagePage",
    "UsageRow",
    "WorkspaceRow",
]

OTHER_KEY = "other"
"""Stands for the API keys that a history does not list one by one."""

Refusal = Literal[
    "NoKey", "InvalidKey", "WorkspaceKey", "IndividualAccount", "ClaudePlatformOnAWS", "OtherOrganization"
]


class Tokens(Wire, frozen=True, omit_defaults=True):
    """Tokens of each kind, and web searches."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = msgspec.field(default=0, name="cacheWrite5m")
    cache_write_1h: int = msgspec.field(default=0, name="cacheWrite1h")
    output: int = 0
    web_searches: int = 0


class UsageRow(Wire, frozen=True, omit_defaults=True):
    """What was used in a bucket of time. Priority Tier is told by `tier`: it is in the usage, never in a cost.

    An empty `api_key`: used in the Console, without a key. An empty `workspace`: the default workspace.
    """

    start: int
    """Of the bucket, in seconds since the epoch."""
    api_key: str = ""
    workspace: str = ""
    model: str = ""
    tier: str = ""
    tokens: Tokens = Tokens()


class CostRow(Wire, frozen=True, omit_defaults=True):
    """What a day cost. `api_key` only where the API tells it (the analytics endpoints)."""

    start: int
    cents: str
    workspace: str = ""
    model: str = ""
    api_key: str = ""


class KeyRow(Wire, frozen=True, omit_defaults=True):
    """An API key as the API lists it. `hint` has the key's first and last characters: `sk-ant-api03-R2D...igAA`."""

    id: str
    name: str = ""
    hint: str = ""
    workspace: str = ""
    status: str = ""


class WorkspaceRow(Wire, frozen=True, omit_defaults=True):
    """A workspace as the API lists it."""

    id: str
    name: str = ""


class History(Wire, frozen=True, omit_defaults=True):
    """The answer to `GET /v1/history?days=40`: today and the days before it, by UTC days.

    Rows say nothing about what nobody has read: it is not known, and not zero.
    """

    organization: str = ""
    """Its id; empty until the API has told it."""
    name: str = ""
    key: Literal["unknown", "accepted", "refused"] = "unknown"
    refusal: Refusal | None = None
    error: str = ""
    """A sentence that says what keeps it from reading, and what to do; empty where nothing does."""
    now: float = 0.0
    last_poll: float | None = None
    """When the API last answered with 200, in seconds since the epoch."""
    complete_from: int | None = None
    complete_to: int | None = None
    """Each hour in between was read after its end. What the API learns late may still be added."""
    final_to: int | None = None
    """Nothing more is added to the hours from `complete_from` to here."""
    usage_to: int | None = None
    """Rows of usage reach up to here: beyond `complete_to`, what the API reports of the hour that has not ended."""
    cost_to: int | None = None
    """The costs of the days before this moment were read, six hours after the day or later."""
    usage: list[UsageRow] = []
    """By day."""
    costs: list[CostRow] = []
    """By day, as the cost report has them: what is billed."""
    key_costs: list[CostRow] | None = None
    """By day and API key, from the analytics endpoints; None where they have not answered."""
    keys: list[KeyRow] = []
    workspaces: list[WorkspaceRow] = []

    @classmethod
    def parse(cls, data: bytes) -> History:
        """A History; raises ValueError."""
        return decode(data, cls, "the history of the organisation")


class UsagePage(Wire, frozen=True, omit_defaults=True):
    """The answer to `GET /v1/usage?width=1h&from=SECONDS&to=SECONDS`: by minute, hour or day as `width` says."""

    rows: list[UsageRow] = []

    @classmethod
    def parse(cls, data: bytes) -> UsagePage:
        """A UsagePage; raises ValueError."""
        return decode(data, cls, "the usage of the organisation")
