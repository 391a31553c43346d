"""What keeps a spec from being accepted, and which revision it asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.core.reconcile.rules.sample import CANARY, NOW, OLD, STABLE, drafted, raw, serving, told, trial

from claude_operator.api.conditions import Reason
from claude_operator.core.catalogue.table import Life, Model
from claude_operator.core.reconcile.acceptance import explain_doubts
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.rules.accept import check, name_revision, stop_unaccepted
from claude_operator.core.spec import revision
from claude_operator.core.spec.validate import Problem

MISSING = Problem(Reason.SECRET_NOT_FOUND, "spec.env: there is no Secret docs; create it")
BAD = raw(upstream={"baseURL": "https://a.example/v1"})
RETIRED = {"claude-opus-5-5": Model("claude-opus-5-5", line="opus", retires=NOW.date())}


def unnamed(spec: Any = None, **fields: Any) -> Draft:
    return replace(drafted(serving(), spec, **fields), wanted=None)


def test_a_valid_spec() -> None:
    assert check(unnamed()).problem is None


def test_references_are_told_before_what_is_wrong_with_the_spec() -> None:
    assert check(unnamed(BAD, problems=(MISSING,))).problem == MISSING
    found = check(unnamed(BAD)).problem
    assert found
    assert found.reason == Reason.INVALID_SPEC


def test_what_serves_stays_accepted_when_its_request_would_be_refused_now() -> None:
    """So that it can be scaled, paused and left; nothing else of the kind becomes a revision."""
    refused = raw("Be kind.")
    refused["request"]["stop_sequences"] = [" "]
    parts = revision.content(refused, {})
    name = revision.name("support", parts)
    stored = {**OLD, "metadata": {**OLD["metadata"], "name": name}, "spec": revision.revision_spec(parts)}
    draft = unnamed(refused)
    found = check(draft).problem
    assert found
    assert found.reason == Reason.INVALID_REQUEST
    known = replace(draft.obs, revisions={**draft.obs.revisions, name: stored})
    assert check(replace(draft, obs=known)).problem is not None, "it was let in once, and does not serve"
    served = replace(draft, obs=known, status=draft.status.model_copy(update={"stable_revision": name}))
    assert check(served).problem is None
    doubts = explain_doubts(served.obs, served.status)
    assert doubts is not None
    assert doubts.reason == Reason.REQUEST_DOUBTFUL
    assert doubts.message.startswith("only because it serves already; a new revision with it is refused: spec.request.")
    forged = {**stored, "spec": OLD["spec"]}
    of_another = replace(served.obs, revisions={**known.revisions, name: forged})
    assert check(replace(served, obs=of_another)).problem is not None


def test_everything_wrong_is_told_at_once() -> None:
    found = check(unnamed(BAD | {"promptFrom": [{"configMapKeyRef": {"name": "A B", "key": "k"}}]})).problem
    assert found
    assert "promptFrom[0]" in found.message
    assert "upstream.baseURL" in found.message


def test_a_metric_that_does_not_exist_is_refused() -> None:
    found = check(unnamed(raw(strategy={"canary": {"analysis": {"metrics": [{"name": "kindness"}]}}}))).problem
    assert found
    assert found.reason == Reason.UNSUPPORTED_METRIC
    assert "'kindness': write one of errors, refusals, maxTokens" in found.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"analysis": {"metrics": []}}, "no metric is watched: name one, or remove the field for the usual ones"),
        (
            {"analysis": {"metrics": [{"name": "latencyBudget"}]}},
            "latencyBudget needs a budget: write for example spec.budgets: [{surface: chat,"
            " metric: timeToFirstToken, max: 1500ms}]",
        ),
    ],
)
def test_metrics_that_nothing_can_be_judged_by(fields: dict[str, Any], message: str) -> None:
    budgets = [{"surface": "nightly", "metric": "throughput", "min": "1/s"}]  # of batches, which no arm is drawn for
    found = check(unnamed(raw(strategy={"canary": fields}, budgets=budgets))).problem
    assert found == Problem(Reason.INVALID_SPEC, f"spec.strategy.canary.analysis.metrics: {message}")


def test_the_judge_threshold_needs_no_metric_that_is_compared() -> None:
    plan = {"judge": "Threshold", "metrics": []}
    found = check(unnamed(raw(strategy={"canary": {"analysis": plan}}))).problem
    assert found is not None
    assert found.reason == Reason.UNSUPPORTED_METRIC


def test_a_known_revision_is_found_again() -> None:
    draft = name_revision(unnamed())
    assert (draft.wanted, draft.new_revision) == (CANARY, None)
    assert told(draft) == []


def test_a_new_revision_is_made() -> None:
    draft = name_revision(unnamed(revisions={STABLE: OLD}))
    assert draft.wanted == CANARY
    assert draft.new_revision
    assert told(draft) == [Reason.REVISION_CREATED]


@pytest.mark.parametrize("policy", ["Warn", "Ignore"])
def test_a_model_that_is_let_in(policy: str) -> None:
    spec = raw(lifecycle={"onRetired": policy})
    assert name_revision(unnamed(spec, models=RETIRED, revisions={})).wanted == CANARY


def test_a_model_that_is_not() -> None:
    draft = name_revision(unnamed(models=RETIRED, revisions={}))
    assert draft.problem
    assert draft.problem.reason == Reason.MODEL_REJECTED
    assert (draft.wanted, draft.new_revision) == (None, None)


@pytest.mark.parametrize("policy", ["Warn", "Ignore"])
def test_an_earlier_revision_on_a_retired_model_comes_back_where_the_policy_lets_it(policy: str) -> None:
    assert name_revision(unnamed(raw(lifecycle={"onRetired": policy}), models=RETIRED)).wanted == CANARY


def test_an_earlier_revision_on_a_retired_model_does_not_come_back() -> None:
    draft = name_revision(unnamed(models=RETIRED))
    assert draft.wanted is None
    assert draft.problem == Problem(
        Reason.MODEL_REJECTED,
        f"{CANARY} cannot come back: claude-opus-5-5 is Retired since 2026-11-24: requests for it fail"
        " (spec.lifecycle.onRetired: Reject)",
    )


def test_an_earlier_revision_on_a_deprecated_model_comes_back_whatever_the_policy() -> None:
    models = {"claude-opus-5-5": Model("claude-opus-5-5", stated="Deprecated")}
    assert name_revision(unnamed(raw(lifecycle={"onDeprecated": "Reject"}), models=models)).wanted == CANARY


@pytest.mark.parametrize("status", [trial(1), serving().model_copy(update={"stable_revision": CANARY})])
def test_what_serves_or_is_on_trial_stays_though_its_model_is_retired(status: Any) -> None:
    draft = replace(drafted(status, models=RETIRED), wanted=None)
    assert name_revision(draft).wanted == CANARY


def test_the_platform_says_whose_dates_hold() -> None:
    """On Bedrock nothing is known of the model, which is no reason to refuse it."""
    upstream = raw()["upstream"] | {"platform": "Bedrock"}
    assert name_revision(unnamed(raw(upstream=upstream), models=RETIRED, revisions={})).wanted == CANARY
    told = {"claude-opus-5-5": Model("claude-opus-5-5", platforms=(("Bedrock", Life(stated="Retired")),))}
    refused = name_revision(unnamed(raw(upstream=upstream), models=told, revisions={})).problem
    assert refused
    assert "claude-opus-5-5 is Retired on Amazon Bedrock: requests for it fail" in refused.message


def test_a_config_that_is_too_large() -> None:
    draft = name_revision(unnamed(raw("x" * 950_000)))
    assert draft.problem
    assert draft.problem.reason == Reason.CONFIG_TOO_LARGE
    assert "more than 921,600" in draft.problem.message


def test_nothing_moves_on_without_an_accepted_spec() -> None:
    draft = stop_unaccepted(replace(drafted(trial(1)), problem=MISSING))
    assert draft.done
    assert draft.hold
    assert draft.hold.reason == Reason.SECRET_NOT_FOUND
    assert draft.status == trial(1)
    assert not stop_unaccepted(drafted(trial(1))).done


def test_a_rejected_spec_names_no_revision() -> None:
    assert name_revision(replace(unnamed(), problem=MISSING)).wanted is None


def test_another_content_that_hashes_to_the_same_ten_digits_is_not_taken_for_the_specs() -> None:
    """As many are tried as it takes: the other one stands for it."""
    draft = unnamed()
    parts = revision.content(draft.obs.owner["spec"], {})
    name = revision.name(draft.obs.name, parts)
    spec = revision.revision_spec(parts)
    honest = {"metadata": {"name": name}, "spec": spec}
    other = {"metadata": {"name": name}, "spec": {**spec, "request": {**spec["request"], "max_tokens": 1}}}
    assert name_revision(replace(draft, obs=replace(draft.obs, revisions={name: honest}))).wanted == name
    found = name_revision(replace(draft, obs=replace(draft.obs, revisions={name: other})))
    assert found.wanted is None
    assert found.new_revision is None
    assert found.problem
    assert found.problem.reason == Reason.REVISION_NOT_TRUSTED
    assert f"delete clr {name}" in found.problem.message
