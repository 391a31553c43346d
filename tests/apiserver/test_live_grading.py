"""`spec.evals.live` as a real API server takes it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.apiserver.client import ApiError, Client
from tests.apiserver.objects import deployment

from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.live import LiveGrading

Object = dict[str, Any]
GRADER = {"name": "default", "model": "claude-haiku-4-5-20251001"}


def evals(live: Object | None) -> Object:
    return {"setRef": {"name": "support-evals"}} | ({} if live is None else {"live": live})


@pytest.mark.parametrize(
    ("live", "said"),
    [
        ({"rubric": ["It is right."], "graders": [GRADER]}, ""),
        ({"sampleRate": "1"}, ""),
        ({"sampleRate": "1.0", "minPerMinute": 0, "maxPerMinute": 1, "keepFailed": 200}, ""),
        ({"sampleRate": "0.00001"}, ""),
        ({"assert": [{"type": "contains", "value": "42"}]}, ""),
        ({"sampleRate": "0"}, "is not a share: write a number above 0 and up to 1 as text"),
        ({"sampleRate": "0.000"}, "is not a share"),
        ({"sampleRate": "1.5"}, "is not a share"),
        ({"sampleRate": "1%"}, "is not a share"),
        ({"sampleRate": "-0.1"}, "is not a share"),
        ({"minPerMinute": 31}, "is less than both arms' minPerMinute together"),
        ({"maxPerMinute": 11}, "is less than both arms' minPerMinute together"),
        ({"maxCostUSDPerDay": 0}, "maxCostUSDPerDay"),
        ({"keepFailed": 201}, "keepFailed"),
        ({"rubric": []}, "rubric"),
        ({"rubric": [""]}, "rubric"),
        ({"graders": [GRADER, GRADER]}, "graders"),
    ],
)
def test_what_may_be_written(live: Object, said: str, admin: Client, namespace: str) -> None:
    try:
        admin.create(deployment(evals=evals(live)), namespace)
        found = ""
    except ApiError as error:
        found = str(error)
    assert said in found
    assert bool(found) == bool(said), found


def test_defaults_are_filled_in_where_it_is_there_alone(admin: Client, namespace: str) -> None:
    stored = admin.create(deployment(evals=evals({})), namespace)
    spec = DeploymentSpec.model_validate(stored["spec"])
    assert spec.evals is not None
    assert spec.evals.live == LiveGrading()
    assert stored["spec"]["evals"]["live"]["sampleRate"] == "0.01"
    other = deployment(evals=evals(None))
    other["metadata"]["name"] = "without"
    assert "live" not in admin.create(other, namespace)["spec"]["evals"]
