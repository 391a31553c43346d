"""Revisions that somebody deleted come back while their content is known; nobody is served nothing meanwhile."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.reconcile.rules.sample import (
    CANARY,
    NEW,
    OLD,
    OTHER,
    SITE,
    STABLE,
    THIRD,
    observed,
    raw,
    serving,
    trial,
)
from tests.core.spec.test_revision import GOLDEN, TEXTS
from tests.scenarios.world import World

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import GatewayConfig, dump_config, parse_config
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.decision import Decision
from claude_operator.core.reconcile.observation import GatewayPod, GatewayView
from claude_operator.core.spec.revision import arm, content, name, revision_spec, spec_of

ALL = {STABLE: OLD, CANARY: NEW, THIRD: OTHER}
REMEMBER = GatewayView(True, 1, (GatewayPod("a", True, 7),))


def made(decision: Decision) -> dict[str, Any]:
    return {body["metadata"]["name"]: body["spec"] for body in decision.creations if body["kind"] == "ClaudeRevision"}


def without(*names: str) -> dict[str, Any]:
    return {key: one for key, one in ALL.items() if key not in names}


def again(raw_: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The spec of a revision, and what is read from its arm."""
    parts = content(raw_, TEXTS)
    spec = revision_spec(parts)
    served = arm({"metadata": {"name": name("support", parts)}, "spec": spec}, "stable", 10_000)
    return spec, spec_of(msgspec.json.decode(msgspec.json.encode(served), type=type(served)), "support")


@pytest.mark.parametrize("case", GOLDEN)
def test_an_arm_tells_the_revision_that_it_was_made_of(case: str) -> None:
    spec, found = again(GOLDEN[case][0])
    assert found == spec


TEXT = st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=5)})
SPECS = st.fixed_dictionaries(
    {
        "request": st.fixed_dictionaries(
            {"model": st.just("claude-opus-5-5"), "max_tokens": st.just(1024)},
            optional={"system": st.lists(TEXT, max_size=3), "betas": st.lists(st.text(max_size=3), max_size=2)},
        )
    },
    optional={
        "promptFrom": st.lists(st.just({"configMapKeyRef": {"name": "prompts", "key": "system.md"}}), max_size=2),
        "subagents": st.sampled_from([{}, {"a": {"request": {}}}, {"a": {"request": {"betas": []}}}]),
        "overrides": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("system", "tools"), st.sampled_from(["Replace", "Prepend", "Append"]))
        ).filter(lambda one: len(one) != 1),  # the API server fills in the other
    },
)


@given(SPECS)
def test_any_arm_does(spec: dict[str, Any]) -> None:
    known, found = again(spec)
    assert found == known


def test_another_content_than_that_of_the_name_is_none() -> None:
    served = arm(OLD, "stable", 10_000)
    assert spec_of(served, "support") == OLD["spec"]
    assert spec_of(msgspec.structs.replace(served, betas=["x"]), "support") is None
    assert spec_of(served, "another") is None


@pytest.mark.parametrize("gone", [(STABLE,), (CANARY,), (STABLE, CANARY)])
def test_what_serves_is_made_again_from_what_is_live(gone: tuple[str, ...]) -> None:
    decision = decide(observed(trial(1, age=3), revisions=without(*gone)), SITE)
    assert made(decision) == {name: ALL[name]["spec"] for name in gone}
    assert decision.config
    assert {one.revision: one.weight for one in decision.config.arms} == {STABLE: 9000, CANARY: 1000}
    restored = [event.note for event in decision.events if event.reason == Reason.REVISION_RESTORED]
    assert [note.split()[1].rstrip(",") for note in restored] == list(gone)


def test_it_is_made_again_though_the_spec_is_not_accepted() -> None:
    broken = raw(upstream={"baseURL": "https://a.example/v1"})
    view = observed(serving(), broken, revisions=without(STABLE), config=observed(serving()).config)
    assert set(made(decide(view, SITE))) == {STABLE}


def test_an_edited_config_is_served_and_nothing_is_made_of_it() -> None:
    view = observed(serving())
    assert view.config
    odd = [msgspec.structs.replace(one, betas=["edited"]) for one in view.config.arms]
    config = msgspec.structs.replace(view.config, arms=odd)
    decision = decide(observed(serving(), config=config, revisions=without(STABLE)), SITE)
    assert not made(decision)
    assert decision.config
    assert decision.config.arm("stable") == odd[0]


def test_without_a_config_the_spec_has_to_do() -> None:
    spec = raw("Be kind.")
    view = observed(serving(), spec, config=None, revisions=without(STABLE), gateway=REMEMBER)
    decision = decide(view, SITE)
    assert made(decision) == {STABLE: OLD["spec"]}
    assert decision.config is None
    assert [event.reason for event in decision.events if event.reason == Reason.REVISION_RESTORED]
    after = decide(observed(decision.status, spec, config=None, gateway=REMEMBER), SITE)
    assert after.config
    assert [(one.revision, one.weight) for one in after.config.arms] == [(STABLE, 10_000)]


def test_what_is_written_nowhere_is_left_to_the_gateways_and_a_person_has_a_way_out() -> None:
    fields: dict[str, Any] = {"config": None, "revisions": without(STABLE), "gateway": REMEMBER}
    status = trial(None)
    decision = decide(observed(status, **fields), SITE)
    assert decision.config is None
    (ready,) = [one for one in decision.status.conditions if one.type == "GatewayReady"]
    assert (ready.status, ready.reason) == ("False", Reason.REVISION_LOST)
    (moves,) = [one for one in decision.status.conditions if one.type == "Promoted"]
    assert moves.reason == Reason.REVISION_LOST
    assert moves.message.endswith(f"claudeops.dev/promote={CANARY}/1/full")
    out = decide(observed(decision.status, annotations={"promote": f"{CANARY}/1/full"}, **fields), SITE)
    assert out.config
    assert [(one.revision, one.weight) for one in out.config.arms] == [(CANARY, 10_000)]
    assert out.config.generation == 8


def test_nothing_is_thrown_away_while_something_is_missing() -> None:
    none = raw(revisionHistoryLimit=0)
    assert decide(observed(serving(), none), SITE).deletions
    assert not decide(observed(serving(), none, revisions=without(STABLE)), SITE).deletions


def test_stable_is_deleted_in_mid_rollout_and_the_config_is_rewritten() -> None:
    """The fault as it was seen: every step of it keeps users served, and the rollout comes to its end."""
    world = World(World.spec())
    world.settle()
    world.say("Be brief.")
    world.until(lambda w: w.weight == 1000)
    before = world.parsed.stable_revision
    assert before
    world.delete_revision(before)
    world.user("deletes what is stable")
    world.run(1)
    assert world.revisions[before]["status"]["state"] == "Stable"
    assert sum("RevisionRestored" in line for line in world.log) == 1
    assert world.weight == 1000
    config = world.config
    assert config
    world.delete_config()
    world.user("deletes the ConfigMap")
    world.one_pass()
    assert world.config == config
    world.settle()
    assert served(world.config) == {world.parsed.stable_revision: 10_000}
    assert world.parsed.stable_revision != before
    assert parse_config(dump_config(config)) == config


def served(config: GatewayConfig | None) -> dict[str, int]:
    assert config
    return {one.revision: one.weight for one in config.arms if one.weight}
