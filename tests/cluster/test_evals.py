"""The gate: what passes serves, what fails never gets a request, and what cannot be asked is no failure."""

from __future__ import annotations

import base64
import gzip
import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import apps
from tests.cluster.apps import Object, deployment, secret
from tests.cluster.rollouts import scenario
from tests.cluster.support import SIMULATOR, condition, find, get, kubectl, wait_for
from tests.cluster.traffic import Traffic

pytestmark = pytest.mark.usefixtures("operator")

# The simulator answers with the fitting word of those that the prompt lists.
GOOD = "Answer with one word: billing, delivery, returns or other."
SAME = f"Be brief. {GOOD}"
WORSE = "Answer with one word: good, bad or neutral."
ITEMS = {
    "charged-twice": ("I was charged twice for the same order.", "billing"),
    "where-is-it": ("Where is my parcel? It should have come on Monday.", "delivery"),
    "too-small": ("The jacket is too small, how do I send it back?", "returns"),
}


def eval_set(**gate: Any) -> Object:
    tests = [
        {"id": name, "input": question, "assert": [{"type": "equals", "value": answer}]}
        for name, (question, answer) in ITEMS.items()
    ]
    return {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeEvalSet",
        "metadata": {"name": "questions"},
        "spec": {"tests": tests, "gate": gate or {"passRate": 0.9}},
    }


def gated(prompt: str, *, required: bool = True, **spec: Any) -> Object:
    return deployment(prompt, evals={"setRef": {"name": "questions"}, "required": required}, **spec)


def runs(namespace: str) -> dict[str, Object]:
    return {one["metadata"]["name"]: one for one in get("cer", namespace=namespace)}


def phases(namespace: str) -> list[str]:
    return sorted(one.get("status", {}).get("phase", "") for one in runs(namespace).values())


def owners(one: Object) -> list[Object]:
    found: list[Object] = one["metadata"].get("ownerReferences") or []
    return found


@pytest.fixture(scope="module")
def serving(operator: object) -> Iterator[tuple[str, str]]:
    """(namespace, revision) of a ClaudeDeployment `app` whose first revision has passed its gate."""
    with apps.space("evals") as namespace:
        apps.apply(secret(), namespace)
        apps.apply(eval_set(), namespace)
        apps.apply(gated(GOOD), namespace)
        revision = apps.promoted(namespace)
        apps.answered(namespace)
        yield namespace, revision


@pytest.fixture
def application(serving: tuple[str, str]) -> Iterator[tuple[str, str]]:
    """The same, with what it began with when the test is over."""
    yield serving
    namespace, revision = serving
    apps.apply(eval_set(), namespace)
    apps.apply(gated(GOOD), namespace)
    assert apps.promoted(namespace) == revision


def test_the_first_revision_has_passed(application: tuple[str, str]) -> None:
    namespace, revision = application
    name = get("cld", "app", namespace=namespace)["status"]["rollout"]["evalRun"]
    run = runs(namespace)[name]
    assert name.startswith(f"{revision}-")
    assert run["status"]["phase"] == "Passed"
    assert run["status"]["candidate"]["passed"] == run["status"]["candidate"]["items"] == 3
    passed = condition(get("cld", "app", namespace=namespace), "EvalPassed")
    print(passed["message"])
    assert (passed["status"], passed["reason"]) == ("True", "EvalPassed")
    assert passed["message"] == f"{name}: {run['status']['message']}"
    assert "3 of 3 (100 %)" in passed["message"]


def test_what_fails_never_gets_a_request(application: tuple[str, str]) -> None:
    """It is not asked again either: not when its Job is deleted, and not when the spec goes back and forth."""
    namespace, first = application
    known = {one["metadata"]["uid"] for one in apps.events(namespace)}
    with Traffic("app", namespace) as traffic:
        wait_for(lambda: len(traffic.answers) > 5, 30)
        apps.apply(gated(WORSE), namespace)
        message = apps.told(namespace, "Promoted", "False", "EvalFailed", timeout=60)
        print(message)
        seen = len(traffic.answers)
        wait_for(lambda: len(traffic.answers) > seen + 10, 10)
    assert set(traffic.by_revision()) == {first}
    assert not traffic.failed()
    item = get("cld", "app", namespace=namespace)
    failed = item["status"]["rollout"]["revision"]
    [name] = [one for one in runs(namespace) if one.startswith(failed)]
    status = get("cer", name, namespace=namespace)["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "PassRateTooLow")
    assert {one["id"] for one in status["failedItems"]} == set(ITEMS)
    assert message.startswith(f"{name}: ")
    assert "0 of 3 (0 %)" in message
    passed = condition(item, "EvalPassed")
    assert (passed["status"], passed["reason"]) == ("False", "EvalFailed")
    assert condition(item, "Ready")["status"] == "True"
    ended = {"state": "Failed", "eval": "Failed"}
    wait_for(lambda: get("clr", failed, namespace=namespace)["status"] == ended, 20, "its state is not told")

    def warnings() -> list[str]:
        told = [one for one in apps.events(namespace) if one["metadata"]["uid"] not in known]
        return [one["reason"] for one in told if one["type"] == "Warning"]

    wait_for(warnings, 20, "it is not told")
    assert warnings() == ["EvalFailed"]

    # A finished run has no use for its Job.
    assert name in {owner["name"] for job in get("jobs", namespace=namespace) for owner in owners(job)}
    kubectl("delete", "jobs", "--all", namespace=namespace)
    before = set(runs(namespace))
    again = (gated(GOOD), gated(WORSE))
    apps.apply(again[0], namespace)
    assert apps.promoted(namespace, timeout=10) == first
    apps.apply(again[1], namespace)
    assert apps.told(namespace, "Promoted", "False", "EvalFailed", timeout=10).startswith(f"{name}: ")
    assert get("cld", "app", namespace=namespace)["status"]["rollout"]["attempt"] == 2
    assert set(runs(namespace)) == before
    assert not get("jobs", namespace=namespace)


def test_other_questions_are_another_run(application: tuple[str, str]) -> None:
    namespace, first = application
    apps.apply(eval_set(passRate=0.8), namespace)
    apps.apply(gated(SAME), namespace)
    second = apps.promoted(namespace)
    mine = [run for name, run in runs(namespace).items() if name.startswith(second)]
    [run] = mine
    assert run["spec"]["baselineRevision"] == first
    old = next(one for name, one in runs(namespace).items() if name.startswith(first))
    assert run["spec"]["setHash"] != old["spec"]["setHash"]
    assert run["status"]["baseline"]["passed"] == 3

    # How questions are asked is no other question.
    known = set(runs(namespace))
    changed = eval_set(passRate=0.8)
    changed["spec"]["execution"] = {"maxConcurrency": 1}
    apps.apply(changed, namespace)
    apps.apply(gated(GOOD), namespace)
    assert apps.promoted(namespace) == first
    apps.apply(gated(SAME), namespace)
    assert apps.promoted(namespace) == second
    again = set(runs(namespace))
    assert len([name for name in again if name.startswith(second)]) == 1
    assert known <= again


def test_what_failed_is_tried_on_another_set(application: tuple[str, str]) -> None:
    """A person who has mended the set asks for it; the newest result is the revision's."""
    namespace, _ = application
    other = WORSE.replace("bad", "poor")
    apps.apply(gated(other), namespace)
    apps.told(namespace, "Promoted", "False", "EvalFailed", timeout=60)
    rollout = get("cld", "app", namespace=namespace)["status"]["rollout"]
    apps.apply(eval_set(passRate=0, margin=1), namespace)
    retry = f"claudeops.dev/retry={rollout['revision']}/{rollout['attempt']}"
    kubectl("annotate", "--overwrite", "cld", "app", retry, namespace=namespace)

    def serves() -> bool:
        return bool(get("cld", "app", namespace=namespace)["status"]["stableRevision"] == rollout["revision"])

    wait_for(serves, 60, "it was not tried again")
    both = [run["status"]["phase"] for name, run in runs(namespace).items() if name.startswith(rollout["revision"])]
    assert sorted(both) == ["Failed", "Passed"]
    wait_for(lambda: get("clr", rollout["revision"], namespace=namespace)["status"]["eval"] == "Passed", 10)


def test_a_run_by_hand_is_told_off_and_gets_no_job(application: tuple[str, str]) -> None:
    """It could have any Secret of the namespace sent anywhere; a borrowed owner does not help."""
    namespace, revision = application
    owner = get("cld", "app", namespace=namespace)["metadata"]
    reference = {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeDeployment",
        "name": "app",
        "uid": owner["uid"],
        "controller": True,
    }
    for name, owners in (("by-hand", []), ("borrowed", [reference])):
        run = {
            "apiVersion": "claudeops.dev/v1alpha1",
            "kind": "ClaudeEvalRun",
            "metadata": {"name": name, "ownerReferences": owners},
            "spec": {
                "revision": revision,
                "setRef": "questions",
                "deployment": "app",
                "upstream": gated(GOOD)["spec"]["upstream"],
            },
        }
        apps.apply(run, namespace)
        wait_for(lambda name=name: get("cer", name, namespace=namespace)["status"]["reason"] == "NotAsked", 30)
        assert "claude-operator eval run -f" in get("cer", name, namespace=namespace)["status"]["message"]
        assert not [one for one in get("jobs", namespace=namespace) if name in one["metadata"]["name"]]
        kubectl("delete", "cer", name, namespace=namespace)


def test_an_eval_that_is_not_required_reports_and_does_not_block(namespace: str) -> None:
    apps.apply(secret(), namespace)
    apps.apply(eval_set(), namespace)
    apps.apply(gated(WORSE, required=False), namespace)
    apps.promoted(namespace)
    wait_for(lambda: phases(namespace) == ["Failed"], 60)
    name = next(iter(runs(namespace)))

    def said() -> str:
        passed = condition(get("cld", "app", namespace=namespace), "EvalPassed")
        return passed["message"] if "0 of 3" in passed["message"] else ""

    message = wait_for(said, 20, "the scores were not told")
    print(message)
    assert message.startswith(f"evals.required is false; {name}: ")
    item = get("cld", "app", namespace=namespace)
    assert condition(item, "EvalPassed")["reason"] == "EvalNotRequired"
    assert condition(item, "Promoted")["status"] == "True"


def test_what_cannot_be_asked_is_tried_again_and_is_no_failure(namespace: str) -> None:
    apps.apply(secret(value="invalid"), namespace)  # the simulator answers 401
    apps.apply(eval_set(), namespace)
    apps.apply(gated(GOOD), namespace)

    def said() -> str:
        status = next(iter(runs(namespace).values()), {}).get("status", {})
        assert status.get("phase") in (None, "Pending", "Running", "Error")
        return str(status["message"]) if "401" in status.get("message", "") else ""

    print(wait_for(said, 60, "the cause was not told"))
    cause = "the Claude API answers 401: invalid x-api-key"

    def both_say_why() -> bool:
        item = get("cld", "app", namespace=namespace)
        found = [condition(item, type_) for type_ in ("EvalPassed", "Promoted")]
        return all(one["status"] == "Unknown" and cause in one["message"] for one in found)

    wait_for(both_say_why, 20, "the cause was not told of the ClaudeDeployment")
    item = get("cld", "app", namespace=namespace)
    assert condition(item, "Ready")["reason"] == "NoRevision"
    print(kubectl("get", "cld,cer", namespace=namespace))
    apps.apply(secret(), namespace)
    apps.promoted(namespace, timeout=150)
    assert phases(namespace) == ["Passed"]
    assert find("cer", next(iter(runs(namespace))), namespace=namespace)["status"]["candidate"]["passed"] == 3


def ledger() -> list[Object]:
    """What the simulator was paid for."""
    with urllib.request.urlopen(f"{SIMULATOR}/-/ledger", timeout=10) as answer:
        return list(json.load(answer)["payments"])


def test_an_outage_in_the_middle_is_tried_again_and_nothing_is_paid_twice(namespace: str) -> None:
    """429, 529 and streams that end with an error all the time, and then an account that is empty."""
    prompt = f"{GOOD} Outage {namespace}."
    slow = {"match": {"systemContains": namespace}, "latency": {"median": "200ms"}}
    noise = {"overloadRate": 0.05, "rateLimitRate": 0.01, "streamErrorRate": 0.03}
    many = eval_set()
    right = [{"type": "equals", "value": "billing"}]
    many["spec"]["tests"] = [
        {"id": f"i{number}", "input": f"I was charged twice for {number}.", "assert": right} for number in range(60)
    ]
    urllib.request.urlopen(urllib.request.Request(f"{SIMULATOR}/-/ledger", method="DELETE"), timeout=10).close()
    scenario({**slow, **noise})
    try:
        apps.apply(secret(), namespace)
        apps.apply(many, namespace)
        apps.apply(gated(prompt), namespace)

        def status() -> Object:
            found: Object = next(iter(runs(namespace).values()), {}).get("status", {})
            assert found.get("phase") not in ("Failed", "Inconclusive"), found
            return found

        wait_for(lambda: status().get("done", 0) >= 20, 90, "the run did not begin")
        scenario({**slow, "emptyAccountRate": 1})
        wait_for(lambda: status().get("phase") == "Error", 180, "the outage was not told")
        assert "the account is empty or at its limit" in status()["message"]
        assert condition(get("cld", "app", namespace=namespace), "EvalPassed")["status"] == "Unknown"
        scenario({**slow, **noise})
        apps.promoted(namespace, timeout=240)
    finally:
        scenario()
    after = status()
    print(after["message"], after["asked"], after["reused"], after["paidUSD"])
    assert (after["phase"], after["done"]) == ("Passed", 180)
    assert after["reused"] >= 20
    complete = Counter(one["body"] for one in ledger() if one["complete"])
    assert len(complete) == 60
    assert set(complete.values()) == {3}, "an answer that was given was asked for, and paid, again"
    report = get("configmap", f"{next(iter(runs(namespace)))}-report", namespace=namespace)
    lines = gzip.decompress(base64.b64decode(report["binaryData"]["report.jsonl.gz"])).splitlines()
    assert len(lines) == 1 + 180


SIZE, SEED = 500, 20_261_130
"""Of the set of `test_ten_points_are_blocked_and_an_equal_prompt_passes`, whose outcome is certain at 500 items:
docs/evals/gate.md has the rates (at 100 items an equal candidate passes in 58 % of gates)."""
EASY, HARD = {"share": 0.82, "alpha": 60, "beta": 0.8}, {"share": 0.18, "alpha": 1.2, "beta": 1.2}
MEAN = 0.82 * 60 / 60.8 + 0.18 / 2  # of all items: the share of answers that is right
WEAKER = "Answer with the shelf, and be quick."


def test_ten_points_are_blocked_and_an_equal_prompt_passes(namespace: str) -> None:
    """Epochs differ as answers of a model do: each question has its own chance of a right answer, for all prompts."""
    items = [(f"On which shelf is article {number}?", f"shelf {number % 17}") for number in range(SIZE)]
    lines = [
        json.dumps({"id": f"i{number}", "input": question, "assert": [{"type": "equals", "value": answer}]})
        for number, (question, answer) in enumerate(items)
    ]
    scenario(
        {"match": {"systemContains": WEAKER}, "accuracy": 1 - 0.1 / MEAN},
        seed=SEED,
        answers=[{"question": question, "answer": answer} for question, answer in items],
        defaults={"latency": {"median": "0s"}, "tokensPerSecond": 1e6, "difficulty": [EASY, HARD]},
    )
    sizes = {"dataset": {"configMapKeyRef": {"name": "items", "key": "items.jsonl"}}}
    try:
        apps.apply(secret(), namespace)
        apps.apply(apps.config_map("items", items_jsonl="\n".join(lines)), namespace)
        apps.apply({**eval_set(), "spec": {**sizes, "execution": {"maxConcurrency": 16}}}, namespace)
        apps.apply(gated("Name the shelf."), namespace)
        first = apps.promoted(namespace, timeout=180)
        apps.answered(namespace)
        with Traffic("app", namespace) as traffic:
            apps.apply(gated(WEAKER), namespace)
            blocked = apps.told(namespace, "Promoted", "False", "EvalFailed", timeout=180)
            wait_for(lambda: len(traffic.answers) > 10, 30)
        print(blocked)
        assert set(traffic.by_revision()) == {first}
        assert not traffic.failed()
        apps.apply(gated("Say which shelf it is."), namespace)
        equal = apps.promoted(namespace, timeout=180)
    finally:
        scenario()
    found = {run["spec"]["revision"]: run["status"] for run in runs(namespace).values()}
    assert {one["phase"] for one in found.values()} == {"Passed", "Failed"}
    [failed] = [one for one in found.values() if one["phase"] == "Failed"]
    [quality] = [one for one in failed["comparisons"] if one["metric"] == "quality"]
    assert (failed["reason"], failed["candidate"]["items"]) == ("WorseThanBaseline", SIZE)
    assert quality["difference"] == pytest.approx(-0.1, abs=0.04)
    passed = found[equal]
    print(passed["message"])
    assert (passed["reason"], passed["rule"], passed["candidate"]["items"]) == ("Passed", "Paired", SIZE)
    [quality] = [one for one in passed["comparisons"] if one["metric"] == "quality"]
    assert -quality["margin"] <= quality["lower"]


def test_a_batch_runs_without_a_pod_and_its_answers_pass(namespace: str) -> None:
    quick = {"outputTokens": 8, "latency": {"median": "10ms"}}
    urllib.request.urlopen(urllib.request.Request(f"{SIMULATOR}/-/ledger", method="DELETE"), timeout=10).close()
    scenario(defaults=quick, batches={"duration": "20s", "expiredRate": 0.2})
    try:
        batched = eval_set()
        batched["spec"]["execution"] = {"mode": "batch"}
        apps.apply(secret(), namespace)
        apps.apply(batched, namespace)
        apps.apply(gated(f"{GOOD} Batch {namespace}."), namespace)

        def waits() -> bool:
            status = next(iter(runs(namespace).values()), {}).get("status", {})
            pods = get("pods", namespace=namespace)
            running = [one for one in pods if one["status"].get("phase") in ("Pending", "Running")]
            evals = [one for one in running if one["metadata"]["labels"].get("app.kubernetes.io/name") == "claude-eval"]
            return status.get("reason") == "BatchRunning" and len(status["batches"]) == 1 and not evals

        wait_for(waits, 90, "the batch does not run without a pod")
        assert condition(get("cld", "app", namespace=namespace), "EvalPassed")["status"] == "Unknown"
        apps.promoted(namespace, timeout=180)
    finally:
        scenario()
    status = next(iter(runs(namespace).values()))["status"]
    assert (status["phase"], status["asked"], status["reused"]) == ("Passed", 9, 0)
    assert not status.get("batches")
    assert len(ledger()) == 9


def test_a_run_that_was_deleted_is_not_told_as_running(application: tuple[str, str]) -> None:
    namespace, revision = application
    name = get("cld", "app", namespace=namespace)["status"]["rollout"]["evalRun"]
    kubectl("delete", "cer", name, namespace=namespace)
    said = apps.told(namespace, "EvalPassed", "Unknown", "NotYetReported")
    assert said == f"ClaudeEvalRun {name} was deleted, so its result is no longer known"
    assert get("cld", "app", namespace=namespace)["status"]["stableRevision"] == revision


TABLE = """question,__expected,__id,__critical
I was charged twice for the same order.,equals: billing,charged-twice,true
{parcel},delivery,where-is-it,
"""
LINES = '{"id": "too-small", "vars": {"question": "The jacket is too small, how do I send it back?"}, "assert": [%s]}\n'


def test_a_set_of_a_table_and_lines_in_two_config_maps(namespace: str) -> None:
    """What the Job may read follows what the set names, and a changed text is another run."""
    apps.apply(secret(), namespace)
    parcel = "Where is my parcel? It should have come on Monday."
    apps.apply(apps.config_map("table", items_csv=TABLE.format(parcel="file://parcel.txt")), namespace)
    apps.apply(apps.config_map("lines", items_jsonl=LINES % '{"type": "equals", "value": "returns"}'), namespace)
    apps.apply(apps.config_map("letters", parcel_txt=parcel), namespace)
    sources = [{"name": "table", "key": "items.csv"}, {"name": "lines", "key": "items.jsonl"}]
    spec = {
        "dataset": {"configMaps": sources},
        "files": [{"name": "letters"}],
        "defaultTest": {"input": "{{question}}"},
        "gate": {"passRate": 0.9},
    }
    apps.apply({**eval_set(), "spec": spec}, namespace)
    apps.apply(gated(GOOD), namespace)
    revision = apps.promoted(namespace)
    [(name, run)] = runs(namespace).items()
    assert name.startswith(revision)
    assert (run["status"]["phase"], run["status"]["candidate"]["items"]) == ("Passed", 3)
    assert get("ces", "questions", namespace=namespace)["status"]["items"] == 3
    rules = get("role", "app-eval", namespace=namespace)["rules"]
    read = [rule for rule in rules if rule["resources"] == ["configmaps"] and "get" in rule["verbs"]]
    [named] = [rule["resourceNames"] for rule in read]
    assert sorted(named) == ["letters", "lines", "table"]

    # The table has a fault: the ClaudeDeployment says where, and what serves goes on serving.
    apps.apply(apps.config_map("table", items_csv="question,__expected\na,b,c\n"), namespace)
    apps.apply(gated(SAME), namespace)
    message = apps.told(namespace, "Accepted", "False", "InvalidEvalSet", timeout=60)
    print(message)
    assert "ConfigMap table, key items.csv, line 2 has 3 cells, the header has 2" in message
    assert get("cld", "app", namespace=namespace)["status"]["stableRevision"] == revision
    apps.apply(apps.config_map("table", items_csv=TABLE.format(parcel=parcel)), namespace)
    second = apps.promoted(namespace)
    hashes = {run["spec"]["setHash"] for run in runs(namespace).values()}
    assert (second != revision, len(hashes)) == (True, 2)
