"""What the grader of live answers is told: the key `plan.json` of the ConfigMap `<name>-grader`, and where its pod
finds it and its keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from claude_operator.api.faults import decode
from claude_operator.api.gateway import Deployment, Wire
from claude_operator.api.prices import TokenPrices

__all__ = [
    "GRADER_DIR",
    "PLAN_DIR",
    "PLAN_KEY",
    "SAMPLES_KEY",
    "STATE_KEY",
    "GradingPlan",
    "dump_plan",
    "parse_plan",
    "plan_hash",
]

PLAN_KEY = "plan.json"
PLAN_DIR = "/etc/claude-operator/plan"
GRADER_DIR = "/etc/claude-operator/grader"
"""With the file `grader-key`."""
STATE_KEY = "state.json"
SAMPLES_KEY = "samples.jsonl.gz"
"""Keys of the Secret `<name>-failed-samples`: what was spent, and the failed samples that are kept."""


class GradingPlan(Wire, frozen=True):
    """What is graded, by whom, and within which limits. It names no secret value."""

    deployment: Deployment
    live: dict[str, Any]
    """`spec.evals.live` as stored."""
    base_url: str = msgspec.field(name="baseURL")
    eval_set: dict[str, Any] = {}
    """`graders` and `defaultTest` of the set in setRef."""
    arms: dict[str, list[str]] = {}
    """The models that answer, by revision."""
    prices: dict[str, TokenPrices] | msgspec.UnsetType = msgspec.UNSET
    """Those that hold instead of the list's; not said where there are none."""

    @property
    def own_prices(self) -> Mapping[str, TokenPrices]:
        """`prices`, also where there are none."""
        return {} if self.prices is msgspec.UNSET else self.prices


def dump_plan(plan: GradingPlan) -> str:
    """The document as it is stored: stable key order, so that equal plans are equal text."""
    return msgspec.json.encode(plan, order="sorted").decode()


def parse_plan(data: bytes | str) -> GradingPlan:
    """Read a plan; raises `ValueError` naming the field that is wrong."""
    return decode(data, GradingPlan, "grading plan")


def plan_hash(text: str) -> str:
    """What stands for the document in the grader's arguments: it waits until it reads this one."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
