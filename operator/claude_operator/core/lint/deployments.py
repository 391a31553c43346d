"""What is wrong with a ClaudeDeployment that its schema lets in: as the operator and the Claude API would say."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from pydantic import ValidationError

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.faults import first_fault
from claude_operator.api.lifecycle import LifecyclePolicy, Platform
from claude_operator.core.catalogue.checks.beside import key_kind
from claude_operator.core.catalogue.checks.check import check_asked
from claude_operator.core.catalogue.checks.row import Asked, Severity
from claude_operator.core.catalogue.checks.row import Finding as Checked
from claude_operator.core.catalogue.lifecycle import Lifecycle, lifecycle_of, model_of
from claude_operator.core.catalogue.platforms import catalogue_id, is_known_on, on_platform
from claude_operator.core.catalogue.table import Model
from claude_operator.core.lint.caching import cache_faults
from claude_operator.core.lint.finding import Fault, Level, Path
from claude_operator.core.lint.messages import split_message
from claude_operator.core.lint.prefix import Served, fields_of, served_requests
from claude_operator.core.lint.sources import Found, Objects
from claude_operator.core.spec.validate import problems, warning

__all__ = ["deployment_faults", "request_faults"]

_POLICIES = {"model-legacy": "on_legacy", "model-deprecated": "on_deprecated", "model-retired": "on_retired"}
_STATES = {"model-legacy": "Legacy", "model-deprecated": "Deprecated", "model-retired": "Retired"}
_KEY = "key-kind"
_CONTENT = ("request", "subagents", "promptFrom", "overrides")


def deployment_faults(found: Found, objects: Objects, today: dt.date, wrong: Sequence[Fault]) -> Iterator[Fault]:
    """What its schema does not see. `wrong`: what it does, since what has not its shape is not looked at here."""
    shape = [fault for fault in wrong if fault.check != "schema-rule"]
    places = [fault.path for fault in shape if fault.path[:1] == ("spec",)]
    if not places:
        yield from _spec_faults(found, objects, today)
        yield from _key_faults(found, objects, today)
    if any(path == ("spec",) or path[1] in _CONTENT for path in places) or not found.spec.get("request"):
        return
    yield from _prompts(found, objects)
    known: set[Fault] = set()
    client, policy = _client_lists(found.spec), _policy(found.spec)
    platform = _platform(found.spec)
    for served in served_requests(found.spec, objects.prompts(_prompt_keys(found.spec), found), objects.models):
        there = replace(served, model=_on_platform(served, platform, objects))
        faults = [*request_faults(there, today, client, policy, known), *_undated(served, platform, objects, today)]
        known.update(faults)
        yield from faults
        yield from cache_faults(served)


def _spec_faults(found: Found, objects: Objects, today: dt.date) -> Iterator[Fault]:
    """What the operator refuses, or finds odd, of all but the requests."""
    try:
        spec = DeploymentSpec.model_validate(found.spec)
    except ValidationError as error:
        path, said = split_message(first_fault(error))
        yield Fault("spec-invalid", Level.ERROR, ("spec", *path), said)
        return
    for problem in problems(spec, today=today, models=objects.models):
        if problem.reason is Reason.INVALID_SPEC:
            path, said = split_message(problem.message)
            yield Fault("spec-invalid", Level.ERROR, path, said)
    if behind := warning(spec):
        path, said = split_message(behind.message)
        yield Fault("cache-behind-client", Level.WARNING, path, said)


def _platform(spec: Mapping[str, Any]) -> Platform:
    """Where its models run; their dates differ."""
    named = fields_of(spec.get("upstream")).get("platform")
    known: tuple[Platform, ...] = get_args(Platform)
    return next((one for one in known if one == named), "ClaudeAPI")


def _on_platform(served: Served, platform: Platform, objects: Objects) -> Model | None:
    """The model with what is known of it on the platform, whose ids may be others."""
    model = served.model or model_of(catalogue_id(served.model_id, platform), objects.models)
    if model is None:
        return None
    there = on_platform(model, platform)
    return there if is_known_on(model, platform) else replace(there, superseded=None)  # without dates no state either


def _undated(served: Served, platform: Platform, objects: Objects, today: dt.date) -> Iterator[Fault]:
    """A model whose dates on its platform nobody knows: that is no state."""
    if platform == "ClaudeAPI" or (served.name and "model" not in served.own):
        return
    now = lifecycle_of(served.model_id, today, objects.models, platform=platform)
    if now.lifecycle is Lifecycle.UNKNOWN and now.undated:
        yield Fault("model-undated", Level.NOTE, served.path(("model",)), now.sentence(served.model_id))


def _key_faults(found: Found, objects: Objects, today: dt.date) -> Iterator[Fault]:
    """A key of the wrong kind, where its Secret is in the files. What it is does not get into a message."""
    reference = fields_of(fields_of(found.spec.get("upstream")).get("apiKeySecretRef"))
    secret = objects.named("Secret", str(reference.get("name")), found)
    value = _secret_value(secret.value, str(reference.get("key"))) if secret is not None else None
    if value is None:
        return
    for one in check_asked(Asked(None, {}, today, key=key_kind(value))):
        if one.check_id == _KEY:
            _, said = split_message(one.message)
            yield Fault(one.check_id, Level.ERROR, ("spec", "upstream", "apiKeySecretRef"), said)


def _secret_value(secret: Any, key: str) -> str | None:
    """A value of a Secret's manifest, None where it has none that can be read."""
    plain = fields_of(fields_of(secret).get("stringData")).get(key)
    if isinstance(plain, str):
        return plain.strip()
    coded = fields_of(fields_of(secret).get("data")).get(key)
    try:
        return base64.b64decode(coded, validate=True).decode().strip() if isinstance(coded, str) else None
    except (binascii.Error, ValueError):
        return None


def _client_lists(spec: Mapping[str, Any]) -> frozenset[str]:
    """Which of tools and system clients add to."""
    merges = spec.get("overrides") or {}
    return frozenset(name for name in ("tools", "system") if merges.get(name, "Replace") != "Replace")


def _policy(spec: Mapping[str, Any]) -> LifecyclePolicy:
    """The default where it cannot be read."""
    try:
        return LifecyclePolicy.model_validate(spec.get("lifecycle") or {})
    except ValidationError:
        return LifecyclePolicy()


def _prompt_keys(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    references = [source["configMapKeyRef"] for source in spec.get("promptFrom") or ()]
    return [(reference["name"], reference["key"]) for reference in references]


def request_faults(
    served: Served,
    today: dt.date,
    client: frozenset[str] = frozenset(),
    policy: LifecyclePolicy | None = None,
    known: Container[Fault] = (),
) -> Iterator[Fault]:
    """Every row of the table of checks that finds something in a request. `known`: what has been said of spec.request,
    which a subagent that takes the same from there does not say again.
    """
    asked = Asked(served.model, served.request, today, prompts=served.prompts, client=client)
    for one in check_asked(asked):
        level = _level(one, policy)
        if level is None:
            continue
        path, (_, said) = _path(served, one.path), split_message(one.message)
        fault = Fault(one.check_id, level, path, said + _because(one, policy))
        if fault in known:
            continue
        if served.name and path[:2] != ("spec", "subagents"):  # a field of spec.request that its own do not go with
            own = ("model",) if "model" in served.own else ()
            fault = replace(fault, path=(*served.path(()), *own), message=one.message)
        yield fault


def _path(served: Served, path: Path) -> Path:
    """A path below the request, in which blocks of promptFrom are told apart, as one in the object."""
    if path[:1] == ("promptFrom",):
        return served.path(("system", *path[1:]))
    if path[:1] == ("system",) and len(path) > 1 and isinstance(path[1], int):
        return served.path(("system", path[1] + served.prompts, *path[2:]))
    return served.path(path)


def _level(one: Checked, policy: LifecyclePolicy | None) -> Level | None:
    """None where spec.lifecycle says that it does not matter."""
    field = _POLICIES.get(one.check_id)
    if field is not None and policy is not None:
        return {"Ignore": None, "Warn": Level.WARNING, "Reject": Level.ERROR}[getattr(policy, field)]
    return Level.ERROR if one.severity is Severity.ERROR else Level.WARNING


def _because(one: Checked, policy: LifecyclePolicy | None) -> str:
    field = _POLICIES.get(one.check_id)
    if field is None or policy is None or getattr(policy, field) != "Reject":
        return ""
    return f" (spec.lifecycle.on{_STATES[one.check_id]}: Reject)"


def _prompts(found: Found, objects: Objects) -> Iterator[Fault]:
    """Texts that are not in the files are not checked; one whose key is missing cannot be read by anybody."""
    for number, (name, key) in enumerate(_prompt_keys(found.spec)):
        path: Path = ("spec", "promptFrom", number, "configMapKeyRef")
        holder = objects.config_map(name, found)
        if holder is None:
            said = f"the ConfigMap {name} is in none of the files, so its text is not checked: add it with -f"
            yield Fault("prompt-unknown", Level.NOTE, path, said)
            continue
        data = _data(holder.value)
        if key not in data:
            has = ", ".join(list(data)[:3]) or "none"
            said = f"the ConfigMap {name} has no key {key} (it has {has}): correct one of them"
            yield Fault("prompt-missing", Level.ERROR, (*path, "key"), said)
        elif not data[key]:
            said = f"key {key} of the ConfigMap {name} is empty: write the text, or remove the entry"
            yield Fault("prompt-missing", Level.ERROR, (*path, "key"), said)


def _data(value: Any) -> Mapping[str, Any]:
    data = value.get("data") if isinstance(value, Mapping) else None
    return data if isinstance(data, Mapping) else {}
