"""Lifecycles on a real API server: what the schema refuses, what a person adds, and Events that restarts repeat not."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.apiserver.client import ApiError, Client, wait_for
from tests.apiserver.objects import SPEC, deployment
from tests.apiserver.process import Operator
from tests.apiserver.test_plugin import served, status

Object = dict[str, Any]
KIND = "claudeops.dev/v1alpha1"


@pytest.fixture
def model(admin: Client) -> Iterator[str]:
    """A model of the cluster's own that is Deprecated, and retires in the year 2999."""
    name = f"claude-own-{secrets.token_hex(4)}"
    spec = {"id": name, "deprecatedAt": "2001-01-01", "retiresAt": "2999-12-31", "replacement": "claude-opus-5-5"}
    admin.create({"apiVersion": KIND, "kind": "ClaudeModel", "metadata": {"name": name}, "spec": spec})
    yield name
    admin.delete("ClaudeModel", name)


def patch(admin: Client, model: str, **spec: Any) -> None:
    admin.patch("ClaudeModel", model, None, {"spec": spec})


def test_a_platform_that_nobody_knows_is_refused(admin: Client, model: str) -> None:
    patch(admin, model, platforms={"Bedrock": {"retiresAt": "2027-04-01"}})
    with pytest.raises(ApiError, match="names a platform that is not known: write ClaudeAPI, AWS, Foundry, Google or"):
        patch(admin, model, platforms={"Azure": {"retiresAt": "2027-04-01"}})


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"lifecycle": {"migrate": {"to": "claude opus"}}}, "is not a model id: write it as requests name it"),
        ({"lifecycle": {"migrate": {"to": "x", "when": "Active"}}}, "spec.lifecycle.migrate.when"),
        ({"upstream": {**SPEC["upstream"], "platform": "Azure"}}, "spec.upstream.platform"),
    ],
)
def test_a_spec_that_names_what_is_not_is_refused(admin: Client, namespace: str, spec: Object, says: str) -> None:
    with pytest.raises(ApiError, match=says):
        admin.create(deployment(**spec), namespace)


def test_an_event_says_once_that_the_model_of_a_subagent_retires(
    admin: Client, namespace: str, operate: Callable[..., Operator], model: str
) -> None:
    def said() -> list[str]:
        events = admin.list("Event", namespace)
        return [one["note"] for one in events if one["reason"] == "ModelRetires" for _ in range(_times(one))]

    def told() -> Object:
        return next((one for one in status(admin, namespace).get("models", ()) if one["id"] == model), {})

    operator = operate()
    with served(admin, namespace, operator, subagents={"search": {"request": {"model": model}}}):
        wait_for(lambda: told().get("lifecycle") == "Deprecated", 60, "the model is not in status.models")
        assert told()["where"] == ["subagent search"]
        assert said() == []
        end = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=20)  # 19 where midnight passes meanwhile
        patch(admin, model, retiresAt=end.isoformat(), platforms={"Bedrock": {"state": "Active"}})
        wait_for(said, 60, "no Event")
        assert len(said()) == 1
        assert said()[0].startswith(f"{model} retires in ")
        assert said()[0].endswith(f"days, on {end}; use claude-opus-5-5; used by subagent search")
        wait_for(lambda: status(admin, namespace).get("retirements"), 60, "status does not remember it")
        operator.stop()
        again = operate()
        again.until_leading()
        admin.patch("ClaudeDeployment", "support", namespace, {"metadata": {"labels": {"looked-at": "again"}}})
        patch(admin, model, replacement="claude-sonnet-5-5")  # each ClaudeDeployment is looked at
        wait_for(lambda: told().get("replacement") == "claude-sonnet-5-5", 60, "the new operator has not looked")
        assert len(said()) == 1
        states = admin.take("ClaudeModel", model)["status"]["platforms"]
        assert (states["ClaudeAPI"], states["AWS"], states["Google"], states["Bedrock"]) == (
            "Deprecated",
            "Deprecated",
            "Unknown",
            "Active",
        )


def _times(event: Object) -> int:
    """How often an Event was sent."""
    return int((event.get("series") or {}).get("count", 1))
