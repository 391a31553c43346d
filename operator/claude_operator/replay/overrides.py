"""An analysis with some fields set otherwise: `metrics.errors.maxIncrease=10%`, `falseRollbackRate=0.05`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_snake

from claude_operator.api.analysis import Analysis, Metric
from claude_operator.api.faults import first_fault
from claude_operator.core.judge.judges.dispatch import judge_of
from claude_operator.core.judge.judges.metric_problems import problem
from claude_operator.core.judge.metrics import declared

__all__ = ["changed"]

_EXAMPLES = {
    "PercentText": "write a percentage, for example 10%",
    "Duration": "write a duration, for example 30s, 10m or 1h30m",
}


def changed(analysis: Analysis, settings: Iterable[str]) -> Analysis:
    """`analysis` with each `path=value` on top; raises `ValueError` that says what to write.

    A metric that is set and not declared is added.
    """
    document = analysis.model_dump(by_alias=True, exclude_none=True)
    for setting in settings:
        path, equals, value = setting.partition("=")
        parts = path.strip().split(".")
        if not equals or not all(parts):
            raise ValueError(f"{setting!r}: write path=value, for example metrics.errors.maxIncrease=10%")
        if parts[0] == "metrics":
            _set_metric(document, analysis, parts, value.strip(), setting)
        elif len(parts) == 1:
            _known(parts[0], Analysis, setting)
            document[parts[0]] = value.strip()
        else:
            raise ValueError(f"{setting!r}: {parts[0]} has no fields: write {parts[0]}=value")
        analysis = _checked(document, setting)
    return analysis


def _set_metric(document: dict[str, Any], analysis: Analysis, parts: list[str], value: str, setting: str) -> None:
    if len(parts) != 3:
        raise ValueError(f"{setting!r}: write metrics.<name>.<field>=value, for example metrics.errors.weight=0.3")
    _, name, field = parts
    _known(field, Metric, setting)
    if field in ("name", "prometheus", "threshold"):
        raise ValueError(f"{setting!r}: {field} cannot be set for a replay: write maxIncrease, weight or mode")
    if "metrics" not in document:
        document["metrics"] = [{"name": metric.name} for metric in declared(analysis)]
    metrics: list[dict[str, Any]] = document["metrics"]
    metric = next((one for one in metrics if one["name"] == name), None)
    if metric is None:
        metric = {"name": name}
        metrics.append(metric)
    metric[field] = value


def _checked(document: dict[str, Any], setting: str) -> Analysis:
    try:
        analysis = Analysis.model_validate(document)
    except ValidationError as error:
        fault = first_fault(error, "analysis")
        named = setting.partition("=")[0].rpartition(".")[2]
        hint = _EXAMPLES["PercentText"] if named.endswith("Increase") else ""
        hint = hint or (_EXAMPLES["Duration"] if named in ("interval", "warmup") else "")
        raise ValueError(f"{setting!r}: {fault}{f'; {hint}' if hint else ''}") from None
    judge = judge_of(analysis)
    if not judge.replayable:
        raise ValueError(f"{setting!r}: only the judge Sequential can be replayed: leave it out")
    parts = setting.split(".")
    if parts[0] == "metrics":
        found = next(metric for metric in analysis.metrics or () if metric.name == parts[1])
        trouble = problem(found, judge)
        if trouble:
            raise ValueError(f"{setting!r}: {trouble}")
    return analysis


def _known(field: str, model: type[Analysis] | type[Metric], setting: str) -> None:
    if to_snake(field) not in model.model_fields or "_" in field:
        fields = ", ".join(info.alias or name for name, info in model.model_fields.items())
        raise ValueError(f"{setting!r}: there is no field {field}: write one of {fields}")
