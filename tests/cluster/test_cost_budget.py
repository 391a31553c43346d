"""A month's budget of cents on a real cluster: what it holds, and what it refuses until it is raised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.cluster import apps
from tests.cluster.apps import deployment, secret
from tests.cluster.support import get, kubectl, stay_in_day, wait_for

pytestmark = pytest.mark.usefixtures("operator")

CALLS = 20
QUESTION = "How are you? " * 200  # with Opus a fifth of a cent, whatever is answered
READ = 400.0  # seconds until the gateways' usage is read, where it was idle


def budget(namespace: str, usd: str, action: str) -> None:
    patch = {"spec": {"budget": {"monthlyUSD": usd, "action": action}}}
    kubectl("patch", "cld", "app", "--type=merge", "-p", json.dumps(patch), namespace=namespace)


def status(namespace: str) -> dict[str, Any]:
    found: dict[str, Any] = get("cld", "app", namespace=namespace)["status"]
    return found


@pytest.mark.timeout(1800)
def test_cents_are_spent_a_canary_holds_and_calls_are_refused_until_the_budget_is_raised(namespace: str) -> None:
    stay_in_day(800)
    opus = {"model": "claude-opus-5-5"}
    steps = [{"setWeight": 50}, {"pause": {}}]
    strategy = {"canary": {"steps": steps, "analysis": {"interval": "1s"}}}
    spec = {"request": opus, "strategy": strategy, "budget": {"monthlyUSD": "0.01", "action": "HoldRollouts"}}
    apps.apply(secret(), namespace)
    apps.apply(deployment("Be thrifty.", **spec), namespace)
    first = apps.promoted(namespace)
    apps.answered(namespace)
    for number in range(CALLS):
        assert apps.ask(namespace, question=f"{number}. {QUESTION}").status == 200

    said = apps.told(namespace, "WithinCost", "False", "CostOverBudget", timeout=READ)
    assert " of $0.01 (" in said
    print(said)
    print(kubectl("get", "cld", "-o", "wide", namespace=namespace))
    apps.apply(deployment("Be thriftier.", **spec), namespace)
    held = apps.told(namespace, "Promoted", "Unknown", "CostOverBudget")
    assert held.startswith("the first weight waits: the month's budget of $0.01 is spent")
    assert apps.ask(namespace).revision == first  # what serves goes on
    assert "step" not in status(namespace)

    budget(namespace, "0.01", "Throttle")
    refused = wait_for(lambda: one if (one := apps.ask(namespace)).status == 429 else None, 60)
    assert refused.text.startswith("this application's budget of the month is spent: the gateway answers")
    assert refused.revision == ""
    apps.told(namespace, "Ready", "False", "CostOverBudget")
    for _ in range(10):
        assert apps.ask(namespace).status == 429

    budget(namespace, "1000", "Throttle")
    apps.told(namespace, "Ready", "True", "Serving")
    apps.told(namespace, "Promoted", "Unknown", "Paused", timeout=60)  # the canary has its first weight
    apps.answered(namespace)
    served = {apps.ask(namespace, question=f"And now, {number}?").revision for number in range(20)}
    assert len(served) == 2
    wait_for(lambda: (status(namespace).get("judgement") or {}).get("requests", 0) > 0, 30)
    judged = status(namespace)["judgement"]
    errors = next(one for one in judged["state"] if one["name"] == "errors")
    assert (errors["canary"][1], errors["stable"][1]) == (0, 0)  # none of the refusals
    assert "outcome" not in status(namespace)["rollout"]
    warned = [one["reason"] for one in apps.events(namespace) if one["reason"].startswith("Cost")]
    assert warned.count("CostOverBudget") == 1  # of two passes over it
