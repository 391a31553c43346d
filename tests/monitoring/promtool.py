"""Promtool of the machine or of Debian's package, and the chart's rules."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml
from tests.cluster import prometheus

CHART = Path(__file__).parents[2] / "charts/claude-operator"
RULES = CHART / "rules/claude-operator.yaml"
_SECONDS = {"m": 1, "h": 60, "d": 1440}  # a sixtieth of them


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    """The finished process; raises `NoPrometheusError` where there is none."""
    program = shutil.which("promtool") or str(Path(prometheus.program()).with_name("promtool"))
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=300, check=False)


def rules() -> list[dict[str, Any]]:
    """All rules of the chart's file."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def scaled() -> str:
    """The chart's file with the windows of the latency budgets a sixtieth as long."""
    document = yaml.safe_load(RULES.read_text())
    for group in document["groups"]:
        if group["name"] == "claude-operator.budgets":
            for rule in group["rules"]:
                rule["expr"] = re.sub(
                    r"\[(\d+)([mhd])\]", lambda found: f"[{int(found[1]) * _SECONDS[found[2]]}s]", rule["expr"]
                )
    return yaml.safe_dump(document, width=1000)


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> dict[str, str]:
    """The expressions by the name that they are recorded under."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
