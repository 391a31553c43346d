"""Every example does what its README says, against the simulator."""

from __future__ import annotations

import re

import pytest
from tests.cluster.support import ROOT, CommandError, Operator, condition, find, get, kubectl, wait, wait_for

pytestmark = pytest.mark.usefixtures("operator")
EXAMPLES = ROOT / "examples"


def promoted(name: str, namespace: str) -> None:
    wait(f"claudedeployment/{name}", until="condition=Promoted", timeout=150, namespace=namespace)


@pytest.mark.parametrize(("folder", "name"), [("01-minimal", "hello"), ("02-tools-caching-mcp", "shop")])
def test_serves_without_a_gate(namespace: str, folder: str, name: str) -> None:
    kubectl("apply", "-f", EXAMPLES / folder, namespace=namespace)
    promoted(name, namespace)
    item = get("cld", name, namespace=namespace)
    assert condition(item, "Accepted")["status"] == "True"
    assert condition(item, "EvalPassed")["reason"] == "NoGate"
    serves = {"revision": item["status"]["stableRevision"], "role": "stable", "percent": 100}
    assert item["status"]["traffic"] == [serves]


def test_a_change_of_the_prompts_config_map_is_a_revision(namespace: str) -> None:
    kubectl("apply", "-f", EXAMPLES / "02-tools-caching-mcp", namespace=namespace)
    promoted("shop", namespace)
    patch = '{"data": {"house-rules.md": "Answer in at most two sentences.\\n"}}'
    kubectl("patch", "configmap", "shop-prompts", "--type=merge", "-p", patch, namespace=namespace)
    wait_for(lambda: len(get("clr", namespace=namespace)) == 2, 60, "no second revision came")


def test_a_change_passes_its_evals_before_its_first_request(namespace: str) -> None:
    kubectl("apply", "-f", EXAMPLES / "03-canary-with-evals", namespace=namespace)
    promoted("triage", namespace)
    first = get("cld", "triage", namespace=namespace)["status"]["stableRevision"]
    kubectl("apply", "-f", EXAMPLES / "03-canary-with-evals/v2", namespace=namespace)
    item = wait_for(
        lambda: next(
            (found for found in [get("cld", "triage", namespace=namespace)] if found["status"].get("step")), None
        ),
        120,
        "no canary came",
    )
    assert condition(item, "EvalPassed")["status"] == "True"
    assert item["status"]["stableRevision"] == first
    runs = get("cer", namespace=namespace)
    assert [run["status"]["phase"] for run in runs] == ["Passed", "Passed"]
    assert {run["spec"].get("baselineRevision") for run in runs} == {None, first}


def test_a_deprecated_model_is_flagged_or_refused(namespace: str, operator: Operator) -> None:
    with pytest.raises(CommandError) as caught:
        kubectl("apply", "-f", EXAMPLES / "04-deprecated-model", namespace=namespace)
    said = caught.value.stderr
    print(said)
    # It is Retired once its date has come.
    assert re.search(r"claude-sonnet-4-5-20250929 is (Deprecated|Retired).*spec.lifecycle.on\1: Reject", said)
    assert find("cld", "refused", namespace=namespace) is None
    promoted("flagged", namespace)
    flagged = get("cld", "flagged", namespace=namespace)
    current = condition(flagged, "ModelCurrent")
    assert (current["status"], current["reason"]) in {("False", "Deprecated"), ("False", "Retired")}
    assert "claude-sonnet-5-5" in current["message"]
    wait("claudedeployment/flagged", until="condition=Ready", namespace=namespace)

    assert {item["metadata"]["ownerReferences"][0]["name"] for item in get("clr", namespace=namespace)} == {"flagged"}
