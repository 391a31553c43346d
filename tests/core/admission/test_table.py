"""The table of admission against the table of checks: which errors have a rule, and what rules look at."""

from __future__ import annotations

import re

import pytest

from claude_operator.core.admission.policy import Policy
from claude_operator.core.admission.rule import AdmissionRule
from claude_operator.core.admission.states import REJECTED, WARNED
from claude_operator.core.admission.table import BY_DEFINITION, ELSEWHERE, POLICIES, RULES
from claude_operator.core.catalogue.checks.check import CHECKS, Severity

EVERY = (*RULES, *REJECTED, *WARNED)
BY_ID = {check.id: check for check in CHECKS}


def test_every_error_has_a_rule_or_a_place_where_it_is_found() -> None:
    ruled = {rule.check for rule in (*RULES, *REJECTED)}
    for check in CHECKS:
        if check.severity is Severity.ERROR:
            places = (check.id in ruled, check.id in BY_DEFINITION, check.where in ELSEWHERE)
            assert any(places), check.id
            assert places.count(True) == 1 or check.where == "lifecycle", check.id


def test_what_is_said_of_other_places_is_of_checks_that_are_there() -> None:
    assert {rule.check for rule in EVERY} | set(BY_DEFINITION) <= set(BY_ID)
    assert set(ELSEWHERE) <= {check.where for check in CHECKS}


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: f"{rule.check}{'-model' if rule.of_model else ''}")
def test_a_rule_reads_what_it_says_that_it_reads(rule: AdmissionRule) -> None:
    """A subagent that sets none of `reads` is not asked: its request is then the same in all that counts."""
    assert {*re.findall(r"\br\.([a-z_]+)", rule.problems)} == {*rule.reads}
    assert rule.of_model == bool(re.search(r"\bm\.|variables\.(now|state)", rule.problems))


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.suffix)
def test_a_policy_refuses_errors_and_warns_of_the_rest(policy: Policy) -> None:
    for rule in policy.rules:
        check = BY_ID[rule.check]
        if check.where != "lifecycle":
            assert (policy.action == "Deny") == (check.severity is Severity.ERROR), rule.check
    spec = policy.policy_spec()
    names = [one["name"] for one in spec["variables"]]
    assert len(names) == len(set(names))
    assert spec["failurePolicy"] == "Ignore"  # what it cannot judge, the operator judges
    assert spec["matchConditions"][-1]["name"] == "changed"
    assert ("paramKind" in spec) == ("paramRef" in policy.binding_spec("x")) == policy.per_model


def test_every_rule_is_in_one_policy() -> None:
    placed = [rule for policy in POLICIES for rule in policy.rules]
    assert len(placed) == len(EVERY)
    assert {id(rule) for rule in placed} == {id(rule) for rule in EVERY}
