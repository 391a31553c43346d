"""Revisions: immutable snapshots of what shapes a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_operator.api.base import API_VERSION
from claude_operator.core import names
from claude_operator.core.render.parts import Object, child

__all__ = ["revision"]


def revision(owner: Mapping[str, Any], name: str, spec_fields: Mapping[str, Any]) -> Object:
    """The ClaudeRevision `name` of a ClaudeDeployment; `spec_fields` as its name was hashed from, None left out."""
    deployment = owner["metadata"]["name"]
    labels = {
        names.LABEL_INSTANCE: deployment,
        names.LABEL_MANAGED_BY: names.FIELD_MANAGER,
        names.LABEL_DEPLOYMENT: deployment,
    }
    fields = {field: value for field, value in spec_fields.items() if value is not None}
    return child(owner, "ClaudeRevision", API_VERSION, name, labels) | {"spec": fields}
