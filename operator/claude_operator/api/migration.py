"""`ClaudeDeployment.status.migration`: a model of the spec that another one stands in for."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from claude_operator.api.base import StatusModel
from claude_operator.api.moments import Moment

__all__ = ["MigrationState", "MigrationStatus"]

MigrationState = Literal["Waiting", "Stopped", "InProgress", "Failed", "Promoted"]


class MigrationStatus(StatusModel):
    """What spec.lifecycle.migrate does: which models of the spec are due, and which of them are replaced. It stands
    until the spec names none of them, or until spec.lifecycle.migrate is removed."""

    models: list[str] = Field(alias="from", description="Models of the spec that have reached migrate.when.")
    to: str = Field(description="The model that replaces them.")
    state: MigrationState = Field(
        description="Waiting: another rollout comes first. Stopped: something has to be changed before. InProgress:"
        " gate and canary. Failed: it was taken back, or failed its gate. Promoted: it serves."
    )
    message: str = Field(default="", description="The state as a sentence.")
    replaced: list[str] = Field(default=[], description="Those of the models that are replaced in what is rolled out.")
    revision: str | None = Field(default=None, description="The revision that the spec is with them replaced.")
    since: Moment | None = Field(default=None, description="Since when models are replaced.")
