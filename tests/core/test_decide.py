"""Nothing that is wrong elsewhere keeps traffic from being taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.core.rules.sample import CANARY, STABLE, failed, observed, raw, trial

from claude_operator.api.gateway import BASIS_POINTS, parse_evidence
from claude_operator.api.resources import EvalRunStatus
from claude_operator.core import decide as module
from claude_operator.core.decide import decide
from claude_operator.core.draft import Draft
from claude_operator.core.judge.evidence import Increments
from claude_operator.core.render import Site

SITE = Site("image", "IfNotPresent")


def rotten(draft: Draft) -> Draft:
    raise RuntimeError("a bug")


def test_a_bug_in_what_goes_on_does_not_keep_the_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GOING_ON", (rotten,))
    obs = observed(trial(judgement=failed()), increments=Increments())
    decision = decide(obs, SITE)
    assert decision.backward
    assert decision.config is not None
    assert [(arm.revision, arm.weight) for arm in decision.config.arms] == [(STABLE, BASIS_POINTS)]
    assert decision.config.settled is not None
    assert decision.config.settled.revision == CANARY
    assert decision.status.rollout is not None
    assert decision.status.rollout.outcome == "RolledBack"
    assert [event.reason for event in decision.events] == ["RolledBack"]
    assert "a bug" in decision.error


def test_a_bug_is_told_where_nothing_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GOING_ON", (rotten,))
    with pytest.raises(RuntimeError, match="a bug"):
        decide(observed(trial()), SITE)


def test_what_others_say_is_cut_to_a_sentence() -> None:
    status = trial()
    assert status.rollout is not None
    status.rollout.eval_run = f"{CANARY}-12345678"
    obs = observed(status, raw(evals={"setRef": {"name": "support-evals"}}))
    run = EvalRunStatus(phase="Failed", message="x" * 40_000)
    decision = decide(replace(obs, eval_runs={status.rollout.eval_run: run}), SITE)
    assert max(len(one.message) for one in decision.status.conditions) == 1024


def test_a_reason_of_another_version_is_no_obstacle() -> None:
    obs = observed(trial())
    status = decide(obs, SITE).status
    for one in status.conditions:
        one.reason = "OfAnotherVersion"
    again = decide(replace(obs, status=status), SITE)
    assert "OfAnotherVersion" not in {one.reason for one in again.status.conditions}


@pytest.mark.parametrize("number", ["-1", str(10**20), str(10**400), "1.5"])
def test_evidence_with_numbers_that_are_no_counts_is_refused(number: str) -> None:
    counters = f'{{"requests": {number}, "outcomes": {{"ok": 1}}}}'
    stratum = f'{{"revision": "r", "role": "canary", "surface": "other", "cache": "none", "counters": {counters}}}'
    document = (
        f'{{"bootId": "b", "configGeneration": 1, "uptime": 1,'
        f' "generations": [{{"generation": 1, "strata": [{stratum}]}}]}}'
    )
    with pytest.raises(ValueError, match="evidence"):
        parse_evidence(document.encode())


def test_a_lost_config_is_written_again_even_while_the_spec_is_not_accepted() -> None:
    obs = observed(trial(judgement=failed()), increments=Increments())
    problem = module.accept.Problem(module.Reason.SECRET_NOT_FOUND, "there is no Secret anthropic")
    decision = decide(replace(obs, config=None, problems=(problem,)), SITE)
    assert decision.config is not None
    assert [(arm.revision, arm.weight) for arm in decision.config.arms] == [(STABLE, BASIS_POINTS)]
