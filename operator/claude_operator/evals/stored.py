"""Where a report is read: a file, standard input, or the cluster that the kubeconfig names."""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claude_operator.core.evals.report import KEY, Report, RunLine, read_report
from claude_operator.core.names import report_name

__all__ = ["current_namespace", "load_report", "read_bytes", "read_file"]

_STDIN = "-"
_NO_REPORT = "single answers, since the cluster has no report of this run"


def load_report(run_or_file: str, namespace: str | None) -> Report:
    """A file's report, else that of the ClaudeEvalRun of this name. Raises ValueError and KubeError."""
    if run_or_file == _STDIN or "/" in run_or_file or Path(run_or_file).exists():
        return read_file(run_or_file)
    return asyncio.run(_of_run(run_or_file, namespace))


def read_file(path: str) -> Report:
    """A report from a file, or `-` for standard input; raises ValueError."""
    if path == _STDIN:
        return read_report(sys.stdin.buffer.read(), "standard input")
    return read_report(read_bytes(path), path)


def read_bytes(path: str) -> bytes:
    """A file's content; raises ValueError."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


async def _of_run(name: str, namespace: str | None) -> Report:
    # The Kubernetes client takes long to import, and a file has no use for it.
    from claude_operator.kube.client import Kube
    from claude_operator.kube.resources import CLAUDE_EVAL_RUNS, CONFIG_MAPS

    async with await Kube.from_environment() as kube:
        space = namespace or await current_namespace()
        run = await kube.get(CLAUDE_EVAL_RUNS, name, space)
        if run is None:
            raise ValueError(
                f"there is no file {name}, and no ClaudeEvalRun of this name in the namespace {space}:"
                f" `kubectl get claudeevalruns -A` lists them"
            )
        kept = await kube.get(CONFIG_MAPS, report_name(name), space)
        if kept is not None and (packed := _packed(kept)) is not None:
            return read_report(packed, f"the ConfigMap {report_name(name)}")
    return _of_status(run)


def _packed(kept: Mapping[str, Any]) -> bytes | None:
    """The report in a ConfigMap; none yet where the run is not over."""
    text = (kept.get("binaryData") or {}).get(KEY)
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except binascii.Error:
        return None


def _of_status(run: Mapping[str, Any]) -> Report:
    """What the status alone tells: a run that is not over, or whose report was not kept."""
    spec, status = run.get("spec") or {}, run.get("status") or {}
    line = RunLine(
        set=str(spec.get("setRef") or ""),
        set_hash=str(spec.get("setHash") or ""),
        candidate=str(spec.get("revision") or ""),
        baseline=spec.get("baselineRevision"),
        phase=str(status.get("phase") or "Pending"),
        reason=str(status.get("reason") or ""),
        message=str(status.get("message") or ""),
        result=dict(status),
        left_out=_NO_REPORT,
    )
    return Report(line)


async def current_namespace() -> str:
    """That of the kubeconfig's current context, as kubectl takes it."""
    from kubernetes.aio import config

    loader: Any = config  # has no annotations
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "default"
    _, active = loader.list_kube_config_contexts(config_file=os.environ.get("KUBECONFIG") or None)
    return str((active.get("context") or {}).get("namespace") or "default")
