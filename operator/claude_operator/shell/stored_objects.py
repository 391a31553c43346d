"""Objects of our own kinds as they are stored, where another version or a person may have written them."""

from __future__ import annotations

import logging

from pydantic import ValidationError

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.faults import first_fault
from claude_operator.api.status import DeploymentStatus
from claude_operator.core.spec.validate import Problem
from claude_operator.kube.client import KubeError, Object
from claude_operator.log import fields

__all__ = ["UnreadableStatus", "read_run_status", "read_spec", "read_status"]

_log = logging.getLogger(__name__)


class UnreadableStatus(KubeError):  # noqa: N818  # a state, not an error of the pass
    """A status that cannot be read, of another version say: it is to be cleared, and the pass starts again."""

    def __init__(self, owner: Object) -> None:
        super().__init__(409, "Unreadable", f"the status of {owner['metadata']['name']} cannot be read")
        self.owner = owner


def read_status(owner: Object) -> DeploymentStatus:
    """The status as stored; one that cannot be read goes whole, since half of it could give traffic unwatched."""
    try:
        return DeploymentStatus.model_validate(owner.get("status") or {})
    except ValidationError as error:
        _unreadable(owner, error)
        raise UnreadableStatus(owner) from None


def read_spec(owner: Object) -> tuple[DeploymentSpec | None, list[Problem]]:
    """The spec, or the first thing in it that cannot be read."""
    try:
        return DeploymentSpec.model_validate(owner["spec"]), []
    except ValidationError as error:
        return None, [Problem(Reason.INVALID_SPEC, first_fault(error, "spec"))]


def read_run_status(run: Object) -> EvalRunStatus:
    """The status of a run; one that cannot be read gates as one that has not ended."""
    try:
        return EvalRunStatus.model_validate(run.get("status") or {})
    except ValidationError as error:
        _unreadable(run, error)
        return EvalRunStatus()


def _unreadable(one: Object, error: ValidationError) -> None:
    metadata = {key: one["metadata"][key] for key in ("namespace", "name")}
    _log.error(
        "a status cannot be read", extra=fields(kind=one["kind"], **metadata, error=first_fault(error, "status"))
    )
