"""Live grading on a real cluster: what answers worse with status 200 is found, what is equal is not, and without a
grader nothing goes on."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import apps, rollouts, support
from tests.cluster.apps import Object
from tests.cluster.rollouts import bake, scenario
from tests.cluster.support import get, kubectl, wait_for
from tests.cluster.traffic import Traffic

from claude_operator.api.grading import SAMPLES_KEY
from claude_operator.evals.live.failed import FailedSample, read_samples

pytestmark = pytest.mark.usefixtures("operator")

QUESTIONS = tuple(f"Where is parcel {number}?" for number in range(40))
ANSWERS = [{"question": one, "answer": f"It is on its way to hub {one[16:-1]}."} for one in QUESTIONS]
GRADER = "claude-sonnet-5-5"
WORSE = "Answer in one word."
STEPS = [{"setWeight": 30}, bake(2)]
LIVE = {
    "sampleRate": "1",
    "minPerMinute": 240,
    "maxPerMinute": 1200,
    "rubric": ["It says where the parcel is."],
    "graders": [{"name": "default", "model": GRADER}],
    "keepFailed": 10,
}
EVAL_SET: Object = {
    "apiVersion": "claudeops.dev/v1alpha1",
    "kind": "ClaudeEvalSet",
    "metadata": {"name": "questions"},
    "spec": {
        "tests": [{"id": "a", "input": QUESTIONS[0], "assert": [{"type": "contains", "value": "a"}]}],
        "execution": {"epochs": 1},
    },
}


def graded(prompt: str) -> Object:
    """The gate is not waited for: what it would find is what live grading is to find."""
    evals = {"setRef": {"name": "questions"}, "required": False, "live": LIVE}
    return rollouts.deployment(prompt, STEPS, evals=evals)


def behave(**grader: Any) -> None:
    """One prompt answers short and wrong; the grader does not err, but for what is said."""
    scenario(
        {"match": {"model": GRADER}, "grader": {}, **grader},
        {"match": {"systemContains": WORSE}, "accuracy": 0, "wrongAnswer": "No."},
        answers=ANSWERS,
    )


def rollout(namespace: str) -> Object:
    found: Object = get("cld", "app", namespace=namespace).get("status", {}).get("rollout") or {}
    return found


def ended(namespace: str, besides: str, timeout: float = 120) -> Object:
    """The rollout of a revision other than this one, once it has ended."""

    def look() -> Object | None:
        found = rollout(namespace)
        return found if found.get("revision") != besides and found.get("outcome") else None

    return wait_for(look, timeout, "the rollout does not end") or {}


@pytest.fixture(scope="module")
def serving(operator: object) -> Iterator[tuple[str, str]]:
    """(namespace, revision): the first revision serves."""
    behave()
    with apps.space("live") as namespace:
        support.apply(rollouts.SECRET, namespace)
        support.apply(EVAL_SET, namespace)
        support.apply(graded("v1"), namespace)
        revision = apps.promoted(namespace)
        support.wait("cld/app", until="condition=GatewayReady", timeout=90, namespace=namespace)
        yield namespace, revision
        scenario()


def test_short_and_wrong_answers_of_status_200_are_taken_back_and_kept(serving: tuple[str, str]) -> None:
    namespace, first = serving
    with Traffic("app", namespace, rate=15, questions=QUESTIONS) as traffic:
        wait_for(lambda: len(traffic.answers) > 20, 30)
        support.apply(graded(WORSE), namespace)
        found = ended(namespace, first)
        print(found["message"])
        assert (found["outcome"], found["reason"]) == ("RolledBack", "GradesWorsened")
    assert not traffic.failed()

    def kept() -> list[FailedSample]:
        data = get("secret", "app-failed-samples", namespace=namespace)["data"]
        return list(read_samples(base64.b64decode(data[SAMPLES_KEY])))

    samples = wait_for(kept, 60, "no failed answer is kept")
    assert {one.answer for one in samples} == {"No."}
    assert {one.revision for one in samples} == {found["revision"]}
    assert len(samples) <= LIVE["keepFailed"]  # type: ignore[operator]
    wait_for(lambda: not support.get("pods", namespace=namespace, selector="app.kubernetes.io/name=claude-grader"), 60)


def test_without_a_grader_that_decides_it_holds_and_goes_on_once_there_is_one(serving: tuple[str, str]) -> None:
    """An equal canary: it is held while the graders' model answers 500, and promoted after it and the pod are back."""
    namespace, first = serving
    behave(errorRate=1)
    with Traffic("app", namespace, rate=15, questions=QUESTIONS) as traffic:
        support.apply(graded("v2"), namespace)
        message = apps.told(namespace, "Promoted", "Unknown", "GradesMissing", timeout=150)
        print(message)
        assert "the grader says: " in message
        assert rollout(namespace).get("outcome") is None
        behave()
        kubectl("delete", "pods", "-l", "app.kubernetes.io/name=claude-grader", "--wait=false", namespace=namespace)
        found = ended(namespace, first, timeout=200)
        assert found["outcome"] == "Promoted"
        verdicts = {arm: found["grading"][arm]["verdicts"] for arm in ("canary", "stable")}
        print(verdicts)
        assert min(verdicts.values()) >= found["plan"]["grades"] > 0
    assert not traffic.failed()
    assert {one.text for one in traffic.answers if one.text} <= {one["answer"] for one in ANSWERS}
