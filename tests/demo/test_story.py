"""The demo's rows out of statuses, and its facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from demo.run import parse
from demo.story import Facts, Row, Tally, ended, rows, shares, tidy, verdicts

OLD, NEW = "assistant-aaaaaaaaaa", "assistant-bbbbbbbbbb"
LABELS = {OLD: "v1", NEW: "v2"}
BEGUN: dict[str, Any] = {
    "stableRevision": OLD,
    "rollout": {"revision": NEW, "attempt": 1},
    "rollouts": [{"revision": OLD, "attempt": 1, "outcome": "Promoted", "message": f"{OLD} is the first"}],
}
EVALS = {"type": "EvalPassed", "status": "True", "reason": "EvalPassed", "message": f"{NEW}-01234567: Passed: 3 of 4"}
PASSED = {**BEGUN, "conditions": [EVALS], "canaryRevision": NEW}
JUDGED = {"requests": 20, "message": "errors 1 of 20 against 0 of 180, evidence 5 of 100"}


def at(weight: float, **more: Any) -> dict[str, Any]:
    return {**PASSED, "step": {"weight": weight}, **more}


def over(outcome: str, message: str) -> dict[str, Any]:
    record = {"revision": NEW, "attempt": 1, "outcome": outcome, "message": message}
    return {**BEGUN, "rollouts": [*BEGUN["rollouts"], record]}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, BEGUN | {"rollouts": []}, [Row(NEW, 0, f"starts against {OLD}")]),
        ({}, {"rollout": {"revision": OLD, "attempt": 1}}, [Row(OLD, 0, "starts")]),
        (BEGUN, PASSED, [Row(NEW, 0, f"evals passed: {EVALS['message']}", "good")]),
        (PASSED, PASSED, []),
        (PASSED, at(1), [Row(NEW, 1, "takes 1 % of conversations")]),
        (at(1), at(1, judgement=JUDGED), []),
        (at(1), at(10, judgement=JUDGED), [Row(NEW, 10, f"takes 10 % of conversations; so far {JUDGED['message']}")]),
        (at(50), over("Promoted", "done"), [Row(NEW, 100, "done", "good")]),
        (at(50), over("RolledBack", "back"), [Row(NEW, 0, "back", "bad")]),
        (BEGUN, over("EvalFailed", "no"), [Row(NEW, 0, "evals failed, not one live request: no", "bad")]),
    ],
)
def test_a_row_for_each_transition(before: dict[str, Any], after: dict[str, Any], expected: list[Row]) -> None:
    assert rows(before, after) == expected


@pytest.mark.parametrize(
    ("type_", "status", "reason", "told"),
    [
        ("ModelCurrent", "False", "Deprecated", "flagged: why"),
        ("ModelCurrent", "True", "Active", None),
        ("CanaryHealthy", "Unknown", "NoTraffic", "CanaryHealthy: why"),
        ("CanaryHealthy", "True", "Watching", None),
        ("Accepted", "False", "InvalidSpec", "Accepted: why"),
        ("Ready", "False", "GatewayUnavailable", None),  # it was not ready before
    ],
)
def test_conditions_that_a_person_has_to_see(type_: str, status: str, reason: str, told: str | None) -> None:
    after = at(10) | {"conditions": [{"type": type_, "status": status, "reason": reason, "message": "why"}]}
    assert rows(at(10), after) == ([Row(NEW, 10, told, "warning")] if told else [])
    assert rows(after, after) == []


def test_an_app_that_stops_being_served_is_told() -> None:
    ready = {"type": "Ready", "status": "True", "reason": "Serving", "message": "fine"}
    lost = {**ready, "status": "False", "reason": "GatewayUnavailable", "message": "no pod"}
    assert rows(at(10) | {"conditions": [ready]}, at(10) | {"conditions": [lost]}) == [
        Row(NEW, 10, "Ready: no pod", "warning")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"evals passed: {NEW}-01234567: Passed: 3 of 4 against 2 of 4 of {OLD}; so many items see 9 points, not less",
         "evals passed: 3 of 4 against 2 of 4 of v1"),
        (f"Rolled back {NEW} at 10 %: errors 3 of 9", "rolled back at 10 %: errors 3 of 9"),
        (f"Promoted {NEW} to 100 %", "promoted to 100 %"),
        (f"starts against {OLD}", "starts against v1"),
    ],
)  # fmt: skip
def test_sentences_name_versions(text: str, expected: str) -> None:
    assert tidy(text, LABELS) == expected


def test_the_last_end_of_a_revision_counts() -> None:
    first = over("RolledBack", "back")
    again = {**first, "rollouts": [*first["rollouts"], {"revision": NEW, "attempt": 2, "outcome": "Promoted"}]}
    assert ended(again, NEW)["outcome"] == "Promoted"
    assert ended(again, "other") == {}


def test_shares_of_the_living_line() -> None:
    assert shares([OLD, OLD, OLD, NEW], LABELS) == "v1 75 %, v2 25 %"
    assert shares([], LABELS) == ""


def good() -> Facts:
    return Facts(
        outcomes={"v1": "Promoted", "v2": "Promoted", "v3": "EvalFailed", "v4": "RolledBack", "v5": "Promoted"},
        tallies={
            "v1": Tally(100, 0, 90, 10), "v2": Tally(200, 0, 190, 10), "v3": Tally(),
            "v4": Tally(12, 4, 8, 0), "v5": Tally(90, 0, 90, 0),
        },
        weights={"v2": [1, 10, 50, 100], "v5": [1, 10, 50, 100]},
        model_reason="Deprecated",
        taken_back_after=3.25,
    )  # fmt: skip


def test_the_facts_of_a_good_run() -> None:
    found = verdicts(good())
    assert all(true for true, _ in found)
    texts = " | ".join(text for _, text in found)
    assert "taken back 3.2 s after its first bad response; it cost users 4 failed requests, of 12" in texts
    assert "402 live requests; 0 failed besides v4's 4" in texts


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"outcomes": {**good().outcomes, "v4": "Promoted"}}, "v4 Promoted (not RolledBack)"),
        ({"tallies": {**good().tallies, "v3": Tally(1, 0, 1, 0)}}, "v3 got 1 live request"),
        ({"tallies": {**good().tallies, "v2": Tally(200, 1, 190, 9)}}, "1 failed besides v4's 4"),
        ({"tallies": {**good().tallies, "": Tally(1, 1, 0, 0)}}, "1 failed besides v4's 4"),
        ({"weights": {**good().weights, "v2": [1, 50, 100]}}, "v2 [1, 50, 100]"),
        ({"taken_back_after": None}, "taken back never"),
        ({"model_reason": "Active"}, "reason Active"),
    ],
)
def test_each_fact_can_fail(wrong: dict[str, Any], told: str) -> None:
    failed = [text for true, text in verdicts(replace(good(), **wrong)) if not true]
    assert len(failed) == 1
    assert told in failed[0]


def test_options() -> None:
    assert parse([]).rate == 30
    with pytest.raises(SystemExit):
        parse(["--rate", "1000"])
