"""A model passes through its life while it serves, and another one takes its place before users see it fail."""

from __future__ import annotations

import datetime as dt
import json
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster import apps, support
from tests.cluster.rollouts import bake, deployment, scenario, start
from tests.cluster.support import CommandError, condition, get, kubectl, wait_for
from tests.cluster.traffic import Traffic
from tests.plugin import Plugin

pytestmark = pytest.mark.usefixtures("operator")

Object = dict[str, Any]
NEW = "claude-haiku-5-5"


def day(offset: int) -> str:
    return (dt.datetime.now(dt.UTC).date() + dt.timedelta(days=offset)).isoformat()


@pytest.fixture
def model(namespace: str) -> Iterator[str]:
    """A model of an admin's own, Active, which the simulator answers for by the rules of another one."""
    name = f"claude-test-{secrets.token_hex(3)}"
    prices = {"input": 1, "output": 5, "cacheRead": 0.1, "cacheWrite5M": 1.25, "cacheWrite1H": 2}
    spec = {"id": name, "maxOutputTokens": 4096, "releasedAt": day(-900), "pricesUSDPerMTok": prices}
    metadata = {"name": name}
    apps.apply(
        {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeModel", "metadata": metadata, "spec": spec}, "default"
    )
    answers(name, "Active")
    yield name
    kubectl("delete", "clm", name, "--wait=false")


def answers(model: str, state: str) -> None:
    """What the API says of it from now on; a Retired model gets 404."""
    scenario(lifecycle=[{"model": model, "like": NEW, "state": state}])


def ages(model: str, **dates: Any) -> None:
    """Write its dates into the catalogue."""
    kubectl("patch", "clm", model, "--type=merge", "-p", json.dumps({"spec": dates}))


def request(model: str, prompt: str = "v1") -> Object:
    return {"model": model, "max_tokens": 64, "system": [{"type": "text", "text": prompt}]}


def edit(namespace: str, **spec: Any) -> None:
    kubectl("patch", "cld", "app", "--type=merge", "-p", json.dumps({"spec": spec}), namespace=namespace)


def migration(namespace: str) -> Object:
    found: Object = get("cld", "app", namespace=namespace)["status"].get("migration") or {}
    return found


def reach(namespace: str, state: str, timeout: float = 90) -> Object:
    """Wait until the migration is in this state."""
    found: Object = wait_for(
        lambda: (one := migration(namespace)).get("state") == state and one, timeout, f"the migration is not {state}"
    )  # type: ignore[assignment]
    return found


def reasons(namespace: str) -> Counter[str]:
    """How often each reason was told."""
    counted: Counter[str] = Counter()
    for one in apps.events(namespace):
        counted[one["reason"]] += 1 + int((one.get("series") or {}).get("count") or 0)
    return counted


def columns(namespace: str) -> Object:
    """The row of `kubectl get cld`, by its headings; no cell of it has spaces."""
    lines = kubectl("get", "cld", "app", "--output=custom-columns=" + _COLUMNS, namespace=namespace).splitlines()
    return dict(zip(lines[0].split(), lines[1].split(), strict=True))


_COLUMNS = "MODEL:.spec.request.model,MODELSTATE:.status.model.lifecycle,MIGRATESTO:.status.migration.to"


def test_a_model_passes_through_its_life_and_is_replaced(namespace: str, model: str) -> None:
    """Active, Legacy, Deprecated, Retired: the last in mid-rollout, and the cure goes through."""
    steps = [{"setWeight": 20}, bake(40), {"setWeight": 50}, bake(5)]
    migrate = {"to": NEW, "onlyWithEvals": False}
    first = start(namespace, steps=steps, request=request(model), lifecycle={"migrate": migrate})
    assert apps.told(namespace, "ModelCurrent", "True", "Active").startswith(f"{model} is Active")
    assert columns(namespace) == {"MODEL": model, "MODELSTATE": "Active", "MIGRATESTO": "<none>"}
    ages(model, legacyAt=day(-1))
    apps.told(namespace, "ModelCurrent", "False", "Legacy")
    assert columns(namespace) == {"MODEL": model, "MODELSTATE": "Legacy", "MIGRATESTO": "<none>"}
    with Traffic("app", namespace, rate=40) as traffic:
        wait_for(lambda: len(traffic.answers) > 20, 30)
        ages(model, deprecatedAt=day(-1), retiresAt=day(20), replacement=NEW)
        said = apps.told(namespace, "ModelCurrent", "False", "Deprecated")
        assert f"retires {day(20)} (in 20 days)" in said
        known = reach(namespace, "InProgress")
        assert (known["from"], known["to"], known["replaced"]) == ([model], NEW, [model])
        assert columns(namespace) == {"MODEL": model, "MODELSTATE": "Deprecated", "MIGRATESTO": NEW}
        print(kubectl("get", "cld", namespace=namespace))
        wait_for(lambda: get("cld", "app", namespace=namespace)["status"].get("step", {}).get("weight") == 20, 60)
        assert not [one for one in traffic.answers if one.error]
        ages(model, retiresAt=day(6))
        wait_for(lambda: reasons(namespace)["ModelRetires"] == 1, 30, "the days that are left are not told")
        answers(model, "Retired")
        ages(model, retiresAt=day(-1))
        apps.told(namespace, "ModelCurrent", "False", "Retired")
        wait_for(lambda: any(one.error for one in traffic.answers), 30, "the retired model still answers")
        assert reach(namespace, "Promoted", 180)["revision"] == known["revision"]
        apps.told(namespace, "ModelCurrent", "True", "Active")
        now = get("cld", "app", namespace=namespace)
        assert now["status"]["stableRevision"] == known["revision"] != first
        assert now["spec"]["request"]["model"] == model, "the spec is never written"
        asked = len(traffic.answers)
        wait_for(lambda: len(traffic.answers) > asked + 100, 60)
        traffic.stop()
    late = traffic.answers[asked + 40 :]  # what had begun before the promotion is over
    assert late
    assert {(one.revision, one.error) for one in late} == {(known["revision"], "")}
    hurt = {one.revision for one in traffic.answers if one.error}
    assert hurt == {first}, "the new model failed nobody"
    told = reasons(namespace)
    print(told)
    for reason in ("Legacy", "Deprecated", "ModelRetires", "Retired", "MigrationStarted", "RolloutStarted"):
        assert told[reason] == (2 if reason == "RolloutStarted" else 1), told
    assert not told["MigrationStopped"]
    edit(namespace, request=request(NEW))
    wait_for(lambda: not migration(namespace), 30, "the migration stays in the status")
    assert apps.promoted(namespace) == known["revision"], "writing the model into the spec rolls nothing out"
    assert columns(namespace) == {"MODEL": NEW, "MODELSTATE": "Active", "MIGRATESTO": "<none>"}


def test_what_the_new_model_refuses_stops_it_until_it_is_changed(namespace: str, model: str) -> None:
    """And evals hold it: one that fails its gate reaches nobody."""
    refused = {**request(model), "temperature": 0.5}
    first = start(namespace, steps=[], request=refused, lifecycle={"migrate": {"to": NEW}})
    ages(model, deprecatedAt=day(-1), retiresAt=day(20))
    known = reach(namespace, "Stopped")
    assert f"{NEW} refuses it" in known["message"]
    wait_for(lambda: reasons(namespace)["MigrationStopped"] == 1, 30)
    said = apps.told(namespace, "ModelCurrent", "False", "Deprecated")
    assert "is stopped" in said
    assert "temperature" in said
    edit(namespace, request={"temperature": None})
    known = reach(namespace, "Stopped")
    wait_for(lambda: "add spec.evals" in migration(namespace)["message"], 60)
    check = [{"type": "contains", "value": "no answer has this text"}]
    wanted = [{"id": "one", "input": "How are you?", "critical": True, "assert": check}]
    evals = {"apiVersion": "claudeops.dev/v1alpha1", "kind": "ClaudeEvalSet", "metadata": {"name": "smoke"}}
    apps.apply({**evals, "spec": {"tests": wanted}}, namespace)
    edit(namespace, evals={"setRef": {"name": "smoke"}})
    failed = reach(namespace, "Failed", 180)
    print(failed["message"])
    assert "EvalFailed" in failed["message"]
    served = get("cld", "app", namespace=namespace)["status"]["stableRevision"]
    assert served not in (failed["revision"], first)
    assert apps.answered(namespace).revision == served


@pytest.fixture
def plugin(namespace: str, tmp_path: Path) -> Iterator[Plugin]:
    found = Plugin(tmp_path / "bin", namespace, os.environ, os.environ["PATH"])
    yield found
    found.end_all()


def test_people_see_a_migration_and_go_back(namespace: str, model: str, plugin: Plugin) -> None:
    window = {"rollbackWindow": {"duration": "1h"}}
    app = deployment("v1", [], request=request(model), lifecycle={"migrate": {"to": NEW, "onlyWithEvals": False}})
    app["spec"]["strategy"]["canary"] |= window
    support.apply(apps.secret(), namespace)
    support.apply(app, namespace)
    first = apps.promoted(namespace)
    ages(model, deprecatedAt=day(-1), retiresAt=day(20))
    known = reach(namespace, "Promoted")
    shown = plugin.run("status", "app")
    print(shown)
    assert f"{model} to {NEW}, Promoted" in " ".join(shown.split())
    print(plugin.run("history", "app"), plugin.run("diff", first, known["revision"]), sep="\n")
    assert NEW in plugin.run("diff", first, known["revision"])
    said = plugin.run("undo", "app")
    assert f"app has the content of {first} again, and no spec.lifecycle.migrate" in said
    wait_for(lambda: get("cld", "app", namespace=namespace)["status"]["stableRevision"] == first, 30)
    assert "migrate" not in get("cld", "app", namespace=namespace)["spec"]["lifecycle"]
    assert apps.answered(namespace).revision == first


def refused(apply: Callable[[], object]) -> str:
    try:
        apply()
    except CommandError as error:
        return error.stderr
    return ""


def test_a_rejected_model_is_refused_where_it_is_written(namespace: str, model: str) -> None:
    """By admission, with the policy of the object; one that uses the model already may still be annotated, paused and
    taken back, and the operator decides about a new revision on it."""
    policy = {"onDeprecated": "Reject"}
    first = start(namespace, steps=[], request=request(model), lifecycle=policy)
    ages(model, deprecatedAt=day(-1), retiresAt=day(20))
    apps.told(namespace, "ModelCurrent", "False", "Deprecated")
    late = apps.deployment(name="late", request=request(model), lifecycle=policy)
    words = ("apply", "--dry-run=server", "-f", "-")
    said = wait_for(lambda: refused(lambda: kubectl(*words, input=late, namespace=namespace)), 30, "it is let in")
    print(said)
    assert "claude-operator-models" in said
    assert f"spec.request.model: {model} is Deprecated: retires {day(20)}" in said
    edit(namespace, request=request(model, "v2"))
    said = apps.told(namespace, "Accepted", "False", "ModelRejected")
    assert f"{first} keeps serving" in said
    edit(namespace, request=request(model))
    apps.told(namespace, "Accepted", "True", "Valid")
    kubectl("annotate", "cld", "app", "example.com/note=here", namespace=namespace)
    edit(namespace, paused=True)
    edit(namespace, paused=False)
    edit(namespace, request=request(NEW, "v2"))
    wait_for(lambda: get("cld", "app", namespace=namespace)["status"]["stableRevision"] != first, 60)
    assert condition(get("cld", "app", namespace=namespace), "ModelCurrent")["status"] == "True"
