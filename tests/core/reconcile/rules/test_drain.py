"""After a promotion: who keeps the conversations that began before it, for how long, and what ends that."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.core.reconcile.rules.sample import (
    CANARY,
    NEW,
    NOW,
    OLD,
    OTHER,
    PLAN,
    SITE,
    STABLE,
    THIRD,
    ago,
    drafted,
    observed,
    raw,
    serving,
    told,
    trial,
)
from tests.core.reconcile.rules.test_soak import soaking

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.status import DeploymentStatus, Draining, Replaced, Rollout, RolloutRecord
from claude_operator.core.catalogue.table import Model
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.decision import Decision
from claude_operator.core.reconcile.gateway_config import LIMIT, desired_config
from claude_operator.core.reconcile.promotion import promote, take_back
from claude_operator.core.reconcile.retention import outdated
from claude_operator.core.reconcile.rules.rollout import begin
from claude_operator.core.spec import revision

RETIRED = Model("claude-opus-5-5", line="opus", retires=dt.date(2026, 1, 1))
BRIEF, KIND = raw("Be brief."), raw("Be kind.")
HOUR = 3600.0


def aged(length: str, prompt: str = "Be brief.", **fields: Any) -> dict[str, Any]:
    return raw(prompt, strategy={"canary": {"drain": {"maxAge": length}}}, **fields)


def draining(since: float = 600.0, left: float | None = None, **fields: Any) -> DeploymentStatus:
    """Status with NEW promoted so many seconds ago, and OLD draining."""
    until = ago(-(HOUR - since if left is None else left))
    known: dict[str, Any] = {
        "stable_revision": CANARY,
        "rollout": Rollout(revision=CANARY, plan=PLAN, outcome="Promoted", reason="Promoted", message="Promoted it"),
        "rollouts": [*serving().rollouts, RolloutRecord(revision=CANARY, outcome="Promoted", reason="Promoted")],
        "replaced": Replaced(revision=STABLE, at=ago(since)),
        "draining": Draining(revision=STABLE, since=ago(since), until=until),
        "seen_at": ago(1),
    }
    return DeploymentStatus(**known | fields)


def next_trial(revision_: str = THIRD, index: int | None = 1) -> DeploymentStatus:
    """Another revision is on trial while OLD drains."""
    known = trial(index, rollout=Rollout(revision=revision_, attempt=2, plan=PLAN, started_at=ago(200)))
    fields = {name: getattr(known, name) for name in ("step", "judgement", "rollout")}
    return draining(canary_revision=revision_, **fields)


def run(status: DeploymentStatus, spec: Any = BRIEF, **fields: Any) -> Decision:
    return decide(observed(status, spec, **fields), SITE)


def arms(config: GatewayConfig | None) -> list[tuple[str, str, int]]:
    return [(arm.revision, arm.role, arm.weight) for arm in config.arms] if config else []


def reasons(decision: Decision) -> list[Reason]:
    return [event.reason for event in decision.events]


ALONE = [(CANARY, "stable", 10_000)]
KEPT = [*ALONE, (STABLE, "former", 0)]


# -------------------------------------------------------------------------------------------------------- begin


def test_a_drain_begins_with_a_promotion() -> None:
    done = promote(drafted(trial(6)))
    assert done.status.draining == Draining(revision=STABLE, since=NOW, until=ago(-HOUR))
    assert told(done) == [Reason.PROMOTED, Reason.DRAINING]
    assert done.events[1].note == f"{STABLE} keeps the conversations that began on it for 1 h, and gets no new ones"
    decision = run(trial(6), raw("Be brief.", paused=False), annotations={"promote": f"{CANARY}/1/full"})
    assert arms(decision.config) == KEPT
    assert decision.status.draining
    assert [(one.revision, one.role, one.percent) for one in decision.status.traffic] == [
        (CANARY, "stable", 100.0),
        (STABLE, "former", 0.0),
    ]


@pytest.mark.parametrize(
    "spec", [aged("0s"), raw(assignment={"unit": "Request"}), raw(assignment={"unit": "User"})], ids=str
)
def test_no_drain_begins(spec: dict[str, Any]) -> None:
    """Of none that has to last, and where what is drawn is never kept."""
    unit = spec.get("assignment", {}).get("unit", "Conversation")
    rollout = Rollout(revision=CANARY, plan=PLAN.model_copy(update={"unit": unit}), started_at=ago(200))
    done = promote(drafted(trial(6, rollout=rollout), spec))
    assert done.status.draining is None
    assert told(done) == [Reason.PROMOTED]


def test_the_first_revision_replaces_none() -> None:
    first = trial(6, stable_revision=None, rollouts=[])
    assert promote(drafted(first)).status.draining is None


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"models": {"claude-opus-5-5": RETIRED}}, "its model claude-opus-5-5 is"),
        ({"revisions": {CANARY: NEW}, "config": None}, "it no longer exists"),
    ],
)
def test_what_cannot_be_served_is_not_kept(fields: dict[str, Any], why: str) -> None:
    done = promote(drafted(trial(6), **fields))
    assert done.status.draining is None
    assert told(done) == [Reason.PROMOTED, Reason.DRAINED]
    assert why in done.events[1].note


def test_the_next_promotion_takes_its_place() -> None:
    done = promote(drafted(next_trial(index=6)))
    assert done.status.draining == Draining(revision=CANARY, since=NOW, until=ago(-HOUR))
    assert told(done) == [Reason.PROMOTED, Reason.DRAINED, Reason.DRAINING]
    assert done.events[1].note == f"{STABLE} no longer keeps conversations: those that go on move to {THIRD}"


# -------------------------------------------------------------------------------------------------------- lasts


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (draining(), KEPT),
        (next_trial(), [(CANARY, "stable", 9000), (THIRD, "canary", 1000), (STABLE, "former", 0)]),
        (next_trial(index=None), [(CANARY, "stable", 10_000), (THIRD, "canary", 0), (STABLE, "former", 0)]),
        (next_trial(STABLE), [(CANARY, "stable", 9000), (STABLE, "canary", 1000)]),
        (next_trial(STABLE, None), KEPT),
        (draining(HOUR), ALONE),
        (draining(draining=Draining(revision=CANARY, since=ago(9), until=ago(-9))), ALONE),
        (draining(draining=Draining(revision=STABLE, since=ago(9), until=ago(-9), why="it is odd")), ALONE),
    ],
    ids=[
        *("at rest", "beside a canary", "beside one without traffic", "is the canary", "is a canary without traffic"),
        *("its time has come", "it serves", "it is not fit"),
    ],
)
def test_who_is_served(status: DeploymentStatus, expected: Any) -> None:
    assert arms(observed(status, BRIEF).config) == expected


def test_at_rest_nothing_is_written_until_its_time() -> None:
    seen = observed(draining(), BRIEF)
    decision = decide(seen, SITE)
    assert decision.config == seen.config
    assert (decision.status.draining, reasons(decision)) == (draining().draining, [])
    assert decision.requeue == 60.0  # what was lived through is written down
    soon = decide(observed(draining(HOUR - 7), BRIEF), SITE)
    assert soon.requeue == 7.0


@pytest.mark.parametrize(("length", "until"), [("30m", 1200.0), ("2h", 6600.0)])
def test_the_spec_as_it_is_now_says_how_long(length: str, until: float) -> None:
    decision = run(draining(), aged(length))
    assert decision.status.draining
    assert decision.status.draining.until == ago(-until)
    assert arms(decision.config) == KEPT


def test_it_can_be_cut_short_at_once() -> None:
    decision = run(draining(), aged("0s"), config=observed(draining(), BRIEF).config)
    assert arms(decision.config) == ALONE
    assert decision.status.draining  # until the config is written


def test_a_spec_that_cannot_be_read_changes_nothing_of_it() -> None:
    seen = observed(draining(), BRIEF)
    decision = decide(replace(seen, spec=None), SITE)
    assert arms(decision.config) == KEPT
    assert decision.status.draining == draining().draining


# --------------------------------------------------------------------------------------------------------- ends


def test_its_end_is_written_to_the_config_and_then_told() -> None:
    live = observed(draining(), BRIEF).config
    first = run(draining(HOUR), config=live)
    assert arms(first.config) == ALONE
    assert (first.status.draining is not None, reasons(first)) == (True, [])
    second = run(first.status, config=first.config)
    assert second.config == first.config
    assert (second.status.draining, reasons(second)) == (None, [Reason.DRAINED])
    note = f"{STABLE} no longer keeps conversations: those that go on move to {CANARY}"
    assert (second.events[0].note, second.events[0].type) == (note, "Normal")


@pytest.mark.parametrize(
    ("spec", "fields", "why"),
    [
        (
            BRIEF,
            {"models": {"claude-opus-5-5": RETIRED}},
            "because its model claude-opus-5-5 is Retired",
        ),
        (
            BRIEF,
            {"revision_sizes": {STABLE: LIMIT // 2, CANARY: LIMIT // 2 + 2}},
            "because it does not fit into the gateways' config beside the others: shorten prompts",
        ),
    ],
    ids=["retired", "too large"],
)
def test_what_keeps_it_from_being_served_ends_it_and_is_told_once(
    spec: dict[str, Any], fields: dict[str, Any], why: str
) -> None:
    first = run(draining(), spec, **fields | {"config": observed(draining(), BRIEF).config})
    assert arms(first.config) == ALONE
    assert Reason.DRAINED not in reasons(first)
    second = run(first.status, spec, **fields | {"config": first.config})
    assert reasons(second) == [Reason.DRAINED]
    assert why in second.events[0].note
    assert second.events[0].type == "Warning"
    assert second.status.draining is None


def test_a_token_whose_name_is_gone_ends_it() -> None:
    """Gateways would refuse the whole config for it."""
    server = {"type": "url", "url": "https://mcp.example.com", "name": "docs", "authorization_token": "Bearer $(DOCS)"}
    old = revision.content(raw("Be kind."), {})
    old["request"] = {**old["request"], "mcp_servers": [server]}
    made = {**OLD, "spec": revision.revision_spec(old)}
    revisions = {STABLE: made, CANARY: NEW}
    env = [{"name": "DOCS", "valueFrom": {"secretKeyRef": {"name": "docs", "key": "token"}}}]
    live = observed(draining(), raw(env=env), revisions=revisions).config
    assert arms(run(draining(), raw(env=env), revisions=revisions, config=live).config) == KEPT
    without = run(draining(), BRIEF, revisions=revisions, config=live)
    assert arms(without.config) == ALONE
    assert without.status.draining
    assert without.status.draining.why == "it refers to $(DOCS), which spec.env no longer names"


@pytest.mark.parametrize("outcome", ["RolledBack", "Aborted"])
def test_the_end_of_the_next_trial_does_not_touch_it(outcome: Any) -> None:
    kept = drafted(next_trial()).end(outcome, outcome, "it failed").status
    assert kept.draining == draining().draining
    assert arms(run(kept).config) == KEPT


@pytest.mark.parametrize(
    ("outcome", "kept"), [("RolledBack", False), ("Aborted", False), ("EvalFailed", False), ("Superseded", True)]
)
def test_what_fails_on_trial_again_keeps_nothing(outcome: Any, kept: bool) -> None:
    status = drafted(next_trial(STABLE)).end(outcome, outcome, "it ended").status
    assert bool(status.draining) == kept
    seen = observed(next_trial(STABLE), KIND)
    assert arms(desired_config(seen, status, accepted=True)) == (KEPT if kept else ALONE)


def test_on_trial_again_it_drains_no_longer_from_its_first_weight_on() -> None:
    assert run(next_trial(STABLE, None), raw("Be kind.", paused=True)).status.draining
    assert run(next_trial(STABLE), KIND).status.draining is None


@pytest.mark.parametrize("weighs", [False, True])
def test_a_canary_is_not_believed_to_drain(weighs: bool) -> None:
    """Only the gateways' config shows what was stable."""
    forged = trial(1 if weighs else None, rollout=None, canary_revision=None)
    forged = forged.model_copy(update={"draining": Draining(revision=CANARY, since=ago(9), until=ago(-900))})
    decision = run(forged, raw("Be kind."), config=observed(trial(1 if weighs else None)).config)
    assert decision.status.draining is None
    assert arms(decision.config) == [(STABLE, "stable", 10_000)]


def test_what_returns_within_the_window_serves_and_the_other_keeps_nothing() -> None:
    spec = raw("Be kind.", strategy={"canary": {"rollbackWindow": {"duration": "1h"}}})
    back = begin(replace(drafted(draining(), spec), wanted=STABLE))
    assert (back.status.stable_revision, back.status.draining) == (STABLE, None)
    assert arms(run(draining(), spec).config) == [(STABLE, "stable", 10_000)]


def test_a_breach_of_the_soak_takes_back_to_it() -> None:
    status = soaking(draining=draining().draining)
    assert status.soak
    back = take_back(drafted(status), status.soak, "RolledBack", "ErrorsIncreased", "it was worse")
    assert (back.status.stable_revision, back.status.draining) == (STABLE, None)


def test_a_promotion_of_it_begins_the_drain_of_the_other() -> None:
    done = promote(replace(drafted(next_trial(STABLE, 6), KIND), wanted=STABLE))
    assert done.status.draining == Draining(revision=CANARY, since=NOW, until=ago(-HOUR))


# --------------------------------------------------------------------------------------------------------- room


def big(prompt: str, size: int) -> dict[str, Any]:
    return raw(prompt + "x" * size)


@pytest.mark.parametrize(("length", "accepted"), [("1h", False), ("0s", True)])
def test_a_new_revision_has_to_fit_beside_it(length: str, accepted: bool) -> None:
    third = LIMIT // 3 + 1000
    made = {}
    for prompt in ("Be kind.", "Be brief."):
        parts = revision.content(big(prompt, third), {})
        made[prompt] = {**OLD, "metadata": {**OLD["metadata"], "name": revision.name("support", parts)}}
        made[prompt]["spec"] = revision.revision_spec(parts)
    old, new = (str(one["metadata"]["name"]) for one in made.values())
    status = draining(
        stable_revision=new,
        draining=Draining(revision=old, since=ago(600), until=ago(-3000)),
        rollout=Rollout(revision=new, plan=PLAN, outcome="Promoted", reason="Promoted", message="Promoted it"),
        rollouts=[RolloutRecord(revision=new, outcome="Promoted", reason="Promoted")],
    )
    spec = big("Be polite.", third) | {"strategy": {"canary": {"drain": {"maxAge": length}}}}
    revisions = {one["metadata"]["name"]: one for one in made.values()}
    before = {**big("Be brief.", third)}
    live = observed(status, before, revisions=revisions)
    decision = run(status, spec, revisions=revisions, config=live.config)
    said = next(one for one in decision.status.conditions if one.type == "Accepted")
    if accepted:
        assert said.status == "True"
        assert Reason.REVISION_CREATED in reasons(decision)
        return
    assert said.reason == Reason.CONFIG_TOO_LARGE
    assert f"and {old}, which keeps its conversations until 10:50:00Z, " in said.message
    assert said.message.partition(" more than ")[2].startswith(
        f"{LIMIT:,}: wait until then, shorten prompts or tool descriptions, or move those conversations now with"
        " spec.strategy.canary.drain.maxAge: 0s"
    )


# ------------------------------------------------------------------------------------------------ what is kept


def test_its_object_is_kept_and_made_again() -> None:
    spec = raw(revisionHistoryLimit=0)
    gone = {one["metadata"]["name"] for one in outdated(drafted(draining(), spec))}
    assert gone == {THIRD}
    decision = run(draining(), revisions={CANARY: NEW, THIRD: OTHER}, config=observed(draining(), BRIEF).config)
    assert [one["metadata"]["name"] for one in decision.creations] == [STABLE]
    assert arms(decision.config) == KEPT


def test_a_status_that_was_lost_finds_it_in_the_config() -> None:
    states = {STABLE: "Old", CANARY: "Stable", THIRD: "Superseded"}
    revisions = {one["metadata"]["name"]: one for one in (OLD, NEW, OTHER)}
    revisions = {name: one | {"status": {"state": states[name]}} for name, one in revisions.items()}
    seen = observed(draining(), BRIEF, revisions=revisions)
    decision = decide(replace(seen, status=DeploymentStatus()), SITE)
    assert decision.status.draining == Draining(revision=STABLE, since=NOW, until=ago(-HOUR))
    assert decision.config
    assert arms(decision.config) == KEPT


@pytest.mark.parametrize("known", ["live", "not live"])
def test_only_what_is_served_is_believed_to_drain(known: str) -> None:
    forged = draining(draining=Draining(revision=THIRD, since=ago(9), until=ago(-900)))
    live = observed(draining(), BRIEF).config
    assert live
    if known == "live":
        renamed = [msgspec.structs.replace(arm, revision=THIRD) if arm.role == "former" else arm for arm in live.arms]
        live = msgspec.structs.replace(live, arms=renamed)
    decision = run(forged, config=live)
    assert bool(decision.status.draining) == (known == "live")
    assert (Reason.STATUS_NOT_TRUSTED in reasons(decision)) == (known == "not live")
    if known == "not live":
        assert arms(decision.config) == ALONE


def test_impossible_moments_are_dropped() -> None:
    odd = Draining(revision=STABLE, since=ago(9), until=dt.datetime(2999, 1, 1, tzinfo=dt.UTC))
    decision = run(draining(draining=odd))
    assert decision.status.draining is None
    assert "draining" in decision.events[0].note


def test_a_pod_that_begins_during_a_drain_is_read_within_a_second() -> None:
    """It waits to hear from whom it learns which conversations are on the former revision."""
    starting = replace(observed(draining()).gateway, settled=False)
    for status, spec, count, after in ((draining(), BRIEF, 2, 1.0), (serving(), KIND, 1, 15.0)):
        config = run(status, spec).config
        assert len(arms(config)) == count
        assert run(status, spec, config=config, gateway=starting).requeue == after
