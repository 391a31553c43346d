"""Models in their lives: the catalogue as objects, an admin's own, and what deployments say of them."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import apps
from tests.cluster.apps import Object, deployment, secret
from tests.cluster.support import condition, find, get, kubectl, wait_for

pytestmark = pytest.mark.usefixtures("operator")


def day(offset: int) -> str:
    return (dt.datetime.now(dt.UTC).date() + dt.timedelta(days=offset)).isoformat()


def test_every_model_of_the_catalogue_is_an_object_of_today(operator: object) -> None:
    models = {one["spec"]["id"]: one for one in get("clm")}
    active, retired = models["claude-haiku-5-5"], models["claude-3-opus-20240229"]
    assert active["status"]["lifecycle"] == "Active"
    assert active["spec"]["maxOutputTokens"] == 128_000
    assert retired["status"]["lifecycle"] == "Retired"
    assert retired["status"]["message"] == (
        "claude-3-opus-20240229 is Retired since 2026-01-05: requests for it fail; use claude-opus-4-8"
    )
    assert {one["status"]["lifecycle"] for one in models.values()} <= {"Active", "Legacy", "Deprecated", "Retired"}
    print(kubectl("get", "clm"))


def test_what_somebody_changes_in_the_catalogue_is_put_right(operator: object) -> None:
    """Here a model that no test uses; what the catalogue does not say may be added."""
    before = get("clm", "claude-fable-5")["status"]["lifecycle"]
    patch("claude-fable-5", maxOutputTokens=1)
    wait_for(lambda: get("clm", "claude-fable-5")["spec"]["maxOutputTokens"] > 1, 20)
    kubectl("delete", "clm", "claude-fable-5")
    wait_for(lambda: (find("clm", "claude-fable-5") or {}).get("status", {}).get("lifecycle") == before, 20)


@pytest.fixture
def model() -> Iterator[str]:
    """A model that the catalogue does not know, made by an admin, and in use until today."""
    name = f"claude-test-{secrets.token_hex(3)}"
    apps.apply(made(name), "default")
    yield name
    kubectl("delete", "clm", name, "--wait=false")


def made(name: str) -> Object:
    prices = {"input": 1, "output": 5, "cacheRead": 0.1, "cacheWrite5M": 1.25, "cacheWrite1H": 2}
    spec = {"id": name, "maxOutputTokens": 4096, "releasedAt": day(-900), "pricesUSDPerMTok": prices}
    return {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeModel", "metadata": {"name": name}, "spec": spec}


def patch(model: str, **dates: Any) -> None:
    kubectl("patch", "clm", model, "--type=merge", "-p", json.dumps({"spec": dates}))


def state(namespace: str, name: str = "app") -> str:
    """The column MODELSTATE."""
    path = "-o=jsonpath={.status.model.lifecycle}"
    return kubectl("get", "cld", name, path, namespace=namespace)


def test_a_model_grows_old(namespace: str, model: str) -> None:
    """What serves on it goes on; new revisions are let in as spec.lifecycle says."""
    apps.apply(secret(), namespace)
    mine = {"model": model, "max_tokens": 64}
    policy = {"onDeprecated": "Reject", "onRetired": "Reject"}
    apps.apply(deployment(request=mine, lifecycle=policy), namespace)
    first = apps.promoted(namespace)
    said = apps.told(namespace, "ModelCurrent", "True", "Active")
    assert said == f"{model} is Active"

    walk = [
        ({"legacyAt": day(-1)}, "Legacy", f"{model} is Legacy"),
        (
            {"deprecatedAt": day(-1), "retiresAt": day(69), "replacement": "claude-haiku-5-5"},
            "Deprecated",
            f"{model} is Deprecated: retires {day(69)} (in 69 days); use claude-haiku-5-5",
        ),
        ({"retiresAt": day(-1)}, "Retired", f"{model} is Retired since {day(-1)}: requests for it fail;"
         " use claude-haiku-5-5"),
    ]  # fmt: skip
    for dates, lifecycle, sentence in walk:
        patch(model, **dates)
        assert apps.told(namespace, "ModelCurrent", "False", lifecycle) == sentence
        assert state(namespace) == lifecycle
        wait_for(lambda sentence=sentence: get("clm", model)["status"]["message"] == sentence, 20)
        print(kubectl("get", "cld", namespace=namespace))
        ready = condition(get("cld", "app", namespace=namespace), "Ready")
        assert ready["status"] == "True"
        if lifecycle == "Deprecated":
            apps.apply(deployment("v2", request=mine, lifecycle=policy), namespace)
            refused = apps.told(namespace, "Accepted", "False", "ModelRejected")
            print(refused)
            assert refused == f"{sentence} (spec.lifecycle.onDeprecated: Reject); {first} keeps serving"
            assert apps.ask(namespace).revision == first
            apps.apply(deployment(request=mine, lifecycle=policy), namespace)
            apps.told(namespace, "Accepted", "True", "Valid")
    assert len(get("clr", namespace=namespace)) == 1

    def about() -> list[Object]:
        return [event for event in apps.events(namespace) if event["reason"] in ("Legacy", "Deprecated", "Retired")]

    wait_for(lambda: len(about()) >= len(walk), 20, "not all is told")
    assert [(one["type"], one["reason"], one["note"]) for one in about()] == [
        ("Warning", lifecycle, sentence) for _, lifecycle, sentence in walk
    ]
    apps.apply(deployment("v3", lifecycle=policy), namespace)
    apps.promoted(namespace)
    apps.told(namespace, "ModelCurrent", "True", "Active")
    assert state(namespace) == "Active"


def test_only_those_that_use_a_model_are_flagged(namespace: str, model: str) -> None:
    patch(model, deprecatedAt=day(-10), retiresAt=day(5))
    wait_for(lambda: get("clm", model).get("status", {}).get("lifecycle") == "Deprecated", 20)
    apps.apply(secret(), namespace)
    researcher = {"researcher": {"request": {"model": model}}}
    apps.apply(deployment(name="flagged", subagents=researcher), namespace)
    apps.apply(deployment(name="fine"), namespace)
    for name in ("flagged", "fine"):
        apps.promoted(namespace, name)
    said = apps.told(namespace, "ModelCurrent", "False", "Deprecated", name="flagged")
    assert said == f"{model} is Deprecated: retires {day(5)} (in 5 days); used by subagent researcher"
    apps.told(namespace, "ModelCurrent", "True", "Active", name="fine")
    assert not [one for one in apps.events(namespace, "fine") if one["type"] == "Warning"]
    told = lambda: [one for one in apps.events(namespace, "flagged") if one["reason"] == "Deprecated"]  # noqa: E731
    wait_for(told, 20, "it is not told")
    assert len(told()) == 1


def test_a_price_reaches_gateways_and_a_missing_one_is_told(namespace: str, model: str) -> None:
    """A person's ClaudeModel; what it costs is in the gateways' own document, and nowhere in the list."""
    apps.apply(secret(), namespace)
    apps.apply(deployment(request={"model": model, "max_tokens": 64}), namespace)
    apps.promoted(namespace)

    def told() -> Object:
        """What gateways count by, of this model."""
        written = (find("configmap", "app-gateway", namespace=namespace) or {}).get("data", {}).get("prices.json", "{}")
        found: Object = json.loads(written).get(model, {})
        return found

    whole = {"input": 1.0, "output": 5.0, "cacheRead": 0.1, "cacheWrite5M": 1.25, "cacheWrite1H": 2.0}
    wait_for(lambda: told() == whole, 60)
    patch(model, pricesUSDPerMTok={"input": 2})
    wait_for(lambda: told() == whole | {"input": 2.0}, 60)
    patch(model, pricesUSDPerMTok=None)
    said = apps.told(namespace, "ModelCurrent", "Unknown", "PriceUnknown")
    assert said.startswith(f"{model} has no price, so what its answers cost is not known")
    assert told() == {}
