"""Writes the report of a run into the ConfigMap that the operator has made for it."""

from __future__ import annotations

import base64

from claude_operator.api.evals import EvalGate, EvalRunStatus
from claude_operator.core.evals.gate import Result
from claude_operator.core.evals.report import BASELINE, CANDIDATE, KEY, RunLine, make_report, pack_report
from claude_operator.core.names import report_name
from claude_operator.evals.inputs import Inputs, JobPaths
from claude_operator.evals.session import Run
from claude_operator.kube.client import Kube, KubeError
from claude_operator.kube.resources import CONFIG_MAPS

__all__ = ["store_report"]

_LIMIT = 900_000  # bytes; a ConfigMap holds 1 MiB


async def store_report(
    kube: Kube, paths: JobPaths, inputs: Inputs, ended: tuple[Result, EvalRunStatus], run: Run
) -> str:
    """Write it; why there is none, empty where there is one. A run does not fail for want of it."""
    result, status = ended
    spec, arms = inputs.spec, dict(zip((CANDIDATE, BASELINE), run.graded, strict=False))
    line = RunLine(
        set=spec.set_ref,
        set_hash=inputs.content_hash,
        candidate=spec.revision,
        baseline=spec.baseline_revision,
        phase=result.phase,
        reason=str(result.reason),
        message=result.message,
        gate=_dump(inputs.set.gate),
        result=_dump(status),
    )
    report = make_report(line, inputs.items, arms, keep_text=run.keep_text)
    body = {
        "metadata": {"name": report_name(paths.name), "namespace": paths.namespace},
        "binaryData": {KEY: base64.b64encode(pack_report(report, _LIMIT)).decode()},
    }
    try:
        await kube.merge(CONFIG_MAPS, body)
    except KubeError as error:
        return f"the ConfigMap {report_name(paths.name)}: {str(error).partition(chr(10))[0]}"
    return ""


def _dump(model: EvalGate | EvalRunStatus) -> dict[str, object]:
    return model.model_dump(by_alias=True, exclude_none=True, mode="json")
