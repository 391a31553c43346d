"""What is wrong with a spec beyond what the API server refuses by schema and CEL."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from claude_operator.api.base import YEAR, fraction, seconds
from claude_operator.api.cel import PATTERNS
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.request import Request
from claude_operator.core.catalogue.checks.check import CHECKS, REFUSING, Severity, check_asked
from claude_operator.core.catalogue.lifecycle import NO_MODELS
from claude_operator.core.catalogue.table import Model
from claude_operator.core.request.breakpoints import breakpoint_ttl
from claude_operator.core.spec.address import address_problems, split_address
from claude_operator.core.spec.budgets import budget_problems
from claude_operator.core.spec.cron import parse_schedule
from claude_operator.core.spec.quantity import quantity
from claude_operator.core.spec.revision import Prompts
from claude_operator.core.spec.served import NO_PROMPTS, Served, check_spec, served

__all__ = ["Problem", "impossible_names", "problems", "warning"]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_RESOURCE = re.compile(r"cpu|memory|ephemeral-storage|hugepages-.+|.+/.+")
_TOLD = tuple(check for check in CHECKS if check.where == "spec" and check.severity is Severity.WARNING)
_MOST_TOLD = 3  # warnings in one message
_SHAPES = {  # what to write for a field of a wrong shape
    "betas": "a list: [mcp-client-2025-11-20]",
    "max_tokens": "a whole number: 2048",
    "system": "a list of text blocks: [{type: text, text: ...}]",
    "tools": "a list: [{name: ..., input_schema: {type: object}}]",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a spec is not accepted; the message names the field and says what to write instead."""

    reason: Reason
    message: str


_SHORTEST_DRILL, _LONGEST_DRILL = 30.0, 86_400.0  # seconds


def problems(spec: DeploymentSpec, *, today: datetime.date, models: Mapping[str, Model] = NO_MODELS) -> list[Problem]:
    """Everything wrong with a spec that the API server let in; empty for one that may become a revision.

    `models` are the cluster's own, by id and alias, and hold before the shipped table's. A model that nothing is known
    of is not a problem, nor is one that is Retired: spec.lifecycle decides about that.
    """
    invalid = [
        f"spec.{text}"
        for check in (_references, _times, _budgets, _plan, _resources, _endpoint, _drill)
        for text in check(spec)
    ]
    return [
        *(Problem(Reason.INVALID_SPEC, text) for text in invalid),
        *(Problem(Reason.INVALID_REQUEST, text) for text in _requests(spec, today, models)),
    ]


def warning(
    spec: DeploymentSpec,
    *,
    today: datetime.date | None = None,
    models: Mapping[str, Model] = NO_MODELS,
    prompts: Prompts = NO_PROMPTS,
) -> Problem | None:
    """What is accepted and yet hardly what is meant: breakpoints behind a part of the prompt that is the client's.

    With a day also what the checks warn of. What spec.lifecycle decides about is not among it.
    """
    behind = _behind_client(spec)
    if behind is not None or today is None:
        return behind
    found = [one.message for one in check_spec(spec, today=today, models=models, prompts=prompts, checks=_TOLD)]
    if not found:
        return None
    more = f"; and {len(found) - _MOST_TOLD} more: kubectl claude lint" if len(found) > _MOST_TOLD else ""
    return Problem(Reason.REQUEST_DOUBTFUL, "; ".join(found[:_MOST_TOLD]) + more)


def _behind_client(spec: DeploymentSpec) -> Problem | None:
    for name, behind in (("system", ("system",)), ("tools", ("tools", "system"))):
        if spec.overrides is None or getattr(spec.overrides, name) != "Append":
            continue
        parts = (part for one in served(spec) for part in _parts(one.request, behind))
        if any(breakpoint_ttl(part.get("cache_control")) for part in parts):
            return Problem(
                Reason.BREAKPOINT_BEHIND_CLIENT,
                f"spec.overrides.{name}: Append puts a cache breakpoint of the revision behind what the client sends:"
                " where that changes with each request, nothing is read from the cache: write Prepend, or remove"
                " cache_control",
            )
    return None


def _parts(request: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """The blocks and tools of a request."""
    for name in names:
        value = request.get(name)
        yield from (part for part in (value if isinstance(value, list) else ()) if isinstance(part, Mapping))


def _requests(spec: DeploymentSpec, today: datetime.date, models: Mapping[str, Model]) -> Iterator[str]:
    """What the API would refuse of the request and of each subagent's, as they are served."""
    request, *overlaid = served(spec)
    known = _refused(request, today, models)
    yield from (f"spec.{request.field}.{text}" for text in known)
    for one in overlaid:
        found = list(_shape((spec.subagents or {})[one.name].request, one.shaped)) or _refused(one, today, models)
        yield from (f"spec.{one.field}.{text}" for text in found if text not in known)


def _refused(one: Served, today: datetime.date, models: Mapping[str, Model]) -> list[str]:
    return [finding.message for finding in check_asked(one.asked(today, models), REFUSING)]


def _shape(overlay: Mapping[str, Any], merged: Mapping[str, Any]) -> Iterator[str]:
    """Fields of an overlay that have not the shape of the request's."""
    for name in ("messages", "stream"):
        if name in overlay:
            yield f"{name}: this field comes from the client: remove it"
    try:
        Request.model_validate(merged, strict=True)
    except ValidationError as error:
        for entry in error.errors(include_input=False, include_url=False):
            field, *rest = entry["loc"]
            path = str(field) + "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in rest)
            pattern = PATTERNS.get(str(entry.get("ctx", {}).get("pattern")))
            shape = _SHAPES.get(str(field)) if not rest else None
            yield f"{path}: " + (f"has the wrong shape: write {shape}" if shape else pattern or entry["msg"])


def _references(spec: DeploymentSpec) -> Iterator[str]:
    """Prompts named twice, and names that `impossible_names` has something to say of."""
    yield from impossible_names(spec)
    prompts = Counter((one.config_map_key_ref.name, one.config_map_key_ref.key) for one in spec.prompt_from or ())
    for (name, key), count in prompts.items():
        if count > 1:
            yield f"promptFrom: key {key} of ConfigMap {name} is listed {count} times: name each key once"


def impossible_names(spec: DeploymentSpec) -> Iterator[str]:
    """Names of objects and keys that no object can have: code that reads by name asks this first."""
    keys = [
        (f"promptFrom[{n}].configMapKeyRef", one.config_map_key_ref) for n, one in enumerate(spec.prompt_from or ())
    ]
    keys += [
        (f"env[{n}].valueFrom.secretKeyRef", one.value_from.secret_key_ref) for n, one in enumerate(spec.env or ())
    ]
    if spec.upstream.api_key_secret_ref:
        keys.append(("upstream.apiKeySecretRef", spec.upstream.api_key_secret_ref))
    names = [(f"{path}.name", ref.name) for path, ref in keys]
    if spec.evals:
        names.append(("evals.setRef.name", spec.evals.set_ref.name))
    if spec.gateway.tls:
        names.append(("gateway.tls.secretName", spec.gateway.tls.secret_name))
    for path, name in names:
        if not _NAME.fullmatch(name):
            yield f"{path}: {name!r} is not the name of an object: write lower case letters, digits, - and ."
    for path, ref in keys:
        if not _KEY.fullmatch(ref.key):
            yield f"{path}.key: {ref.key!r} is not a key: write letters, digits, -, _ and ."


def _times(spec: DeploymentSpec) -> Iterator[str]:
    """Durations that are too long to reckon with or leave no time, and a bake's two in the wrong order."""
    limits = spec.upstream.timeouts
    timeouts = {f"upstream.timeouts.{name}": getattr(limits, name) for name in ("connect", "idle", "total")}
    for path, value in timeouts.items():
        if seconds(value) <= 0:
            yield f"{path}: {value} makes every request fail: write for example 5s or 10m"
    found: dict[str, str | None] = {
        **timeouts,
        "strategy.canary.analysis.interval": spec.strategy.canary.analysis.interval,
        "strategy.canary.analysis.warmup": spec.strategy.canary.analysis.warmup,
    }
    if spec.strategy.canary.drain:
        found["strategy.canary.drain.maxAge"] = spec.strategy.canary.drain.max_age
    after = {"soak": spec.strategy.canary.soak, "rollbackWindow": spec.strategy.canary.rollback_window}
    for name, one in after.items():
        if one is None:
            continue
        found[f"strategy.canary.{name}.duration"] = one.duration
        if seconds(one.duration) <= 0:
            yield f"strategy.canary.{name}.duration: must be longer than 0: write for example 1h"
    for number, step in enumerate(spec.strategy.canary.steps):
        path = f"strategy.canary.steps[{number}]"
        if step.pause:
            found[f"{path}.pause.duration"] = step.pause.duration
        if step.bake:
            least, most = step.bake.min_duration, step.bake.max_duration
            found |= {f"{path}.bake.minDuration": least, f"{path}.bake.maxDuration": most}
            if most is not None and seconds(most) < seconds(least):
                yield (
                    f"{path}.bake.maxDuration: {most} is shorter than minDuration {least}: raise maxDuration or"
                    f" lower minDuration"
                )
    for path, duration in found.items():
        if duration is not None and seconds(duration) > YEAR:
            yield f"{path}: {duration} is more than a year: write 8760h or less"


def _budgets(spec: DeploymentSpec) -> Iterator[str]:
    """Budgets that are no service levels."""
    return budget_problems(spec.budgets)


def _plan(spec: DeploymentSpec) -> Iterator[str]:
    """Steps that nobody can be assigned by, bakes that wait for what never comes."""
    weight = 0.0
    canary = spec.strategy.canary
    if not fraction(canary.analysis.tolerated_increase):
        yield (
            "strategy.canary.analysis.toleratedIncrease: no amount of traffic can show an increase of 0: write for"
            " example 0.5%, or 100% to ask for no proof"
        )
    for number, step in enumerate(canary.steps):
        path = f"strategy.canary.steps[{number}]"
        if step.set_weight is not None:
            weight = step.set_weight
            if abs(round(weight, 2) - weight) > 1e-9:
                yield f"{path}.setWeight: {weight} is too fine: write {weight:.2f}"
        if step.bake and step.bake.min_requests and not weight:
            yield (
                f"{path}.bake: it waits for {step.bake.min_requests} requests while the canary gets none: put a"
                " setWeight above 0 before it, or write minRequests: 0"
            )


def _resources(spec: DeploymentSpec) -> Iterator[str]:
    """Quantities that the gateway's pods would be refused for."""
    resources = spec.gateway.resources or {}
    for kind in ("requests", "limits"):
        if not isinstance(resources.get(kind) or {}, Mapping):
            yield f"gateway.resources.{kind}: {resources[kind]!r} names no resource: write for example {{cpu: 100m}}"
            return
        for name, value in (resources.get(kind) or {}).items():
            path = f"gateway.resources.{kind}.{name}"
            if not _RESOURCE.fullmatch(name):
                yield f"{path}: is not a resource: write cpu, memory or ephemeral-storage"
            amount, most = _quantity(value), _quantity((resources.get("limits") or {}).get(name, value))
            if amount is None:
                yield f"{path}: {value!r} is not a quantity: write for example 100m, 0.5, 256Mi or 1Gi"
            elif most is not None and amount > most:
                yield f"{path}: {value} is more than the limit: lower it, or raise gateway.resources.limits.{name}"


def _quantity(value: Any) -> Decimal | None:
    """A Kubernetes quantity as a number, None for what is none."""
    amount = quantity(value)
    return amount if isinstance(amount, Decimal) and amount >= 0 else None


def _drill(spec: DeploymentSpec) -> Iterator[str]:
    drill = spec.drill
    if drill is None:
        return
    if drill.schedule is not None:
        try:
            parse_schedule(drill.schedule)
        except ValueError as error:
            yield f"drill.schedule: {error}"
    if drill.max_duration is not None and not _SHORTEST_DRILL <= seconds(drill.max_duration) <= _LONGEST_DRILL:
        yield f"drill.maxDuration: {drill.max_duration} is not between 30s and 24h; write for example 10m"


def _endpoint(spec: DeploymentSpec) -> Iterator[str]:
    """A base URL that /v1/messages can be put after, without a secret in it."""
    base = spec.upstream.base_url
    found = address_problems(
        base,
        example="https://api.anthropic.com",
        secrets_belong="the key belongs in upstream.apiKeySecretRef",
        appended="the path of a request",
    )
    yield from (f"upstream.baseURL: it {problem}" for problem in found)
    parts = split_address(base)
    if parts is not None and re.search(r"/v1(/messages)?/?$", parts.path):
        yield "upstream.baseURL: /v1/messages is put after it: remove /v1 and what follows"
