"""The requests of a spec as they are served, its subagents' among them, held against the table of checks."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.core.catalogue.checks.check import CHECKS, Check, check_asked
from claude_operator.core.catalogue.checks.row import Asked, Finding, Path
from claude_operator.core.catalogue.lifecycle import NO_MODELS, model_of
from claude_operator.core.catalogue.table import Model
from claude_operator.core.spec.revision import Prompts, prompt_keys

__all__ = ["NO_PROMPTS", "Served", "SpecFinding", "check_spec", "served"]

NO_PROMPTS: Prompts = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Served:
    """The request of a spec, or that of a subagent by its name. The request's own name is empty."""

    name: str
    request: dict[str, Any]
    prompts: int
    """How many blocks at the beginning of `system` come from promptFrom; their text is None where it is not known."""
    client: frozenset[str]
    """Which of `tools` and `system` the client adds to."""

    @property
    def field(self) -> str:
        """Where it is written."""
        return f"subagents.{self.name}.request" if self.name else "request"

    @property
    def shaped(self) -> dict[str, Any]:
        """The request with a text in place of each that is not known."""
        blocks = self.request.get("system")
        if not self.prompts or not isinstance(blocks, list):
            return self.request
        ours = [block if block["text"] is not None else {**block, "text": "..."} for block in blocks[: self.prompts]]
        return {**self.request, "system": [*ours, *blocks[self.prompts :]]}

    def asked(self, today: datetime.date, models: Mapping[str, Model] = NO_MODELS) -> Asked:
        """As the checks see it."""
        model = model_of(str(self.request.get("model") or ""), models)
        return Asked(model, self.request, today, prompts=self.prompts, client=self.client)

    def path(self, path: Path) -> Path:
        """A path below the request as one below spec."""
        if path[:1] == ("promptFrom",):
            return path
        return ("subagents", self.name, "request", *path) if self.name else ("request", *path)


@dataclass(frozen=True, slots=True)
class SpecFinding:
    """What a check found in a spec: `path` is below spec, `message` begins with `spec.`."""

    path: Path
    message: str
    finding: Finding


def served(spec: DeploymentSpec, prompts: Prompts = NO_PROMPTS) -> Iterator[Served]:
    """The request and that of each subagent. `prompts` are the texts of promptFrom, as far as they are known."""
    request = spec.request.model_dump(exclude_unset=True)
    sources = spec.prompt_from or ()
    blocks = [
        {
            "type": "text",
            "text": prompts.get(key),
            "cache_control": source.cache_control and source.cache_control.model_dump(exclude_unset=True),
        }
        for source, key in zip(sources, prompt_keys(spec), strict=True)
    ]
    own = len(blocks)
    if blocks:
        request["system"] = [*blocks, *(request.get("system") or ())]
    client = frozenset(
        name for name in ("tools", "system") if spec.overrides and getattr(spec.overrides, name) != "Replace"
    )
    yield Served("", request, own, client)
    for name, subagent in (spec.subagents or {}).items():
        merged = {**request, **subagent.request}
        yield Served(name, merged, 0 if "system" in subagent.request else own, client)


def check_spec(
    spec: DeploymentSpec,
    *,
    today: datetime.date,
    models: Mapping[str, Model] = NO_MODELS,
    prompts: Prompts = NO_PROMPTS,
    checks: Sequence[Check] = CHECKS,
) -> list[SpecFinding]:
    """Everything that checks find in a spec. What holds of the request is not said of a subagent again."""
    found: list[SpecFinding] = []
    known: set[str] = set()
    for one in served(spec, prompts):
        findings = check_asked(one.asked(today, models), checks)
        found += [
            SpecFinding(one.path(finding.path), f"spec.{one.field}.{finding.message}", finding)
            for finding in findings
            if finding.message not in known
        ]
        if not one.name:
            known = {finding.message for finding in findings}
    return found
