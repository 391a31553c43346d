"""`status.keptModels`: what admission lets a spec go back to."""

from __future__ import annotations

from tests.core.reconcile.rules.sample import SITE, observed, serving

from claude_operator.core.reconcile.decide import decide


def test_the_models_of_every_kept_revision_are_told() -> None:
    obs = observed(serving())
    [known] = [one for name, one in obs.revisions.items() if name == serving().stable_revision]
    older = {**known, "metadata": {**known["metadata"], "name": "older"}}
    older["spec"] = {
        "request": {"model": "claude-opus-4-8", "max_tokens": 1},
        "subagents": {"s": {"request": {"model": "claude-haiku-4-5-20251001"}}, "t": {"request": {}}},
    }
    told = decide(observed(serving(), revisions={**obs.revisions, "older": older}), SITE).status.kept_models
    now = {one["spec"]["request"]["model"] for one in obs.revisions.values()}
    assert told == sorted({"claude-opus-4-8", "claude-haiku-4-5-20251001", *now})
    assert decide(observed(serving(), revisions=dict(obs.revisions)), SITE).status.kept_models == sorted(now)
