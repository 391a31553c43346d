"""What an eval set may say, on a real API server."""

from __future__ import annotations

from typing import Any

import pytest
from tests.apiserver.client import ApiError, Client

ASSERT = [{"type": "is-json"}]
ONE = {"id": "a", "input": "x", "assert": ASSERT}
SOURCE = {"name": "m", "key": "items.csv"}
ITEMS = {"claimName": "exam", "path": "items.csv"}


def eval_set(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeEvalSet",
        "metadata": {"name": "set"},
        "spec": spec,
    }


WHOLE = {
    "files": [{"name": "docs"}],
    "defaultTest": {
        "assert": ASSERT,
        "combine": "Append",
        "input": "Answer: {{question}}",
        "vars": {"tone": "kind", "n": 1, "list": ["a"], "object": {"deep": [True, None]}},
        "threshold": 0.5,
        "metadata": {"topic": "x"},
    },
    "tests": [
        {"id": "a", "vars": {"question": "2+2?"}, "target": "4", "heldOut": True, "critical": True},
        {
            "id": "b",
            "messages": [{"role": "user", "content": [{"type": "image", "source": "file://cat.png"}]}],
            "toolResults": {"find": ["one", "two"]},
            "maxTurns": 3,
            "description": "for people",
        },
    ],
}
FIELDS = {"input": "question", "target": "answer", "id": "qid", "metadata": ["topic"]}


@pytest.mark.parametrize(
    "spec",
    [
        WHOLE,
        {"dataset": {"configMaps": [SOURCE, {"name": "m", "key": "all", "format": "YAML"}], "fields": FIELDS}},
        {"dataset": {"configMapKeyRef": {"name": "m", "key": "k"}}},
        {"dataset": {"volume": {"claimName": "exam", "path": "a/..b/items.jsonl"}, "fields": FIELDS}},
        {"dataset": {"volume": {"claimName": "exam", "path": "items", "format": "CSV"}}},
    ],
)
def test_what_is_stored_as_it_is_written(admin: Client, namespace: str, spec: dict[str, Any]) -> None:
    assert admin.create(eval_set(**spec), namespace)["spec"] == spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"tests": [{**ONE, "messages": []}]}, "exactly one of input and messages: keep one of them"),
        ({"tests": [{"id": "a", "assert": ASSERT}]}, "a test without input and messages asks nothing: add one of them"),
        ({"tests": [ONE], "defaultTest": {"input": "x", "messages": []}}, "at most one of input and messages"),
        ({"dataset": {}}, "exactly one of configMapKeyRef, configMaps and volume: keep one of them"),
        (
            {"dataset": {"configMaps": [SOURCE], "volume": ITEMS}},
            "exactly one of configMapKeyRef, configMaps and volume",
        ),
        ({"dataset": {"volume": {**ITEMS, "path": "/etc/items.csv"}}}, "leads out of the volume: write it from"),
        ({"dataset": {"volume": {**ITEMS, "path": "a/../items.csv"}}}, "leads out of the volume: write it from"),
        ({"dataset": {"volume": {**ITEMS, "path": "items"}}}, "write format: JSONL, JSON, CSV or YAML"),
        ({"dataset": {"volume": {"path": "items.csv"}}}, "claimName"),
        ({"dataset": {"configMaps": [{"name": "m", "key": "all"}]}}, "write format: JSONL, JSON, CSV or YAML"),
        ({"tests": [{**ONE, "threshold": 2}]}, "threshold"),
        ({"tests": [{**ONE, "maxTurns": 0}]}, "maxTurns"),
        ({"tests": [{**ONE, "metadata": {"n": 1}}]}, "metadata"),
    ],
)
def test_what_is_refused_and_why(admin: Client, namespace: str, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as caught:
        admin.create(eval_set(**spec), namespace)
    assert message in str(caught.value)
