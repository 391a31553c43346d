"""Where a model stands in its life on a given day: Active, Legacy, Deprecated, Retired."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from claude_operator.api.lifecycle import LifecyclePolicy, Platform
from claude_operator.core.catalogue.platforms import WORDS, catalogue_id, is_known_on, on_platform
from claude_operator.core.catalogue.spec import from_spec, kubernetes_name, to_spec
from claude_operator.core.catalogue.table import Model, find, newest, superseded

__all__ = [
    "NO_MODELS",
    "Lifecycle",
    "LifecycleState",
    "from_spec",
    "kubernetes_name",
    "lifecycle_of",
    "model_of",
    "models_in_use",
    "policy_verdict",
    "state",
    "to_spec",
]

NO_MODELS: Mapping[str, Model] = MappingProxyType({})


class Lifecycle(StrEnum):
    """The documentation's four states, and Unknown for a model that nothing is known of."""

    ACTIVE = "Active"
    LEGACY = "Legacy"
    DEPRECATED = "Deprecated"
    RETIRED = "Retired"
    UNKNOWN = "Unknown"

    @property
    def api(self) -> str:
        """The Models API's word; it knows no legacy, and what is unknown is not listed there."""
        return {Lifecycle.DEPRECATED: "deprecated", Lifecycle.RETIRED: "retired"}.get(self, "active")


@dataclass(frozen=True, slots=True)
class LifecycleState:
    """A model's state on one day; `days_left` is negative while retirement is overdue."""

    lifecycle: Lifecycle
    retires_at: datetime.date | None = None
    days_left: int | None = None
    replacement: str | None = None
    overdue: bool = False
    not_retired_before: datetime.date | None = None
    platform: Platform = "ClaudeAPI"
    undated: str = ""
    """Id of a model whose dates on the platform are not known."""

    def sentence(self, model_id: str) -> str:
        """The state as a sentence for people, without a full stop."""
        use = f"; use {self.replacement}" if self.replacement else ""
        there = f" on {WORDS[self.platform]}" if self.platform != "ClaudeAPI" else ""
        match self.lifecycle:
            case Lifecycle.UNKNOWN if self.undated:
                object_name = kubernetes_name(self.undated)
                return (
                    f"{model_id}: its lifecycle{there} is unknown, since {WORDS[self.platform]} sets dates of its own;"
                    f" write them into spec.platforms.{self.platform} of ClaudeModel {object_name}"
                )
            case Lifecycle.UNKNOWN:
                return f"{model_id} is not in the catalogue, so its lifecycle is unknown"
            case Lifecycle.RETIRED:
                since = f" since {self.retires_at}" if self.retires_at else ""
                return f"{model_id} is Retired{there}{since}: requests for it fail{use}"
            case Lifecycle.DEPRECATED:
                return f"{model_id} is Deprecated{there}: {self._retirement()}{use}"
            case Lifecycle.LEGACY:
                newer = f": {self.replacement} is newer" if self.replacement else ""
                return f"{model_id} is Legacy{there}{newer}{self._promise()}"
            case Lifecycle.ACTIVE:
                return f"{model_id} is Active{there}{self._promise()}"

    def _retirement(self) -> str:
        if self.retires_at is None or self.days_left is None:
            return "no retirement date is set"
        if self.overdue:
            return f"retirement was due {self.retires_at} ({_days(-self.days_left)} ago)"
        return f"retires {self.retires_at} (in {_days(self.days_left)})"

    def _promise(self) -> str:
        return f"; not retired before {self.not_retired_before}" if self.not_retired_before else ""


def model_of(model_id: str, overrides: Mapping[str, Model] = NO_MODELS) -> Model | None:
    """The model of an id or alias: the cluster's own (see objects.models_by_name) before the shipped table's."""
    return overrides.get(model_id) or find(model_id)


def lifecycle_of(
    model_id: str,
    today: datetime.date,
    overrides: Mapping[str, Model] = NO_MODELS,
    *,
    platform: Platform = "ClaudeAPI",
) -> LifecycleState:
    """The state of an id or alias on a day and platform.

    A model of `overrides` also makes older ones of its line Legacy.
    """
    model = model_of(model_id, overrides) or model_of(catalogue_id(model_id, platform), overrides)
    if model is None:
        return LifecycleState(Lifecycle.UNKNOWN, platform=platform)
    if model.superseded is None:
        model = replace(model, superseded=superseded(model, overrides.values()))
    if not is_known_on(model, platform):
        return LifecycleState(Lifecycle.UNKNOWN, platform=platform, undated=model.id)
    return replace(state(on_platform(model, platform), today, overrides.values()), platform=platform)


def state(model: Model | None, today: datetime.date, others: Iterable[Model] = ()) -> LifecycleState:
    """The state of a model on a day; `others` are models besides the table's that may be its successor.

    A stated state wins over the dates: the Models API documents that a past date on a deprecated model
    means overdue, not retired. Else the dates decide: Retired from `retires` on; Deprecated from `deprecated` on, or
    as long as only the date of retirement is known; Legacy from the release of a newer generation of the same line
    on; Active before.
    """
    if model is None or (model.released is not None and today < model.released):
        return LifecycleState(Lifecycle.UNKNOWN)
    lifecycle = _lifecycle(model, today)
    left = (model.retires - today).days if model.retires else None
    match lifecycle:
        case Lifecycle.DEPRECATED:
            overdue = left is not None and left <= 0
            return LifecycleState(lifecycle, model.retires, left, model.replacement, overdue)
        case Lifecycle.RETIRED:
            past = left is not None and left <= 0  # a stated Retired may be ahead of its date
            return LifecycleState(lifecycle, model.retires if past else None, 0, model.replacement)
        case Lifecycle.LEGACY:
            replacement = model.replacement or _newer(model, today, others)
            return LifecycleState(lifecycle, None, None, replacement, not_retired_before=_ahead(model, today))
        case _:
            return LifecycleState(lifecycle, not_retired_before=_ahead(model, today))


def _lifecycle(model: Model, today: datetime.date) -> Lifecycle:
    if model.stated:
        return Lifecycle(model.stated)
    if model.retires and today >= model.retires:
        return Lifecycle.RETIRED
    if model.deprecated is not None and today >= model.deprecated:
        return Lifecycle.DEPRECATED
    if model.deprecated is None and model.retires is not None:  # who sets that date has deprecated it
        return Lifecycle.DEPRECATED
    if model.superseded and today >= model.superseded:
        return Lifecycle.LEGACY
    return Lifecycle.ACTIVE


def _newer(model: Model, today: datetime.date, others: Iterable[Model]) -> str | None:
    """The newest model of the same line, if that is another one."""
    other = newest(model.line, today, others)
    return other.id if other and other.id != model.id else None


def _ahead(model: Model, today: datetime.date) -> datetime.date | None:
    """The promised date, while it is still to come."""
    promised = model.not_retired_before
    return promised if promised and promised > today else None


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def models_in_use(request: Mapping[str, Any], subagents: Mapping[str, Mapping[str, Any]] | None = None) -> list[str]:
    """The model ids of a revision's request and of its subagents, as in `ClaudeRevision.spec`, each once."""
    overlays = [subagent.get("request") or {} for subagent in (subagents or {}).values()]
    return list(dict.fromkeys(str(one["model"]) for one in (request, *overlays) if one.get("model")))


def policy_verdict(
    policy: LifecyclePolicy,
    models: Iterable[str],
    *,
    today: datetime.date,
    overrides: Mapping[str, Model] = NO_MODELS,
    platform: Platform = "ClaudeAPI",
) -> str | None:
    """Why new revisions on these models are refused, naming model, date and replacement; None where they are let in.

    What already serves keeps serving. Active and Unknown models are always let in.
    """
    fields = {
        Lifecycle.LEGACY: ("onLegacy", policy.on_legacy),
        Lifecycle.DEPRECATED: ("onDeprecated", policy.on_deprecated),
        Lifecycle.RETIRED: ("onRetired", policy.on_retired),
    }
    sentences = []
    for model_id in models:
        now = lifecycle_of(model_id, today, overrides, platform=platform)
        field, does = fields.get(now.lifecycle, ("", None))
        if does == "Reject":
            sentences.append(f"{now.sentence(model_id)} (spec.lifecycle.{field}: Reject)")
    return "; ".join(sentences) or None
