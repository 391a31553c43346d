"""The catalogue as ClaudeModel objects, and those objects as the cluster's own catalogue."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from claude_operator.api.base import API_VERSION
from claude_operator.api.lifecycle import PLATFORMS
from claude_operator.api.resources import ModelObjectStatus
from claude_operator.core.catalogue.checks.limits import fast_mode
from claude_operator.core.catalogue.lifecycle import (
    NO_MODELS,
    Lifecycle,
    from_spec,
    kubernetes_name,
    lifecycle_of,
    to_spec,
)
from claude_operator.core.catalogue.table import Model, all_models
from claude_operator.core.names import FIELD_MANAGER, LABEL_MANAGED_BY

__all__ = ["model_objects", "model_status", "models_by_name"]


def model_objects() -> list[dict[str, Any]]:
    """A ClaudeModel for each model of the shipped table, as to be applied."""
    return [
        {
            "apiVersion": API_VERSION,
            "kind": "ClaudeModel",
            "metadata": {"name": kubernetes_name(model.id), "labels": {LABEL_MANAGED_BY: FIELD_MANAGER}},
            "spec": to_spec(model),
        }
        for model in all_models()
    ]


def models_by_name(specs: Iterable[Mapping[str, Any]]) -> dict[str, Model]:
    """The models of `ClaudeModel.spec`s by id and alias, an id before an alias.

    One that cannot be read is left out, and the shipped table holds for it: `model_status` says what is wrong with it.
    """
    models = [model for spec in specs if (model := _read(spec)) is not None]
    aliases = {alias: model for model in models for alias in model.aliases}
    return aliases | {model.id: model for model in models}


def model_status(
    spec: Mapping[str, Any], today: datetime.date, overrides: Mapping[str, Model] = NO_MODELS
) -> ModelObjectStatus:
    """`ClaudeModel.status` on a day; `overrides` are the models of all objects, among which may be a successor."""
    try:
        model = from_spec(spec)
    except (AttributeError, TypeError, ValueError) as error:
        return ModelObjectStatus(lifecycle=Lifecycle.UNKNOWN.value, message=f"spec cannot be read: {error}")
    known = {**overrides, model.id: model}
    now = lifecycle_of(model.id, today, known)
    return ModelObjectStatus(
        lifecycle=now.lifecycle.value,
        platforms={name: lifecycle_of(model.id, today, known, platform=name).lifecycle.value for name in PLATFORMS},
        days_left=now.days_left,
        replacement=now.replacement,
        message=now.sentence(model.id),
        fast_mode=fast_mode(model, today),
    )


def _read(spec: Mapping[str, Any]) -> Model | None:
    try:
        return from_spec(spec)
    except (AttributeError, TypeError, ValueError):
        return None
