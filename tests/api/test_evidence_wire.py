"""What gateways and operators of different ages say to each other."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from claude_operator.api.evidence import (
    BAD_KINDS,
    BadConversation,
    Cohorts,
    Counters,
    Histogram,
    parse_cohorts,
    parse_evidence,
    parse_grade,
)

OLD = {
    "bootId": "b", "configGeneration": 1, "uptime": 2.0, "configError": "",
    "generations": [{"generation": 1, "strata": [{
        "revision": "r", "role": "stable", "surface": "other", "cache": "none",
        "counters": {"requests": 1, "outcomes": {"ok": 1}, "stopReasons": {}, "ttft": {}, "duration": {}, "cost": {},
                     "tokens": {"input": 1}}}]}],
}  # fmt: skip
HISTORY = {
    "bootId": "b", "window": 3600.0, "cohort": [0, 9999], "requests": [2, 1], "errors": [0, 1], "ttftCount": [1, 0],
    "ttftLnSum": [-0.5, 0.0], "costCount": [2, 0], "costLnSum": [-7.25, 0.0],
}  # fmt: skip


def test_evidence_of_an_older_gateway_is_read() -> None:
    evidence = parse_evidence(json.dumps(OLD).encode())
    assert (evidence.bad, evidence.bad_first) == ([], 0)
    (stratum,) = evidence.generations[0].strata
    counters = stratum.counters
    assert counters.requests == 1
    assert (counters.retries, counters.conversations, counters.bad_conversations, counters.grades) == (0, 0, {}, {})
    assert counters.unnamed == 0
    assert counters.normalised_cost == counters.output_tokens == Histogram()


def test_the_names_on_the_wire() -> None:
    """What is zero is left out: an operator of before reads a gateway that counts nothing it does not know of."""
    assert json.loads(msgspec.json.encode(Counters())) == {}
    some, one = Histogram(1), {"error": 1}
    counters = Counters(1, one, one, some, some, some, one, 1, 1, one, some, some, one, 1, one)
    names = {"retries", "conversations", "badConversations", "normalisedCost", "outputTokens", "grades", "unnamed"}
    assert names | {"budget", "requests", "outcomes", "ttft"} <= set(json.loads(msgspec.json.encode(counters)))
    assert BAD_KINDS == ("error", "refusal", "max_tokens", "model_context_window_exceeded")


@pytest.mark.parametrize("field", ["retries", "conversations", "unnamed"])
def test_a_negative_count_is_refused(field: str) -> None:
    document = json.dumps(OLD).replace('"requests": 1', f'"requests": 1, "{field}": -1').encode()
    with pytest.raises(ValueError, match=field):
        parse_evidence(document)


def test_a_bad_conversation_is_an_array() -> None:
    row = [7, "r", "chat", "error", "00ff00ff00ff00ff", 1.5]
    document = {**OLD, "bad": [row], "badFirst": 3}
    evidence = parse_evidence(json.dumps(document).encode())
    assert evidence.bad == [BadConversation(7, "r", "chat", "error", "00ff00ff00ff00ff", 1.5)]
    assert evidence.bad_first == 3
    assert json.loads(msgspec.json.encode(evidence))["bad"] == [row]
    for wrong in (row[:5], [*row, 1], [*row[:5], -1.0], {"generation": 7}):
        with pytest.raises(ValueError, match="evidence"):
            parse_evidence(json.dumps({**document, "bad": [wrong]}).encode())


def test_a_history_of_cohorts_is_read() -> None:
    history = parse_cohorts(json.dumps(HISTORY).encode())
    assert history == Cohorts("b", 3600.0, [0, 9999], [2, 1], [0, 1], [1, 0], [-0.5, 0.0], [2, 0], [-7.25, 0.0])
    assert parse_cohorts(msgspec.json.encode(history)) == history


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cohort": [0, 10_000]}, "cohort"),
        ({"cohort": [-1, 1]}, "cohort"),
        ({"cohort": [7, 7]}, "twice"),
        ({"cohort": [7]}, "there are 1 cohorts, but requests has 2"),
        ({"errors": [0]}, "errors has 1"),
        ({"costLnSum": [1.0, 2.0, 3.0]}, "cost_ln_sum has 3"),
        ({"requests": [1, -1]}, "requests"),
        ({"window": 3601.0}, "window"),
        ({"window": -1.0}, "window"),
        ({"more": 1}, "more"),
    ],
)
def test_a_wrong_history_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"cohorts: .*{said}"):
        parse_cohorts(json.dumps({**HISTORY, **change}).encode())


@pytest.mark.parametrize("missing", list(HISTORY))
def test_a_history_without_a_column_is_refused(missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        parse_cohorts(json.dumps({name: value for name, value in HISTORY.items() if name != missing}).encode())


def test_a_verdict_needs_no_surface() -> None:
    grade = parse_grade(b'{"revision": "r", "passed": false}')
    assert (grade.revision, grade.surface, grade.passed) == ("r", "other", False)
    with pytest.raises(ValueError, match="write for example"):
        parse_grade(b"{}")
