"""Which models are replaced, what comes first, and what stops it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from tests.core.reconcile.rules.sample import NOW, SITE, ago, observed, raw, revision_of, serving, told

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.migration import MigrationStatus
from claude_operator.api.status import DeploymentStatus, Rollout, RolloutRecord
from claude_operator.core import render
from claude_operator.core.catalogue.lifecycle import models_in_use
from claude_operator.core.catalogue.table import Model, find
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.gateway_config import LIMIT
from claude_operator.core.reconcile.plausible import plausible
from claude_operator.core.reconcile.rules import migrate
from claude_operator.core.spec import revision
from claude_operator.core.spec.mapping import replace_models, replace_stored

Object = dict[str, Any]
OLD, NEW, OTHER = "claude-sonnet-4-5-20250929", "claude-sonnet-5-5", "claude-haiku-5-5"
TODAY = NOW.date()


def known(**dates: Any) -> dict[str, Model]:
    """What the cluster knows of OLD."""
    found = find(OLD)
    assert found is not None
    bare = replace(found, stated=None, superseded=None, deprecated=None, retires=None, not_retired_before=None)
    return {OLD: replace(bare, **dates)}


STATES: dict[str, dict[str, Model]] = {
    "Active": known(),
    "Legacy": known(superseded=TODAY),
    "Deprecated": known(deprecated=TODAY, retires=TODAY + dt.timedelta(days=1)),
    "Retired": known(deprecated=TODAY - dt.timedelta(days=60), retires=TODAY),
}


def spec(text: str = "Be kind.", model: str = OLD, *, migrate: Object | None = None, **fields: Any) -> Object:
    """A spec as stored that asks for a migration without evals."""
    lifecycle = fields.pop("lifecycle", {})
    asked = {"to": NEW, "onlyWithEvals": False} if migrate is None else migrate
    request = {**raw(text)["request"], "model": model, **fields.pop("request", {})}
    return raw(text, request=request, lifecycle={**lifecycle, "migrate": asked}, **fields)


def made(stored: Object) -> Object:
    """The ClaudeRevision that a spec makes."""
    parts = revision.content(stored, {})
    one = render.revision(
        {
            "apiVersion": "v1",
            "kind": "ClaudeDeployment",
            "metadata": {"name": "support", "namespace": "demo", "uid": "u-1"},
        },
        revision.name("support", parts),
        revision.revision_spec(parts),
    )
    one["metadata"] |= {"uid": f"uid-{one['metadata']['name']}", "creationTimestamp": "2026-11-24T09:00:00Z"}
    return one


def name_of(stored: Object) -> str:
    return str(made(stored)["metadata"]["name"])


def drafted(
    stored: Object, status: DeploymentStatus, *others: Object, state: str = "Deprecated", **fields: Any
) -> Draft:
    """A draft with the revisions of these specs."""
    revisions = {one["metadata"]["name"]: one for one in map(made, (stored, *others))}
    fields = {"models": STATES[state], **fields}
    return Draft(observed(status, stored, revisions=revisions, **fields), status)


def serves(stored: Object, **fields: Any) -> DeploymentStatus:
    """Status at rest: the revision of this spec serves."""
    name = name_of(stored)
    rollout = Rollout(revision=name, outcome="Promoted", reason="Promoted", message=f"{name} serves 100 %")
    return DeploymentStatus(**{"stable_revision": name, "rollout": rollout} | fields)


def after(draft: Draft) -> tuple[MigrationStatus | None, list[str]]:
    """status.migration after the rule, and the models that later rules see."""
    moved = migrate.report(migrate.migrate(draft))
    assert moved.obs.spec is not None
    seen = moved.obs.owner["spec"]
    assert moved.obs.spec == DeploymentSpec.model_validate(seen)
    return moved.status.migration, models_in_use(seen["request"], seen.get("subagents"))


def chosen(draft: Draft) -> MigrationStatus:
    found, _ = after(draft)
    assert found is not None
    return found


@pytest.mark.parametrize("when", [None, "Legacy", "Deprecated", "Retired"])
@pytest.mark.parametrize("state", STATES)
def test_a_model_is_due_from_its_state_on(state: str, when: str | None) -> None:
    order = list(STATES)
    asked = {"to": NEW, "onlyWithEvals": False} | ({"when": when} if when else {})
    stored = spec(migrate=asked)
    found, models = after(drafted(stored, serves(stored), state=state))
    is_due = order.index(state) >= order.index(when or "Deprecated")
    assert (found is not None) is is_due
    assert models == [NEW if is_due else OLD]


@pytest.mark.parametrize(("day", "is_due"), [(1, False), (0, True), (-1, True)])
def test_the_day_decides(day: int, is_due: bool) -> None:
    """On both sides of the day from which on a model is Retired."""
    stored = spec(migrate={"to": NEW, "when": "Retired", "onlyWithEvals": False})
    dates = known(deprecated=TODAY - dt.timedelta(days=60), retires=TODAY + dt.timedelta(days=day))
    found, _ = after(drafted(stored, serves(stored), models=dates))
    assert (found is not None) is is_due


def test_an_unknown_model_is_never_due_and_may_be_the_new_one() -> None:
    stored = spec(model="claude-nobody-1", migrate={"to": NEW, "when": "Legacy", "onlyWithEvals": False})
    assert after(drafted(stored, serves(stored))) == (None, ["claude-nobody-1"])
    stored = spec(migrate={"to": "claude-next-9", "onlyWithEvals": False})
    assert after(drafted(stored, serves(stored)))[1] == ["claude-next-9"]


def test_what_is_replaced_is_told_once_and_with_why() -> None:
    stored = spec()
    moved = migrate.migrate(drafted(stored, serves(stored)))
    assert told(moved) == [Reason.MIGRATION_STARTED]
    note = moved.events[0].note
    assert note.startswith(
        f"{name_of(spec(model=NEW))} is the spec with {NEW} in place (spec.lifecycle.migrate), since {OLD} is"
    )
    again = replace(moved, obs=drafted(stored, moved.status).obs, events=())
    assert told(migrate.migrate(again)) == []


def test_a_replaced_model_stays_replaced_whatever_the_catalogue_says() -> None:
    stored, new = spec(), spec(model=NEW)
    begun = MigrationStatus(
        models=[OLD], to=NEW, state="InProgress", replaced=[OLD], revision=name_of(new), since=ago(60)
    )
    for status in (serves(stored, migration=begun), serves(new, migration=begun)):
        found, models = after(drafted(stored, status, new, state="Active"))
        assert models == [NEW]
        assert found is not None
        assert found.since == begun.since


@pytest.mark.parametrize("change", [{"model": OTHER}, {"migrate": {}}])
def test_another_model_in_the_spec_or_no_migrate_ends_it(change: Object) -> None:
    begun = MigrationStatus(
        models=[OLD], to=NEW, state="InProgress", replaced=[OLD], revision="support-1", since=ago(60)
    )
    stored = spec(**({k: v for k, v in change.items() if k != "migrate"}))
    if "migrate" in change:
        stored["lifecycle"] = {}
    draft = drafted(stored, serves(spec(), migration=begun), spec())
    assert after(draft) == (None, [stored["request"]["model"]])


REFUSED: list[tuple[str, Object, str]] = [
    (
        "temperature",
        {"request": {"temperature": 0.5}},
        f"with {NEW} spec.request.temperature: {NEW} refuses it: remove it",
    ),
    (
        "a subagent's",
        {"subagents": {"sorter": {"request": {"top_k": 5}}}},
        f"with {NEW} spec.subagents.sorter.request.top_k: {NEW} refuses it: remove it",
    ),
    (
        "a date where there is none",
        {"migrate": {"to": "claude-sonnet-4-6-20260101", "onlyWithEvals": False}},
        "write claude-sonnet-4-6",
    ),
    (
        "one that is due itself",
        {"migrate": {"to": "claude-opus-4-1-20250805", "onlyWithEvals": False}},
        "claude-opus-4-1-20250805 is Retired itself: name a newer model",
    ),
    (
        "one that spec.lifecycle rejects",
        {"migrate": {"to": "claude-sonnet-5", "onlyWithEvals": False}, "lifecycle": {"onLegacy": "Reject"}},
        "claude-sonnet-5 is Legacy, and spec.lifecycle.onLegacy rejects it: name a newer model, or write Warn",
    ),
    ("no evals", {"migrate": {"to": NEW}}, "add spec.evals, or write spec.lifecycle.migrate.onlyWithEvals: false"),
    (
        "evals that only report",
        {"migrate": {"to": NEW}, "evals": {"setRef": {"name": "support-evals"}, "required": False}},
        "spec.evals.required is false: write required: true",
    ),
]


@pytest.mark.parametrize(("fields", "says"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED])
def test_what_stops_it(fields: Object, says: str) -> None:
    """What serves goes on; one Event says what to change, and the next pass says nothing new."""
    stored = spec(**fields)
    draft = drafted(stored, serves(stored))
    moved = migrate.migrate(draft)
    assert told(moved) == [Reason.MIGRATION_STOPPED]
    assert moved.events[0].type == "Warning"
    found, models = after(draft)
    assert found is not None
    assert (found.state, found.replaced, found.revision) == ("Stopped", [], None)
    assert says in found.message
    assert models[0] == OLD
    again = replace(moved, obs=drafted(stored, moved.status).obs, events=())
    assert told(migrate.migrate(again)) == []


def test_a_revision_without_room_beside_what_serves_stops_it() -> None:
    stored = spec("x" * (LIMIT // 2 + 1000))
    found = chosen(drafted(stored, serves(stored)))
    assert found.state == "Stopped"
    assert "shorten prompts or tool descriptions" in found.message
    whole = decide(drafted(stored, serves(stored)).obs, SITE)
    accepted = next(one for one in whole.status.conditions if one.type == "Accepted")
    assert accepted.status == "True", "what serves goes on with the spec as it is"


def trial(stored: Object, outcome: str | None, at: dt.datetime | None = None) -> Object:
    """Fields of a status in which this spec is or was on trial."""
    fields: Object = {"revision": name_of(stored), "started_at": ago(60), "outcome": outcome}
    record = [RolloutRecord(revision=name_of(stored), outcome=outcome, finished_at=at)] if outcome else []  # type: ignore[arg-type]
    return {"rollout": Rollout(**fields), "rollouts": record, "canary_revision": None if outcome else name_of(stored)}


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (None, "is being rolled out first"),
        ("RolledBack", "did not reach all users (RolledBack)"),
        ("Aborted", "(Aborted)"),
    ],
)
def test_what_is_or_was_on_trial_comes_first(outcome: str | None, says: str) -> None:
    served, edited = spec(), spec("Be brief.")
    found = chosen(drafted(edited, serves(served, **trial(edited, outcome)), served))
    assert (found.state, found.replaced) == ("Waiting", [])
    assert says in found.message


def test_a_first_revision_serves_first_unless_its_model_is_retired() -> None:
    stored = spec()
    assert chosen(drafted(stored, DeploymentStatus())).state == "Waiting"
    assert after(drafted(stored, DeploymentStatus(), state="Retired"))[1] == [NEW]


@pytest.mark.parametrize(
    ("outcome", "finished", "replaced"),
    [
        (None, None, [OLD]),
        ("RolledBack", NOW, [OLD]),  # of the same day as the retirement: that is what failed it
        ("RolledBack", NOW - dt.timedelta(days=1), []),  # it had failed before
        ("Aborted", None, []),
    ],
)
def test_a_retired_model_waits_for_nothing_but_content_that_failed_before(
    outcome: str | None, finished: dt.datetime | None, replaced: list[str]
) -> None:
    served, edited = spec(), spec("Be brief.")
    found = chosen(drafted(edited, serves(served, **trial(edited, outcome, finished)), served, state="Retired"))
    assert found.replaced == replaced


def test_once_it_serves_edits_go_on_with_the_new_model_alone() -> None:
    new, edited = spec(model=NEW), spec("Be brief.")
    begun = MigrationStatus(
        models=[OLD], to=NEW, state="Promoted", replaced=[OLD], revision=name_of(new), since=ago(60)
    )
    found, models = after(drafted(edited, serves(new, migration=begun), new))
    assert models == [NEW]
    assert found is not None
    assert found.revision == name_of(spec("Be brief.", NEW))


def test_an_edit_that_the_new_model_refuses_is_not_accepted() -> None:
    new, edited = spec(model=NEW), spec("Be brief.", request={"temperature": 0.5})
    begun = MigrationStatus(
        models=[OLD], to=NEW, state="Promoted", replaced=[OLD], revision=name_of(new), since=ago(60)
    )
    decided = decide(drafted(edited, serves(new, migration=begun), new).obs, SITE)
    accepted = next(one for one in decided.status.conditions if one.type == "Accepted")
    assert (accepted.status, accepted.reason) == ("False", "InvalidRequest")
    assert f"(spec.lifecycle.migrate has put {NEW} in place of {OLD})" in accepted.message
    assert decided.status.stable_revision == name_of(new)


def test_another_replacement_that_is_refused_leaves_the_first_where_it_serves() -> None:
    stored = spec(migrate={"to": "claude-opus-4-1-20250805", "onlyWithEvals": False})
    new = spec(model=NEW)
    begun = MigrationStatus(
        models=[OLD], to=NEW, state="Promoted", replaced=[OLD], revision=name_of(new), since=ago(60)
    )
    found, models = after(drafted(stored, serves(new, migration=begun), new))
    assert found is not None
    assert (found.state, found.to, models) == ("Stopped", NEW, [NEW])
    found, models = after(drafted(stored, serves(stored, migration=begun)))
    assert found is not None
    assert (found.state, found.replaced, models) == ("Stopped", [], [OLD])


def test_a_model_that_becomes_due_later_joins_those_that_are_replaced() -> None:
    subagents = {"sorter": {"request": {"model": OTHER}}}
    stored = spec(subagents=subagents)
    first = spec(model=NEW, subagents=subagents)
    begun = MigrationStatus(
        models=[OLD], to=NEW, state="Promoted", replaced=[OLD], revision=name_of(first), since=ago(60)
    )
    models = STATES["Deprecated"] | {OTHER: Model(OTHER, line="haiku", deprecated=TODAY)}
    found, seen = after(drafted(stored, serves(first, migration=begun), first, models=models))
    assert found is not None
    assert (found.models, found.replaced, seen) == ([OLD, OTHER], [OLD, OTHER], [NEW])
    without = stored | {"lifecycle": {"migrate": {"to": NEW}}}  # the second one has no gate: the first stays
    found, seen = after(drafted(without, serves(first, migration=begun), first, models=models))
    assert found is not None
    assert (found.state, found.replaced, seen) == ("Stopped", [OLD], [NEW, OTHER])


def test_nothing_is_decided_without_the_whole_spec() -> None:
    """A ConfigMap of promptFrom is missing, or traffic is being taken back."""
    stored, new = spec(promptFrom=[{"configMapKeyRef": {"name": "prompts", "key": "a"}}]), spec(model=NEW)
    begun = MigrationStatus(
        models=[OLD], to=NEW, state="InProgress", replaced=[OLD], revision="support-1", since=ago(60)
    )
    for migration, wanted in ((begun, [NEW]), (None, [OLD])):
        status = serving(stable_revision=name_of(new), migration=migration)
        draft = Draft(observed(status, stored, models=STATES["Deprecated"]), status)
        moved = migrate.migrate(draft)
        assert moved.status.migration == migration
        assert models_in_use(moved.obs.owner["spec"]["request"]) == wanted
    backward = replace(drafted(spec(), serves(spec())), backward=True)
    assert migrate.migrate(backward).status.migration is None


def test_the_spec_as_read_and_as_stored_are_replaced_alike() -> None:
    subagents = {"a": {"request": {"model": OLD, "max_tokens": 5}}, "b": {"request": {"max_tokens": 7}}}
    for fields in ({}, {"subagents": subagents}, {"model": OTHER, "subagents": subagents}):
        stored = spec(**fields)
        kept = replace_stored(stored, [OLD], NEW)
        assert replace_models(DeploymentSpec.model_validate(stored), [OLD], NEW) == DeploymentSpec.model_validate(kept)
        assert replace_stored(kept, [OLD], NEW) == kept
        assert stored == spec(**fields), "what was given is not changed"


def test_the_name_of_the_replaced_content_is_that_of_the_written_one() -> None:
    stored = {**revision_of("Be kind.")["spec"]}
    stored["request"] = {**stored["request"], "model": OLD}
    by_hand = {**stored, "request": {**stored["request"], "model": NEW}}
    replaced = replace_stored(stored, [OLD], NEW)
    assert revision.name("support", revision.content(replaced, {})) == revision.name(
        "support", revision.content(by_hand, {})
    )


SOUND: Object = {
    "models": [OLD], "to": NEW, "state": "InProgress", "replaced": [OLD], "revision": "support-1", "since": ago(60)
}  # fmt: skip
IMPLAUSIBLE: list[Object] = [
    {"models": []},
    {"models": [f"claude-{number}" for number in range(34)]},
    {"models": ["x" * 254], "replaced": []},
    {"to": ""},
    {"replaced": [OTHER]},
    {"replaced": []},
    {"revision": None},
    {"revision": "x" * 254},
    {"since": NOW + dt.timedelta(days=2)},
    {"since": dt.datetime(1970, 1, 1, tzinfo=dt.UTC)},
    {"since": dt.datetime(2026, 11, 24)},  # noqa: DTZ001  (as somebody may have written it)
]


@pytest.mark.parametrize("wrong", IMPLAUSIBLE)
def test_what_no_pass_can_have_written_is_dropped(wrong: Object) -> None:
    status = serving(migration=MigrationStatus(**SOUND))
    assert plausible(status, NOW) == (status, ())
    forged = serving(migration=MigrationStatus(**SOUND | wrong))
    assert plausible(forged, NOW) == (serving(), ("migration",))
