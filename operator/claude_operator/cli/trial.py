"""`advise --try`: the eval set asked with a patched spec and the present one, by `claude-operator` on this machine.

Only the operator makes ClaudeEvalRuns: one that a person could make would be a gate that a person could pass.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from claude_operator.cli.failure import Failure

__all__ = ["Trial", "run_trial"]

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trial:
    """What is asked of whom."""

    deployment: Object
    spec: Object
    """The patched one."""
    eval_set: Object
    config_maps: Sequence[Object]
    """Those of prompts and items."""


def run_trial(trial: Trial, max_cost: float | None) -> int:
    """The exit code of `claude-operator eval run`."""
    program = shutil.which("claude-operator")
    if program is None:
        raise Failure("claude-operator is not in PATH: install it on this machine, since it asks the eval set")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, spec in (("new.yaml", trial.spec), ("old.yaml", trial.deployment["spec"])):
            _write(folder / file, {**_named(trial.deployment), "spec": _without_address(spec)}, *trial.config_maps)
        _write(folder / "set.yaml", {**_named(trial.eval_set), "spec": trial.eval_set["spec"]}, *trial.config_maps)
        words = ["eval", "run", "-f", "set.yaml", "--request", "new.yaml", "--baseline", "old.yaml", "--mcp", "off"]
        if max_cost is not None:
            words += ["--max-cost", f"{max_cost:g}"]
        done = subprocess.run([program, *words], cwd=folder, check=False)  # noqa: S603  (words of ours, no shell)
    return done.returncode


def _without_address(spec: Object) -> Object:
    """Whoever writes the spec must not choose where a person's own key goes; so MCP servers are left out as well."""
    upstream = {name: value for name, value in (spec.get("upstream") or {}).items() if name != "baseURL"}
    return {**spec, "upstream": upstream}


def _named(obj: Object) -> Object:
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": {"name": obj["metadata"]["name"]}}


def _write(path: Path, *objects: Object) -> None:
    path.write_text(yaml.safe_dump_all(objects, sort_keys=False), encoding="utf-8")
