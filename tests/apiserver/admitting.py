"""Admission policies as the chart renders them, in force on an API server, and what they say."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.apiserver.client import ApiError, Client, refusal, wait_for
from tests.apiserver.objects import SPEC, deployment
from tests.apiserver.process import rendered

from claude_operator.core.catalogue.objects import model_objects, model_status
from claude_operator.core.catalogue.table import Model

Object = dict[str, Any]
TODAY = dt.date(2026, 11, 24)
PLAIN: Object = {"model": "claude-opus-5-5", "max_tokens": 100}
_PROBES = {  # what each policy that refuses says no to, and no other
    "requests": {"request": PLAIN | {"service_tier": "fast"}},
    "models": {"request": PLAIN | {"max_tokens": 10**9}},
}


def publish_models(admin: Client, today: dt.date = TODAY, models: Iterable[Object] | None = None) -> None:
    """Apply ClaudeModels with their status on a day, as the operator keeps them."""
    known: dict[str, Model] = {}
    for one in models or model_objects():
        admin.apply(one)
        status = model_status(one["spec"], today, known).model_dump(by_alias=True, exclude_none=True, mode="json")
        head = {key: one[key] for key in ("apiVersion", "kind")} | {"metadata": {"name": one["metadata"]["name"]}}
        admin.apply({**head, "status": status}, subresource="status")


def enforce(admin: Client, helm: Path, namespace: str, *, failing: str = "Fail") -> list[Object]:
    """Put the chart's policies in force in a namespace; returns them.

    `failing` is what becomes of a rule that cannot be evaluated. The chart lets the request in; a test wants to know.
    """
    values = (f"fullnameOverride={namespace}", f"watchNamespaces={{{namespace}}}")
    made = rendered(helm, "claude-system", *values, file="admission.yaml")
    for one in made:
        if one["kind"] == "ValidatingAdmissionPolicy":
            one["spec"]["failurePolicy"] = failing
        admin.apply(one)
    for suffix, spec in _PROBES.items():
        policy = f"ValidatingAdmissionPolicy '{namespace}-{suffix}'"
        wait_for(
            lambda policy=policy, spec=spec: policy in said(admin, deployment(**spec), namespace),
            60,
            f"{policy} is not in force",
        )
    return made


def lift(admin: Client, policies: Iterable[Object]) -> None:
    """Delete policies and bindings."""
    for one in policies:
        admin.delete(one["kind"], one["metadata"]["name"])


def said(admin: Client, body: Object, namespace: str) -> str:
    """The message with which an object is refused, nothing where it is taken."""
    return message(refusal(admin, body, namespace))


def message(error: str) -> str:
    """The message of an error as the API server writes it."""
    _, _, text = error.partition(": ")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError):
        return error


def changed(admin: Client, name: str, namespace: str, patch: Object) -> str:
    """What is said against a change of a ClaudeDeployment, nothing where it is taken."""
    try:
        admin.patch("ClaudeDeployment", name, namespace, patch)
    except ApiError as error:
        return message(str(error))
    return ""


def overlaid(request: Object, base: Object = PLAIN) -> Object:
    """A ClaudeDeployment of which a subagent has that request."""
    return deployment(request=base, subagents={"s": {"request": request}})


def warnings(kubectl: tuple[str, ...], body: Object, namespace: str) -> list[str]:
    """The warnings with which `kubectl apply` is answered; nothing is stored."""
    done = _applied(kubectl, body, namespace)
    assert done.returncode == 0, done.stderr
    return [line.removeprefix("Warning: ") for line in done.stderr.splitlines() if line.startswith("Warning: ")]


def refused(kubectl: tuple[str, ...], body: Object, namespace: str) -> str:
    """What `kubectl apply` says where an object is refused."""
    done = _applied(kubectl, body, namespace)
    assert done.returncode == 1, done.stdout
    return done.stderr.strip()


def _applied(kubectl: tuple[str, ...], body: Object, namespace: str) -> subprocess.CompletedProcess[str]:
    command = [*kubectl, f"--namespace={namespace}", "apply", "--dry-run=server", "--filename=-"]
    return subprocess.run(command, input=json.dumps(body), capture_output=True, text=True, timeout=120, check=False)


__all__ = [
    "PLAIN",
    "SPEC",
    "TODAY",
    "changed",
    "enforce",
    "lift",
    "message",
    "overlaid",
    "publish_models",
    "refused",
    "said",
    "warnings",
]
