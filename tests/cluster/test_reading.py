"""What people read: columns, `describe`, Events, sentences; and `kubectl wait` as the hook of CI."""

from __future__ import annotations

import re
import shlex
import time
from collections import Counter
from typing import Any

import pytest
from tests.cluster import apps
from tests.cluster.apps import Object, config_map, deployment, secret
from tests.cluster.support import CommandError, command, condition, get, kubectl, wait_for
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")

COLUMNS = ["NAME", "MODEL", "STABLE", "CANARY", "WEIGHT", "READY", "REASON", "MODELSTATE", "MIGRATESTO", "AGE"]
STEPS = [
    {"setWeight": 10},
    {"bake": {"minDuration": "4s", "minRequests": 10}},
    {"setWeight": 50},
    {"pause": {}},
]


def rollout(prompt: str, **fields: Any) -> Object:
    analysis = {"interval": "1s", "toleratedIncrease": "100%"}
    return deployment(prompt, strategy={"canary": {"steps": STEPS, "analysis": analysis}}, **fields)


def columns(namespace: str, name: str = "app") -> dict[str, str]:
    """`kubectl get cld` as column -> value, by the places where the headings stand."""
    head, line = kubectl("get", "cld", name, namespace=namespace).splitlines()
    places = [(found.group(), found.start()) for found in re.finditer(r"\S+", head)]
    ends = [start for _, start in places[1:]] + [len(line)]
    return {word: line[start:end].strip() for (word, start), end in zip(places, ends, strict=True)}


def show(*words: str, namespace: str) -> str:
    """Run kubectl and print what it says, so that a person can look at it."""
    text = kubectl(*words, namespace=namespace)
    print(f"$ kubectl {shlex.join(words)}\n{text}")
    return text


def start(namespace: str) -> str:
    apps.apply(secret(), namespace)
    apps.apply(rollout("v1"), namespace)
    revision = apps.promoted(namespace)
    apps.answered(namespace)
    return revision


def as_printed(message: str) -> None:
    """Run the command that a message ends with, as it stands."""
    words = shlex.split(message[message.index("kubectl ") :])
    command(*words)


def test_a_rollout_reads_well(namespace: str) -> None:
    first = start(namespace)
    shown = columns(namespace)
    assert list(shown) == COLUMNS
    assert shown.pop("AGE")
    quiet = {"NAME": "app", "MODEL": "claude-haiku-5-5", "READY": "True", "MODELSTATE": "Active", "MIGRATESTO": ""}
    assert shown == quiet | {"STABLE": first, "CANARY": "", "WEIGHT": "", "REASON": "Promoted"}

    seen: list[dict[str, str]] = []
    with Traffic("app", namespace) as traffic:
        wait_for(lambda: len(traffic.answers) > 5, 30)
        apps.apply(rollout("v2"), namespace)

        def waits_for_a_person() -> bool:
            seen.append({key: value for key, value in columns(namespace).items() if key != "AGE"})
            return seen[-1]["REASON"] == "Paused"

        wait_for(waits_for_a_person, 60, "no pause came")
        second = seen[-1]["CANARY"]
        assert seen[-1] == quiet | {"STABLE": first, "CANARY": second, "WEIGHT": "50", "REASON": "Paused"}
        assert second.startswith("app-") and second != first
        assert {one["WEIGHT"] for one in seen if one["CANARY"]} <= {"", "10", "50"}
        assert {one["READY"] for one in seen} == {"True"}
        show("get", "cld,clr,cer,clm", namespace=namespace)
        show("get", "cld", "-o", "wide", namespace=namespace)
        show("describe", "cld", "app", namespace=namespace)
        message = condition(get("cld", "app", namespace=namespace), "Promoted")["message"]
        print(message)
        as_printed(message)
        apps.promoted(namespace)
    assert not traffic.failed()
    shown = columns(namespace)
    assert (shown["STABLE"], shown["CANARY"], shown["WEIGHT"], shown["REASON"]) == (second, "", "", "Promoted")
    wait_for(lambda: states(namespace) == {first: "Old", second: "Stable"}, 20)
    wait_for(lambda: apps.events(namespace)[-1]["reason"] == "Draining", 20, "not all is told")

    described = show("describe", "cld", "app", namespace=namespace)
    for word in (
        "Stable Revision:",
        "Conditions:",
        "Observed Generation:",
        "Events:",
        "RolloutStarted",
        "WeightChanged",
    ):
        assert word in described
    assert_told_once(namespace)
    told = [event["reason"] for event in apps.events(namespace)]
    assert told == [
        *("RevisionCreated", "RolloutStarted", "Promoted"),
        *("RevisionCreated", "RolloutStarted", "WeightChanged", "WeightChanged", "Promoted", "Draining"),
    ]
    lines = described.partition("Events:")[2].splitlines()
    assert [line.split()[1] for line in lines if line.split()[:1] in (["Normal"], ["Warning"])] == told


def states(namespace: str) -> dict[str, str]:
    """What each ClaudeRevision says of itself."""
    return {one["metadata"]["name"]: one["status"]["state"] for one in get("clr", namespace=namespace)}


def assert_told_once(namespace: str) -> None:
    """One Event a transition: none of them twice, and nothing but what a person wants to know."""
    told = [(event["type"], event["reason"], event["note"]) for event in apps.events(namespace)]
    for one in told:
        print(*one)
    assert not [one for one, number in Counter(told).items() if number > 1]


def test_a_rollback_reads_well(namespace: str) -> None:
    """The API refuses every request of the new revision; the message has the numbers and what to do about it."""
    first = start(namespace)
    with Traffic("app", namespace):
        apps.apply(rollout("v2", request={"a_field_of_next_year": 1}), namespace)
        message = apps.told(namespace, "Promoted", "False", "RolledBack", timeout=60)
    print(message)
    item = get("cld", "app", namespace=namespace)
    failed = item["status"]["rollouts"][-1]["revision"]
    pattern = (
        rf"Rolled back {failed} at 10 %: errors in \d+ of \d+ conversations"
        r" against 0 of \d+ \([^()]+ points, 95 % interval [^()]+\),"
        rf" evidence \S+ ≥ 100(, .* after the first bad tick)?; its commonest error: 400 invalid_request_error: …"
        rf" Extra inputs are not permitted\. To try it again: kubectl -n {namespace} annotate"
        rf" --overwrite cld app claudeops.dev/retry={failed}/1"
    )
    assert re.fullmatch(pattern, message)
    healthy = condition(item, "CanaryHealthy")
    assert (healthy["status"], healthy["reason"]) == ("False", "ErrorsIncreased")
    assert condition(item, "Ready")["status"] == "True"
    shown = columns(namespace)
    assert (shown["STABLE"], shown["CANARY"], shown["WEIGHT"], shown["REASON"]) == (first, "", "", "RolledBack")
    show("get", "cld,clr", namespace=namespace)
    show("describe", "cld", "app", namespace=namespace)
    wait_for(lambda: states(namespace) == {first: "Stable", failed: "Failed"}, 20)
    wait_for(lambda: any(one["reason"] == "RolledBack" for one in apps.events(namespace)), 20, "it is not told")
    assert_told_once(namespace)
    warnings = [event["reason"] for event in apps.events(namespace) if event["type"] == "Warning"]
    assert warnings == ["RolledBack"]
    as_printed(message)
    wait_for(lambda: get("cld", "app", namespace=namespace)["status"]["rollout"]["attempt"] == 2, 10, "no second try")


def test_wait_never_takes_the_last_specs_word(namespace: str) -> None:
    """Applied and waited for at once, Promoted is of the new generation or there is none."""
    start(namespace)
    held = rollout("v2")
    held["spec"]["paused"] = True
    wrong = deployment("v2", gateway={"replicas": 1, "resources": {"requests": {"memory": "no size"}}})
    for change in (held, wrong):
        kubectl("apply", "-f", "-", input=change, namespace=namespace)
        with pytest.raises(CommandError, match="timed out waiting for the condition"):
            kubectl("wait", "cld/app", "--for=condition=Promoted", "--timeout=4s", namespace=namespace)
    kubectl("apply", "-f", "-", input=deployment("v3"), namespace=namespace)
    said = kubectl("wait", "cld/app", "--for=condition=Promoted", "--timeout=300s", namespace=namespace)
    assert said == "claudedeployment.claudeops.dev/app condition met\n"
    item = get("cld", "app", namespace=namespace)
    assert item["status"]["observedGeneration"] == item["metadata"]["generation"]
    assert item["status"]["stableRevision"] == item["status"]["rollout"]["revision"]
    spec = get("clr", item["status"]["stableRevision"], namespace=namespace)["spec"]
    assert spec["request"]["system"][0]["text"] == "v3"
    assert_told_once(namespace)


def test_nothing_is_written_while_nothing_changes(namespace: str) -> None:
    """Passes come and go, and children are looked at, without a write."""
    apps.apply(secret(), namespace)
    apps.apply(config_map("prompts", a_md="Be kind."), namespace)  # is read anew every 15 s
    prompt = [{"configMapKeyRef": {"name": "prompts", "key": "a.md"}}]
    apps.apply(deployment(promptFrom=prompt), namespace)
    apps.promoted(namespace)
    apps.told(namespace, "GatewayReady", "True", "GatewaysCurrent")
    before = at_rest(namespace)
    # A gateway Deployment that changes has the operator look at all children at once, else it does every minute.
    kubectl("label", "deployment", "app-gateway", "touched=yes", namespace=namespace)
    kubectl("annotate", "cld", "app", "touched=yes", namespace=namespace)
    before |= {name: versions(namespace)[name] for name in ("Deployment/app-gateway", "ClaudeDeployment/app")}
    told = len(get("events", namespace=namespace))
    time.sleep(22)
    assert versions(namespace) == before
    assert len(get("events", namespace=namespace)) == told


def at_rest(namespace: str) -> dict[str, str]:
    """The versions, once they have stayed for two seconds."""

    def stays() -> dict[str, str] | None:
        first = versions(namespace)
        time.sleep(2)
        return first if versions(namespace) == first else None

    found = wait_for(stays, 30, "it did not come to rest")
    assert found
    return found


def versions(namespace: str) -> dict[str, str]:
    """resourceVersions of all that the operator writes."""
    kinds = "cld,clr,configmaps,secrets,serviceaccounts,roles,rolebindings,services,deployments,poddisruptionbudgets"
    every = get(kinds, namespace=namespace)
    return {f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"] for one in every}


EXPLAINED = {
    "cld.spec.strategy.canary": [
        "Live traffic moves to a new revision step by step, judged against stable",
        "its weight goes to 0 in the same tick",
        "What is missing (traffic, metrics, a person) only holds.",
    ],
    "cld.spec.strategy.canary.steps.pause": ["How long. Left out: until a person annotates"],
    "cld.spec.evals": ["a revision gets its first live request after its eval run has passed"],
    "cld.status.conditions": ["Why, as a sentence."],
    "cld.status.rollouts.message": ["Why, as a sentence."],
}


@pytest.mark.parametrize("path", EXPLAINED)
def test_explain_tells_what_a_person_wants_to_know(path: str) -> None:
    text = " ".join(show("explain", path, namespace="default").split())
    for words in EXPLAINED[path]:
        assert words in text
